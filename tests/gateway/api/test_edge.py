"""What the edge does for every call: an id, a deadline, an answer whatever happens, and nothing kept when it is over."""

import asyncio
import time

import pytest

from gateway.api.edge import Edge
from gateway.call import Answer, Call
from gateway.errors import NotFound, RequestTimeout, Unavailable
from gateway.telemetry import metrics
from gateway.telemetry.trace import Trace
from tests.event_loop import on_loop, until


def call(path="/predict", waited_s=0.0, **headers) -> Call:
    return Call("POST", path, "", headers, b"", complete_s=time.monotonic() - waited_s)


async def fine(call: Call) -> Answer:
    call.deadline.remaining_s()
    return Answer(200, b"fine")


def headers_of(answer: Answer) -> dict[str, str]:
    return dict(answer.headers)


@on_loop
async def test_what_a_call_has_waited_since_it_was_complete_is_part_of_its_time():
    edge = Edge(0.3)
    assert (await edge.answer(call(waited_s=0.1), fine)).status == 200
    late = await edge.answer(call(waited_s=0.4), fine)
    assert late.status == 504
    assert b"300 ms" in late.body


@on_loop
async def test_what_nobody_foresaw_is_500_and_tells_the_client_nothing_but_the_id():
    async def broken(call: Call) -> Answer:
        raise ZeroDivisionError

    answer = await Edge(1).answer(call(**{"x-request-id": "id-7"}), broken)
    assert answer.status == 500
    assert b"INTERNAL_ERROR" in answer.body
    assert b"id-7" in answer.body
    assert b"ZeroDivision" not in answer.body


@on_loop
async def test_a_request_that_finds_no_memory_is_503_and_may_be_sent_again():
    async def greedy(call: Call) -> Answer:
        return Answer(200, bytes(2**62))

    answer = await Edge(1).answer(call(), greedy)
    assert answer.status == 503
    assert b"not enough memory" in answer.body
    assert headers_of(answer)["Retry-After"] == "1"


@pytest.mark.parametrize("path", ["/v1/models/m:predict", "/v2/models/m/infer", "/predict"])
@on_loop
async def test_an_error_is_told_in_the_dialect_of_the_path(path):
    async def refuse(call: Call) -> Answer:
        raise NotFound("it is gone")

    answer = await Edge(1).answer(call(path), refuse)
    assert answer.status == 404
    assert answer.body.startswith(b'{"ok":false' if path == "/predict" else b'{"error":"it is gone"}')


@on_loop
async def test_what_a_call_holds_is_given_back_however_it_ends():
    ends: list[str] = []

    async def cancelled(call: Call) -> Answer:
        call.when_answered += (lambda: ends.append("cancelled"),)
        await asyncio.sleep(60)
        raise AssertionError

    async def refused(call: Call) -> Answer:
        call.when_answered += (lambda: ends.append("refused"),)
        raise NotFound("it is gone")

    edge = Edge(1)
    await edge.answer(call(), refused)
    task = asyncio.create_task(edge.answer(call(), cancelled))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ends == ["refused", "cancelled"]


@on_loop
async def test_the_version_and_where_the_answer_came_from_are_headers():
    async def predicted(call: Call) -> Answer:
        call.trace = Trace("m", "serving_default", version=7, cache="hit")
        return Answer(200, b"")

    headers = headers_of(await Edge(1).answer(call(), predicted))
    assert (headers["X-Model-Version"], headers["X-Cache"]) == ("7", "hit")


@on_loop
async def test_where_the_time_of_a_prediction_went_is_told_when_it_is_asked_for():
    async def predicted(call: Call) -> Answer:
        call.parse_s = 0.25
        call.trace = Trace("m", "serving_default", build_s=0.5, queue_s=0.002, backend_s=1.0, batch_rows=3)
        return Answer(200, b"")

    told = headers_of(await Edge(60).answer(call(waited_s=4.0, **{"x-timing": "on"}), predicted))["Server-Timing"]
    parts = dict(part.split(";") for part in told.split(", "))
    total = parts.pop("total")
    assert parts == {"parse": "dur=750.0", "queue": "dur=2.0", "model": "dur=1000.0", "batch": 'desc="3"'}
    assert float(total.removeprefix("dur=")) >= 4000
    for headers in ({}, {"x-timing": "off"}):
        assert "Server-Timing" not in headers_of(await Edge(60).answer(call(**headers), predicted))


@on_loop
async def test_a_prediction_that_fails_tells_its_times_too_and_another_answer_has_none():
    async def failed(call: Call) -> Answer:
        call.trace = Trace("m", "serving_default", queue_s=0.5)
        raise NotFound("no such model")

    asked = {"x-timing": "on"}
    assert "queue;dur=500.0" in headers_of(await Edge(1).answer(call(**asked), failed))["Server-Timing"]
    assert "Server-Timing" not in headers_of(await Edge(1).answer(call(**asked), fine))


@on_loop
async def test_a_request_of_a_rollout_says_so_in_its_log_line_and_a_note_is_a_header(capsys):
    async def predicted(call: Call) -> Answer:
        call.trace = Trace("m", "serving_default", version=1, rollout="m-2-abcd", arm="canary", note="canary-failed")
        return Answer(200, b"")

    answer = await Edge(1).answer(call(**{"x-request-id": "id-9"}), predicted)
    assert headers_of(answer)["X-Rollout"] == "canary-failed"
    await asyncio.sleep(0.03)
    written = capsys.readouterr()
    (line,) = [line for line in (written.out + written.err).splitlines() if "id-9" in line]
    assert "m-2-abcd" in line
    assert "canary" in line


@on_loop
async def test_a_request_without_a_rollout_has_neither(capsys):
    async def predicted(call: Call) -> Answer:
        call.trace = Trace("m", "serving_default", version=1)
        return Answer(200, b"")

    answer = await Edge(1).answer(call(**{"x-request-id": "id-10"}), predicted)
    assert "X-Rollout" not in headers_of(answer)
    await asyncio.sleep(0.03)
    written = capsys.readouterr()
    assert "rollout" not in written.out + written.err


def test_a_trace_knows_by_what_a_rollout_may_tell_its_caller():
    request = Call("POST", "/predict", "", {"x-user": "anna"}, b"", complete_s=0.0, client="192.0.2.1")
    request.id = "id-11"
    assert request.begin("m", "serving_default").sender == ("id-11", {"x-user": "anna"}, "192.0.2.1", None)


@on_loop
async def test_tensorflow_servings_routes_have_the_headers_that_the_edge_is_given():
    edge = Edge(1, [("Access-Control-Allow-Origin", "*")])
    assert "Access-Control-Allow-Origin" in headers_of(await edge.answer(call("/v1/models/m:predict"), fine))
    assert "Access-Control-Allow-Origin" in headers_of(edge.refuse(call("/V1/x"), Unavailable("full")))
    assert "Access-Control-Allow-Origin" not in headers_of(await edge.answer(call("/predict"), fine))


@on_loop
async def test_the_requests_in_flight_are_a_metric():
    def shown() -> float:
        return metrics.IN_FLIGHT._value.get()

    go_on = asyncio.Event()

    async def slow(call: Call) -> Answer:
        await go_on.wait()
        return Answer(200, b"")

    edge = Edge(1)
    tasks = [asyncio.create_task(edge.answer(call(), slow)) for _ in range(3)]
    await until(lambda: shown() == 3)
    go_on.set()
    await asyncio.gather(*tasks)
    await until(lambda: shown() == 0)


@on_loop
async def test_refusals_under_overload_are_counted_and_told_together(capsys):
    edge = Edge(1)
    before = metrics.REFUSALS._value.get()
    for _ in range(500):
        answer = edge.refuse(call(), Unavailable("too many").decided_by("GATEWAY_MAX_IN_FLIGHT", 1))
        assert (answer.status, headers_of(answer)["Retry-After"]) == (503, "1")
    await until(lambda: metrics.REFUSALS._value.get() == before + 500)
    written = capsys.readouterr()
    lines = [line for line in (written.out + written.err).splitlines() if "requests.refused" in line]
    assert len(lines) == 1
    assert "500" in lines[0]


@on_loop
async def test_refusals_are_counted_before_the_metrics_are_read_and_told_before_the_end(capsys):
    def told() -> int:
        written = capsys.readouterr()
        return (written.out + written.err).count("requests.refused")

    edge = Edge(1)
    before = metrics.REFUSALS._value.get()
    for number in range(1, 4):
        edge.refuse(call(), Unavailable("too many"))
        edge.metrics.write()
        assert metrics.REFUSALS._value.get() == before + number
    assert told() == 1  # of the first; the others wait for the end of a second
    edge.metrics.close()
    assert told() == 1
    edge.metrics.close()
    assert told() == 0


@on_loop
async def test_any_other_refusal_has_a_log_line_of_its_own(capsys):
    edge = Edge(1)
    edge.refuse(call(**{"x-request-id": "id-8"}), RequestTimeout("the request did not arrive in time"))
    await asyncio.sleep(0.03)
    written = capsys.readouterr()
    assert "id-8" in written.out + written.err
