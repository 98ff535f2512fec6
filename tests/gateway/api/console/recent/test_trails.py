"""The trail of a rollout: all of its life, in a bounded number of points, whoever records it."""

import math

import pytest

from gateway.api.console.recent.counts import NAMES, Layout
from gateway.api.console.recent.own_place import OwnPlace
from gateway.api.console.recent.shared_place import SharedPlace
from gateway.api.console.recent.trail import MOST_POINTS
from gateway.api.console.recent.trails import MOST, TrailReader
from gateway.telemetry import metrics
from gateway.telemetry.reading.numbers import Key
from gateway.telemetry.reading.process import ProcessReader
from tests.gateway.api.console.recent.counted import Counted

PLANS = {"m": "plan-1"}


@pytest.fixture
def counted():
    return Counted()


def expose(counted: Counted, cells: int, bad: int, log_e: float = 0.0, weight: float = 0.1) -> None:
    """Count what a rollout counts: of both arms."""
    for arm in ("stable", "canary"):
        counted.numbers[Key("gateway_rollout_exposed_total", (arm, "m"))] += cells
    counted.numbers[Key("gateway_rollout_bad_total", ("canary", "error", "m"))] += bad
    counted.set("gateway_rollout_weight", "m", value=weight)
    counted.set("gateway_rollout_log_e", "error", "m", value=log_e)


def trail_of(place, model="m") -> dict | None:
    trail = TrailReader(place).of(model)
    return None if trail is None else trail.columns(0.0)


def test_a_trail_has_what_happened_since_the_rollout_began(counted):
    place = OwnPlace()
    ticking = counted.ticking(place)
    expose(counted, 500, 40)  # of a rollout before
    ticking.tick((), {})
    assert trail_of(place) is None
    for step in range(4):
        expose(counted, 10, 1, log_e=step / 2, weight=0.25)
        counted.ask("m", "2", seconds=0.004, count=5)
        counted.ask("n", "9", count=5)
        counted.go_on()
        ticking.tick((), PLANS)
    told = trail_of(place)
    assert told["plan"] == "plan-1"
    assert told["t"] == [1001, 1002, 1003, 1004]
    assert told["weight"] == [0.25] * 4
    assert told["log_e"]["error"] == [0, 0.5, 1, 1.5]
    assert told["log_e"]["all"] == [None] * 4
    assert told["exposed"] == {"stable": [0, 10, 20, 30], "baseline": [0] * 4, "canary": [0, 10, 20, 30]}
    assert told["bad"]["canary error"] == [0, 1, 2, 3]
    assert told["p95_ms"] == {"2": [4.875] * 4}


@pytest.mark.parametrize("seconds", [10, MOST_POINTS, 1000, 5000])
def test_a_long_trail_has_its_beginning_and_its_end(counted, seconds):
    place = OwnPlace()
    ticking = counted.ticking(place)
    for _ in range(seconds):
        expose(counted, 1, 0)
        ticking.tick((), PLANS)
        counted.go_on()
    told = trail_of(place)
    assert min(seconds, MOST_POINTS // 2) <= len(told["t"]) <= 300
    assert (told["t"][0], told["t"][-1]) == (1000, 1000 + seconds - 1)
    assert told["t"] == sorted(set(told["t"]))
    assert told["exposed"]["canary"] == [int(t - 1000) for t in told["t"]]


def test_another_recorder_goes_on_with_it(counted, tmp_path):
    ticking = counted.ticking(SharedPlace(tmp_path))
    for step in range(6):
        if step == 3:
            ticking = counted.ticking(SharedPlace(tmp_path))
        expose(counted, 2, 1)
        counted.go_on()
        ticking.tick((), PLANS)
    told = trail_of(SharedPlace(tmp_path))
    assert told["exposed"]["canary"] == [0, 2, 4, 6, 8, 10]
    assert len(told["t"]) == 6


def test_the_last_point_of_a_rollout_stays_until_the_next_one(counted):
    place = OwnPlace()
    ticking = counted.ticking(place)
    for step in range(MOST_POINTS + 2):  # so that not every second is kept any more
        expose(counted, 1, 0, log_e=step)
        ticking.tick((), PLANS)
        counted.go_on()
    counted.set("gateway_rollout_weight", "m", value=math.nan)
    ticking.tick((), {})
    counted.go_on()
    ticking.tick((), {})
    ended = trail_of(place)
    assert ended["log_e"]["error"][-1] == MOST_POINTS + 1
    assert ended["weight"][-1] == 0.1
    expose(counted, 5, 0)
    ticking.tick((), {"m": "plan-2"})
    told = trail_of(place)
    assert (told["plan"], told["exposed"]["canary"]) == ("plan-2", [0])


def test_many_rollouts_are_all_written_in_the_end_and_the_oldest_ones_go(counted, tmp_path):
    place = SharedPlace(tmp_path)
    ticking = counted.ticking(place)
    plans = {f"model{number}": "plan" for number in range(MOST)}
    for _ in range(MOST):
        ticking.tick((), plans)
        counted.go_on()
    assert all(trail_of(place, model) for model in plans)
    more = {f"more{number}": "plan" for number in range(10)}
    for _ in range(MOST):
        ticking.tick((), more)
        counted.go_on()
    assert all(trail_of(place, model) for model in more)
    assert len(place.names("console_rollout_")) == MOST


def test_the_names_and_labels_are_those_of_the_metrics():
    """The recorder reads what rollouts really show."""
    metrics.begin_rollout("named")
    metrics.ROLLOUT_EXPOSED.labels("named", "canary").inc(3)
    metrics.ROLLOUT_BAD.labels("named", "canary", "disagree").inc(2)
    metrics.ROLLOUT_WEIGHT.labels("named").set(0.5)
    metrics.ROLLOUT_LOG_E.labels("named", "all").set(1.5)
    metrics.begin_signature("named", 7, "serving_default")
    reading = ProcessReader(NAMES).read()
    layout = Layout()
    assert ("named", "7") in layout.counts(reading).versions
    found = layout.rollout(reading, "named")
    assert (found.weight, found.log_e["all"], found.exposed["canary"]) == (0.5, 1.5, 3)
    assert found.bad["canary", "disagree"] == 2
