"""What an answer to HandleReloadConfigRequest promises: OK says that all that was asked for serves, an error what does not."""

import random
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from tests.model_server import savedmodels
from tests.model_server.serving import AVAILABLE, END, Client, config_of, refused, serving
from tests.model_server.test_lifecycle import predict_log, write_warmup
from tests.model_server.test_reload import half, replace, versions
from tests.waiting import wait_for

UNKNOWN = grpc.StatusCode.UNKNOWN


@pytest.fixture
def client(models: Path) -> Iterator[Client]:
    """A server of its own with ``half``."""
    with serving(model_name="half", model_base_path=str(models / "half")) as made:
        yield made


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


def test_a_newer_version_that_is_broken_of_a_model_that_serves_holds_up_no_reload(client: Client, models: Path, tmp_path: Path):
    """A rollout of one model that went wrong must not keep others from being added."""
    base = tmp_path / "m"
    savedmodels.half_plus(base / "1")
    client.reload(config_of(m(base)))
    broken(base, 2)
    wait_for(lambda: client.states("m").get(2) == END)
    client.reload(config_of(m(base), {"name": "mixed", "base_path": str(models / "mixed")}))
    assert client.states("mixed") == {7: AVAILABLE}
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


def test_ok_and_only_ok_means_that_everything_serves_whatever_came_before(client: Client, tmp_path: Path):
    """Random configurations of three models: good and bad base paths that share version numbers, and versions that fail."""
    offsets = {(base, version): 10.0 * number + version for number, base in enumerate("pq", 1) for version in (1, 2, 3)}
    for (base, version), offset in offsets.items():
        savedmodels.half_plus(tmp_path / base / str(version), offset=offset)
    for base, version in (("p", 4), ("q", 4), ("bad", 1)):
        broken(tmp_path / base, version)
    rng = random.Random(2)
    for _ in range(40):
        asked = {
            name: (rng.choice(["p", "p", "q", "q", "bad", "none"]), rng.sample([1, 2, 3, 4], rng.choice([1, 2])))
            for name in rng.sample("xyz", rng.randint(1, 3))
        }
        config = config_of(*({"name": n, "base_path": str(tmp_path / base), **specific(*v)} for n, (base, v) in asked.items()))
        wanted = [(name, base, version) for name, (base, chosen) in asked.items() for version in chosen]
        assert _says_ok(client, config) == all((base, version) in offsets for _, base, version in wanted)
        for name, base, version in wanted:
            if (base, version) in offsets:
                assert client.y(name, version=version) == [1.0 + offsets[base, version]]


def _says_ok(client: Client, config: Any) -> bool:
    try:
        client.reload(config)
    except grpc.RpcError as error:
        if error.code() is not UNKNOWN:
            raise
        return False
    return True
