"""What a camera's file holds, and the camera that is read from it, with the matrices and numbers of such files.

The kind of a file is told from its bytes and not from its name: JSON, YAML, XML, text or binary numbers.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import yaml
from jaxtyping import Float

from warpgrasp.bounded import parse_json, parse_xml, read_regular
from warpgrasp.checked import Entry
from warpgrasp.data.recording.camera import LARGEST_SIDE_PX
from warpgrasp.data.recording.lens import COUNTS, ORDERS, DistortionModel, Lens
from warpgrasp.errors import DataError

LARGEST_BYTES = 16_000_000  # of JSON and binary numbers: some ten thousand pictures' cameras
MOST_JSON_MARKS = 1_000_000
LARGEST_TEXT_BYTES = 4_000_000  # of other texts, each line of which becomes an object
LARGEST_YAML_BYTES = 1_000_000  # it is read slowly
LONGEST_NUMBER = 100  # characters of YAML's whole numbers: those to the base of 60 take long
LONGEST_KEY = 60
REALSENSE_PRINTED = re.compile(r"Intrinsic of \"")  # looks like YAML but is not
REALSENSE_LINE = re.compile(r"\s*\[\s*\d+x\d+")  # looks like JSON but is not


@dataclass(frozen=True)
class Content:
    """A file's bytes; its text, unless it is binary; and the JSON, YAML or XML object in the text, if there is one."""

    path: Path
    raw: bytes
    text: str | None
    entry: Entry | None
    kind: str  # JSON, YAML, XML, text or binary


class PlainLoader(yaml.SafeLoader):
    """YAML's plain values, and OpenCV's matrices as objects; `1e-05` and `-.5` are numbers, and nothing is merged.

    `checked.read_yaml` reads small files of plain YAML alone: other programs' cameras have tags, tabs and `%YAML:1.0`.
    """

    def __init__(self, stream: str):
        super().__init__(stream)
        self._sizes: dict[yaml.Node, int] = {}  # of each finished value, with those that it repeats by aliases

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """A value. Raises `YAMLError` for one that lies in itself, or that aliases make larger than a file may be."""
        repeated = self.check_event(yaml.AliasEvent)
        node = super().compose_node(parent, index)
        if node is None:
            return None
        if repeated and node not in self._sizes:
            raise yaml.YAMLError("a value lies in itself")
        self._sizes[node] = 1 + self._size_of(node.value)
        if self._sizes[node] > 2 * LARGEST_YAML_BYTES:
            raise yaml.YAMLError("aliases repeat values again and again")
        return node

    def _size_of(self, value: Any) -> int:
        """The characters of a text, or the sizes of the values of a list or of pairs."""
        if isinstance(value, str):
            return len(value)
        inner = [one for pair in value for one in (pair if isinstance(pair, tuple) else (pair,))]
        return sum(self._sizes[one] for one in inner)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """A whole number. Raises `YAMLError` for one of many digits."""
        if len(node.value) > LONGEST_NUMBER:
            raise yaml.YAMLError(f"a number of {len(node.value)} digits")
        return super().construct_yaml_int(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Named values. Raises `YAMLError` for a name with two values."""
        seen: dict[str, yaml.Node] = {}
        for key, value in ((key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)):
            other = seen.setdefault(key.value, value)
            if other is not value and not (isinstance(value, yaml.ScalarNode) and other.value == value.value):
                raise yaml.YAMLError(f"the key {key.value[:60]!r} is given twice")
        return super().construct_mapping(node, deep)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Leave `<<` alone: merged again and again, a small file would fill the memory."""


def _opencv_object(loader: PlainLoader, node: yaml.Node) -> Any:
    return loader.construct_mapping(node, deep=True) if isinstance(node, yaml.MappingNode) else None


PlainLoader.add_constructor("tag:yaml.org,2002:opencv-matrix", _opencv_object)
PlainLoader.add_constructor("tag:yaml.org,2002:opencv-nd-matrix", _opencv_object)
PlainLoader.add_constructor("tag:yaml.org,2002:int", PlainLoader.construct_yaml_int)
PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+|\.[0-9]+(?:[eE][-+]?[0-9]+)?)$"),
    list("-+.0123456789"),
)


def read_content(path: Path) -> Content:
    """Read a file that may describe cameras. Raises `DataError` when it cannot be read, or is broken in its kind."""
    try:
        raw = read_regular(path, LARGEST_BYTES)
    except OSError as error:
        raise DataError(f"expected a camera's file in {path}: {error.strerror}") from error
    text = _text(raw)
    if text is None:
        return Content(path, raw, None, None, "binary")
    kind, value = _parsed(text, path)
    return Content(path, raw, text, Entry(value, path, "") if isinstance(value, dict) else None, kind)


def _text(raw: bytes) -> str | None:
    """The text of UTF-8, or of UTF-16 with a byte order mark, which redirected output has on Windows."""
    try:
        text = raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _parsed(text: str, path: Path) -> tuple[str, Any]:
    start = text.lstrip()[:1]
    try:
        if start in ("{", "[") and not REALSENSE_LINE.match(text):
            return "JSON", parse_json(text, most_marks=MOST_JSON_MARKS)
        if len(text) > LARGEST_TEXT_BYTES:
            raise ValueError(f"at most {LARGEST_TEXT_BYTES / 1e6:g} MB are read of it, found {len(text) / 1e6:.3g} MB")
        if start == "<":
            return "XML", _xml(text)
        if not REALSENSE_PRINTED.search(text) and re.search(r"^[ \t]*[\w\"'][^:\n]{0,100}:(\s|$)", text, re.MULTILINE):
            return "YAML", _yaml(text, path)
    except (ValueError, RecursionError, OverflowError, yaml.YAMLError) as error:
        if isinstance(error, DataError):
            raise
        kind = {"{": "JSON", "[": "JSON", "<": "XML"}.get(start, "YAML or another text")
        raise DataError(f"expected {kind} in {path}: {' '.join(str(error).split())[:200]}") from error
    return "text", None


def _yaml(text: str, path: Path) -> Any:
    """The first document. OpenCV's first line `%YAML:1.0`, which is not valid YAML, is left out."""
    if len(text) > LARGEST_YAML_BYTES:
        raise DataError(f"expected a camera's YAML in {path}, found one of {len(text) / 1e6:.0f} MB")
    text = re.sub(r"\A\s*%YAML:[0-9.]+[^\n]*\n", "", text)
    loader = PlainLoader(text.replace("\t", "    "))
    try:
        return next(iter([loader.get_data()] if loader.check_data() else []), None)
    finally:
        loader.dispose()


def _xml(text: str) -> dict[str, Any]:
    """OpenCV's XML storage."""
    root = parse_xml(text)
    return {root.tag: _xml_value(root)}


def _xml_value(node: ElementTree.Element) -> Any:
    if len(node):
        return {child.tag: _xml_value(child) for child in node}
    numbers = [_number(word) for word in (node.text or "").split()]
    if node.tag == "data":
        return numbers
    return numbers[0] if len(numbers) == 1 else numbers


def _number(word: str) -> Any:
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word


CORNER_CONVENTION_PX = 0.5  # the centre of the top-left pixel where (0, 0) is that pixel's corner
LARGEST_SKEW = 1e-6  # of the focal length
SKEWS = ("skew", "skx", "sky")
DISTORTING = re.compile(r"^(k[1-6]|p[12]|.*distort.*|dist(coeffs?)?)$")


@dataclass(frozen=True)
class CalibratedCamera:
    """One camera of a file, in our conventions: pixel (0, 0) is the centre of the top-left pixel."""

    name: str  # as the file calls it
    intrinsics: Float[np.ndarray, "3 3"]  # pixels
    size: tuple[int, int] | None  # (width, height) of the pictures that it is for; None where the file does not say
    model: DistortionModel = "opencv"
    distortion: tuple[float, ...] = ()
    notes: tuple[str, ...] = field(default=())  # what a user should know

    def lens(self, size: tuple[int, int], source: str) -> Lens:
        """The lens for pictures of a size (width, height)."""
        return Lens(self.intrinsics, *size, self.distortion, self.model, source)


@dataclass(frozen=True)
class FileFormat:
    """A kind of file: how it is recognised, and how it is read."""

    name: str
    recognised: Callable[[Content], bool]
    cameras: Callable[[Content], list[CalibratedCamera]]


def pinhole(
    focal_px: Sequence[float], centre_px: Sequence[float], *, corner_convention: bool = False
) -> Float[np.ndarray, "3 3"]:
    """The matrix of (fx, fy) and (cx, cy), where the file counts pixels from their centres or from the corner."""
    offset = CORNER_CONVENTION_PX if corner_convention else 0.0
    (fx, fy), (cx, cy) = focal_px, centre_px
    return np.array([[fx, 0, cx - offset], [0, fy, cy - offset], [0, 0, 1]], dtype=np.float64)


def intrinsic_matrix(entry: Entry, key: str) -> Float[np.ndarray, "3 3"]:
    """A camera matrix, row by row or column by column, nested, flat or as OpenCV's {rows, cols, data}.

    The principal point's place tells whether it is by rows or by columns. Raises `DataError` when it tells neither.
    """
    flat = flat_numbers(entry, key)
    if len(flat) != 9:
        raise DataError(f"expected the 9 numbers of a camera matrix for {entry.where(key)}, found {len(flat)}")
    rows = np.array(flat).reshape(3, 3)
    for matrix in (rows, rows.T):
        if (matrix[2] == [0, 0, 1]).all() and abs(matrix[1, 0]) <= LARGEST_SKEW * abs(matrix[0, 0]):
            break
    else:
        raise DataError(
            f"expected a camera matrix [fx 0 cx, 0 fy cy, 0 0 1] for {entry.where(key)}, found {flat}"[:400]
        )
    if abs(matrix[0, 1]) > LARGEST_SKEW * abs(matrix[0, 0]):
        raise DataError(
            f"expected a camera matrix without skew for {entry.where(key)}, found a skew of {matrix[0, 1]:g}"
        )
    return pinhole(matrix[[0, 1], [0, 1]].tolist(), matrix[:2, 2].tolist())


def stated_pinhole(entry: Entry, names: Sequence[str] = ("fx", "fy", "cx", "cy")) -> Float[np.ndarray, "3 3"]:
    """The matrix of numbers under these names, however written. Raises `DataError` when a skew stands beside them."""
    keys = without_case(entry)
    fx, fy, cx, cy = (entry.number(keys[name]) for name in names)
    check_skew(entry, fx)
    return pinhole((fx, fy), (cx, cy))


def check_skew(entry: Entry, focal_px: float) -> None:
    """Raise `DataError` for a skew under a name of its own."""
    for name, key in without_case(entry).items():
        if name in SKEWS and abs(skew := entry.number(key)) > LARGEST_SKEW * abs(focal_px):
            raise DataError(f"expected a camera without skew for {entry.where(key)}, found a skew of {skew:g}")


def bending_keys(entry: Entry) -> dict[str, str]:
    """The keys of what bends pictures, and is not zero, by what `without_case` calls them."""
    return {
        name: key
        for name, key in without_case(entry).items()
        if DISTORTING.match(name) and not _is_nothing(entry.values[key])
    }


def _is_nothing(value: object) -> bool:
    return value is None or value == 0 or (isinstance(value, list) and not any(value))


def flat_numbers(entry: Entry, key: str) -> tuple[float, ...]:
    """All numbers of a list, of nested lists or of OpenCV's {rows, cols, data}, in the order in which they stand."""
    value = entry.value(key)
    if isinstance(value, dict) and "data" in value:
        value = value["data"]
    if isinstance(value, list) and value and all(isinstance(row, list) for row in value):
        value = [number for row in value[:100] for number in row[:100]]
    return tuple(Entry({key: value}, entry.path, entry.place).numbers(key, (-1,)).tolist())


def coefficients(entry: Entry, key: str, model: DistortionModel) -> tuple[float, ...]:
    """Distortion coefficients of a model; none if all are zero. Raises `DataError` when the model has not so many."""
    numbers = flat_numbers(entry, key)
    if model == "opencv" and not any(numbers):
        return ()
    if len(numbers) not in COUNTS[model]:
        counts = ", ".join(map(str, COUNTS[model]))
        raise DataError(
            f"expected {counts} coefficients in {ORDERS[model]} for {entry.where(key)}, found {len(numbers)}"
        )
    return numbers


def side_px(entry: Entry, key: str) -> int:
    """A width or height. Raises `DataError` when it is no whole number of pixels."""
    return whole_side(entry.number(key), entry.where(key))


def whole_side(value: Any, where: str) -> int:
    """A width or height that some files write as a fraction. Raises `DataError` when it is no whole number."""
    if not isinstance(value, int | float) or not math.isfinite(value) or value != int(value):
        raise DataError(f"expected a whole number of pixels for {where}, found {str(value)[:60]}")
    if not 1 <= value <= LARGEST_SIDE_PX:
        raise DataError(f"expected a number of pixels from 1 to {LARGEST_SIDE_PX} for {where}, found {value:g}")
    return int(value)


def size_px(entry: Entry, width: str, height: str) -> tuple[int, int] | None:
    """The (width, height) under two keys; None where neither is given."""
    if not (entry.has(width) or entry.has(height)):
        return None
    return side_px(entry, width), side_px(entry, height)


def stated_size(entry: Entry) -> tuple[int, int] | None:
    """The (width, height) under the usual names; None where there is none of them."""
    keys = without_case(entry)
    for width, height in (("imagewidth", "imageheight"), ("width", "height"), ("w", "h")):
        if width in keys and height in keys:
            return size_px(entry, keys[width], keys[height])
    for name in ("imagesize", "imgsize", "size", "resolution", "imageresolution", "videoresolution", "dim"):
        if name not in keys:
            continue
        value = entry.values[keys[name]]
        if isinstance(value, dict) and "width" in value:
            return size_px(Entry(value, entry.path, keys[name]), "width", "height")
        sides = flat_numbers(entry, keys[name])
        if len(sides) != 2:
            raise DataError(f"expected width and height for {entry.where(keys[name])}, found {len(sides)} numbers")
        return whole_side(sides[0], entry.where(keys[name])), whole_side(sides[1], entry.where(keys[name]))
    return None


def without_case(entry: Entry) -> dict[str, str]:
    """The keys of an object by what they are called without capitals, blanks, hyphens and underscores."""
    keys = {key: str(key)[:LONGEST_KEY].lower() for key in entry.values}
    return {"".join(sign for sign in name if sign not in " _-"): key for key, name in keys.items()}
