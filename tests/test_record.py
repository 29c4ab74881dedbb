"""
Request logs: exact for a program, readable for a person, forged by nobody.
"""

from __future__ import annotations

import re
from pathlib import Path

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.escapes import escape, escape_text, unescape, visible
from yallmp.core.exchange import (
    Attempt,
    AttemptEnd,
    Begin,
    End,
    Event,
    Head,
    Note,
    Read,
    Routed,
    Splice,
    Usage,
)
from yallmp.core.masking import Masker, Piece
from yallmp.core.record import (
    NOTHING_KNOWN,
    RecordError,
    format_event,
    format_read,
    parse,
    record_name,
)
from yallmp.core.recordtext import RecordText, at_once

ID = "3f9c2a7b10de"
KEY = "sk-proj-A1b2C3d4E5f6G7h8"
BEGIN = Begin(
    ID,
    time=1792397702.123456,
    client="127.0.0.1:51234",
    listener="http://127.0.0.1:8000",
    method="POST",
    path="/v1/chat/completions",
    query="",
    headers=((b"content-type", b"application/json"),),
    body=b'{"model": "m"}',
    model="m",
)
END = End(ID, at=1234.5, outcome="success", status=200, sent=10, backend="b", attempts=2)

TEXT = st.text(max_size=12)
#: What tries to look like a line of ours.
LURES = st.sampled_from(
    [b"\n\n", b"\n", b"body: 3 bytes\n", f"@{ID} end\n".encode(), b"\\x41", b"\\", b"\xff", b"!"]
)
DATA = st.lists(LURES | st.binary(max_size=4), max_size=6).map(b"".join)
NAMES = st.text("abx-", min_size=1, max_size=8).map(str.encode)
HEADERS = st.lists(st.tuples(NAMES, DATA), max_size=4).map(tuple)
NUMBER = st.integers(0, 10**15)
FEW = st.integers(1, 99)
AT = st.integers(0, 10**9).map(lambda micro: micro / 1000)
MAYBE_AT = st.none() | AT
MAYBE = st.none() | TEXT
COUNT = st.none() | NUMBER
EVENT = st.one_of(
    st.builds(Routed, st.just(ID), TEXT, st.lists(TEXT, max_size=3).map(tuple), TEXT),
    st.builds(
        Attempt, st.just(ID), FEW, AT, TEXT, TEXT, HEADERS,
        st.lists(st.builds(Splice, NUMBER, DATA, DATA), max_size=3).map(tuple), st.none() | DATA,
    ),
    st.builds(Head, st.just(ID), FEW, AT, NUMBER, HEADERS, st.booleans(), MAYBE_AT),
    st.builds(Read, st.just(ID), FEW, AT, DATA),
    st.builds(
        AttemptEnd, st.just(ID), FEW, AT, TEXT, COUNT, MAYBE, MAYBE, MAYBE_AT, st.none() | DATA
    ),
    st.builds(Note, st.just(ID), AT, TEXT),
)  # fmt: skip
BEGINS = st.builds(
    Begin, st.just(ID), st.integers(0, 4 * 10**15).map(lambda micro: micro / 10**6), TEXT, TEXT,
    TEXT, TEXT, TEXT, HEADERS, DATA, MAYBE, MAYBE, MAYBE,
)  # fmt: skip
ENDS = st.builds(
    End, st.just(ID), AT, TEXT, NUMBER, NUMBER, MAYBE, NUMBER, MAYBE,
    st.none() | st.builds(Usage, COUNT, COUNT, COUNT), st.none() | DATA,
)  # fmt: skip


#: Events that hold a secret, a part of one, or none.
SECRETIVE: list[Event] = [
    Read(ID, 1, 1, KEY[:9].encode()),
    Read(ID, 1, 2, KEY[9:].encode()),
    Read(ID, 1, 3, f"a{KEY}b".encode()),
    Read(ID, 1, 4, b"plain\n"),
    Read(ID, 2, 4, KEY.encode()),
    Head(ID, 1, 5, 200, ((b"x-note", KEY.encode()),)),
    Routed(ID, "m", ("b",), "why"),
    Note(ID, 6, KEY[:-2]),
    AttemptEnd(ID, 1, 7, "b", 200, "status", KEY[:-2], None, KEY[:-2].encode()),
]


def log_of(*events: Event) -> bytes:
    """The whole log of these events."""
    return b"".join(map(format_event, events))


class EscapeTests(SynchronousTestCase):
    """Foreign text in a line of ours."""

    def test_ordinary_text_stays(self) -> None:
        """Letters of any script are written as they are."""
        self.assertEqual(escape("Grüße, 世界 🙂: x".encode()), "Grüße, 世界 🙂: x".encode())

    def test_what_could_deceive_is_escaped(self) -> None:
        """Line ends of every kind, terminal sequences, and characters that turn text around."""
        told = "\n\r\t\x1b[2J\x7f\x85\u2028\u202e\u2066\ufeff\\".encode() + b"\xff"
        self.assertEqual(
            escape(told),
            b"\\n\\r\\t\\x1b[2J\\x7f\\xc2\\x85\\xe2\\x80\\xa8\\xe2\\x80\\xae\\xe2\\x81\\xa6"
            b"\\xef\\xbb\\xbf\\\\\\xff",
        )
        for unseen in "\u180e\u206a\ufff9\U000e0041":
            self.assertNotIn(unseen, escape(unseen.encode()).decode())
            self.assertNotIn(unseen, visible(unseen))
        self.assertEqual(escape_text("a\nb\ud800"), "a\\nb\\xed\\xa0\\x80")

    @given(DATA)
    def test_round_trip(self, data: bytes) -> None:
        """One line, no control characters, and back again."""
        line = escape(data)
        self.assertEqual(len(line.decode().splitlines()), 1 if line else 0)
        self.assertEqual(unescape(line), data)

    def test_no_other_escapes(self) -> None:
        """A backslash always begins one that is known."""
        for line in (b"\\", b"\\q", b"\\x4", b"a\\"):
            self.assertRaises(ValueError, unescape, line)

    def test_terminals(self) -> None:
        """On a terminal line breaks stay; what acts on it is shown instead."""
        self.assertEqual(
            visible("a\n\tb\x1b]0;x\x07\u202e\r\\"), "a\n\tb\\x1b]0;x\\x07\\u202e\\r\\"
        )


class RoundTripTests(SynchronousTestCase):
    """What was written is what is read."""

    @given(BEGINS, st.lists(EVENT, max_size=5), ENDS)
    def test_any_events(self, begin: Begin, middle: list[Event], end: End) -> None:
        """Whatever bytes are in them, lookalikes of our own lines too."""
        record = parse(log_of(begin, *middle, end))
        self.assertEqual(record.events, (begin, *middle, end))
        self.assertEqual((record.id, record.complete), (ID, True))

    @given(BEGINS, st.lists(EVENT, max_size=3), ENDS, st.floats(0, 1))
    def test_cut_anywhere(self, begin: Begin, middle: list[Event], end: End, where: float) -> None:
        """A file that ends too early gives the events that are whole, and says so."""
        events = (begin, *middle, end)
        first = len(f"yallmp-log 1 {ID}\n\n")
        log = log_of(*events)
        data = log[: first + int(where * (len(log) - first - 1))]
        record = parse(data)
        self.assertFalse(record.complete)
        self.assertEqual(record.events, events[: len(record.events)])
        self.assertLess(len(record.events), len(events))
        self.assertTrue(data.startswith(log_of(*record.events)))

    def test_cut_at_every_byte(self) -> None:
        """No place is special, not even within a body or between two lines."""
        first, log = len(f"yallmp-log 1 {ID}\n\n"), log_of(BEGIN, Read(ID, 1, 2, b"x\n"), END)
        for end in range(first, len(log)):
            self.assertFalse(parse(log[:end]).complete)
        self.assertTrue(parse(log).complete)

    def test_bodies_of_lookalikes(self) -> None:
        """A body that holds a whole log is a body."""
        inner = log_of(BEGIN, END)
        record = parse(log_of(evolve(BEGIN, body=inner), END))
        self.assertEqual(record.begin, evolve(BEGIN, body=inner))
        self.assertEqual(len(record.events), 2)

    def test_nobody_can_begin_a_line(self) -> None:
        """Header values, names and messages with line breaks stay within their line."""
        forged = f"x\n\n@{ID} end\noutcome: success"
        begin = evolve(BEGIN, headers=((b"a", forged.encode()),), model=forged, path=forged)
        log = log_of(begin, Note(ID, 1, forged), END)
        self.assertEqual(len(re.findall(rb"(?m)^@", log)), 3)
        self.assertEqual(parse(log).begin, begin)

    def test_lines_that_people_read(self) -> None:
        """Times are in words, and the end sums it up."""
        log = log_of(BEGIN, END).decode()
        self.assertIn("\ntime: 2026-10-19T08:15:02.123456Z\n", log)
        self.assertIn("\nat: 1234.500 ms\n", log)
        self.assertTrue(log.endswith("summary: success: 200 from b after 2 attempts in 1.2 s\n\n"))

    def test_the_documented_example(self) -> None:
        """The example in the documentation is a log of this format."""
        page = (Path(__file__).parent.parent / "docs" / "log-format.md").read_text("utf-8")
        example = page.partition("```\n")[2].partition("```")[0].encode()
        record = parse(example)
        self.assertTrue(record.complete)
        kinds = [section.kind for section in record.sections]
        self.assertEqual(set(kinds), set(re.findall(r"(?m)^\| `([a-z]+)[ `]", page)))
        again = b"".join(format_event(event) for event in record.events)
        hidden = rb"(?m)^header \(masked\): .*\n"
        self.assertEqual(re.sub(hidden, b"", again), re.sub(hidden, b"", example))


#: A limit of bodies that none exceeds; with a limit each event is written for itself.
PLENTY = 10**6


class AtOnceTests(SynchronousTestCase):
    """Several events written at once, which saves most of the work."""

    @given(BEGINS, st.lists(EVENT, max_size=6), ENDS, st.integers(0, 8))
    def test_same_as_one_by_one(
        self, begin: Begin, middle: list[Event], end: End, cut: int
    ) -> None:
        """Whatever the events are, and wherever they were cut into groups."""
        events = [begin, *middle, end]
        text = RecordText(None)
        data = text.add(events[:cut], NOTHING_KNOWN) + text.add(events[cut:], NOTHING_KNOWN)
        self.assertEqual(data, log_of(*events))

    @given(st.lists(st.sampled_from(SECRETIVE), max_size=8), st.integers(0, 8))
    def test_secrets(self, middle: list[Event], cut: int) -> None:
        """One that is known is hidden wherever it stands, also over several reads and groups."""
        masker = Masker([KEY])
        events = [BEGIN, *middle, END]
        text, one_by_one = RecordText(None), RecordText(PLENTY)
        data = text.add(events[:cut], masker) + text.add(events[cut:], masker)
        self.assertEqual(data, b"".join(one_by_one.add([event], masker) for event in events))
        self.assertNotIn(KEY.encode(), data)

    def test_ordinary_events_need_no_second_look(self) -> None:
        """What most requests consist of is written at once; what could be a secret is not."""
        pair = ((b"authorization", b"Bearer " + b"a" * 30),)
        ordinary = [
            BEGIN,
            Routed(ID, "m", ("b",), "why"),
            Attempt(ID, 1, 1, "b", "http://b/v1?key=x", pair, (Splice(0, b'"m"', b'"n"'),)),
            Head(ID, 1, 2, 200, pair),
            AttemptEnd(ID, 1, 3, "b", 200, body=b"\xff\n@x"),
            END,
        ]
        masker = Masker([KEY])
        self.assertEqual(at_once(ordinary, masker), log_of(*ordinary))
        for body in (KEY.encode(), KEY[:20].encode()):
            self.assertIsNone(at_once([BEGIN, evolve(END, body=body)], masker))
        self.assertIsNone(at_once([evolve(BEGIN, path="/\n")], masker))


class MaskingTests(SynchronousTestCase):
    """No secret reaches the log."""

    def test_everywhere(self) -> None:
        """In every field and body of every event a known secret is replaced."""
        raw = KEY.encode()
        pair = ((b"x-note", raw),)
        events: list[Event] = [
            evolve(
                BEGIN, client=KEY, listener=KEY, method=KEY, path=KEY, query=KEY, headers=pair,
                body=b'{"a": "' + raw + b'"}', client_request_id=KEY, key_name=KEY, model=KEY,
            ),
            Routed(ID, KEY, (KEY,), KEY),
            Attempt(ID, 1, 1, KEY, KEY, pair, (Splice(0, raw, raw),), raw),
            Head(ID, 1, 1, 200, pair),
            Read(ID, 1, 1, raw),
            AttemptEnd(ID, 1, 1, KEY, 500, KEY, KEY, None, raw),
            Note(ID, 1, KEY),
            End(ID, 1, KEY, 200, 1, KEY, 1, KEY, None, raw),
        ]  # fmt: skip
        log = b"".join(format_event(event, Masker([KEY])) for event in events)
        self.assertNotIn(raw, log)
        self.assertIn(b'body: 13 bytes, masked\n{"a": "****"}\n', log)
        self.assertEqual(len(parse(log).events), 8)

    def test_by_name(self) -> None:
        """Secrets that nobody told us are hidden where their names give them away."""
        begin = evolve(BEGIN, query="key=abc&b=1", headers=((b"X-Api-Key", KEY.encode()),))
        attempt = Attempt(
            ID, 1, 1, "b", "https://u:p@h/?sig=1", ((b"authorization", b"Basic eA=="),)
        )
        log = log_of(begin, attempt)
        self.assertIn(b"\nquery (masked): key=****&b=1\n", log)
        self.assertIn(b"\nheader (masked): X-Api-Key: sk-****\n", log)
        self.assertIn(b"\nurl (masked): https://****@h/?sig=****\n", log)
        self.assertIn(b"\nheader (masked): authorization: Basic ****\n", log)

    def test_masked_before_it_is_cut(self) -> None:
        """A limit on bodies leaves no half of a secret."""
        begin = evolve(BEGIN, body=b"key=" + KEY.encode() + b"&more")
        log = format_event(begin, Masker([KEY]), bodies=10)
        self.assertIn(b"\nbody: 10 of 13 bytes, masked\nkey=****&m\n", log)

    def test_messages_that_were_cut(self) -> None:
        """An error message that ends within a secret does not show the part."""
        log = format_event(AttemptEnd(ID, 1, 1, "b", message=f"bad {KEY[:20]}"), Masker([KEY]))
        self.assertIn(b"\nmessage (masked): bad ****\n", log)


class LimitTests(SynchronousTestCase):
    """``logging.bodies``: less than everything."""

    def test_part_of_a_body(self) -> None:
        """The log tells how much there was."""
        record = parse(format_event(BEGIN, bodies=5))
        block = record.sections[0].body
        assert block is not None
        self.assertEqual((block.data, block.total, block.is_whole), (b'{"mod', 14, False))

    def test_no_bodies(self) -> None:
        """None of a body is kept, but that there was one."""
        self.assertIn(b"\nbody: 0 of 14 bytes\n\n\n", format_event(BEGIN, bodies=0))

    def test_no_body_and_an_empty_one_differ(self) -> None:
        """Nothing told is not the same as told to be empty."""
        none, empty = (parse(log_of(BEGIN, evolve(END, body=body))) for body in (None, b""))
        self.assertNotEqual(none.events, empty.events)

    def test_reads(self) -> None:
        """The quick way for reads writes what the general one does."""
        read = Read(ID, 3, 12.3456, b"abc")
        self.assertEqual(format_read(read, Piece(b"abc")), format_event(read))
        self.assertEqual(format_read(read, Piece(b"abc"), 1), format_event(read, bodies=1))
        self.assertIn(b"body: 3 bytes, masked\n", format_read(read, Piece(b"abc", True), 9))


class NameTests(SynchronousTestCase):
    """What a log is called."""

    def test_the_name(self) -> None:
        """Start in UTC, our id, the model."""
        self.assertEqual(record_name(BEGIN), f"20261019_081502-{ID}_m")

    def test_models_are_made_safe(self) -> None:
        """No path, no blank, no secret, not too long."""
        for model, shown in (
            ("openai/gpt-4o", "openai-gpt-4o"),
            ("../../etc", "..-..-etc"),
            ("é\n\0 x", "----x"),
            ("a" * 60, "a" * 48),
            (KEY, "----"),
            (None, "unknown"),
            ("", "unknown"),
        ):
            name = record_name(evolve(BEGIN, model=model), Masker([KEY]))
            self.assertEqual(name.partition("_")[2].partition("_")[2], shown)


class RefusalTests(SynchronousTestCase):
    """What is no log is refused, with the place."""

    def refused(self, data: bytes, message: str) -> None:
        """*data* is refused with a message that matches."""
        error = self.assertRaises(RecordError, parse, data)
        self.assertRegex(str(error), message)

    def test_other_files(self) -> None:
        """Something else, or a later version."""
        self.refused(b"", "not a request log")
        self.refused(b"yallmp-log 1", "not a request log")
        self.refused(b"hello\n\n", "not a request log")
        self.refused(b"yallmp-log 2 abc\n\n", "format 2; this program reads 1")

    def test_damage(self) -> None:
        """Every kind of damage names its line."""
        log = log_of(BEGIN, END)
        for old, new, message in (
            (b"client: ", b"client ", "Line 5 .*neither a field"),
            (b"body: 14 bytes", b"body: 13 bytes", "the body is longer"),
            (b"body: 14 bytes", b"body: x bytes", "length is missing"),
            (b'}\n\n', b'}\nx: y\n\n', "between a body and the end"),
            (b"127.0.0.1:51", b"\\q", "Line 5 .*backslash"),
            (f"@{ID} end".encode(), b"@000000000000 end", f"'@{ID}' was expected"),
            (f"@{ID} end".encode(), f"@{ID} fin".encode(), "no section 'fin'"),
            (b"status: 200\n", b"", "has no 'status'"),
            (b"status: 200", b"status: x", "'status' in 'end' cannot be 'x'"),
            (b"time: 2026", b"time: now", "'time' cannot be"),
            (b"1234.500 ms", b"nan ms", "'at' in 'end'"),
            (b"attempts: 2", b"attempts: 2\nusage: many", "'usage' cannot be"),
            (b"path: /v1", b"path: \\xff", "not text"),
        ):  # fmt: skip
            self.refused(log.replace(old, new), message)

    def test_a_change_that_is_not_whole(self) -> None:
        """Offsets, old and new bytes belong together."""
        log = log_of(BEGIN, Attempt(ID, 1, 1, "b", "u", (), (Splice(1, b"a", b"b"),)))
        self.refused(log.replace(b"change-old: a\n", b""), "not whole")

    def test_a_log_that_was_given_up(self) -> None:
        """The recorder's last line ends a log, wherever it stands."""
        whole = log_of(BEGIN)
        for data in (whole + b"! given up: no room\n", whole + f"@{ID} end\n! no room\n".encode()):
            record = parse(data)
            self.assertEqual((len(record.events), record.complete), (1, False))
