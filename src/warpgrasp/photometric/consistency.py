"""The photometric term (paper Eq. 1): pictures compared along a flow, by colours or by what else a recipe names.

Beside colours there is local contrast, which changes less with the light on a surface.
"""

from dataclasses import dataclass
from functools import cache
from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor

from warpgrasp.errors import DataError
from warpgrasp.frame import FramePair
from warpgrasp.geometry import Mesh
from warpgrasp.photometric.flow import RenderedFlow, colours_at, mean_over, render_flow, sample
from warpgrasp.photometric.visibility import CYCLE_TOLERANCE_PX, mutually_visible
from warpgrasp.registry import Registry
from warpgrasp.render import Fragments, Rasterizer, rasterize

MINIMAL_SHARE = 0.01  # of the reference's pixels: a pair that keeps fewer contributes nothing
RADIUS_SIGMAS = 2.5  # where the Gaussian window ends
LEAST_DEVIATION = 0.05  # of colours in [0, 1]: a patch that is flatter than this holds noise rather than texture
LEAST_SEEN = 1e-3  # of a window: a pixel that is seen has more of it by itself
USUAL_CONTRAST = 0.2  # brings local contrast, about 1 where there is texture, to the size of colour differences


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


class PhotometricTerm(Protocol):
    """Channels that two pictures are compared by; the term (Eq. 1) is the mean absolute difference over all of them.

    Each picture of a batch is treated alone, and no gradient passes through it. The channels have as many rows and
    columns as the picture, and values about as large as colours in [0, 1], for which the recipes' weights are chosen.
    `contrast_share` is the recipe's; a term that has no use for it raises `DataError` where it is not 0.
    """

    def __call__(self, image: Float[Tensor, "b 3 h w"], *, contrast_share: float) -> Float[Tensor, "b k h w"]:
        """The channels of pictures, RGB in [0, 1]."""
        ...


def colours(image: Float[Tensor, "b c h w"], *, contrast_share: float) -> Float[Tensor, "b c h w"]:
    """The pictures' colours alone, as in the paper. Raises `DataError` for a share of contrast above 0."""
    if contrast_share != 0:
        raise DataError(
            f"expected no share of local contrast where colours alone are compared, got {contrast_share:g}; set "
            f"--photometric.contrast-share 0, or choose --photometric.term colours+contrast"
        )
    return image


def local_contrast(
    image: Float[Tensor, "b c h w"], *, sigma_px: float, seen: Bool[Tensor, "b h w"] | None = None
) -> Float[Tensor, "b c h w"]:
    """(I - mean) / (deviation + 0.05) under a Gaussian window; unchanged by adding a constant to a picture's colours.

    All channels share one deviation (the root of their mean variance), so that hues stay. The border repeats
    outside. Where texture is strong a change of the light's strength hardly changes it either. Pixels that are not
    `seen` have no share in any window; their own contrast means nothing.
    """
    smoothed = torch.cat([image, _mean_square(image)], dim=1)
    if seen is None:
        smoothed = _smoothed(smoothed, sigma_px)
    else:
        weight = seen[:, None].to(image)
        smoothed = _smoothed(smoothed * weight, sigma_px) / _smoothed(weight, sigma_px).clamp_min(LEAST_SEEN)
    mean, mean_square = smoothed.split([image.shape[1], 1], dim=1)
    variance = (mean_square - _mean_square(mean)).clamp_min(0)
    return (image - mean) / (variance.sqrt() + LEAST_DEVIATION)


def appearance(
    image: Float[Tensor, "b c h w"],
    *,
    contrast_share: float,
    sigma_px: float = 2.0,
    seen: Bool[Tensor, "b h w"] | None = None,
) -> Float[Tensor, "b k h w"]:
    """The channels by which two pictures are compared: colours and, where it has a share, local contrast.

    A mean absolute difference over these channels is (1 - share) times that of the colours plus share times a fifth of
    that of the contrasts. A surface that turns under a fixed light keeps its contrasts while its colours change.
    `seen` is as in `local_contrast`: where it is False, no channel means anything.
    """
    if contrast_share == 0:
        return image
    contrast = local_contrast(image, sigma_px=sigma_px, seen=seen)
    # Twice, since the mean is over the channels of both together.
    return torch.cat([2 * (1 - contrast_share) * image, 2 * contrast_share * USUAL_CONTRAST * contrast], dim=1)


PHOTOMETRIC_TERMS: Registry[PhotometricTerm] = Registry(
    "photometric term",
    "warpgrasp.photometric_terms",
    {"colours+contrast": appearance, "colours": colours},
)
"""What recipes can compare pictures by, by name."""


def _mean_square(image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h w"]:
    """The mean square over the channels, as a sum of pictures: `mean` over so few takes five times as long on a CPU."""
    first, *others = image.split(1, dim=1)
    total = first.square()
    for other in others:
        total.addcmul_(other, other)
    return total / image.shape[1]


def _smoothed(image: Float[Tensor, "b c h w"], sigma_px: float) -> Float[Tensor, "b c h w"]:
    """A Gaussian blur as two products with matrices: on a CPU a tenth of a convolution's time at small pictures."""
    height, width = image.shape[-2:]
    along_v, along_u = (_blur_matrix(size, sigma_px, image.device, image.dtype) for size in (height, width))
    return along_v @ image @ along_u.mT


@cache
@torch.inference_mode(mode=False)  # the cached matrix may be needed with a gradient the next time
def _blur_matrix(size: int, sigma_px: float, device: torch.device, dtype: torch.dtype) -> Float[Tensor, "n n"]:
    """The matrix that blurs a row: in each row the Gaussian's weights, those outside added to the border's."""
    radius = round(RADIUS_SIGMAS * sigma_px)
    offset_px = torch.arange(-radius, radius + 1)
    weights = torch.exp(-0.5 * (offset_px.double() / sigma_px) ** 2)
    source = (torch.arange(size)[:, None] + offset_px).clamp(0, size - 1)
    shares = (weights / weights.sum()).expand(size, -1)
    blurred_from = torch.zeros(size, size, dtype=torch.float64).scatter_add_(1, source, shares)
    return blurred_from.to(device, dtype)
