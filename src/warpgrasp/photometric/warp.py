"""Sampling an image where a flow points (paper Sec. 3.1)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from warpgrasp.geometry import pixel_grid


@dataclass(frozen=True)
class Warped:
    """A warped image, and where it was sampled inside the source (elsewhere its colours mean nothing)."""

    image: Float[Tensor, "b c h w"]
    inside: Bool[Tensor, "b h w"]


def sample(image: Float[Tensor, "b c h w"], positions_px: Float[Tensor, "b n 2"]) -> Float[Tensor, "b c n"]:
    """Bilinear colours at positions (u, v) in pixels, pixel centres at whole numbers; the border repeats outside."""
    height, width = image.shape[-2:]
    u, v = positions_px.unbind(-1)
    grid = torch.stack([2 * u / max(width - 1, 1) - 1, 2 * v / max(height - 1, 1) - 1], dim=-1)
    return F.grid_sample(image, grid[:, None], mode="bilinear", padding_mode="border", align_corners=True)[:, :, 0]


def colours_at(image: Float[Tensor, "b c h w"], pixels: Int[Tensor, "b n 2"]) -> Float[Tensor, "b c n"]:
    """The colours of pixels (u, v) of the image."""
    u, v = pixels.unbind(-1)
    place = v * image.shape[-1] + u
    return image.flatten(2).gather(2, place[:, None].expand(-1, image.shape[1], -1))


def inside_image(positions_px: Float[Tensor, "*b 2"], *, height: int, width: int) -> Bool[Tensor, "*b"]:
    """Whether positions lie between the centres of the outermost pixels, where bilinear sampling is complete."""
    u, v = positions_px.unbind(-1)
    return (u >= 0) & (u <= width - 1) & (v >= 0) & (v <= height - 1)


def warp(image: Float[Tensor, "b c h w"], flow_px: Float[Tensor, "b h w 2"]) -> Warped:
    """The image W(I) whose pixel x shows I at x + flow(x): I sampled where the flow lands."""
    batch, channels, height, width = image.shape
    positions = pixel_grid(height, width, like=flow_px) + flow_px
    warped = sample(image, positions.flatten(1, 2)).view(batch, channels, height, width)
    return Warped(warped, inside_image(positions, height=height, width=width))


def mean_over(values: Float[Tensor, "b n"], mask: Bool[Tensor, "b n"]) -> Float[Tensor, " b"]:
    """The mean of the masked entries of each row; 0 where there are none. Masked-out NaN sends no gradient."""
    return torch.where(mask, values, 0).sum(-1) / mask.sum(-1).clamp_min(1)
