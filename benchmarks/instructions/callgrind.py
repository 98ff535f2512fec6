"""Counts instructions: runs a Python program under valgrind's callgrind, which splits the count where the program says.

Instructions of the kernel are not counted. The same program gives the same counts on one machine, whatever else runs there.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.contender import ROOT
from benchmarks.errors import BenchError

# A function of the C library that nothing else in the program calls: callgrind knows functions by their names.
_MARK: Final = "getppid"
_TOTALS: Final = "totals: "


def mark() -> None:
    """End one part and begin the next, in a program that ``count`` runs. In any other program it does nothing."""
    os.getppid()


def find() -> str:
    """Return the path of valgrind. Raises BenchError, which says how to get it, when it is missing."""
    path = shutil.which("valgrind")
    if path is None:
        raise BenchError("valgrind is not installed, and counts the instructions: apt-get install valgrind")
    return path


def count(argv: Sequence[str], folder: Path) -> list[int]:
    """Return the instructions of each part of the program that ``python ARGV`` is: one part more than there are marks.

    ``folder`` is made anew, for the files of callgrind and the log. Raises BenchError when the program fails.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    output, log = folder / "callgrind.out", folder / "program.log"
    command = [find(), "--tool=callgrind", f"--callgrind-out-file={output}", f"--dump-before={_MARK}", sys.executable, *argv]
    with log.open("wb") as written:
        finished = subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": "0"},
            stdout=written,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if finished.returncode != 0:
        raise BenchError(f"the program that is counted failed with code {finished.returncode}; the log: {log}")
    dumps = sorted(folder.glob(f"{output.name}.*"), key=lambda file: int(file.suffix[1:]))
    return [_total(file) for file in (*dumps, output)]


def _total(file: Path) -> int:
    for line in reversed(file.read_text(encoding="utf-8", errors="replace").splitlines()):
        if line.startswith(_TOTALS):
            return int(line.removeprefix(_TOTALS))
    raise BenchError(f"{file} tells no total")
