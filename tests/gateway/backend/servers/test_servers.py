"""Servers behind a name are found, get calls, are left out while they fail, and are let go; no call is lost by it."""

import asyncio

import grpc
import pytest

from gateway import errors
from gateway.backend.servers import server as one_server
from gateway.backend.servers.balanced import Balanced
from gateway.backend.servers.servers import Servers
from gateway.backend.servers.target import parse_target
from gateway.backend.statuses import Away
from gateway.inference.signature import ModelRef
from tests.event_loop import on_loop, until
from tests.gateway.backend.servers.serving_group import MODEL, group_of, predict_many
from tests.gateway.fake_serving import FakeServing, Version, serving
from tests.waiting import free_port


def answered(outcomes) -> bool:
    return not [outcome for outcome in outcomes if isinstance(outcome, BaseException)]


@on_loop
async def test_calls_go_to_each_server_in_turn():
    async with group_of(3) as group:
        assert answered(await predict_many(group, 30, at_once=1))
        assert group.predicted() == [10, 10, 10]


@on_loop
async def test_a_server_that_is_added_is_found_and_gets_its_part_once_it_has_the_model():
    async with group_of(3, 0, 1) as group:
        group.fakes[2].models = {}
        group.name(0, 1, 2)
        await until(lambda: len(group.servers.members) == 3)
        await until(lambda: all(server.is_connected for server in group.servers.members))
        await group.joined(0, 1)
        assert answered(await predict_many(group, 12))
        assert group.predicted()[2] == 0
        group.fakes[2].models = {"m": {1: Version()}}
        await group.joined(0, 1, 2)
        before = group.predicted()
        assert answered(await predict_many(group, 30, at_once=1))
        assert [now - then for now, then in zip(group.predicted(), before, strict=True)] == [10, 10, 10]


@on_loop
async def test_a_server_that_is_removed_ends_its_calls_and_gets_no_others():
    async with group_of(2) as group:
        for fake in group.fakes:
            fake.release.clear()
        held = [asyncio.create_task(group.predict()) for _ in range(4)]
        await until(lambda: group.predicted() == [2, 2])
        gone = next(server for server in group.servers.members if server.address == group.address(1))
        group.name(0)
        await until(lambda: len(group.servers.members) == 1)
        later = [asyncio.create_task(group.predict()) for _ in range(4)]
        await until(lambda: group.predicted() == [6, 2])
        assert gone.is_connected
        for fake in group.fakes:
            fake.release.set()
        assert answered(await asyncio.gather(*held, *later, return_exceptions=True))
        await until(lambda: group.servers.alone.rows == gone.rows == gone.in_flight == 0)

        async def is_closed() -> bool:
            try:
                await gone.client.status(MODEL, one_server.Deadline.after(5))
            except errors.Unavailable:
                return True
            return False

        await until(is_closed)


@pytest.mark.parametrize("answer", [[], OSError("SERVFAIL"), ["127.0.0.1:1"]], ids=["empty", "failing", "wrong"])
@on_loop
async def test_an_answer_of_the_dns_that_is_none_or_wrong_loses_nothing(answer):
    async with group_of(2) as group:
        group.dns = answer
        looks = 0
        for _ in range(20):
            looks += 1
            assert answered(await predict_many(group, 2))
            await asyncio.sleep(0.03)  # more than one look at the DNS, and some at the servers
        await group.joined(0, 1)
        assert min(group.predicted()) >= looks
        group.name(0, 1)
        await until(lambda: {server.address for server in group.servers.members} == {group.address(0), group.address(1)})


@on_loop
async def test_a_name_with_the_servers_of_another_service_loses_nothing():
    async with group_of(2, 0) as group:
        group.fakes[1].models = {"other": {1: Version()}}
        group.name(1)
        await until(lambda: len(group.servers.members) == 2)
        await until(lambda: group.servers.members[1].is_connected)
        await group.joined(0)
        assert answered(await predict_many(group, 10))
        assert group.predicted() == [10, 0]


@on_loop
async def test_a_new_server_takes_the_place_of_one_that_is_gone():
    async with group_of(2, 0) as group:
        await asyncio.to_thread(group.fakes[0].stop)
        group.name(1)
        await until(lambda: [server.address for server in group.servers.members] == [group.address(1)])
        assert (await group.predict()).version == 1


@on_loop
async def test_a_call_whose_server_goes_away_is_made_again_by_another():
    async with group_of(2) as group:
        group.fakes[0].failures = [(grpc.StatusCode.UNAVAILABLE, "stream removed")] * 2
        assert answered([await group.predict() for _ in range(2)])
        failed = 2 - len(group.fakes[0].failures)
        assert failed >= 1
        assert group.predicted()[1] >= failed
        assert sum(group.predicted()) == 2 + failed


@on_loop
async def test_a_server_that_is_killed_loses_no_call_and_is_used_again_when_it_is_back():
    async with group_of(2) as group:
        many = asyncio.create_task(predict_many(group, 400))
        await until(lambda: min(group.predicted()) > 10)
        await asyncio.to_thread(group.fakes[1].stop)
        assert answered(await many)
        await group.joined(0)
        with serving(group.fakes[1], group.fakes[1].port):
            await group.joined(0, 1)
            before = group.predicted()[1]
            assert answered(await predict_many(group, 20))
            assert group.predicted()[1] > before
            await group.servers.close()


@on_loop
async def test_a_server_whose_calls_fail_is_left_out_and_comes_back_by_itself(capsys):
    async with group_of(2) as group:
        group.fakes[0].failures = [(grpc.StatusCode.UNAVAILABLE, "why")] * 3
        assert answered(await predict_many(group, 20, at_once=1))
        assert group.servers.is_ejected(next(one for one in group.servers.members if one.address == group.address(0)))
        before = group.predicted()[0]
        assert before == 3
        assert answered([await group.predict() for _ in range(4)])
        assert group.predicted()[0] == before
        await group.joined(0, 1)
        assert answered(await predict_many(group, 4, at_once=1))
        assert group.predicted()[0] > before
    logged = capsys.readouterr().out
    assert (logged.count("server.ejected"), logged.count("server.back")) == (1, 1)


@pytest.mark.parametrize("status", [grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL])
@on_loop
async def test_errors_of_the_model_leave_no_server_out(status):
    async with group_of(2) as group:
        for fake in group.fakes:
            fake.failures = [(status, "why")] * 5
        outcomes = await predict_many(group, 10, at_once=1)
        assert {type(outcome).__name__ for outcome in outcomes} == {"".join(part.title() for part in status.name.split("_"))}
        await group.joined(0, 1)


@on_loop
async def test_when_all_calls_fail_half_of_the_servers_stay():
    async with group_of(4) as group:
        for fake in group.fakes:
            fake.failures = [(grpc.StatusCode.UNAVAILABLE, "why")] * 100
        await predict_many(group, 40, at_once=1)
        assert sum(map(group.servers.is_ejected, group.servers.members)) == 2


@on_loop
async def test_a_server_that_answers_nothing_is_left_out_until_it_does(monkeypatch, capsys):
    monkeypatch.setattr(one_server, "SILENT_S", 0.4)
    monkeypatch.setattr(one_server, "_ASK_AFTER_S", 0.2)
    async with group_of(2) as group:
        hung = group.fakes[1]
        hung.release.clear()
        monkeypatch.setitem(hung.status_release, "m", hung.release)
        held = asyncio.create_task(predict_many(group, 2, at_once=1))
        await group.joined(0)
        before = group.predicted()[1]
        assert answered(await asyncio.gather(*(group.predict() for _ in range(6))))
        assert group.predicted()[1] == before
        hung.release.set()
        await group.joined(0, 1)
        assert answered(await held)
    assert "it answers nothing" in capsys.readouterr().out


@on_loop
async def test_a_slow_model_does_not_make_its_server_silent(monkeypatch):
    monkeypatch.setattr(one_server, "SILENT_S", 0.2)
    monkeypatch.setattr(one_server, "_ASK_AFTER_S", 0.1)
    async with group_of(2) as group:
        group.fakes[1].release.clear()
        held = asyncio.create_task(predict_many(group, 2, at_once=2))
        await until(lambda: group.predicted()[1] == 1)
        asked = group.fakes[1].calls.count("GetModelStatus")
        # It is asked again and again whether it is there, and says so.
        await until(lambda: group.fakes[1].calls.count("GetModelStatus") >= asked + 3)
        assert not any(map(group.servers.is_ejected, group.servers.members))
        group.fakes[1].release.set()
        assert answered(await held)


@on_loop
async def test_the_least_loaded_server_gets_the_calls_that_a_slow_one_does_not():
    async with group_of(2, balancing="least_loaded") as group:
        group.fakes[1].release.clear()
        held = [asyncio.create_task(group.predict(rows=4)) for _ in range(2)]
        await until(lambda: group.predicted() == [1, 1])
        await until(lambda: sum(server.rows for server in group.servers.members) == 4)
        assert answered([await group.predict(rows=2) for _ in range(20)])
        assert group.predicted() == [21, 1]
        group.fakes[1].release.set()
        assert answered(await asyncio.gather(*held))


@on_loop
async def test_a_version_that_is_asked_for_is_asked_of_those_that_have_it():
    async with group_of(2) as group:
        group.fakes[1].models["m"][2] = Version()
        await group.status()
        answers = [await group.predict(model=ModelRef("m", 2)) for _ in range(4)]
        assert [answer.version for answer in answers] == [2] * 4
        assert group.predicted() == [0, 4]


@on_loop
async def test_a_server_that_has_lost_its_model_unseen_costs_no_answer():
    """As one that was started again between two looks."""
    async with group_of(2) as group:
        group.fakes[1].models = {}
        assert answered(await predict_many(group, 10, at_once=1))
        assert group.predicted()[1] == 1
        group.fakes[0].models = {}
        with pytest.raises(errors.NotFound):
            await group.predict()


@on_loop
async def test_without_a_server_every_call_says_so():
    servers = Servers(parse_target("serving.invalid:8500"), resolve=lambda host, port: [])
    assert servers.pick(MODEL) is None
    servers.start()
    await servers.first_answer()
    assert servers.problem == "the name in GATEWAY_SERVING_TARGET cannot be resolved"
    assert not servers.is_connected
    await servers.close()


@on_loop
async def test_while_no_server_is_there_a_call_is_made_and_says_that_it_cannot_be_reached():
    servers = Servers(parse_target(f"127.0.0.1:{free_port()},127.0.0.1:{free_port()}"))
    servers.start()
    try:
        calls = Balanced(servers)
        with pytest.raises(Away):
            await calls.status(MODEL, one_server.Deadline.after(5))
    finally:
        await servers.close()


@on_loop
async def test_the_only_server_of_a_list_is_called_again_by_itself():
    fake = FakeServing()
    with serving(fake) as port:
        servers = Servers(parse_target(f"127.0.0.1:{port}"))
        servers.start()
        try:
            assert servers.alone is not None
            assert servers.alone.client.calls_again
        finally:
            await servers.close()


@on_loop
async def test_names_and_versions_that_no_server_has_leave_nothing_behind():
    async with group_of(2) as group:
        for model in (ModelRef("nope"), ModelRef("m", 99)):
            with pytest.raises(errors.NotFound):
                await group.calls.status(model, one_server.Deadline.after(5))
            with pytest.raises(errors.NotFound):
                await group.calls.metadata(model, one_server.Deadline.after(5))
        assert [set(server.statuses) for server in group.servers.members] == [{"m"}, {"m"}]
        assert all(server.has(MODEL) for server in group.servers.members)


@on_loop
async def test_an_error_of_the_model_that_says_not_found_is_the_answer():
    async with group_of(2) as group:
        for fake in group.fakes:
            fake.failures = [(grpc.StatusCode.NOT_FOUND, "no such key in the table")] * 2
        with pytest.raises(errors.NotFound, match="no such key"):
            await group.predict()
        assert sum(group.predicted()) == 1
        assert all(server.has(MODEL) for server in group.servers.members)


@on_loop
async def test_models_that_are_called_in_turn_are_shared_each_by_itself():
    async with group_of(2) as group:
        other, asked = ModelRef("other"), []
        for number, fake in enumerate(group.fakes):
            fake.models["other"] = {1: Version(run=lambda inputs, number=number: asked.append(number) or {"y": inputs["x"]})}
        await group.calls.status(other, one_server.Deadline.after(5))
        for _ in range(10):
            await group.predict()
            await group.predict(model=other)
        assert (asked.count(0), asked.count(1)) == (5, 5)


@on_loop
async def test_the_status_of_a_version_is_that_of_all_servers():
    async with group_of(3) as group:
        group.fakes[1].models["m"][2] = Version()
        await group.status()
        status = await group.calls.status(ModelRef("m", 2), one_server.Deadline.after(5))
        assert [(version.version, version.state) for version in status.versions] == [(2, "START")]
        assert [lag.server for lag in status.lagging] == [group.address(1)]


@pytest.mark.parametrize("status", [grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.INTERNAL])
@on_loop
async def test_a_server_that_does_not_say_its_status_keeps_what_it_said_while_others_answer(status):
    async with group_of(2) as group:
        await group.answered()
        group.fakes[1].status_failures["m"] = (status, "busy")
        assert (await group.status()).available == (1,)
        await group.answered()
        group.fakes[0].status_failures["m"] = (status, "busy")
        with pytest.raises(errors.GatewayError, match=r"busy|no answer within") as refused:
            await group.status()
        assert refused.value.code == status.name
        await group.predict()
