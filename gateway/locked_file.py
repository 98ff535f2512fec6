"""Changes a small file that several processes change, as one step: no reader ever sees a half of it, and no change is lost.

The new content takes the file's place by a rename. Until then the old file is locked, and a process that got the lock of a file
that is no longer in its place tries again. So there is no lock file beside it.
"""

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_TRY_EVERY_S: Final = 0.01
_MODE: Final = 0o600


def rewrite(path: Path, change: Callable[[bytes], bytes], patience_s: float) -> None:
    """Replace what the file at ``path`` holds by what ``change`` makes of it, when no other process changes it.

    A missing file is made, for its owner only. Otherwise mode and owner stay, and so does a symbolic link to the file. The
    group stays if this process may give files to it; another one gets the rights of everybody. When ``change`` raises, nothing
    is changed.

    Raises:
        TimeoutError: after ``patience_s`` seconds another process still holds the lock.
        OSError: the file cannot be read, or the folder not be written.
    """
    path = path.resolve()
    with _locked(path, time.monotonic() + patience_s) as file:
        old = _read(file)
        new = change(old)
        if new != old:
            _replace(path, new, os.fstat(file))


@contextmanager
def _locked(path: Path, until_s: float) -> Iterator[int]:
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        try:
            if _lock(file) and _is_in_place(file, path):
                yield file
                return
        finally:
            os.close(file)
        if time.monotonic() > until_s:
            raise TimeoutError(f"{path}: another process is changing it")
        time.sleep(_TRY_EVERY_S)


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_in_place(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


def _read(file: int) -> bytes:
    with open(file, "rb", closefd=False) as reader:
        return reader.read()


def _replace(path: Path, content: bytes, old: os.stat_result) -> None:
    file, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(file, "wb") as writer:
            writer.write(content)
            _give(file, old)
            writer.flush()
            os.fsync(file)
        os.replace(name, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name)
        raise
    _sync(path.parent)


def _give(file: int, old: os.stat_result) -> None:
    """Leave the file to whose the old one was, with its mode."""
    new, mode = os.fstat(file), old.st_mode & 0o777
    # root, who changes the file of the gateway's user, leaves it to that user.
    if old.st_uid != new.st_uid:
        os.fchown(file, old.st_uid, -1)
    if old.st_gid != new.st_gid:
        try:
            os.fchown(file, -1, old.st_gid)
        except PermissionError:
            # The owner is in no such group, as in a container. Another group may do no more than everybody.
            mode = (mode & ~0o070) | ((mode & 0o007) << 3)
    os.fchmod(file, mode)


def _sync(folder: Path) -> None:
    """Without this a power failure could bring the old file back, and with it a key that was disabled."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
