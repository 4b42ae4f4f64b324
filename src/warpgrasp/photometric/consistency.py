"""The photometric term (paper Eq. 1)."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor

from warpgrasp.frame import FramePair
from warpgrasp.geometry import Mesh
from warpgrasp.photometric.flow import RenderedFlow, colours_at, mean_over, render_flow, sample
from warpgrasp.photometric.visibility import CYCLE_TOLERANCE_PX, mutually_visible
from warpgrasp.render import Fragments, Rasterizer, rasterize

MINIMAL_SHARE = 0.01  # of the reference's pixels: a pair that keeps fewer contributes nothing


@dataclass(frozen=True)
class PhotometricConsistency:
    """The term of each pair, and what it was computed from."""

    loss: Float[Tensor, " b"]  # mean absolute colour difference over compared pixels and channels
    compared_share: Float[Tensor, " b"]  # of the pixels that the reference's surface covers
    cycle_rejected_share: Float[Tensor, " b"]  # of the same pixels: they land on a surface that does not lead back
    enough: Bool[Tensor, " b"]  # whether the compared share reaches the minimum; the loss is 0 where it does not
    flow: RenderedFlow  # from the reference to the target
    compared: Bool[Tensor, "b n"]  # which of the flow's pixels were compared
    residual: Float[Tensor, "b n"]  # absolute colour difference, mean over channels


def photometric_consistency(
    pair: FramePair,
    target_surface: Mesh,
    *,
    tolerance_px: float = CYCLE_TOLERANCE_PX,
    minimal_share: float = MINIMAL_SHARE,
    seen: Fragments | None = None,
    target_face_ids: Int[Tensor, "b h w"] | None = None,
    rasterizer: Rasterizer = rasterize,
) -> PhotometricConsistency:
    """‖M·(W(I_target, V_target) - I_reference)‖₁ with its gradient to the target's vertices (Eq. 1).

    Sample the target image where the reference's surface, moved to `target_surface`, lands in it, and compare with the
    reference image. The mask M is recomputed at each call and carries no gradient. `seen` and `target_face_ids`
    are what the cameras of reference and target see of the surfaces; without them, both are rasterised.
    """
    flow = render_flow(
        pair.reference_surface,
        target_surface,
        source_camera=pair.reference_camera,
        destination_camera=pair.target_camera,
        seen=seen,
        rasterizer=rasterizer,
    )
    visibility = mutually_visible(
        flow,
        pair.reference_surface,
        target_surface,
        reference_camera=pair.reference_camera,
        target_camera=pair.target_camera,
        tolerance_px=tolerance_px,
        target_face_ids=target_face_ids,
        rasterizer=rasterizer,
    )
    compared = (
        visibility.mutual
        & _valid(pair.reference_valid, flow.fragments.pixels)
        & _valid(pair.target_valid, flow.landing_px)
    )
    # Where nothing is compared the landing may be anything: sample at the origin, send nothing back.
    landing_px = torch.where(compared[..., None], flow.landing_px, 0)
    warped = sample(pair.target_image, landing_px)
    expected = colours_at(pair.reference_image, flow.fragments.pixels)
    residual = (warped - expected).abs().mean(dim=1)

    surface_pixels = (flow.fragments.covered & ~_auxiliary(flow, pair.reference_surface)).sum(-1).clamp_min(1)
    share, rejected = compared.sum(-1) / surface_pixels, visibility.astray.sum(-1) / surface_pixels
    enough = share >= minimal_share
    loss = torch.where(enough, mean_over(residual, compared), 0)
    return PhotometricConsistency(loss, share, rejected, enough, flow, compared, residual)


def _valid(mask: Bool[Tensor, "b h w"] | None, positions_px: Num[Tensor, "b n 2"]) -> Bool[Tensor, "b n"]:
    """Whether every pixel that bilinear sampling would blend is valid; everywhere when there is no mask."""
    if mask is None:
        return torch.ones_like(positions_px[..., 0], dtype=torch.bool)
    with torch.no_grad():
        return sample(mask[:, None].float(), positions_px.nan_to_num().float())[:, 0] > 0.999


def _auxiliary(flow: RenderedFlow, surface: Mesh) -> Bool[Tensor, "b n"]:
    return surface.auxiliary_faces.gather(1, flow.fragments.face_ids)
