"""Hands and the objects they hold, in metric camera space, from sparsely annotated colour video.

import warpgrasp as wg
found = wg.reconstruct(pictures, camera="camera.json", object="mug.obj", weights="runs/mug")
found.hand_vertices, found.object_rotation, found.object_translation  # a row for each picture
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from warpgrasp.inference import reconstruct

__all__ = ["reconstruct"]


def __getattr__(name: str) -> Any:
    """Imported when it is used: PyTorch alone takes a second."""
    if name == "reconstruct":
        from warpgrasp.inference import reconstruct

        return reconstruct
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
