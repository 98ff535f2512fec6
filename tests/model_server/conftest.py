"""One server for all tests that only ask questions; tests that change what is served start their own."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tensorflow as tf

from model_server import tensors
from tests.model_server import savedmodels
from tests.model_server.serving import AVAILABLE, ROOT, Client, Process, config_of, serving

# Dtypes that an Identity on a CPU takes; resources and variants cannot be sent.
ECHOED = {tensors.dtype_name(number): tf.dtypes.as_dtype(number) for number in tensors.LAYOUTS}


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of model base paths, not to be changed."""
    root = tmp_path_factory.mktemp("models")
    savedmodels.half_plus(root / "half" / "123")
    savedmodels.half_plus(root / "versions" / "1", offset=1.0)
    savedmodels.half_plus(root / "versions" / "2", offset=2.0)
    savedmodels.mixed(root / "mixed" / "7")
    savedmodels.odd_examples(root / "odd" / "1")
    savedmodels.tf2_examples(root / "tf2" / "1")
    savedmodels.counter(root / "counter" / "1")
    savedmodels.rendezvous(root / "rendezvous" / "1")
    savedmodels.gate(root / "gate" / "1")
    savedmodels.matrix(root / "matrix" / "1")
    savedmodels.echo(root / "echo" / "1", ECHOED)
    savedmodels.broken(root / "broken" / "1")
    return root


@pytest.fixture(scope="session")
def config_file(models: Path) -> Path:
    """A ModelServerConfig of every model, ``versions`` with both of its versions and a label on the lower one."""
    names = ("half", "mixed", "odd", "tf2", "counter", "rendezvous", "matrix", "echo", "broken", "absent")
    config = config_of(*({"name": name, "base_path": str(models / name)} for name in names))
    versions = config.model_config_list.config.add(
        name="versions", base_path=str(models / "versions"), model_platform="tensorflow", version_labels={"stable": 1}
    )
    versions.model_version_policy.all.SetInParent()
    path = models / "models.config"
    path.write_text(str(config))
    return path


@pytest.fixture(scope="session")
def client(config_file: Path) -> Iterator[Client]:
    """A client of the shared server."""
    flags = {"allow_version_labels_for_unavailable_models": True, "enable_grpc_healthcheck_service": True}
    with serving(model_config_file=str(config_file), **flags) as made:
        made.wait_for_states("versions", {1: AVAILABLE, 2: AVAILABLE})
        yield made


@pytest.fixture
def start_process(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts ``python -m model_server``; what is left is killed at the end of the test."""
    started: list[Process] = []

    def start(*arguments: str) -> Process:
        started.append(Process(*arguments, log=tmp_path / f"process-{len(started)}.log"))
        return started[-1]

    yield start
    for process in started:
        process.kill()


@pytest.fixture
def run() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs ``python -m model_server`` to its end."""

    def run_to_end(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "model_server", *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    return run_to_end
