"""Compiled kernels: how they are compiled, kept, and shared out over threads."""

import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import numba
import numpy as np
import torch


def share_out(work: Callable[..., None], arrays: tuple[np.ndarray, ...]) -> None:
    """Call `work` with parts of the arrays along the batch, once per thread, the calling thread among them.

    A plain thread pool, the kernels releasing the GIL: numba's own threads would be a second OpenMP runtime, whose
    threads go on spinning after each call and take the cores from PyTorch's.
    """
    batch = len(arrays[0])
    workers = min(batch, torch.get_num_threads())
    if workers <= 1:
        work(*arrays)
        return
    bounds = [batch * worker // workers for worker in range(workers + 1)]
    shares = [tuple(array[start:stop] for array in arrays) for start, stop in pairwise(bounds)]
    others = [_pool(workers - 1).submit(work, *share) for share in shares[1:]]
    work(*shares[0])
    for other in others:
        other.result()


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers, thread_name_prefix="kernels")


def compiled(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a kernel by numba at its first call.

    The machine code is kept for the next process, beside this file or, where that cannot be written, in the user's
    cache folder. The jaxtyping hook of the tests wraps functions, which numba cannot compile: hence `unwrap`.
    """
    function = inspect.unwrap(kernel)
    try:
        return numba.njit(function, nogil=True, cache=True)
    except RuntimeError:  # neither can be written: every process compiles for itself
        return numba.njit(function, nogil=True)
