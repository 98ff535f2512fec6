"""HandleReloadConfigRequest and the polled configuration file, under a running server."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from tensorflow_serving.config import model_server_config_pb2

from tests.model_server import savedmodels
from tests.model_server.serving import AVAILABLE, END, Client, config_of, refused, serving
from tests.model_server.test_lifecycle import predict_log, write_warmup
from tests.waiting import wait_for

INVALID = grpc.StatusCode.INVALID_ARGUMENT
FAILED = grpc.StatusCode.FAILED_PRECONDITION
UNKNOWN = grpc.StatusCode.UNKNOWN


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


def broken(base: Path, version: int = 1) -> Path:
    """A base path with a version that is no SavedModel."""
    (base / str(version)).mkdir(parents=True)
    return base


def m(base: Path, **more: Any) -> dict[str, Any]:
    return {"name": "m", "base_path": str(base), **more}


def specific(*wanted: int) -> dict[str, Any]:
    return {"model_version_policy": {"specific": {"versions": wanted}}}


def not_available(*failures: str) -> str:
    return f"1 model(s) did not become available: {{{''.join(f'{failure}, ' for failure in failures)}}}"


def no_saved_model(directory: Path) -> str:
    return (
        f"{{name: m version: {directory.name}}} due to error: NOT_FOUND: Specified file path does not appear to contain a"
        f" SavedModel bundle (should have a file called `saved_model.pb`)\nSpecified file path: {directory}"
    )


@pytest.mark.parametrize("wrong", ["missing", "empty", "broken"])
def test_after_a_wrong_base_path_the_right_one_serves_when_the_call_returns(client: Client, tmp_path: Path, wrong: str):
    """Also where both have a version of the same number."""
    savedmodels.half_plus(tmp_path / "right" / "1", offset=7.0)
    if wrong == "empty":
        (tmp_path / wrong).mkdir()
    elif wrong == "broken":
        broken(tmp_path / wrong)
    with refused(UNKNOWN, "1 model(s) did not become available: {{name: m", exact=False):
        client.reload(config_of(m(tmp_path / wrong)))
    client.reload(config_of(m(tmp_path / "right")))
    assert client.y("m") == [8.0]


@pytest.mark.parametrize("made", [True, False], ids=["a version that fails", "no version"])
def test_repeating_a_configuration_that_failed_says_the_error_again(client: Client, tmp_path: Path, made: bool):
    base = tmp_path / "m"
    text = not_available(f"{{name: m}} due to error: NOT_FOUND: no version under {base}")
    if made:
        text = not_available(no_saved_model(broken(base) / "1"))
    for _ in range(3):
        with refused(UNKNOWN, text):
            client.reload(config_of(m(base)))


def test_a_failed_configuration_serves_when_it_is_sent_again_after_its_folder_was_mended(client: Client, tmp_path: Path):
    base = broken(tmp_path / "m")
    with refused(UNKNOWN, not_available(no_saved_model(base / "1"))):
        client.reload(config_of(m(base)))
    (base / "1").rmdir()
    savedmodels.half_plus(base / "1")
    client.reload(config_of(m(base)))
    assert client.y("m") == [3.0]


def test_a_failure_is_told_as_long_as_the_configuration_asks_for_it(client: Client, models: Path, tmp_path: Path):
    bad, mixed = m(broken(tmp_path / "m")), {"name": "mixed", "base_path": str(models / "mixed")}
    for config in (config_of(bad), config_of(bad, mixed)):
        with refused(UNKNOWN, not_available(no_saved_model(tmp_path / "m" / "1"))):
            client.reload(config)
    assert client.states("mixed") == {7: AVAILABLE}
    client.reload(config_of(mixed))


def test_a_version_that_a_policy_adds_serves_when_the_call_returns(client: Client, models: Path):
    for wanted in ((1,), (2,), (1, 2)):
        client.reload(config_of(versions(models, *wanted)))
        assert [client.y("versions", version=version) for version in wanted] == [[version + 1.0] for version in wanted]
    client.reload(config_of(versions(models, 1, 2, version_labels={"stable": 1, "canary": 2})))
    assert client.y("versions", label="canary") == [3.0]


def test_after_a_rollback_the_version_rolled_back_from_answers_no_more(client: Client, models: Path):
    for _ in range(3):
        client.reload(config_of(versions(models, 2)))
        assert client.y("versions") == [3.0]
        client.reload(config_of(versions(models, 1)))
        assert client.y("versions") == [2.0]


def test_every_version_that_fails_or_is_missing_is_told_and_the_others_serve(client: Client, tmp_path: Path):
    base = broken(tmp_path / "m", 2)
    savedmodels.half_plus(base / "1")
    absent = f"{{name: m version: 9}} due to error: NOT_FOUND: no version 9 under {base}"
    for _ in range(2):
        with refused(UNKNOWN, not_available(absent, no_saved_model(base / "2"))):
            client.reload(config_of(m(base, **specific(1, 2, 9))))
        assert client.y("m", version=1) == [3.0]
    client.reload(config_of(m(base, **specific(1))))


def test_a_new_version_that_fails_is_told_and_the_old_one_goes_on_serving(client: Client, tmp_path: Path):
    base = broken(tmp_path / "m", 2)
    savedmodels.half_plus(base / "1")
    client.reload(config_of(m(base, **specific(1))))
    for _ in range(2):
        with refused(UNKNOWN, not_available(no_saved_model(base / "2"))):
            client.reload(config_of(m(base, **specific(2))))
        assert client.y("m") == [3.0]


def test_another_base_path_with_the_same_version_number_serves_when_the_call_returns(client: Client, tmp_path: Path):
    for name, offset in (("a", 1.0), ("b", 2.0)):
        savedmodels.half_plus(tmp_path / name / "1", offset=offset)
    for name, expected in (("a", 2.0), ("b", 3.0), ("a", 2.0)):
        client.reload(config_of(m(tmp_path / name)))
        assert client.y("m") == [expected]


def test_a_base_path_that_is_missing_is_told_and_the_old_one_goes_on_serving(client: Client, models: Path, tmp_path: Path):
    missing = tmp_path / "missing"
    text = f"{{name: half}} due to error: NOT_FOUND: no version under {missing}"
    for _ in range(2):
        with refused(UNKNOWN, not_available(text)):
            client.reload(config_of({"name": "half", "base_path": str(missing)}))
        assert client.y("half") == [3.0]


def test_a_model_that_was_removed_and_is_added_again_serves_when_the_call_returns(client: Client, models: Path):
    for _ in range(5):
        client.reload(config_of(versions(models)))
        client.reload(config_of(versions(models), half(models)))
        assert client.y("half") == [3.0]


class Gated:
    """A model that cannot be loaded before its gate is opened: its warm-up waits for a file."""

    def __init__(self, models: Path, tmp_path: Path) -> None:
        self.settings = {"name": "gated", "base_path": str(tmp_path / "gated")}
        self._gate = tmp_path / "gate"
        shutil.copytree(models / "gate", tmp_path / "gated")
        write_warmup(tmp_path / "gated" / "1", predict_log({"x": np.array(str(self._gate), object)}))

    def wait_until_loading(self) -> None:
        wait_for(self._gate.with_suffix(".started").exists)

    def open(self) -> None:
        self._gate.touch()

    def answers(self, client: Client) -> bool:
        reply = client.predict("gated", {"x": np.array(str(self._gate), object)})
        return list(reply.outputs["y"].string_val) == [str(self._gate).encode()]


@pytest.fixture
def gated(models: Path, tmp_path: Path) -> Iterator[Gated]:
    made = Gated(models, tmp_path)
    yield made
    made.open()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as made:
        yield made


def test_reloads_that_come_during_a_slow_one_say_ok_when_what_they_ask_for_serves(
    client: Client, models: Path, gated: Gated, pool: ThreadPoolExecutor
):
    def reload_and_ask(config: Any) -> list[dict[int, int]]:
        client.reload(config)
        return [client.states("gated"), client.states("mixed")]

    first = pool.submit(reload_and_ask, config_of(gated.settings))
    gated.wait_until_loading()
    both = config_of(gated.settings, {"name": "mixed", "base_path": str(models / "mixed")})
    others = [pool.submit(reload_and_ask, both) for _ in range(2)]
    for config in (config_of(gated.settings), both):
        with refused(grpc.StatusCode.DEADLINE_EXCEEDED, "", exact=False):
            client.reload(config, timeout_s=0.3)
    gated.open()
    assert first.result()[0] == {1: AVAILABLE}
    assert [other.result() for other in others] == [[{1: AVAILABLE}, {7: AVAILABLE}]] * 2
    assert gated.answers(client)


def test_a_client_that_gives_up_before_its_turn_changes_nothing(
    client: Client, models: Path, gated: Gated, pool: ThreadPoolExecutor
):
    first = pool.submit(client.reload, config_of(half(models), gated.settings))
    gated.wait_until_loading()
    with refused(grpc.StatusCode.DEADLINE_EXCEEDED, "", exact=False):
        client.reload(config_of({"name": "mixed", "base_path": str(models / "mixed")}), timeout_s=0.3)
    gated.open()
    first.result()
    client.reload(config_of(half(models), gated.settings))
    assert client.states("mixed") == {}
    assert client.y("half") == [3.0]


def test_a_client_that_gives_up_while_its_model_loads_leaves_the_configuration_in_force(client: Client, gated: Gated):
    with refused(grpc.StatusCode.DEADLINE_EXCEEDED, "", exact=False):
        client.reload(config_of(gated.settings), timeout_s=0.3)
    gated.wait_until_loading()
    gated.open()
    client.reload(config_of(gated.settings))
    assert gated.answers(client)


def test_a_reload_of_what_a_polled_file_began_to_load_waits_for_it(
    models: Path, tmp_path: Path, gated: Gated, pool: ThreadPoolExecutor
):
    path = tmp_path / "models.config"
    path.write_text(str(config_of(half(models))))
    with serving(model_config_file=str(path), model_config_file_poll_wait_seconds=0.05) as client:
        replace(path, str(config_of(gated.settings)))
        gated.wait_until_loading()
        with refused(grpc.StatusCode.DEADLINE_EXCEEDED, "", exact=False):
            client.reload(config_of(gated.settings), timeout_s=0.3)
        reload = pool.submit(client.reload, config_of(gated.settings))
        gated.open()
        reload.result()
        assert gated.answers(client)


def test_a_slow_load_does_not_hold_up_the_next_polled_file(models: Path, tmp_path: Path, gated: Gated):
    path = tmp_path / "models.config"
    path.write_text(str(config_of(half(models))))
    with serving(model_config_file=str(path), model_config_file_poll_wait_seconds=0.05) as client:
        replace(path, str(config_of(gated.settings)))
        gated.wait_until_loading()
        replace(path, str(config_of(versions(models))))
        client.wait_for_states("versions", {1: AVAILABLE, 2: AVAILABLE})
        gated.open()
