"""Reads other people's pickles without running other people's code: only names on a whitelist are ever looked up.

NumPy's own names stand for classes of ours, which check what they are given: a spoilt data type or shape would make
NumPy's fail inside, or worse.
"""

import codecs
import io
import math
import pickle
import pickletools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

# Truth values, numbers, objects and texts; nothing with fields, dates or memory of its own.
_CODE = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|c(8|16)|O8?|[SU][0-9]{1,6})", re.ASCII)
_MOST_AXES = 32


def _encode_latin1(text: str, encoding: str = "latin1") -> bytes:
    """What Python 3 writes for byte strings in old protocols: nothing but latin1 is ever needed."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"refused: _codecs.encode to {encoding}")
    return codecs.encode(text, "latin1")


class _Dtype:
    """Stands for `numpy.dtype`."""

    def __init__(self, code: Any, align: Any = False, copy: Any = False):
        if not isinstance(code, str) or _CODE.fullmatch(code) is None:
            raise pickle.UnpicklingError(f"refused: the data type {str(code)[:40]!r}")
        self.real = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        if order not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError(f"refused: the byte order {str(order)[:40]!r}")
        self.real = self.real.newbyteorder(order)


class _NdarrayName:
    """Stands for `numpy.ndarray`, which is only ever named."""

    def __init__(self, *arguments: Any):
        raise pickle.UnpicklingError("refused: it makes an array without its content")


class _Array(np.ndarray):
    """An array whose content comes after it, and is checked."""

    def __setstate__(self, state: Any) -> None:  # type: ignore[override]
        shape, dtype, fortran, content = state[-4:]
        size = _size(shape, dtype)
        if dtype.real.kind != "O":
            content = _whole(content, size * dtype.real.itemsize, shape)
        elif not isinstance(content, list) or len(content) != size:
            raise pickle.UnpicklingError("refused: an array of objects with more or fewer of them")
        super().__setstate__((1, shape, dtype.real, bool(fortran), content))  # type: ignore[arg-type]


def _size(shape: Any, dtype: Any) -> int:
    """The number of elements of an array."""
    if not isinstance(dtype, _Dtype) or not isinstance(shape, tuple) or len(shape) > _MOST_AXES:
        raise pickle.UnpicklingError("refused: an array of no known shape or type")
    if not all(isinstance(length, int) and 0 <= length < 2**40 for length in shape):
        raise pickle.UnpicklingError(f"refused: an array of shape {str(shape)[:80]}")
    return math.prod(shape)


def _whole(content: Any, length: int, shape: tuple[int, ...]) -> bytes:
    """The bytes of an array, as many as it needs."""
    content = _bytes(content)
    if len(content) != length:
        raise pickle.UnpicklingError(f"refused: {len(content)} bytes for an array of shape {shape}")
    return content


def _reconstruct(kind: Any, shape: Any, code: Any) -> _Array:
    if kind is not _NdarrayName:
        raise pickle.UnpicklingError("refused: an array of a class of its own")
    return np.ndarray.__new__(_Array, (0,), np.int8)


def _frombuffer(content: Any, dtype: Any, shape: Any, order: Any, axis_order: Any = None) -> np.ndarray:
    """Stands for NumPy's function of that name, by which arrays are made from protocol 5 on."""
    size = _size(shape, dtype)
    if dtype.real.kind == "O" or order not in ("C", "F", "K"):
        raise pickle.UnpicklingError("refused: an array of objects, or of no known order, as bytes")
    flat = np.frombuffer(_whole(content, size * dtype.real.itemsize, shape), dtype.real)
    if order != "K":
        return flat.reshape(shape, order=order)
    if not isinstance(axis_order, tuple) or sorted(axis_order) != list(range(len(shape))):
        raise pickle.UnpicklingError(f"refused: the order {str(axis_order)[:80]} of {len(shape)} axes")
    return flat.reshape(shape).transpose(axis_order)


def _scalar(dtype: Any, content: Any) -> Any:
    if not isinstance(dtype, _Dtype) or dtype.real.kind == "O":
        raise pickle.UnpicklingError("refused: a number of no known type")
    return np.frombuffer(_bytes(content), dtype.real, count=1)[0]


def _bytes(content: Any) -> bytes:
    """The bytes of an array; Python 2's are read as latin1 text."""
    if not isinstance(content, bytes | bytearray | str):
        raise pickle.UnpicklingError(f"refused: the content of an array as a {type(content).__name__}")
    return content.encode("latin1") if isinstance(content, str) else bytes(content)


def _no_bytes(*arguments: Any) -> bytes:
    """Python 3's empty byte string in the oldest protocols."""
    if arguments:
        raise pickle.UnpicklingError("refused: bytes that are made, not given")
    return b""


# What arrays and numbers need, under the module names of NumPy 1 and 2.
NUMPY_NAMES: dict[tuple[str, str], Any] = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _frombuffer for core in ("core", "_core")},
    ("numpy", "ndarray"): _NdarrayName,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode_latin1,
    **{(builtins, "bytes"): _no_bytes for builtins in ("__builtin__", "builtins")},
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
        _refuse_hoarding(data)
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


def _refuse_hoarding(data: bytes) -> None:
    """A pickle numbers what it will say again; Python makes room for as many as the largest number, gigabytes or not.

    An honest pickle has no more of them than bytes.
    """
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name in ("PUT", "LONG_BINPUT") and isinstance(argument, int) and argument > len(data):
            raise pickle.UnpicklingError(f"refused: it numbers something {argument}")
