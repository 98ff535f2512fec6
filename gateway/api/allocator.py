"""The C library's allocator, told to give the memory of large bodies back to the system when they are freed."""

import ctypes
from typing import Final

# glibc's malloc.h.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3

# Above what a picture as JSON takes: memory that is mapped for one body alone costs a page fault for every 4 KiB of it, which
# doubled the time of a picture.
_MAPPED_BYTES: Final = 4 << 20
_KEPT_BYTES: Final = 32 << 20


def give_large_blocks_back() -> None:
    """Map each block from 4 MiB on by itself, and keep at most 32 MiB at the heap's end, in this process from now on.

    glibc maps large blocks until the first is freed. Afterwards it keeps those of up to 32 MiB for later, each thread its own:
    a worker that has seen many bodies would hold a gigabyte of nothing. Other C libraries stay as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)  # else 128 KiB, as it does not follow a threshold that is set
