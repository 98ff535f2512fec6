"""HandleReloadConfigRequest and the polled configuration file, under a running server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from tensorflow_serving.config import model_server_config_pb2

from tests.model_server import savedmodels
from tests.model_server.serving import AVAILABLE, END, Client, config_of, refused, serving
from tests.waiting import wait_for

INVALID = grpc.StatusCode.INVALID_ARGUMENT
FAILED = grpc.StatusCode.FAILED_PRECONDITION


def half(models: Path, **more: Any) -> dict[str, Any]:
    return {"name": "half", "base_path": str(models / "half"), **more}


def versions(models: Path, *wanted: int, **more: Any) -> dict[str, Any]:
    policy = {"specific": {"versions": wanted}} if wanted else {"all": {}}
    return {"name": "versions", "base_path": str(models / "versions"), "model_version_policy": policy, **more}


@pytest.fixture
def client(models: Path, tmp_path: Path) -> Iterator[Client]:
    """A server of its own with ``half`` and both versions of ``versions``."""
    path = tmp_path / "models.config"
    path.write_text(str(config_of(half(models), versions(models))))
    with serving(model_config_file=str(path)) as made:
        made.wait_for_states("versions", {1: AVAILABLE, 2: AVAILABLE})
        yield made


def test_a_new_model_serves_when_the_call_returns(client: Client, models: Path):
    reply = client.reload(config_of(half(models), versions(models), {"name": "mixed", "base_path": str(models / "mixed")}))
    assert reply.HasField("status")
    assert (reply.status.error_code, reply.status.error_message) == (0, "")
    assert client.states("mixed") == {7: AVAILABLE}


def test_a_model_left_out_is_unloaded_and_its_history_stays(client: Client, models: Path):
    client.reload(config_of(versions(models)))
    client.wait_for_states("half", {123: END})
    with refused(grpc.StatusCode.NOT_FOUND, "Servable not found for request: Latest(half)"):
        client.y("half")
    assert client.status("half").model_version_status[0].status.error_code == 0


def test_a_model_can_come_back(client: Client, models: Path):
    client.reload(config_of(versions(models)))
    client.reload(config_of(versions(models), half(models)))
    wait_for(lambda: client.states("half") == {123: AVAILABLE})
    assert client.y("half") == [3.0]


def test_a_changed_policy_unloads_what_it_no_longer_names(client: Client, models: Path):
    client.reload(config_of(half(models), versions(models, 1)))
    client.wait_for_states("versions", {2: END, 1: AVAILABLE})
    assert client.y("versions") == [2.0]


def test_the_same_configuration_can_be_sent_again(client: Client, models: Path):
    for _ in range(2):
        client.reload(config_of(half(models), versions(models)))
    assert client.states("versions") == {1: AVAILABLE, 2: AVAILABLE}


def test_labels_are_replaced_as_a_whole(client: Client, models: Path):
    client.reload(config_of(half(models), versions(models, version_labels={"stable": 1, "canary": 2})))
    assert client.y("versions", label="stable") == [2.0]
    assert client.y("versions", label="canary") == [3.0]
    client.reload(config_of(half(models), versions(models, version_labels={"stable": 2})))
    assert client.y("versions", label="stable") == [3.0]
    with refused(INVALID, "Unrecognized servable version label: canary"):
        client.y("versions", label="canary")


def test_a_label_on_a_version_that_is_not_available_is_refused_and_changes_nothing(client: Client, models: Path):
    client.reload(config_of(half(models), versions(models, version_labels={"stable": 1})))
    text = "Request to assign label to version 9 of model versions, which is not currently available for inference"
    with refused(FAILED, text):
        client.reload(config_of(versions(models, version_labels={"stable": 2, "next": 9})))
    assert client.y("versions", label="stable") == [2.0]
    assert client.y("half") == [3.0]


def test_a_label_outlives_the_version_that_it_names(client: Client, models: Path):
    client.reload(config_of(half(models), versions(models, version_labels={"stable": 2})))
    client.reload(config_of(half(models), versions(models, 1, version_labels={"stable": 2})))
    client.wait_for_states("versions", {2: END, 1: AVAILABLE})
    with refused(grpc.StatusCode.NOT_FOUND, "Servable not found for request: Specific(versions, 2)"):
        client.y("versions", label="stable")


def test_new_labels_may_name_absent_versions_where_allowed_but_none_may_move_there(models: Path, tmp_path: Path):
    path = tmp_path / "models.config"
    path.write_text(str(config_of(versions(models, version_labels={"stable": 1}))))
    with serving(model_config_file=str(path), allow_version_labels_for_unavailable_models=True) as client:
        client.wait_for_states("versions", {1: AVAILABLE, 2: AVAILABLE})
        client.reload(config_of(versions(models, version_labels={"stable": 1, "next": 9})))
        client.reload(config_of(versions(models, version_labels={"stable": 1, "next": 9})))
        text = "Request to assign label to version 8 of model versions, which is not currently available for inference"
        with refused(FAILED, text):
            client.reload(config_of(versions(models, version_labels={"stable": 8, "next": 9})))
        assert client.y("versions", label="stable") == [2.0]


def custom() -> Any:
    config = model_server_config_pb2.ModelServerConfig()
    config.custom_model_config.SetInParent()
    return config


NOT_RELOADABLE = (
    "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently supported"
)
REFUSED: dict[str, tuple[Any, str]] = {
    "no list": (model_server_config_pb2.ModelServerConfig(), NOT_RELOADABLE),
    "custom config": (custom(), NOT_RELOADABLE),
    "duplicate names": (
        config_of({"name": "m", "base_path": "/a"}, {"name": "m", "base_path": "/b"}),
        "Illegal to list model m multiple times in config list",
    ),
    "relative base_path": (
        config_of({"name": "m", "base_path": "a/b"}),
        "Expected model m to have an absolute path or URI; got base_path()=a/b",
    ),
    "remote base_path": (
        config_of({"name": "m", "base_path": "gs://a/b"}),
        "Model m has base_path gs://a/b; this server reads local directories only",
    ),
    "changed platform": (
        config_of({"name": "half", "base_path": "/a", "model_platform": "caffe"}),
        "Illegal to change a model's platform. For model half platform was tensorflow and new platform requested is caffe",
    ),
    "unknown platform": (
        config_of({"name": "m", "base_path": "/a", "model_platform": "caffe"}),
        "Model m requests unsupported platform caffe",
    ),
    "no platform": (
        config_of({"name": "m", "base_path": "/a", "model_platform": ""}),
        "Model m: Illegal setting neither ModelServerConfig::model_type(deprecated) nor ModelServerConfig::model_platform.",
    ),
    "type and platform": (
        config_of({"name": "m", "base_path": "/a", "model_type": 1}),
        "Model m: Illegal setting both ModelServerConfig::model_type(deprecated) and ModelServerConfig::model_platform.",
    ),
}


@pytest.mark.parametrize(("config", "text"), REFUSED.values(), ids=REFUSED.keys())
def test_a_bad_configuration_is_refused_and_changes_nothing(client: Client, config: Any, text: str):
    with refused(INVALID, text):
        client.reload(config)
    assert client.states("half") == {123: AVAILABLE}
    assert client.y("half") == [3.0]


def test_the_deprecated_model_type_is_understood(client: Client, models: Path):
    client.reload(config_of(half(models, model_type=1, model_platform="")))
    assert client.y("half") == [3.0]


def test_a_new_model_that_cannot_be_loaded_is_told_and_the_rest_serves(client: Client, models: Path, tmp_path: Path):
    (tmp_path / "bad" / "4").mkdir(parents=True)
    with pytest.raises(grpc.RpcError) as caught:
        client.reload(
            config_of(
                half(models),
                {"name": "bad", "base_path": str(tmp_path / "bad")},
                {"name": "mixed", "base_path": str(models / "mixed")},
            )
        )
    assert caught.value.code() is grpc.StatusCode.UNKNOWN
    assert caught.value.details() == (
        "1 model(s) did not become available: {{name: bad version: 4} due to error: NOT_FOUND:"
        " Specified file path does not appear to contain a SavedModel bundle (should have a file called"
        f" `saved_model.pb`)\nSpecified file path: {tmp_path / 'bad' / '4'}, }}"
    )
    assert client.states("mixed") == {7: AVAILABLE}
    assert client.y("half") == [3.0]


def test_a_new_model_without_versions_is_told_instead_of_waited_for(client: Client, models: Path, tmp_path: Path):
    base = tmp_path / "late"
    late = {"name": "late", "base_path": str(base)}
    text = f"1 model(s) did not become available: {{{{name: late}} due to error: NOT_FOUND: no version under {base}, }}"
    with refused(grpc.StatusCode.UNKNOWN, text):
        client.reload(config_of(half(models), late))
    savedmodels.half_plus(base / "1")
    client.wait_for_states("late", {1: AVAILABLE})


def test_a_logging_config_is_refused_after_the_models_changed(client: Client, models: Path):
    mixed = {"name": "mixed", "base_path": str(models / "mixed"), "logging_config": {}}
    with refused(INVALID, "No request-logger-creator provided."):
        client.reload(config_of(half(models), mixed))
    assert client.states("mixed") == {7: AVAILABLE}


def test_the_increase_of_metrics_is_told(client: Client, models: Path):
    client.y("half")
    names = ("/tensorflow/serving/request_count", "nope")
    reply = client.reload(config_of(half(models), versions(models)), names)
    assert [(metric.name, metric.int64_value_increase) for metric in reply.metric] == [(names[0], 0), ("nope", 0)]


def test_a_polled_file_is_applied_when_it_changes_and_kept_out_when_it_is_bad(models: Path, tmp_path: Path):
    path = tmp_path / "models.config"
    path.write_text(str(config_of(half(models))))
    with serving(model_config_file=str(path), model_config_file_poll_wait_seconds=0.05) as client:
        replace(path, "model_config_list { nonsense")
        replace(path, str(config_of(half(models), versions(models))))
        wait_for(lambda: client.states("versions") == {1: AVAILABLE, 2: AVAILABLE})
        replace(path, str(config_of(half(models, model_platform="caffe"))))
        path.unlink()
        replace(path, str(config_of(versions(models))))
        client.wait_for_states("half", {123: END})
        assert client.y("versions") == [3.0]


def replace(path: Path, text: str) -> None:
    """Change a file as a whole, so that no poll sees half of it."""
    other = path.with_suffix(".new")
    other.write_text(text)
    other.rename(path)


def test_a_label_of_a_polled_file_is_tried_until_its_version_serves(models: Path, tmp_path: Path):
    """The first load of a version and its label may come in one change of the file."""
    path = tmp_path / "models.config"
    path.write_text(str(config_of(versions(models, 1))))
    with serving(model_config_file=str(path), model_config_file_poll_wait_seconds=0.05) as client:
        replace(path, str(config_of(versions(models))))
        client.wait_for_states("versions", {1: AVAILABLE, 2: AVAILABLE})
        replace(path, str(config_of(versions(models, version_labels={"canary": 2}))))

        def answers() -> bool:
            try:
                return client.y("versions", label="canary") == [3.0]
            except grpc.RpcError:
                return False

        wait_for(answers)
