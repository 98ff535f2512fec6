"""The client keeps the deadline, retries once, and turns every gRPC status into an error of the tree."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import numpy as np
import pytest

from gateway import errors
from gateway.backend.client import BackendClient
from gateway.backend.replies import signature_from_proto
from gateway.backend.statuses import ERROR_OF_STATUS
from gateway.deadline import Deadline
from gateway.inference.signature import ModelRef
from tests.event_loop import on_loop, until
from tests.gateway.fake_serving import FLOATS, FakeServing, serving
from tests.waiting import free_port

SIGNATURE = signature_from_proto("serving_default", FLOATS)
ROWS = {"x": np.array([[1, 2]], np.float32)}
# The statuses of TensorFlow Serving's REST port.
HTTP_STATUS = {
    "CANCELLED": 499, "UNKNOWN": 500, "INVALID_ARGUMENT": 400, "DEADLINE_EXCEEDED": 504, "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
       "PERMISSION_DENIED": 403, "UNAUTHENTICATED": 401, "RESOURCE_EXHAUSTED": 429, "FAILED_PRECONDITION": 400, "ABORTED": 409,
    "OUT_OF_RANGE": 400, "UNIMPLEMENTED": 501, "INTERNAL": 500, "UNAVAILABLE": 503, "DATA_LOSS": 500,
}  # fmt: skip


@pytest.fixture
def fake():
    return FakeServing()


@pytest.fixture
def port(fake):
    with serving(fake) as port:
        yield port


@asynccontextmanager
async def client_of(port: int, *, is_there: bool = True) -> AsyncIterator[BackendClient]:
    """A client of the server on ``port``, connected if one ``is_there``."""
    client = BackendClient(f"127.0.0.1:{port}")
    client.start()
    try:
        if is_there:
            await until(lambda: client.is_connected)
        yield client
    finally:
        await client.close()


def predict(client, timeout_s=5.0, model=ModelRef("m")):  # noqa: B008 - a frozen value
    return client.predict(model, SIGNATURE, ROWS, (), Deadline.after(timeout_s))


@on_loop
async def test_a_prediction_says_which_version_gave_it(port):
    async with client_of(port) as client:
        prediction = await predict(client)
        assert (prediction.model, prediction.version, prediction.signature) == ("m", 1, "serving_default")
        assert prediction.outputs["y"].tolist() == [[2, 4]]


@on_loop
async def test_the_outputs_come_by_name_in_whatever_order_the_reply_has_them(port, fake):
    names = [f"output {number}" for number in range(10, 30)]
    fake.models["m"][1].run = lambda inputs: dict.fromkeys(reversed(names), inputs["x"])
    async with client_of(port) as client:
        assert list((await predict(client)).outputs) == names


@on_loop
async def test_an_output_of_another_dtype_than_declared_is_an_error(port, fake):
    fake.models["m"][1].run = lambda inputs: {"y": (inputs["x"] * 2).astype(np.int64)}
    async with client_of(port) as client:
        with pytest.raises(errors.Internal, match=r"answered y as int64, and the signature declares float$"):
            await predict(client)


def test_every_status_but_ok_has_an_error():
    assert set(ERROR_OF_STATUS) == set(grpc.StatusCode) - {grpc.StatusCode.OK}


@pytest.mark.parametrize(
    "status", sorted(set(ERROR_OF_STATUS) - {grpc.StatusCode.CANCELLED}, key=str), ids=lambda status: status.name
)
@on_loop
async def test_a_status_keeps_its_code_and_gets_its_http_status(port, fake, status):
    async with client_of(port) as client:
        fake.failures = [(status, "why")] * 2
        with pytest.raises(ERROR_OF_STATUS[status]) as caught:
            await predict(client)
        assert caught.value.code == status.name
        assert caught.value.http_status == HTTP_STATUS[status.name]


@on_loop
async def test_one_unavailable_is_retried(port, fake):
    async with client_of(port) as client:
        fake.failures = [(grpc.StatusCode.UNAVAILABLE, "stream removed")]
        assert (await predict(client)).version == 1
        assert fake.calls.count("Predict") == 2


@on_loop
async def test_a_call_that_a_stopping_server_cancels_is_one_that_cannot_be_reached(port, fake):
    async with client_of(port) as client:
        fake.failures = [(grpc.StatusCode.CANCELLED, "CANCELLED")]
        assert (await predict(client)).version == 1
        fake.failures = [(grpc.StatusCode.CANCELLED, "CANCELLED")] * 2
        with pytest.raises(errors.Unavailable, match="cannot be reached"):
            await predict(client)


@on_loop
async def test_a_second_unavailable_is_given_to_the_caller_without_addresses_of_the_inside(port, fake):
    async with client_of(port) as client:
        fake.failures = [(grpc.StatusCode.UNAVAILABLE, "ipv4:10.1.2.3:8500 refused")] * 3
        with pytest.raises(errors.Unavailable) as caught:
            await predict(client)
        assert "10.1.2.3" not in caught.value.message
        assert fake.calls.count("Predict") == 2


@on_loop
async def test_a_full_batching_queue_is_passed_on_and_not_called_again(port, fake):
    async with client_of(port) as client:
        full = "The batch scheduling queue to which this task was submitted is full; currently 10 batches enqueued"
        fake.failures = [(grpc.StatusCode.UNAVAILABLE, full)]
        with pytest.raises(errors.Unavailable, match="is full"):
            await predict(client)
        assert fake.calls.count("Predict") == 1


@on_loop
async def test_the_backend_is_told_what_is_left_of_the_deadline(port, fake):
    async with client_of(port) as client:
        await predict(client, timeout_s=3.0)
        # gRPC rounds the timeout up on its way.
        assert 0 < fake.deadlines_s[-1] < 3.1


@on_loop
async def test_a_call_that_takes_too_long_ends_with_the_deadline(port, fake):
    async with client_of(port) as client:
        fake.release.clear()
        with pytest.raises(errors.DeadlineExceeded, match="no answer within 200 ms"):
            await predict(client, timeout_s=0.2)


@on_loop
async def test_a_deadline_that_has_passed_makes_no_call(port, fake):
    async with client_of(port) as client:
        with pytest.raises(errors.DeadlineExceeded):
            await client.predict(ModelRef("m"), SIGNATURE, ROWS, (), Deadline(time.monotonic() - 1, 2.0))
        assert fake.calls == []


@on_loop
async def test_a_caller_that_is_cancelled_takes_its_call_back_from_the_server(port, fake):
    async with client_of(port) as client:
        fake.release.clear()
        caller = asyncio.create_task(predict(client))
        await until(lambda: fake.calls == ["Predict"])
        assert fake.ended == []
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        await until(lambda: fake.ended == ["Predict"])
        fake.release.set()
        assert (await predict(client)).version == 1


@on_loop
async def test_a_call_that_is_taken_back_is_freed(port, fake):
    """grpc.aio frees a call's operations, its request among them, only in a task that is not cancelled (grpc/grpc#43360)."""
    async with client_of(port) as client:
        before = asyncio.all_tasks()
        fake.release.clear()
        caller = asyncio.create_task(predict(client))
        await until(lambda: fake.calls == ["Predict"])
        (within_grpc,) = asyncio.all_tasks() - before - {caller}
        caller.cancel()
        await asyncio.wait([caller, within_grpc])
        assert caller.cancelled()
        assert not within_grpc.cancelled()


@on_loop
async def test_calls_in_flight_do_not_wait_for_each_other(port, fake):
    async with client_of(port) as client:
        fake.release.clear()
        held = [asyncio.create_task(predict(client)) for _ in range(8)]
        await until(lambda: len(fake.calls) == 8)
        await client.status(ModelRef("m"), Deadline.after(5))
        fake.release.set()
        assert [prediction.version for prediction in await asyncio.gather(*held)] == [1] * 8


@on_loop
async def test_before_its_start_and_behind_its_end_the_server_is_away_to_the_client(port):
    client = BackendClient(f"127.0.0.1:{port}")
    with pytest.raises(errors.Unavailable, match="cannot be reached"):
        await predict(client)
    client.start()
    assert (await predict(client)).version == 1
    await client.close()
    with pytest.raises(errors.Unavailable, match="cannot be reached"):
        await client.status(ModelRef("m"), Deadline.after(5))


@on_loop
async def test_a_call_that_the_end_of_the_client_cuts_off_says_that_the_server_is_away(port, fake):
    async with client_of(port) as client:
        fake.release.clear()
        caller = asyncio.create_task(predict(client))
        await until(lambda: fake.calls == ["Predict"])
        await client.close()
        with pytest.raises(errors.Unavailable, match="cannot be reached"):
            await caller


@on_loop
async def test_a_server_that_is_away_is_reported_before_the_deadline():
    async with client_of(free_port(), is_there=False) as client:
        deadline = Deadline.after(30)
        with pytest.raises(errors.Unavailable, match="cannot be reached"):
            await client.predict(ModelRef("m"), SIGNATURE, ROWS, (), deadline)
        assert deadline.remaining_s() > 15


@on_loop
async def test_a_server_that_returns_is_found_again_and_each_change_is_told(fake):
    port = free_port()
    async with client_of(port, is_there=False) as client:
        changes = []
        client.connection.on_change = lambda: changes.append(client.is_connected)
        with pytest.raises(errors.Unavailable):
            await predict(client)
        for _ in range(2):
            with serving(fake, port):
                await until(lambda: client.is_connected)
                assert (await predict(client)).version == 1
            await until(lambda: not client.is_connected)
        assert changes == [True, False] * 2


@on_loop
async def test_an_error_of_the_servers_own_shows_that_it_is_there_and_silence_does_not(port, fake):
    async with client_of(port) as client:
        fake.failures = [(grpc.StatusCode.INVALID_ARGUMENT, "why")]
        with pytest.raises(errors.InvalidArgument):
            await predict(client)
        answered_s = client.answered_s
        assert answered_s > 0
        fake.release.clear()
        with pytest.raises(errors.DeadlineExceeded):
            await predict(client, timeout_s=0.05)
        assert client.answered_s == answered_s
        fake.release.set()
        await predict(client)
        assert client.answered_s > answered_s


@on_loop
async def test_tensors_over_grpcs_default_limit_pass(port):
    async with client_of(port) as client:
        rows = {"x": np.ones((1_000_000, 2), np.float32)}
        prediction = await client.predict(ModelRef("m"), SIGNATURE, rows, (), Deadline.after(20))
        assert prediction.outputs["y"].shape == (1_000_000, 2)
