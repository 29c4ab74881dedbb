"""
What is measured: the families of metrics, their labels and their buckets.

Every value of a label comes from a closed set: names from the configuration and models that
were registered, words from our own enumerations.  What a client makes up is never a label.

Names that OpenTelemetry's conventions for generative AI have are used as they are, in
Prometheus's spelling, with their attributes and buckets; all others begin with ``yallmp_``.
Times are seconds.  ``docs/metrics.md`` has them all.
"""

from __future__ import annotations

from enum import Enum

from attrs import frozen


class Kind(Enum):
    """What a family's values are; a gauge may go down."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@frozen
class Family:
    """
    Values under one name.

    ``bounds`` are the upper bounds of a histogram's buckets.  What several processes tell is
    added up; where that makes no sense (``greatest``) the greatest holds.
    """

    name: str
    kind: Kind
    says: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    greatest: bool = False

    @property
    def size(self) -> int:
        """How many numbers a value has: of a histogram each bucket, the rest, and the sum."""
        return len(self.bounds) + 2 if self.kind is Kind.HISTOGRAM else 1


#: OpenTelemetry's, "Semantic conventions for generative AI metrics".
DURATION_BOUNDS = (
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
)  # fmt: skip
FIRST_TOKEN_BOUNDS = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
)  # fmt: skip
TOKEN_BOUNDS = tuple(float(4**power) for power in range(14))
#: Ours.
OVERHEAD_BOUNDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
WAIT_BOUNDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
LAG_BOUNDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

_OPERATION = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")

REQUESTS = Family(
    "yallmp_requests_total", Kind.COUNTER, "Requests that are over.",
    ("endpoint", "model", "outcome", "status_class", "key"),
)  # fmt: skip
DURATION = Family(
    "gen_ai_server_request_duration_seconds", Kind.HISTOGRAM,
    "Requests that were forwarded, from their arrival to their end.",
    (*_OPERATION, "error_type"), DURATION_BOUNDS,
)  # fmt: skip
FIRST_TOKEN = Family(
    "gen_ai_server_time_to_first_token_seconds", Kind.HISTOGRAM,
    "Streams, from the request's arrival to the first content that went out.",
    _OPERATION, FIRST_TOKEN_BOUNDS,
)  # fmt: skip
TOKENS = Family(
    "gen_ai_client_token_usage", Kind.HISTOGRAM,
    "Tokens of a request, as its backend told them.",
    (*_OPERATION, "gen_ai_token_type", "backend"), TOKEN_BOUNDS,
)  # fmt: skip
CACHED_TOKENS = Family(
    "yallmp_cached_input_tokens_total", Kind.COUNTER,
    "Input tokens that the backend says it had in its cache.", ("model", "backend"),
)  # fmt: skip
OVERHEAD = Family(
    "yallmp_overhead_seconds", Kind.HISTOGRAM,
    "Requests that went well: their time without that of attempts and waits.",
    ("endpoint",), OVERHEAD_BOUNDS,
)  # fmt: skip
ATTEMPTS = Family(
    "yallmp_attempts_total", Kind.COUNTER, "Tries of a backend that are over.",
    ("backend", "result"),
)  # fmt: skip
ATTEMPT_TIMES = Family(
    "yallmp_attempt_duration_seconds", Kind.HISTOGRAM,
    "Tries of a backend, from sending to the end.", ("backend",), DURATION_BOUNDS,
)  # fmt: skip
FALLBACKS = Family(
    "yallmp_fallbacks_total", Kind.COUNTER,
    "Moves to the next backend of a route, by the backend that was left and why.",
    ("backend", "reason"),
)  # fmt: skip
RETRIES = Family(
    "yallmp_retries_total", Kind.COUNTER,
    "Repetitions within a model's own backends, by the backend that failed and why.",
    ("backend", "reason"),
)  # fmt: skip
RESCUES = Family(
    "yallmp_rescues_total", Kind.COUNTER,
    "Broken streams that another backend was asked to go on with, by the backend that broke.",
    ("backend", "result"),
)  # fmt: skip
STREAMS = Family(
    "yallmp_streams_total", Kind.COUNTER, "Streams that had begun, by how they ended.",
    ("model", "verdict"),
)  # fmt: skip
BREAKERS = Family(
    "yallmp_breaker_state", Kind.GAUGE,
    "How many processes have a backend's breaker in this state.", ("backend", "state"),
)  # fmt: skip
IN_FLIGHT = Family(
    "yallmp_requests_in_flight", Kind.GAUGE, "Requests that a backend has now.", ("backend",)
)
QUEUED = Family(
    "yallmp_queue_length", Kind.GAUGE, "Requests that wait for a place at a backend.", ("backend",)
)
QUEUE_WAITS = Family(
    "yallmp_queue_wait_seconds", Kind.HISTOGRAM,
    "Waits for a place at a backend that are over.", ("backend", "result"), WAIT_BOUNDS,
)  # fmt: skip
CLIENTS = Family("yallmp_client_connections", Kind.GAUGE, "Connections of clients that are open.")
CLIENTS_CAME = Family(
    "yallmp_client_connections_accepted_total", Kind.COUNTER, "Connections of clients that came."
)
CLIENTS_REFUSED = Family(
    "yallmp_client_connections_refused_total",
    Kind.COUNTER,
    "Connections of clients that there was no room for.",
)
BUFFERED = Family(
    "yallmp_buffered_bytes",
    Kind.GAUGE,
    "Bodies, answers, held streams and what clients have not read yet.",
)
BUFFERS_REFUSED = Family(
    "yallmp_buffer_refusals_total", Kind.COUNTER, "How often there was no room in memory."
)
BACKEND_CONNECTIONS = Family(
    "yallmp_backend_connections", Kind.GAUGE,
    "Connections to backends that are open; idle ones wait for their next request.", ("state",),
)  # fmt: skip
TIMERS = Family("yallmp_reactor_timers", Kind.GAUGE, "Timers that are set, for whatever purpose.")
RECORDS = Family(
    "yallmp_records_total", Kind.COUNTER, "Records that were handed over to be written.", ("kind",)
)
RECORDS_LOST = Family(
    "yallmp_records_lost_total", Kind.COUNTER,
    "Records that were given up, by what was in the way.", ("reason",),
)  # fmt: skip
LINES_LOST = Family(
    "yallmp_log_lines_lost_total", Kind.COUNTER,
    "Lines that the daemon's own log could not take.",
)  # fmt: skip
LAG = Family(
    "yallmp_reactor_lag_seconds", Kind.HISTOGRAM,
    "How late a timer was that is set twice a second.", bounds=LAG_BOUNDS,
)  # fmt: skip
RELOADED = Family(
    "yallmp_config_last_reload_success_timestamp_seconds", Kind.GAUGE,
    "When the configuration in force was read (POSIX time).", greatest=True,
)  # fmt: skip
RELOADS_FAILED = Family(
    "yallmp_config_reload_failures_total", Kind.COUNTER,
    "Reloads that changed nothing, since what was read cannot be used.",
)  # fmt: skip
WORKERS = Family("yallmp_workers", Kind.GAUGE, "Processes that are to serve.")
WORKERS_TOLD = Family(
    "yallmp_workers_reporting", Kind.GAUGE,
    "Processes whose gauges are in this answer; the others did not answer in time.",
)  # fmt: skip
WORKERS_ENDED = Family(
    "yallmp_worker_restarts_total", Kind.COUNTER,
    "Workers that ended although nobody asked them to, and were followed by another.",
)  # fmt: skip
BUILD = Family(
    "yallmp_build_info", Kind.GAUGE, "What runs here; always 1.",
    ("version", "python", "twisted", "reactor", "http_client"), greatest=True,
)  # fmt: skip

FAMILIES = (
    REQUESTS, DURATION, FIRST_TOKEN, TOKENS, CACHED_TOKENS, OVERHEAD, ATTEMPTS, ATTEMPT_TIMES,
    FALLBACKS, RETRIES, RESCUES, STREAMS, BREAKERS, IN_FLIGHT, QUEUED, QUEUE_WAITS, CLIENTS,
    CLIENTS_CAME, CLIENTS_REFUSED, BUFFERED, BUFFERS_REFUSED, BACKEND_CONNECTIONS, RECORDS,
    RECORDS_LOST, LINES_LOST, LAG, TIMERS, RELOADED, RELOADS_FAILED, WORKERS, WORKERS_TOLD,
    WORKERS_ENDED, BUILD,
)  # fmt: skip
BY_NAME = {family.name: family for family in FAMILIES}
