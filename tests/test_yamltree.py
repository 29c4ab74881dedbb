"""What a file looks like as a tree with lines, and what is refused."""

from __future__ import annotations

import yaml
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.config.findings import ConfigError, Problem
from yallmp.core.config.yamltree import Map, Node, Scalar, Seq, compose, from_json, scalar_value


def tree(text: str) -> Map:
    """The tree of a file that has nothing wrong with it."""
    problems: list[Problem] = []
    found = compose(text, "c.yaml", problems)
    assert not problems, problems
    return found


def problems_of(text: str) -> list[str]:
    """Everything that is wrong with a file."""
    problems: list[Problem] = []
    try:
        compose(text, "c.yaml", problems)
    except ConfigError as error:
        problems += error.problems
    return [str(problem) for problem in problems]


def at(node: Node, *keys: str) -> Scalar:
    """The scalar under *keys*."""
    for key in keys:
        assert isinstance(node, Map)
        found = node.get(key)
        assert found is not None, key
        node = found
    assert isinstance(node, Scalar)
    return node


def plain(node: Node) -> object:
    """A tree as Python's own values."""
    if isinstance(node, Map):
        return {key: plain(value) for key, value in node.items}
    if isinstance(node, Seq):
        return [plain(item) for item in node.items]
    assert isinstance(node, Scalar)
    return node.value


class PlaceTests(SynchronousTestCase):
    """Everything knows where it stands."""

    def test_lines_are_those_of_the_keys(self) -> None:
        """A value is found where its key is, an item where it begins."""
        found = tree("a:\n  b:\n    - 1\n    -\n      c: x\n")
        a = found.get("a")
        assert isinstance(a, Map)
        b = a.get("b")
        assert isinstance(b, Seq)
        self.assertEqual((a.line, b.line), (1, 2))
        self.assertEqual(
            [(item.path, item.line) for item in b.items], [("a.b[0]", 3), ("a.b[1]", 5)]
        )

    def test_words_keep_their_text(self) -> None:
        """What YAML makes a number, a boolean or a date of is still there as written."""
        found = tree("a: off\nb: 1_000\nc: 2024-02-01\nd: '5'\n")
        self.assertEqual((at(found, "a").value, at(found, "a").source), (False, "off"))
        self.assertEqual((at(found, "b").value, at(found, "b").source), (1000, "1_000"))
        self.assertEqual(at(found, "c").value, "2024-02-01")
        self.assertEqual((at(found, "d").value, at(found, "d").source), ("5", None))

    def test_keys_are_words(self) -> None:
        """A key that YAML would make a boolean or number of is text."""
        self.assertEqual(plain(tree("off: 1\n3: 2\n")), {"off": 1, "3": 2})


class AliasTests(SynchronousTestCase):
    """Anchors, aliases and merges."""

    def test_merge(self) -> None:
        """``<<`` brings in what is not there itself."""
        found = tree("a: &a {x: 1, y: 2}\nb:\n  y: 3\n  <<: *a\n")
        self.assertEqual(plain(found), {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}})

    def test_merge_of_several(self) -> None:
        """Of several mappings the first counts."""
        found = tree("a: &a {x: 1}\nb: &b {x: 2, y: 2}\nc: {<<: [*a, *b]}\n")
        self.assertEqual(plain(found.items[2][1]), {"x": 1, "y": 2})

    def test_merge_of_no_mapping(self) -> None:
        """Only mappings can be merged."""
        self.assertEqual(
            problems_of("a: &a 1\nb: {<<: *a}\n"), ["c.yaml:2: b: << takes a mapping (*name)"]
        )

    def test_bomb(self) -> None:
        """A few lines that mean millions of nodes are refused at once."""
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
        self.assertIn("aliases (*name) make too much of it", problems_of("\n".join(lines))[0])

    def test_recursion(self) -> None:
        """Something that contains itself is refused."""
        self.assertIn("aliases (*name) make too much of it", problems_of("a: &a [*a]\n")[0])


class RefusalTests(SynchronousTestCase):
    """What would surprise is a problem with a line."""

    def test_duplicate_keys(self) -> None:
        """All of them, with the line of the first."""
        self.assertEqual(
            problems_of("a: 1\nb: {c: 1}\na: 2\nd:\n  e: 1\n  e: 2\n"),
            [
                "c.yaml:3: a: stands twice, first in line 1",
                "c.yaml:6: d.e: stands twice, first in line 5",
            ],
        )

    def test_no_yaml(self) -> None:
        """The parser's words, with the line."""
        self.assertEqual(
            problems_of("a: 1\nb: c: d\n"),
            ["c.yaml:2: not YAML: mapping values are not allowed here"],
        )
        self.assertIn("not tabs", problems_of("a:\n\t- b\n")[0])
        self.assertEqual(
            problems_of("a: 1\nb: '\x01'\n"),
            ["c.yaml:2: the character '\\x01' is not allowed in YAML"],
        )

    def test_no_mapping(self) -> None:
        """Nothing, a list, and two documents."""
        self.assertEqual(problems_of("# nothing\n"), ["c.yaml: there is nothing in it"])
        self.assertEqual(problems_of("null\n"), ["c.yaml: there is nothing in it"])
        self.assertEqual(problems_of("[a]"), ["c.yaml:1: it must be a mapping (model_list: …)"])
        self.assertIn(
            "c.yaml:2: not YAML: expected a single document", problems_of("a: 1\n---\nb: 2\n")[0]
        )

    def test_tags(self) -> None:
        """No tag does anything."""
        text = "a: !!python/object/apply:os.system [id]\nb: !env X\n"
        self.assertEqual(
            [problem.rpartition(": ")[2] for problem in problems_of(text)],
            [
                "the tag !!python/object/apply:os.system is not known here",
                "the tag !env is not known here",
            ],
        )

    def test_complex_keys(self) -> None:
        """A key is text."""
        self.assertEqual(problems_of("? [a]\n: 1\n"), ["c.yaml:1: a key must be text"])

    def test_depth(self) -> None:
        """Deep nesting ends before Python's stack does."""
        self.assertIn("nested deeper than 40 levels", problems_of("[" * 5000)[0])


class ValueTests(SynchronousTestCase):
    """Values that came as text."""

    def test_scalars(self) -> None:
        """As YAML reads them; a date stays text."""
        texts = ["false", " 3 ", "3.5", "", "abc", "2024-01-01", "0b"]
        self.assertEqual(
            [scalar_value(text) for text in texts],
            [False, 3, 3.5, None, "abc", "2024-01-01", "0b"],
        )

    def test_json(self) -> None:
        """JSON becomes the same tree, without lines and beyond doubt."""
        found = from_json({"a": [1, {"b": None}], "c": "off"}, "params")
        self.assertEqual(plain(found), {"a": [1, {"b": None}], "c": "off"})
        self.assertEqual(at(found, "c"), Scalar("params.c", None, "off"))
        self.assertRaises(TypeError, from_json, {"a": b"x"}, "params")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


class PropertyTests(SynchronousTestCase):
    """What holds for every file."""

    @given(st.dictionaries(st.text(), VALUES, min_size=1, max_size=4))
    def test_round_trip(self, value: dict[str, object]) -> None:
        """What PyYAML writes is read as it was."""
        self.assertEqual(plain(tree(yaml.safe_dump(value))), value)

    @given(st.text(alphabet="ab:-[]{},&*!|>'\"?% #\n\t<", max_size=60))
    def test_only_our_error(self, text: str) -> None:
        """Whatever a file says, only a ConfigError comes of it."""
        problems_of(text)
