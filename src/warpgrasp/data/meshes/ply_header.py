"""The header of a PLY file: which elements follow, and what each of their rows holds (Turk, *The PLY Polygon File
Format*, 1994).
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from warpgrasp.errors import DataError

# NumPy's types without byte order, by the names that PLY files use.
TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1",
    "short": "i2", "int16": "i2", "ushort": "u2", "uint16": "u2",
    "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
ORDERS: dict[str, Literal["", "<", ">"]] = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
LARGEST_HEADER_BYTES = 1_000_000
LARGEST_COUNT_DIGITS = 12


@dataclass(frozen=True)
class Property:
    """A number of each row of an element or, with the type of its count, a list of numbers."""

    name: str
    type: str
    count_type: str | None = None


@dataclass(frozen=True)
class Element:
    """A table of the file."""

    name: str
    count: int
    properties: tuple[Property, ...]


@dataclass(frozen=True)
class Header:
    """What the file says it holds, and where that begins."""

    order: Literal["", "<", ">"]  # of bytes; empty for text
    elements: tuple[Element, ...]
    length: int


def read_header(content: bytes, path: Path) -> Header:
    """Read the header of a PLY file. Raises `DataError` naming the file when it is none."""
    start = re.match(rb"ply[ \t]*(\r\n|\n|\r)", content)
    if start is None:
        raise DataError(f"expected a PLY file in {path}, found one that does not begin with the line ply")
    newline = rb"\r" if start[1] == b"\r" else rb"\r?\n"
    end = re.search(rb"(?:\r\n|\n|\r)[ \t]*end_header[ \t]*" + newline, content[:LARGEST_HEADER_BYTES])
    if end is None:
        raise DataError(f"expected a PLY header that ends in end_header in {path}, found none; is it cut off?")
    order: Literal["", "<", ">"] | None = None
    elements: list[Element] = []
    for line in content[start.end() : end.start()].decode("latin-1").splitlines():
        words = line.split()
        match words:
            case [] | ["comment" | "obj_info", *_]:
                continue
            case ["format", str(name), "1.0"] if name in ORDERS and order is None:
                order = ORDERS[name]
            case ["element", name, count] if re.fullmatch(r"\d{1,12}", count, re.ASCII):
                elements.append(Element(name, int(count), ()))
            case ["property", *rest] if elements:
                before, added = elements[-1], _property(rest, line, path)
                if added.name in {one.name for one in before.properties}:
                    raise DataError(f"expected each property once in {path}, found {added.name} twice")
                elements[-1] = Element(before.name, before.count, (*before.properties, added))
            case _:
                raise _unread(line, path)
    if order is None:
        raise DataError(f"expected the line format ascii|binary_little_endian|binary_big_endian 1.0 in {path}")
    return Header(order, tuple(elements), end.end())


def _property(words: list[str], line: str, path: Path) -> Property:
    match words:
        case [kind, name] if kind in TYPES:
            return Property(name, TYPES[kind])
        case ["list", count, kind, name] if kind in TYPES and TYPES.get(count, "f")[0] != "f":
            return Property(name, TYPES[kind], TYPES[count])
    raise _unread(line, path)


def _unread(line: str, path: Path) -> DataError:
    return DataError(f"expected lines of a PLY header in {path}, found {ascii(line)[:80]}")
