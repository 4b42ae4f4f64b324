"""The processes of a training: the rows of a batch that each computes (`accelerate launch`), and the kept memory."""

import ctypes
import sys
import time
import weakref
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

import torch
from accelerate import Accelerator, PartialState
from torch import Tensor, nn

from warpgrasp.data import Rows
from warpgrasp.errors import UserError
from warpgrasp.reconstruction import HandObjectNetwork

T = TypeVar("T")

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
LARGEST_MMAP_THRESHOLD = 32 * 1024 * 1024  # that glibc takes
NEVER = 2**31 - 1
LONGEST_HOLD_S = 10.0  # after which reduced values are no longer waited for


class ProcessesError(UserError):
    """A training cannot be shared by so many processes."""


def rows_of(accelerator: Accelerator, batch: int, *, items: str) -> Rows | None:
    """The rows of a batch that this process computes: as many as each other one. None: it is alone.

    Raises `ProcessesError` when they cannot be shared evenly: the mean over processes would weigh frames unequally.
    """
    count = accelerator.num_processes
    if count == 1:
        return None
    if batch % count:
        raise ProcessesError(
            f"expected a batch that {count} processes share evenly, got {batch} {items}; choose a multiple of {count}, "
            f"or another --num_processes"
        )
    share = batch // count
    return Rows(accelerator.process_index * share, share, batch)


def mine(rows: Rows | None, batch: Sequence[T]) -> Sequence[T]:
    """The rows of this process."""
    return batch if rows is None else batch[rows.own]


def check_shareable(accelerator: Accelerator, *, skips_bad_frames: bool) -> None:
    """Raise `ProcessesError` when bad frames would be left out, which would leave processes with unequal shares."""
    if skips_bad_frames and accelerator.num_processes > 1:
        raise ProcessesError(
            f"expected one process for --bad-frames skip, got {accelerator.num_processes}; mend the bad frames, or "
            f"train by one process"
        )


def share_batch_norm(accelerator: Accelerator, network: HandObjectNetwork, *, frozen: bool) -> None:
    """Let statistics that are not frozen be those of the whole batch.

    Raises `ProcessesError` on CPUs, for which PyTorch cannot.
    """
    if frozen or accelerator.num_processes == 1:
        return
    if accelerator.device.type != "cuda":
        raise ProcessesError(
            "expected one process for batch-norm statistics that are not frozen, since PyTorch cannot share them "
            f"between CPUs, got {accelerator.num_processes}; freeze them by --freeze-batch-norm always, or use GPUs"
        )
    network.encoder = nn.SyncBatchNorm.convert_sync_batchnorm(network.encoder)


def begins_first() -> AbstractContextManager[None]:
    """Run the body in the main process first, then in the others, which find what the first has made."""
    return _processes().main_process_first()


def is_main() -> bool:
    """Whether this process is the one that writes and speaks."""
    return _processes().is_main_process


def _processes() -> PartialState:
    # With the device of `accelerator_for`: the first call in a process decides for all.
    return PartialState(cpu=not torch.cuda.is_available())


def mean_over_processes(accelerator: Accelerator, values: Tensor) -> Tensor:
    """The mean of equally weighted values of all processes."""
    if accelerator.num_processes == 1:
        return values
    reduced = accelerator.reduce(values, reduction="mean")
    assert isinstance(reduced, Tensor)
    mean, held = reduced.clone(), weakref.ref(reduced)
    del reduced
    # On CPUs, the thread that added the values up lets go of their tensor a moment after they are known, and asks for
    # the interpreter's lock to do so. An interpreter that has begun to end by then aborts the process.
    patience = time.monotonic() + LONGEST_HOLD_S
    while accelerator.device.type == "cpu" and held() is not None and time.monotonic() < patience:
        time.sleep(1e-4)
    return mean


def keep_freed_memory() -> bool:
    """Let glibc keep freed memory for the next step instead of returning it to the system; return whether it does now.

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
