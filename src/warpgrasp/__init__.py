"""Hands and the objects they hold, in metric camera space, from sparsely annotated colour video.

import warpgrasp as wg
predictions = wg.reconstruct(pictures, camera="camera.json", object="mug.obj", weights="runs/mug")
predictions.hand_vertices, predictions.object_rotation, predictions.object_translation  # a row for each picture

The names in `__all__` are public; all other modules may change with any version. They are imported when they are used,
since PyTorch alone takes a second.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from warpgrasp.data import open_dataset
    from warpgrasp.evaluation import evaluate
    from warpgrasp.frame import Frame, Pose
    from warpgrasp.geometry import Camera, Mesh
    from warpgrasp.hand import HandModel
    from warpgrasp.inference import reconstruct
    from warpgrasp.photometric import photometric_consistency, render_flow, warp
    from warpgrasp.refinement import refine

    __version__: str

__all__ = [
    "Camera",
    "Frame",
    "HandModel",
    "Mesh",
    "Pose",
    "__version__",
    "evaluate",
    "open_dataset",
    "photometric_consistency",
    "reconstruct",
    "refine",
    "render_flow",
    "warp",
]

_HOMES = {
    "Camera": "geometry",
    "Frame": "frame",
    "HandModel": "hand",
    "Mesh": "geometry",
    "Pose": "frame",
    "evaluate": "evaluation",
    "open_dataset": "data",
    "photometric_consistency": "photometric",
    "reconstruct": "inference",
    "refine": "refinement",
    "render_flow": "photometric",
    "warp": "photometric",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("warpgrasp")
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"warpgrasp.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
