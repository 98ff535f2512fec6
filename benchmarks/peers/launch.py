"""How a peer's server is started: in an environment of its own, whose packages are pinned in `requirements/`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks.contender import ROOT, Program

HOST: Final = "127.0.0.1"
# The environment variable that tells a server where the SavedModel is, in whichever of its processes it is loaded.
SAVED_MODEL: Final = "BENCHMARK_SAVED_MODEL"


def requirements(name: str) -> tuple[str, ...]:
    """Return every package of a peer's environment, pinned, with those that others ask for."""
    text = (Path(__file__).parent / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


def program(
    name: str,
    argv: tuple[str, ...],
    ready_url: str,
    *,
    env_dir: Path,
    saved_model: Path,
    environment: Mapping[str, str] | None = None,
) -> Program:
    """Return the program that runs ``argv``, whose first word is a command of the environment.

    It runs in the environment's folder: some servers write into the current one.
    """
    folder = env_dir.absolute()
    told = {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2", SAVED_MODEL: str(saved_model.absolute())}
    return Program(name, (str(folder / "bin" / argv[0]), *argv[1:]), ready_url, told | dict(environment or {}), folder)


def server(name: str, *arguments: str) -> tuple[str, ...]:
    """Return the command that runs one of the programs in `servers/`."""
    return ("python", "-m", f"benchmarks.peers.servers.{name}", *arguments)
