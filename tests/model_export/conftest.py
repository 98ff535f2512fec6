"""The example models, built once for all tests, and a way to call a SavedModel as TensorFlow Serving does."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from model_export.__main__ import cli

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Path:
    """A models folder in which every example has version 1."""
    from model_export import models, runtime

    runtime.start()
    from model_export.publishing.release import release

    folder = tmp_path_factory.mktemp("models")
    for name in models.EXAMPLES:
        release(folder, name, models.writer(name, lambda step: None), lambda step: None)
    return folder


@pytest.fixture
def load() -> Iterator[Callable[[Path], Callable[..., dict[str, np.ndarray]]]]:
    """Load a version with the TF1 loader; the result is called as `model("signature", input=...)`.

    Feeds go to the session raw, as the C++ server's do, so declared shapes are not checked.
    """
    with ExitStack() as sessions:
        yield lambda path: _Served(path, sessions)


class _Served:
    def __init__(self, path: Path, sessions: ExitStack) -> None:
        from model_export.saved_model import loaded, read_signatures

        self.session = sessions.enter_context(loaded(path))
        self.signatures = {signature.name: signature for signature in read_signatures(path)}

    def __call__(self, name: str, /, **inputs: object) -> dict[str, np.ndarray]:
        from model_export.checking.check import run

        tensors = self.signatures[name].inputs
        arrays = {tensor.name: _array(inputs[tensor.name], tensor.dtype) for tensor in tensors}
        return run(self.session, self.signatures[name], arrays)


def _array(value, dtype):
    return np.array(value, dtype=object if dtype.name == "string" else dtype.as_numpy_dtype)


@pytest.fixture
def invoke(tmp_path, monkeypatch) -> Callable[..., Result]:
    """Run a command in an empty folder inside this process, which has TensorFlow started already."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(cli, arguments)


@pytest.fixture(scope="session")
def command() -> Callable[..., subprocess.Popen[str]]:
    """Start `python -m model_export ARGUMENTS` in a folder, as a real process."""

    def start(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "model_export", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture
def run(tmp_path, command) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `python -m model_export ARGUMENTS` in an empty folder, to its end."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        process = command(tmp_path, *arguments, **environment)
        stdout, stderr = process.communicate(timeout=90)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    return run
