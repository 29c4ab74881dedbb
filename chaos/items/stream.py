"""
Streams that break: cuts at many places, stalls, early ends, and what becomes of them.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable

from chaos.item import Backend, Item
from chaos.peer import Peer
from chaos.scripts import (
    DONE,
    EVENTS,
    TEXT,
    WELL,
    beginning,
    chunked,
    drips,
    ending,
    error,
    event,
    events,
    head,
    in_chunks,
    says,
    says_and_closes,
    says_and_resets,
    says_and_waits,
    stream,
    stream_head,
    tokens,
)
from chaos.stand import Stand, bounded, refused, served, serves_in_time, truthful

#: A broken stream is told, not mended: what is mended is tried by items of its own.
TOLD = {"stream_rescue": "off"}
SSE = "Content-Type: text/event-stream"
WHOLE = stream_head() + in_chunks(EVENTS) + chunked(b"")
PLACES = 48


def _told(code: str | None = None) -> Callable[[Stand], None]:
    """The client of a stream that breaks is told so."""
    return lambda stand: truthful(stand, stand.ask(stream=True), code)


def _stalled(stand: Stand) -> None:
    answer = stand.ask(stream=True)
    truthful(stand, answer, "upstream_idle_timeout")
    bounded(stand, answer, 1.0)


def _mended(stand: Stand) -> None:
    served(stand, stand.ask(stream=True, temperature=0))


def _in_time(stand: Stand) -> None:
    serves_in_time(stand, stream=True)


def _everywhere(stand: Stand) -> None:
    """Cut at places spread over all of a stream: an error, or told, or nothing was lost."""
    for _ in range(PLACES):
        answer = stand.ask(stream=True)
        if answer.status != 200:
            stand.must(answer.error is not None, f"no error in OpenAI's shape: {answer}")
        elif answer.claims:
            served(stand, answer)
            stand.must(answer.finish == "stop", f"a whole answer without its reason: {answer}")
        else:
            truthful(stand, answer)


def _finished(stand: Stand) -> None:
    answer = stand.ask(stream=True)
    served(stand, answer)
    stand.must(answer.done, f"no [DONE]: {answer}")


def _unmixed(stand: Stand) -> None:
    answer = stand.ask(stream=True, temperature=0)
    truthful(stand, answer)
    stand.must(TEXT.startswith(answer.text), f"two answers are mixed: {answer.text!r}")


def cutting(*, reset: bool) -> Callable[[Peer], None]:
    """Each request is answered a little further than the one before."""
    places = iter(range(1, len(WHOLE), len(WHOLE) // PLACES))

    def script(peer: Peer) -> None:
        peer.ask()
        peer.send(WHOLE[: next(places, 0)])
        if reset:
            peer.pause(0.02)
            peer.reset()
        peer.close()

    return script


def cut_under_tls(peer: Peer) -> None:
    """A body that ends with the connection, which ends without TLS's own farewell."""
    peer.ask()
    peer.send(head(200, SSE, "Connection: close"), beginning("m"), *tokens("m", 0, 40))
    assert isinstance(peer.sock, ssl.SSLSocket)
    peer.close()


def breaks_framing(peer: Peer) -> None:
    """Some tokens, and a moment later what is no chunk."""
    peer.ask()
    peer.send(events(0, 20))
    peer.pause(0.05)
    peer.send(b"nonsense\r\n")
    peer.hold()


def half_and_an_error(peer: Peer) -> None:
    """Some tokens, then an error event."""
    peer.ask()
    peer.send(events(0, 20))
    broken = b'data: {"error": {"message": "out of memory", "code": "oom"}}\n\n'
    peer.send(chunked(broken), chunked(b""))


def endless(peer: Peer) -> None:
    """Tokens, for ever."""
    peer.ask()
    peer.send(events(0, 5))
    while True:
        peer.send(chunked(event("m", {"content": "more "})))
        peer.pause(0.02)


def endless_comments(peer: Peer) -> None:
    """Comments, for ever, behind some tokens."""
    peer.ask()
    peer.send(events(0, 5))
    while True:
        peer.send(chunked(b": still here\n\n"))
        peer.pause(0.05)


def only_comments(peer: Peer) -> None:
    """Comments, for ever, and no token."""
    peer.ask()
    peer.send(stream_head())
    while True:
        peer.send(chunked(b": still here\n\n"))
        peer.pause(0.05)


OTHERWISE = stream(beginning("m"), event("m", {"content": "Something else."}), *ending("m"))
NO_FINISH = [beginning("m"), *tokens("m")]
NO_DONE = [*NO_FINISH, *ending("m", done=False)]

ITEMS = (
    *(Item(f"stream.cut-between-events-{how}", f"the connection ends ({how}) between two events",
           "an error event, no [DONE], no final chunk, FIN",
           "ends the client's stream cleanly: an SDK takes half an answer for all of it",
           _told(), (ends(events(0, 40)), WELL), TOLD)
      for how, ends in (("rst", says_and_resets), ("fin", says_and_closes))),
    *(Item(f"stream.cut-in-mid-event-{how}", f"the connection ends ({how}) in mid-event",
           "an error event, and nothing of the half event",
           "ends the client's stream cleanly, or sends half an event and the error in one",
           _told(), (ends(events(0, 40)[:-40]), WELL), TOLD)
      for how, ends in (("rst", says_and_resets), ("fin", says_and_closes))),
    *(Item(f"stream.cut-at-{PLACES}-places-{how}",
           f"the connection ends ({how}), each time a little later in the stream",
           "each time an error, or an error event; whole only where nothing was lost",
           "ends one of them as if it were whole",
           _everywhere, (cutting(reset=how == "rst"),), TOLD, limit=60)
      for how in ("rst", "fin")),
    Item("stream.ended-cleanly-but-early", "the stream ends, by its framing, after 40 tokens",
         "an error event, no [DONE]", "takes the end of the body for the end of the answer",
         _told(), (says_and_closes(events(0, 40), chunked(b"")), WELL), TOLD),
    Item("stream.no-finish-reason", "all tokens, [DONE], but no finish_reason",
         "an error event, no [DONE]", "takes [DONE] alone for a whole answer",
         _told(),
         (says_and_waits(stream_head(), in_chunks([*NO_FINISH, DONE]), chunked(b"")), WELL), TOLD),
    Item("stream.until-close-and-cut", "a stream without framing that ends after 40 tokens",
         "an error event", "takes the end of the connection for the end of the answer",
         _told(), (says_and_closes(head(200, SSE, "Connection: close"), beginning("m"),
                                   *tokens("m", 0, 40)), WELL), TOLD),
    Item("stream.until-close-and-cut-under-tls",
         "the same under TLS, cut by somebody on the way, without TLS's farewell",
         "an error event", "takes it for the end of the answer",
         _told(), (Backend(cut_under_tls, tls="good"), WELL), TOLD),
    Item("stream.bad-chunk", "the framing breaks after 20 tokens", "an error event",
         "passes on what follows, or ends cleanly",
         _told(), (breaks_framing, WELL), TOLD),
    Item("stream.error-event", "an error event after 20 tokens",
         "an error event, no [DONE]", "hides it, and ends as if all were well",
         _told(), (half_and_an_error, WELL), TOLD),
    Item("stream.error-reason", 'finish_reason "error" after 20 tokens', "an error event",
         "takes any finish_reason for a good end",
         _told(), (says_and_waits(events(0, 20), chunked(event("m", {}, "error")), chunked(DONE)),
                   WELL), TOLD),
    Item("stream.stalled", "the backend falls silent after 20 tokens",
         "an error event as idle_timeout is over",
         "waits as long as the backend does; openai-node hangs for ever",
         _stalled, (says_and_waits(events(0, 20)), WELL), {**TOLD, "idle_timeout": 1}),
    Item("stream.stalled-in-an-event", "the backend falls silent in the middle of an event",
         "an error event as idle_timeout is over", "waits for the rest of the event",
         _stalled, (says_and_waits(events(0, 20)[:-30]), WELL), {**TOLD, "idle_timeout": 1}),
    Item("stream.comments-only-behind-tokens", "nothing but comments after some tokens",
         "an error event as an explicit idle_timeout is over", "takes comments for life, for ever",
         _stalled, (endless_comments, WELL), {**TOLD, "idle_timeout": 1}),
    Item("stream.endless", "tokens for ever", "stream_lifetime_exceeded as its time is over",
         "lets one stream live for ever",
         _told("stream_lifetime_exceeded"), (endless, WELL), {**TOLD, "stream_lifetime": 1}),
    Item("stream.headers-and-silence", "headers at once, and no token",
         "the fallback answers as first_content_timeout is over",
         "takes the headers for an answer, and waits",
         _in_time, (says_and_waits(stream_head()), WELL), {"first_content_timeout": 1}, limit=10),
    Item("stream.role-and-silence", "headers and the role, and no token", "the same",
         "commits on an event in which there is nothing",
         _in_time, (says_and_waits(events(0, 0)), WELL), {"first_content_timeout": 1}),
    Item("stream.comments-only", "nothing but comments", "the same",
         "takes comments for life, for ever",
         _in_time, (only_comments, WELL), {"first_content_timeout": 1}),
    Item("stream.dripped", "the first event comes one byte at a time", "the same",
         "starts its timer anew with each byte",
         _in_time, (drips(head(200, SSE), data=event("m", {"content": "t"}), every=0.1), WELL),
         {"first_content_timeout": 1}, limit=15),
    Item("stream.error-event-first", "an error event before any token", "the fallback answers",
         "commits on an error", lambda stand: served(stand, stand.ask(stream=True)),
         (says_and_closes(stream_head(), chunked(b'data: {"error": {"message": "no"}}\n\n'),
                          chunked(b"")), WELL)),
    Item("stream.done-only", "[DONE], and nothing else", "the fallback answers",
         "passes on a stream in which there is nothing",
         lambda stand: served(stand, stand.ask(stream=True)),
         (says_and_closes(stream_head(), chunked(DONE), chunked(b"")), WELL)),
    Item("stream.no-done", "complete, but [DONE] does not come", "the whole text and [DONE], soon",
         "waits for it, or leaves it out: a client that waits for it hangs",
         _finished, (says_and_waits(stream_head(), in_chunks(NO_DONE)), WELL),
         {"tail_timeout": 0.5}),
    Item("stream.cut-behind-the-end", "reset behind the finish_reason, before [DONE]",
         "the whole text and [DONE]", "makes an error of an answer that is whole",
         _finished, (says_and_resets(stream_head(), in_chunks(NO_DONE)), WELL)),
    *(Item(f"stream.rescued-after-{count}", f"reset after {count} of 60 tokens",
           "the whole text, once, from the fallback", "repeats the beginning, or gives up at once",
           _mended, (says_and_resets(events(0, count)), WELL))
      for count in (1, 40, 60)),
    Item("stream.rescue-fails", "reset after 40 tokens, and the fallback fails",
         "an error event, no [DONE]", "ends cleanly after a rescue that failed",
         lambda stand: truthful(stand, stand.ask(stream=True, temperature=0)),
         (says_and_resets(events(0, 40)), says(error(500, "No.")))),
    Item("stream.rescue-says-something-else", "reset; the fallback answers otherwise",
         "an error event, and not a word of the other answer", "mixes two answers",
         _unmixed, (says_and_resets(events(0, 40)), says(OTHERWISE))),
    Item("stream.refused-and-no-spare", "the backend refuses a stream with 503, and is alone",
         "503 in OpenAI's shape, before any event", "opens a stream and ends it at once",
         lambda stand: refused(stand, stand.ask(stream=True), 503),
         (says(error(503, "No.")),)),
)  # fmt: skip
