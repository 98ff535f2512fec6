"""How a version appears, all at once and for good.

A version is written under a name that no server reads, flushed to disk, and only then renamed to its number. The number
is chosen, and the rename done, under an exclusive lock on `.last-version`, which also remembers the highest number ever
given out: no number is used twice, even after the version is gone. A temporary folder is locked for as long as its
maker lives, so that the next run can tell, across containers too, what a dead one left behind.
"""

import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from model_export import termination
from model_export.errors import ExportError
from model_export.versions import LARGEST_NUMBER, Version, everything

T = TypeVar("T")

_RECORD = ".last-version"
_TEMPORARY_PREFIX = ".tmp-"


def publish(
    model_dir: Path, prepare: Callable[[Path], T], before_it_appears: Callable[[], None] = lambda: None
) -> tuple[Version, T]:
    """Let `prepare` fill an empty folder, then make that folder the model's next version.

    `before_it_appears` is called when all is on disk and nothing but the rename is left. Returns the version and what
    `prepare` returned. Whatever is raised (a failing `prepare`, a full disk, Ctrl-C), the folder is removed and no version
    appears. Safe to call from any number of processes at once: each gets its own number.
    """
    with _temporary(model_dir) as folder:
        prepared = prepare(folder)
        flush_tree(folder)
        before_it_appears()
        with locked(model_dir) as record:
            termination.check()
            number = _next_number(model_dir, record)
            os.pwrite(record, f"{number:020d}\n".encode(), 0)
            os.fsync(record)
            target = model_dir / str(number)
            rename(folder, target)
    return Version(number, target), prepared


def delete(version: Version) -> None:
    """Delete a version so that no server sees a part of it: hide it under a temporary name, then remove its files."""
    model_dir = version.path.parent
    hidden = model_dir / _temporary_name()
    rename(version.path, hidden)
    shutil.rmtree(hidden) if hidden.is_dir() else hidden.unlink()


def rename(source: Path, target: Path) -> None:
    """Rename within one folder, durably. Raises ExportError instead of replacing what has that name.

    Call it under `locked`: rename(2) itself would replace an empty directory.
    """
    if os.path.lexists(target):
        raise ExportError(f"{target} is already there; nothing was changed")
    source.rename(target)
    _flush(target.parent)


@contextmanager
def locked(model_dir: Path) -> Iterator[int]:
    """Hold the model's exclusive lock, making its folder if needed; gives the open `.last-version` file."""
    path = model_dir / _RECORD
    while True:
        model_dir.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:
            continue  # the folder went between the two calls: a failed first publication cleared it
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
                yield descriptor
                return
        finally:
            os.close(descriptor)


def flush_tree(folder: Path) -> None:
    """Wait until every file and directory below the folder, and the folder itself, is on disk."""
    for parent, _, files in os.walk(folder, topdown=False):
        for name in files:
            _flush(Path(parent, name))
        _flush(Path(parent))


@contextmanager
def _temporary(model_dir: Path) -> Iterator[Path]:
    with locked(model_dir):
        _flush(model_dir.parent)
        _remove_abandoned(model_dir)
        folder = model_dir / _temporary_name()
        folder.mkdir()
        owner = os.open(folder, os.O_RDONLY)
        with suppress(OSError):  # a file system without directory locks: then nothing is ever taken for abandoned
            fcntl.flock(owner, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # when published it no longer has this name
        os.close(owner)
        _forget_if_unused(model_dir)


def _temporary_name() -> str:
    return f"{_TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"


def _remove_abandoned(model_dir: Path) -> None:
    for leftover in model_dir.glob(f"{_TEMPORARY_PREFIX}*"):
        if _is_abandoned(leftover):
            shutil.rmtree(leftover, ignore_errors=True)


def _is_abandoned(folder: Path) -> bool:
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)


def _forget_if_unused(model_dir: Path) -> None:
    """Take away the folder of a model that never got a version, as after a mistyped first publication."""
    with suppress(OSError), locked(model_dir) as record:
        if not os.fstat(record).st_size and [child.name for child in model_dir.iterdir()] == [_RECORD]:
            (model_dir / _RECORD).unlink()
            model_dir.rmdir()


def _next_number(model_dir: Path, record: int) -> int:
    remembered = os.pread(record, 32, 0).strip()
    used = [version.number for version in everything(model_dir)]
    number = max(0, *used, int(remembered) if remembered.isdigit() else 0) + 1
    if number > LARGEST_NUMBER:
        raise ExportError(f"{model_dir} has used version {LARGEST_NUMBER}, the largest there is; give the model a new name")
    return number


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
