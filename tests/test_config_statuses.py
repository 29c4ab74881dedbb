"""``retry_statuses`` and ``failover_statuses``: how lists of statuses are written."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.configs import MODEL, notices, parsed, problems

PLACE = "c.yaml:3: router_settings.retry_statuses"


def written(text: str) -> str:
    """A file whose ``retry_statuses`` are *text*."""
    return f"{MODEL}router_settings: {{retry_statuses: {text}}}\n"


def statuses(text: str, environ: dict[str, str] | None = None) -> set[int] | None:
    """The statuses that *text* stands for."""
    found = parsed(written(text), environ).router.retry_statuses
    return None if found is None else set(found)


def said(text: str) -> list[str]:
    """What is wrong with *text*."""
    return problems(written(text))


class WrittenTests(SynchronousTestCase):
    """What a list of statuses may look like."""

    def test_forms(self) -> None:
        """Numbers, texts, classes and ranges, in a list or alone."""
        for text, expected in [
            ("429", {429}),
            ("[429, '503']", {429, 503}),
            ("5xx", set(range(500, 600))),
            ("[4XX, 599]", {*range(400, 500), 599}),
            ("[520-529, 408]", {408, *range(520, 530)}),
            ("[499 - 501]", {499, 500, 501}),
            ("[500-500, 5xx]", set(range(500, 600))),
        ]:
            self.assertEqual(statuses(text), expected, text)

    def test_none_and_nothing(self) -> None:
        """An empty list is no status at all; a setting without a value leaves the table."""
        self.assertEqual(statuses("[]"), set())
        self.assertIsNone(statuses("null"))

    def test_both_lists(self) -> None:
        """They are independent of each other."""
        router = parsed(
            MODEL + "router_settings: {retry_statuses: 429, failover_statuses: [404]}\n"
        ).router
        self.assertEqual(router.retry_statuses, frozenset({429}))
        self.assertEqual(router.failover_statuses, frozenset({404}))

    def test_variables(self) -> None:
        """A variable may hold one."""
        self.assertEqual(statuses("['${A}', '${B:-408}']", {"A": "500-501"}), {408, 500, 501})

    @given(st.sets(st.integers(400, 599)))
    def test_any_statuses(self, some: set[int]) -> None:
        """Every set of them can be said."""
        self.assertEqual(statuses(str(sorted(some))), some)


class MistakeTests(SynchronousTestCase):
    """What is no status is a problem with its place."""

    def test_elements(self) -> None:
        """Each wrong one is named, at its own place; the right ones beside it are no matter."""
        self.assertEqual(
            said("[429, 200, 6xx, soon, true]"),
            [
                f"{PLACE}[{number}]: {shown} is not a status from 400 to 599 (429, 5xx, 520-529)"
                for number, shown in [(1, "200"), (2, '"6xx"'), (3, '"soon"'), (4, "true")]
            ],
        )

    def test_one_value(self) -> None:
        """Other numbers, spellings of numbers and empty elements."""
        for text in ("399", "600", "-429", "429.0", "0650", "'429,500'", "''", "[null]", "none"):
            self.assertEqual(len(said(text)), 1, text)

    def test_backwards(self) -> None:
        """A range that ends before it begins."""
        self.assertEqual(said("[529-520]"), [f'{PLACE}[0]: "529-520" begins after its end'])

    def test_shapes(self) -> None:
        """A mapping, or a list in the list."""
        self.assertEqual(said("{a: 1}"), [f"{PLACE}: is a mapping, where a list is expected"])
        self.assertEqual(said("[[429]]"), [f"{PLACE}[0]: is a list, where one value is expected"])

    def test_not_for_one_backend(self) -> None:
        """They are said for all models at once; beside a backend they are sent there."""
        text = MODEL.replace("mock_response: hi", "mock_response: hi, failover_statuses: 429")
        self.assertEqual(
            problems(text),
            [
                (
                    "c.yaml:2: model_list[0].litellm_params.failover_statuses: "
                    "failover_statuses belongs into router_settings"
                )
            ],
        )


class LiteLLMTests(SynchronousTestCase):
    """What LiteLLM has for it."""

    def test_policies(self) -> None:
        """Numbers of retries by class of error have no effect; it is said what has."""
        config = parsed(
            MODEL + "router_settings:\n  num_retries: 2\n  retry_after: 5\n"
            "  retry_policy: {TimeoutErrorRetries: 3}\n"
            "  model_group_retry_policy: {m: {RateLimitErrorRetries: 1}}\n"
        )
        self.assertEqual((config.router.num_retries, config.router.retry_statuses), (2, None))
        self.assertEqual([n for n in notices(config) if "retry_statuses" in n], notices(config)[1:])
