"""The client keeps the deadline, retries once, and turns every gRPC status into an error of the tree."""

import threading
import time

import grpc
import numpy as np
import pytest

from gateway import errors, waiting
from gateway.backend.client import ERROR_OF_STATUS, BackendClient
from gateway.backend.tensor_proto import signature_from_proto
from gateway.deadline import Deadline
from gateway.hub import Hub
from gateway.inference.signature import ModelRef
from tests.gateway.fake_serving import FLOATS, FakeServing, serving
from tests.waiting import free_port, run_until, wait_for

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
def client(fake):
    with serving(fake) as port:
        client = BackendClient(f"127.0.0.1:{port}")
        wait_for(lambda: client.is_connected)
        yield client
        client.close()


def predict(client, timeout_s=5.0, model=ModelRef("m")):  # noqa: B008 - a frozen value
    return client.predict(model, SIGNATURE, ROWS, (), Deadline.after(timeout_s))


def test_a_prediction_says_which_version_gave_it(client):
    prediction = predict(client)
    assert (prediction.model, prediction.version, prediction.signature) == ("m", 1, "serving_default")
    assert prediction.outputs["y"].tolist() == [[2, 4]]


def test_every_status_but_ok_has_an_error():
    assert set(ERROR_OF_STATUS) == set(grpc.StatusCode) - {grpc.StatusCode.OK}


@pytest.mark.parametrize(
    "status", sorted(set(ERROR_OF_STATUS) - {grpc.StatusCode.CANCELLED}, key=str), ids=lambda status: status.name
)
def test_a_status_keeps_its_code_and_gets_its_http_status(client, fake, status):
    fake.failures = [(status, "why")] * 2
    with pytest.raises(ERROR_OF_STATUS[status]) as caught:
        predict(client)
    assert caught.value.code == status.name
    assert caught.value.http_status == HTTP_STATUS[status.name]


def test_a_call_whose_turn_comes_too_late_is_not_made(client, fake):
    """A greenlet's call may wait for others to end; its deadline goes on meanwhile."""
    others_may_end = threading.Event()
    outcomes = []

    def ask() -> None:
        try:
            outcomes.append(predict(client, timeout_s=0.05))
        except errors.DeadlineExceeded as error:
            outcomes.append(error)

    with Hub() as hub:
        for _ in range(64):
            hub.spawn(lambda: waiting.call(others_may_end.wait, 10))
        hub.spawn(ask)
        threading.Timer(0.2, others_may_end.set).start()
        run_until(hub, lambda: outcomes)
    assert isinstance(outcomes[0], errors.DeadlineExceeded)
    assert fake.calls.count("Predict") == 0


def test_one_unavailable_is_retried(client, fake):
    fake.failures = [(grpc.StatusCode.UNAVAILABLE, "stream removed")]
    assert predict(client).version == 1
    assert fake.calls.count("Predict") == 2


def test_a_call_that_a_stopping_server_cancels_is_one_that_cannot_be_reached(client, fake):
    fake.failures = [(grpc.StatusCode.CANCELLED, "CANCELLED")]
    assert predict(client).version == 1
    fake.failures = [(grpc.StatusCode.CANCELLED, "CANCELLED")] * 2
    with pytest.raises(errors.Unavailable, match="cannot be reached"):
        predict(client)


def test_a_second_unavailable_is_given_to_the_caller_without_addresses_of_the_inside(client, fake):
    fake.failures = [(grpc.StatusCode.UNAVAILABLE, "ipv4:10.1.2.3:8500 refused")] * 3
    with pytest.raises(errors.Unavailable) as caught:
        predict(client)
    assert "10.1.2.3" not in caught.value.message
    assert fake.calls.count("Predict") == 2


def test_a_full_batching_queue_is_passed_on_and_not_called_again(client, fake):
    full = "The batch scheduling queue to which this task was submitted is full; currently 10 batches enqueued"
    fake.failures = [(grpc.StatusCode.UNAVAILABLE, full)]
    with pytest.raises(errors.Unavailable, match="is full"):
        predict(client)
    assert fake.calls.count("Predict") == 1


def test_the_backend_is_told_what_is_left_of_the_deadline(client, fake):
    predict(client, timeout_s=3.0)
    # gRPC rounds the timeout up on its way.
    assert 0 < fake.deadlines_s[-1] < 3.1


def test_a_call_that_takes_too_long_ends_with_the_deadline(client, fake):
    fake.release.clear()
    with pytest.raises(errors.DeadlineExceeded, match="no answer within 200 ms"):
        predict(client, timeout_s=0.2)


def test_a_deadline_that_has_passed_makes_no_call(client, fake):
    with pytest.raises(errors.DeadlineExceeded):
        client.predict(ModelRef("m"), SIGNATURE, ROWS, (), Deadline(time.monotonic() - 1, 2.0))
    assert fake.calls == []


def test_a_call_behind_the_end_of_the_client_says_that_the_server_is_away(client):
    client.close()
    with pytest.raises(errors.Unavailable, match="cannot be reached"):
        client.status(ModelRef("m"), Deadline.after(5))


def test_a_server_that_is_away_is_reported_before_the_deadline():
    client = BackendClient(f"127.0.0.1:{free_port()}")
    deadline = Deadline.after(30)
    with pytest.raises(errors.Unavailable, match="cannot be reached"):
        client.predict(ModelRef("m"), SIGNATURE, ROWS, (), deadline)
    assert deadline.remaining_s() > 15
    client.close()


def test_a_server_that_returns_is_found_again():
    port = free_port()
    client = BackendClient(f"127.0.0.1:{port}")
    with pytest.raises(errors.Unavailable):
        predict(client)
    with serving(FakeServing(), port):
        wait_for(lambda: client.is_connected, timeout_s=10)
        assert predict(client).version == 1
    client.close()


def test_tensors_over_grpcs_default_limit_pass(client):
    rows = {"x": np.ones((1_000_000, 2), np.float32)}
    prediction = client.predict(ModelRef("m"), SIGNATURE, rows, (), Deadline.after(20))
    assert prediction.outputs["y"].shape == (1_000_000, 2)
