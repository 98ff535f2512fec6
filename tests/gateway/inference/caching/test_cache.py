"""Nobody can tell that an answer was kept or shared, but by its speed: case by case."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pytest

from gateway.deadline import Deadline
from gateway.errors import DeadlineExceeded, FailedPrecondition, Internal, InvalidArgument, ResourceExhausted, Unavailable
from gateway.inference import dtypes
from gateway.inference.caching.cache import PredictionCache
from gateway.inference.caching.store import CacheLimits, CacheStore
from gateway.inference.predictor import Predictor, Trace
from gateway.inference.signature import ModelRef, Prediction, ServedModel, Signature, TensorSpec
from tests.waiting import wait_for

LATEST = ModelRef("m")


def signature(name="serving_default", dtype=dtypes.DOUBLE, rank=1):
    spec = TensorSpec("x", dtype, (None,) * rank)
    return Signature(name, "tensorflow/serving/predict", (spec,), (spec,))


def version(number, name="m", **changes):
    signatures = [signature(**changes), signature("other", **changes)]
    return ServedModel(name, number, {one.name: one for one in signatures})


class FakeCatalog:
    """Knows what the test says: ``latest`` by model, ``labels`` by label, whatever the server may do."""

    def __init__(self):
        self.versions = {("m", 1): version(1), ("m", 2): version(2), ("uncached", 1): version(1, "uncached")}
        self.latest = {"m": 1, "uncached": 1}
        self.labels = {"stable": 1}

    def served(self, model, deadline):
        number = model.version or self.labels.get(model.label) or self.latest[model.name]
        return self.versions[model.name, number]

    refreshed = served


@dataclass
class FakeBackend:
    """Answers ``x + version`` when ``gate`` is open, with a view on something large; the next calls may fail."""

    latest: int = 1
    gate: threading.Event = field(default_factory=threading.Event)
    calls: list[tuple] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    is_shared: bool = False

    def __post_init__(self):
        self.gate.set()

    def predict(self, model, signature, inputs, outputs, deadline):
        number = model.version or self.latest
        failure = self.failures.pop(0) if self.failures else None
        self.calls.append((number, signature.name, inputs["x"].tolist(), outputs))
        if not self.gate.wait(min(10.0, max(0.0, deadline.at_s - time.monotonic()))):
            raise deadline.exceeded()
        if failure is not None:
            raise failure
        y = inputs["x"] if inputs["x"].dtype.hasobject else inputs["x"] + number
        batch = np.concatenate([y, np.zeros((10_000, *y.shape[1:]), y.dtype)])
        return Prediction(model.name, number, signature.name, {"y": batch[: len(y)]}, 0.25, self.is_shared)


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


class Callers:
    """Predicts, here or from threads of their own; every call gives its trace and its outcome."""

    def __init__(self, max_bytes=1 << 20):
        self.catalog, self.backend, self.clock = FakeCatalog(), FakeBackend(), Clock()
        self.store = CacheStore({"m": CacheLimits(100, 60.0)}, max_bytes, self.clock)
        self.trusts_batches = True
        self.news = []
        self.cache = PredictionCache(self.store, self.trusts, self.take_news)
        self.predictor = Predictor(self.catalog, self.backend, self.cache)
        self.pool = ThreadPoolExecutor(32)

    def trusts(self, prediction):
        return self.trusts_batches or not prediction.is_shared

    def take_news(self):
        while self.news:
            self.news.pop()()

    def ask(self, x=1.0, model=LATEST, name="serving_default", outputs=(), timeout_s=10.0):
        trace = Trace(model, name)
        x = x if isinstance(x, np.ndarray) else np.array([x])
        try:
            return trace, self.predictor.predict(trace, lambda signature: {"x": x}, Deadline.after(timeout_s), outputs)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test looks at it
            return trace, error

    def how(self, *args, **kwargs):
        """Where the answer came from, and which version gave it."""
        trace, outcome = self.ask(*args, **kwargs)
        assert isinstance(outcome, Prediction), outcome
        return trace.cache, outcome.version

    def start(self, *args, **kwargs):
        return self.pool.submit(self.ask, *args, **kwargs)

    def hold(self, count, *args, **kwargs):
        """A call that the gate holds, and ``count - 1`` more that ask the same and wait for it."""
        self.backend.gate.clear()
        before = len(self.backend.calls)
        leader = self.start(*args, **kwargs)
        wait_for(lambda: len(self.backend.calls) == before + 1)
        followers = [self.start(*args, **kwargs) for _ in range(count - 1)]
        wait_for(lambda: self.waiting() >= count - 1)
        return [leader, *followers]

    def waiting(self):
        return sum(len(flight.followers) for flight in self.cache._flights.values())


@pytest.fixture
def callers():
    callers = Callers()
    yield callers
    callers.backend.gate.set()
    callers.pool.shutdown()
    assert callers.cache.in_flight == 0


def finished(futures):
    return [future.result(10) for future in futures]


def test_the_same_question_is_answered_without_a_call(callers):
    _, first = callers.ask(3.0)
    trace, second = callers.ask(3.0)
    assert first.outputs["y"].tolist() == second.outputs["y"].tolist() == [4.0]
    assert len(callers.backend.calls) == 1
    assert (trace.cache, trace.version, trace.rows, trace.backend_s, trace.queue_s) == ("hit", 1, 1, 0.0, 0.0)


def test_a_call_is_timed_as_without_a_cache(callers):
    trace, _ = callers.ask()
    assert (trace.cache, trace.queue_s) == ("miss", 0.25)
    assert trace.backend_s != 0.0


@pytest.mark.parametrize(
    "other",
    [
        {"x": 2.0},
        {"x": -0.0},
        {"x": np.array([0.0, 0.0])},
        {"x": np.array([[0.0]])},
        {"x": np.array([0.0], np.float32)},
        {"x": np.array([b"0"], object)},
        {"name": "other"},
        {"outputs": ("y",)},
        {"model": ModelRef("m", version=2)},
    ],
    ids=str,
)
def test_whatever_differs_is_another_question(callers, other):
    one = ModelRef("m", version=1)
    question = {"x": 0.0, "model": one} | other
    callers.ask(0.0, one)
    assert callers.how(**question)[0] == "miss"
    assert callers.how(**question)[0] == "hit"
    assert callers.how(0.0, one)[0] == "hit"


def test_strings_are_answered_from_before(callers):
    text = np.array([b"a", b"bc"], object)
    callers.ask(text)
    assert callers.how(text.copy()) == ("hit", 1)
    assert callers.how(np.array([b"ab", b"c"], object)) == ("miss", 1)


def test_the_answer_is_forgotten_after_its_seconds(callers):
    callers.ask()
    callers.clock.now_s += 60
    assert callers.how() == ("miss", 1)


def test_a_model_that_is_not_named_is_not_kept(callers):
    for _ in range(2):
        trace, prediction = callers.ask(model=ModelRef("uncached"))
        assert (trace.cache, prediction.version) == (None, 1)
    assert len(callers.backend.calls) == 2


def test_a_request_that_names_the_version_gets_the_answer_of_one_that_does_not_and_the_other_way(callers):
    callers.ask(1.0)
    assert callers.how(1.0, ModelRef("m", version=1)) == ("hit", 1)
    callers.ask(2.0, ModelRef("m", version=1))
    assert callers.how(2.0) == ("hit", 1)


def test_what_is_too_large_is_not_kept_and_still_shared(callers):
    small = Callers(max_bytes=65_536)
    large = np.zeros(2000)
    futures = small.hold(4, large)
    small.backend.gate.set()
    assert {outcome.outputs["y"].shape for _, outcome in finished(futures)} == {(2000,)}
    assert small.how(large) == ("miss", 1)
    assert len(small.backend.calls) == 2
    small.pool.shutdown()


def test_what_is_kept_is_no_view_on_a_batch_and_cannot_be_changed(callers):
    for _ in range(2):
        _, prediction = callers.ask()
        assert prediction.outputs["y"].base is None
        with pytest.raises(ValueError, match="read-only"):
            prediction.outputs["y"][0] = 7.0


def test_an_answer_cut_from_a_batch_that_is_not_proven_is_not_kept(callers):
    callers.trusts_batches = False
    callers.backend.is_shared = True
    assert [callers.how(1.0) for _ in range(2)] == [("miss", 1)] * 2
    callers.backend.is_shared = False
    assert [callers.how(1.0) for _ in range(2)] == [("miss", 1), ("hit", 1)]


def test_answers_cut_from_batches_are_dropped_when_the_model_is_not_joined_any_more(callers):
    callers.how(1.0)
    callers.backend.is_shared = True
    callers.how(2.0)
    callers.cache.forget("m")
    callers.cache.forget("uncached")
    callers.backend.is_shared = False
    assert [callers.how(x) for x in (1.0, 2.0)] == [("hit", 1), ("miss", 1)]


def test_a_verdict_of_another_worker_is_taken_before_a_kept_answer_is_given(callers):
    callers.backend.is_shared = True
    callers.how(1.0)
    callers.backend.is_shared = False
    callers.news.append(lambda: callers.cache.forget("m"))
    assert [callers.how(1.0) for _ in range(2)] == [("miss", 1), ("hit", 1)]


def test_identical_questions_that_come_together_share_one_call(callers):
    futures = callers.hold(8)
    callers.backend.gate.set()
    traces, predictions = zip(*finished(futures), strict=True)
    assert len(callers.backend.calls) == 1
    assert [trace.cache for trace in traces] == ["miss"] + ["shared"] * 7
    assert {prediction.outputs["y"].tolist()[0] for prediction in predictions} == {2.0}
    assert all(trace.backend_s == 0.0 and trace.queue_s > 0.0 for trace in traces[1:])


def test_different_questions_do_not_wait_for_each_other(callers):
    callers.hold(2, 1.0)
    waiting = callers.start(2.0)
    wait_for(lambda: len(callers.backend.calls) == 2)
    callers.backend.gate.set()
    assert waiting.result(10)[0].cache == "miss"


@pytest.mark.parametrize("error", [InvalidArgument, FailedPrecondition, Internal, ResourceExhausted])
def test_an_error_is_not_kept_and_those_who_waited_ask_for_themselves(callers, error):
    callers.backend.failures = [error("mine")]
    futures = callers.hold(5)
    callers.backend.gate.set()
    (_, first), *rest = finished(futures)
    assert isinstance(first, error)
    assert [(trace.cache, outcome.version) for trace, outcome in rest] == [("miss", 1)] * 4
    assert callers.how() == ("hit", 1)


def test_what_nobody_foresaw_is_only_its_own_callers(callers):
    callers.backend.failures = [ZeroDivisionError("mine")]
    futures = callers.hold(3)
    callers.backend.gate.set()
    (_, first), *rest = finished(futures)
    assert isinstance(first, ZeroDivisionError)
    assert all(outcome.version == 1 for _, outcome in rest)


def test_a_server_that_is_away_is_asked_once_for_all_and_the_answer_is_not_kept(callers):
    callers.backend.failures = [Unavailable("away", retry_after_s=7)]
    futures = callers.hold(6)
    callers.backend.gate.set()
    errors = [outcome for _, outcome in finished(futures)]
    assert [(str(error), error.retry_after_s) for error in errors] == [("away", 7)] * 6
    assert len({id(error) for error in errors}) == 6
    assert len(callers.backend.calls) == 1
    assert callers.how() == ("miss", 1)


def test_a_caller_with_little_time_does_not_take_the_others_down(callers):
    callers.backend.gate.clear()
    hasty = callers.start(timeout_s=0.3)
    wait_for(lambda: len(callers.backend.calls) == 1)
    followers = [callers.start() for _ in range(5)]
    wait_for(lambda: callers.waiting() == 5)
    assert isinstance(hasty.result(10)[1], DeadlineExceeded)
    wait_for(lambda: len(callers.backend.calls) == 2)
    wait_for(lambda: callers.waiting() == 4)
    callers.backend.gate.set()
    outcomes = finished(followers)
    assert sorted(trace.cache for trace, _ in outcomes) == ["miss"] + ["shared"] * 4
    assert {outcome.version for _, outcome in outcomes} == {1}
    assert len(callers.backend.calls) == 2


def test_one_that_waits_has_a_deadline_of_its_own(callers):
    futures = callers.hold(3)
    trace, outcome = callers.ask(timeout_s=0.05)
    assert isinstance(outcome, DeadlineExceeded)
    assert "50 ms" in outcome.message
    assert (trace.cache, callers.waiting()) == ("shared", 2)
    callers.backend.gate.set()
    assert [outcome.version for _, outcome in finished(futures)] == [1, 1, 1]


def test_one_whose_time_is_up_before_it_waits_is_told_so(callers):
    callers.hold(1)
    assert isinstance(callers.ask(timeout_s=-1.0)[1], DeadlineExceeded)
    callers.backend.gate.set()


class Vanished(BaseException):
    """As GreenletExit, or whatever else ends a request from outside."""


def test_a_caller_that_vanishes_leaves_the_call_to_the_next(callers):
    callers.backend.failures = [Vanished()]
    futures = callers.hold(5)
    callers.backend.gate.set()
    with pytest.raises(Vanished):
        futures[0].result(10)
    assert [outcome.version for _, outcome in finished(futures[1:])] == [1] * 4
    assert sorted(trace.cache for trace, _ in finished(futures[1:]))[0] in ("hit", "miss")
    assert len(callers.backend.calls) == 2


def test_while_the_model_hangs_one_at_a_time_calls_and_each_ends_in_its_own_time(callers):
    callers.backend.gate.clear()
    futures = [callers.start(timeout_s=0.2 + 0.03 * number) for number in range(8)]
    outcomes = [outcome for _, outcome in finished(futures)]
    assert all(isinstance(outcome, DeadlineExceeded) for outcome in outcomes)
    assert len(callers.backend.calls) <= 8


def test_requests_for_a_version_do_not_share_the_call_of_one_that_left_it_open(callers):
    """The open one may be answered by a version that has come meanwhile."""
    futures = callers.hold(2)
    pinned = callers.start(model=ModelRef("m", version=1))
    wait_for(lambda: len(callers.backend.calls) == 2)
    callers.backend.gate.set()
    assert pinned.result(10)[1].version == 1
    finished(futures)


def test_a_new_version_does_not_answer_with_an_old_ones_answer(callers):
    callers.ask()
    callers.backend.latest = callers.catalog.latest["m"] = 2
    assert callers.how() == ("miss", 2)
    assert callers.how() == ("hit", 2)
    assert callers.how(model=ModelRef("m", version=1)) == ("hit", 1)


def test_once_a_new_version_has_answered_the_old_one_does_not_although_the_catalog_is_behind(callers):
    callers.ask(1.0)
    callers.ask(2.0)
    callers.backend.latest = 2
    assert callers.how(1.0) == ("hit", 1)  # nobody here has heard of version 2
    assert callers.how(3.0) == ("miss", 2)
    assert callers.how(1.0) == callers.how(2.0) == callers.how(3.0) == ("miss", 2)
    callers.catalog.latest["m"] = 2
    assert callers.how(1.0) == ("miss", 2)
    assert callers.how(1.0) == ("hit", 2)


def test_a_new_version_that_answered_by_number_is_enough(callers):
    callers.ask(1.0)
    callers.backend.latest = 2
    callers.ask(3.0, ModelRef("m", version=2))
    assert callers.how(1.0) == ("miss", 2)


def test_nothing_is_given_to_the_first_request_that_leaves_the_version_open(callers):
    """What the server would answer to it has not been heard yet."""
    callers.ask(model=ModelRef("m", version=1))
    callers.backend.latest = 2
    assert callers.how() == ("miss", 2)


def test_after_a_rollback_the_old_version_answers_again(callers):
    callers.ask()
    callers.backend.latest = callers.catalog.latest["m"] = 2
    assert callers.how() == ("miss", 2)
    callers.backend.latest = 1
    assert callers.how() == ("hit", 2)  # nobody here has heard of it
    callers.catalog.latest["m"] = 1
    assert callers.how() == ("miss", 1)
    assert callers.how() == ("hit", 1)


def test_a_call_that_began_before_the_new_version_answered_is_not_shared_after_it(callers):
    old = callers.hold(2, 1.0)
    callers.backend.gate.set()
    finished(old)
    callers.clock.now_s += 60
    old = callers.hold(2, 1.0)
    callers.backend.latest = 2
    late = callers.start(3.0)
    wait_for(lambda: callers.backend.calls[-1][0] == 2)
    new_gate, callers.backend.gate = callers.backend.gate, threading.Event()
    callers.backend.gate.set()
    assert callers.how(4.0) == ("miss", 2)
    assert callers.how(1.0) == ("miss", 2)
    new_gate.set()
    assert [outcome.version for _, outcome in finished(old)] == [1, 1]
    assert late.result(10)[1].version == 2
    assert callers.how(1.0) == ("miss", 2)  # the old answer that came last changes nothing


def test_a_version_that_returns_as_another_model_does_not_answer_from_before(callers):
    callers.ask()
    callers.catalog.versions["m", 1] = version(1)
    assert callers.how() == ("miss", 1)
    assert callers.how() == ("hit", 1)


def test_an_answer_of_another_version_than_the_catalogs_is_not_kept_as_if_it_were_its(callers):
    callers.backend.latest = 2
    assert callers.how() == ("miss", 2)
    assert callers.store.entries("m") == 0
    assert callers.how(model=ModelRef("m", version=1)) == ("miss", 1)


def test_labels_are_followed_by_themselves(callers):
    stable = ModelRef("m", label="stable")
    assert callers.how(model=stable) == ("miss", 1)
    assert callers.how(model=stable) == ("hit", 1)
    callers.catalog.labels["stable"] = 2
    callers.backend.latest = 2  # what the fake answers to whoever names no number
    assert callers.how(model=stable) == ("miss", 2)
    assert callers.how(model=stable) == ("hit", 2)
    assert callers.how() == ("miss", 2)


def test_a_rollout_to_another_signature_is_repeated_kept_and_found_again(callers):
    """The catalog is behind: the request is built for version 1, answered by 2, built anew and answered again."""
    callers.catalog.versions["m", 2] = version(2, dtype=dtypes.INT64)
    callers.backend.latest = 2

    def predict():
        trace = Trace(LATEST)
        return trace, callers.predictor.predict(
            trace, lambda signature: {"x": np.array([1], signature.inputs[0].dtype.numpy)}, Deadline.after(5)
        )

    trace, prediction = predict()
    assert (trace.cache, prediction.version, prediction.outputs["y"].dtype) == ("miss", 2, np.int64)
    assert len(callers.backend.calls) == 2
    trace, _ = predict()
    assert (trace.cache, len(callers.backend.calls)) == ("hit", 3)
    callers.catalog.latest["m"] = 2
    assert predict()[0].cache == "hit"
