"""Named numbers out of raw files, checked: present, of the documented shape, finite."""

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from warpgrasp.errors import DataError

LARGEST = float(np.finfo(np.float32).max)
LONGEST_TEXT = 200


def value_of(fields: Mapping[str, Any], key: str, path: Path) -> Any:
    """The value of a key that a file must have."""
    if key not in fields:
        found = ", ".join(sorted(name[:40] for name in fields if isinstance(name, str))[:20])
        raise DataError(f"expected the key {key} in {path}, found {found or 'none'}")
    return fields[key]


def text_of(fields: Mapping[str, Any], key: str, path: Path) -> str:
    """A short text."""
    value = value_of(fields, key, path)
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise DataError(f"expected a short text in {key} of {path}, found {_described(value)}")
    return str(value)  # not a NumPy text, which JSON would not take


def numbers(fields: Mapping[str, Any], key: str, shape: Sequence[int], path: Path) -> np.ndarray:
    """Finite float64 numbers of a shape; axes of length 1 may be there or not.

    A list may hold anything, a thousand times itself too, so its numbers are counted before they become an array.
    """
    value = value_of(fields, key, path)
    expected = f"expected {key} of shape {tuple(shape)} in {path}"
    if not isinstance(value, np.ndarray | list | tuple):
        raise DataError(f"{expected}, found {_described(value)}")
    if not isinstance(value, np.ndarray) and _has_more_than(math.prod(shape), value):
        raise DataError(f"{expected}, found a longer list")
    try:
        array = np.asarray(value)
        if array.dtype.kind == "O" and array.size == math.prod(shape):
            array = np.array([float(number) for number in array.flat]).reshape(array.shape)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise DataError(f"{expected}: {error}") from error
    if array.dtype.kind not in "iuf":
        raise DataError(f"{expected}, found values of type {array.dtype}")
    return _checked(array.astype(np.float64), key, shape, path)


def tensor(fields: Mapping[str, Any], key: str, shape: Sequence[int], path: Path) -> Tensor:
    """The same as a float32 tensor."""
    return torch.from_numpy(numbers(fields, key, shape, path)).float()


def json_numbers(path: Path, shape: tuple[int, ...]) -> Tensor:
    """The numbers of a JSON file that holds one nested list, as float32.

    Its brackets and commas are compared with those of the shape, and its numbers are read as one row: HO-3D's list of
    27 million would take gigabytes as Python's lists.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"expected the numbers of {path}, found no such file") from error
    except OSError as error:
        raise DataError(f"expected the numbers of {path}: {error}") from error
    if data.translate(None, delete=b"0123456789.eE+- \t\r\n") != _brackets(shape):
        raise DataError(f"expected one list of shape {shape} in {path}, found {_what_json_holds(data)}")
    row = data.translate(None, delete=b"[]")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # older versions warn of what is no number, and stop
            values = np.fromstring(row, sep=" , ", dtype=np.float64) if row.strip() else np.zeros(0)
    except (ValueError, DeprecationWarning) as error:
        raise DataError(f"expected numbers in {path}: {error}") from error
    if values.size != math.prod(shape):
        raise DataError(f"expected {math.prod(shape)} numbers in {path}, found what is none after {values.size}")
    return torch.from_numpy(_checked(values.reshape(shape), "list", shape, path)).float()


def _brackets(shape: tuple[int, ...]) -> bytes:
    inner = b""
    for length in reversed(shape):
        inner = b"[" + b",".join([inner] * length) + b"]"
    return inner


def _what_json_holds(data: bytes) -> str:
    """Why a file is not the list that was expected; broken files are told from those of another shape."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        return f"no JSON: {error}"
    if not isinstance(found, list):
        return f"a {type(found).__name__}"
    lengths = []
    while isinstance(found, list) and len(lengths) < 10:
        lengths.append(len(found))
        found = found[0] if found else None
    return f"lists of lengths {lengths}, or other than finite numbers in them"


def _checked(array: np.ndarray, key: str, shape: Sequence[int], path: Path) -> np.ndarray:
    if [length for length in array.shape if length != 1] != [length for length in shape if length != 1]:
        raise DataError(f"expected {key} of shape {tuple(shape)} in {path}, found shape {array.shape}")
    if not np.isfinite(array).all():
        raise DataError(f"expected finite numbers in {key} of {path}, found NaN or infinity")
    if array.size and np.abs(array).max() > LARGEST:
        raise DataError(f"expected numbers that are not beyond all measure in {key} of {path}")
    return array.reshape(tuple(shape))


def _has_more_than(limit: int, value: Sequence[Any]) -> bool:
    """Whether nested lists hold more than so many values, or as many lists around them."""
    waiting, seen = [value], 0
    while waiting:
        for inner in waiting.pop():
            seen += 1
            if seen > 4 * limit + 4:
                return True
            if isinstance(inner, list | tuple):
                waiting.append(inner)
    return False


def _described(value: Any) -> str:
    if isinstance(value, str):
        return f"a text of {len(value)} characters"
    return "None" if value is None else f"a {type(value).__name__}"
