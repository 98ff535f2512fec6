"""Becomes another program, which adopts its orphans and ends with its parent: ``keeper.py PROGRAM ARGUMENT...``.

A program of its own, because whatever ran between fork and exec would do so in a copy of a process whose threads are gone.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

if __name__ == "__main__":
    libc = ctypes.CDLL(None, use_errno=True)
    # Both outlive the exec.
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    try:
        os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - the argument list of a contender, no shell
    except OSError as error:
        sys.exit(f"{sys.argv[1]}: {error.strerror}")
