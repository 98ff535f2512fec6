"""The C library's allocator, told to give the memory of large bodies back to the system when they are freed."""

import ctypes
from typing import Final

_M_MMAP_THRESHOLD: Final = -3  # glibc's malloc.h
_MAPPED_BYTES: Final = 1 << 19


def give_large_blocks_back() -> None:
    """Map each block from half a megabyte on by itself, in this process from now on.

    glibc does so until the first of them is freed. Afterwards it keeps those of up to 32 MiB for later, each thread its own,
    and a worker that has seen many bodies would hold a gigabyte of nothing. Other C libraries stay as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)
