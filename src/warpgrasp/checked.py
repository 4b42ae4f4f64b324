"""Values of other people's files, checked once: named, of the expected kind and shape, finite.

An `Entry` is a set of named values (a JSON object, a YAML mapping, the arrays of an NPZ file, an unpickled dictionary)
together with the file it comes from. Each of its questions either returns what it promises or raises a `DataError` that
says what was expected, for which key of which file, and what was found. Sizes are looked at before anything is read
into memory, and nothing here runs what a file asks for.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import yaml
from torch import Tensor

from warpgrasp.archive import Archive
from warpgrasp.bounded import LARGEST_JSON_BYTES, read_json, read_regular, shown
from warpgrasp.errors import DataError

__all__ = [
    "LARGEST_ID",
    "LARGEST_NUMBER",
    "LARGEST_SHARE",
    "Entry",
    "are_shares",
    "far_outside",
    "read_arrays",
    "read_json_object",
    "read_yaml",
]

Choice = TypeVar("Choice", bound=str)

LARGEST_NUMBER = float(np.finfo(np.float32).max)
LARGEST_ID = 2**53  # of whole numbers that JSON keeps
LONGEST_TEXT = 200
LARGEST_SHARE = 2  # of a picture: some places may lie beyond it
LARGEST_YAML_BYTES = 65_536  # real calibrations have some hundred
LARGEST_ALIASES = 16  # real calibrations have none; a few cannot make a short file build something huge
LARGEST_ARRAY_BYTES = 65_536
MOST_AXES = 8


@dataclass(frozen=True)
class Entry:
    """Named values, and where they stand, so that an error can say so."""

    values: Mapping[str, Any]
    path: Path
    place: str = ""  # for example "frames[3].hand", empty for the whole file
    unit_axes: bool = False  # whether arrays may have axes of length 1 more or less than they should

    @staticmethod
    def of(value: Any, path: Path, *, unit_axes: bool = False) -> "Entry":
        """The named values that a whole file holds. Raises `DataError` when it holds anything else."""
        if not _is_named(value):
            raise DataError(f"expected named values {{…}} in {path}, found {_described(value)}")
        return Entry(value, path, unit_axes=unit_axes)

    def where(self, key: str) -> str:
        """A key's full name with its file."""
        return f"{self._full(key)} in {self.path}"

    def only(self, *known: str) -> None:
        """Refuse keys that mean nothing, which may be misspelt."""
        unknown = [key for key in self.values if key not in known]
        if unknown:
            raise DataError(
                f"expected only the keys {', '.join(known)} {self._of()}, found the unknown key {unknown[0][:60]!r}"
            )

    def has(self, key: str) -> bool:
        """Whether a key is given."""
        return key in self.values

    def value(self, key: str) -> Any:
        """The value of a key that must be there."""
        if key not in self.values:
            raise DataError(f"expected the key {key} {self._of()}, found {shown(self.values) or 'nothing'}")
        return self.values[key]

    def text(self, key: str, *, longest: int = LONGEST_TEXT) -> str:
        """A short text with something in it."""
        value = self.value(key)
        if not isinstance(value, str) or not value.strip():
            raise DataError(f"expected a text for {self.where(key)}, found {_described(value)}")
        if len(value) > longest:
            raise DataError(f"expected a short text for {self.where(key)}, found one of {len(value)} characters")
        return str(value)  # a NumPy text would not go into JSON

    def choice(self, key: str, options: Sequence[Choice]) -> Choice:
        """A value that must be one of a few texts."""
        value = self.value(key)
        for option in options:
            if isinstance(value, str) and value == option:
                return option
        raise DataError(f"expected one of {', '.join(options)} for {self.where(key)}, found {_described(value)}")

    def truth(self, key: str) -> bool:
        """A value that must be true or false."""
        value = self.value(key)
        if not isinstance(value, bool):
            raise DataError(f"expected true or false for {self.where(key)}, found {_described(value)}")
        return value

    def whole(self, key: str, *, least: int, most: int) -> int:
        """A whole number within bounds."""
        value = self.value(key)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise DataError(
                f"expected a whole number from {least} to {most} for {self.where(key)}, found {_described(value)}"
            )
        return value

    def items(self, key: str, *kinds: type[int] | type[str]) -> list[Any]:
        """A list of plain values, each of one of the kinds (`int`, `str`)."""
        value = self.value(key)
        if not isinstance(value, list) or not all(type(item) in kinds for item in value):
            names = " or ".join({int: "whole numbers", str: "texts"}[kind] for kind in kinds)
            raise DataError(f"expected a list of {names} for {self.where(key)}, found {_described(value)}")
        return value

    def number(self, key: str, *, most: float = LARGEST_NUMBER) -> float:
        """One finite number, at most `most` from 0."""
        return float(self.numbers(key, (), most=most))

    def numbers(self, key: str, shape: Sequence[int], *, most: float = LARGEST_NUMBER) -> np.ndarray:
        """Finite float64 numbers of a shape, each at most `most` from 0, from an array or from nested lists.

        -1 stands for any length.
        """
        array = _array_of(self.value(key), tuple(shape), unit_axes=self.unit_axes)
        if isinstance(array, str):
            lengths = " × ".join("n" if n < 0 else str(n) for n in shape)
            wanted = f"numbers in a list of {lengths}" if shape else "a number"
            raise DataError(f"expected {wanted} for {self.where(key)}, found {array}")
        if not np.isfinite(array).all():
            raise DataError(f"expected finite numbers for {self.where(key)}, found NaN, infinity or one too large")
        if array.size and np.abs(array).max() > most:
            largest = array.flat[np.abs(array).argmax()]
            wanted = "numbers" if shape else "a number"
            raise DataError(f"expected {wanted} of at most {most:g} for {self.where(key)}, found {largest:g}")
        return array

    def tensor(self, key: str, shape: Sequence[int], *, most: float = LARGEST_NUMBER) -> Tensor:
        """The same numbers as a float32 tensor."""
        return torch.from_numpy(self.numbers(key, shape, most=most)).float()

    def entry(self, key: str) -> "Entry":
        """Named values under a key."""
        value = self.value(key)
        if not _is_named(value):
            raise DataError(f"expected an object {{…}} for {self.where(key)}, found {_described(value)}")
        return replace(self, values=value, place=self._full(key))

    def entries(self, key: str) -> list["Entry"]:
        """A list of named values under a key."""
        return list(self.each(key))

    def each(self, key: str) -> Iterator["Entry"]:
        """The same one after the other, for lists that may be long."""
        value = self.value(key)
        if not isinstance(value, list):
            raise DataError(f"expected a list of objects for {self.where(key)}, found {_described(value)}")
        for number, item in enumerate(value):
            name = f"{key}[{number}]"
            yield replace(self, values={name: item}).entry(name)

    def by_id(self, key: str) -> dict[int, "Entry"]:
        """A list of named values under a key, by the `id` of each; none where the key is not there."""
        found: dict[int, Entry] = {}
        for one in self.each(key) if self.has(key) else ():
            number = one.whole("id", least=0, most=LARGEST_ID)
            if number in found:
                raise DataError(f"expected another id for each of {self.where(key)}, found {number} twice")
            found[number] = one
        return found

    def _full(self, key: str) -> str:
        key = key if key.isprintable() and len(key) <= LONGEST_TEXT else ascii(key[:60])  # of other people's
        return f"{self.place}.{key}" if self.place else key

    def _of(self) -> str:
        return f"of {self.place} in {self.path}" if self.place else f"in {self.path}"


def _is_named(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(key, str) for key in value)


def _array_of(value: Any, shape: tuple[int, ...], *, unit_axes: bool) -> np.ndarray | str:
    """The numbers of an array, or of nested lists, as float64 of that shape; otherwise a description of the value."""
    own = _shape_of(value)
    if not _fits(own, shape, unit_axes=unit_axes):
        return _described(value)
    if isinstance(value, np.ndarray) and value.dtype.kind != "O":
        array = value.astype(np.float64) if value.dtype.kind in "iuf" else f"an array of {value.dtype}"
    else:
        flat: list[float] = []
        array = _measure(value, own, flat) or np.array(flat, dtype=np.float64).reshape(own)
    return array if isinstance(array, str) or not unit_axes else array.reshape(shape)


def _shape_of(value: Any) -> tuple[int, ...]:
    """The shape of an array, or that of the first items of nested lists."""
    lengths: list[int] = []
    while isinstance(value, list | tuple) and len(lengths) < MOST_AXES:
        lengths.append(len(value))
        value = value[0] if value else None
    return (*lengths, *value.shape) if isinstance(value, np.ndarray) else tuple(lengths)


def _fits(own: tuple[int, ...], wanted: tuple[int, ...], *, unit_axes: bool) -> bool:
    if unit_axes:
        own, wanted = (tuple(length for length in lengths if length != 1) for lengths in (own, wanted))
    return len(own) == len(wanted) and all(n in (-1, m) for n, m in zip(wanted, own, strict=True))


def _measure(value: Any, shape: tuple[int, ...], flat: list[float]) -> str | None:
    """Add the numbers of nested lists of this shape to `flat`; otherwise say what is found instead of them."""
    if isinstance(value, np.ndarray) and value.shape == shape:
        value = value.tolist()
    if not shape:
        if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
            return _described(value)
        try:
            flat.append(float(value))
        except OverflowError:  # a whole number beyond 1e308
            flat.append(float("inf"))
        return None
    if not isinstance(value, list | tuple) or len(value) != shape[0]:
        return _described(value)
    for number, item in enumerate(value):
        wrong = _measure(item, shape[1:], flat)
        if wrong is not None:
            return f"{wrong} at [{number}]" if " at [" not in wrong else wrong.replace(" at [", f" at [{number}][", 1)
    return None


def _described(value: Any) -> str:
    """A value as an error shows it: its kind, and itself when it is short."""
    match value:
        case Mapping():
            return "an object" if _is_named(value) else "values whose names are no texts"
        case list() | tuple():
            return f"a list of {len(value)}"
        case np.ndarray():
            return f"an array of shape {value.shape}"
        case None:
            return "null"
        case int() if abs(value) > 10**15:
            return "a number too large"
        case bool() | int() | float() | str():
            return repr(value[:60] if isinstance(value, str) else value)
    return f"a {type(value).__name__}"


def read_json_object(
    path: Path, format_name: str | None = None, *, see: str | None = None, largest_bytes: int = LARGEST_JSON_BYTES
) -> Entry:
    """The named values of a JSON file, whose `format` is the named one where one is named.

    `see` is the page that says how to write a file that is missing.

    Raises `DataError` naming the file when it is missing, larger, no JSON, repeats a key, or is of another format or
    version.
    """
    try:
        content = read_json(path, largest_bytes=largest_bytes)
    except FileNotFoundError as error:
        page = "" if see is None else f"; see {see}"
        raise DataError(f"expected {path.name} in {path.parent}, found no such file{page}") from error
    if not isinstance(content, dict):
        raise DataError(f"expected a JSON object {{…}} in {path}, found {_described(content)}")
    entry = Entry(content, path)
    if format_name is not None and entry.value("format") != format_name:
        raise DataError(f'expected "format": "{format_name}" in {path}, found {_described(entry.value("format"))}')
    return entry


# The compiled loader, where it is there, is six times as fast. Both refuse tags that would call anything.
class _PlainLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Builds plain values only; a tuple, which Python's own YAML writer tags, becomes a list."""


_PlainLoader.add_constructor(
    "tag:yaml.org,2002:python/tuple", lambda loader, node: loader.construct_sequence(node, deep=True)
)


def read_yaml(path: Path) -> Entry:
    """The named values of a small YAML file. Raises `DataError` naming the file when it is missing or something else.

    Only plain values are built; a tuple (`!!python/tuple`) is read as a list, and no other tag of Python is.
    """
    try:
        content = read_regular(path, LARGEST_YAML_BYTES)
        if content.count(b"*") > LARGEST_ALIASES:
            raise DataError(f"expected plain YAML in {path}, found more than {LARGEST_ALIASES} aliases")
        return Entry.of(yaml.load(content, Loader=_PlainLoader), path)
    except FileNotFoundError as error:
        raise DataError(f"expected {path}, found no such file") from error
    # SafeLoader's own constructors let these through: impossible dates, unhashable keys, long digits, depth.
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError, OSError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"expected plain YAML in {path}: {' '.join(str(error).split())[:300]}") from error


def read_arrays(path: Path, *names: str, largest_bytes: int = LARGEST_ARRAY_BYTES) -> Entry:
    """The named arrays of an `.npz` file, each at most `largest_bytes` long; its other arrays are not looked at.

    Sizes are compared before anything is unpacked, so that no zip bomb goes off. Raises `DataError` naming the file
    when it is missing or broken, lacks one of the arrays, or holds pickled objects.
    """
    try:
        with Archive.opened(path) as archive:
            for name in names:
                Entry(dict.fromkeys(archive.names), path).value(name)
                if archive.bytes_of(name) > largest_bytes:
                    raise DataError(f"expected a small array {name} in {path}, found one above {largest_bytes} bytes")
            return Entry({name: archive.read(name) for name in names}, path)
    except FileNotFoundError as error:
        raise DataError(f"expected the arrays of {path}, found no such file") from error


def are_shares(places: np.ndarray) -> bool:
    """Whether numbers of places in a picture are so small that they are shares of it, or of a crop, and no pixels."""
    return places.size > 0 and bool((np.abs(places) < LARGEST_SHARE).all())


def far_outside(places_px: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Which of n places, an array (n, 2), lie beyond a picture of a (width, height) by more than that."""
    beyond = np.logical_or(places_px < -np.array(size), places_px > 2 * np.array(size))
    return np.logical_or.reduce(beyond, axis=1)
