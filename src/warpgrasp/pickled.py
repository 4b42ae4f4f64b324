"""Reads other people's pickles without running other people's code: only names on a whitelist are ever looked up."""

import codecs
import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy._core import multiarray

# `getattr`: these are NumPy's own, but not in its type stubs.
_RECONSTRUCT = getattr(multiarray, "_reconstruct")  # noqa: B009
_SCALAR = getattr(multiarray, "scalar")  # noqa: B009


def _encode_latin1(text: str, encoding: str) -> bytes:
    """What Python 3 writes for byte strings in old protocols: nothing but latin1 is ever needed."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"refused: _codecs.encode to {encoding}")
    return codecs.encode(text, "latin1")


# What arrays and numbers need, under the module names of NumPy 1 and 2.
NUMPY_NAMES: dict[tuple[str, str], Any] = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _RECONSTRUCT for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _SCALAR for core in ("core", "_core")},
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _encode_latin1,
}


class PickleError(ValueError):
    """A pickle is broken, or asks for something that is not on the whitelist."""


class _WhitelistUnpickler(pickle.Unpickler):
    def __init__(self, file: io.BufferedIOBase, allowed: Mapping[tuple[str, str], Any]):
        super().__init__(file, encoding="latin1")
        self._allowed = allowed

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._allowed:
            raise pickle.UnpicklingError(f"refused: it asks for {module}.{name}, which no such file needs")
        return self._allowed[module, name]


def load_pickle(path: Path, allowed: Mapping[tuple[str, str], Any] = NUMPY_NAMES) -> Any:
    """Load a pickle of Python 2 or 3 that names nothing but `allowed`.

    Raises `PickleError` naming the file when it is broken or asks for anything else, `OSError` when it cannot be read.
    """
    data = path.read_bytes()
    try:
        return _WhitelistUnpickler(io.BytesIO(data), allowed).load()
    except (
        pickle.UnpicklingError,
        ValueError,
        TypeError,
        ArithmeticError,
        EOFError,
        LookupError,
        AttributeError,
        MemoryError,
        RecursionError,
    ) as error:
        raise PickleError(f"cannot read {path}: {error}") from error
