"""Which pixels of the reference may be compared (paper Sec. 3.1 and Appendix C).

The round trip from the reference to the target and back is computed twice alike: by tensor operations for any device,
and by one compiled loop over pixels for CPUs, where some thirty tensor operations over short lists take longer to start
than to compute.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from warpgrasp.geometry import NEAR_M, Camera, Mesh
from warpgrasp.photometric.flow import RenderedFlow, inside_image
from warpgrasp.render import Rasterizer, compiled, pixels_to_rays, rasterize, seen_values, share_out, weights_of

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
    round (docs/paper.md). `target_face_ids` are the faces that the target's camera sees (-1: none), where they are
    known already.
    """
    if target_face_ids is None:
        target_face_ids = rasterizer(target, target_camera).face_ids
    trips = RoundTrips(
        there.visible,
        there.fragments.pixels,
        there.landing_px,
        reference,
        target,
        reference_camera,
        target_camera,
        target_face_ids,
        tolerance_px,
    )
    return trips.by_compiled_loop() if there.flow_px.device.type == "cpu" else trips.by_tensors()


@dataclass(frozen=True)
class RoundTrips:
    """Pixels of the reference, where their surface points land in the target, and what decides whether they return.

    Its two methods give the same: a candidate that lands on the target's surface is mutual when the target's flow leads
    back to within the tolerance of where it started, and astray when it does not.
    """

    candidates: Bool[Tensor, "b n"]
    started_px: Int[Tensor, "b n 2"]
    landing_px: Float[Tensor, "b n 2"]
    reference: Mesh
    target: Mesh
    reference_camera: Camera
    target_camera: Camera
    target_face_ids: Int[Tensor, "b h w"]
    tolerance_px: float

    @torch.no_grad()
    def by_tensors(self) -> Visibility:
        """By tensor operations, on any device."""
        landing_px, width, height = self.landing_px, self.target_camera.width, self.target_camera.height
        inside = inside_image(landing_px, height=height, width=width)
        u, v = landing_px.nan_to_num().unbind(-1)
        nearest = torch.stack([u.clamp(0, width - 1), v.clamp(0, height - 1)], dim=-1).round().long()
        u, v = nearest.unbind(-1)

        image = torch.arange(len(landing_px), device=landing_px.device)[:, None]
        seen = self.target_face_ids[image, v, u]
        face_ids = seen.clamp_min(0)
        on_surface = (seen >= 0) & ~self.target.auxiliary_faces.gather(1, face_ids)

        # The target's flow back, at just the pixels on which the reference's points land.
        points = seen_values(self.target, self.target_camera, face_ids, nearest, self.reference.vertices)
        back_px = self.reference_camera.project(points) - nearest
        error_px = (landing_px + back_px - self.started_px).norm(dim=-1)
        returns = self.reference_camera.sees(points) & (error_px <= self.tolerance_px)
        landed = self.candidates & inside & on_surface
        return Visibility(landed & returns, landed & ~returns)

    def by_compiled_loop(self) -> Visibility:
        """By one compiled loop over pixels, on a CPU. Points are computed in float64."""
        visibility = Visibility(torch.zeros_like(self.candidates), torch.zeros_like(self.candidates))
        batch = len(self.candidates)
        tensors = (
            self.candidates,
            self.started_px,
            self.landing_px,
            self.target.vertices,
            self.reference.vertices,
            self.target.faces,
            self.target.auxiliary_faces,
            pixels_to_rays(self.target_camera).expand(batch, 3, 3),
            self.reference_camera.intrinsics.double().expand(batch, 3, 3),
            self.target_face_ids,
            torch.full((batch,), self.tolerance_px, dtype=torch.float64),
            visibility.mutual,
            visibility.astray,
        )
        share_out(_round_trips, tuple(tensor.detach().contiguous().numpy() for tensor in tensors))
        return visibility


def round_trips_kernel(
    candidates: Bool[np.ndarray, "b n"],
    started_px: Int[np.ndarray, "b n 2"],
    landing_px: Float[np.ndarray, "b n 2"],
    target: Float[np.ndarray, "b v 3"],
    reference: Float[np.ndarray, "b v 3"],
    faces: Int[np.ndarray, "b f 3"],
    auxiliary: Bool[np.ndarray, "b f"],
    directions: Float[np.ndarray, "b 3 3"],
    intrinsics: Float[np.ndarray, "b 3 3"],
    face_ids: Int[np.ndarray, "b h w"],
    tolerance_px: Float[np.ndarray, " b"],
    mutual: Bool[np.ndarray, "b n"],
    astray: Bool[np.ndarray, "b n"],
) -> None:
    """Set `mutual` and `astray`, False everywhere. `directions` are the target camera's inverse intrinsics."""
    height, width = face_ids.shape[1:]
    for image in range(len(candidates)):
        matrix = intrinsics[image]
        for place in range(candidates.shape[1]):
            u, v = landing_px[image, place, 0], landing_px[image, place, 1]
            if not (candidates[image, place] and 0 <= u <= width - 1 and 0 <= v <= height - 1):
                continue
            column, row = int(np.rint(u)), int(np.rint(v))
            face = face_ids[image, row, column]
            if face < 0 or auxiliary[image, face]:
                continue
            astray[image, place] = True
            i0, i1, i2 = faces[image, face, 0], faces[image, face, 1], faces[image, face, 2]
            _, _, _, w0, w1, w2, total = weights_of(target[image], i0, i1, i2, directions[image], column, row)
            if total == 0:  # seen edge-on
                continue
            a, b, c = reference[image, i0], reference[image, i1], reference[image, i2]
            x = (w0 * a[0] + w1 * b[0] + w2 * c[0]) / total
            y = (w0 * a[1] + w1 * b[1] + w2 * c[1]) / total
            z = (w0 * a[2] + w1 * b[2] + w2 * c[2]) / total
            if not z > NEAR_M:
                continue
            # The flow back starts at the pixel's centre; by as much as that lies beside the landing, so does its end.
            back_u = (matrix[0, 0] * x + matrix[0, 1] * y) / z + matrix[0, 2] + (u - column)
            back_v = (matrix[1, 0] * x + matrix[1, 1] * y) / z + matrix[1, 2] + (v - row)
            apart = np.hypot(back_u - started_px[image, place, 0], back_v - started_px[image, place, 1])
            mutual[image, place] = apart <= tolerance_px[image]
            astray[image, place] = not mutual[image, place]


_round_trips = compiled(round_trips_kernel)
