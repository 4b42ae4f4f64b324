"""PLY files: text or binary of either byte order, with faces of any number of corners, lists anywhere, and strips."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from warpgrasp.data.meshes.obj import Polygons, strip_triangles
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
    start = re.match(rb"(?:\xef\xbb\xbf)?ply[ \t]*(\r\n|\n|\r)", content)  # some editors put a mark before a text
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
                if added.name in {declared.name for declared in before.properties}:
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


@dataclass(frozen=True)
class Lists:
    """A list of each row, one after the other."""

    values: np.ndarray
    counts: Int[np.ndarray, " r"]


Columns = dict[str, np.ndarray | Lists]  # by the names of the properties


class TextBody:
    """Rows of words."""

    def __init__(self, content: bytes, header: Header, path: Path):
        self._words, self._at, self._path = content[header.length :].split(), 0, path

    def rows(self, element: Element) -> Columns:
        """The next rows. Raises `DataError` when they are cut off, or are no numbers."""
        lists = [place for place, declared in enumerate(element.properties) if declared.count_type is not None]
        if not lists:
            return self._table(element)
        values: list[list[bytes]] = [[] for _ in element.properties]
        counts: dict[int, list[int]] = {place: [] for place in lists}
        for row in range(element.count):
            for place, declared in enumerate(element.properties):
                count = 1
                if declared.count_type is not None:
                    count = self._count(element, row)
                    counts[place].append(count)
                values[place] += self._next(count, element, row)
        return {
            declared.name: self._numbers(values[place], declared)
            if declared.count_type is None
            else Lists(self._numbers(values[place], declared), np.array(counts[place], dtype=np.int64))
            for place, declared in enumerate(element.properties)
        }

    def _table(self, element: Element) -> Columns:
        width = len(element.properties)
        available = (len(self._words) - self._at) // width if width else element.count
        words = self._next(width * element.count, element, min(available, element.count))
        return {
            declared.name: self._numbers(words[place::width], declared)
            for place, declared in enumerate(element.properties)
        }

    def _count(self, element: Element, row: int) -> int:
        word = self._next(1, element, row)[0]
        if not word.isdigit():
            raise DataError(f"expected how long a list of {element.name} is in {self._path}, found {_shown(word)}")
        return int(word[:20])

    def _next(self, count: int, element: Element, row: int) -> list[bytes]:
        words = self._words[self._at : self._at + count]
        if len(words) < count:
            raise _cut_off(element, row, self._path)
        self._at += count
        return words

    def _numbers(self, words: list[bytes], declared: Property) -> np.ndarray:
        """Words as numbers; a `float` is rounded as in a binary file."""
        dtype = np.dtype(declared.type)
        try:
            if dtype.kind == "f":
                with np.errstate(over="ignore"):  # becomes infinite and, as a vertex, is refused
                    return np.array(list(map(float, words)), dtype=np.float64).astype(dtype)
            return np.array(list(map(int, words)), dtype=np.int64)
        except (ValueError, OverflowError):
            word = next(word for word in words if not _is_number(word, dtype.kind))
            comma = ", with a decimal comma; write decimal points" if b"," in word else ""
            raise DataError(
                f"expected numbers of the property {declared.name} in {self._path}, found {_shown(word)}{comma}"
            ) from None

    def end(self) -> None:
        """Raise `DataError` when there are more words: then rows are not as the header says."""
        if self._at < len(self._words):
            raise DataError(
                f"expected as many numbers in {self._path} as its header says, found {len(self._words) - self._at} more"
            )


def _shown(word: bytes) -> str:
    return ascii(word.decode("latin-1"))[:80]


def _is_number(word: bytes, kind: str) -> bool:
    try:
        return float(word) is not None if kind == "f" else abs(int(word)) < 2**62
    except ValueError:
        return False


def _cut_off(element: Element, rows: int, path: Path) -> DataError:
    what = f"{element.name}s" if element.name == "face" else f"rows of {element.name}"
    return DataError(f"expected {element.count} {what} in {path}, found {rows}; is it cut off?")


class BinaryBody:
    """Rows of bytes."""

    def __init__(self, content: bytes, header: Header, path: Path):
        self._content, self._at, self._order, self._path = content, header.length, header.order, path

    def rows(self, element: Element) -> Columns:
        """The next rows. Raises `DataError` when they are cut off."""
        if not element.properties:
            return {}
        starts, counts, size = self._walked(element, min(element.count, 1))
        if element.count > 1 and not self._alike(element, counts[0], size):
            starts, counts, size = self._walked(element, element.count)
        elif element.count > 1:
            starts = starts + size * np.arange(element.count)[:, None]
            counts = np.broadcast_to(counts, starts.shape)
            size *= element.count
        self._at += size
        columns: Columns = {}
        for declared, start, count in zip(element.properties, starts.T, counts.T, strict=True):
            values = self._gathered(start, count, np.dtype(self._order + declared.type))
            columns[declared.name] = values if declared.count_type is None else Lists(values, count.astype(np.int64))
        return columns

    def end(self) -> None:
        """Pass over what follows the last row: some programs write a line's end there."""

    def _walked(self, element: Element, rows: int) -> tuple[np.ndarray, np.ndarray, int]:
        """Where each property of each row begins, (rows, properties), how many values it has, and all rows' size."""
        plan = [
            (None if declared.count_type is None else np.dtype(declared.count_type), np.dtype(declared.type).itemsize)
            for declared in element.properties
        ]
        order: Literal["big", "little"] = "big" if self._order == ">" else "little"
        content, at, starts, counts = self._content, self._at, [], []
        for row in range(rows):
            for kind, size in plan:
                count = 1
                if kind is not None:
                    count = int.from_bytes(content[at : at + kind.itemsize], order, signed=kind.kind == "i")
                    at += kind.itemsize
                starts.append(at)
                counts.append(count)
                at += max(count, 0) * size
            if at > len(content):
                raise _cut_off(element, row, self._path)
        shape = (rows, len(plan))
        lengths = np.array(counts, dtype=np.int64).reshape(shape)
        if (lengths < 0).any():
            raise DataError(f"expected lists of {element.name} in {self._path}, found one {lengths.min()} long")
        return np.array(starts, dtype=np.int64).reshape(shape), lengths, at - self._at

    def _alike(self, element: Element, counts: np.ndarray, size: int) -> bool:
        """Whether the lists of all rows are as long as those of the first, whose size in bytes is given."""
        lists = [place for place, declared in enumerate(element.properties) if declared.count_type is not None]
        whole = (len(self._content) - self._at) // size if size else element.count
        if not lists and whole < element.count:
            raise _cut_off(element, whole, self._path)
        fields = []
        for place, declared in enumerate(element.properties):
            fields += [(f"count{place}", self._order + declared.count_type)] if declared.count_type is not None else []
            fields.append((f"values{place}", f"V{counts[place] * np.dtype(declared.type).itemsize}"))
        if not lists or whole < element.count:
            return not lists
        table = np.frombuffer(self._content, np.dtype(fields), element.count, self._at)
        return all((table[f"count{place}"] == counts[place]).all() for place in lists)

    def _gathered(self, starts: np.ndarray, counts: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """The numbers that lie at these places, `counts` in a row from each."""
        first = np.cumsum(counts) - counts
        places = np.repeat(starts - first * dtype.itemsize, counts) + np.arange(counts.sum()) * dtype.itemsize
        octets = np.frombuffer(self._content, np.uint8)[places[:, None] + np.arange(dtype.itemsize)]
        return octets.reshape(-1).view(dtype).astype(dtype.newbyteorder("="))


LISTS = ("vertex_indices", "vertex_index")  # of a face or a strip, under both of its names
POSITION = ("x", "y", "z")


def read_ply(content: bytes, path: Path) -> tuple[Float[np.ndarray, "v 3"], Int[np.ndarray, "f 3"]]:
    """The positions of a PLY file, in its order, and its faces and strips as triangles.

    Raises `DataError` naming the file.
    """
    header = read_header(content, path)
    body = BinaryBody(content, header, path) if header.order else TextBody(content, header, path)
    tables = {}
    for element in header.elements:
        if element.name in tables:
            raise DataError(f"expected each element once in {path}, found {element.name} twice")
        tables[element.name] = body.rows(element)
    body.end()
    vertices = _positions(tables.get("vertex"), path)
    faces = [_indices(tables[name], name, path) for name in ("face", "tristrips") if name in tables]
    if not sum(len(lists.counts) for lists in faces):
        held = ", ".join(f"{element.count} {element.name}" for element in header.elements) or "nothing"
        raise DataError(f"expected a triangle mesh in {path}, found no triangles but {held}; is it a point cloud?")
    triangles = []
    if "face" in tables and len(faces[0].counts):
        triangles.append(Polygons(faces[0].values, faces[0].counts).triangles(vertices, path))
    if "tristrips" in tables and len(faces[-1].counts):
        strips = strip_triangles(faces[-1].values, np.cumsum(faces[-1].counts)[:-1])
        triangles.append(Polygons.of_triangles(strips).triangles(vertices, path))
    return vertices, np.concatenate(triangles)


def _positions(columns: Columns | None, path: Path) -> Float[np.ndarray, "v 3"]:
    columns_of_places = [None if columns is None else columns.get(name) for name in POSITION]
    numbers = [column for column in columns_of_places if isinstance(column, np.ndarray)]
    if len(numbers) != len(POSITION):
        raise DataError(f"expected the properties x, y and z of the element vertex in {path}, found {len(numbers)}")
    return np.stack(numbers, axis=1).astype(np.float64)


def _indices(columns: Columns, element: str, path: Path) -> Lists:
    for name in LISTS:
        lists = columns.get(name)
        if isinstance(lists, Lists) and lists.values.dtype.kind != "f":
            return Lists(lists.values.astype(np.int64), lists.counts)
    raise DataError(f"expected the list {LISTS[0]} of whole numbers of the element {element} in {path}, found none")
