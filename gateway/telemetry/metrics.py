"""The Prometheus metrics, declared in one place.

Labels are bounded: ``model``, ``version`` and ``signature`` are empty unless the catalog knows them, so that no client can make
new ones. With several workers, ``SharedValues`` (which ``__main__`` uses before this is imported) joins their numbers.

Counters whose labels are known before anything is counted are there as 0 from then on: ``rate()`` does not see the first
event of a counter that appears with it. A gauge without labels is there as 0 from its declaration on, and so is declared when
there is something to show.
"""

import itertools
import platform
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_MODEL = ("model", "version", "signature")
_COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

REQUESTS = Counter("gateway_requests_total", "Predictions asked for, by their HTTP status.", (*_MODEL, "status"))
IN_FLIGHT = Gauge("gateway_in_flight_requests", "Requests being handled, over all workers.", multiprocess_mode="livesum")
REFUSALS = Counter("gateway_refusals_total", "Requests that were refused before they were read, because too many were in work.")
REQUEST_SECONDS = Histogram("gateway_request_seconds", "From a request's arrival to its answer.", _MODEL, buckets=SECONDS)
BACKEND_SECONDS = Histogram("gateway_backend_seconds", "The call of the model server.", _MODEL, buckets=SECONDS)
ROWS = Counter("gateway_rows_total", "Rows predicted.", _MODEL)
BATCH_ROWS = Histogram("gateway_batch_rows", "Rows in one call of the model server.", ("model",), buckets=_COUNTS)
BATCH_REQUESTS = Histogram("gateway_batch_requests", "Requests that share one call.", ("model",), buckets=_COUNTS)
BATCH_QUEUE_SECONDS = Histogram(
    "gateway_batch_queue_seconds",
    "The longest that one of a batch's requests waited for the call.",
    ("model",),
    buckets=SECONDS,
)
QUEUE_ROWS = Gauge(
    "gateway_queue_rows", "Rows that wait for a batch, over all workers.", ("model",), multiprocess_mode="livesum"
)
BATCH_SENT = Counter(
    "gateway_batches_total", "Batches, by why each was sent: idle, next, full, half, alone.", ("model", "reason")
)
BATCH_REFUSALS = Counter("gateway_batch_refusals_total", "Requests refused because the queue was full.")
MODEL_CALL_REFUSALS = Counter(
    "gateway_model_call_refusals_total", "Calls refused because too many of their model were waiting for the model server."
)
BATCH_PROOFS = Counter(
    "gateway_batch_proofs_total",
    "Shared calls compared with their members' own: equal, different, inconclusive.",
    ("model", "outcome"),
)
BATCH_VERDICTS = Counter(
    "gateway_batch_not_joined_total", "Signatures that are not joined any more, because a shared call differed.", _MODEL
)
CACHE_REQUESTS = Counter(
    "gateway_cache_requests_total", "Requests to models whose answers are kept: hit, miss, shared.", ("model", "outcome")
)
CACHE_EVICTIONS = Counter(
    "gateway_cache_evictions_total", "Answers given up before their time, for want of: entries, bytes.", ("model", "reason")
)
CACHE_ENTRIES = Gauge("gateway_cache_entries", "Answers kept, over all workers.", ("model",), multiprocess_mode="livesum")
CACHE_BYTES = Gauge("gateway_cache_bytes", "What they take in memory.", ("model",), multiprocess_mode="livesum")
AUTH = Counter(
    "gateway_auth_total", "Keys that were looked at: ok, missing, malformed, unknown, disabled, expired, conflict.", ("result",)
)
KEY_REQUESTS = Counter(
    "gateway_key_requests_total",
    "Requests by the name of their key: of 100 keys in each worker, and of all others together.",
    ("key", "status"),
)
LIMITED = Counter("gateway_limited_total", "Limits that refused a request, by what they count and whom.", ("unit", "scope"))
LIMIT_OVERFLOWS = Counter("gateway_limit_overflows_total", "Requests that were counted with those of other callers.")
LOG_ROWS = Counter(
    "gateway_prediction_log_rows_total",
    "Rows of the prediction log: offered = unsampled + kept, and kept = written + dropped_* + those that are queued.",
    ("table", "outcome"),
)
LOG_QUEUED_ROWS = Gauge(
    "gateway_prediction_log_queued_rows", "Rows that wait to be written.", ("table",), multiprocess_mode="livesum"
)
TRACES = Counter("gateway_traces_total", "Requests whose traces were kept, and those that were exported.", ("outcome",))
TRACES_DROPPED = Counter(
    "gateway_traces_dropped_total",
    "Requests whose traces were kept and are lost: full (queue), failed (not taken), stop (at the end).",
    ("reason",),
)
ROLLOUT_WEIGHT = Gauge(
    "gateway_rollout_weight", "The canary's part of a model's requests.", ("model",), multiprocess_mode="livemostrecent"
)
ROLLOUT_STATE = Gauge(
    "gateway_rollout_state",
    "1 for the state that a model's rollout is in.",
    ("model", "state"),
    multiprocess_mode="livemostrecent",
)
ROLLOUT_LOG_E = Gauge(
    "gateway_rollout_log_e",
    "What is proven against a canary, as ln E: by error, slow, disagree, and all together.",
    ("model", "metric"),
    multiprocess_mode="livemostrecent",
)
ROLLOUT_EXPOSED = Counter(
    "gateway_rollout_exposed_total", "Cells of a rollout (a caller in 10 s) that had requests, by arm.", ("model", "arm")
)
ROLLOUT_BAD = Counter(
    "gateway_rollout_bad_total", "Those of them that were bad: error, slow, disagree.", ("model", "arm", "metric")
)
ROLLOUT_DECISIONS = Counter(
    "gateway_rollout_decisions_total",
    "What gateways have decided by themselves: refuse, hold, release, step, promote, freeze, rollback.",
    ("model", "decision", "reason"),
)
ROLLOUT_SHADOW = Counter(
    "gateway_rollout_shadow_total",
    "Requests that a canary was asked too: same, different, failed, unanswered, dropped (the queue was full).",
    ("model", "result"),
)
ROLLOUT_SECOND_OPINIONS = Counter(
    "gateway_rollout_second_opinions_total",
    "Faults that the other version was asked about: answered, failed, unchecked.",
    ("model", "result"),
)
MODEL_READY = Gauge(
    "gateway_model_ready",
    "1 when every worker can reach the model, NaN when it is not served and need not be.",
    ("model",),
    multiprocess_mode="livemin",
)
SERVER_ROWS = Gauge(
    "gateway_server_in_flight_rows",
    "Rows of the calls that a model server has in flight, over all workers: of 64 addresses in each worker, and of all others.",
    ("address",),
    multiprocess_mode="livesum",
)
SERVER_CALLS = Counter(
    "gateway_server_calls_total", "Calls of a model server that have ended, by their gRPC status.", ("address", "status")
)
SERVER_IN_ROTATION = Gauge(
    "gateway_server_in_rotation",
    "1 when every worker sends calls to the model server, NaN when it is gone.",
    ("address",),
    multiprocess_mode="livemin",
)
SERVER_EJECTIONS = Counter(
    "gateway_server_ejections_total", "How often a worker has left a model server out for a while.", ("address",)
)
WORKER_DEATHS = Counter("gateway_worker_deaths_total", "Workers that ended without having been told to.")
CPU_SECONDS = Counter("gateway_cpu_seconds_total", "Processor time of the workers.")
RESIDENT_BYTES = Gauge("gateway_resident_memory_bytes", "Memory of the workers, added up.", multiprocess_mode="livesum")
BUILD_INFO = Gauge("gateway_build_info", "1, with the versions as labels.", ("version", "python"), multiprocess_mode="livemax")

_STATUSES: Final = (200, 400, 404, 429, 499, 500, 503, 504)
_CALL_STATUSES: Final = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "RESOURCE_EXHAUSTED"),
    *("FAILED_PRECONDITION", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"),
)
_SENT: Final = ("idle", "next", "full", "half", "alone")


def _begin(counter: Counter, *labels: Iterable[str]) -> None:
    """Have ``counter`` for each combination of ``labels``, as 0."""
    for values in itertools.product(*labels):
        counter.labels(*values)


_begin(AUTH, ("ok", "missing", "malformed", "unknown", "disabled", "expired", "conflict"))
_begin(TRACES, ("kept", "exported"))
_begin(TRACES_DROPPED, ("full", "failed", "stop"))
_begin(LIMITED, ("request", "row", "byte", "model_ms", "parallel"), ("key", "address"))
# What is asked of no model that is known.
_begin(REQUESTS, [""], [""], [""], map(str, _STATUSES[1:]))
REQUEST_SECONDS.labels("", "", "")


def note_build(version: str) -> None:
    """This is ``version`` of the gateway."""
    BUILD_INFO.labels(version, platform.python_version()).set(1)


def begin_signature(model: str, version: int, signature: str) -> None:
    """A signature of a version can be called from now on: its counters, and those of its model, begin at 0."""
    labels = (model, str(version), signature)
    _begin(REQUESTS, *([label] for label in labels), map(str, _STATUSES))
    for metric in (REQUEST_SECONDS, BACKEND_SECONDS, ROWS, BATCH_VERDICTS):
        metric.labels(*labels)
    _begin(BATCH_PROOFS, [model], ("equal", "different", "inconclusive"))
    QUEUE_ROWS.labels(model)
    of_batches(model)


def begin_server(address: str) -> None:
    """There is a model server at ``address``: its counters begin at 0."""
    _begin(SERVER_CALLS, [address], _CALL_STATUSES)
    _begin(SERVER_EJECTIONS, [address])


def begin_rollout(model: str) -> None:
    """A rollout of ``model`` has begun: its counters begin at 0."""
    _begin(ROLLOUT_EXPOSED, [model], ("stable", "baseline", "canary"))
    _begin(ROLLOUT_BAD, [model], ("stable", "canary"), ("error",))
    _begin(ROLLOUT_BAD, [model], ("baseline", "canary"), ("slow",))
    _begin(ROLLOUT_BAD, [model], ("canary",), ("disagree",))
    _begin(ROLLOUT_SHADOW, [model], ("same", "different", "failed", "unanswered", "dropped"))
    _begin(ROLLOUT_SECOND_OPINIONS, [model], ("answered", "failed", "unchecked"))


def count_limited(unit: str, scope: str) -> None:
    """A limit has refused a request."""
    LIMITED.labels(unit, scope).inc()


def note_limit_store(is_up: bool, age_s: float) -> None:
    """Whether Redis shares the limits now, and how many seconds ago it answered last."""
    up, age = _limit_store()
    up.set(is_up)
    age.set(age_s)


@cache
def _limit_store() -> tuple[Gauge, Gauge]:
    # A gauge is there as 0 from its declaration on, in the main process too, which has no leases: its 0 would be the least.
    up = Gauge("gateway_limit_store_up", "1 when Redis shares the limits.", multiprocess_mode="livemin")
    return up, Gauge("gateway_limit_lease_age_seconds", "How long ago Redis answered last.", multiprocess_mode="livemax")


def of_traces(outcome: str) -> Counter:
    """The counter of requests whose traces were ``kept`` or ``exported``, or dropped for the reason ``outcome``."""
    return (TRACES if outcome in ("kept", "exported") else TRACES_DROPPED).labels(outcome)


def note_certificate(expires_s: float) -> None:
    """The certificate that this worker shows is valid until ``expires_s``, in Unix time."""
    _certificate().set(expires_s)


@cache
def _certificate() -> Gauge:
    what = "When the gateway's own certificate, or one of those that signed it, ends, in Unix time."
    return Gauge("gateway_certificate_expires_seconds", what, multiprocess_mode="livemin")


class OfBatches:
    """The metrics of the batches of one model, looked up once."""

    def __init__(self, model: str) -> None:
        self.rows = BATCH_ROWS.labels(model)
        self.requests = BATCH_REQUESTS.labels(model)
        self.queue_seconds = BATCH_QUEUE_SECONDS.labels(model)
        self.sent = {reason: BATCH_SENT.labels(model, reason) for reason in _SENT}

    def count_alone(self, rows: int) -> None:
        """A request of ``rows`` rows was called at once and alone, because its signature is not joined."""
        self.rows.observe(rows)
        self.requests.observe(1)
        self.sent["alone"].inc()


@lru_cache(maxsize=4096)
def of_batches(model: str) -> OfBatches:
    """The metrics of the batches of ``model``."""
    return OfBatches(model)
