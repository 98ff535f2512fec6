"""Result files: what `run` measured, with the machine that it was measured on, as JSON beside each other in one folder.

The latest run is in a folder that git ignores. The results that the README quotes are tracked, and change only when asked for.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.contender import ROOT
from benchmarks.errors import BenchError

# Git ignores the first folder and tracks the second.
LATEST: Final = ROOT / ".bench" / "results"
KEPT: Final = ROOT / "benchmarks" / "results"
BENCH: Final = "bench.json"
PEERS: Final = "peers.json"
INSTRUCTIONS: Final = "instructions.json"
_FILES: Final = (BENCH, PEERS, INSTRUCTIONS)
FORMAT: Final = 1


@dataclass(frozen=True)
class Results:
    """The groups of all files, by name, and each file's machine. A group is in one file only."""

    groups: Mapping[str, Any]
    machines: Mapping[str, Mapping[str, Any]]


def check_writable(folder: Path) -> None:
    """Before minutes of measuring. Raises BenchError when results cannot be written to ``folder``."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return
    except OSError as error:
        raise BenchError(f"--folder {folder}: {error.strerror}") from error


def write(file: Path, machine: Mapping[str, Any], options: Mapping[str, Any], groups: Mapping[str, Any]) -> None:
    """Write one run. Raises ValueError for a figure that is not finite, which JSON does not have."""
    file.parent.mkdir(parents=True, exist_ok=True)
    told = {"format": FORMAT, "machine": machine, "options": options, "groups": groups}
    building = file.with_suffix(".building")
    building.write_text(json.dumps(told, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    building.rename(file)


def keep(folder: Path, kept: Path = KEPT) -> None:
    """Copy the runs of ``folder`` into the folder that is tracked; a run that ``folder`` does not have stays as it was."""
    if folder.resolve() == kept.resolve():
        return
    for name in _FILES:
        if (folder / name).exists():
            shutil.copyfile(folder / name, kept / name)


def read(folder: Path) -> Results:
    """Read the runs of a folder. Raises BenchError when there are none, or when one has another format."""
    files = [file for name in _FILES if (file := folder / name).exists()]
    if not files:
        raise BenchError(f"there are no results in {folder}: run `make bench` first")
    groups: dict[str, Any] = {}
    machines: dict[str, Mapping[str, Any]] = {}
    for file in files:
        told = json.loads(file.read_text(encoding="utf-8"))
        if told.get("format") != FORMAT:
            raise BenchError(f"{file} has another format: run it again")
        groups |= told["groups"]
        machines[file.name] = told["machine"]
    return Results(groups, machines)
