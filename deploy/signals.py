"""What ends a run from outside: Ctrl-C, SIGTERM or a closed terminal."""

import signal
from types import FrameType

from deploy.errors import Stopped


def stop_on_signals() -> None:
    """Let each of these signals raise Stopped from now on, in the main thread."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A stack that was started with nohup outlives the terminal.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    # A terminal that closes may signal twice, which must not count as a second Ctrl-C.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    raise Stopped
