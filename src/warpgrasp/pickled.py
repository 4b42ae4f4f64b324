"""Reads other people's pickles without running other people's code: only names on a whitelist are ever looked up.

NumPy's own names stand for classes of ours, which check what they are given: a spoilt data type or shape would make
NumPy's fail inside, or worse. Names of values are plain: the hash of a tuple may take for ever, or end the process.
"""

import codecs
import io
import math
import pickle
import re
import struct
import types
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from warpgrasp.bounded import check_texts, read_regular

# Truth values, numbers, objects and texts; nothing with fields, dates or memory of its own.
_CODE = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|c(8|16)|O8?|[SU][0-9]{1,6})", re.ASCII)
_MOST_AXES = 32
LARGEST_BYTES = 16_000_000  # a hand model has four million
MOST_STEPS = 1_000_000  # of the machine that a pickle is written for; a hand model takes some thousand
_PLAIN = (str, bytes, bool, int, float, complex, type(None), np.generic)


def _shown(value: Any) -> str:
    """A value for a sentence; what holds others could be endless."""
    return repr(value[:40] if isinstance(value, str) else value) if type(value) in (str, int) else type(value).__name__


def _encode_latin1(text: str, encoding: str = "latin1") -> bytes:
    """What Python 3 writes for byte strings in old protocols: nothing but latin1 is ever needed."""
    if type(encoding) is not str or encoding != "latin1":
        raise pickle.UnpicklingError(f"refused: _codecs.encode to {encoding[:40] if type(encoding) is str else '?'}")
    return codecs.encode(text, "latin1")


class _Dtype:
    """Stands for `numpy.dtype`."""

    def __init__(self, code: Any, align: Any = False, copy: Any = False):
        if not isinstance(code, str) or _CODE.fullmatch(code) is None:
            raise pickle.UnpicklingError(f"refused: the data type {_shown(code)}")
        self.real = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        if type(order) is not str or order not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError(f"refused: the byte order {_shown(order)}")
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
            content = _whole(content, dtype.real, shape)
        elif not isinstance(content, list) or len(content) != size or not all(isinstance(x, _PLAIN) for x in content):
            raise pickle.UnpicklingError("refused: an array of objects with more or fewer than it says, or others")
        super().__setstate__((1, shape, dtype.real, bool(fortran), content))  # type: ignore[arg-type]


def _size(shape: Any, dtype: Any) -> int:
    """The number of elements of an array."""
    if not isinstance(dtype, _Dtype) or not isinstance(shape, tuple) or len(shape) > _MOST_AXES:
        raise pickle.UnpicklingError("refused: an array of no known shape or type")
    if not all(type(length) is int and 0 <= length < 2**40 for length in shape):
        raise pickle.UnpicklingError(f"refused: an array of shape ({', '.join(map(_shown, shape))[:80]})")
    return math.prod(shape)


def _whole(content: Any, dtype: np.dtype, shape: tuple[int, ...]) -> bytes:
    """The bytes of an array, as many as it needs."""
    content = _bytes(content)
    if len(content) != math.prod(shape) * dtype.itemsize:
        raise pickle.UnpicklingError(f"refused: {len(content)} bytes for an array of shape {shape}")
    if dtype.kind == "U":
        check_texts(np.frombuffer(content, dtype))
    return content


def _reconstruct(kind: Any, shape: Any, code: Any) -> _Array:
    if kind is not _NdarrayName:
        raise pickle.UnpicklingError("refused: an array of a class of its own")
    return np.ndarray.__new__(_Array, (0,), np.int8)


def _frombuffer(content: Any, dtype: Any, shape: Any, order: Any, axis_order: Any = None) -> np.ndarray:
    """Stands for NumPy's function of that name, by which arrays are made from protocol 5 on."""
    _size(shape, dtype)
    if dtype.real.kind == "O" or type(order) is not str or order not in ("C", "F", "K"):
        raise pickle.UnpicklingError("refused: an array of objects, or of no known order, as bytes")
    flat = np.frombuffer(_whole(content, dtype.real, shape), dtype.real)
    if order != "K":
        return flat.reshape(shape, order=order)
    axes = axis_order if isinstance(axis_order, tuple) and all(type(axis) is int for axis in axis_order) else ()
    if sorted(axes) != list(range(len(shape))):
        raise pickle.UnpicklingError(f"refused: the order {str(axes)[:80]} of {len(shape)} axes")
    return flat.reshape(shape).transpose(axes)


def _scalar(dtype: Any, content: Any) -> Any:
    if not isinstance(dtype, _Dtype) or dtype.real.kind == "O":
        raise pickle.UnpicklingError("refused: a number of no known type")
    return np.frombuffer(_whole(content, dtype.real, ()), dtype.real)[0]


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


def plain_keys(keys: Iterable[Any]) -> None:
    """Raise `pickle.UnpicklingError` for names of values, or members of sets, whose hash is not taken at once.

    Nor are numbers that could be chosen to have the same hash.
    """
    for key in keys:
        if isinstance(key, str | bytes | None) or (isinstance(key, int) and abs(key) < 2**60):
            continue
        if type(key).__hash__ is not object.__hash__:
            raise pickle.UnpicklingError(f"refused: a {type(key).__name__} as the name of a value")


def plain_set(members: Any = ()) -> set[Any]:
    """Stands for `set` where a file needs it."""
    if not isinstance(members, list | tuple):
        raise pickle.UnpicklingError(f"refused: a set of a {type(members).__name__}")
    plain_keys(members)
    return set(members)


class _Steps(dict[int, Callable[["_WhitelistUnpickler"], None]]):
    """What each code of a pickle does, for so many of them."""

    left = MOST_STEPS

    def __getitem__(self, code: int) -> Callable[["_WhitelistUnpickler"], None]:
        self.left -= 1
        if self.left < 0:
            raise pickle.UnpicklingError(f"refused: more than {MOST_STEPS} steps")
        return super().__getitem__(code)


class _WhitelistUnpickler(pickle._Unpickler):  # the one written in Python, whose parts can be replaced
    stack: list[Any]
    append: Callable[[Any], None]
    read: Callable[[int], bytes]
    pop_mark: Callable[[], list[Any]]
    dispatch: dict[int, Any] = dict(pickle._Unpickler.dispatch)  # noqa: RUF012 (replaced in each by its own)

    def __init__(self, data: bytes, allowed: Mapping[tuple[str, str], Any]):
        super().__init__(io.BytesIO(data), encoding="latin1")
        self._allowed = allowed
        self.dispatch = _Steps(type(self).dispatch)

    def _set_items(self) -> None:
        items = self.pop_mark()
        self._fill(self.stack[-1], items)

    def _set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._fill(self.stack[-1], [key, value])

    def _fill(self, named: Any, items: list[Any]) -> None:
        if type(named) is not dict or len(items) % 2:
            raise pickle.UnpicklingError("refused: names of values in what holds none")
        plain_keys(items[::2])
        named.update(zip(items[::2], items[1::2], strict=True))

    def _dict(self) -> None:
        items = self.pop_mark()
        self._fill({}, items)
        self.append(dict(zip(items[::2], items[1::2], strict=True)))

    def _add_items(self) -> None:
        members = self.pop_mark()
        if type(self.stack[-1]) is not set:
            raise pickle.UnpicklingError("refused: members of what is no set")
        self.stack[-1].update(plain_set(members))

    def _frozen_set(self) -> None:
        members = self.pop_mark()  # after which `append` is another list's
        self.append(frozenset(plain_set(members)))

    def _build(self) -> None:
        """Give an object its state, if its class is one of ours; never a class or a function, which all share."""
        state, built = self.stack.pop(), self.stack[-1]
        setter = getattr(type(built), "__setstate__", None)
        if not isinstance(setter, types.FunctionType):
            raise pickle.UnpicklingError(f"refused: a state for a {type(built).__name__}")
        setter(built, state)

    def _byte_array(self) -> None:
        (length,) = struct.unpack("<Q", self.read(8))
        content = self.read(min(length, LARGEST_BYTES))
        if len(content) != length:
            raise EOFError(f"{len(content)} bytes of {length}")
        self.append(bytearray(content))

    dispatch |= {
        ord(pickle.SETITEMS): _set_items,
        ord(pickle.SETITEM): _set_item,
        ord(pickle.DICT): _dict,
        ord(pickle.ADDITEMS): _add_items,
        ord(pickle.FROZENSET): _frozen_set,
        ord(pickle.BUILD): _build,
        ord(pickle.BYTEARRAY8): _byte_array,
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._allowed:
            raise pickle.UnpicklingError(f"refused: it asks for {module}.{name}"[:200] + ", which no such file needs")
        return self._allowed[module, name]


def load_pickle(path: Path, allowed: Mapping[tuple[str, str], Any] = NUMPY_NAMES) -> Any:
    """Load a pickle of Python 2 or 3 that names nothing but `allowed`.

    Raises `PickleError` naming the file when it is broken, asks for anything else, takes more than `MOST_STEPS` or uses
    anything but plain names; `DataError` when it is no regular file or a large one, `OSError` when it cannot be read.
    """
    data = read_regular(path, LARGEST_BYTES)
    try:
        return _WhitelistUnpickler(data, allowed).load()
    except Exception as error:  # nobody says what a broken pickle makes the machine raise
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise PickleError(f"cannot read {path}: {reason}") from error
