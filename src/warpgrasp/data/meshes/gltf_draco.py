"""Meshes of a glTF file that Draco has compressed (KHR_draco_mesh_compression), by the library DracoPy."""

import importlib

import numpy as np
from jaxtyping import Float, Int

from warpgrasp.data.meshes.gltf_accessors import check_bounds, view_bytes
from warpgrasp.data.meshes.gltf_document import GltfDocument, Values

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
