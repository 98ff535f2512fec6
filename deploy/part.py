"""A program of the stack as a process. If it has a log file, that of the run before is kept beside it, as NAME.log.1."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from deploy.errors import ServeError, Stopped

# The gateway's own graceful timeout is 30 s by default; a process that has not ended after this is killed.
STOP_TIMEOUT_S = 40
LOG_LINES_SHOWN = 15


@dataclass(frozen=True)
class Part:
    """One running process of the stack and its log file; None: it writes where this process does."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path | None


@contextmanager
def running(command: Sequence[str], environment: Mapping[str, str], log: Path | None = None, name: str = "") -> Iterator[Part]:
    """Run ``command`` as a process that no signal of the terminal reaches: it is stopped here, in its turn.

    Without ``name`` it is called after its log file.
    """
    with nullcontext() if log is None else _new(log) as output:
        process = subprocess.Popen(
            command,
            env=os.environ | environment,
            stdout=output,
            stderr=None if output is None else subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        yield Part(name or ("" if log is None else log.stem.replace("_", " ")), process, log)
    finally:
        _end(process)


def check_running(parts: Sequence[Part]) -> None:
    """Raise ServeError, and show the end of its log, when one of the processes has ended."""
    for part in parts:
        code = part.process.poll()
        if code is not None and part.log is None:
            raise ServeError(f"the {part.name} ended with exit code {code}")
        if code is not None and part.log is not None:
            end = part.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES_SHOWN:]
            print("\n".join(end), file=sys.stderr)
            raise ServeError(f"the {part.name} ended with exit code {code}; its log: {part.log}")


def _new(log: Path) -> BinaryIO:
    with suppress(FileNotFoundError):
        log.replace(log.with_name(f"{log.name}.1"))
    return log.open("wb")


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except (subprocess.TimeoutExpired, Stopped):
        # It took too long, or Ctrl-C was pressed again.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
