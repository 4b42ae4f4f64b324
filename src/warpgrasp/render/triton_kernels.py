"""Triton kernels: how they are compiled, or interpreted where there is no GPU."""

# pyright: reportMissingImports=false
# Triton comes with PyTorch's CUDA builds alone.

import inspect
from collections.abc import Callable
from typing import Any

import triton
from torch import Tensor


def on_gpu(kernel: Callable[..., Any]) -> Any:
    """Compile a kernel at its first call. With `TRITON_INTERPRET=1` it runs on the CPU, slowly: for tests.

    The jaxtyping hook of the tests wraps functions, which Triton cannot compile: hence `unwrap`.
    """
    return triton.jit(inspect.unwrap(kernel))


def rows(tensor: Tensor) -> Tensor:
    """The tensor, copied unless each row of its batch lies in one piece; where the rows lie does not matter."""
    return tensor if tensor[:1].is_contiguous() else tensor.contiguous()
