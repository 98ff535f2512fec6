"""Versions that come, go and fail under a running server."""

import os
import shutil
import threading
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from model_server.warmup import FILE
from tests.model_server import savedmodels
from tests.model_server.requests.test_examples import asked
from tests.model_server.serving import AVAILABLE, END, UNLOADING, Client, predict_request, refused, serving
from tests.waiting import wait_for

NOT_FOUND = grpc.StatusCode.NOT_FOUND


@pytest.fixture
def base(tmp_path: Path, models: Path) -> Path:
    """A base path with version 1, which adds 1; versions are published into it as a rename."""
    base = tmp_path / "m"
    base.mkdir()
    publish(models / "versions" / "1", base / "1")
    return base


def publish(source: Path, version: Path) -> None:
    shutil.copytree(source, version.with_name("copying"))
    version.with_name("copying").rename(version)


def serve(base: Path, **flags: Any) -> Any:
    return serving(model_name="m", model_base_path=str(base), **flags)


class Load:
    """Clients that ask without a pause, and remember every answer and every error."""

    def __init__(self, client: Client) -> None:
        self.answers: set[tuple[int, float]] = set()
        self.errors: list[grpc.RpcError] = []
        self._client = client
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(4)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def seen(self, version: int) -> bool:
        return any(answered == version for answered, _ in self.answers)

    def _ask(self) -> None:
        while not self._stop.is_set():
            try:
                reply = self._client.predict("m", {"x": np.float32([2])})
                self.answers.add((reply.model_spec.version.value, reply.outputs["y"].float_val[0]))
            except grpc.RpcError as error:
                self.errors.append(error)


def test_a_rollout_and_a_rollback_lose_no_request(base: Path, models: Path):
    with serve(base) as client, Load(client) as load:
        wait_for(lambda: load.seen(1))
        publish(models / "versions" / "2", base / "2")
        wait_for(lambda: load.seen(2))
        client.wait_for_states("m", {2: AVAILABLE, 1: END})
        load.answers.clear()
        shutil.rmtree(base / "2")
        wait_for(lambda: load.seen(1))
        client.wait_for_states("m", {2: END, 1: AVAILABLE})
    assert load.errors == []
    assert load.answers <= {(1, 2.0), (2, 3.0)}


def test_a_broken_version_keeps_the_old_one_and_is_reported(base: Path):
    with serve(base) as client:
        savedmodels.broken(base / "2")
        client.wait_for_states("m", {2: END, 1: AVAILABLE})
        status = client.status("m", 2).model_version_status[0].status
        assert status.error_code != 0
        assert status.error_message
        assert client.served_version("m") == 1


@pytest.mark.parametrize("name", ["saved_model.pb", "saved_model.pbtxt"])
def test_a_savedmodel_that_cannot_be_read_is_named_in_plain_words(base: Path, name: str):
    savedmodels.broken(base / "2", name)
    with serve(base) as client:
        client.wait_for_states("m", {2: END})
        status = client.status("m", 2).model_version_status[0].status
        assert status.error_message == f"{base / '2' / name} is no SavedModel, or is damaged: it cannot be parsed"


def test_a_version_without_a_savedmodel_is_reported_with_upstreams_text(base: Path):
    (base / "2").mkdir()
    with serve(base) as client:
        client.wait_for_states("m", {2: END})
        status = client.status("m", 2).model_version_status[0].status
        assert (status.error_code, status.error_message) == (
            NOT_FOUND.value[0],
            "Specified file path does not appear to contain a SavedModel bundle"
            f" (should have a file called `saved_model.pb`)\nSpecified file path: {base / '2'}",
        )


def test_a_broken_version_that_is_mended_serves_after_it_went_and_came_back(base: Path, models: Path):
    with serve(base) as client:
        savedmodels.broken(base / "2")
        client.wait_for_states("m", {2: END, 1: AVAILABLE})
        shutil.rmtree(base / "2")
        publish(models / "versions" / "1", base / "3")  # when it serves, a poll has seen that 2 is gone
        client.wait_for_states("m", {3: AVAILABLE, 2: END, 1: END})
        shutil.rmtree(base / "3")
        publish(models / "versions" / "2", base / "2")
        client.wait_for_states("m", {3: END, 2: AVAILABLE, 1: END})


@pytest.mark.parametrize("emptied", [False, True], ids=["vanished", "emptied"])
def test_a_lost_base_path_keeps_what_serves(base: Path, models: Path, emptied: bool):
    with serve(base) as client:
        aside = base.rename(base.with_name("aside"))
        if emptied:
            base.mkdir()
        publish(models / "versions" / "2", aside / "2")
        # Asking while polls pass: nothing may be unloaded by any of them.
        for _ in range(50):
            assert client.y("m") == [2.0]
        assert client.states("m") == {1: AVAILABLE}
        if emptied:
            base.rmdir()
        aside.rename(base)
        client.wait_for_states("m", {2: AVAILABLE, 1: END})


def test_a_model_that_comes_late_is_waited_for_without_holding_up_the_start(tmp_path: Path, models: Path):
    base = tmp_path / "late"
    with serve(base) as client:
        with refused(NOT_FOUND, "Could not find any versions of model m"):
            client.status("m")
        with refused(NOT_FOUND, "Servable not found for request: Latest(m)"):
            client.y("m")
        base.mkdir()
        publish(models / "versions" / "2", base / "2")
        client.wait_for_states("m", {2: AVAILABLE})
        assert client.y("m") == [3.0]


def test_removing_the_highest_version_unloads_it_and_serves_the_next(base: Path, models: Path):
    publish(models / "versions" / "2", base / "2")
    with serve(base) as client:
        assert client.states("m") == {2: AVAILABLE}
        os.rename(base / "2", base.with_name("removed"))
        client.wait_for_states("m", {2: END, 1: AVAILABLE})
        with refused(NOT_FOUND, "Servable not found for request: Specific(m, 2)"):
            client.y("m", version=2)


def write_warmup(version: Path, *logs: prediction_log_pb2.PredictionLog) -> None:
    path = version / FILE
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for log in logs:
            writer.write(log.SerializeToString())


def predict_log(value: Any, signature: str = "") -> prediction_log_pb2.PredictionLog:
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.CopyFrom(predict_request("any", value, signature=signature))
    return log


def test_warm_up_runs_before_the_version_serves(tmp_path: Path):
    version = savedmodels.counter(tmp_path / "m" / "1")
    write_warmup(version, *[predict_log({"nothing": np.float32(0)}, "increment")] * 3)
    with serve(tmp_path / "m", num_request_iterations_for_warmup=2) as client:
        reply = client.predict("m", {"nothing": np.float32(0)}, signature="read")
        assert list(reply.outputs["output"].float_val) == [6.0]


def test_warm_up_can_be_switched_off(tmp_path: Path):
    version = savedmodels.counter(tmp_path / "m" / "1")
    write_warmup(version, predict_log({"nothing": np.float32(0)}, "increment"))
    with serve(tmp_path / "m", enable_model_warmup=False) as client:
        reply = client.predict("m", {"nothing": np.float32(0)}, signature="read")
        assert list(reply.outputs["output"].float_val) == [0.0]


def test_every_kind_of_warm_up_request_is_run(base: Path):
    classify, regress, multi = (prediction_log_pb2.PredictionLog() for _ in range(3))
    asked(classify.classify_log.request, "any", "classify_x_to_y")
    asked(regress.regress_log.request, "any", "regress_x_to_y")
    task = multi.multi_inference_log.request.tasks.add(method_name=savedmodels.REGRESS)
    task.model_spec.name, task.model_spec.signature_name = "any", "regress_x_to_y"
    multi.multi_inference_log.request.input.CopyFrom(regress.regress_log.request.input)
    nothing = prediction_log_pb2.PredictionLog()
    write_warmup(base / "1", predict_log({"x": np.float32([1])}), classify, regress, multi, nothing)
    with serve(base) as client:
        assert client.states("m") == {1: AVAILABLE}


def _unsupported() -> prediction_log_pb2.PredictionLog:
    log = prediction_log_pb2.PredictionLog()
    log.session_run_log.SetInParent()
    return log


BAD_WARMUP = {
    "unknown signature": (predict_log({"x": np.float32([1])}, "nope"), 'Serving signature key "nope" not found.'),
    "wrong dtype": (predict_log({"x": np.array([True])}), "Expects arg[0] to be float but bool is provided"),
    "unsupported kind": (_unsupported(), "Unsupported log_type for warmup: 5"),
}


@pytest.mark.parametrize(("log", "text"), BAD_WARMUP.values(), ids=BAD_WARMUP.keys())
def test_a_failing_warm_up_fails_the_load(base: Path, log: prediction_log_pb2.PredictionLog, text: str):
    write_warmup(base / "1", log)
    with serve(base) as client:
        (entry,) = client.status("m").model_version_status
        assert (entry.state, entry.status.error_message) == (END, text)


def test_a_warm_up_file_that_is_no_tfrecord_fails_the_load(base: Path):
    (base / "1" / FILE).parent.mkdir()
    (base / "1" / FILE).write_bytes(b"x" * 100)
    with serve(base) as client:
        (entry,) = client.status("m").model_version_status
        assert entry.status.error_code == grpc.StatusCode.DATA_LOSS.value[0]
        assert entry.status.error_message.endswith("Please verify your warmup data is in TFRecord format.")


def test_a_warm_up_record_that_is_no_prediction_log_fails_the_load(base: Path):
    path = base / "1" / FILE
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(b"\xff\xff\xff")
    with serve(base) as client:
        (entry,) = client.status("m").model_version_status
        assert entry.status.error_message.startswith("Failed to parse warmup record: ")


def test_more_than_a_thousand_warm_up_records_fail_the_load(base: Path):
    write_warmup(base / "1", *[prediction_log_pb2.PredictionLog()] * 1001)
    with serve(base) as client:
        (entry,) = client.status("m").model_version_status
        assert entry.status.error_message == (f"Number of warmup records exceeds the maximum (1000) at {base / '1' / FILE}")


def test_an_empty_warm_up_file_is_fine(base: Path):
    (base / "1" / FILE).parent.mkdir()
    (base / "1" / FILE).touch()
    with serve(base) as client:
        assert client.y("m") == [2.0]


LOAD_ERRORS = {
    "tags that the model lacks": (
        {"saved_model_tags": "serve,gpu"},
        "Could not find meta graph def matching supplied tags: { gpu serve }.",
    ),
}


@pytest.mark.parametrize(("flags", "text"), LOAD_ERRORS.values(), ids=LOAD_ERRORS.keys())
def test_load_errors(base: Path, flags: dict[str, Any], text: str):
    with serve(base, **flags) as client:
        (entry,) = client.status("m").model_version_status
        assert entry.state == END
        assert entry.status.error_message.startswith(text)


def test_a_session_bundle_is_refused(tmp_path: Path):
    (tmp_path / "m" / "1").mkdir(parents=True)
    (tmp_path / "m" / "1" / "export.meta").touch()
    with serve(tmp_path / "m") as client:
        (entry,) = client.status("m").model_version_status
        assert entry.status.error_code == grpc.StatusCode.UNIMPLEMENTED.value[0]
        assert entry.status.error_message == "Session Bundle is deprecated and removed."


def test_unloading_waits_for_a_request_and_a_deadline_ends_its_run(tmp_path: Path, models: Path):
    """The old version goes only when the deadline of the request inside has ended its run in the graph."""
    base = tmp_path / "m"
    base.mkdir()
    publish(models / "rendezvous" / "1", base / "1")
    with serve(base) as client:
        left = client.prediction.Predict.future(predict_request("m", {"x": np.float32(1)}, signature="left"), timeout=4)
        wait_for(lambda: client.y("m", np.float32(0), signature="waiting") == [1.0])
        publish(models / "rendezvous" / "1", base / "2")
        client.wait_for_states("m", {2: AVAILABLE, 1: UNLOADING})
        with pytest.raises(grpc.RpcError) as caught:
            left.result()
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        client.wait_for_states("m", {2: AVAILABLE, 1: END})
