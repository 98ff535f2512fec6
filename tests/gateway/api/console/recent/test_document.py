"""The document: right figures in columns, only of the models that its reader may see, and small for a thousand models."""

import gzip
import json
import random

import numpy as np
import orjson
import pytest

from gateway.api.console.recent.counts import RolloutNumbers
from gateway.api.console.recent.document import MOST_RECENT, document
from gateway.api.console.recent.figures import rounded
from gateway.api.console.recent.own_place import OwnPlace
from gateway.api.console.recent.ring import Ring
from gateway.api.console.recent.trail import ARMS, BAD, LOG_E, MOST_POINTS, Trail
from tests.gateway.api.console.recent.counted import Counted, everybody

MOST_ZIPPED = 64 * 1024


class Recorded:
    """What was counted, recorded and read."""

    def __init__(self) -> None:
        self.counted = Counted()
        self.place = OwnPlace()
        self.ticking = self.counted.ticking(self.place)
        self.ring = Ring(self.place)
        self.tick(0)

    def tick(self, seconds: float = 1.0) -> None:
        self.counted.go_on(seconds)
        self.ticking.tick((), {})
        self.ring.read()

    def document(self, may_see=everybody, since_s=0.0, model="", trail=None) -> dict:
        """As it is sent."""
        return json.loads(encoded(document(self.ring, trail, since_s=since_s, model=model, may_see=may_see)))


def encoded(told: dict) -> bytes:
    return orjson.dumps(told, option=orjson.OPT_SERIALIZE_NUMPY)


@pytest.fixture
def recorded():
    return Recorded()


def test_nothing_is_recorded_yet(recorded):
    told = recorded.document(model="m")
    assert (told["t"], told["now"], told["since"]) == ([], None, None)
    assert told["total"]["requests"] == told["total"]["p95_ms"] == []
    assert (told["recent"], told["model"], told["rollout"]) == ({}, {"name": "m", "versions": {}}, None)


def test_the_columns_are_per_second_and_null_where_nothing_is_known(recorded):
    recorded.counted.ask(count=6, seconds=0.004)
    recorded.counted.ask(status=500, count=2, seconds=0.04)
    recorded.tick(2)
    recorded.tick()
    told = recorded.document()
    assert told["total"] == {
        "requests": [4, 0],
        "failed": [1, 0],
        "refused": [0, 0],
        "p50_ms": [pytest.approx(4.167, abs=0.001), None],
        "p95_ms": [pytest.approx(45, abs=0.01), None],
        "in_flight": [0, 0],
        "queue_rows": [0, 0],
    }
    assert told["now"] == told["t"][-1] == told["since"] + 1
    assert told["recent"] == {
        "m": {
            "1": {
                "requests_s": pytest.approx(2.667),
                "failed_s": pytest.approx(0.6667),
                "refused_s": 0,
                "rows_s": 2,
                "p50_ms": pytest.approx(4.167, abs=0.001),
                "p95_ms": pytest.approx(45, abs=0.01),
            }
        }
    }


def test_only_what_is_later_is_told_and_everything_after_a_change_of_the_clock(recorded):
    for _ in range(5):
        recorded.counted.ask()
        recorded.tick()
    times = recorded.document()["t"]
    for place, since_s in enumerate(times):
        told = recorded.document(since_s=since_s, model="m")
        assert told["t"] == times[place + 1 :]
        assert len(told["total"]["requests"]) == len(told["model"]["versions"]["1"]["failed"]) == len(told["t"])
    assert recorded.document(since_s=times[-1] + 100)["t"] == times


def test_recent_figures_are_of_ten_seconds(recorded):
    recorded.counted.ask("old", count=5)
    recorded.tick()
    for _ in range(10):
        recorded.counted.ask("new", count=5)
        recorded.tick()
    told = recorded.document(model="old")
    assert list(told["recent"]) == ["new"]
    assert told["recent"]["new"]["1"]["requests_s"] == 5
    assert sum(told["model"]["versions"]["1"]["requests"]) == 5


def test_a_model_is_told_by_its_versions(recorded):
    recorded.counted.ask("m", "1", count=3)
    recorded.tick()
    recorded.counted.ask("m", "2", status=404, count=2)
    recorded.counted.ask("n", "2", count=9)
    recorded.tick()
    versions = recorded.document(model="m")["model"]["versions"]
    assert {name: (columns["requests"], columns["refused"]) for name, columns in versions.items()} == {
        "1": ([3, 0], [0, 0]),
        "2": ([0, 2], [0, 2]),
    }


def test_who_may_see_some_models_gets_their_totals(recorded):
    recorded.counted.ask("mine", count=3, seconds=0.004)
    recorded.counted.ask("theirs", count=50, seconds=5.0)
    recorded.counted.set("gateway_in_flight_requests", value=7)
    recorded.counted.set("gateway_queue_rows", "mine", value=2)
    recorded.counted.set("gateway_queue_rows", "theirs", value=80)
    recorded.counted.set("gateway_refusals_total", value=5)
    recorded.tick()
    told = recorded.document(may_see=lambda model: model == "mine")
    assert "theirs" not in json.dumps(told)
    total = told["total"]
    assert (total["requests"], total["queue_rows"], total["in_flight"]) == ([3], [2], [None])
    assert total["p95_ms"][0] < 5
    everything = recorded.document()["total"]
    assert (everything["requests"], everything["queue_rows"], everything["in_flight"]) == ([58], [82], [7])


def test_whose_requests_they_were_is_unknown_after_a_takeover(recorded):
    recorded.counted.ask(count=4)
    recorded.tick()
    recorded.ticking = recorded.counted.ticking(recorded.place)
    recorded.counted.ask(count=6)
    recorded.tick()
    recorded.counted.ask(count=5)
    recorded.tick()
    told = recorded.document(model="m")
    assert told["total"]["requests"] == [4, 6, 5]
    assert told["model"]["versions"]["1"]["requests"] == [4, None, 5]
    assert recorded.document(may_see=lambda model: model == "m")["total"]["requests"] == [4, None, 5]
    assert told["recent"]["m"]["1"]["requests_s"] == 4.5  # of the two seconds of which it is known


def a_long_trail() -> Trail:
    trail = Trail("model1", "plan", [0.0] * 8)
    rng = np.random.default_rng(1)
    for second in range(MOST_POINTS - 1):
        numbers = RolloutNumbers(
            float(rng.uniform()),
            dict(zip(LOG_E, rng.uniform(-9, 9, 4).tolist(), strict=True)),
            dict.fromkeys(ARMS, 10.0 * second),
            dict.fromkeys(BAD, 1.0 * second),
        )
        trail.add(1000.0 + second, numbers, dict(zip("1234", rounded(rng.uniform(0, 1000, 4)).tolist(), strict=True)))
    return trail


def test_of_a_thousand_models_the_document_stays_small(recorded):
    rng = random.Random(1)
    for number in range(700):
        for model in {1, *rng.sample(range(1000), 250 if number >= 680 else 0)}:
            for version in range(3 + 9 * (model == 1)):
                seconds = rng.lognormvariate(-4, 2)
                recorded.counted.ask(f"model{model}", str(version), rng.choice((200, 400, 500)), seconds, rng.randint(1, 99))
        recorded.tick(rng.uniform(0.9, 1.1))
    told = document(recorded.ring, a_long_trail(), since_s=0.0, model="model1", may_see=everybody)
    assert len(told["recent"]) > 100
    assert sum(map(len, told["recent"].values())) == MOST_RECENT
    assert len(told["model"]["versions"]) == 8
    assert len(told["t"]) > 540
    assert len(gzip.compress(encoded(told), 5)) <= MOST_ZIPPED
    of_some = document(recorded.ring, None, since_s=0.0, model="", may_see=lambda name: name.startswith("model1"))
    assert len(gzip.compress(encoded(of_some), 5)) <= MOST_ZIPPED
