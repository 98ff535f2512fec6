"""Leases of gateways in one process, from a real Redis which is killed, stopped and emptied."""

import asyncio
import re
import socket
from itertools import product

import pytest
from redis.asyncio import Redis

from gateway.access.limits.leases import Leases
from gateway.access.limits.limiter import Limiter
from gateway.access.limits.table import LimitTable
from gateway.errors import RateLimited
from tests.event_loop import on_loop, until
from tests.gateway.access.limits.redis_server import RedisServer
from tests.gateway.access.limits.workers import Load, Running
from tests.waiting import free_port

CLOCK = "{gateway-limits}:clock"


def for_each(*cases):
    """The async test of a Redis's URL and a case, as one of all cases at the same time: most of it waits.

    Each case has a database of the same Redis for itself, in which nothing of the others counts.
    """

    def make(test):
        async def check(url, case):
            try:
                await test(url, *([case] if isinstance(case, str) else case))
            except BaseException as error:
                error.add_note(f"with {case}")
                raise

        async def run(redis):
            async with asyncio.TaskGroup() as group:
                for number, case in enumerate(cases):
                    group.create_task(check(redis.database(number), case))

        return run

    return make


@pytest.fixture
def redis(tmp_path):
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


class Gateway:
    """One worker, and all there is of its gateway."""

    def __init__(self, url):
        self.noted = []
        table = LimitTable(100)
        table.join()
        self.leases = Leases(url, table, lambda is_up, age_s: self.noted.append((is_up, age_s)))
        self.limiter = Limiter(table, self.leases)

    def admit(self, limits):
        """An admission, or None."""
        try:
            return self.limiter.admit("key", "app", limits)
        except RateLimited:
            return None

    async def __aenter__(self):
        await self.leases.start()
        return self

    async def __aexit__(self, *error):
        await self.leases.close()


async def know_each_other(*gateways):
    await until(lambda: all(gateway.leases.gateways == len(gateways) and gateway.leases.is_up for gateway in gateways))


async def drain(limits, *gateways, rounds=70, admitted=None):
    """How many each admits until none does any more, for as many rounds. They go to ``admitted``."""
    counts, idle = [0] * len(gateways), 0
    while idle < rounds:
        idle += 1
        for number, gateway in enumerate(gateways):
            admission = gateway.admit(limits)
            if admission is not None:
                counts[number] += 1
                idle = 0
                if admitted is not None:
                    admitted.append(admission)
        await asyncio.sleep(0.01)
    return counts


@on_loop
@for_each("40/hour", "400/day;burst=40")
async def test_a_gateway_that_is_started_anew_does_not_admit_the_whole_limit_again(url, limits):
    async with Gateway(url) as one:
        assert sum(await drain(limits, one)) == 40
    await asyncio.sleep(3.1)  # exchange.lua forgets by then that the gateway lived, and not what it counted
    async with Gateway(url) as again:
        assert again.leases.gateways == 1
        assert sum(await drain(limits, again)) <= 1  # before Redis has said what is left


@on_loop
@for_each("40/hour", "400/day;burst=40")
async def test_gateways_admit_together_what_the_limit_allows(url, limits):
    async with Gateway(url) as one, Gateway(url) as other:
        await know_each_other(one, other)
        admitted = await drain(limits, one, other)
        assert sum(admitted) == 40
        assert min(admitted) > 1


@on_loop
@for_each("40/hour", "400/day;burst=40")
async def test_a_gateway_that_comes_when_all_is_used_up_admits_at_most_its_first_share(url, limits):
    async with Gateway(url) as one, Gateway(url) as other:
        await know_each_other(one, other)
        assert await drain(limits, one) == [40]
        assert (await drain(limits, other))[0] <= 1


@pytest.mark.parametrize(("limits", "left"), [("5/min", 4), ("50/min;burst=5", 4), ("parallel=5", 4), ("1/min", 0)])
@on_loop
async def test_an_answer_says_what_is_left_of_the_limit_when_the_first_share_is_used_up(redis, limits, left):
    async with Gateway(redis.url) as one, Gateway(redis.url) as other:
        await know_each_other(one, other)
        (_, (_, state)) = one.admit(limits).headers()
        assert re.findall(r";r=(\d+)", state) == [str(left)]
        assert one.admit(limits) is None  # until the next lease is there


@on_loop
async def test_while_redis_is_away_an_answer_says_what_is_left_of_the_share(redis):
    async with Gateway(redis.url) as one, Gateway(redis.url) as other:
        await know_each_other(one, other)
        redis.hang()
        await until(lambda: not one.leases.is_up)
        left = [one.admit("8/hour").headers()[1][1] for _ in range(4)]
        assert re.findall(r";r=(\d+)", "".join(left)) == ["3", "2", "1", "0"]
        redis.go_on()


@on_loop
@for_each("40/hour", "400/day;burst=40")
async def test_what_a_gateway_does_not_use_goes_back(url, limits):
    async with Gateway(url) as one, Gateway(url) as other:
        await know_each_other(one, other)
        assert one.admit(limits)
        assert await drain(limits, other, rounds=350) == [39]


@on_loop
async def test_the_only_gateway_admits_a_burst_at_once(redis):
    async with Gateway(redis.url) as only:
        assert sum(only.admit("40/hour") is not None for _ in range(50)) == 40


@on_loop
async def test_requests_at_a_time_are_counted_over_all_gateways(redis):
    limits = "parallel=4"
    async with Gateway(redis.url) as one, Gateway(redis.url) as other:
        await know_each_other(one, other)
        held = []
        assert sum(await drain(limits, one, other, admitted=held)) == 4
        held.pop().close()
        assert sum(await drain(limits, one, other, admitted=held)) == 1


@on_loop
async def test_rows_are_leased_too(redis):
    limits = "1000/hour;unit=row"
    async with Gateway(redis.url) as one, Gateway(redis.url) as other:
        await know_each_other(one, other)

        def charge(gateway, rows):
            try:
                gateway.admit(limits).charge(rows, 0)
            except RateLimited:
                return False
            return True

        # More than a first share: it is refused until the lease is there.
        assert await until(lambda: charge(one, 600))
        assert await until(lambda: charge(other, 400))
        assert not charge(one, 1)


@on_loop
async def test_a_debt_of_the_models_time_counts_for_the_other_gateway(redis):
    limits = "1000/hour;unit=model_ms"
    async with Gateway(redis.url) as one, Gateway(redis.url) as other:
        await know_each_other(one, other)
        one.admit(limits).close(3000)
        await drain(limits, one, rounds=50)

        def is_refused():
            admission = other.admit(limits)
            return admission is None or admission.close(1)

        await until(is_refused)
        assert await drain(limits, other, rounds=50) == [0]


@pytest.mark.parametrize("limits", ["10/hour", "100/day;burst=10"])
@on_loop
async def test_a_start_without_redis_goes_on_and_redis_is_told_later_what_was_counted(tmp_path, limits):
    server = RedisServer(tmp_path)
    async with Gateway(server.url) as one:
        assert not one.leases.is_up
        assert [one.admit(limits) is not None for _ in range(7)] == [True] * 7
        server.start()
        try:
            await until(lambda: one.leases.is_up)
            async with Gateway(server.url) as other:
                await know_each_other(one, other)
                assert sum(await drain(limits, other)) <= 4
        finally:
            server.kill()


@pytest.mark.parametrize("limits", ["20/hour", "200/day;burst=20"])
@on_loop
async def test_a_redis_that_has_lost_everything_learns_it_again(redis, limits):
    async with Gateway(redis.url) as one, Gateway(redis.url) as other:
        await know_each_other(one, other)
        assert sum(await drain(limits, one, other)) == 20
        redis.kill()
        await until(lambda: not one.leases.is_up and not other.leases.is_up)
        assert sum(await drain(limits, one, other, rounds=20)) <= 2
        redis.start()
        await know_each_other(one, other)
        assert sum(await drain(limits, one, other)) <= 2


@pytest.mark.parametrize("limits", ["20/hour", "200/day;burst=20"])
@on_loop
async def test_without_redis_each_gateway_has_its_share_from_the_state_seen_last(redis, limits):
    async with Gateway(redis.url) as one, Gateway(redis.url) as other:
        await know_each_other(one, other)
        assert await until(lambda: one.admit(limits))
        assert await until(lambda: other.admit(limits))
        redis.hang()
        await until(lambda: not one.leases.is_up and not other.leases.is_up)
        admitted = await drain(limits, one, other)
        assert 16 <= sum(admitted) <= 20
        redis.go_on()


@on_loop
@for_each(*product(["10/2s", "300/min;burst=10"], [1, -1]))
async def test_a_step_of_the_wall_clock_of_redis_neither_lets_more_in_nor_locks_out(url, limits, hours):
    async with Gateway(url) as one, Redis.from_url(url) as client:
        admitted = []

        async def ask_for(seconds):
            began = asyncio.get_running_loop().time()
            while asyncio.get_running_loop().time() < began + seconds:
                admission = one.admit(limits)
                if admission:
                    admitted.append(admission.at_ns)
                await asyncio.sleep(0.005)

        await ask_for(1.5)
        # As if the clock had gone on by so much since Redis looked at it last.
        await client.hincrby(CLOCK, "wall", -hours * 3600 * 10**6)
        stepped = len(admitted)
        await ask_for(5)
        most = 10 if limits == "10/2s" else 20
        assert max(sum(at <= other < at + 2 * 10**9 for other in admitted) for at in admitted) <= most
        assert len(admitted) - stepped >= 10


@on_loop
async def test_a_server_that_is_no_redis_is_as_good_as_none():
    async def answer(reader, writer):
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Gateway(f"redis://127.0.0.1:{port}/0") as one:
        await until(lambda: len(one.noted) > 2)
        assert await drain("5/hour", one, rounds=5) == [5]


@on_loop
async def test_a_redis_that_never_answers_does_not_stop_the_start():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        async with Gateway(f"redis://127.0.0.1:{silent.getsockname()[1]}/0") as one:
            assert not one.leases.is_up
            assert await drain("5/hour", one, rounds=5) == [5]


def test_the_log_says_once_that_redis_is_away_and_never_the_password():
    gateway = Running(Load("5/hour", 2, redis=f"redis://app:s3cret-words@127.0.0.1:{free_port()}/0"))
    gateway.wait_until_ready()
    results = gateway.results()
    assert sum(len(result["admitted"]) for result in results) == 5
    assert gateway.log.count("limits.store_lost") == gateway.log.count("\n") == 1
    assert "s3cret" not in gateway.log


@on_loop
async def test_how_old_the_last_answer_is_is_noted(redis):
    async with Gateway(redis.url) as one:
        await until(lambda: (True, pytest.approx(0.5, abs=0.5)) in one.noted)
        redis.hang()
        await until(lambda: one.noted[-1][0] is False and one.noted[-1][1] > 1)
        redis.go_on()
        await until(lambda: one.noted[-1][0])


ESCAPES = "; in a password / is written %2F, ? %3F, # %23 and @ %40"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        *[(url, "") for url in ("localhost:6379", "http://localhost:6379", "", "redis://localhost:70000", "redis://h?db=x")],
        *[(f"redis://:s3c{sign}r3t@localhost:6379/0", ESCAPES) for sign in "/?#["],
        ("redis://:s3cr3t@localhost/zz", ", got a database that is no number"),
        ("redis://:s3cr3t@localhost/0?foo=bar&db=1", ", got the unknown option foo"),
    ],
)
@on_loop
async def test_an_url_that_is_none_of_redis_is_an_error_that_says_why_and_no_password(url, why):
    with pytest.raises(ValueError, match=r"^expected a URL") as refused:
        Leases(url, LimitTable(16))
    assert str(refused.value) == f"expected a URL such as redis://host:6379/0{why}"


@pytest.mark.parametrize(
    "url", ["redis://h", "redis://h/", "rediss://u:p%40:w@h:1/2", "unix:///tmp/a@b?db=1", "redis://h?db=3"]
)
@on_loop
async def test_every_form_of_an_url_of_redis_is_taken(url):
    Leases(url, LimitTable(16))
