"""glTF in one file (GLB): its container and JSON (Khronos, glTF 2.0 specification, chapters 3 and 4), and its arrays.

Arrays are strided, sparse, quantised, and checked against the bounds that the file states. Those that Draco has
compressed (KHR_draco_mesh_compression) are decoded by the library DracoPy, an optional extra.
"""

import base64
import binascii
import importlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from warpgrasp.bounded import parse_json
from warpgrasp.errors import DataError

JSON_CHUNK, BINARY_CHUNK = 0x4E4F534A, 0x004E4942
LARGEST_WHOLE = 2**40
# Extensions without which the places of the triangles are the same: looks, lights, texts.
HARMLESS = ("KHR_materials_", "KHR_texture_", "KHR_lights_", "KHR_xmp", "EXT_texture_", "EXT_lights_", "MSFT_texture_")
READ = ("KHR_mesh_quantization", "KHR_draco_mesh_compression")
COMPRESSIONS = ("EXT_meshopt_compression", "KHR_meshopt_compression")

Values = Mapping[str, Any]


@dataclass(frozen=True)
class GltfDocument:
    """A GLB file: its JSON, of which nothing is taken on trust, and its binary chunk."""

    values: Values
    binary: bytes
    path: Path
    _buffers: dict[int, bytes] = field(default_factory=dict)  # those that have been asked for

    def error(self, expected: str, found: str) -> DataError:
        """What every refusal says: what was expected in the file, and what it holds."""
        return DataError(f"expected {expected} in {self.path}, found {found}")

    def item(self, kind: str, index: int) -> Values:
        """An entry of one of the document's lists, such as `nodes`."""
        entries = self.values.get(kind, [])
        if not isinstance(entries, list) or not 0 <= index < len(entries) or not isinstance(entries[index], dict):
            raise self.error(f"the entry {index} of {kind}", "none")
        return entries[index]

    def whole(self, values: Values, key: str, default: int | None = None, *, most: int = LARGEST_WHOLE) -> int:
        """A whole number from 0 on."""
        value = values.get(key, default)
        if isinstance(value, float) and value.is_integer():  # JSON knows one kind of number
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise self.error(f"a whole number from 0 to {most} for {key}", repr(value)[:60])
        return value

    def wholes(self, values: Values, key: str) -> list[int]:
        """A list of whole numbers from 0 on; empty when it is not there."""
        listed = values.get(key, [])
        if not isinstance(listed, list):
            raise self.error(f"a list for {key}", repr(listed)[:60])
        return [self.whole({key: value}, key) for value in listed]

    def numbers(self, values: Values, key: str, count: int | None = None) -> Float[np.ndarray, " n"] | None:
        """A list of finite numbers, `count` of them where that is given; None when it is not there."""
        listed = values.get(key)
        if listed is None:
            return None
        try:
            plain = isinstance(listed, list) and all(type(value) in (int, float) for value in listed)
            array = np.array(listed if plain else [np.nan], dtype=np.float64)
        except OverflowError:
            array = np.array([np.nan])
        if not np.isfinite(array).all() or count not in (None, len(array)):
            raise self.error(f"{count or 'finite'} numbers for {key}", repr(listed)[:60])
        return array

    def table(self, values: Values, key: str) -> Values:
        """An object; empty when it is not there."""
        inner = values.get(key, {})
        if not isinstance(inner, dict):
            raise self.error(f"an object for {key}", repr(inner)[:60])
        return inner

    def tables(self, values: Values, key: str) -> list[Values]:
        """A list of objects; empty when it is not there."""
        listed = values.get(key, [])
        if not isinstance(listed, list) or not all(isinstance(inner, dict) for inner in listed):
            raise self.error(f"a list of objects for {key}", repr(listed)[:60])
        return listed

    def buffer(self, index: int) -> bytes:
        """The bytes of a buffer that lies in the file itself. No other file is opened."""
        if index not in self._buffers:
            self._buffers[index] = self._buffer(index)
        return self._buffers[index]

    def _buffer(self, index: int) -> bytes:
        values = self.item("buffers", index)
        length = self.whole(values, "byteLength")
        uri = values.get("uri")
        if uri is None and index == 0:
            content = self.binary
        elif uri is None:
            raise self.error("data of every buffer", f"none of buffer {index}")
        elif isinstance(uri, str) and uri.startswith("data:") and ";base64," in uri[:200]:
            content = self._decoded(uri.partition(",")[2])
        else:
            raise self.error(
                "all data in the file itself", f"a buffer in another file ({str(uri)[:60]!r}); save it as one GLB file"
            )
        if len(content) < length:
            raise self.error(f"{length} bytes of buffer {index}", f"{len(content)}; is it cut off?")
        return content[:length]

    def _decoded(self, text: str) -> bytes:
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise self.error("data in base64", f"other characters ({error})") from error


def open_glb(content: bytes, path: Path) -> GltfDocument:
    """Take a GLB file apart. Raises `DataError` naming it when it is none, or needs an extension that is not read."""
    if content[:4] != b"glTF" or len(content) < 20:
        raise DataError(f"expected a GLB file in {path}, found one that does not begin with glTF")
    version, length = struct.unpack_from("<II", content, 4)
    if version != 2:
        raise DataError(f"expected glTF of version 2 in {path}, found version {version}; export it as glTF 2.0")
    if length > len(content):
        raise DataError(f"expected {length} bytes in {path}, found {len(content)}; is it cut off?")
    chunks, at = [], 12
    while at + 8 <= length:
        size, kind = struct.unpack_from("<II", content, at)
        if at + 8 + size > length:
            raise DataError(f"expected whole chunks in {path}, found one that ends beyond the file; is it cut off?")
        chunks.append((kind, content[at + 8 : at + 8 + size]))
        at += 8 + size
    if not chunks or chunks[0][0] != JSON_CHUNK:
        raise DataError(f"expected a GLB file that begins with JSON in {path}, found none")
    binary = chunks[1][1] if len(chunks) > 1 and chunks[1][0] == BINARY_CHUNK else b""
    document = GltfDocument(_parsed(chunks[0][1], path), binary, path)
    _check_extensions(document)
    return document


def _parsed(text: bytes, path: Path) -> Values:
    try:
        values = parse_json(text)
    except ValueError as error:
        raise DataError(f"expected JSON in {path}: {str(error)[:120]}") from error
    if not isinstance(values, dict):
        raise DataError(f"expected a JSON object in {path}, found {repr(values)[:60]}")
    return values


def _check_extensions(document: GltfDocument) -> None:
    required = document.values.get("extensionsRequired", [])
    if not isinstance(required, list):
        raise document.error("a list for extensionsRequired", repr(required)[:60])
    for name in map(str, required):
        if name in COMPRESSIONS:
            raise document.error("a mesh that is not compressed", f"{name}; save it without compression")
        if name not in READ and not name.startswith(HARMLESS):
            raise document.error(
                "only glTF extensions that are read", f"{ascii(name)[:60]}, without which it cannot be read"
            )


DRACO = "KHR_draco_mesh_compression"


def decompressed(
    document: GltfDocument, primitive: Values, accessor: Values
) -> tuple[Float[np.ndarray, "v 3"], Int[np.ndarray, "t 3"]]:
    """The vertices of a compressed primitive and its triangles; `accessor` says how many they are, and their bounds.

    Raises `DataError` when the library is not installed, and when what it reads is not what the file states.
    """
    try:
        library = importlib.import_module("DracoPy")
    except ImportError:
        raise document.error(
            "a mesh that is not compressed",
            f"one compressed by Draco ({DRACO}); install warpgrasp[draco], or save it without compression",
        ) from None
    values = document.table(document.table(primitive, "extensions"), DRACO)
    number = document.whole(document.table(values, "attributes"), "POSITION")
    try:
        mesh = library.decode(bytes(view_bytes(document, values)))
        places = np.asarray(mesh.get_attribute_by_unique_id(number)["data"])
        triangles = np.asarray(mesh.faces).astype(np.int64)
    except Exception as error:  # a broken file makes the library raise anything
        raise document.error("a mesh compressed by Draco", f"one that cannot be read ({str(error)[:80]})") from error
    count = document.whole(accessor, "count")
    if places.shape != (count, 3) or places.dtype.kind != "f" or triangles.shape[1:] != (3,):
        raise document.error(f"{count} vertices of a mesh compressed by Draco", f"numbers {places.shape}")
    places = places.astype(np.float64)
    check_bounds(document, accessor, places)
    return places, triangles


COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC3": 3}
UNSIGNED = (5121, 5123, 5125)
LARGEST_COUNT = 20_000_000
# Of the longest side: bounds are written as decimal numbers, sometimes few digits long.
BOUNDS_TOLERANCE = 1e-3


def positions(document: GltfDocument, index: int) -> Float[np.ndarray, "v 3"]:
    """The places of an accessor's vertices. Raises `DataError` when they lie outside the accessor's own bounds."""
    accessor = document.item("accessors", index)
    stored = _stored(document, accessor, "VEC3")
    if accessor.get("componentType") == 5125:
        raise document.error("positions of at most 16 bits or float", "whole numbers of 32 bits")
    places = _unquantized(document, accessor, stored)
    check_bounds(document, accessor, places, stored.astype(np.float64))
    return places


def indices(document: GltfDocument, index: int) -> Int[np.ndarray, " i"]:
    """The vertex numbers of an accessor."""
    accessor = document.item("accessors", index)
    if accessor.get("componentType") not in UNSIGNED or accessor.get("normalized", False) is not False:
        raise document.error("whole numbers of vertices", f"the component type {accessor.get('componentType')!r}"[:80])
    return _stored(document, accessor, "SCALAR")[:, 0].astype(np.int64)


def _stored(document: GltfDocument, accessor: Values, kind: str) -> np.ndarray:
    """The numbers as they are stored, (count, width), with the sparse ones in their places."""
    if accessor.get("type") != kind:
        raise document.error(f"an accessor of type {kind}", repr(accessor.get("type"))[:60])
    count, code = document.whole(accessor, "count", most=LARGEST_COUNT), accessor.get("componentType")
    if "bufferView" in accessor:
        array = _viewed(document, accessor, code, (count, WIDTHS[kind]))
    elif "sparse" in accessor:
        array = np.zeros((count, WIDTHS[kind]), dtype=_dtype(document, code))
    else:
        raise document.error("data of every accessor", "an accessor without; is the mesh compressed?")
    sparse = document.table(accessor, "sparse")
    if not sparse:
        return array
    changed = document.whole(sparse, "count", most=count)
    places = document.table(sparse, "indices")
    rows = _viewed(document, places, places.get("componentType"), (changed, 1))[:, 0].astype(np.int64)
    if changed and (rows.max() >= count or places.get("componentType") not in UNSIGNED):
        raise document.error(f"sparse numbers of the {count} elements of an accessor", f"number {rows.max()}")
    array = array.copy()
    array[rows] = _viewed(document, document.table(sparse, "values"), code, (changed, WIDTHS[kind]))
    return array


def _dtype(document: GltfDocument, code: object) -> np.dtype:
    for known, name in COMPONENTS.items():
        if code == known:
            return np.dtype(name)
    raise document.error(f"a component type of {', '.join(map(str, COMPONENTS))}", repr(code)[:60])


def _viewed(document: GltfDocument, holder: Values, code: object, shape: tuple[int, int]) -> np.ndarray:
    """Rows of numbers in a part of a buffer (a buffer view), one every `byteStride` bytes."""
    content = view_bytes(document, holder)
    view = document.item("bufferViews", document.whole(holder, "bufferView"))
    dtype = _dtype(document, code)
    size = dtype.itemsize * shape[1]
    stride = document.whole(view, "byteStride", size)
    offset = document.whole(holder, "byteOffset", 0)
    if stride < size or (shape[0] and offset + stride * (shape[0] - 1) + size > len(content)):
        raise document.error(f"{shape[0]} × {shape[1]} numbers in a part of {len(content)} bytes", "too few bytes")
    if not shape[0]:
        return np.zeros(shape, dtype)
    return np.ndarray(shape, dtype, content, offset, (stride, dtype.itemsize))


def view_bytes(document: GltfDocument, holder: Values) -> memoryview:
    """The bytes of the buffer view that `holder` names. Raises `DataError` when they are compressed, or not there."""
    view = document.item("bufferViews", document.whole(holder, "bufferView"))
    index = document.whole(view, "buffer")
    stated = document.table(document.item("buffers", index), "extensions")
    for name in COMPRESSIONS:
        if name in stated and name in document.table(view, "extensions"):  # the buffer is a stand-in without data
            raise document.error("a mesh that is not compressed", f"{name}; save it without compression")
    content = memoryview(document.buffer(index))
    start, length = document.whole(view, "byteOffset", 0), document.whole(view, "byteLength")
    if start + length > len(content):
        raise document.error(f"a part of {length} bytes from {start} on", f"{len(content)} bytes in its buffer")
    return content[start : start + length]


def _unquantized(document: GltfDocument, accessor: Values, stored: np.ndarray) -> np.ndarray:
    """Whole numbers that stand for fractions (`normalized`) as these (glTF 2.0, section 3.11)."""
    normalized = accessor.get("normalized", False)
    if not isinstance(normalized, bool):
        raise document.error("true or false for normalized", repr(normalized)[:60])
    if not normalized or stored.dtype.kind == "f":
        return stored.astype(np.float64)
    return np.maximum(stored.astype(np.float64) / np.iinfo(stored.dtype).max, -1.0)


def check_bounds(document: GltfDocument, accessor: Values, *readings: Float[np.ndarray, "v 3"]) -> None:
    """Raise `DataError` unless one of the readings lies within `min` and `max`.

    The specification states the bounds of quantized positions as they are stored, some programs as they are meant.
    """
    low, high = (document.numbers(accessor, key, 3) for key in ("min", "max"))
    if low is None or high is None or not len(readings[0]):
        return
    slack = BOUNDS_TOLERANCE * max(float((high - low).max()), 0.0)
    # NaN lies within: whether a face uses it is for the reader to say.
    if all(((places < low - slack) | (places > high + slack)).any() for places in readings):
        expected = f"positions between their stated bounds {_shown(low)} and {_shown(high)}"
        found = f"{_shown(readings[0].min(axis=0))} to {_shown(readings[0].max(axis=0))}; export it again"
        raise document.error(expected, found)


def _shown(place: Float[np.ndarray, " 3"]) -> str:
    return f"({', '.join(f'{number:g}' for number in place)})"
