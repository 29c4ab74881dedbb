"""
The drill's setting, what its caller makes of answers, and its report.
"""

from __future__ import annotations

import json
from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.backend import Backend, Patience, Tls
from yallmp.core.catalog import Catalog
from yallmp.core.routing import route_for
from yallmp.core.settings import Access, Config, Fallbacks, Key, Limits, Router
from yallmp.drill.answers import TEXT
from yallmp.drill.cells import CELLS, SIXTEEN
from yallmp.drill.heard import Reply, heard
from yallmp.drill.judge import Judgement
from yallmp.drill.observed import Heard, Knock
from yallmp.drill.rehearsal import Result
from yallmp.drill.report import (
    Report,
    as_json,
    as_text,
    attempts,
    hints,
    mending,
    outcome,
    score,
    settings,
)
from yallmp.drill.setting import LARGEST, Stage, stage_for, stages, with_wall


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
        for draw in (0.1, 0.5, 0.9):
            route = route_for(Catalog(config), "group", iter([draw, 1 - draw]).__next__)
            self.assertEqual([b.name for b in route.legs], ["g2", "g1"])

    def test_the_route_stays(self) -> None:
        """Every model leads to the same backends in the same order, whatever is drawn."""
        for each in stages(CONFIG):
            addresses = {b.name: "http://127.0.0.1:1" for b in each.backends}
            catalog = Catalog(with_wall(CONFIG, each, addresses))
            route = route_for(catalog, each.asked, lambda: 0.5)
            self.assertEqual([b.name for b in route.every], [b.name for b in each.backends])
            self.assertEqual(len(route.legs), len(each.route.legs))

    def test_other_names(self) -> None:
        """A name that a wildcard takes, and an alias, can be asked for; others cannot."""
        found = stage_for(CONFIG, "any/thing")
        assert found is not None
        self.assertEqual((found.model, found.asked, found.primary), ("any/thing",) * 2 + ("any",))
        aliased = evolve(CONFIG, fallbacks=Fallbacks(aliases=(("other", "m"),)))
        found = stage_for(aliased, "other")
        assert found is not None
        self.assertEqual((found.primary, found.fallbacks), ("m", ()))
        self.assertNotIn("other", [each.model for each in stages(aliased)])
        self.assertIsNone(stage_for(CONFIG, "nothing"))
        self.assertIsNone(stage_for(CONFIG, " "))

    def test_what_is_told_of_a_stage(self) -> None:
        """Its fallbacks by their models, and who in truth needs no network."""
        self.assertEqual(stage("m").fallbacks, ("f",))
        self.assertEqual(stage("virtual").fallbacks, ("f", "any/x"))
        self.assertEqual((stage("group").fallbacks, stage("group").mocks), ((), ()))
        self.assertEqual(stage("demo").mocks, ("demo",))

    def test_answers_are_bounded(self) -> None:
        """So that one cell does not make others wait; a smaller bound stays."""
        each, addresses = stage("f"), {"f": "http://127.0.0.1:1"}
        self.assertEqual(with_wall(CONFIG, each, addresses).limits.max_response_bytes, LARGEST)
        small = evolve(CONFIG, limits=Limits(max_response_bytes=1000))
        self.assertEqual(with_wall(small, each, addresses).limits.max_response_bytes, 1000)


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
        return Report(CONFIG, results, planned=len(results))

    def test_a_busy_machine(self) -> None:
        """It is said, since grades may be wrong."""
        slow = evolve(self.result("4", "pass"), knocks=(Knock("m", 5.0),))
        text = "\n".join(as_text(self.report(slow)))
        self.assertIn("This machine was busy: the first request of a cell took 5.0 s", text)
        quick = "\n".join(as_text(self.report(self.result("4", "pass"))))
        self.assertNotIn("busy", quick)

    def test_all_well(self) -> None:
        """The score, the settings beside it, and that all is well."""
        report = self.report(*(self.result(cell.key, "pass") for cell in SIXTEEN))
        text = "\n".join(as_text(report))
        self.assertIn("m: m -> f", text)
        self.assertIn("16 of 16 pass\n", text)
        self.assertIn(
            "  with request_timeout 30, first_content_timeout 30, idle_timeout 30, "
            "num_retries 2, fallbacks f\n",
            text,
        )
        self.assertNotIn("to mend", text)
        self.assertIn("the whole answer after 1.2 s; asked: m 0.00, f 0.50", text)
        self.assertIn("Every model did as well as it can.", text)
        self.assertTrue(report.ok)

    def test_below_a_pass(self) -> None:
        """What was wrong, and what would mend it."""
        report = self.report(self.result("7", "partial"), self.result("refused", "safe"))
        text = "\n".join(as_text(report))
        self.assertIn("! something was wrong", text)
        self.assertIn("  to mend 7: set first_content_timeout: 10", text)
        self.assertIn("Not every model did as well as it can: 2 of 2 cells.", text)
        self.assertIn("0 of 1 pass; of the others 0 of 1; 1 partial; 1 safe", text)
        self.assertFalse(report.ok)

    def test_nobody_else(self) -> None:
        """A model alone can at best be safe, which is said; a failure is one all the same."""
        report = self.report(self.result("4", "safe", "f"))
        self.assertTrue(report.ok)
        text = "\n".join(as_text(report))
        self.assertIn("Nobody else can serve this model", text)
        self.assertIn("to mend 4: give the model a fallback", text)
        self.assertIn("fallbacks none", text)
        self.assertFalse(self.report(self.result("4", "fail", "f")).ok)

    def test_an_error_is_told_once(self) -> None:
        """What the outcome says already is no remark."""
        safe = self.result("4", "safe", "f", text="", done=False, error="503 no")
        told = Judgement("safe", ("no whole answer: 503 no", "another thing"))
        text = "\n".join(as_text(self.report(evolve(safe, judgement=told))))
        self.assertEqual(text.count("503 no"), 1)
        self.assertIn("! another thing", text)

    def test_what_would_mend_it(self) -> None:
        """Said once, with the cells; of one that passed there is nothing to mend."""
        fallback = "give the model a fallback (router_settings.fallbacks)"
        idle = "set idle_timeout: 10"
        found = [self.result(key, "safe", "f") for key in ("3", "4")]
        self.assertEqual(mending(found), {fallback: ["3", "4"]})
        found = [self.result("4", "safe", "f"), self.result("9", "fail", "f")]
        self.assertEqual(mending(found)[idle], ["9"])
        self.assertEqual(mending([self.result("9", "safe")])[idle], ["9"])
        self.assertEqual(hints(self.result("3", "pass", "f")), ())

    def test_what_is_good_enough(self) -> None:
        """As the user says; a failure never is."""
        for grade, allowed in (
            ("partial", {"partial", "safe"}), ("safe", {"safe"}), ("fail", set()),
        ):  # fmt: skip
            report = self.report(self.result("7", grade))
            ok = {word for word in ("pass", "partial", "safe") if evolve(report, allowed=word).ok}
            self.assertEqual(ok, allowed, grade)

    def test_interrupted(self) -> None:
        """What is known is told, and that it is not all; it is never as good as a whole drill."""
        report = evolve(self.report(self.result("1", "pass")), planned=16)
        self.assertFalse(report.ok)
        text = "\n".join(as_text(report))
        self.assertIn("1 of 1 pass", text)
        self.assertIn("Interrupted: 1 of 16 cells were rehearsed.", text)
        self.assertIs(json.loads(as_json(report))["complete"], False)

    def test_mocks(self) -> None:
        """A backend that answers by itself is rehearsed like others, with a note."""
        text = "\n".join(as_text(self.report(self.result("1", "pass", "demo"))))
        self.assertIn("as if they were on the network: demo (mock_response)", text)

    def test_settings(self) -> None:
        """In force, by default or not; where only the deadline ends a wait, there is none."""
        self.assertEqual(
            settings(CONFIG, stage("f")),
            {"request_timeout": None, "first_content_timeout": None, "idle_timeout": 120.0,
             "num_retries": 2, "fallbacks": []},
        )  # fmt: skip
        self.assertEqual(settings(CONFIG, stage("virtual"))["first_content_timeout"], 60.0)

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
