"""The key file: one key a line, as JSON. It holds no secret, but whoever can write it can let anybody in.

So it is made for its owner only, and refused when its group or others can write it. Who owns it is not checked: a mounted file
may belong to any user.
"""

import errno
import os
import stat
from collections.abc import Callable, Sequence, Sized
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from gateway import locked_file
from gateway.access.key import Key
from gateway.access.key_text import hide_secrets
from gateway.telemetry.logs import logger

log = logger("access")

CheckLimits: TypeAlias = Callable[[str], object]
"""Raises ValueError, which says what was expected and what came, unless a text is that of limits."""

_DECODER: Final = msgspec.json.Decoder(Key)
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_OTHERS_READ: Final = stat.S_IRGRP | stat.S_IROTH


class KeyFileError(Exception):
    """Raised when the key file cannot be read, written or trusted; the message names the file and the line."""


class KeyFileFixed(KeyFileError):
    """Raised when the key file cannot be changed where it is, such as in a folder that is mounted read-only."""


def read(path: Path, check_limits: CheckLimits) -> tuple[Key, ...]:
    """The keys in the file at ``path``; none when there is no such file.

    Raises:
        KeyFileError: the file cannot be read or is none, others can write it, or a line of it is no key.
    """
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            _refuse_if_no_file(path, os.fstat(file.fileno()))
            _refuse_if_others_write(path, os.fstat(file.fileno()))
            return _parse(path, file.read(), check_limits)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from error


def check_at_start(path: Path, check_limits: CheckLimits) -> None:
    """Read the file once, before the workers are made, and warn in the log of what the operator should know.

    Raises:
        KeyFileError: as ``read``.
    """
    keys = read(path, check_limits)
    now = datetime.now(UTC)
    if not any(key.state(now) == "live" for key in keys):
        warn_of_nobody(path, keys)
    if path.exists() and path.stat().st_mode & _OTHERS_READ:
        log.warning("keys.readable_by_others", path=str(path), mode=stat.filemode(path.stat().st_mode))


def warn_of_nobody(path: Path, keys: Sized) -> None:
    """Say in the log that nobody is let in, and why: none of ``keys``, which the file at ``path`` holds, is valid."""
    if keys:
        reason = "each key has expired or is disabled"
    else:
        reason = "the file holds no keys" if path.exists() else "there is no such file"
    log.warning("keys.nobody_is_let_in", path=str(path), keys=len(keys), reason=reason)


def change(
    path: Path,
    check_limits: CheckLimits,
    edit: Callable[[tuple[Key, ...]], Sequence[Key]],
    patience_s: float = 10.0,
) -> tuple[Key, ...]:
    """Replace the keys in the file by what ``edit`` makes of them, as one step, and return these. A missing file is made.

    Raises:
        KeyFileError: as ``read``, or another process has been changing the file for ``patience_s`` seconds; KeyFileFixed if it
            cannot be written. Then, and when ``edit`` raises, nothing is changed.
    """
    keys: tuple[Key, ...] = ()

    def edited(old: bytes) -> bytes:
        nonlocal keys
        _refuse_if_others_write(path, path.stat())
        new = b"".join(msgspec.json.encode(key) + b"\n" for key in edit(_parse(path, old, check_limits)))
        keys = _parse(path, new, check_limits)
        return new

    try:
        if path.exists():
            _refuse_if_no_file(path, path.stat())
        locked_file.rewrite(path, edited, patience_s)
    except TimeoutError as error:
        raise KeyFileError(str(error)) from error
    except OSError as error:
        hint = ": it is mounted by itself; mount its folder instead" if error.errno == errno.EBUSY else ""
        raise KeyFileFixed(f"{path}: it cannot be changed: {error.strerror}{hint}") from error
    return keys


def _open_at_once(path: str, flags: int) -> int:
    """Open a pipe too without a wait for its writer."""
    return os.open(path, flags | os.O_NONBLOCK)


def _refuse_if_no_file(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise KeyFileError(f"{path}: expected a regular file, got {stat.filemode(status.st_mode)}")


def _refuse_if_others_write(path: Path, status: os.stat_result) -> None:
    if status.st_mode & _OTHERS_WRITE:
        mode = stat.filemode(status.st_mode)
        raise KeyFileError(f"{path}: expected a file that only its owner can write, got {mode}; try chmod go-w {path}")


def _parse(path: Path, content: bytes, check_limits: CheckLimits) -> tuple[Key, ...]:
    keys: dict[str, Key] = {}
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            key = _DECODER.decode(line)
            if key.limits:
                check_limits(key.limits)
        except ValueError as error:
            raise KeyFileError(
                f"{path}: line {number}: {hide_secrets(str(error))}"
            ) from None  # the cause may hold a misplaced key
        if key.id in keys:
            raise KeyFileError(f"{path}: line {number}: an earlier line has the id {key.id} too")
        keys[key.id] = key
    return tuple(keys.values())
