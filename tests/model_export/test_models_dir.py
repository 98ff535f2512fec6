"""What is said when the folder for models, or something in it, cannot be used."""

import errno
import os
from pathlib import Path

import pytest

from model_export.errors import ExportError
from model_export.models_dir import describe, is_served_here, require_writable
from model_export.publishing.publication import publish


def test_a_missing_folder_is_made_with_its_parents(tmp_path):
    require_writable(tmp_path / "a" / "b")

    assert (tmp_path / "a" / "b").is_dir()


def test_a_folder_below_a_file_is_refused_by_name(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(ExportError, match=r"cannot write to .*/file/models: .*; move that file away"):
        require_writable(tmp_path / "file" / "models")


def test_a_file_in_place_of_a_model_is_named_and_left_alone(tmp_path):
    (tmp_path / "digits").write_text("in the way")

    with pytest.raises(FileExistsError) as error:
        publish(tmp_path / "digits", lambda folder: None)
    assert describe(error.value) == (
        f"File exists ({tmp_path}/digits); move that file away or choose another folder with --models-dir"
    )
    assert (tmp_path / "digits").read_text() == "in the way"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR])
def test_a_failure_of_the_system_is_one_line_with_the_path_and_what_to_do(number):
    described = describe(OSError(number, os.strerror(number), "models/digits"))

    assert described.startswith(f"{os.strerror(number)} (models/digits); ")
    assert "\n" not in described


@pytest.mark.parametrize(
    ("folder", "environment", "served"),
    [("models", "", True), ("models", "other", False), ("other", "other", True), ("other", "", False)],
)
def test_make_serve_takes_the_folder_of_the_environment_or_models(tmp_path, monkeypatch, folder, environment, served):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MODELS_DIR", environment)

    assert is_served_here(Path(folder)) is served


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_in_a_container_the_remedy_is_the_user_of_the_container(number, monkeypatch):
    error = OSError(number, "Permission denied", "/models/digits")
    assert "--models-dir" in describe(error)

    monkeypatch.setenv("MODELS_DIR", "/models")
    told = "Permission denied (/models/digits); set SERVING_UID and SERVING_GID to its owner's, as .env.example shows"
    assert describe(error) == told
    assert not is_served_here(Path("/models"))


def test_a_failure_without_a_known_remedy_is_still_told():
    assert describe(OSError(errno.EIO, "Input/output error", "x")) == "Input/output error (x)"
    assert describe(OSError("odd")) == "odd"
