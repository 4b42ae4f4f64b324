"""Wavefront OBJ: `v` and `f` of the format's specification (Alias|Wavefront, Advanced Visualizer, appendix B1)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from warpgrasp.data.meshes.polygons import Polygons
from warpgrasp.errors import DataError

COMMENT = re.compile(rb"#[^\n]*")
# Names, normals, looks, lines and points, and curves that are no surface: nothing of these is a triangle's.
PASSED_OVER = frozenset(
    b"vn vt vp g o s l p usemtl mtllib usemap maplib mg bevel c_interp d_interp lod shadow_obj trace_obj "
    b"cstype deg bmat step parm curv curv2 end ctech stech".split()
)
SURFACES = frozenset(b"surf bzp bsp cdp con trim hole scrv sp".split())  # free-form, and old patches
VERTEX_LENGTHS = (3, 4, 6, 7)  # a position; with its weight; with a colour; with a colour and its opacity


@dataclass
class _Rows:
    """The words of lines of one kind, without the first, one after the other: a list for each line would be slow."""

    words: list[bytes] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    def add(self, words: list[bytes]) -> None:
        self.words += words[1:]
        self.counts.append(len(words) - 1)

    def __iter__(self) -> Iterator[list[bytes]]:
        start = 0
        for count in self.counts:
            yield self.words[start : start + count]
            start += count


@dataclass
class _Lines:
    """The lines that count."""

    vertices: _Rows = field(default_factory=_Rows)
    faces: _Rows = field(default_factory=_Rows)
    vertices_before: list[int] = field(default_factory=list)  # each face, from where it counts backwards


def read_obj(content: bytes, path: Path) -> tuple[Float[np.ndarray, "v 3"], Int[np.ndarray, "f 3"]]:
    """The positions of an OBJ file, in its order, and its faces as triangles. Raises `DataError` naming the file.

    Faces may count from the first vertex on or, by negative numbers, back from the last before them.
    """
    lines = _lines(_text(content, path), path)
    vertices = _positions(lines.vertices, path)
    return vertices, _polygons(lines, path).triangles(vertices, path)


def _text(content: bytes, path: Path) -> bytes:
    """The file without comments, its lines whole and ended by a line feed."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError(f"expected an OBJ file of ASCII or UTF-8 text in {path}, found UTF-16; save it as UTF-8")
    if b"\0" in content:
        raise DataError(f"expected the text of an OBJ file in {path}, found bytes that are no text")
    text = content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    # Comments first: one that ends in a backslash does not take the next line with it.
    return COMMENT.sub(b"", text).replace(b"\\\n", b" ")


def _lines(text: bytes, path: Path) -> _Lines:
    lines = _Lines()
    for line in text.split(b"\n"):
        words = line.split()
        if not words or words[0] in PASSED_OVER:
            continue
        if words[0] == b"v":
            lines.vertices.add(words)
        elif words[0] in (b"f", b"fo"):  # `fo` is the old name of `f`
            lines.faces.add(words)
            lines.vertices_before.append(len(lines.vertices.counts))
        else:
            raise _unread(words, path)
    return lines


def _unread(words: list[bytes], path: Path) -> DataError:
    if words[0] in SURFACES:
        return DataError(
            f"expected triangles or polygons in {path}, found a free-form surface ({words[0].decode()}); export it as "
            f"polygons"
        )
    return DataError(f"expected lines of an OBJ file in {path}, found {_shown(words)}")


def _shown(words: list[bytes]) -> str:
    return ascii(b" ".join(words).decode("latin-1"))[:80]


def _positions(rows: _Rows, path: Path) -> Float[np.ndarray, "v 3"]:
    lengths = set(rows.counts)
    if lengths - set(VERTEX_LENGTHS):
        row = next(row for row in rows if len(row) not in VERTEX_LENGTHS)
        raise DataError(
            f"expected 3 coordinates, or 3 and a colour, of each vertex of {path}, found v {_shown(row)}{_comma(row)}"
        )
    plain = lengths <= {3}
    try:
        numbers = list(map(_number, rows.words if plain else chain.from_iterable(row[:3] for row in rows)))
        weights = [_number(row[3]) for row in rows if len(row) == 4] if 4 in lengths else []
    except ValueError:
        row = next(row for row in rows if not all(map(_is_number, row[:4])))
        raise DataError(f"expected numbers in {path}, found v {_shown(row)}{_comma(row)}") from None
    if any(weight != 1 for weight in weights):
        raise DataError(f"expected vertices of weight 1 in {path}, found others: a rational surface; export polygons")
    return np.array(numbers, dtype=np.float64).reshape(-1, 3)


def _number(word: bytes) -> float:
    if b"_" in word:  # which Python lets pass between digits
        raise ValueError(word)
    return float(word)


def _is_number(word: bytes) -> bool:
    try:
        _number(word)
    except ValueError:
        return False
    return True


def _comma(row: list[bytes]) -> str:
    return ", with decimal commas; write decimal points" if any(b"," in word for word in row) else ""


def _polygons(lines: _Lines, path: Path) -> Polygons:
    counts = np.array(lines.faces.counts, dtype=np.int64)
    try:
        # A corner is vertex, vertex/texture, vertex//normal or vertex/texture/normal.
        numbers = np.array([int(word.partition(b"/")[0]) for word in lines.faces.words], dtype=np.int64)
    except (ValueError, OverflowError):
        row = next(row for row in lines.faces if not all(_is_index(word.partition(b"/")[0]) for word in row))
        raise DataError(f"expected the numbers of vertices in {path}, found f {_shown(row)}") from None
    if (numbers == 0).any():
        raise DataError(f"expected faces of {path} to count vertices from 1, or from -1 backwards, found vertex 0")
    before = np.repeat(np.array(lines.vertices_before, dtype=np.int64), counts)
    corners = np.where(numbers > 0, numbers - 1, before + numbers)
    if corners.size and corners.min() < 0:
        wrong = numbers[np.argmin(corners)]
        raise DataError(
            f"expected faces of {path} to count back to vertices before them, found {wrong} after "
            f"{before[np.argmin(corners)]} vertices"
        )
    return Polygons(corners, counts)


def _is_index(word: bytes) -> bool:
    try:
        return abs(int(word)) < 2**62
    except ValueError:
        return False
