"""SIGTERM and SIGINT, which nothing on the way can swallow.

Python runs a signal's handler wherever the main thread happens to be. What a handler raises inside a finalizer or a
callback of a C library is printed and dropped, and TensorFlow has many of both. So the handlers here also remember,
a publication asks before its version appears, and what is dropped is not printed.
"""

import signal
import sys
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

_received: list[int] = []


def watch() -> None:
    """Make SIGTERM unwind the main thread like Ctrl-C does, and remember either."""
    _received.clear()
    signal.signal(signal.SIGTERM, _note)
    signal.signal(signal.SIGINT, _note)
    sys.unraisablehook = _quiet_unraisable(sys.unraisablehook)
    sys.excepthook = _quiet_except(sys.excepthook)


def check() -> None:
    """Raise again what a signal since `watch` raised: KeyboardInterrupt, or SystemExit with 128 + its number."""
    if _received:
        _raise(_received[0])


def _note(signum: int, frame: FrameType | None) -> None:
    _received.append(signum)
    _raise(signum)


def _raise(signum: int) -> None:
    if signum == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + signum)


def _is_ours(error: BaseException | None) -> bool:
    """Whether a signal raised ``error``, or what it was raised from: C code may make a SystemError of it."""
    while error is not None and not isinstance(error, KeyboardInterrupt | SystemExit):
        error = error.__cause__ or error.__context__
    return bool(_received) and error is not None


def _quiet_unraisable(usual: Callable[[Any], Any]) -> Callable[[Any], None]:
    """For finalizers: print what is dropped as ``usual``, but for what a signal raised."""

    def hook(dropped: Any) -> None:
        if not _is_ours(dropped.exc_value):
            usual(dropped)

    return hook


def _quiet_except(usual: Callable[..., Any]) -> Callable[..., None]:
    """For C code, which prints by this hook what a callback raised: as ``usual``, but for what a signal raised."""

    def hook(kind: type[BaseException], value: BaseException, trace: TracebackType | None) -> None:
        if not _is_ours(value):
            usual(kind, value, trace)

    return hook
