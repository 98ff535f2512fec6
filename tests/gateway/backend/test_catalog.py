"""The catalog knows what is served: from the config file, by polling, and by asking when a request names something new."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway import errors
from gateway.backend.catalog import Catalog
from gateway.backend.client import BackendClient
from gateway.backend.model_config import ModelConfigError, ModelConfigFile, model_names
from gateway.backend.stubs import DataType
from gateway.deadline import Deadline
from gateway.inference.signature import ModelRef
from tests.gateway.fake_serving import END, FakeServing, Version, serving, signature
from tests.waiting import free_port, wait_for

POLL_S = 0.05
WIDER = signature({"x": (DataType.DT_FLOAT, [-1, 3])}, {"y": (DataType.DT_FLOAT, [-1, 3])})


@pytest.fixture
def fake():
    return FakeServing()


@pytest.fixture
def config_file(tmp_path):
    return write_config(tmp_path / "models.config", "m")


def write_config(path: Path, *names: str) -> Path:
    entries = "".join(
        f'config {{ name: "{name}" base_path: "/models/{name}" model_platform: "tensorflow" }}\n' for name in names
    )
    path.write_text(f"model_config_list {{ {entries} }}\n")
    return path


def start(port: int, config_file: Path | None, poll_s: float = POLL_S) -> Catalog:
    file = None
    if config_file is not None:
        file = ModelConfigFile(config_file)
        file.load()
    catalog = Catalog(BackendClient(f"127.0.0.1:{port}"), file, poll_s)
    catalog.start()
    return catalog


@contextmanager
def looking(fake: FakeServing, config_file: Path, poll_s: float) -> Iterator[Catalog]:
    """A catalog that has seen what ``fake`` serves."""
    with serving(fake) as port:
        catalog = start(port, config_file, poll_s)
        try:
            wait_for(lambda: catalog.required()[0].is_ready)
            yield catalog
        finally:
            catalog.close()


@pytest.fixture
def catalog(fake, config_file):
    with looking(fake, config_file, POLL_S) as catalog:
        yield catalog


@pytest.fixture
def slow_catalog(fake, config_file):
    """One that does not look again while a test lasts, unless something makes it."""
    with looking(fake, config_file, poll_s=60) as catalog:
        yield catalog


def served(catalog: Catalog, model: ModelRef):
    return catalog.served(model, Deadline.after(5))


def test_the_latest_available_version_is_served(catalog, fake):
    fake.models["m"][2] = Version()
    wait_for(lambda: catalog.models()[0].available == (2, 1))
    assert served(catalog, ModelRef("m")).version == 2


def test_a_known_version_is_answered_from_memory(catalog, fake):
    served(catalog, ModelRef("m"))
    before = fake.calls.count("GetModelMetadata")
    for _ in range(5):
        assert served(catalog, ModelRef("m")).version == 1
    assert fake.calls.count("GetModelMetadata") == before


def test_a_version_that_leaves_is_forgotten_and_the_older_one_served(catalog, fake):
    fake.models["m"][2] = Version()
    wait_for(lambda: served(catalog, ModelRef("m")).version == 2)
    fake.models["m"][2].state = END
    wait_for(lambda: served(catalog, ModelRef("m")).version == 1)
    with pytest.raises(errors.NotFound, match=r"Servable not found for request: Specific\(m, 2\)"):
        served(catalog, ModelRef("m", version=2))


def test_a_version_that_returns_as_another_model_is_read_anew(catalog, fake):
    assert served(catalog, ModelRef("m", 1)).signatures["serving_default"].inputs[0].shape == (None, 2)
    fake.models["m"][1].state = END
    wait_for(lambda: not catalog.models()[0].is_ready)
    fake.models["m"][1] = Version(signatures={"serving_default": WIDER})
    wait_for(lambda: catalog.models()[0].is_ready)
    assert served(catalog, ModelRef("m", 1)).signatures["serving_default"].inputs[0].shape == (None, 3)


def test_a_model_that_is_not_configured_is_asked_for_and_followed_while_it_is_served(catalog, fake):
    fake.models["late"] = {7: Version()}
    assert served(catalog, ModelRef("late")).version == 7
    wait_for(lambda: [model.name for model in catalog.models()] == ["late", "m"])
    assert [model.name for model in catalog.required()] == ["m"]
    fake.models["late"][7].state = END
    wait_for(lambda: [model.name for model in catalog.models()] == ["m"])


def test_an_unknown_model_is_not_followed(catalog):
    with pytest.raises(errors.NotFound, match=r"Latest\(nope\)"):
        served(catalog, ModelRef("nope"))
    assert [model.name for model in catalog.models()] == ["m"]


def test_a_label_means_the_version_that_it_points_to(catalog, fake):
    fake.models["m"][2] = Version()
    fake.labels["m", "stable"] = 1
    assert served(catalog, ModelRef("m", label="stable")).version == 1
    fake.labels["m", "stable"] = 2
    wait_for(lambda: served(catalog, ModelRef("m", label="stable")).version == 2)


def test_a_label_that_does_not_exist_is_the_callers_mistake(catalog):
    with pytest.raises(errors.InvalidArgument, match="Unrecognized servable version label: nope"):
        served(catalog, ModelRef("m", label="nope"))


def test_a_failed_version_is_reported_while_the_old_one_serves(catalog, fake):
    fake.models["m"][2] = Version(state=END, error_code=3, error_message="no such file")
    wait_for(lambda: catalog.models()[0].problems)
    assert catalog.models()[0].is_ready
    assert catalog.models()[0].problems == ("version 2 failed: INVALID_ARGUMENT: no such file",)


def test_status_is_asked_of_the_server_and_newest_first(catalog, fake):
    fake.models["m"][12] = Version(state=END, error_code=5, error_message="gone")
    status = catalog.status(ModelRef("m"), Deadline.after(5))
    assert [(entry.version, entry.state, entry.error_code) for entry in status.versions] == [
        (12, "END", "NOT_FOUND"),
        (1, "AVAILABLE", "OK"),
    ]


def test_status_of_a_label_is_that_of_its_version(catalog, fake):
    fake.models["m"][2] = Version()
    fake.labels["m", "stable"] = 1
    status = catalog.status(ModelRef("m", label="stable"), Deadline.after(5))
    assert [entry.version for entry in status.versions] == [1]


def test_metadata_is_the_json_of_the_rest_port(catalog):
    document = catalog.metadata(ModelRef("m"), Deadline.after(5))
    assert document["model_spec"] == {"name": "m", "signature_name": "", "version": "1"}
    signature_def = document["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature_def["method_name"] == "tensorflow/serving/predict"
    assert signature_def["inputs"]["x"]["dtype"] == "DT_FLOAT"
    assert signature_def["inputs"]["x"]["tensor_shape"]["dim"] == [{"size": "-1", "name": ""}, {"size": "2", "name": ""}]


def test_while_the_server_is_away_every_model_says_so_and_its_return_is_noticed(config_file, fake):
    port = free_port()
    catalog = start(port, config_file, poll_s=30)
    wait_for(lambda: catalog.models()[0].problems == ("the model server cannot be reached",))
    with pytest.raises(errors.Unavailable):
        served(catalog, ModelRef("m"))
    with serving(fake, port):
        wait_for(lambda: catalog.models()[0].is_ready, timeout_s=10)
        catalog.close()


def test_a_model_without_a_version_is_not_ready_and_says_why(tmp_path, fake):
    with serving(fake) as port:
        catalog = start(port, write_config(tmp_path / "models.config", "m", "empty"))
        wait_for(lambda: "Could not find any versions" in str(catalog.required()[0].problems))
        assert [(model.name, model.is_ready) for model in catalog.required()] == [("empty", False), ("m", True)]
        catalog.close()


def test_a_change_of_the_config_file_is_taken_up(catalog, fake, config_file):
    fake.models["second"] = {1: Version()}
    write_config(config_file, "m", "second")
    wait_for(lambda: [model.name for model in catalog.required() if model.is_ready] == ["m", "second"])
    write_config(config_file, "m")
    wait_for(lambda: [model.name for model in catalog.required()] == ["m"])


def test_a_config_file_that_breaks_leaves_the_last_good_names(catalog, config_file, fake):
    config_file.write_text("model_config_list { config {")
    looks = len(fake.calls)
    wait_for(lambda: len(fake.calls) > looks + 3)
    with pytest.raises(ModelConfigError):
        model_names(config_file)
    assert [model.name for model in catalog.required()] == ["m"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file"), ("model_config_list { x: 1 }", "text format"), (b"\xff\xfe", "UTF-8")],
    ids=["missing", "not the message", "not text"],
)
def test_a_config_file_that_cannot_be_read_is_named(tmp_path, content, reason):
    path = tmp_path / "models.config"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ModelConfigError, match=reason) as caught:
        model_names(path)
    assert str(path) in str(caught.value)


def test_a_version_that_has_answered_is_asked_for_once_and_makes_the_catalog_look_at_once(slow_catalog, fake):
    fake.models["m"][2] = Version()
    before = fake.calls.count("GetModelMetadata")
    for _ in range(20):
        assert served(slow_catalog, ModelRef("m", 2)).version == 2
    wait_for(lambda: slow_catalog.models()[0].available == (2, 1))
    assert served(slow_catalog, ModelRef("m")).version == 2
    assert fake.calls.count("GetModelMetadata") == before + 1


def test_many_who_ask_for_a_new_version_at_once_share_one_question(slow_catalog, fake):
    fake.models["m"][2] = Version()
    before = fake.calls.count("GetModelMetadata")
    with ThreadPoolExecutor(16) as askers:
        answers = list(askers.map(lambda _: served(slow_catalog, ModelRef("m", 2)).version, range(16)))
    assert answers == [2] * 16
    assert fake.calls.count("GetModelMetadata") == before + 1


def test_that_the_server_went_away_is_noticed_between_two_polls(config_file, fake):
    with serving(fake) as port:
        catalog = start(port, config_file, poll_s=600.0)
        wait_for(lambda: catalog.required()[0].is_ready and catalog.is_reachable())
        time.sleep(0.6)  # the polls of the start, when it is not yet known to be there, are over
    wait_for(lambda: catalog.required()[0].problem == "the model server cannot be reached")
    catalog.close()


def test_a_version_that_is_not_served_any_more_is_told_once(fake, config_file):
    fake.models["m"][2] = Version()
    gone = []
    with serving(fake) as port:
        file = ModelConfigFile(config_file)
        file.load()
        catalog = Catalog(BackendClient(f"127.0.0.1:{port}"), file, POLL_S, (lambda *version: gone.append(version),))
        catalog.start()
        try:
            wait_for(lambda: [served.version for served in catalog.known("m")] == [2])
            catalog.served(ModelRef("m", 1), Deadline.after(5))
            assert [served.version for served in catalog.known("m")] == [2, 1]
            del fake.models["m"][2]
            wait_for(lambda: [served.version for served in catalog.known("m")] == [1])
            assert gone == [("m", 2)]
            assert catalog.known("other") == ()
        finally:
            catalog.close()


def test_a_version_that_a_call_did_not_find_is_forgotten_at_once(fake, config_file):
    """It may be back under its number, as another model, before the next poll."""
    gone = []
    with serving(fake) as port:
        file = ModelConfigFile(config_file)
        file.load()
        catalog = Catalog(BackendClient(f"127.0.0.1:{port}"), file, 60.0, (lambda *version: gone.append(version),))
        catalog.start()
        try:
            before = wait_for(lambda: catalog.known("m"))
            for missing in (ModelRef("m", 2), ModelRef("other"), ModelRef("m", label="stable")):
                catalog.note_missing(missing)
            assert (gone, catalog.known("m")) == ([], before)
            catalog.note_missing(ModelRef("m", 1))
            assert gone == [("m", 1)]
            assert catalog.served(ModelRef("m", 1), Deadline.after(5)) is not before[0]
        finally:
            catalog.close()
