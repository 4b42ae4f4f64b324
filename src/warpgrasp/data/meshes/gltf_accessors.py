"""Arrays of a glTF file: strided, sparse, quantised, and checked against the bounds that the file states.

Arrays that Draco has compressed (KHR_draco_mesh_compression) are decoded by the library DracoPy, an optional extra.
"""

import importlib

import numpy as np
from jaxtyping import Float, Int

from warpgrasp.data.meshes.gltf_document import COMPRESSIONS, GltfDocument, Values

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
