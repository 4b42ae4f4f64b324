"""The JSON files of a recording, with nothing taken on trust: keys known, numbers finite, files inside the folder."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from warpgrasp.errors import DataError

Choice = TypeVar("Choice", bound=str)

LARGEST_BYTES = 256_000_000  # a label takes about 2 kB: a hundred thousand of them


@dataclass(frozen=True)
class Entry:
    """A JSON object, and where it stands, so that an error can say so."""

    values: Mapping[str, Any]
    path: Path
    place: str  # for example "frames[3].hand", empty for the whole file

    def where(self, key: str) -> str:
        """A key's full name with its file."""
        return f"{self._full(key)} in {self.path}"

    def _full(self, key: str) -> str:
        return f"{self.place}.{key}" if self.place else key

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
            raise DataError(f"expected the key {key} {self._of()}, found {', '.join(self.values) or 'nothing'}"[:400])
        return self.values[key]

    def _of(self) -> str:
        return f"of {self.place} in {self.path}" if self.place else f"in {self.path}"

    def text(self, key: str) -> str:
        """A value that must be a text with something in it."""
        value = self.value(key)
        if not isinstance(value, str) or not value.strip():
            raise DataError(f"expected a text for {self.where(key)}, found {_shown(value)}")
        return value

    def choice(self, key: str, options: Sequence[Choice]) -> Choice:
        """A value that must be one of a few texts."""
        value = self.value(key)
        for option in options:
            if value == option:
                return option
        raise DataError(f"expected one of {', '.join(options)} for {self.where(key)}, found {_shown(value)}")

    def whole(self, key: str, *, least: int, most: int) -> int:
        """A whole number within bounds."""
        value = self.value(key)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise DataError(
                f"expected a whole number from {least} to {most} for {self.where(key)}, found {_shown(value)}"
            )
        return value

    def number(self, key: str) -> float:
        """One finite number."""
        return float(self.numbers(key, ()))

    def numbers(self, key: str, shape: Sequence[int]) -> np.ndarray:
        """Finite float64 numbers in nested lists of exactly this shape; -1 stands for any length."""
        value = self.value(key)
        flat: list[float] = []
        found = _measure(value, tuple(shape), flat)
        if not found:
            wanted = (
                "a number"
                if not shape
                else "numbers in a list of " + " × ".join("n" if n < 0 else str(n) for n in shape)
            )
            raise DataError(f"expected {wanted} for {self.where(key)}, found {_shown(value)}")
        array = np.array(flat, dtype=np.float64)
        if not np.isfinite(array).all():
            raise DataError(f"expected finite numbers for {self.where(key)}, found NaN, infinity or one too large")
        return array.reshape([len(value) if n < 0 else n for n in shape])

    def entry(self, key: str) -> "Entry":
        """A value that must be an object."""
        value = self.value(key)
        if not isinstance(value, dict):
            raise DataError(f"expected an object {{…}} for {self.where(key)}, found {_shown(value)}")
        return Entry(value, self.path, self._full(key))

    def entries(self, key: str) -> list["Entry"]:
        """A value that must be a list of objects."""
        value = self.value(key)
        if not isinstance(value, list):
            raise DataError(f"expected a list of objects for {self.where(key)}, found {_shown(value)}")
        for number, one in enumerate(value):
            if not isinstance(one, dict):
                raise DataError(f"expected an object {{…}} for {self.where(f'{key}[{number}]')}, found {_shown(one)}")
        return [Entry(one, self.path, self._full(f"{key}[{number}]")) for number, one in enumerate(value)]


def _measure(value: Any, shape: tuple[int, ...], flat: list[float]) -> bool:
    """Whether `value` is numbers in nested lists of this shape; they are added to `flat`."""
    if not shape:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        try:
            flat.append(float(value))
        except OverflowError:  # a whole number beyond 1e308
            flat.append(float("inf"))
        return True
    if not isinstance(value, list) or (shape[0] >= 0 and len(value) != shape[0]):
        return False
    return all(_measure(one, shape[1:], flat) for one in value)


def _shown(value: Any) -> str:
    """A value as an error shows it: its kind, and itself when it is short."""
    match value:
        case dict():
            return "an object"
        case list():
            return f"a list of {len(value)}"
        case None:
            return "null"
    if isinstance(value, int) and abs(value) > 10**15:
        return "a number too large"
    return repr(value)[:60]


def read_document(path: Path, format_name: str) -> Entry:
    """The JSON object of a file whose `format` is the named one.

    Raises `DataError` naming the file when it is missing, no JSON, repeats a key, or is of another format or version.
    """
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise DataError(f"expected a small JSON file in {path}, found one of {path.stat().st_size / 1e6:.0f} MB")
        content = json.loads(path.read_bytes().decode("utf-8-sig"), object_pairs_hook=_without_repeats)
    except FileNotFoundError as error:
        raise DataError(
            f"expected {path.name} in {path.parent}, found no such file; see docs/datasets.md#your-own-recording"
        ) from error
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError, ValueError, OSError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"expected JSON in {path}: {str(error)[:200]}") from error
    if not isinstance(content, dict):
        raise DataError(f"expected a JSON object {{…}} in {path}, found {_shown(content)}")
    entry = Entry(content, path, "")
    stated = entry.value("format")
    if stated != format_name:
        raise DataError(f'expected "format": "{format_name}" in {path}, found {_shown(stated)}')
    return entry


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        repeated = next(key for number, (key, _) in enumerate(pairs) if key in dict(pairs[:number]))
        raise ValueError(f"the key {repeated[:60]!r} is given twice")
    return values


def file_inside(folder: Path, name: str, where: str) -> Path:
    """The file of that name, which must lie in the folder itself.

    Raises `DataError` for a path that leaves the folder (by `..`, a root or a link), or when there is no such file.
    """
    path = folder / name
    try:
        inside = not Path(name).is_absolute() and path.resolve().is_relative_to(folder.resolve())
        found = inside and path.is_file()
    except (OSError, ValueError) as error:  # a name too long, or with a zero byte
        raise DataError(f"expected the name of a file for {where}, found {name[:60]!r}") from error
    if not inside:
        raise DataError(f"expected a file inside the recording's folder for {where}, found {name[:100]!r}")
    if not found:
        raise DataError(f"expected the file {name[:100]!r} that {where} names in {folder}, found no such file")
    return path


def write_document(path: Path, content: dict[str, Any]) -> None:
    """Write JSON, one line for each innermost list, to a temporary name that is then renamed.

    Whatever happens, `path` holds the whole new file or the one before. Raises `DataError` for numbers that are not
    finite, which JSON cannot hold, and `OSError` when the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        text = _laid_out(content, "")
    except ValueError as error:
        raise DataError(f"expected finite numbers to write to {path}: {error}") from error
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _laid_out(value: Any, indent: str) -> str:
    deeper = indent + "  "
    if isinstance(value, dict) and value:
        rows = [f"{deeper}{json.dumps(key)}: {_laid_out(one, deeper)}" for key, one in value.items()]
        return "{\n" + ",\n".join(rows) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(one, dict | list) for one in value):
        return "[\n" + ",\n".join(deeper + _laid_out(one, deeper) for one in value) + f"\n{indent}]"
    return json.dumps(value, allow_nan=False, ensure_ascii=False)
