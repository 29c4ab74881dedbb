"""
Events come out the same wherever reads split the stream.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.sse import (
    MOST_EVENTS,
    MOST_LINES,
    EventTooLargeError,
    Parser,
    ServerEvent,
    comment_bytes,
    event_bytes,
)

LINES = st.sampled_from(
    [b"data: a", b"data:b", b"data", b"data:  c", b"event: x", b": comment", b"id: 1", b"retry: 5",
     b"data: \xe2\x82\xac", b"dat", b"", b"junk", b"data: {}"]
)  # fmt: skip
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


def parse(parts: list[bytes]) -> list[ServerEvent]:
    """All events of a stream that comes in *parts*, its end included."""
    parser = Parser(1000)
    return [event for part in parts for event in parser.feed(part)] + parser.close()


def facts(events: list[ServerEvent]) -> list[tuple[bytes | None, bytes]]:
    """What the events say; those that say nothing are left out."""
    return [(e.data, e.name) for e in events if e.data is not None or e.name]


class ParserTests(SynchronousTestCase):
    """Events from bytes."""

    def test_fields(self) -> None:
        """Several data lines make one event; a comment has no data; one space is taken off."""
        (event, comment) = parse([b"event: e\ndata: a\ndata:b\nid: 3\n\n: hello\n\n"])
        self.assertEqual((event.name, event.data), (b"e", b"a\nb"))
        self.assertIsNone(comment.data)

    def test_line_ends(self) -> None:
        """LF, CRLF and CR all end lines."""
        for end in (b"\n", b"\r\n", b"\r"):
            events = parse([end.join([b"data: 1", b"", b"data: 2", b"", b""])])
            self.assertEqual([e.data for e in events if e.data], [b"1", b"2"])

    def test_byte_order_mark(self) -> None:
        """A BOM at the start of the stream is not part of the first field's name."""
        self.assertEqual(facts(parse([b"\xef\xbb", b"\xbfdata: 1\n\n"])), [(b"1", b"")])

    def test_an_event_that_ends_in_cr_is_not_held_back(self) -> None:
        """The event is there with its last CR, whatever comes next."""
        parser = Parser(100)
        self.assertEqual([e.data for e in parser.feed(b"data: 1\r\r")], [b"1"])
        self.assertEqual([e.data for e in parser.feed(b"\ndata: 2\r\n\r\n")], [b"2"])

    def test_last_event_without_its_empty_line(self) -> None:
        """The end of the body ends the last event too, and gives it an end of its own."""
        (event,) = parse([b"data: [DONE]"])
        self.assertEqual((event.data, event.raw), (b"[DONE]", b"data: [DONE]\n\n"))

    def test_an_event_over_the_limit_is_refused(self) -> None:
        """What is pending is bounded; whole events below the limit are not counted together."""
        parser = Parser(20)
        self.assertEqual(len(parser.feed(b"data: 1\n\n" * 50)), 50)
        self.assertRaises(EventTooLargeError, parser.feed, b"data: " + b"x" * 20)

    def test_what_we_send(self) -> None:
        """Our own events and comments read back as what was meant."""
        sent = event_bytes(b"{}") + comment_bytes(b"keep-alive") + event_bytes(b"1", b"error")
        self.assertEqual(facts(parse([sent])), [(b"{}", b""), (b"1", b"error")])

    @given(st.lists(st.tuples(LINES, ENDS), max_size=12))
    def test_split_anywhere(self, lines: list[tuple[bytes, bytes]]) -> None:
        """Every stream split at every byte gives the same events."""
        stream = b"".join(line + end for line, end in lines)
        whole = facts(parse([stream]))
        for at in range(len(stream) + 1):
            self.assertEqual(facts(parse([stream[:at], stream[at:]])), whole)
        self.assertEqual(facts(parse([bytes([b]) for b in stream])), whole)

    @given(st.lists(st.binary(max_size=9), max_size=9))
    def test_no_byte_is_lost(self, parts: list[bytes]) -> None:
        """The events' own bytes are the stream's, whatever it is."""
        stream = b"".join(parts)
        raw = b"".join(event.raw for event in parse(parts))
        self.assertTrue(raw.startswith(stream) or stream.startswith(raw))
        self.assertEqual(raw.strip(b"\r\n"), stream.strip(b"\r\n") if raw else b"")


class ManyTests(SynchronousTestCase):
    """What would hold up all others is not looked at."""

    def test_events_at_a_time(self) -> None:
        """As many as may come, and one more."""
        self.assertEqual(len(Parser(100, 3).feed(b":\n\n" * 3)), 3)
        with self.assertRaises(EventTooLargeError):
            Parser(100, 3).feed(b":\n\n" * 4)
        self.assertEqual(len(Parser(100).feed(b":\n\n" * MOST_EVENTS * 2)), MOST_EVENTS * 2)

    def test_lines_of_an_event(self) -> None:
        """As many as may be, and one more."""
        (event,) = Parser(1 << 20).feed(b":\n" * (MOST_LINES - 1) + b"\n")
        self.assertIsNone(event.data)
        with self.assertRaises(EventTooLargeError):
            Parser(1 << 20).feed(b":\r" * MOST_LINES + b"\r")
