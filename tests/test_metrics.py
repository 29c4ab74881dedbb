"""
What ``/metrics`` says after requests that went one way or another, as Prometheus reads it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import parser as plain_parser
from prometheus_client.openmetrics import parser as open_parser
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import (
    DONE,
    GOOD_STREAM,
    ROLE,
    Got,
    ProxyCase,
    answer,
    chunk,
    completion,
    error,
    good,
    good_either,
    reset,
    silent,
    stream,
)
from yallmp.clerk import AT_ONCE
from yallmp.core.counts import PATHS, Counts
from yallmp.core.exchange import AttemptEnd, Begin, End, Event, Usage
from yallmp.core.families import FAMILIES, REQUESTS, TOKENS, Kind
from yallmp.core.masking import Masker
from yallmp.core.readings import MOST_SERIES, Instruments, Reading, Series, joined, read, written
from yallmp.core.registry import Registry
from yallmp.core.settings import Access, Key
from yallmp.exposition import OPEN, PLAIN, exposition
from yallmp.observers import Ledger, Silent
from yallmp.stories import Desk

OPEN_TYPE = "application/openmetrics-text"
NO_SECRETS = Masker(frozenset())
#: A sample: its name, and its labels that are not empty.
Sampled = tuple[str, frozenset[tuple[str, str]]]
PAGE = Path(__file__).parent.parent / "docs" / "metrics.md"


def samples(text: bytes, *, parser: Any = plain_parser) -> dict[Sampled, float]:
    """The samples of an exposition, by name and labels that are not empty."""
    found: dict[Sampled, float] = {}
    for family in parser.text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            labels = frozenset((k, v) for k, v in sample.labels.items() if v)
            assert (sample.name, labels) not in found, f"{sample} stands twice"
            found[sample.name, labels] = sample.value
    return found


class Unread:
    """A recorder that writes nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


class MetricsCase(ProxyCase):
    """A proxy whose requests are counted as in a daemon."""

    def setUp(self) -> None:
        super().setUp()
        counts = Counts(lambda name: self.registry.catalog.known(name))  # noqa: PLW0108
        self.metrics.instruments.add(counts.read)
        desk = Desk(Unread(), lambda: NO_SECRETS, AT_ONCE)  # type: ignore[arg-type]
        self.ledger = Ledger(desk, Silent(), counts, self.net)

    @property
    def registry(self) -> Registry:
        """What is served."""
        assert self.parts is not None
        return self.parts.registry

    def tell(self, event: Event) -> None:
        super().tell(event)
        self.ledger.tell(event)

    def scrape(self, **headers: str) -> Got:
        """Ask for the metrics."""
        return self.finish(self.ask(path="/metrics", method="GET", headers=headers))

    def samples(self) -> dict[Sampled, float]:
        """What there is."""
        got = self.scrape()
        self.assertEqual(got.status, 200, got.body)
        return samples(got.body)

    def value(self, name: str, **labels: str) -> float:
        """One sample; 0 if it is not there."""
        return self.samples().get((name, frozenset(labels.items())), 0.0)

    def of(self, name: str) -> dict[tuple[str, ...], float]:
        """The samples called *name*, by their labels in order; none of asking for metrics."""
        return {
            tuple(value for _, value in sorted(labels)): number
            for (sampled, labels), number in self.samples().items()
            if sampled == name and ("endpoint", "metrics") not in labels
        }


class OutcomeTests(MetricsCase):
    """Each way that a request can go."""

    def test_a_whole_answer(self) -> None:
        """It is counted with its model, its time, its attempt and its tokens."""
        usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11,
                 "prompt_tokens_details": {"cached_tokens": 4}}  # fmt: skip
        self.serve(self.fake("m", answer(completion(usage=usage))))
        self.finish(self.ask())
        labels = ("chat", "m", "success", "2xx")
        self.assertEqual(self.of("yallmp_requests_total"), {labels: 1})
        self.assertEqual(self.of("yallmp_attempts_total"), {("m", "ok"): 1})
        asked = ("chat", "openai", "m")
        self.assertEqual(self.of("gen_ai_server_request_duration_seconds_count"), {asked: 1})
        self.assertEqual(
            self.of("gen_ai_client_token_usage_sum"),
            {("m", *asked, "input"): 9, ("m", *asked, "output"): 2},
        )
        self.assertEqual(self.of("yallmp_cached_input_tokens_total"), {("m", "m"): 4})
        self.assertEqual(self.of("yallmp_overhead_seconds_count"), {("chat",): 1})
        self.assertEqual(self.of("yallmp_streams_total"), {})

    def test_a_stream(self) -> None:
        """Its first content has a time, and it was whole."""
        self.serve(self.fake("m", stream(GOOD_STREAM)))
        self.finish(self.ask(stream=True))
        self.assertEqual(self.of("yallmp_streams_total"), {("m", "whole"): 1})
        asked = ("chat", "openai", "m")
        self.assertEqual(self.of("gen_ai_server_time_to_first_token_seconds_count"), {asked: 1})

    def test_a_stream_that_breaks(self) -> None:
        """It had a first content, and its duration has the outcome."""
        self.serve(self.fake("m", stream((ROLE, chunk("Hel")), end="close")))
        self.finish(self.ask(stream=True))
        self.assertEqual(self.of("yallmp_streams_total"), {("m", "broken"): 1})
        found = {("m", "incomplete"): 2}  # it was asked to go on, and broke again
        self.assertEqual(self.of("yallmp_attempts_total"), found)
        self.assertEqual(self.of("yallmp_rescues_total"), {("m", "failed"): 1})
        asked = ("chat", "openai", "m")
        self.assertEqual(self.of("gen_ai_server_time_to_first_token_seconds_count"), {asked: 1})
        durations = self.of("gen_ai_server_request_duration_seconds_count")
        self.assertEqual(durations, {("incomplete", *asked): 1})
        self.assertEqual(self.of("yallmp_overhead_seconds_count"), {})

    def test_a_stream_that_is_rescued(self) -> None:
        """The broken attempt is its backend's, the stream is rescued."""
        text = "one two three four five six seven eight nine ten eleven twelve"
        words = [chunk(f"{word} ") for word in text.split()]
        self.serve(
            self.fake("a", stream((ROLE, *words[:9]), end="close"), model_name="m"),
            self.fake("b", stream((ROLE, *words, chunk(finish="stop"), DONE)), model_name="m"),
        )
        self.chance = 0.0
        got = self.finish(self.ask(stream=True, temperature=0, seed=1))
        self.assertEqual(got.events[-1], "[DONE]")
        self.assertEqual(self.of("yallmp_rescues_total"), {("a", "rescued"): 1})
        self.assertEqual(self.of("yallmp_streams_total"), {("m", "rescued"): 1})

    def test_a_client_that_leaves(self) -> None:
        """A 4xx with its own outcome; the attempt was cancelled."""
        self.serve(self.fake("m", silent))
        self.ask().leave()
        self.net.pump()
        labels = ("chat", "m", "client_gone", "4xx")
        self.assertEqual(self.of("yallmp_requests_total"), {labels: 1})
        self.assertEqual(self.of("yallmp_attempts_total"), {("m", "cancelled"): 1})
        self.assertEqual(self.of("yallmp_requests_in_flight"), {("m",): 0})

    def test_a_client_that_leaves_in_mid_stream(self) -> None:
        """The stream had begun."""
        self.serve(self.fake("m", stream((ROLE, chunk("Hel")), end="hang")))
        got = self.ask(stream=True)
        self.net.pump()
        got.leave()
        self.net.pump()
        self.assertEqual(self.of("yallmp_streams_total"), {("m", "client_gone"): 1})

    def test_a_repetition_and_a_fallback(self) -> None:
        """Each by the backend that failed, with the reason; pauses are no overhead."""
        self.serve(self.fake("m", reset), self.fake("b"), fallbacks=[("m", ("b",))])
        self.finish(self.ask())
        self.assertEqual(self.of("yallmp_retries_total"), {("m", "disconnected"): 1})
        self.assertEqual(self.of("yallmp_fallbacks_total"), {("m", "disconnected"): 1})
        found = {("m", "disconnected"): 2, ("b", "ok"): 1}
        self.assertEqual(self.of("yallmp_attempts_total"), found)

    def test_a_fallback(self) -> None:
        """By the backend that failed, with the reason."""
        self.serve(self.fake("m", error(401)), self.fake("b"), fallbacks=[("m", ("b",))])
        self.finish(self.ask())
        self.assertEqual(self.of("yallmp_fallbacks_total"), {("m", "auth"): 1})
        self.assertEqual(self.of("yallmp_attempts_total"), {("b", "ok"): 1, ("m", "auth"): 1})
        labels = ("chat", "m", "success", "2xx")
        self.assertEqual(self.of("yallmp_requests_total"), {labels: 1})
        self.assertEqual(self.value("yallmp_breaker_state", backend="m", state="open"), 1)

    def test_a_backend_that_rests(self) -> None:
        """The next request goes round it, for that reason."""
        self.serve(self.fake("m", error(401)), self.fake("b"), fallbacks=[("m", ("b",))])
        for _ in range(2):
            self.finish(self.ask())
        fallbacks = {("m", "auth"): 1, ("m", "resting"): 1}
        self.assertEqual(self.of("yallmp_fallbacks_total"), fallbacks)

    def test_pauses_are_no_overhead(self) -> None:
        """What a request waited on purpose is not counted as the proxy's time."""
        self.serve(self.fake("m", error(500), good))
        self.finish(self.ask())
        self.assertEqual(self.of("yallmp_retries_total"), {("m", "server_error"): 1})
        self.assertLess(self.value("yallmp_overhead_seconds_sum", endpoint="chat"), 0.01)
        durations = self.of("gen_ai_server_request_duration_seconds_sum")
        self.assertGreater(durations["chat", "openai", "m"], 0.1)

    def test_waits_for_a_place(self) -> None:
        """Who waits is in the queue; who waited was served, gave up or was too late."""
        self.serve(self.fake("m", silent, max_in_flight=1, queue_timeout=2.0))
        first, second, third = self.ask(), self.ask(), self.ask()
        self.assertEqual(self.of("yallmp_queue_length"), {("m",): 2})
        second.leave()
        self.net.pump()
        self.finish(third)
        self.assertEqual(third.status, 503)
        waits = {("m", "left"): 1, ("m", "timeout"): 1}
        self.assertEqual(self.of("yallmp_queue_wait_seconds_count"), waits)
        self.assertEqual(self.value("yallmp_requests_in_flight", backend="m"), 1)
        self.assertEqual(self.of("yallmp_queue_length").get(("m",), 0), 0)
        first.leave()
        self.net.pump()

    def test_connections(self) -> None:
        """Of clients those that are open and that came; to backends by whether they wait."""
        self.serve(self.fake("m", silent, good_either))
        waiting = self.ask()
        self.finish(self.ask())
        connections = {("idle",): 1, ("busy",): 1}
        self.assertEqual(self.of("yallmp_backend_connections"), connections)
        self.assertEqual(self.value("yallmp_client_connections_accepted_total"), 2)
        waiting.leave()
        self.net.pump()
        self.assertEqual(self.value("yallmp_backend_connections", state="busy"), 0)
        self.assertEqual(self.value("yallmp_client_connections"), 1)

    def test_what_is_held(self) -> None:
        """A body that waits for its answer is held, and nothing of it is left afterwards."""
        self.serve(self.fake("m", silent))
        waiting = self.ask(user="u" * 1000)
        self.assertGreater(self.value("yallmp_buffered_bytes"), 1000)
        waiting.leave()
        self.net.pump()
        self.assertEqual(self.value("yallmp_buffered_bytes"), 0)
        self.assertEqual(self.value("yallmp_buffer_refusals_total"), 0)


class TwistedClientTests(MetricsCase):
    """With Twisted's own client."""

    http_client = "twisted"

    def test_connections(self) -> None:
        """Those that wait are known."""
        self.serve(self.fake("m"))
        self.finish(self.ask())
        self.assertEqual(self.of("yallmp_backend_connections"), {("idle",): 1})


class LabelTests(MetricsCase):
    """Labels come from the configuration and from us."""

    def test_a_model_that_is_not_configured(self) -> None:
        """What a client makes up is no label."""
        self.serve(self.fake("m"))
        for name in ("made-up-1", "made-up-2", "m\nm", "x" * 300, "\ud800"):
            self.finish(self.ask(model=name))
        self.assertEqual(self.of("yallmp_requests_total")["chat", "unknown", "rejected", "4xx"], 5)
        self.assertNotIn(b"made-up", self.scrape().body)

    def test_a_model_that_is(self) -> None:
        """A request for it that was refused is still one for it."""
        self.serve(self.fake("m"), self.fake("w", model_name="wild/*"))
        self.finish(self.ask(messages=[]))
        self.finish(self.ask(model="wild/thing", messages=[]))
        found = self.of("yallmp_requests_total")
        self.assertEqual(found["chat", "m", "rejected", "4xx"], 1)
        self.assertEqual(found["chat", "wild/*", "rejected", "4xx"], 1)

    def test_other_paths(self) -> None:
        """Each kind has a name, and none is the client's."""
        self.serve(self.fake("m"))
        for path in ("/health", "/v1/models", "/v1/models/m", "/admin/models", "/made/up"):
            self.finish(self.ask(path=path, method="GET"))
        names = {labels[0] for labels in self.of("yallmp_requests_total")}
        self.assertEqual(names, {"health", "models", "admin", "other"})
        self.assertEqual(PATHS["/x" * 9], "other")
        self.assertNotIn("/x" * 9, PATHS)

    def test_keys(self) -> None:
        """A key has its name there, never itself."""
        keys = (Key("alice", "sk-of-alice"),)
        self.serve(self.fake("m"), access=Access(keys=keys, admin_key="sk-admin"))
        self.finish(self.ask(headers={"authorization": "Bearer sk-of-alice"}))
        got = self.scrape(authorization="Bearer sk-admin")
        self.assertIn(b'key="alice",model="m"', got.body)
        self.assertNotIn(b"sk-of", got.body)


class DoorTests(MetricsCase):
    """Metrics are the administration's."""

    def test_who_may_come_in(self) -> None:
        """Only who has the key, if there is one; nobody from a web page."""
        self.serve(self.fake("m"), access=Access(admin_key="sk-admin"))
        self.assertEqual(self.scrape().status, 403)
        self.assertEqual(self.scrape(authorization="Bearer sk-wrong").status, 403)
        self.assertEqual(self.scrape(authorization="Bearer sk-admin").status, 200)

    def test_web_pages(self) -> None:
        """Without a key none gets in, and with one none may read it by CORS."""
        self.serve(self.fake("m"), access=Access(cors_origins=("https://page.example",)))
        got = self.scrape(origin="https://page.example")
        self.assertEqual(got.status, 403)
        self.assertIsNone(got.header("access-control-allow-origin"))

    def test_formats(self) -> None:
        """OpenMetrics for who names it, whatever else stands there; Prometheus's for all others."""
        self.serve(self.fake("m"))
        self.finish(self.ask())
        for accept in ("", "*/*", "text/plain;version=9", ";,=;q", "application/json"):
            got = self.scrape(accept=accept) if accept else self.scrape()
            self.assertEqual(got.header("content-type"), PLAIN.decode())
            self.assertTrue(samples(got.body))
        for accept in (OPEN_TYPE, f"{OPEN_TYPE};version=x.y;q=0,*/*", f"a/b, {OPEN_TYPE}"):
            got = self.scrape(accept=accept)
            self.assertEqual(got.header("content-type"), OPEN.decode())
            self.assertTrue(samples(got.body, parser=open_parser))

    def test_other_methods(self) -> None:
        """405."""
        self.serve(self.fake("m"))
        self.assertEqual(self.finish(self.ask(path="/metrics", method="POST")).status, 405)


def filled(texts: list[str], number: float) -> Reading:
    """A reading with a value in each family, its labels made of *texts*."""
    reading: Reading = {}
    for family in FAMILIES:
        labels = tuple(texts[i % len(texts)] for i in range(len(family.labels)))
        reading[family.name] = {labels: [number] * family.size}
    return reading


TEXT = st.text(max_size=20) | st.text(st.characters(), max_size=5)
NUMBER = st.integers(0, 10**9)


class ExpositionTests(SynchronousTestCase):
    """What is written can be read."""

    @given(st.lists(TEXT, min_size=1, max_size=5), NUMBER)
    def test_any_labels(self, texts: list[str], number: int) -> None:
        """Whatever a name consists of, both formats have it as it is."""
        reading = filled(texts, number)
        for accept, parser in (("", plain_parser), (OPEN_TYPE, open_parser)):
            found = samples(exposition(reading, accept)[1], parser=parser)
            legible = [text.encode("utf-8", "replace").decode() for text in texts]
            labels = {k: legible[i % len(texts)] for i, k in enumerate(REQUESTS.labels)}
            key = REQUESTS.name, frozenset((k, v) for k, v in labels.items() if v)
            self.assertEqual(found[key], number)

    @given(st.lists(st.tuples(TEXT, NUMBER), min_size=1, max_size=5))
    def test_readings_can_be_sent(self, values: list[tuple[str, int]]) -> None:
        """What several processes say is added up after it went through a pipe."""
        readings = [filled([text], number) for text, number in values]
        sent = [read(json.loads(json.dumps(written(each)))) for each in readings]
        self.assertEqual(sent, readings)
        whole = joined(sent)
        for family in FAMILIES:
            total = max(n for _, n in values) if family.greatest else sum(n for _, n in values)
            if not family.labels:
                self.assertEqual(whole[family.name][()][0], total)

    def test_buckets_add_up(self) -> None:
        """A histogram's buckets are cumulative, and the last is the count."""
        counts = Counts(lambda name: None)
        begin = Begin("1", 0.0, "", "", "POST", "/v1/embeddings", "", (), b"")
        for tokens in (0, 1, 2, 4, 5, 10**9, -1, 10**400):
            end = End("1", 1.0, "success", 200, 0, "b", 1, None, Usage(tokens))
            counts.count(begin, "m", (AttemptEnd("1", 1, 1.0, "b"),), end)
        instruments = Instruments()
        instruments.add(counts.read)
        found = samples(exposition(instruments.read(), "")[1])
        buckets = {
            dict(labels)["le"]: value
            for (name, labels), value in found.items()
            if name == f"{TOKENS.name}_bucket"
        }
        self.assertEqual([buckets[le] for le in ("1.0", "4.0", "16.0", "+Inf")], [2, 4, 5, 6])

    def test_a_clock_that_is_set_back(self) -> None:
        """No time is less than nothing."""
        counts = Counts(lambda name: None)
        begin = Begin("1", 0.0, "", "", "POST", "/v1/embeddings", "", (), b"")
        tried = AttemptEnd("1", 1, -9.0, "b", first_content=-9.5, began=-8.0)
        counts.count(begin, "m", (tried,), End("1", -9.0, "success", 200, 0, "b", 1))
        sums = [value[-1] for family, values in counts.read()
                if family.kind is Kind.HISTOGRAM for value in values.values()]  # fmt: skip
        self.assertEqual(sums, [0, 0, 0, 0])

    def test_a_family_has_its_bounds(self) -> None:
        """However many different labels come, the rest is counted together."""
        series = Series(REQUESTS)
        for number in range(MOST_SERIES + 50):
            series[(str(number),) * 5][0] += 1
        self.assertEqual(len(series), MOST_SERIES + 1)
        self.assertEqual(series[("other",) * 5], [50])


class PageTests(SynchronousTestCase):
    """The documentation says what there is."""

    def test_every_metric_is_told(self) -> None:
        """docs/metrics.md has each family with its kind and its labels, and no other."""
        rows = re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", PAGE.read_text("utf-8"), re.M)
        told = {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
        built = {family.name: (family.kind.value, family.labels) for family in FAMILIES}
        self.assertEqual(told, built)

    def test_alerts_name_what_there_is(self) -> None:
        """The examples use metrics that exist."""
        examples = PAGE.read_text("utf-8").split("## Alerts")[1]
        used = set(re.findall(r"\b((?:yallmp|gen_ai)_\w+)", examples))
        suffixes = ("", "_bucket", "_sum", "_count")
        known = {f"{family.name}{suffix}" for family in FAMILIES for suffix in suffixes}
        known |= {label for family in FAMILIES for label in family.labels}
        self.assertEqual(used - known, set())

    def test_names(self) -> None:
        """Counters end in _total, times in _seconds; all are ours or OpenTelemetry's."""
        for family in FAMILIES:
            self.assertTrue(family.name.startswith(("yallmp_", "gen_ai_")))
            self.assertEqual(family.kind is Kind.COUNTER, family.name.endswith("_total"))
