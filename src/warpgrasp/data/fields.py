"""Named numbers out of raw files, checked: present, of the documented shape, finite."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from warpgrasp.data.errors import DataError


def value_of(fields: Mapping[str, Any], key: str, path: Path) -> Any:
    """The value of a key that a file must have."""
    if key not in fields:
        raise DataError(f"expected the key {key} in {path}, found {', '.join(sorted(map(str, fields)))}")
    return fields[key]


def numbers(fields: Mapping[str, Any], key: str, shape: Sequence[int], path: Path) -> np.ndarray:
    """Finite float64 numbers of a shape."""
    try:
        value = np.asarray(value_of(fields, key, path), dtype=np.float64)
        value = value.reshape(shape)
    except (TypeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"expected {key} of shape {tuple(shape)} in {path}: {error}") from error
    if not np.isfinite(value).all():
        raise DataError(f"expected finite numbers in {key} of {path}, found NaN or infinity")
    return value


def tensor(fields: Mapping[str, Any], key: str, shape: Sequence[int], path: Path) -> Tensor:
    """The same as a float32 tensor."""
    return torch.from_numpy(numbers(fields, key, shape, path)).float()


def json_numbers(path: Path, shape: tuple[int, ...]) -> Tensor:
    """The numbers of a JSON file that holds one nested list."""
    try:
        return tensor({"list": json.loads(path.read_text())}, "list", shape, path)
    except FileNotFoundError as error:
        raise DataError(f"expected the numbers of {path}, found no such file") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"expected JSON in {path}: {error}") from error
