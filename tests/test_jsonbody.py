"""
A body changes only where it must.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.errors import DuplicateKey, InvalidJSON
from yallmp.core.jsonbody import Document, apply

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
