"""
What fuzzing holds parsers to, with the seeds and what chance makes of them; and the harness.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chaos.fuzz import endpoints, watched, wire
from chaos.fuzz.client import dechunked
from chaos.fuzz.conversation import served
from chaos.fuzz.target import Broken, Target, cut
from chaos.fuzz.targets import called, every
from tests.fakes import ProxyCase, raw, stream
from yallmp.core import escapes
from yallmp.core.jsonbody import Document
from yallmp.core.openapi import document

TARGETS = every()
FEW = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def changed(target: Target) -> st.SearchStrategy[bytes]:
    """A seed of *target* with something put in, or taken out, or all of it replaced."""
    word = st.binary(max_size=4)
    if target.words:
        word |= st.sampled_from(target.words)
    edits = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3), word), max_size=4)
    return st.builds(_edited, st.sampled_from(target.seeds), edits) | st.binary(max_size=60)


def _edited(data: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    for at, length, new in edits:
        place = at % (len(data) + 1)
        data = data[:place] + new + data[place + length :]
    return data


class TargetTests(SynchronousTestCase):
    """Every target bears whatever comes."""

    def test_seeds(self) -> None:
        """The good ones, and what was found once."""
        for target in TARGETS.values():
            for seed in target.seeds:
                target.check(seed)

    def test_chance(self) -> None:
        """Mutations of them, and any bytes."""
        for target in TARGETS.values():
            FEW(given(changed(target))(target.check))()

    def test_they_find_what_is_broken(self) -> None:
        """A parser that is broken is found out by the seeds alone."""
        broken: tuple[tuple[Any, str, Any, str], ...] = (
            (escapes, "is_plain", lambda data: True, "escapes"),
            (wire, "bearable", lambda event: b"", "sse"),
            (Document, "raw", lambda self, key: b"1", "body"),
        )
        for where, name, instead, target in broken:
            with patch.object(where, name, instead):
                inputs = called(target).seeds
                self.assertRaises(Broken, list, map(called(target).check, inputs))

    def test_names(self) -> None:
        """Each is called by its name; an unknown one is said."""
        for name, target in TARGETS.items():
            self.assertEqual(called(name), target)
        self.assertRaises(KeyError, called, "nothing")

    def test_cut(self) -> None:
        """Nothing of an input is lost, wherever its first bytes have it cut."""
        for data in (b"", b"a", b"ab", b"abc", b"\xff\x00abcdefgh", b"\x80\x80" + b"x" * 600):
            rest, parts = cut(data)
            self.assertEqual((b"".join(parts), len(parts)), (rest, 3))

    def test_the_strict_reader(self) -> None:
        """Of chunked bodies."""
        self.assertEqual(dechunked(b"2;a\r\nab\r\n1\r\nc\r\n0\r\n\r\n"), b"abc")
        for bad in (b"2\r\nabc\r\n0\r\n\r\n", b"2\nab\n0\n\n", b"2\r\nab\r\n", b"x\r\n"):
            self.assertIsNone(dechunked(bad))


class WholeRequestTests(SynchronousTestCase):
    """Through the whole proxy, in memory."""

    def send(self, body: bytes) -> bytes:
        proxy = served()
        start = (
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n"
        )
        answer = proxy.hear([start % len(body) + body])
        proxy.check(answer)
        return answer

    @FEW
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        )
    )
    def test_any_json_value(self, value: Any) -> None:
        """As a whole body, and as each field of a request."""
        self.assertIn(b" 400 ", self.send(json.dumps(value).encode())[:20])
        good = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        for name in ("model", "messages", "stream", "n", "stream_options", "x"):
            answer = self.send(json.dumps({**good, name: value}).encode())
            self.assertRegex(answer, rb"\AHTTP/1.1 (200|400|404) ")

    def test_a_failure_is_seen(self) -> None:
        """What must not be is found by the check."""
        proxy = served()
        with patch.object(Document, "parse", side_effect=RuntimeError("broken")):
            answer = proxy.hear([called("channel").seeds[0][2:]])
            self.assertRaises(Broken, proxy.check, answer)
        self.flushLoggedErrors(RuntimeError)


class BackendTests(ProxyCase):
    """A backend may send any bytes: its client gets an answer, or the truth."""

    def setUp(self) -> None:
        super().setUp()
        self.serve(self.fake("m"))

    @FEW
    @given(changed(called("answer")))
    def test_any_answer(self, data: bytes) -> None:
        """In place of HTTP."""
        self.fakes["m"].script = [raw(data[2:])]
        got = self.finish(self.ask())
        self.assertTrue(got.clean)
        self.assertIn(got.status, {*range(200, 300), *range(400, 600)})
        self.assertTrue(got.json if got.status != 200 else "choices" in got.json)

    @FEW
    @given(changed(called("stream")))
    def test_any_stream(self, data: bytes) -> None:
        """An answer that streams ends with [DONE], or with an error, never with both."""
        self.fakes["m"].script = [stream([data[2:]])]
        got = self.finish(self.ask(stream=True))
        if got.status != 200:
            self.assertIn("error", got.json)
            return
        failed = [each for each in got.events if isinstance(each, dict) and each.get("error")]
        self.assertEqual(bool(failed), got.events[-1] != "[DONE]", got.body)


class HarnessTests(SynchronousTestCase):
    """What a run of atheris or schemathesis is told and tells."""

    def test_what_a_run_came_to(self) -> None:
        """The inputs, the coverage, the time."""
        said = "#7\tNEW cov: 3 ft: 9 corp: 1/1b\n#500\tDONE   cov: 14 ft: 26 corp: 8/4b\n"
        with TemporaryDirectory() as name:
            folder = Path(name)
            found = watched._found("x", said + "Done 500 runs in 2 second(s)\n", 0, folder)
            self.assertEqual(found, watched.Found("x", 500, 14, 26, 2.0))
            (folder / "found-crash-1").write_bytes(b"\xff\n")
            told = watched._found(
                "x", said + "=== Uncaught Python exception: ===\nE: x", 77, folder
            )
        self.assertIn("E: x", told.trouble)
        self.assertIn(repr(b"\xff\n"), told.trouble)
        self.assertEqual(told.runs, 500)

    def test_a_run_that_libfuzzer_ended(self) -> None:
        """Its reason is told, which stands behind a number of the process."""
        said = "#7\tNEW cov: 3 ft: 9\n==4711== ERROR: libFuzzer: timeout after 10 seconds\n"
        with TemporaryDirectory() as name:
            found = watched._found("x", said, 70, Path(name))
        self.assertIn("timeout after 10 seconds", found.trouble)

    def test_what_is_laid_out(self) -> None:
        """Seeds as files, words as a dictionary that libFuzzer reads."""
        with TemporaryDirectory() as name:
            watched._lay_out(Target("x", "", len, (b"a", b"b"), (b'"\xff',)), Path(name))
            self.assertEqual(len(list((Path(name) / "seeds").iterdir())), 2)
            self.assertEqual((Path(name) / "words").read_text(), '"\\x22\\xff"\n')

    def test_a_stricter_description(self) -> None:
        """No key is optional, and the description that it was made of stays as it was."""
        spec = document()
        made = endpoints.strict(spec)
        self.assertEqual(spec, document())
        self.assertNotIn({}, made["paths"]["/admin/models"]["get"]["security"])
        self.assertNotIn({}, made["paths"]["/v1/models"]["get"]["security"])
        self.assertIn(
            {"const": endpoints.MODEL},
            made["components"]["schemas"]["Chat"]["properties"]["model"]["anyOf"],
        )
