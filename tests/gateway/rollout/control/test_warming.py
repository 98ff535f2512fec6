"""A canary's first requests are those of the prediction log."""

import time

import numpy as np

from gateway.errors import Internal
from gateway.prediction_log import tensors
from gateway.prediction_log.row import PredictionRow
from gateway.prediction_log.sinks.address import sink_at
from gateway.prediction_log.sinks.sink import SinkAway
from gateway.rollout.control.warming import REQUESTS, Warming, recorded_requests
from gateway.rollout.plan import State
from tests.event_loop import on_loop, until
from tests.gateway.rollout.control.worlds import PLAIN, Servers, a_plan

PLAN = a_plan(stable=2, state=State.WARMING)
ONE = {"x": np.ones((1, 2), np.float32)}


def row(seq: int, **changes) -> PredictionRow:
    values = {
        "boot": "b",
        "seq": seq,
        "ts": time.time_ns() // 1000 - 1_000_000 + seq,
        "request_id": str(seq),
        "model": "digits",
    }
    values |= {"signature": f"s{seq}", "dialect": "simple", "status": 200, "total_us": 1, "bytes_in": 1, "bytes_out": 1}
    return PredictionRow(**values | {"inputs": tensors.encode(ONE, True)} | changes)


def sink_of(tmp_path, *rows: PredictionRow):
    sink = sink_at(f"sqlite:///{tmp_path}/log.db")
    sink.write(rows)
    return sink


def servers_of(tmp_path, *addresses: str) -> Servers:
    file = tmp_path / "models.config"
    file.write_text(PLAIN)
    return Servers(file, *addresses)


async def warmed(warming: Warming, addresses=("one:8500",), turn: int = 0) -> str:
    warming.warm(PLAN, turn, addresses)
    return await until(lambda: warming.note(PLAN.id))


def test_the_newest_requests_with_all_of_their_inputs_are_taken(tmp_path):
    large = {"x": np.ones((1, 1000), np.float32)}
    sink = sink_of(
        tmp_path,
        row(1, inputs=tensors.encode(large, True)),
        row(2, inputs=None),
        row(3, inputs=tensors.encode(large, False)),
        row(4, status=500),
        row(5, model="other"),
        row(6),
        row(7, ts=1),
    )
    found = recorded_requests(sink, "digits", time.time_ns() // 1000)
    assert [recorded.signature for recorded in found] == ["s1", "s6"]
    assert found[0].inputs["x"].shape == (1, 1000)
    sink.close()


def test_no_more_are_taken_than_needed(tmp_path):
    sink = sink_of(tmp_path, *(row(number) for number in range(1, 40)))
    found = recorded_requests(sink, "digits", time.time_ns() // 1000)
    assert [recorded.signature for recorded in found] == [f"s{number}" for number in range(40 - REQUESTS, 40)]
    sink.close()


@on_loop
async def test_each_server_that_answers_is_asked_for_the_canary(tmp_path):
    servers = servers_of(tmp_path, "one:1", "two:2", "gone:3")
    warming = Warming(servers, sink_of(tmp_path, row(1), row(2)))
    assert await warmed(warming, ("one:1", "two:2")) == "4 of 4 requests of the prediction log were answered by 2 model servers"
    assert servers.by_address["one:1"].asked == servers.by_address["two:2"].asked == [(3, "s1"), (3, "s2")]
    assert not servers.by_address["gone:3"].asked
    await warming.close()


@on_loop
async def test_a_canary_that_fails_goes_on_to_the_evidence(tmp_path):
    servers = servers_of(tmp_path)
    servers.by_address["one:8500"].error = Internal("no such op")
    warming = Warming(servers, sink_of(tmp_path, row(1)))
    assert (
        await warmed(warming) == "0 of 1 requests of the prediction log were answered by 1 model server; INTERNAL: no such op"
    )
    await warming.close()


@on_loop
async def test_without_requests_it_says_so(tmp_path):
    servers = servers_of(tmp_path)
    nothing = Warming(servers, None)
    assert await warmed(nothing) == "not warmed up: there is no prediction log to take requests from"
    await nothing.close()
    empty = Warming(servers, sink_of(tmp_path))
    assert await warmed(empty) == "not warmed up: the prediction log has no request for digits with its inputs"
    await empty.close()


@on_loop
async def test_a_prediction_log_that_is_away_holds_nothing_up(tmp_path):
    class Gone:
        def read(self, kind, where):
            raise SinkAway("it is being restarted")

        def close(self):
            pass

    warming = Warming(servers_of(tmp_path), Gone())
    assert await warmed(warming) == "not warmed up: the prediction log cannot be read: it is being restarted"
    await warming.close()


@on_loop
async def test_the_next_worker_of_a_host_does_it_when_the_first_one_has_not(tmp_path):
    now_s = [0.0]
    warming = Warming(servers_of(tmp_path), None, lambda: now_s[0])
    warming.warm(PLAN, 1, ())
    now_s[0] = 14.0
    warming.warm(PLAN, 1, ())
    assert warming.note(PLAN.id) is None
    now_s[0] = 15.0
    assert await warmed(warming, turn=1)
    await warming.close()
