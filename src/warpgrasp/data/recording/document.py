"""The JSON files of a recording: each of a named format, naming files of its own folder only, written whole."""

import json
from pathlib import Path
from typing import Any

from warpgrasp.checked import Entry, read_json_object
from warpgrasp.errors import DataError
from warpgrasp.files import write_text

__all__ = ["Entry", "file_inside", "read_document", "write_document"]


def read_document(path: Path, format_name: str) -> Entry:
    """The JSON object of a file whose `format` is the named one.

    Raises `DataError` naming the file when it is missing, no JSON, repeats a key, or is of another format or version.
    """
    if not path.exists():
        raise DataError(
            f"expected {path.name} in {path.parent}, found no such file; see docs/datasets.md#your-own-recording"
        )
    return read_json_object(path, format_name)


def file_inside(folder: Path, name: str, where: str) -> Path:
    """The file of that name, which must lie in the folder itself.

    Raises `DataError` for a path that leaves the folder (by `..`, a root or a link), or when there is no such file.
    """
    path = folder / name
    try:
        inside = not Path(name).is_absolute() and path.resolve().is_relative_to(folder.resolve())
        present = inside and path.is_file()
    except (OSError, ValueError) as error:  # a name too long, or with a zero byte
        raise DataError(f"expected the name of a file for {where}, found {name[:60]!r}") from error
    if not inside:
        raise DataError(f"expected a file inside the recording's folder for {where}, found {name[:100]!r}")
    if not present:
        raise DataError(f"expected the file {name[:100]!r} that {where} names in {folder}, found no such file")
    return path


def write_document(path: Path, content: dict[str, Any]) -> None:
    """Replace a JSON file, with one line for each innermost list.

    Raises `DataError` for numbers that are not finite, which JSON cannot hold, and `OSError` when the file cannot be
    written.
    """
    try:
        text = _laid_out(content, "")
    except ValueError as error:
        raise DataError(f"expected finite numbers to write to {path}: {error}") from error
    write_text(path, text + "\n")


def _laid_out(value: Any, indent: str) -> str:
    deeper = indent + "  "
    if isinstance(value, dict) and value:
        rows = [f"{deeper}{json.dumps(key)}: {_laid_out(inner, deeper)}" for key, inner in value.items()]
        return "{\n" + ",\n".join(rows) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(inner, dict | list) for inner in value):
        return "[\n" + ",\n".join(deeper + _laid_out(inner, deeper) for inner in value) + f"\n{indent}]"
    return json.dumps(value, allow_nan=False, ensure_ascii=False)
