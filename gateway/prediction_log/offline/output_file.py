"""A file that appears under its name only when it is complete."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.prediction_log.offline.failure import ExportFailure


@contextmanager
def written(output: Path, mode: int = 0o600) -> Iterator[Path]:
    """The path to write to, which becomes ``output`` at the end; after an error it is deleted, and ``output`` is as before.

    By its usual ``mode`` only the owner may read the file: it may hold personal data. Raises ExportFailure for what goes wrong
    with the file.
    """
    if output.exists() and not output.is_file():
        raise ExportFailure(f"{output}: not a regular file")
    part: Path | None = None
    try:
        handle, name = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.", suffix=".part")
        os.close(handle)
        part = Path(name)
        yield part
        part.chmod(mode)
        _keep(part)
        part.replace(output)
        part = None
    except OSError as error:
        raise ExportFailure(f"{output}: {error.strerror or error}") from error
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def _keep(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
