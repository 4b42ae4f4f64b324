"""What the page can show behind the meshes besides the picture: the photometric residual and the flow.

Both compare a frame with the labelled frame nearest to it, and lie in the frame's own pixels: its predicted surface,
moved to where the label has it, is seen there in the label's picture.
"""

import colorsys
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from warpgrasp.evaluation.comparison import FADED, batched, residual_colours
from warpgrasp.evaluation.scene import Scene
from warpgrasp.frame import FramePair, colours
from warpgrasp.geometry import Camera
from warpgrasp.photometric import photometric_consistency

Background = Literal["picture", "residual", "flow"]
FLOW_LIMIT_SHARE = 0.1  # of the picture's width: longer flows look like this one


@dataclass(frozen=True)
class Sight:
    """A picture, its camera, and the surfaces in it."""

    picture: UInt8[np.ndarray, "h w 3"]
    camera: Camera
    scene: Scene

    @property
    def image(self) -> Float[Tensor, "1 3 h w"]:
        """The colours in [0, 1]."""
        return colours(torch.from_numpy(np.ascontiguousarray(self.picture.transpose(2, 0, 1))))[None]


def background(kind: Literal["residual", "flow"], frame: Sight, label: Sight) -> UInt8[np.ndarray, "h w 3"]:
    """The residual or the flow from a frame to a label, over the faded picture."""
    cameras = [batched(one.camera) for one in (label, frame)]
    pair = FramePair(label.image, cameras[0], frame.image, cameras[1], frame.scene.mesh)
    with torch.no_grad():
        term = photometric_consistency(pair, label.scene.mesh)
    faded = FADED * frame.picture.mean(axis=2, keepdims=True)
    drawn = np.repeat(faded, 3, axis=2).round().astype(np.uint8)
    if kind == "residual":
        shown = term.compared[0]
        painted = residual_colours(term.residual[0, shown])
    else:
        shown = term.flow.visible[0]
        painted = flow_colours(term.flow.flow_px[0, shown].numpy(), float(flow_limit_px(frame.camera.width)))
    u, v = term.flow.fragments.pixels[0, shown].unbind(-1)
    drawn[v.numpy(), u.numpy()] = (255 * painted).round().astype(np.uint8)
    return drawn


def flow_limit_px(width: int) -> int:
    """The length of a flow in full colour."""
    return max(1, round(FLOW_LIMIT_SHARE * width))


def flow_colours(flow_px: Float[np.ndarray, "n 2"], limit_px: float) -> Float[np.ndarray, "n 3"]:
    """The colour wheel: hue is the direction (red to the right, then clockwise), saturation the length."""
    turns = (np.arctan2(flow_px[:, 1], flow_px[:, 0]) / (2 * np.pi)) % 1
    full = _wheel()[np.rint(turns * 360).astype(int) % 360]
    length = np.minimum(np.linalg.norm(flow_px, axis=1) / limit_px, 1)[:, None]
    return 1 - length * (1 - full)


@cache
def _wheel() -> Float[np.ndarray, "360 3"]:
    return np.array([colorsys.hsv_to_rgb(degree / 360, 1.0, 1.0) for degree in range(360)])
