"""The peers, each with an environment of its own under `.bench/peers`, made when its requirements have changed."""

import importlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.contender import ROOT, Contender
from benchmarks.errors import BenchError

_STAMP: Final = "requirements.txt"
_IS_PEER: Final = re.compile(r"^REQUIREMENTS\b", re.MULTILINE)


@dataclass(frozen=True)
class Peer:
    """A module of `benchmarks.peers`: see `benchmarks.contender` for what it offers."""

    name: str
    requirements: tuple[str, ...]
    contender: Callable[[int, Path, Path], Contender]


def names() -> tuple[str, ...]:
    """The modules of `benchmarks.peers` that are a peer: those with requirements. The others are what peers share."""
    files = sorted((ROOT / "benchmarks" / "peers").glob("*.py"))
    return tuple(file.stem for file in files if _IS_PEER.search(file.read_text(encoding="utf-8")))


def peers(wanted: tuple[str, ...] = ()) -> list[Peer]:
    """The peers of these names, or all. Raises BenchError for one that does not exist."""
    known = names()
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        raise BenchError(f"no such peer: {', '.join(unknown)}; there are {', '.join(known)}")
    modules = {name: importlib.import_module(f"benchmarks.peers.{name}") for name in wanted or known}
    return [Peer(name, tuple(module.REQUIREMENTS), module.contender) for name, module in modules.items()]


def install(peer: Peer, folder: Path, log: Path) -> Path:
    """Make the environment of a peer below ``folder`` unless it is there; its path. Raises BenchError when pip fails."""
    env_dir = folder / peer.name
    wanted = "".join(f"{line}\n" for line in peer.requirements)
    stamp = env_dir / _STAMP
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return env_dir
    shutil.rmtree(env_dir, ignore_errors=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        for command in _commands(env_dir, peer.requirements):
            if subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False).returncode != 0:
                raise BenchError(f"{peer.name} could not be installed; the log: {log}")
    stamp.write_text(wanted, encoding="utf-8")
    return env_dir


def _commands(env_dir: Path, requirements: tuple[str, ...]) -> list[list[str]]:
    make = [sys.executable, "-m", "venv", str(env_dir)]
    pip = [str(env_dir / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
    return [make, [*pip, *requirements]] if requirements else [make]
