"""How a worker process holds its memory: what a step frees, the next step takes again.

By default the C library gives freed tensors of a megabyte back to the system after each step,
and the system clears their pages before it hands them out anew: 12% of a trial of the article's
size. No trial's bits depend on it.
"""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # numbers of mallopt, from glibc's malloc.h
_KEPT_BYTES = 256 * 2**20
_LARGEST_FROM_HEAP_BYTES = 32 * 2**20  # larger ones are the system's in any case


def keep_freed_memory() -> None:
    """Has this process keep up to 256 MiB that it frees, where its C library is glibc."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS and Windows have none
        return
    mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
    mallopt(_MMAP_THRESHOLD, _LARGEST_FROM_HEAP_BYTES)
