"""
What is broken, and in which items that must be seen.

Each takes one thing away that is easily forgotten.  The modules of the proxy are looked up
when a part is replaced, which must be after the reactor was chosen.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any

from attrs import frozen


@frozen
class Build:
    """
    A broken proxy.

    :ivar words: what is wrong with it.
    :ivar items: the items that must fail on it, and on it only.
    :ivar break_it: replaces the part.
    """

    words: str
    items: tuple[str, ...]
    break_it: Callable[[], None]


def _replace(module: str, name: str, make: Callable[[Any], Any]) -> None:
    """Put what *make* makes of a part in its place."""
    owner: Any = import_module(module)
    *path, last = name.split(".")
    for each in path:
        owner = getattr(owner, each)
    setattr(owner, last, make(getattr(owner, last)))


def _no_timeout_on_bodies() -> None:
    def forgetful(original: Callable[..., Any]) -> Callable[..., Any]:
        def head(attempt: Any, response: Any) -> Any:
            headers = original(attempt, response)
            attempt._dog.stop()
            return headers

        return head

    def unless_begun(original: Callable[..., Any]) -> Callable[..., Any]:
        def watch(attempt: Any, *given: Any) -> None:
            if attempt._status is None:
                original(attempt, *given)

        return watch

    _replace("yallmp.attempts", "Attempt._head", forgetful)
    _replace("yallmp.attempts", "Attempt._watch", unless_begun)


def _no_cancel() -> None:
    _replace("yallmp.shortcuts", "_left", lambda _: lambda handled, gone: None)


def _clean_end() -> None:
    async def break_off(ending: Any, problem: Any) -> None:
        ending.client.write(b"data: [DONE]\n\n")
        ending.client.finish()

    _replace("yallmp.endings", "Ending.break_off", lambda _: break_off)


def _unbounded() -> None:
    def decoder(headers: Any, limit: int) -> Callable[[bytes], bytes]:
        packed = any(name.lower() == b"content-encoding" for name, _ in headers)
        return zlib.decompressobj(47).decompress if packed else bytes

    _replace("yallmp.attempts", "decoder", lambda _: decoder)


def _bare_errors() -> None:
    def unmasked(original: Callable[..., Any]) -> Callable[..., Any]:
        return lambda problem, model, mask: original(problem, model, bytes)

    for name in ("reply_to", "event_error"):
        _replace("yallmp.endings", name, unmasked)


BUILDS = {
    "no-timeout-on-bodies": Build(
        "once the head of an answer is there, nobody looks at the time",
        ("body.dripped", "body.error-dripped", "stream.dripped", "stream.headers-and-silence"),
        _no_timeout_on_bodies,
    ),
    "no-cancel-on-disconnect": Build(
        "a client that leaves is not noticed by what works for it",
        ("client.leaves-while-waiting", "client.leaves-in-the-stream", "client.leaves-in-a-pause"),
        _no_cancel,
    ),
    "clean-end-after-a-cut": Build(
        "a stream that broke is ended as if it were whole",
        (
            "stream.cut-between-events-rst",
            "stream.cut-in-mid-event-fin",
            "stream.no-finish-reason",
            "stream.stalled",
        ),
        _clean_end,
    ),
    "unbounded-gunzip": Build(
        "compressed answers are decompressed whatever they become",
        ("body.gzip-bomb", "stream.gzip-bomb"),
        _unbounded,
    ),
    "key-in-the-error-text": Build(
        "what a backend says of its error is passed on with the key that it repeats",
        ("secrets.echo-plain", "secrets.echo-header", "secrets.echo-late-event"),
        _bare_errors,
    ),
}
