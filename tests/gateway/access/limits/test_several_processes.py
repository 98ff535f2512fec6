"""What holds however many workers and gateways count, as real processes; with LONG_TESTS=1 for minutes."""

import os
import time

import pytest

from tests.gateway.access.limits.redis_server import RedisServer
from tests.gateway.access.limits.workers import Load, Running, fewest_in_full, most_in

IS_LONG = os.environ.get("LONG_TESTS") == "1"
PERIOD_S = 60 if IS_LONG else 3
LOSSES = [(1, "kill", "start"), (4, "hang", "go_on"), (1, "hang", "go_on"), (4, "kill", "start")]
LIMIT = f"100/{PERIOD_S}s"
AMOUNT = 100
# By so much may four gateways exceed the limit while they do not see each other: one each, or a second's part of the limit.
MORE = max(4, AMOUNT // PERIOD_S)
S = 10**9

pytestmark = pytest.mark.timeout(900 if IS_LONG else 120)


@pytest.fixture
def redis(tmp_path):
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


def run(loads, meanwhile=lambda: None):
    """The sorted times that all gateways of ``loads`` admitted, and their logs, after ``meanwhile`` was done beside them."""
    gateways = [Running(load) for load in loads]
    for gateway in gateways:
        gateway.wait_until_ready()
    meanwhile()
    results = [result for gateway in gateways for result in gateway.results()]
    assert sum(result["refused"] for result in results) > 0
    print({name: max(result[name] for result in results) for name in ("longest_us", "p99_us")})
    return sorted(at for result in results for at in result["admitted"]), [gateway.log for gateway in gateways]


def test_four_workers_admit_in_every_period_no_more_than_the_limit_and_in_each_full_one_no_fewer_than_95():
    seconds = 3 * PERIOD_S + 2
    admitted, _ = run([Load(LIMIT, seconds)])
    assert most_in(PERIOD_S, admitted) == AMOUNT
    assert fewest_in_full(PERIOD_S, admitted, admitted[0] + 3 * PERIOD_S * S) >= 95


def test_a_worker_that_is_killed_neither_stops_the_others_nor_lets_more_in():
    # A thousand kills would find one within the lock; that is tried with one worker in test_table.
    admitted, _ = run([Load(LIMIT, 2 * PERIOD_S + 1, kill_after_s=PERIOD_S / 2)])
    # What the killed one admitted is not printed, and counted.
    assert most_in(PERIOD_S, admitted) <= AMOUNT
    assert any(at > admitted[0] + PERIOD_S * S for at in admitted)


@pytest.mark.parametrize("gateways", [1, 2])
def test_gateways_that_share_a_redis_admit_no_more_than_the_limit(redis, gateways):
    loads = [Load(LIMIT, 3 * PERIOD_S + 2, workers=4 // gateways, clients=64 // gateways, redis=redis.url)] * gateways
    admitted, logs = run(loads)
    # A gateway that has just started does not know at once that it is not alone.
    started = most_in(PERIOD_S, admitted)
    assert started <= AMOUNT + (0 if gateways == 1 else AMOUNT // 10)
    settled = [at for at in admitted if at > admitted[0] + PERIOD_S * S / 2]
    assert most_in(PERIOD_S, settled) <= AMOUNT
    assert fewest_in_full(PERIOD_S, admitted, admitted[0] + 3 * PERIOD_S * S) >= 95
    assert logs == [""] * gateways


@pytest.mark.parametrize(("gateways", "lose", "restore"), LOSSES if IS_LONG else LOSSES[:2])
def test_without_redis_the_gateways_go_on_with_their_shares_and_are_exact_again_when_it_is_back(redis, gateways, lose, restore):
    lost_s, back_s = 1.5 * PERIOD_S, 3.5 * PERIOD_S
    restored_ns = []

    def meanwhile():
        # The load's own schedule: it goes on for as many seconds as it was told.
        began_s = time.monotonic()
        time.sleep(lost_s)
        getattr(redis, lose)()
        time.sleep(began_s + back_s - time.monotonic())
        getattr(redis, restore)()
        restored_ns.append(time.monotonic_ns())

    loads = [Load(LIMIT, 6 * PERIOD_S + 3, workers=4 // gateways, clients=64 // gateways, redis=redis.url)] * gateways
    admitted, logs = run(loads, meanwhile)
    settled = [at for at in admitted if at > admitted[0] + PERIOD_S * S / 2]
    assert most_in(PERIOD_S, settled) <= AMOUNT + MORE
    exact = [at for at in admitted if at > restored_ns[0] + 3 * S]
    assert exact
    assert most_in(PERIOD_S, exact) <= AMOUNT
    assert fewest_in_full(PERIOD_S, admitted, admitted[0] + 6 * PERIOD_S * S) >= 95
    for log in logs:
        assert log.count("limits.store_lost") == log.count("limits.store_found") == 1, log
