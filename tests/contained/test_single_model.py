"""Where the one model of a container is found, and what the environment of a platform asks of it."""

import os
import tempfile
from pathlib import Path

import pytest

from deploy.container_settings import check_settings
from deploy.errors import ServeError
from deploy.one_model import one_model
from deploy.single_model import single_model


def write(folder: Path, *files: str) -> Path:
    for file in files:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def found(folder: Path, work_dir: Path):
    return single_model("m", folder, f"AUTO_MODEL={folder}", work_dir)


@pytest.mark.parametrize("below", [".", "export/Servo", "a/b/c"])
def test_versions_are_found_where_they_are(tmp_path, below):
    folder = tmp_path / "models"
    write(folder, "code/inference.py", f"{below}/1/saved_model.pb", f"{below}/12/saved_model.pb")
    assert found(folder, tmp_path / "work").base_path == (folder / below).resolve()
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("below", [".", "mine"])
def test_a_flat_model_is_version_1_by_a_link_outside_its_folder(tmp_path, below):
    folder = tmp_path / "models"
    write(folder, f"{below}/saved_model.pb", f"{below}/variables/variables.index", f"{below}/assets/1/words.txt")
    before = sorted(folder.rglob("*"))
    model = found(folder, tmp_path / "work")
    assert (model.base_path / "1").resolve() == (folder / below).resolve()
    assert model.base_path.is_relative_to(tmp_path / "work")
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ((), "expected saved_model.pb in {folder}, or in folders like {folder}/1, found nothing"),
        (("model.h5", "b/c"), "expected saved_model.pb in {folder}, or in folders like {folder}/1, found b, model.h5"),
        (
            ("model.keras",),
            "expected saved_model.pb in {folder}, or in folders like {folder}/1, found model.keras; "
            "`python -m model_export publish {folder}/model.keras --name m` makes a SavedModel of model.keras",
        ),
        (
            ("saved_model.pb", "2/saved_model.pb", "11/saved_model.pb", "3/other"),
            "expected saved_model.pb in {folder}, or folders of versions, found both: saved_model.pb and version 2, 11: "
            "take one of the two away",
        ),
        (
            ("a/1/saved_model.pb", "b/saved_model.pb"),
            "expected one model in {folder}, found a, b: set AUTO_MODEL to the folder of one",
        ),
        ((".hidden/1/saved_model.pb",), "expected saved_model.pb in {folder}, or in folders like {folder}/1, found .hidden"),
    ],
)
def test_no_model_or_several_are_refused_with_what_is_there(tmp_path, files, problem):
    folder = tmp_path / "models"
    folder.mkdir()
    with pytest.raises(ServeError) as caught:
        found(write(folder, *files), tmp_path / "work")
    assert str(caught.value) == f"AUTO_MODEL={folder}: {problem.format(folder=folder)}"


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ServeError, match=f"^AUTO_MODEL={tmp_path}/none: there is no such folder: "):
        found(tmp_path / "none", tmp_path / "work")


def test_a_folder_that_is_a_file_is_told_to_be_one(tmp_path):
    file = write(tmp_path, "saved_model.pb") / "saved_model.pb"
    with pytest.raises(ServeError, match=f"^AUTO_MODEL={file}: expected a folder, found a file: set AUTO_MODEL to the folder "):
        found(file, tmp_path / "work")


@pytest.fixture
def without_rights():
    """The user of this process, or one without root's rights in its place."""
    user = os.geteuid()
    os.seteuid(user or 65534)
    try:
        yield os.geteuid()
    finally:
        os.seteuid(user)


@pytest.mark.parametrize(
    ("mode", "below", "what"), [(0o000, ".", "the folder"), (0o600, ".", "{folder}/"), (0o000, "m", "the folder")]
)
def test_a_folder_without_permission_is_told_to_be_unreadable(without_rights, mode, below, what):
    with tempfile.TemporaryDirectory() as made:
        locked = write(Path(made, "models"), "m/1/saved_model.pb")
        folder = locked / below
        locked.chmod(mode)
        try:
            with pytest.raises(ServeError) as caught:
                found(folder, Path(made, "work"))
        finally:
            locked.chmod(0o700)
    message = str(caught.value)
    assert message.startswith(f"AUTO_MODEL={folder}: {what.format(folder=folder)}")
    assert message.endswith(f" cannot be read (Permission denied): let user {without_rights} read it")


@pytest.mark.parametrize(
    ("arguments", "environ", "contract", "folder"),
    [
        ([], {}, "off", "/mnt/models"),
        ([], {"AUTO_MODEL": "/m"}, "off", "/m"),
        (["serve"], {}, "sagemaker", "/opt/ml/model"),
        (["serve"], {"AUTO_MODEL": "/m"}, "sagemaker", "/m"),
        (["serve"], {"GATEWAY_CONTAINER_CONTRACT": "off"}, "off", "/mnt/models"),
        ([], {"GATEWAY_CONTAINER_CONTRACT": "sagemaker"}, "sagemaker", "/opt/ml/model"),
        ([], {"AIP_HTTP_PORT": "8080"}, "vertex", "/mnt/models"),
        ([], {"AIP_HTTP_PORT": "8080", "AIP_STORAGE_URI": ""}, "vertex", "/mnt/models"),
        ([], {"AIP_HTTP_PORT": "8080", "AIP_STORAGE_URI": "/local"}, "vertex", "/local"),
        ([], {"AIP_HTTP_PORT": "8080", "AIP_STORAGE_URI": "gs://b/m", "AUTO_MODEL": "/m"}, "vertex", "/m"),
        ([], {"AIP_STORAGE_URI": "gs://b/m"}, "off", "/mnt/models"),
    ],
)
def test_a_platform_is_recognised_by_what_it_sets(arguments, environ, contract, folder):
    asked = one_model(arguments, environ)
    assert (asked.contract, str(asked.folder)) == (contract, folder)
    assert asked.gateway_environment(Path("/c"))["GATEWAY_CONTAINER_CONTRACT"] == contract


@pytest.mark.parametrize(
    ("arguments", "environ", "problem"),
    [
        (["train"], {}, "expected no arguments, or serve, as SageMaker has it; got train"),
        ([], {"MODEL_NAME": "a/b"}, "MODEL_NAME='a/b': expected a name without space, slash and colon"),
        ([], {"SERVING_PORT": "x"}, "SERVING_PORT=x: expected a port from 1 to 65535"),
        (
            [],
            {"AIP_HTTP_PORT": "8080", "AIP_STORAGE_URI": "gs://b/m"},
            "AIP_STORAGE_URI=gs://b/m: nothing in this image can fetch a bucket: ",
        ),
    ],
)
def test_what_cannot_be_done_is_named(arguments, environ, problem):
    with pytest.raises(ServeError) as caught:
        one_model(arguments, environ)
    assert str(caught.value).startswith(problem)


def test_the_models_name_is_that_of_a_bare_predict():
    named = one_model([], {"MODEL_NAME": "flowers"})
    assert (named.name, named.predict_model) == ("flowers", "flowers")
    assert one_model([], {"GATEWAY_PREDICT_MODEL": "other"}).predict_model == "other"


@pytest.mark.parametrize(
    ("environ", "variable"),
    [
        ({"GATEWAY_PORT": "9000"}, "GATEWAY_PORT"),
        ({"GATEWAY_CONTAINER_CONTRACT": "sagemaker", "GATEWAY_PORT": "9000"}, "GATEWAY_PORT"),
        (
            {"GATEWAY_CONTAINER_CONTRACT": "sagemaker", "SAGEMAKER_BIND_TO_PORT": "9000", "GATEWAY_PORT": "8080"},
            "SAGEMAKER_BIND_TO_PORT",
        ),
        (
            {
                "GATEWAY_CONTAINER_CONTRACT": "vertex",
                "AIP_HTTP_PORT": "9000",
                "AIP_HEALTH_ROUTE": "/health",
                "AIP_PREDICT_ROUTE": "/predict",
            },
            "AIP_HTTP_PORT",
        ),
    ],
)
def test_the_model_servers_port_is_not_the_gateways(environ, variable):
    with pytest.raises(ServeError, match=f"^{variable} and SERVING_PORT are both 9000: set SERVING_PORT, "):
        check_settings(environ, 9000)
    check_settings(environ, 9001)
