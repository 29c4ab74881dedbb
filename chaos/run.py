"""
Running the catalogue: one proxy for all items that do not want their own, one item at a time.

An item that was only too late is tried again, twice at most, and the line says so: on a busy
machine an honest proxy may be late once, a broken one always is.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from attrs import define, field, frozen

from chaos import secrets, setting
from chaos.certificates import Certificates
from chaos.figures import Measured
from chaos.item import Absent, Item, Late, Wrong
from chaos.proxy import OURS, Proxy
from chaos.secrets import Found
from chaos.stand import Seen, Stand
from chaos.upstream import Listener

TRIES = 3
#: An item is not tried again once it has taken so many seconds.
PATIENCE = 20.0


@frozen
class Outcome:
    """
    What came of an item.

    :ivar word: ``passed``, ``failed`` or ``absent``.
    :ivar why: what was seen, where it did not pass.
    """

    item: Item
    word: str
    why: str = ""
    seconds: float = 0.0
    tries: int = 1
    measured: tuple[Measured, ...] = ()
    notes: tuple[str, ...] = ()


@define(eq=False)
class Run:
    """
    One run of some items.

    :ivar tell: is given each outcome as it comes.
    :ivar seconds: no item is begun once the run has taken so many.
    :ivar found: secrets that stood where they do not belong.
    """

    items: Sequence[Item]
    tell: Callable[[Outcome], None]
    command: Sequence[str] = OURS
    workers: int = 1
    seconds: float = math.inf
    outcomes: list[Outcome] = field(factory=list)
    found: list[Found] = field(factory=list)
    _certificates: Certificates = field(factory=Certificates)
    _began: float = field(factory=time.monotonic)

    def run(self) -> None:
        """Run all of them, and search what they left for secrets."""
        try:
            with self._shared() as (proxy, listeners):
                for item in self.items:
                    outcome = self._in_time(item, proxy, listeners.get(item.id, []))
                    self.outcomes.append(outcome)
                    self.tell(outcome)
        finally:
            self._certificates.remove()

    def _in_time(self, item: Item, proxy: Proxy, listeners: list[Listener]) -> Outcome:
        """What came of *item*, which is not begun if the run has taken too long."""
        if time.monotonic() - self._began > self.seconds:
            return Outcome(item, "failed", f"not begun: the run has taken {self.seconds:g} s")
        return self._tried(item, proxy, listeners)

    @contextmanager
    def _shared(self) -> Iterator[tuple[Proxy, dict[str, list[Listener]]]]:
        shared = [item for item in self.items if item.config is None]
        listeners = {item.id: self._listen(item) for item in shared}
        proxy = self._start([(item, listeners[item.id]) for item in shared], {})
        try:
            yield proxy, listeners
        finally:
            self._over(proxy, [each for some in listeners.values() for each in some])

    def _listen(self, item: Item) -> list[Listener]:
        return [
            Listener(spec, secrets.backend_key(item.id, number), self._certificates.get(spec.tls))
            for number, spec in enumerate(item.backends)
        ]

    def _start(
        self, served: Sequence[tuple[Item, list[Listener]]], more: Mapping[str, Any]
    ) -> Proxy:
        made = setting.configuration(
            served, more, workers=self.workers, authority=self._certificates.authority
        )
        return Proxy(self.command, made)

    def _over(self, proxy: Proxy, listeners: Sequence[Listener]) -> None:
        """Look for secrets in what the proxy left, and in what backends got."""
        try:
            for each in listeners:
                each.close()
            if proxy.process.poll() is None:
                proxy.end()
            self.found += secrets.search_folder(proxy.folder, secrets.PLANTED)
            for each in listeners:
                self.found += _foreign(each)
        finally:
            proxy.remove()

    def _tried(self, item: Item, proxy: Proxy, listeners: list[Listener]) -> Outcome:
        began = time.monotonic()
        for tries in range(1, TRIES + 1):
            seen, error = self._once(item, proxy, listeners)
            tired = tries == TRIES or time.monotonic() - began > PATIENCE
            if tired or not isinstance(error, Late):
                break
        word = {type(None): "passed", Absent: "absent"}.get(type(error), "failed")
        why = "" if error is None else _told(error)
        return Outcome(
            item, word, why, time.monotonic() - began, tries, tuple(seen.measured),
            tuple(seen.notes),
        )  # fmt: skip

    def _once(
        self, item: Item, proxy: Proxy, listeners: list[Listener]
    ) -> tuple[Seen, Exception | None]:
        if item.config is not None:
            return self._alone(item)
        stand = Stand(item, proxy, listeners)
        return stand.seen, _judged(stand)

    def _alone(self, item: Item) -> tuple[Seen, Exception | None]:
        """An item with a proxy of its own."""
        listeners = self._listen(item)
        try:
            proxy = self._start([(item, listeners)], item.config or {})
        except Wrong as error:
            return Seen(), error
        stand = Stand(item, proxy, listeners)
        try:
            return stand.seen, _judged(stand)
        finally:
            stand.close()
            self._over(proxy, listeners)


def _told(error: Exception) -> str:
    if isinstance(error, (Wrong, Absent)):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _foreign(listener: Listener) -> list[Found]:
    """Secrets that a backend got besides its own key."""
    raw = b"\n".join(bytes(peer.raw) for peer in listener.peers)
    raw = raw.replace(listener.key.encode(), b"")
    foreign = [each for each in secrets.PLANTED if each not in listener.spec.knows]
    return secrets.search("a backend", raw, foreign)


def _judged(stand: Stand) -> Exception | None:
    """What went wrong in this try, by the check or beside it."""
    before = _called(stand)
    return _checked(stand) or _mishap(stand, before)


def _called(stand: Stand) -> int:
    """How often the first backend was called so far, in all tries."""
    return sum(1 + len(peer.asks) for each in stand.backends[:1] for peer in list(each.peers))


def _mishap(stand: Stand, before: int) -> Exception | None:
    """What went wrong beside the check: a script, no call at all, or a traceback of the proxy."""
    broken = [each for backend in stand.backends for each in backend.failures]
    if broken:
        return Wrong(f"a script of this item failed: {broken[0]}")
    if any(backend.expected for backend in stand.backends[:1]) and _called(stand) == before:
        return Wrong("the backend was never called: the fault was not played")
    said = stand.proxy.said
    if "Traceback" in said:
        return Wrong(f"the proxy's log has a traceback: {said[said.index('Traceback') :][:400]}")
    return None


@define
class _Checking:
    """A check in a thread of its own, so that one that hangs can be left."""

    stand: Stand
    error: Exception | None = None
    over: bool = False

    def __call__(self) -> None:
        try:
            self.stand.item.check(self.stand)
        except Exception as error:
            self.error = error
        self.over = True


def _checked(stand: Stand) -> Exception | None:
    """Run the check; what it raised, if anything."""
    checking = _Checking(stand)
    thread = threading.Thread(target=checking, daemon=True)
    thread.start()
    thread.join(stand.item.limit)
    if not checking.over:
        stand.leave()
        thread.join(5)
        return Wrong(f"not over within {stand.item.limit:g} s")
    stand.leave()
    return checking.error
