"""Augmentation: one draw of colour, blur and geometry per frame; equal draws of equal colours give equal colours."""

from dataclasses import dataclass

import kornia.enhance
import kornia.filters
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from warpgrasp.geometry import Camera, matrix_from_axis_angle, pixel_grid

MIDDLE_GREY = 0.5


@dataclass(frozen=True)
class AugmentConfig:
    """How strongly pictures are changed before the network sees them."""

    brightness: float = 0.5
    """Largest relative change of brightness."""
    contrast: float = 0.5
    """Largest relative change of contrast."""
    saturation: float = 0.5
    """Largest relative change of saturation."""
    hue: float = 0.15
    """Largest change of hue, in turns."""
    blur_px: float = 0.5
    """Largest standard deviation of the blur, in pixels."""
    shift: float = 0.1
    """Largest shift, as a share of the image's height."""
    roll: float = 0.0
    """Largest roll of the camera about its axis, in radians."""


@dataclass(frozen=True)
class View:
    """An augmented picture with the camera that would have taken it.

    `view_from_camera` turns camera space into the space of the augmented camera, which may be rolled.
    """

    image: Float[Tensor, "b 3 h w"]
    camera: Camera
    view_from_camera: Float[Tensor, "b 3 3"]
    valid: Bool[Tensor, "b h w"]  # False in padding


def augment(image: Float[Tensor, "b 3 h w"], camera: Camera, config: AugmentConfig, generator: torch.Generator) -> View:
    """Draw and apply an augmentation of each frame of a batch.

    The draws are made on the CPU, so that a seed means the same on every device.
    """
    batch = len(image)

    def draw(largest: float, *shape: int) -> Tensor:
        uniform = torch.rand((batch, *shape), generator=generator)
        return ((2 * uniform - 1) * largest).to(image)

    factors = {name: 1 + draw(getattr(config, name)) for name in ("brightness", "contrast", "saturation")}
    hue, blur = draw(config.hue), draw(config.blur_px).abs()
    shift_px, roll = draw(config.shift * camera.height, 2), draw(config.roll)
    image = _recolour(image, factors, hue, blur)
    return _move(image, camera, shift_px, roll)


def _recolour(
    image: Float[Tensor, "b 3 h w"],
    factors: dict[str, Float[Tensor, " b"]],
    hue: Float[Tensor, " b"],
    blur_px: Float[Tensor, " b"],
) -> Float[Tensor, "b 3 h w"]:
    image = kornia.enhance.adjust_brightness_accumulative(image, factors["brightness"])
    # About a fixed grey: about the picture's mean, equal colours of two pictures would become different ones.
    contrast = factors["contrast"][:, None, None, None]
    image = (MIDDLE_GREY + contrast * (image - MIDDLE_GREY)).clamp(0, 1)
    if bool((factors["saturation"] != 1).any()) or bool((hue != 0).any()):
        image = kornia.enhance.adjust_saturation_with_gray_subtraction(image, factors["saturation"])
    if bool((hue != 0).any()):
        image = kornia.enhance.adjust_hue(image, 2 * torch.pi * hue)
    if bool((blur_px > 0).any()):
        sigma = blur_px.clamp_min(1e-3)[:, None].expand(-1, 2)
        image = kornia.filters.gaussian_blur2d(image, (5, 5), sigma, border_type="replicate")
    return image


def _move(image: Tensor, camera: Camera, shift_px: Float[Tensor, "b 2"], roll: Float[Tensor, " b"]) -> View:
    """Roll the camera about its axis, then shift the picture; its camera follows."""
    batch, _, height, width = image.shape
    view_from_camera = matrix_from_axis_angle(
        torch.stack([torch.zeros_like(roll), torch.zeros_like(roll), roll], dim=-1)
    )
    shift = torch.eye(3).to(image).repeat(batch, 1, 1)
    shift[:, :2, 2] = shift_px
    moved = camera.transformed(shift)
    # A pixel of the new picture sees along the ray that the old picture has at this place.
    grid = pixel_grid(height, width, like=image).reshape(1, -1, 2).expand(batch, -1, -1)
    old = camera.project(moved.rays(grid) @ view_from_camera)
    size = old.new_tensor([width - 1, height - 1])
    normalised = (2 * old / size - 1).view(batch, height, width, 2)
    seen = F.grid_sample(image, normalised, mode="bilinear", padding_mode="border", align_corners=True)
    valid = ((old >= 0) & (old <= size)).all(-1).view(batch, height, width)
    return View(seen, moved, view_from_camera, valid)
