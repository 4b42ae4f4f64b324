"""How a training process keeps its memory."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
LARGEST_MMAP_THRESHOLD = 32 * 1024 * 1024  # that glibc takes
NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let glibc keep freed memory for the next step instead of returning it to the system; whether it does now.

    A training step asks for the same tensors again and again. By default those of some hundred kilobytes and more come
    as fresh pages, which the system clears one by one: on two cores that was a tenth of the demo's step. The process
    keeps its peak of memory until it ends. Does nothing where the C library is another one.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD)) & bool(mallopt(M_TRIM_THRESHOLD, NEVER))
