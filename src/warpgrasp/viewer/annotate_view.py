"""Where a viewer of the annotation page stands: at the recording's camera, looking at the whole frame or at a part."""

import numpy as np
import viser
from jaxtyping import Float

from warpgrasp.data.recording.camera_file import Lens

MARGIN = 1.02  # of the frame's size in the window
AT_CAMERA_M = 1e-4
LOOKED_AT_M = 0.5  # whence turning the view starts


def at_camera(camera: viser.CameraHandle) -> bool:
    """Whether a viewer stands where the recording's camera stood: only there surfaces lie over their picture."""
    return float(np.linalg.norm(camera.position)) < AT_CAMERA_M


def go_to_camera(camera: viser.CameraHandle, lens: Lens, *, zoom: float, target: Float[np.ndarray, " 3"]) -> None:
    """Stand at the camera; at `zoom` 1 the whole frame is seen, at more its part around `target`."""
    half_height = tangent_of_half_height(lens, max(camera.aspect, 1e-3)) * MARGIN / zoom
    ahead = np.array([0.0, 0.0, 1.0]) if zoom <= 1 else target / np.linalg.norm(target)
    camera.up_direction = (0.0, -1.0, 0.0)
    camera.position = (0.0, 0.0, 0.0)
    camera.look_at = LOOKED_AT_M * ahead
    camera.fov = 2 * float(np.arctan(half_height))


def tangent_of_half_height(lens: Lens, aspect: float) -> float:
    """The tangent of half the vertical field of view in which a viewer along the optical axis sees the whole frame."""
    fx, fy, cx, cy = (lens.intrinsics[i, j] for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    wide = max(cx + 0.5, lens.width - 0.5 - cx) / fx
    high = max(cy + 0.5, lens.height - 0.5 - cy) / fy
    return float(max(high, wide / aspect))
