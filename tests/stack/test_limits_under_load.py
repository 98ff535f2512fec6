"""Limits over HTTP with many clients, several workers and several gateways; with LONG_TESTS=1 for minutes."""

import asyncio
import os
import statistics
import threading
import time
from contextlib import ExitStack

import pytest

from tests.gateway.access.limits.redis_server import RedisServer
from tests.stack.held_gateway import held_gateway
from tests.stack.limit_load import ask, fewest_in_full, surely_in

IS_LONG = os.environ.get("LONG_TESTS") == "1"
PERIOD_S = 60 if IS_LONG else 3
AMOUNT, CLIENTS, WORKERS = 100, 64, 4
LIMIT = f"{AMOUNT}/{PERIOD_S}s"
# By so much may gateways exceed the limit that have lost Redis: one for each worker, or a second's part of the limit.
MORE = max(WORKERS, AMOUNT // PERIOD_S)
LOSSES = [(2, "kill", "start"), (1, "hang", "go_on"), (2, "hang", "go_on"), (1, "kill", "start")]

pytestmark = pytest.mark.timeout(900 if IS_LONG else 120)


@pytest.fixture
def redis(tmp_path):
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def gateways(tmp_path):
    """Starts gateways that have four workers together."""
    with ExitStack() as stack:

        def start(number: int, **settings: object):
            folders = [tmp_path / f"gateway{one}" for one in range(number)]
            for folder in folders:
                folder.mkdir()
            limits = {"address_limits": LIMIT, **settings}
            return [stack.enter_context(held_gateway(folder, WORKERS // number, **limits)) for folder in folders]

        yield start


def load(running, seconds):
    exchanges = asyncio.run(ask([gateway.port for gateway in running], CLIENTS, seconds))
    assert {one.status for one in exchanges} == {200, 429}
    times_ms = sorted((one.answered_s - one.sent_s) * 1000 for one in exchanges)
    print(
        f"{len(exchanges)} requests, p50 {statistics.median(times_ms):.1f} ms, p99 {times_ms[len(times_ms) * 99 // 100]:.1f} ms"
    )
    return [one for one in exchanges if one.status == 200]


def test_four_workers_admit_in_every_period_no_more_than_the_limit_and_in_each_full_one_no_fewer_than_95(gateways):
    admitted = load(gateways(1), 3 * PERIOD_S + 1)
    assert surely_in(PERIOD_S, admitted) <= AMOUNT
    assert fewest_in_full(PERIOD_S, admitted, admitted[0].sent_s + 3 * PERIOD_S) >= 95


@pytest.mark.parametrize(("number", "lose", "restore"), LOSSES if IS_LONG else LOSSES[:1])
def test_a_redis_that_is_lost_in_the_middle_fails_no_request_and_the_limit_is_exact_again_when_it_is_back(
    gateways, redis, number, lose, restore
):
    running = gateways(number, redis_url=redis.url)
    restored_s = []

    def disturb():
        # The load's own schedule, which goes on meanwhile.
        time.sleep(1.5 * PERIOD_S)
        getattr(redis, lose)()
        time.sleep(1.5 * PERIOD_S)
        getattr(redis, restore)()
        restored_s.append(time.monotonic())

    thread = threading.Thread(target=disturb)
    thread.start()
    admitted = load(running, 5 * PERIOD_S + 4)
    thread.join()
    # A gateway that has just started does not know at once that it is not alone.
    settled = [one for one in admitted if one.sent_s > admitted[0].sent_s + PERIOD_S / 2]
    assert surely_in(PERIOD_S, settled) <= AMOUNT + MORE
    exact = [one for one in admitted if one.sent_s > restored_s[0] + 3]
    assert exact
    assert surely_in(PERIOD_S, exact) <= AMOUNT
    for gateway in running:
        log = gateway.log.read_text()
        assert log.count("limits.store_lost") == log.count("limits.store_found") == 1, log


def test_a_redis_that_is_not_there_is_told_in_one_line_and_the_limits_hold_without_it(gateways, redis):
    redis.kill()
    [gateway] = gateways(1, redis_url=redis.url)
    admitted = load([gateway], PERIOD_S)
    assert surely_in(PERIOD_S, admitted) <= AMOUNT
    assert gateway.log.read_text().count("limits.store_lost") == 1
