"""Limits of the process: how many files it may have open, and how much memory it keeps."""

import ctypes
import resource
from typing import Final

# Clients of one worker, as far as the limit of open files allows. They are more than it serves at a time, because a client that
# is not let in cannot be told to come later.
_CONNECTIONS: Final = 16_384
_OTHER_FILES: Final = 512

# glibc's malloc.h.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3

# Above what a picture as JSON takes: memory that is mapped for one body alone costs a page fault for every 4 KiB of it, which
# doubled the time of a picture.
_MAPPED_BYTES: Final = 4 << 20
_KEPT_BYTES: Final = 32 << 20


def raise_file_limit() -> int:
    """Raise this process's limit of open files as far as it is useful and allowed, and return how many clients fit into it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _CONNECTIONS + _OTHER_FILES
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(_CONNECTIONS // 16, min(_CONNECTIONS, soft - _OTHER_FILES))


def give_large_blocks_back() -> None:
    """Map each block from 4 MiB on by itself, and keep at most 32 MiB at the heap's end, in this process from now on.

    glibc maps large blocks until the first is freed. Afterwards each thread keeps free blocks of up to 32 MiB for later: a
    worker that has seen many bodies would hold a gigabyte of unused memory. Other C libraries are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)  # else 128 KiB, as it does not follow a threshold that is set
