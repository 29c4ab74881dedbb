"""
One connection to the whole proxy, in memory: its real parts, a clock, and a mocked model.
"""

from __future__ import annotations

import itertools
import re
from functools import cache
from typing import Any

from attrs import define, field
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import LogLevel, globalLogPublisher
from twisted.python.failure import Failure

from chaos.fuzz.target import must
from yallmp.core.config.whole import parse
from yallmp.core.exchange import Begin, End, Event
from yallmp.core.record import format_event
from yallmp.metrics import Metrics
from yallmp.tap import Parts, wired

CONFIG = """
model_list:
  - {model_name: m, litellm_params: {mock_response: hello}}
general_settings: {admin_key: fuzz-administrator-0123}
"""
_HERE = IPv4Address("TCP", "127.0.0.1", 8000)
_THERE = IPv4Address("TCP", "127.0.0.1", 40000)
_ANSWER = re.compile(rb"HTTP/1\.[01] [1-5][0-9][0-9] ")


class _Transport(StringTransport):
    """Is closed at once, as if the client read everything."""

    def abortConnection(self) -> None:
        self.loseConnection()

    def setTcpNoDelay(self, enabled: bool) -> None:
        pass


@define(eq=False)
class Served:
    """A proxy that is there for all inputs; ``told`` is what the last one came to."""

    told: list[Event] = field(factory=list)
    wrong: list[str] = field(factory=list)
    clock: Any = field(factory=MemoryReactorClock)
    parts: Parts = field(init=False)

    def __attrs_post_init__(self) -> None:
        numbers = itertools.count()
        self.parts = wired(
            parse(CONFIG, "fuzz.yaml", {}),
            self.clock,
            resolver=None,  # type: ignore[arg-type]  # nothing is connected to
            wall=lambda: 1_800_000_000.0,
            draw=lambda: 0.5,
            new_id=lambda: f"{next(numbers):012x}",
            tell=self._tell,
            metrics=Metrics.alone(),
        )
        globalLogPublisher.addObserver(self._logged)

    def _tell(self, event: Event) -> None:
        format_event(event)  # whatever comes, it can be recorded
        self.told.append(event)

    def _logged(self, event: Any) -> None:
        if event.get("log_level") in (LogLevel.critical, LogLevel.error):
            failure = event.get("log_failure")
            self.wrong.append(failure.getTraceback() if failure else str(event))

    def hear(self, parts: list[bytes]) -> bytes:
        """What a client gets that sends *parts* and leaves after a while."""
        self.told.clear()
        self.wrong.clear()
        channel: Any = self.parts.site.buildProtocol(_THERE)
        transport = _Transport(_HERE, _THERE)
        channel.makeConnection(transport)
        for data in parts:
            if data and not transport.disconnecting:
                channel.dataReceived(data)
                self.clock.advance(0.01)
        for _ in range(4):
            self.clock.advance(1)
        channel.connectionLost(Failure(ConnectionDone()))
        self.clock.advance(0.01)
        return transport.value()

    def check(self, answer: bytes) -> None:
        """
        Hold the proxy to what must be after any input.

        :raises Broken: it failed, or something of the input is still there.
        """
        must(not self.wrong, f"the log has an error: {self.wrong}")
        must(not answer or _ANSWER.match(answer), f"no HTTP: {answer[:60]!r}")
        begun = {each.id for each in self.told if isinstance(each, Begin)}
        ended = [each for each in self.told if isinstance(each, End)]
        must(begun == {each.id for each in ended}, "a request has no end")
        for end in ended:
            must(end.status < 500 or end.status == 508, f"a request ended with {end.status}")
        must(not self.parts.site.account.held, "memory is held for what is over")
        must(len(self.clock.getDelayedCalls()) < 8, "timers are left")


@cache
def served() -> Served:
    """The one that all targets of a process share: to make it takes longer than to use it."""
    return Served()
