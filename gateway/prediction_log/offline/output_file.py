"""A file that appears under its name only when it is complete, or the standard output."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gateway.prediction_log.offline.failure import ExportFailure

STDOUT: Final = Path("-")
_DEVICES: Final = ("/dev", "/proc")


@contextmanager
def written(output: Path, mode: int = 0o600) -> Iterator[Path]:
    """The path to write to, which becomes ``output`` at the end; after an error it is deleted, and ``output`` is as before.

    A link is followed. By its usual ``mode`` only the owner may read the file: it may hold personal data. What is written for
    ``STDOUT`` goes there at the end. Raises ExportFailure for what goes wrong with the file.
    """
    part: Path | None = None
    try:
        target = Path(tempfile.gettempdir(), "stdout") if output == STDOUT else _followed(output)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
        os.close(handle)
        part = Path(name)
        yield part
        if output == STDOUT:
            _print(part)
            return
        part.chmod(mode)
        _keep(part)
        part.replace(target)
        part = None
    except OSError as error:
        raise ExportFailure(f"{output}: {error.strerror or error}") from error
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def _followed(output: Path) -> Path:
    """The file that ``output`` names, if need be by links."""
    # A link such as /dev/stdout may lead to a file that another program appends to, which must not be replaced.
    is_device = output.is_symlink() and any(map(output.is_relative_to, _DEVICES))
    if is_device or (output.exists() and not output.is_file()):
        raise ExportFailure(f"{output}: not a regular file; expected one, or - for the standard output")
    return Path(os.path.realpath(output))


def _print(part: Path) -> None:
    with part.open("rb") as file:
        shutil.copyfileobj(file, sys.stdout.buffer)
    sys.stdout.buffer.flush()


def _keep(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
