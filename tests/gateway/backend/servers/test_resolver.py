"""Names are looked up again and again; what is no answer takes nothing away, and piles nothing up."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.backend.servers.resolver import Resolver, addresses_of
from gateway.backend.servers.target import Name
from tests.event_loop import on_loop, until

NAME = Name("serving", 8500)


class Dns:
    """Answers what a test wants: addresses, an error, or nothing until ``release``."""

    def __init__(self, answer) -> None:
        self.answer = answer
        self.asked = 0
        self.release = threading.Event()
        self.release.set()

    def __call__(self, host, port):
        self.asked += 1
        self.release.wait(20)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@asynccontextmanager
async def resolving(dns: Dns, **given) -> AsyncIterator[tuple[Resolver, list]]:
    found: list[tuple[str, ...]] = []
    given = {"every_s": 0.01, "within_s": 5.0} | given
    resolver = Resolver([NAME], lambda name, addresses: found.append(addresses), dns, **given)
    resolver.start()
    try:
        yield resolver, found
    finally:
        dns.release.set()
        await resolver.close()


@on_loop
async def test_every_answer_is_told():
    dns = Dns(["a:1"])
    async with resolving(dns) as (_, found):
        await until(lambda: found[-1:] == [("a:1",)])
        dns.answer = ["a:1", "b:1"]
        await until(lambda: found[-1:] == [("a:1", "b:1")])


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (OSError("the DNS is away"), "the DNS is away"),
        (UnicodeError("label too long"), "label too long"),
        ([], "the answer holds no address"),
    ],
    ids=["error", "bad name", "empty"],
)
@on_loop
async def test_what_is_no_answer_is_not_told_and_warned_of_once(answer, reason, capsys):
    dns = Dns(["a:1"])
    async with resolving(dns) as (resolver, found):
        await until(lambda: found)
        dns.answer = answer
        await until(lambda: resolver.has_problem)
        told, asked = len(found), dns.asked
        await until(lambda: dns.asked > asked + 3)
        assert (len(found), resolver.has_problem) == (told, True)
        dns.answer = ["b:1"]
        await until(lambda: not resolver.has_problem)
        assert found[-1] == ("b:1",)
    logged = capsys.readouterr().out
    assert logged.count("backend.not_resolved") == 1
    assert reason in logged
    assert logged.count("backend.resolved") == 1


@on_loop
async def test_a_question_that_hangs_has_one_thread_and_does_not_hold_up_the_loop():
    dns = Dns(["a:1"])
    dns.release.clear()
    async with resolving(dns, within_s=0.01) as (resolver, found):
        await until(lambda: resolver.has_problem)
        waited = [await resolver.first_answer(5) for _ in range(20)]
        assert (dns.asked, found, len(waited)) == (1, [], 20)
        assert sum(thread.name == "getaddrinfo" for thread in threading.enumerate()) == 1
        dns.release.set()
        await until(lambda: found)


@on_loop
async def test_a_failure_makes_it_ask_before_the_interval_is_over():
    dns = Dns(["a:1"])
    async with resolving(dns, every_s=600.0) as (resolver, _):
        await until(lambda: dns.asked == 1)
        for _ in range(10):
            resolver.look_soon()
        await until(lambda: dns.asked == 2)


def test_the_systems_resolver_answers_with_targets():
    assert addresses_of("127.0.0.1", 8500) == ("127.0.0.1:8500",)
    assert addresses_of("::1", 8500) == ("[::1]:8500",)
    with pytest.raises(OSError, match=r"."):
        addresses_of("serving.invalid", 8500)
