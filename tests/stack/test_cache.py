"""Kept answers on real processes: the answer of its version each time, and nothing of an old version after a new one."""

import random
import re
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.stack.test_rollout import drop_in, half_plus_three
from tests.waiting import wait_for

__all__ = ["half_plus_three"]

CLIENTS = 4
NOTICED_S = 30.0  # long: how soon is tested elsewhere
PREDICT = "/v1/models/half_plus_two:predict"
NUMBERS = [float(number) for number in range(6)]


@dataclass(frozen=True)
class Answer:
    began_s: float
    ended_s: float
    version: str
    cache: str


class CheckedLoad:
    """Clients that ask the same few questions without pause; an answer that is not its version's own fails the test."""

    def __init__(self, stack) -> None:
        self.stack = stack
        self.answers: list[Answer] = []
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(CLIENTS)

    def __enter__(self):
        self._calls = [self._pool.submit(self._call, random.Random(seed)) for seed in range(CLIENTS)]
        return self

    def __exit__(self, *exc_info):
        self._stop.set()
        for call in self._calls:
            call.result()
        self._pool.shutdown()

    def _call(self, dice) -> None:
        while not self._stop.is_set():
            x = dice.choice(NUMBERS)
            began_s = time.monotonic()
            response = self.stack.post(PREDICT, {"instances": [x]})
            assert response.status_code == 200, response.text
            version = response.headers["X-Model-Version"]
            assert response.json() == {"predictions": [x / 2 + {"1": 2.0, "2": 3.0}[version]]}
            self.answers.append(Answer(began_s, time.monotonic(), version, response.headers["X-Cache"]))

    def seen(self, version, cache, since_s=0.0):
        """Whether one of the last answers is of this version and came in this way; a client that failed fails here.

        Only those count whose requests began after ``since_s``.
        """
        for call in self._calls:
            if call.done():
                call.result()
        last = [answer for answer in self.answers[-2 * CLIENTS :] if answer.began_s > since_s]
        return any((answer.version, answer.cache) == (version, cache) for answer in last)


def came_after(answers, old, new):
    """The answers of ``old`` to requests that began when one of ``new`` had come."""
    heard_s = min(answer.ended_s for answer in answers if answer.version == new)
    return [answer for answer in answers if answer.version == old and answer.began_s > heard_s]


@pytest.fixture
def cached(make_stack):
    return make_stack(workers=1, cache="half_plus_two:100:600s")


def test_through_a_rollout_and_back_every_answer_is_right_and_none_is_of_before(cached, models_dir, half_plus_three):
    base = models_dir / "half_plus_two"
    with CheckedLoad(cached) as load:
        wait_for(lambda: load.seen("1", "hit"), NOTICED_S)
        drop_in(half_plus_three, base)
        wait_for(lambda: load.seen("2", "hit"), NOTICED_S)
        withdrawn_s = time.monotonic()
        (base / "2").rename(base / "withdrawn")
        wait_for(lambda: load.seen("1", "hit", withdrawn_s), NOTICED_S)
    assert came_after([answer for answer in load.answers if answer.began_s < withdrawn_s], old="1", new="2") == []
    assert came_after([answer for answer in load.answers if answer.began_s > withdrawn_s], old="2", new="1") == []
    shown = cached.get("/metrics").text
    told = {outcome: value(shown, f'requests_total{{model="half_plus_two",outcome="{outcome}"}}') for outcome in WAYS}
    assert told == {outcome: sum(answer.cache == outcome for answer in load.answers) for outcome in WAYS}
    assert value(shown, 'entries{model="half_plus_two"}') >= len(NUMBERS)
    assert value(shown, 'bytes{model="half_plus_two"}') > 0


WAYS = ("hit", "miss", "shared")


def value(shown, series):
    return float(re.search(rf"^gateway_cache_{re.escape(series)} (\S+)$", shown, re.MULTILINE)[1])


def test_a_server_that_returns_with_another_model_under_the_same_number_is_asked_again(cached, models_dir, half_plus_three):
    body = {"instances": [1.0]}
    assert cached.post(PREDICT, body).json() == {"predictions": [2.5]}
    assert cached.post(PREDICT, body).headers["X-Cache"] == "hit"
    cached.server.stop()
    wait_for(lambda: not cached.is_ready())
    shutil.rmtree(models_dir / "half_plus_two" / "1")
    shutil.copytree(half_plus_three, models_dir / "half_plus_two" / "1")
    cached.start_server()
    wait_for(cached.is_ready, 30)
    assert cached.post(PREDICT, body).json() == {"predictions": [3.5]}
