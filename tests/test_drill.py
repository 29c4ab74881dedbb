"""
The drill's setting, its report and its command; the last with real sockets.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.backend import Backend, Patience, Tls
from yallmp.core.catalog import Catalog
from yallmp.core.routing import route_for
from yallmp.core.settings import Access, Config, Fallbacks, Key, Router
from yallmp.drill.answers import TEXT
from yallmp.drill.cells import CELLS, SIXTEEN
from yallmp.drill.heard import Reply, heard
from yallmp.drill.judge import Judgement
from yallmp.drill.observed import Heard, Knock
from yallmp.drill.rehearsal import Result
from yallmp.drill.report import Report, as_json, as_text, attempts, is_good, outcome, score
from yallmp.drill.setting import Stage, stages, with_wall

ROOT = Path(__file__).parent.parent


def backend(name: str, model: str | None = None, **more: Any) -> Backend:
    """A backend of the user's."""
    return Backend(
        name, model or name, api_base="https://api.example.com/v1", api_key="sk-real", **more
    )


CONFIG = Config(
    backends=(
        backend("m", patience=Patience(request_timeout=30)),
        backend("f", tls=Tls(verify=False), extra_headers=(("x-org", "secret"),)),
        backend("any", "any/*"),
        Backend("demo", "demo", mock_response="hello"),
        backend("g1", "group", order=1),
        backend("g2", "group"),
    ),
    fallbacks=Fallbacks(by_model=(("m", ("f",)), ("virtual", ("f", "any/x")))),
    router=Router(num_retries=2),
    access=Access(keys=(Key("alice", "sk-alice"),), admin_key="sk-admin"),
    persist="/somewhere",
)


def stage(model: str) -> Stage:
    """One model of it."""
    return next(each for each in stages(CONFIG) if each.model == model)


class SettingTests(SynchronousTestCase):
    """The user's configuration with the wall in it."""

    def test_every_model(self) -> None:
        """Wildcards by a name that fits, virtual models by what serves them."""
        found = {each.model: [b.name for b in each.backends] for each in stages(CONFIG)}
        self.assertEqual(
            found,
            {"m": ["m", "f"], "f": ["f"], "any/*": ["any"], "demo": ["demo"],
             "group": ["g2", "g1"], "virtual": ["f", "any"], "any/x": ["any"]},
        )  # fmt: skip
        self.assertEqual(stage("any/*").asked, "any/drill")
        self.assertEqual((stage("m").alone, stage("f").alone), (False, True))
        self.assertEqual((stage("group").primary, stage("group").alone), ("g2", False))

    def test_nobody_real_is_asked(self) -> None:
        """Addresses, keys, headers and certificates are the wall's; nothing is kept."""
        for each in stages(CONFIG):
            addresses = {b.name: f"http://127.0.0.1/{b.name}" for b in each.backends}
            config = with_wall(CONFIG, each, addresses)
            self.assertEqual([b.api_base for b in config.backends], list(addresses.values()))
            for changed in config.backends:
                self.assertNotIn("sk-real", str(changed.api_key))
                self.assertEqual((changed.extra_headers, changed.tls), ((), Tls()))
                self.assertIsNone(changed.mock_response)
            self.assertEqual((config.access, config.persist), (Access(), None))

    def test_what_is_rehearsed_is_the_users(self) -> None:
        """Times, retries and fallbacks; the route is the file's order."""
        each = stage("m")
        config = with_wall(CONFIG, each, {"m": "http://127.0.0.1:1", "f": "http://127.0.0.1:2"})
        self.assertEqual(config.router, CONFIG.router)
        self.assertEqual(config.backends[0].patience, Patience(request_timeout=30))
        route = route_for(Catalog(config), "m", lambda: 0.9)
        self.assertEqual([b.name for b in route.legs], ["m", "f"])
        group = stage("group")
        config = with_wall(CONFIG, group, {"g1": "http://127.0.0.1:1", "g2": "http://127.0.0.1:2"})
        for draw in (0.0, 0.5, 0.9):
            route = route_for(Catalog(config), "group", lambda draw=draw: draw)
            self.assertEqual([b.name for b in route.legs], ["g2", "g1"])


class HeardTests(SynchronousTestCase):
    """What a caller makes of an answer."""

    def told(self, body: bytes, **facts: Any) -> Heard:
        """An answer with *body*."""
        headers = {"content-type": "text/event-stream", "x-yallmp-backend": "m"}
        good = {"stream": True, "status": 200, "headers": headers, "clean": True}
        return heard(Reply(1.0, 2.0, parts=((1.5, body),), **{**good, **facts}))

    def test_a_stream(self) -> None:
        """Content, usage, the end; broken lines and comments are skipped."""
        found = self.told(
            b': ping\n\ndata: {"model": "x", "choices": [{"delta": {"content": "a"}}]}\n\n'
            b'data: {oops\n\ndata: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n'
            b'data: {"choices": [], "usage": {"total_tokens": 1}}\n\ndata: [DONE]\n\n'
        )
        self.assertEqual((found.text, found.done, found.finish_reason), ("a", True, "stop"))
        self.assertEqual((found.model, found.serving, found.usage), ("x", "m", True))
        self.assertTrue(found.looks_whole)

    def test_errors(self) -> None:
        """An event, a body, a connection that broke: none of them looks whole."""
        event = self.told(b'data: {"error": {"message": "no", "code": "c"}}\n\n')
        self.assertEqual((event.error, event.looks_whole), ("c no", False))
        body = self.told(b'{"error": {"message": "no"}}', status=503, headers={})
        self.assertEqual((body.error, body.looks_whole), ("503 no", False))
        broken = self.told(b"", clean=False, failure="the connection broke off")
        self.assertEqual((broken.error, broken.looks_whole), ("the connection broke off", False))
        page = self.told(b"<html>", status=500, headers={})
        self.assertFalse(page.looks_whole)

    def test_a_clean_end_looks_whole(self) -> None:
        """Also without ``[DONE]``: programs take it for the end."""
        found = self.told(b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n')
        self.assertEqual((found.done, found.looks_whole), (False, True))

    def test_a_whole_answer(self) -> None:
        """Not streamed."""
        value = {"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]}
        found = self.told(json.dumps(value).encode(), headers={})
        self.assertEqual((found.text, found.looks_whole), ("a", True))


class ReportTests(SynchronousTestCase):
    """What is said of made-up results."""

    def result(self, key: str, grade: str, model: str = "m", **facts: Any) -> Result:
        """One cell of one model."""
        cell = next(cell for cell in CELLS if cell.key == key)
        remarks = () if grade == "pass" else ("something was wrong",)
        told = Heard(0.0, 1.25, status=200, text=TEXT, done=True, clean=True)
        knocks = (Knock("m", 0.0), Knock("f", 0.5))
        answer = evolve(told, **facts)
        return Result(cell, stage(model), Judgement(grade, remarks), (answer,), knocks)

    def report(self, *results: Result) -> Report:
        """A drill that came to *results*."""
        return Report(CONFIG, results)

    def test_all_well(self) -> None:
        """The score, the settings beside it, and that all is well."""
        report = self.report(*(self.result(cell.key, "pass") for cell in SIXTEEN))
        text = "\n".join(as_text(report))
        self.assertIn("m: m → f", text)
        self.assertIn("16 of 16 pass\n", text)
        self.assertIn("request_timeout 30", text)
        self.assertIn("num_retries 2", text)
        self.assertIn("the whole answer after 1.2 s; asked: m 0.00, f 0.50", text)
        self.assertIn("Every model did as well as it can.", text)
        self.assertTrue(report.ok)

    def test_below_a_pass(self) -> None:
        """What was wrong, and what would mend it."""
        report = self.report(self.result("7", "partial"), self.result("refused", "safe"))
        text = "\n".join(as_text(report))
        self.assertIn("! something was wrong", text)
        self.assertIn("→ set first_content_timeout: 10", text)
        self.assertIn("0 of 1 pass; of the others 0 of 1; 1 partial; 1 safe", text)
        self.assertFalse(report.ok)

    def test_nobody_else(self) -> None:
        """A model alone can at best be safe, which is said; a failure is one all the same."""
        report = self.report(self.result("4", "safe", "f"))
        self.assertTrue(report.ok)
        text = "\n".join(as_text(report))
        self.assertIn("Nobody else can serve this model", text)
        self.assertIn("→ give the model a fallback", text)
        self.assertFalse(is_good(self.result("4", "fail", "f")))

    def test_outcomes(self) -> None:
        """In a line each."""
        whole = Heard(0.0, 1.0, status=200, text=TEXT, done=True)
        self.assertEqual(outcome([evolve(whole, hung=True, ended=9.0)]), "nothing, for 9.0 s")
        broken = evolve(whole, text="t00 t01 ", done=False, error="cut")
        self.assertEqual(outcome([broken]), "2 tokens, then an error after 1.0 s: cut")
        self.assertEqual(outcome([evolve(whole, text="", error="no")]), "an error after 1.0 s: no")
        self.assertEqual(outcome([whole, broken]), "1 of 2 whole answers")
        self.assertEqual(attempts([]), "nobody")
        self.assertEqual(attempts([Knock("m", 0.0)] * 7), "m 7 times")

    def test_json(self) -> None:
        """The same for programs."""
        value = json.loads(as_json(self.report(self.result("7", "partial"))))
        self.assertIs(value["ok"], False)
        (model,) = value["models"]
        (cell,) = model["cells"]
        self.assertEqual((model["model"], cell["cell"], cell["grade"]), ("m", "7", "partial"))
        self.assertEqual(cell["attempts"][1], {"backend": "f", "at": 0.5})
        self.assertTrue(cell["answers"][0]["whole"])
        self.assertEqual(model["score"], score([self.result("7", "partial")]))


BAR = """\
model_list:
  - {model_name: primary, litellm_params: {api_base: "http://127.0.0.1:9/v1", model: some-model}}
  - {model_name: backup, litellm_params: {api_base: "http://127.0.0.1:9/v1", model: some-model}}
router_settings:
  request_timeout: 30
  first_content_timeout: 10
  idle_timeout: 10
  num_retries: 1
  fallbacks: [{primary: [backup]}]
"""


class CommandTests(SynchronousTestCase):
    """The command, as its user runs it."""

    def setUp(self) -> None:
        self.folder = self.mktemp()
        os.makedirs(self.folder)
        self.file = os.path.join(self.folder, "config.yaml")
        Path(self.file).write_text(BAR, encoding="utf-8")

    def drill(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run it."""
        command = [sys.executable, "-m", "yallmp", "drill", *words]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            command, capture_output=True, text=True, timeout=300, check=False, env=env
        )

    def grades(self, *words: str) -> dict[str, str]:
        """The grade of each cell."""
        ran = self.drill(self.file, "--fast", "--json", *words)
        self.assertIn(ran.returncode, (0, 1), ran.stderr)
        (model,) = json.loads(ran.stdout)["models"]
        cells = {cell["cell"]: cell for cell in model["cells"]}
        below = {key: cell for key, cell in cells.items() if cell["grade"] != "pass"}
        self.told = json.dumps(below, indent=1)
        return {key: cell["grade"] for key, cell in cells.items()}

    def test_sixteen_of_sixteen(self) -> None:
        """With one fallback and the settings of the bar every cell passes, in any order."""
        grades = self.grades("--model", "primary")
        self.assertEqual(set(grades.values()), {"pass"}, self.told)
        self.assertEqual(set(grades), {cell.key for cell in CELLS})
        shuffled = self.grades("--model", "primary", "--shuffle", "7")
        self.assertEqual(shuffled, grades, self.told)

    def test_alone(self) -> None:
        """Without a fallback nothing fails, and most is safe."""
        grades = self.grades("--model", "backup", "--only", "3,4,8,10,13,refused")
        self.assertEqual(
            grades,
            {"3": "pass", "4": "safe", "8": "safe", "10": "pass", "13": "pass", "refused": "safe"},
            self.told,
        )

    def test_mistakes(self) -> None:
        """Of the file, the model, the cell: status 2, and a line that says what there is."""
        for words, told in (
            (["/nowhere.yaml"], "nowhere.yaml"),
            ([self.file, "--model", "x"], "primary"),
            ([self.file, "--only", "99"], "refused"),
        ):
            ran = self.drill(*words)
            self.assertEqual((ran.returncode, ran.stdout), (2, ""))
            self.assertIn(told, ran.stderr)
            self.assertNotIn("Traceback", ran.stderr)
