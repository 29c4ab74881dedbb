"""
A body changes only where it must.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core import jsonbody
from yallmp.core.errors import DuplicateKey, InvalidJSON, RequestFault
from yallmp.core.jsonbody import LONG, Document, apply
from yallmp.core.jsontext import MAX_DEPTH, places_in, value_of
from yallmp.core.nesting import is_deeper, looks_deeper
from yallmp.core.work import LARGE

KEYS = st.sampled_from(["model", "thinking", "n", "é", "a\n", "messages", "x"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=6)
LAYOUTS = st.sampled_from([None, 1, "\t"])


def edit(body: bytes, changes: dict[str, str], drop: tuple[str, ...] = ()) -> bytes:
    """*body* after the changes."""
    return apply(body, Document.parse(body).splices(changes, drop))


class EditingTests(SynchronousTestCase):
    """Changes keep every other byte."""

    def test_only_the_value_changes(self) -> None:
        """White space, the order of keys, escapes and number spellings stay."""
        body = b'\n{ "a" : 1.0e0,\t"model":"x" , "b":"\\u00e9\xc3\xa9" }  '
        self.assertEqual(
            edit(body, {"model": '"yy"'}),
            b'\n{ "a" : 1.0e0,\t"model":"yy" , "b":"\\u00e9\xc3\xa9" }  ',
        )

    def test_offsets_are_bytes(self) -> None:
        """A splice's offset counts bytes, also behind characters of several bytes."""
        body = '{"é€😀": 1, "model": "x"}'.encode()
        (splice,) = Document.parse(body).splices({"model": '"z"'})
        self.assertEqual(body[splice.offset : splice.offset + 3], b'"x"')
        self.assertEqual(splice.old, b'"x"')

    def test_a_new_key_goes_to_the_end(self) -> None:
        """What was not there is added behind the last member."""
        self.assertEqual(edit(b'{"a": 1}', {"b": "2"}), b'{"a": 1, "b": 2}')
        self.assertEqual(edit(b"{ }", {"b": "2"}), b'{"b": 2 }')

    def test_nothing_to_change_is_no_splice(self) -> None:
        """Without changes there are no splices at all."""
        self.assertEqual(Document.parse(b'{"a": 1}').splices({}, ["zzz"]), ())

    @given(OBJECTS, OBJECTS, st.sets(KEYS), LAYOUTS, st.booleans())
    def test_means_what_a_dictionary_would(
        self,
        given_: dict[str, Any],
        changes: dict[str, Any],
        drop: set[str],
        indent: Any,
        ascii_: bool,
    ) -> None:
        """Parsing the edited body gives what editing the parsed body gives."""
        body = json.dumps(given_, indent=indent, ensure_ascii=ascii_).encode()
        edited = edit(body, {k: json.dumps(v) for k, v in changes.items()}, tuple(drop))
        added = {k: v for k, v in changes.items() if k not in given_}
        kept = {k: changes.get(k, v) for k, v in given_.items() if k not in drop}
        self.assertEqual(json.loads(edited), {**kept, **added})
        self.assertEqual(list(json.loads(edited)), [*kept, *added])

    @given(OBJECTS, OBJECTS, st.sets(KEYS))
    def test_splices_tell_old_and_new(
        self, given_: dict[str, Any], changes: dict[str, Any], drop: set[str]
    ) -> None:
        """Each splice names bytes that really stand there, in order, without overlap."""
        body = json.dumps(given_, ensure_ascii=False).encode()
        done = 0
        for splice in Document.parse(body).splices(
            {k: json.dumps(v) for k, v in changes.items()}, drop
        ):
            self.assertGreaterEqual(splice.offset, done)
            done = splice.offset + len(splice.old)
            self.assertEqual(body[splice.offset : done], splice.old)


class RefusalTests(SynchronousTestCase):
    """What is not one JSON object is refused, and the message says why."""

    def refused(self, body: bytes, message: str) -> None:
        """*body* is refused with a message that contains *message*."""
        error = self.assertRaises(InvalidJSON, Document.parse, body)
        self.assertIn(message, error.message)

    def test_not_json(self) -> None:
        """Broken JSON of every kind."""
        for body in (
            b"", b" ", b"{", b'{"a"', b'{"a":', b'{"a":1', b'{"a":1,', b'{"a":1,}', b"{a:1}",
            b'{"a" 1}', b"nope", b'{"a":01}', b'{"a":"\n"}', b"\xef\xbb\xbf{}", b'{"a":1 "b":2}',
        ):  # fmt: skip
            self.refused(body, "not valid JSON")

    def test_not_an_object(self) -> None:
        """Valid JSON that is not an object."""
        for body in (b"[]", b"1", b'"a"', b"null"):
            self.refused(body, "not an object")

    def test_more_than_one_value(self) -> None:
        """Something after the object."""
        self.refused(b"{} {}", "goes on")

    def test_not_utf8(self) -> None:
        """The place of the first bad byte is told."""
        self.refused(b'{"a": "\xff"}', "not UTF-8 (at byte 7)")

    def test_nan_and_infinity(self) -> None:
        """Python would read them; JSON does not have them."""
        for word in (b"NaN", b"Infinity", b"-Infinity"):
            self.refused(b'{"a": [%s]}' % word, "which JSON does not have")

    def test_depth(self) -> None:
        """64 levels are read, 65 are not, nor any number more."""
        for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
            inner = 1 if opening == b"[" else 2
            body = b'{"a":' + opening * 63 + b"1" * (inner > 1) + closing * 63 + b"}"
            Document.parse(body)
            for more in (64, 2_000, 200_000):
                self.refused(
                    b'{"a":' + opening * more + b"1" + closing * more + b"}", "nested deeper"
                )

    def test_brackets_in_strings_are_not_depth(self) -> None:
        """A text full of brackets is not nested."""
        Document.parse(b'{"a": "%s"}' % (b"[{" * 500))

    def test_broken_nesting_is_broken_json(self) -> None:
        """Brackets that do not match, of any number, and strings that do not end."""
        for body in (
            b'{"a":' + b"[" * 60,
            b'{"a":' + b"]" * 70,
            b"{" + b'"\\' * 90,
        ):
            self.refused(body, "not valid JSON")

    def test_deep_and_wide(self) -> None:
        """64 levels everywhere pass, one place with 65 does not."""
        level = b"[" * 62 + b"]" * 62
        wide = b",".join([level] * 200)
        Document.parse(b'{"a":[%s]}' % wide)
        self.refused(b'{"a":[%s,[%s]]}' % (wide, level), "nested deeper")
        self.refused(b'{"a":%s%s}' % (b"[[]," * 80 + b"1", b"]" * 80), "nested deeper")

    def test_a_thousand_keys(self) -> None:
        """More than any API has are refused before they cost anything."""
        keys = [b'"k%d":1' % number for number in range(1001)]
        Document.parse(b"{%s}" % b",".join(keys[:1000]))
        self.refused(b"{%s}" % b",".join(keys), "more than 1000 keys")

    def test_numbers_too_long_for_python(self) -> None:
        """A number of thousands of digits is read as its text, and its bytes stay."""
        body = b'{"a": %b, "b": [-%b], "c": 1}' % (b"1" * 5000, b"2" * 5000)
        document = Document.parse(body)
        self.assertEqual(document.get("a"), "1" * 5000)
        self.assertEqual(document.get("b"), ["-" + "2" * 5000])
        changed = apply(body, document.splices({"c": "2"}))
        self.assertEqual(changed, body[:-2] + b"2}")
        self.refused(body[:-1], "not valid JSON")

    def test_duplicate_keys(self) -> None:
        """A key that stands twice is named, also when spelt differently."""
        error = self.assertRaises(DuplicateKey, Document.parse, b'{"model":1,"m\\u006fdel":2}')
        self.assertEqual((error.code, error.param), ("duplicate_key", "model"))


#: What breaks JSON, or is odd in it; put in anywhere.
PIECES = st.sampled_from(
    [
        b"{", b"}", b"[", b"]", b'"', b"\\", b",", b":", b" ", b"\n", b"\x0c", b"\x00", b"\xa0",
        b"\xff", b"\xc3\xa9", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"0", b"-", b".", b"e5", b"1e400",
        b"NaN", b"-Infinity", b"true", b"nul", b"\\u0061", b"\\ud800", b"\\ud83d\\ude00", b"\\x",
        b'"model":1', b',"x":2', b"9" * 40, b"[[[[", b"]]]]", b" " * 40, b'"n":"n"',
    ]
)  # fmt: skip
NUMBERS = st.sampled_from(["1.0", "-0", "1e5", "1E+400", "-1.5e-400", "9" * 30, "9" * 5000])
SPACE = st.text(" \t\n\r", max_size=2)


@st.composite
def texts(draw: st.DrawFn, depth: int = 2) -> str:
    """The text of some JSON value, spelt in any way."""
    leaves = NUMBERS | VALUES.map(lambda value: json.dumps(value, ensure_ascii=False))
    if depth == 0 or draw(st.booleans()):
        return draw(leaves | st.sampled_from(['"\\ud800"', '"[{\\"a\\":"', '"\\u00e9\\/"']))
    if draw(st.booleans()):
        return draw(objects(depth - 1))
    comma = f"{draw(SPACE)},{draw(SPACE)}"
    return f"[{draw(SPACE)}{comma.join(draw(st.lists(texts(depth - 1), max_size=3)))}]"


@st.composite
def objects(draw: st.DrawFn, depth: int = 2) -> str:
    """The text of a JSON object; its keys may stand twice, or have escapes."""
    members = []
    for key in draw(st.lists(KEYS, max_size=5, unique=draw(st.booleans()))):
        name = json.dumps(key, ensure_ascii=draw(st.booleans()))
        members.append(f"{name}{draw(SPACE)}:{draw(SPACE)}{draw(texts(depth))}")
    comma = f"{draw(SPACE)},{draw(SPACE)}"
    return f"{draw(SPACE)}{{{draw(SPACE)}{comma.join(members)}{draw(SPACE)}}}{draw(SPACE)}"


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """An object with bytes put in, taken out or changed."""
    body = draw(objects()).encode()
    for piece in draw(st.lists(PIECES | st.binary(max_size=1), max_size=3)):
        at = draw(st.integers(0, len(body)))
        body = body[:at] + piece + body[at + draw(st.integers(0, 4)) :]
    return body


class TwoWaysTests(SynchronousTestCase):
    """The quick way to read a body and the patient one agree."""

    def agree(self, body: bytes) -> None:
        """Both find the same members, or the same fault."""
        try:
            places, open_at = places_in(body)
        except RequestFault as fault:
            error = self.assertRaises(type(fault), Document.parse, body)
            told = (error.message, error.code, error.param)
            self.assertEqual(told, (fault.message, fault.code, fault.param))
            return
        document = Document.parse(body)
        self.assertEqual((document.places, document.open_at), (places, open_at))
        self.assertEqual(list(document.places), list(places))
        for key, (start, end) in places.items():
            value = value_of(body[start:end])
            self.assertEqual(repr(document.get(key)), repr(value))
            self.assertEqual(document.has_items(key), isinstance(value, list) and value != [])

    @given(objects())
    def test_any_object(self, text: str) -> None:
        """Values, and where they stand."""
        self.agree(text.encode())

    @given(mutated())
    def test_anything(self, body: bytes) -> None:
        """What is broken is broken for both, in the same place."""
        self.agree(body)

    def test_a_value_that_could_stand_elsewhere(self) -> None:
        """A key that stands twice is found whatever the values between look like."""
        for body in (
            b'{"a":1,"a":1}',
            b'{"a":1,"b":1,"a":1}',
            b'{"a":[{"b":1}],"b":1}, "a":[{"b":1}]}',
            b'{"a":"x","b":2,"a":{"x":"x" , "b":2}}',
            b'{"a":[1],"b":[1],"a" : [1]}',
            b'{"a":1,"b":2,"a":12}',
            b'{"a":1,"a":1,"b":1}',
            b'{"a":1,"b":10,"a":{"x":1,      "b":1}}',
        ):
            self.agree(body)
            self.assertRaises(RequestFault, Document.parse, body)

    def test_nothing_is_built_of_what_is_usual(self) -> None:
        """Ordinary bodies, with tools and texts full of brackets too, go the quick way."""
        self.patch(jsonbody, "places_in", None)
        tool = {"function": {"parameters": {"properties": {"a": {"enum": [1]}, "b": {}}}}}
        for value in (
            {},
            {"model": "m", "messages": [{"role": "user", "content": "é\n"}], "stream": True},
            {"tools": [tool] * 30},
            {"messages": [{"content": "[{" * 500}], "n": 1},
            {"messages": [{"content": [{"type": "text", "text": "[{" * 500}]}], "n": 1},
            {"prompt": "[{" * 500},
        ):
            for spelt in (json.dumps(value), json.dumps(value, indent=1, ensure_ascii=False)):
                self.assertEqual(list(Document.parse(spelt.encode()).places), list(value))

    def test_blanks_without_end(self) -> None:
        """Neither blanks nor a long key make the walk start over and over."""
        blanks = b" " * 200_000
        self.agree(b'{"a":1%b,"\\u0062":1}' % blanks)
        self.agree(b'{"a":1,%b"\\u0062":1}' % blanks)
        self.agree(b'{"a":1,"%b\\n":1}' % blanks)
        self.agree(b'{"a":1,"b":[%b]%b}' % (blanks, blanks))


def levels(value: Any) -> int:
    """How deep *value* is nested."""
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(levels, value), default=0) if isinstance(value, list) else 0


class NestingTests(SynchronousTestCase):
    """How deep a value is nested, by its text alone."""

    @given(VALUES, st.integers(0, 8), st.integers(0, 3), st.sampled_from([None, 1]))
    def test_agrees_with_counting(self, value: Any, most: int, cuts: int, indent: Any) -> None:
        """As deep as the value is, however it is found out."""
        for _ in range(most):
            value = [1, {"a": value, "b": "[{"}]
        text = json.dumps(value, indent=indent).encode()
        for limit in range(12):
            deeper = levels(value) > limit
            self.assertEqual(is_deeper(text, limit, cuts), deeper)
            self.assertEqual(looks_deeper(text, limit), deeper)

    def test_what_stands_behind_a_key_that_stands_twice(self) -> None:
        """It counts, though a parser would leave it out."""
        for levels_more in (70, 200, 900):
            deep = "[" * levels_more + "]" * levels_more
            for text in ('{"a":%s,"a":1}', '[{"a":%s,"a":1}]', '[[{"a":%s,"a":1}]]'):
                self.assertTrue(is_deeper((text % deep).encode(), 64), text)
                body = b'{"model":"m","messages":[1],"x":' + (text % deep).encode() + b"}"
                self.assertRaises(InvalidJSON, Document.parse, body)

    def test_a_deep_place_anywhere(self) -> None:
        """One place that is too deep is found among many that are not."""
        for deep in (MAX_DEPTH, MAX_DEPTH + 1):
            inner = b"[" * (deep - 5) + b"]" * (deep - 5)
            for around in (b'{"a":[{"b":{"c":[%b]}}]}', b'{"a":[1,[[{"b":%b}]]]}'):
                wide = b'{"z":"[[","y":[{}],"x":[%b]}' % b",".join([b'{"a":["[]"]}'] * 50)
                body = (around % inner)[:-1] + b',"w":' + wide + b"}"
                if deep > MAX_DEPTH:
                    self.assertRaises(InvalidJSON, Document.parse, body)
                else:
                    Document.parse(body)


class GlanceTests(SynchronousTestCase):
    """Values that are looked at in passing."""

    def test_a_long_value_is_only_known_to_be_there(self) -> None:
        """At the limit it is read."""
        text = "x" * (LARGE - 2)
        document = Document.parse(json.dumps({"a": text, "b": text + "x", "c": None}).encode())
        self.assertEqual(document.glance("a"), text)
        self.assertIs(document.glance("b"), LONG)
        self.assertIsNone(document.glance("c"))
        self.assertIsNone(document.glance("d"))
