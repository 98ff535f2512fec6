"""The folder that holds all models, and what to say when it cannot be used."""

import errno
import os
from pathlib import Path

from model_export.errors import ExportError

_REMEDIES = {
    errno.EACCES: "make it writable for this user or choose another folder with --models-dir",
    errno.EPERM: "make it writable for this user or choose another folder with --models-dir",
    errno.EROFS: "choose a folder on a writable file system with --models-dir",
    errno.ENOTDIR: "move that file away or choose another folder with --models-dir",
    errno.EEXIST: "move that file away or choose another folder with --models-dir",
    errno.ENOSPC: "free some space; nothing was published",
    errno.EDQUOT: "free some space; nothing was published",
    errno.EFBIG: "raise the file size limit; nothing was published",
}

# Where the image sets the folder, and another user's volume is mounted on it.
_CONTAINER_DIR = "/models"
_CONTAINER_REMEDY = "set SERVING_UID and SERVING_GID to its owner's, as .env.example shows"


def require_writable(models_dir: Path) -> None:
    """Make the folder if it is missing. Raises ExportError, naming it and what to do, when it cannot be written to."""
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        if not os.access(models_dir, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        error.filename = None  # named already
        raise ExportError(f"cannot write to {models_dir}: {describe(error)}") from error


def describe(error: OSError) -> str:
    """Return one line: what the system said, about which path, and what to do."""
    where = f" ({error.filename})" if error.filename else ""
    remedy = _CONTAINER_REMEDY if _is_foreign_volume(error) else _REMEDIES.get(error.errno or 0)
    return f"{error.strerror or error}{where}{f'; {remedy}' if remedy else ''}"


def is_served_here(models_dir: Path) -> bool:
    """Whether this is the folder that `make serve` takes models from; never in a container, where nobody runs that."""
    served = os.environ.get("MODELS_DIR") or "models"
    return served != _CONTAINER_DIR and models_dir.resolve() == Path(served).resolve()


def _is_foreign_volume(error: OSError) -> bool:
    return error.errno in (errno.EACCES, errno.EPERM) and os.environ.get("MODELS_DIR") == _CONTAINER_DIR
