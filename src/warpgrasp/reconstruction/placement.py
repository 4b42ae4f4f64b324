"""Eq. 2: from a focal-normalised depth offset and a translation in pixels to a place in camera space, and back."""

from dataclasses import dataclass
from typing import Literal, assert_never

import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.geometry import Camera

DEPTH_OFFSET_M = 0.4  # Eq. 2, z_off: "empirically set to 40cm"


def place(focal_depth: Float[Tensor, " b"], offset_px: Float[Tensor, "b 2"], camera: Camera) -> Float[Tensor, "b 3"]:
    """The point at Z = fx·d_f + 0.4 m that is seen `offset_px` from the centre of the image (Eq. 2)."""
    depth = camera.focal_px[..., 0] * focal_depth + DEPTH_OFFSET_M
    from_axis_px = offset_px + camera.image_centre_px - camera.principal_point_px
    return torch.cat([from_axis_px * depth[..., None] / camera.focal_px, depth[..., None]], dim=-1)


def placement_of(point: Float[Tensor, "b 3"], camera: Camera) -> tuple[Float[Tensor, " b"], Float[Tensor, "b 2"]]:
    """The inverse of `place`: (d_f, offset in pixels) of a point in front of the camera."""
    depth = point[..., 2]
    offset_px = point[..., :2] * camera.focal_px / depth[..., None] + camera.principal_point_px
    return (depth - DEPTH_OFFSET_M) / camera.focal_px[..., 0], offset_px - camera.image_centre_px


@dataclass(frozen=True)
class OutputScales:
    """How far one unit of the network's raw output moves a hand or an object.

    `paper`: d_f = 1e-4·raw and t = 100 px·raw, as released; depth and lateral motion then learn at equal rates
    only near f = 632 px (0.4 · 100 / f = 1e-4 · f). `metric`: one unit is `unit_m` in depth and, at 0.4 m, sideways,
    whatever the resolution.
    """

    kind: Literal["paper", "metric"] = "metric"
    """`paper` takes the two fields below, `metric` the last one."""
    depth_scale: float = 1e-4
    """Focal-normalised depth of one unit (Eq. 2's d_f)."""
    translation_scale_px: float = 100.0
    """Pixels of one unit sideways."""
    unit_m: float = 0.0625
    """Metres of one unit in depth and, at 0.4 m, sideways."""

    def place(self, raw: Float[Tensor, "b 3"], camera: Camera) -> Float[Tensor, "b 3"]:
        """Place by raw outputs (depth, u, v)."""
        match self.kind:
            case "paper":
                return place(self.depth_scale * raw[:, 0], self.translation_scale_px * raw[:, 1:], camera)
            case "metric":
                focal_depth = self.unit_m * raw[:, 0] / camera.focal_px[..., 0]
                return place(focal_depth, self.unit_m / DEPTH_OFFSET_M * camera.focal_px * raw[:, 1:], camera)
            case unknown:
                assert_never(unknown)
