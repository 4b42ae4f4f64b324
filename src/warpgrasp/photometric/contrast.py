"""What two pictures are compared by: colours, and local contrast, which changes less with the light on a surface."""

from functools import cache
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.errors import DataError
from warpgrasp.registry import Registry

RADIUS_SIGMAS = 2.5  # where the Gaussian window ends
LEAST_DEVIATION = 0.05  # of colours in [0, 1]: a patch that is flatter than this holds noise rather than texture
USUAL_CONTRAST = 0.2  # brings local contrast, about 1 where there is texture, to the size of colour differences


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


def local_contrast(image: Float[Tensor, "b c h w"], *, sigma_px: float) -> Float[Tensor, "b c h w"]:
    """(I - mean) / (deviation + 0.05) under a Gaussian window; unchanged by adding a constant to a picture's colours.

    All channels share one deviation (the root of their mean variance), so that hues stay. The border repeats
    outside. Where texture is strong a change of the light's strength hardly changes it either.
    """
    channels = image.shape[1]
    smoothed = _smoothed(torch.cat([image, _mean_square(image)], dim=1), sigma_px)
    mean, mean_square = smoothed.split([channels, 1], dim=1)
    variance = (mean_square - _mean_square(mean)).clamp_min(0)
    return (image - mean) / (variance.sqrt() + LEAST_DEVIATION)


def appearance(
    image: Float[Tensor, "b c h w"], *, contrast_share: float, sigma_px: float = 2.0
) -> Float[Tensor, "b k h w"]:
    """The channels by which two pictures are compared: colours and, where it has a share, local contrast.

    A mean absolute difference over these channels is (1 - share) times that of the colours plus share times a fifth of
    that of the contrasts. A surface that turns under a fixed light keeps its contrasts while its colours change.
    """
    if contrast_share == 0:
        return image
    contrast = local_contrast(image, sigma_px=sigma_px)
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
