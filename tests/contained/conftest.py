"""A small model, and its files as the platforms that run containers put them."""

import shutil
from pathlib import Path

import pytest

from tests.stack.conftest import export

LAYOUTS = {"flat": ".", "versions": "3", "below": "export/Servo/7"}


@pytest.fixture(scope="session")
def version_folder(tmp_path_factory) -> Path:
    """A version of half_plus_two, built once."""
    folder = tmp_path_factory.mktemp("exported")
    export("build", "half_plus_two", "--models-dir", str(folder))
    return folder / "half_plus_two" / "1"


@pytest.fixture
def place_model(version_folder, tmp_path):
    """Puts the model's files into a folder in one of LAYOUTS, and gives the folder."""

    def place(layout: str) -> Path:
        folder = tmp_path / "models"
        shutil.copytree(version_folder, folder / LAYOUTS[layout])
        return folder

    return place
