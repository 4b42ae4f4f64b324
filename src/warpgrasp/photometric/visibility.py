"""Which pixels of the reference may be compared (paper Sec. 3.1 and Appendix C)."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from warpgrasp.geometry import Camera, Mesh
from warpgrasp.photometric.flow import RenderedFlow
from warpgrasp.photometric.warp import inside_image
from warpgrasp.render import Rasterizer, rasterize, seen_values

CYCLE_TOLERANCE_PX = 2.0  # Appendix C: "greater than 2 pixels"


@dataclass(frozen=True)
class Visibility:
    """Which of the reference's pixels show a point that the target shows too."""

    mutual: Bool[Tensor, "b n"]
    astray: Bool[Tensor, "b n"]  # they land on the target's surface, but the way back leads elsewhere


@torch.no_grad()
def mutually_visible(
    there: RenderedFlow,
    reference: Mesh,
    target: Mesh,
    *,
    reference_camera: Camera,
    target_camera: Camera,
    tolerance_px: float = CYCLE_TOLERANCE_PX,
    target_face_ids: Int[Tensor, "b h w"] | None = None,
    rasterizer: Rasterizer = rasterize,
) -> Visibility:
    """Keep the reference's pixels whose surface point is also seen in the target.

    `there` is the flow from the reference to the target. A pixel is kept when its point is visible in the reference,
    lands inside the target image, on a pixel which the target's own rasterisation covers (the nearest pixel, never
    blended across a silhouette), and when following the target's flow from there leads back to within `tolerance_px` of
    where it started. The round trip starts in the reference, where Eq. 1 compares; Appendix C writes it the other way
    round (docs/paper.md). `target_face_ids` are what the target's camera sees (-1: nothing), where that is known
    already.
    """
    if target_face_ids is None:
        target_face_ids = rasterizer(target, target_camera).face_ids
    way = returning_by_tensors
    if there.flow_px.device.type == "cpu":
        from warpgrasp.photometric.round_trip import returning  # numba takes a moment to import

        way = returning
    return way(
        there.visible,
        there.fragments.pixels,
        there.landing_px,
        reference,
        target,
        reference_camera=reference_camera,
        target_camera=target_camera,
        tolerance_px=tolerance_px,
        target_face_ids=target_face_ids,
    )


@torch.no_grad()
def returning_by_tensors(
    candidates: Bool[Tensor, "b n"],
    started_px: Int[Tensor, "b n 2"],
    landing_px: Float[Tensor, "b n 2"],
    reference: Mesh,
    target: Mesh,
    *,
    reference_camera: Camera,
    target_camera: Camera,
    tolerance_px: float,
    target_face_ids: Int[Tensor, "b h w"],
) -> Visibility:
    """Which candidates land on the target's surface, and which of them its flow leads back to where they started."""
    inside = inside_image(landing_px, height=target_camera.height, width=target_camera.width)
    u, v = landing_px.nan_to_num().unbind(-1)
    u, v = u.clamp(0, target_camera.width - 1), v.clamp(0, target_camera.height - 1)
    nearest = torch.stack([u, v], dim=-1).round().long()
    u, v = nearest.unbind(-1)

    image = torch.arange(len(landing_px), device=landing_px.device)[:, None]
    seen = target_face_ids[image, v, u]
    face_ids = seen.clamp_min(0)
    on_surface = (seen >= 0) & ~target.auxiliary_faces.gather(1, face_ids)

    # The target's flow back, at just the pixels on which the reference's points land.
    points = seen_values(target, target_camera, face_ids, nearest, reference.vertices)
    back_px = reference_camera.project(points) - nearest
    error_px = (landing_px + back_px - started_px).norm(dim=-1)
    returns = reference_camera.sees(points) & (error_px <= tolerance_px)
    landed = candidates & inside & on_surface
    return Visibility(landed & returns, landed & ~returns)
