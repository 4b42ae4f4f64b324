"""Files from elsewhere, read within bounds that are known beforehand: regular files of a size, JSON and XML of a depth.

Opening never waits and never starts anything: pipes, devices, sockets and folders, and links to such, are refused
before they are opened.
"""

import json
import os
import re
import stat
from collections.abc import Iterable
from io import BufferedReader
from itertools import chain, islice
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from warpgrasp.errors import DataError

__all__ = [
    "LARGEST_JSON_BYTES",
    "check_texts",
    "open_regular",
    "parse_json",
    "parse_xml",
    "read_json",
    "read_regular",
    "read_text",
    "shown",
]

LARGEST_JSON_BYTES = 16_000_000
LARGEST_TEXT_BYTES = 16_000_000  # of lists and tables; the longest list of a data set has one and a half
MOST_MARKS = 5_000_000  # brackets and commas of a JSON text: its values take some hundred bytes each in memory
# Of a JSON text: a text or a key takes two hundred bytes in memory, a list or an object up to three hundred.
MOST_TEXTS, MOST_LISTS = 2_500_000, 1_500_000
DEEPEST_JSON = 64  # lists and objects in each other
MOST_TAGS = 500_000  # of an XML text, which begin and end elements; some hundred bytes each in memory
ATTRIBUTES_PER_TAG = 4
DEEPEST_XML = 20  # elements in each other
LAST_CODE_POINT = 0x10FFFF
# Halves of characters, which nothing writes; the last stand for the bytes of names that are not UTF-8.
HALVES = 0xD800, 0xDFFF
BYTES = 0xDC80, 0xDCFF

# A text to its end, or to that of the file: no byte is looked at twice.
_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_ENTITY = re.compile(r"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_NO_MARKS = bytes(set(range(256)) - set(b"[]{},"))
_STEPS = np.zeros(256, np.int8)
_STEPS[list(b"[{")], _STEPS[list(b"]}")] = 1, -1
_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file, or a link to one, to read its bytes.

    Raises `DataError` naming the file when it is anything else, and `OSError` when it cannot be opened.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):  # before it is opened, which waits for a pipe's other end and rewinds a tape
            # Not to wait either when somebody puts a pipe into its place in between.
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
            mode = os.fstat(descriptor).st_mode
            file = open(descriptor, "rb")  # noqa: SIM115 (handed over)
            if stat.S_ISREG(mode):
                return file
            file.close()
    except ValueError as error:  # a NUL in the name
        raise DataError(f"expected the name of a file, got {str(path)[:100]!r}: {error}") from error
    raise DataError(f"expected a file in {path}, found {_KINDS.get(stat.S_IFMT(mode), 'a device')}")


def read_regular(path: Path, largest_bytes: int) -> bytes:
    """The content of a regular file of at most `largest_bytes`.

    Raises `DataError` naming the file when it is larger or no regular file, and `OSError` when it cannot be read.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > largest_bytes:
            raise DataError(
                f"expected a file of at most {largest_bytes / 1e6:.3g} MB in {path}, found one of {size / 1e6:.3g} MB"
            )
        content = file.read(size + 1)
    if len(content) != size:
        raise DataError(f"expected a file that stays as it is in {path}, found one that changes while it is read")
    return content


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """The content of a small text file.

    Raises `FileNotFoundError` when there is none, and `DataError` naming it when it is larger, no regular file, or no
    such text.
    """
    try:
        return read_regular(path, LARGEST_TEXT_BYTES).decode(encoding)
    except FileNotFoundError:
        raise
    except (UnicodeDecodeError, OSError) as error:
        raise DataError(f"expected a text in {path}: {error}") from error


def read_json(path: Path, *, largest_bytes: int = LARGEST_JSON_BYTES, most_marks: int = MOST_MARKS) -> Any:
    """The values of a JSON file.

    Raises `FileNotFoundError` when there is none, and `DataError` naming it when it is something else, is larger, or
    holds more than `parse_json` reads.
    """
    try:
        return parse_json(read_regular(path, largest_bytes), most_marks=most_marks)
    except FileNotFoundError:
        raise
    except (ValueError, OSError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"expected JSON in {path}: {' '.join(str(error).split())[:200]}") from error


def parse_json(
    content: bytes | str, *, most_marks: int = MOST_MARKS, most_texts: int = MOST_TEXTS, most_lists: int = MOST_LISTS
) -> Any:
    """The values of a JSON text in UTF-8.

    Raises `ValueError` for what is none, repeats a key, nests deeper than `DEEPEST_JSON`, holds more than `most_marks`
    brackets and commas, `most_texts` texts, `most_lists` lists and objects, or half a character; and for characters
    beyond ASCII in a text above `LARGEST_JSON_BYTES`: one of them makes four bytes of each other in memory.
    """
    raw = content.encode() if isinstance(content, str) else content
    if len(raw) > LARGEST_JSON_BYTES and not raw.isascii():
        raise ValueError(f"characters beyond ASCII in more than {LARGEST_JSON_BYTES / 1e6:g} MB")
    if raw.count(b'"') > 2 * most_texts:
        raise ValueError(f"more than {most_texts} texts")
    marks = np.frombuffer(_TEXT.sub(b"", raw).translate(None, _NO_MARKS), np.uint8)
    if len(marks) > most_marks:
        raise ValueError(f"more than {most_marks} values")
    if np.count_nonzero(_STEPS[marks] > 0) > most_lists:
        raise ValueError(f"more than {most_lists} lists and objects")
    if np.cumsum(_STEPS[marks], dtype=np.int32).max(initial=0) > DEEPEST_JSON:
        raise ValueError(f"lists and objects in each other, more than {DEEPEST_JSON} deep")
    values = json.loads(raw.decode("utf-8-sig"), object_pairs_hook=_without_repeats)
    if _HALF.search(raw):
        _check_whole(values)
    return values


def parse_xml(text: str, *, most_tags: int = MOST_TAGS) -> ElementTree.Element:
    """The outermost element of an XML text.

    Raises `ValueError` for what is none, nests deeper than `DEEPEST_XML`, has more than `most_tags` tags or
    `ATTRIBUTES_PER_TAG` times as many attributes, or declares a document type or entities, by which a small file could
    become a huge one, or name another file.
    """
    if _ENTITY.search(text):
        raise ValueError("a document type or entity is not read")
    if text.count("<") > most_tags or text.count("=") > ATTRIBUTES_PER_TAG * most_tags:
        raise ValueError(f"more than {most_tags} tags, or {ATTRIBUTES_PER_TAG} times as many attributes")
    try:
        return ElementTree.fromstring(text, ElementTree.XMLParser(target=_Shallow()))
    except ElementTree.ParseError as error:
        raise ValueError(str(error)) from error


class _Shallow(ElementTree.TreeBuilder):
    """Builds elements up to a depth."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> ElementTree.Element:
        self._depth += 1
        if self._depth > DEEPEST_XML:
            raise ValueError(f"elements in each other, more than {DEEPEST_XML} deep")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> ElementTree.Element:
        self._depth -= 1
        return super().end(tag)


def _check_whole(value: Any) -> None:
    """Raise `ValueError` for a text with half a character, but for those that stand for a byte of a name."""
    if isinstance(value, str):
        value.encode(errors="surrogateescape")
    elif isinstance(value, list | dict):
        for inner in chain(value, value.values() if isinstance(value, dict) else ()):
            _check_whole(inner)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        seen: set[str] = set()
        repeated = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise ValueError(f"the key {repeated[:60]!r} is given twice")
    return values


def shown(names: Iterable[str]) -> str:
    """Other people's names for a sentence: on one line, short, and with nothing that a terminal would obey."""
    return ", ".join(name[:40] if name.isprintable() else ascii(name[:40]) for name in islice(names, 20))[:200]


def check_texts(texts: np.ndarray) -> None:
    """Raise `ValueError` unless each character of an array of texts (kind `U`) is one that can be written."""
    codes = np.ascontiguousarray(texts.astype(texts.dtype.newbyteorder("="), copy=False)).reshape(-1).view(np.uint32)
    half = (codes >= HALVES[0]) & (codes <= HALVES[1]) & ~((codes >= BYTES[0]) & (codes <= BYTES[1]))
    if half.any() or (codes > LAST_CODE_POINT).any():
        raise ValueError("a text of what are no characters")
