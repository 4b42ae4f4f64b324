"""Wavefront OBJ: `v` and `f` of the format's specification (Alias|Wavefront, Advanced Visualizer, appendix B1).

And what the other formats share with it: faces as triangles, which cover a polygon of any shape and nothing else, and
the strips and fans of PLY and glTF.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from warpgrasp.errors import DataError

RESTART = -1  # ends a strip and begins another


def strip_triangles(
    numbers: Int[np.ndarray, " n"], starts: Int[np.ndarray, " s"] | None = None
) -> Int[np.ndarray, "t 3"]:
    """The triangles of strips: each three numbers in a row, every second triangle turned round to keep its side.

    A strip ends before `RESTART`, and where another one starts. Triangles with a corner twice, by which programs join
    strips, are left out.
    """
    places = np.arange(len(numbers))
    begins = np.zeros(len(numbers), dtype=np.int64)  # of each place: where its strip begins
    after = np.flatnonzero(numbers == RESTART) + 1
    marks = np.concatenate([after, np.zeros(0, dtype=np.int64) if starts is None else starts])
    marks = marks[marks < len(numbers)]
    begins[marks] = marks
    begins = np.maximum.accumulate(begins)
    first = places[: max(len(numbers) - 2, 0)]
    first = first[begins[first] == begins[first + 2]]
    odd = (first - begins[first]) % 2
    triangles = numbers[np.stack([first, first + 1 + odd, first + 2 - odd], axis=1)]
    return triangles[(triangles != RESTART).all(axis=1) & _three_corners(triangles)]


def fan_triangles(numbers: Int[np.ndarray, " n"]) -> Int[np.ndarray, "t 3"]:
    """The triangles of a fan about its first number. Triangles with a corner twice are left out."""
    first = np.broadcast_to(numbers[:1], max(len(numbers) - 2, 0))
    triangles = np.stack([first, numbers[1:-1], numbers[2:]], axis=1) if len(first) else np.zeros((0, 3), np.int64)
    return triangles[_three_corners(triangles)]


def _three_corners(triangles: Int[np.ndarray, "t 3"]) -> np.ndarray:
    a, b, c = triangles.T
    return (a != b) & (b != c) & (c != a)


TINY = np.finfo(float).tiny
# Of the square of a polygon's length: the area by which rounding in the file's numbers may turn a triangle round.
AREA_TOLERANCE = 1e-6
LARGEST_NUMBER = float(np.finfo(np.float32).max)  # what lies beyond is infinite once it is in metres


@dataclass(frozen=True)
class Polygons:
    """Polygons of different sizes; the corners of one after those of another."""

    corners: Int[np.ndarray, " c"]  # vertex numbers
    counts: Int[np.ndarray, " p"]  # corners of each polygon

    @staticmethod
    def of_triangles(triangles: Int[np.ndarray, "t 3"]) -> "Polygons":
        """Triangles as polygons."""
        return Polygons(triangles.reshape(-1), np.full(len(triangles), 3, dtype=np.int64))

    def triangles(self, vertices: Float[np.ndarray, "v 3"], path: Path) -> Int[np.ndarray, "t 3"]:
        """Cut every polygon of n corners into n - 2 triangles or, where corners lie on a line or come twice, fewer.

        The polygons keep their order and their side. A polygon whose fan from its first corner covers it is cut so;
        another is clipped ear by ear (the earcut algorithm) in the plane that fits it best. Raises `DataError` naming
        the file when a polygon has fewer than three corners, names a vertex that is not there, or crosses itself.
        """
        self._check(vertices, path)
        starts = np.cumsum(self.counts) - self.counts
        triangles, owners = [], []
        for count in np.unique(self.counts):
            polygons = np.flatnonzero(self.counts == count)
            corners = self.corners[starts[polygons][:, None] + np.arange(count)]
            fans = np.stack(
                [np.stack([corners[:, 0], corners[:, i], corners[:, i + 1]], 1) for i in range(1, count - 1)], 1
            )
            wrong = np.zeros(len(fans), dtype=bool) if count == 3 else ~_covering(vertices, corners)
            fan = fans[~wrong].reshape(-1, 3)
            # A triangle written as a polygon has a corner twice; a triangle itself stays, for its number in the file.
            real = _three_corners(fan) | (count == 3)
            triangles.append(fan[real])
            owners.append(np.repeat(polygons[~wrong], count - 2)[real])
            for polygon, corner in zip(polygons[wrong], corners[wrong], strict=True):
                triangles.append(_clipped(vertices, corner, path))
                owners.append(np.full(len(triangles[-1]), polygon))
        order = np.argsort(np.concatenate(owners), kind="stable")
        return np.concatenate(triangles)[order]

    def _check(self, vertices: Float[np.ndarray, "v 3"], path: Path) -> None:
        if not len(self.counts):
            raise DataError(f"expected a triangle mesh in {path}, found no triangles")
        if self.counts.min() < 3:
            raise DataError(f"expected faces of at least 3 corners in {path}, found one of {self.counts.min()}")
        lowest, highest = self.corners.min(), self.corners.max()
        if lowest < 0 or highest >= len(vertices):
            wrong = lowest if lowest < 0 else highest
            raise DataError(
                f"expected triangles of the {len(vertices)} vertices of {path}, found one of vertex {wrong} "
                f"(counted from 0)"
            )
        if not (np.abs(vertices[self.corners]) <= LARGEST_NUMBER).all():
            raise DataError(f"expected finite vertices in {path}, found NaN or infinity")


def _normals(points: Float[np.ndarray, "p n 3"]) -> Float[np.ndarray, "p 3"]:
    """Newell's normals: along the plane that fits a polygon best, twice its area long."""
    return np.cross(points, np.roll(points, -1, axis=1)).sum(axis=1)


def _covering(vertices: Float[np.ndarray, "v 3"], corners: Int[np.ndarray, "p n"]) -> np.ndarray:
    """Whether each polygon's fan from its first corner covers it: no triangle of the fan looks the other way."""
    edges = vertices[corners[:, 1:]] - vertices[corners[:, :1]]
    normals = _normals(np.concatenate([np.zeros_like(edges[:, :1]), edges], axis=1))
    normals /= np.maximum(np.linalg.norm(normals, axis=1), TINY)[:, None]
    slack = AREA_TOLERANCE * _largest_square(edges)
    doubled = np.cross(edges[:, :-1], edges[:, 1:])  # normals of the fan's triangles, twice their areas long
    ahead = np.einsum("pnk,pk->pn", doubled, normals) >= -slack[:, None]
    flat = np.linalg.norm(doubled, axis=2) <= slack[:, None]  # all corners on a line, however they follow
    return (ahead.all(axis=1) & normals.any(axis=1)) | flat.all(axis=1)


def _largest_square(edges: Float[np.ndarray, "p n 3"]) -> Float[np.ndarray, " p"]:
    """The square of the distance from a polygon's first corner to its farthest."""
    return (edges**2).sum(axis=-1).max(axis=-1)


def _clipped(vertices: Float[np.ndarray, "v 3"], corners: Int[np.ndarray, " n"], path: Path) -> Int[np.ndarray, "t 3"]:
    """The triangles of a polygon whose fan does not cover it, on the polygon's side."""
    import mapbox_earcut

    points = vertices[corners] - vertices[corners[0]]
    scale = float(np.sqrt(_largest_square(points[None])[0]))
    points = points / max(scale, TINY)
    normal = _normals(points[None])[0]
    first = points[np.argmax((points**2).sum(axis=1))]
    plane = np.stack([first, np.cross(normal / max(np.linalg.norm(normal), TINY), first)], axis=1)
    flat = points @ plane
    ears = mapbox_earcut.triangulate_float64(flat, np.array([len(corners)], dtype=np.uint32)).reshape(-1, 3)
    signed = _doubled_areas(flat[ears])
    whole = _doubled_areas(flat[None])[0]
    if whole <= AREA_TOLERANCE or abs(np.abs(signed).sum() - whole) > AREA_TOLERANCE:
        raise DataError(
            f"expected polygons that do not cross themselves in {path}, found one of {len(corners)} corners that does "
            f"(its first is vertex {corners[0]}, counted from 0); triangulate the mesh where it was made"
        )
    return corners[np.where((signed < 0)[:, None], ears[:, ::-1], ears).astype(np.int64)]


def _doubled_areas(points: Float[np.ndarray, "p n 2"]) -> Float[np.ndarray, " p"]:
    """Twice the signed areas of plane polygons."""
    following = np.roll(points, -1, axis=1)
    return (points[..., 0] * following[..., 1] - points[..., 1] * following[..., 0]).sum(axis=1)


COMMENT = re.compile(rb"(?<!\.)#[^\n]*")  # 1.#QNAN and -1.#IND are how Windows writes what is no number
CONTINUED = re.compile(rb"\\[ \t]*\n")
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
    return vertices, _faces(lines, path).triangles(vertices, path)


def _text(content: bytes, path: Path) -> bytes:
    """The file without comments, its lines whole and ended by a line feed."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError(f"expected an OBJ file of ASCII or UTF-8 text in {path}, found UTF-16; save it as UTF-8")
    if b"\0" in content:
        raise DataError(f"expected the text of an OBJ file in {path}, found bytes that are no text")
    text = content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    # Comments first: one that ends in a backslash does not take the next line with it.
    return CONTINUED.sub(b" ", COMMENT.sub(b"", text))


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


def _faces(lines: _Lines, path: Path) -> Polygons:
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
