"""
The judge fails what is bad.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from yallmp.drill.answers import TEXT, TOKENS
from yallmp.drill.cells import CELLS, SIXTEEN
from yallmp.drill.faults import REASON
from yallmp.drill.judge import Judgement, judge
from yallmp.drill.observed import Heard, Knock

BY_KEY = {cell.key: cell for cell in CELLS}
PART = "".join(TOKENS[:40])


def got(**facts: Any) -> Heard:
    """A whole good answer, but for *facts*."""
    good = {
        "began": 0.0, "ended": 1.0, "status": 200, "text": TEXT, "done": True, "clean": True,
        "finish_reason": "stop", "model": "m", "serving": "f", "usage": True,
        "first": 0.5, "last": 0.9,
    }  # fmt: skip
    return Heard(**{**good, **facts})


def error(text: str = "502 no", **facts: Any) -> Heard:
    """An error."""
    return got(**{"status": 502, "text": "", "done": False, "error": text, **facts})


def knocks(*told: tuple[str, float]) -> list[Knock]:
    """Requests that the wall saw."""
    return [Knock(backend, at) for backend, at in told]


class JudgeCase(SynchronousTestCase):
    """Judges cells with the primary ``m``."""

    def judged(self, key: str, heard: Any, *told: tuple[str, float], **more: Any) -> Judgement:
        """The judgement of one cell."""
        answers = heard if isinstance(heard, list) else [heard]
        return judge(BY_KEY[key], answers, knocks(*told), primary="m", **more)

    def check(self, grade: str, key: str, heard: Any, *told: tuple[str, float]) -> None:
        """The grade is *grade*, and what is below a pass has its reason."""
        judgement = self.judged(key, heard, *told)
        self.assertEqual(judgement.grade, grade, (key, judgement))
        self.assertEqual(bool(judgement.remarks), grade != "pass", (key, judgement))


class GradeTests(JudgeCase):
    """What the caller got comes first."""

    def test_a_hang_fails(self) -> None:
        """In every cell, whatever came before."""
        for cell in SIXTEEN:
            self.check("fail", cell.key, got(hung=True, ended=100.0), ("m", 0), ("f", 1))

    def test_a_part_that_looks_whole_fails(self) -> None:
        """With ``[DONE]``, or with a clean end alone."""
        for cell in SIXTEEN:
            if cell.wants_error is None:
                self.check("fail", cell.key, got(text=PART), ("m", 0), ("f", 1))
                self.check("fail", cell.key, got(text=PART, done=False), ("m", 0), ("f", 1))
                self.check("fail", cell.key, got(text=""), ("m", 0), ("f", 1))

    def test_a_body_without_all_of_the_text_fails(self) -> None:
        """An answer that is not streamed and looks good is no better."""
        part = got(text=PART, stream=False)
        self.check("fail", "bomb", part, ("m", 0), ("f", 1))

    def test_a_mixture_fails(self) -> None:
        """Text twice, or more than there is."""
        self.check("fail", "8", got(text=PART + TEXT), ("m", 0), ("f", 1))

    def test_a_part_with_an_error_is_safe(self) -> None:
        """The caller knows that it is not whole."""
        broken = got(text=PART, done=False, clean=False, error="upstream_disconnected")
        self.check("safe", "8", broken, ("m", 0))
        self.check("safe", "8", error(), ("m", 0))
        self.check("safe", "8", got(text=PART, error="upstream_incomplete"), ("m", 0))

    def test_all_of_the_text_with_an_error_is_safe(self) -> None:
        """The caller has been told that it is not whole, and throws it away."""
        self.check("safe", "8", got(error="upstream_incomplete"), ("m", 0), ("f", 1))
        self.check("safe", "8", got(done=False, clean=False), ("m", 0), ("f", 1))

    def test_one_of_twenty(self) -> None:
        """A single request that is not served makes row 15 safe, one that hangs fails it."""
        told = [("m", 0.0), *(("f", 4.0 * n) for n in range(20)), ("m", 64.0)]
        self.check("pass", "15", [got()] * 20, *told)
        self.check("safe", "15", [*[got()] * 19, error()], *told)
        self.check("fail", "15", [*[got()] * 19, got(hung=True)], *told)

    def test_nothing_asked_fails(self) -> None:
        """A cell in which nothing happened shows nothing."""
        self.check("fail", "1", [])


class ConductTests(JudgeCase):
    """A whole answer, and how it came about."""

    def test_good_conduct(self) -> None:
        """What each row asks for passes."""
        good: dict[str, list[tuple[str, float]]] = {
            "1": [("m", 0), ("m", 2.1)], "2": [("m", 0), ("m", 0.3), ("f", 0.4)],
            "3": [("m", 0), ("m", 0.3)], "4": [("m", 0), ("m", 0.3), ("f", 0.4)],
            "5": [("m", 0), ("m", 0.3)], "6": [("m", 0), ("f", 30)], "7": [("m", 0), ("f", 10)],
            "8": [("m", 0), ("f", 1)], "9": [("m", 0), ("f", 11)], "10": [("m", 0)],
            "11": [("m", 0)], "12": [("m", 0), ("f", 0.1)], "14": [("m", 0), ("f", 1)],
            "16": [("m", 0), ("f", 0.3)],
        }  # fmt: skip
        for key, told in good.items():
            self.check("pass", key, got(), *told)

    def test_1_waits(self) -> None:
        """Asked again too early, or not again; another member of its group may be asked."""
        self.check("partial", "1", got(), ("m", 0), ("m", 1.5))
        self.check("partial", "1", got(), ("m", 0))
        self.check("partial", "1", got(), ("m", 0), ("f", 0.02))
        self.check("pass", "1", got(), ("m", 0), ("g", 0.2))

    def test_2_backs_off(self) -> None:
        """Five tries in three seconds, or two without a pause, or no fallback."""
        many = [("m", 0.5 * n) for n in range(5)]
        self.check("partial", "2", got(), *many, ("f", 3))
        later = [("m", 10 + 0.5 * n) for n in range(5)]
        self.check("partial", "2", got(), ("m", 0), *later, ("f", 13))
        self.check("pass", "2", got(), *[("m", 1.1 * n) for n in range(5)], ("f", 5))
        self.check("partial", "2", got(), ("m", 0), ("m", 0.01), ("f", 1))
        self.check("partial", "2", got(), ("m", 0), ("m", 1))

    def test_3_asks_again(self) -> None:
        """Nothing was tried again, or the fallback at once instead; yet there is an answer."""
        self.check("partial", "3", got(), ("m", 0))
        self.check("partial", "3", got(), ("m", 0), ("f", 0.02))
        self.check("pass", "3", got(), ("m", 0), ("g", 0.2))

    def test_4_few_attempts(self) -> None:
        """Seven are too many."""
        self.check("partial", "4", got(), *[("m", n) for n in range(7)], ("f", 8))

    def test_5_tries_again(self) -> None:
        """Here, too, there is an answer from nowhere."""
        self.check("partial", "5", got(), ("m", 0))

    def test_6_one_timeout(self) -> None:
        """A silent backend is not asked twice."""
        self.check("partial", "6", got(), ("m", 0), ("m", 30), ("f", 60))

    def test_7_gives_up_in_time(self) -> None:
        """Before 15 s, and without waiting for the slow one."""
        self.check("partial", "7", got(), ("m", 0), ("f", 16))
        self.check("partial", "7", got(ended=21.0), ("m", 0))

    def test_9_in_time(self) -> None:
        """Within 45 s."""
        self.check("partial", "9", got(ended=46.0), ("m", 0), ("f", 40))
        late = got(began=50.0, ended=96.0)
        self.check("partial", "9", [got(), late], ("m", 0), ("f", 11), ("m", 50), ("f", 90))

    def test_11_at_once_with_usage(self) -> None:
        """No long wait for an end that does not come; tokens are told."""
        self.check("partial", "11", got(ended=30.0), ("m", 0))
        self.check("partial", "11", got(usage=False), ("m", 0))

    def test_12_no_second_try(self) -> None:
        """A prompt that is too long stays so; the fallback may take it."""
        self.check("partial", "12", got(), ("m", 0), ("m", 0.3), ("f", 1))
        self.check("partial", "12", got(), ("m", 0))

    def test_13_the_reason_and_nobody_else(self) -> None:
        """The backend's own words; an answer from elsewhere is not what was asked for."""
        self.check("pass", "13", error(f"400 {REASON}"), ("m", 0))
        self.check("partial", "13", error(f"400 {REASON}"), ("m", 0), ("f", 0.1))
        self.check("partial", "13", error(f"400 {REASON}"), ("m", 0), ("m", 0.1))
        self.check("safe", "13", error("502 upstream_error"), ("m", 0))
        self.check("partial", "13", got(), ("m", 0), ("f", 1))
        self.check("partial", "13", got(), ("m", 0))

    def test_14_never_that_400(self) -> None:
        """It may be asked for a prefill, but what it says of it is nothing for the caller."""
        self.check("pass", "14", got(), ("m", 0), ("f", 1), ("f", 2))
        self.check("safe", "14", error("400 The last message must be"), ("m", 0), ("f", 1))

    def test_15_returns(self) -> None:
        """Few attempts while it fails, and back within 30 s."""
        served = [got()] * 20
        late = [("m", 0.0), ("f", 0.1), ("m", 95.0)]
        self.check("partial", "15", served, *late)
        self.check("partial", "15", served, ("m", 0.0), ("f", 0.1))
        many = [("m", 4.0 * n) for n in range(13)]
        self.check("partial", "15", served, *many, ("f", 50), ("m", 64))

    def test_16_tells_who(self) -> None:
        """The model, the backend, the tokens; and it is so."""
        for missing in ({"model": None}, {"serving": None}, {"usage": False}, {"serving": "m"}):
            self.check("partial", "16", got(**missing), ("m", 0), ("f", 1))

    def test_without_a_fallback(self) -> None:
        """Rules about another backend do not count where there is none."""
        self.assertEqual(self.judged("7", got(ended=21.0), ("m", 0), alone=True).grade, "pass")
        self.assertEqual(self.judged("6", error(), ("m", 0), alone=True).grade, "safe")

    def test_the_others(self) -> None:
        """Further cells want the fallback, too."""
        for key in ("refused", "half-head", "bomb", "html", "error-200"):
            self.check("pass", key, got(), ("m", 0), ("f", 1))
            self.check("partial", key, got(), ("m", 0))
            self.check("safe", key, error(), ("m", 0), ("f", 1))
        self.check("partial", "drip", got(), ("m", 0), ("f", 60))
        self.check("partial", "no-end", got(ended=30.0), ("m", 0))
        self.check("partial", "no-end", got(usage=False), ("m", 0))
        self.check("fail", "close-cut", got(text=PART, done=False), ("m", 0))
