"""Meshes of a glTF file that Draco has compressed (KHR_draco_mesh_compression), by the library DracoPy."""

import numpy as np
from jaxtyping import Float, Int

from warpgrasp.data.meshes.gltf_document import GltfDocument, Values

DRACO = "KHR_draco_mesh_compression"


def decoded(document: GltfDocument, primitive: Values) -> tuple[Float[np.ndarray, "v 3"], Int[np.ndarray, " i"]]:
    """The vertices of a compressed primitive and its corners. Raises `DataError` when the library is not there."""
    raise document.error(
        "a mesh that is not compressed", f"one compressed by Draco ({DRACO}); save it without compression"
    )
