"""SIGTERM and SIGINT, which nothing on the way can swallow.

Python runs a signal's handler wherever the main thread happens to be. What a handler raises inside a finalizer or a
callback of a C library is printed and dropped, and TensorFlow has many of both. So the handlers here also remember,
and a publication asks before its version appears.
"""

import signal
from types import FrameType

_received: list[int] = []


def watch() -> None:
    """Make SIGTERM unwind the main thread like Ctrl-C does, and remember either."""
    _received.clear()
    signal.signal(signal.SIGTERM, _note)
    signal.signal(signal.SIGINT, _note)


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
