"""Both ways of calling a session: the private one, which the server uses, and its stand-in."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from grpc import StatusCode

from model_server.session.graph_session import CallableCall, DirectCall, GraphSession
from model_server.status import ServingError


class WithoutDirectCall:
    """A session of a TensorFlow that lacks the private call."""

    def __init__(self, session: Any) -> None:
        self.graph = session.graph
        self.close = session.close
        self._make_callable_from_options = session._make_callable_from_options


def opened(directory: Path) -> Any:
    session = tf.compat.v1.Session(graph=tf.Graph())
    with session.graph.as_default():
        tf.compat.v1.saved_model.load(session, ["serve"], str(directory))
    return session


@pytest.fixture(params=[DirectCall, CallableCall], ids=["direct", "callable"])
def call(request: pytest.FixtureRequest) -> type:
    return request.param


@pytest.fixture
def half(models: Path, call: type) -> Iterator[GraphSession]:
    yield from _session(models / "half" / "123", call)


@pytest.fixture
def rendezvous(models: Path, call: type) -> Iterator[GraphSession]:
    yield from _session(models / "rendezvous" / "1", call)


def _session(directory: Path, call: type) -> Iterator[GraphSession]:
    raw = opened(directory)
    session = GraphSession(raw if call is DirectCall else WithoutDirectCall(raw))
    assert type(session._run) is call
    yield session
    session.close()


def test_the_pinned_tensorflow_has_the_direct_call(models: Path):
    session = GraphSession(opened(models / "half" / "123"))
    assert type(session._run) is DirectCall
    session.close()


@pytest.mark.parametrize("shape", [(), (3,), (2, 2)])
def test_runs_with_any_shape(half: GraphSession, shape: tuple[int, ...]):
    (y,) = half.run({"x:0": np.ones(shape, np.float32)}, ["y:0"], None)
    assert isinstance(y, np.ndarray)
    assert y.shape == shape
    assert (y == 2.5).all()


def test_outputs_come_in_the_order_asked_for_and_may_repeat(half: GraphSession):
    arrays = half.run({"x": np.float32([2])}, ["y2", "y", "y"], None)
    assert [array.tolist() for array in arrays] == [[4.0], [3.0], [3.0]]


def test_wrong_dtype(half: GraphSession, call: type):
    text = "Expects arg[0] to be float but bool is provided" if call is DirectCall else "float"
    with pytest.raises(ServingError) as caught:
        half.run({"x:0": np.array([True])}, ["y:0"], None)
    assert caught.value.code is StatusCode.INVALID_ARGUMENT
    assert text in caught.value.message


def test_unknown_tensor(half: GraphSession):
    with pytest.raises(ServingError, match="nope:0, specified in either feed_devices or fetch_devices was not found"):
        half.run({"x:0": np.float32([1])}, ["nope:0"], None)


def test_an_error_text_that_is_not_utf8(half: GraphSession):
    with pytest.raises(ServingError) as caught:
        half.run({"tf_example:0": np.array([b"\xff\xfe\xfa"], object)}, ["y:0"], None)
    assert caught.value.code is StatusCode.INVALID_ARGUMENT
    assert "Could not parse example input" in caught.value.message


def test_two_runs_at_the_same_time(rendezvous: GraphSession):
    left = rendezvous_names(rendezvous, "l")
    right = rendezvous_names(rendezvous, "r")
    results: dict[str, float] = {}

    def give(name: str, names: tuple[str, str], value: float) -> None:
        results[name] = float(rendezvous.run({names[0]: np.float32(value)}, [names[1]], None)[0])

    threads = [
        threading.Thread(target=give, args=("left", left, 1.0), daemon=True),
        threading.Thread(target=give, args=("right", right, 2.0), daemon=True),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == {"left": 2.0, "right": 1.0}


def rendezvous_names(session: GraphSession, side: str) -> tuple[str, str]:
    """The placeholder of a side and the tensor that it waits for."""
    waiting = [op for op in session._session.graph.get_operations() if op.type == "QueueDequeueV2"]
    for op in waiting:
        if any(control.inputs[1].op.name == side for control in op.control_inputs):
            return f"{side}:0", op.outputs[0].name
    raise AssertionError(side)


def test_a_time_out_has_upstreams_text(models: Path):
    for session in _session(models / "rendezvous" / "1", DirectCall):
        names = rendezvous_names(session, "l")
        with pytest.raises(ServingError) as caught:
            session.run({names[0]: np.float32(1)}, [names[1]], 50)
        assert str(caught.value) == "DEADLINE_EXCEEDED: Timed out waiting for notification"
