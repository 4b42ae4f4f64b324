"""Optical flow rendered from two meshes, and an image sampled where it points (paper Sec. 3.1)."""

from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from warpgrasp.geometry import Camera, Mesh, pixel_grid
from warpgrasp.render import Fragments, Rasterizer, rasterize, seen_values


@dataclass(frozen=True)
class RenderedFlow:
    """For each covered pixel of the source, where its surface point lies in the destination image.

    `flow_px` is the position in the destination minus the position in the source. `visible` tells which entries mean
    something: the pixel is covered (not padding), by the surface itself (not by an auxiliary face), and the point lies
    in front of the destination camera.
    """

    fragments: Fragments  # the covered pixels of the source
    flow_px: Float[Tensor, "b n 2"]
    visible: Bool[Tensor, "b n"]

    @property
    def landing_px(self) -> Float[Tensor, "b n 2"]:
        """Where each pixel's surface point is seen in the destination image."""
        return self.fragments.pixels + self.flow_px

    def dense(self) -> tuple[Float[Tensor, "b h w 2"], Bool[Tensor, "b h w"]]:
        """The flow and its validity as images; zero where it is not visible."""
        height, width = self.fragments.height, self.fragments.width
        image, slot = torch.nonzero(self.visible, as_tuple=True)
        u, v = self.fragments.pixels[image, slot].unbind(-1)
        flow_px = self.flow_px.new_zeros((len(self.visible), height, width, 2))
        visible = torch.zeros(flow_px.shape[:3], dtype=torch.bool, device=flow_px.device)
        visible[image, v, u] = True
        return flow_px.index_put((image, v, u), self.flow_px[image, slot]), visible


def render_flow(
    source: Mesh,
    destination: Mesh,
    *,
    source_camera: Camera,
    destination_camera: Camera,
    seen: Fragments | None = None,
    rasterizer: Rasterizer = rasterize,
) -> RenderedFlow:
    """Follow each visible surface point of `source` to its place on `destination`, a mesh of the same faces.

    The point's barycentrics carry the gradient to `source`, its position p = Σ bᵢ vᵢ the one to `destination`; only the
    choice of the face is constant, as in the released code. The flow is the projection of the moved 3D point, not an
    interpolation of the vertices' projections, which differ under perspective. `seen` is what the source's camera sees
    of it; without it, the source is rasterised.
    """
    seen = Fragments.of(rasterizer(source, source_camera)) if seen is None else seen
    points = seen_values(source, source_camera, seen.face_ids, seen.pixels, destination.vertices)
    flow_px = destination_camera.project(points) - seen.pixels
    auxiliary = source.auxiliary_faces.gather(1, seen.face_ids)
    in_front = destination_camera.sees(points)
    return RenderedFlow(seen, flow_px, seen.covered & ~auxiliary & in_front)


@dataclass(frozen=True)
class Warped:
    """A warped image, and where it was sampled inside the source (elsewhere its colours mean nothing)."""

    image: Float[Tensor, "b c h w"]
    inside: Bool[Tensor, "b h w"]


def sample(image: Float[Tensor, "b c h w"], positions_px: Float[Tensor, "b n 2"]) -> Float[Tensor, "b c n"]:
    """Bilinear colours at positions (u, v) in pixels, pixel centres at whole numbers; the border repeats outside."""
    height, width = image.shape[-2:]
    grid = 2 * positions_px / _last_pixel(height, width, positions_px.device, positions_px.dtype) - 1
    return F.grid_sample(image, grid[:, None], mode="bilinear", padding_mode="border", align_corners=True)[:, :, 0]


@cache
@torch.inference_mode(mode=False)  # the cached tensor may be needed with a gradient the next time
def _last_pixel(height: int, width: int, device: torch.device, dtype: torch.dtype) -> Float[Tensor, "2"]:
    """(u, v) of the last pixel, at least 1: what `grid_sample` has at 1, with 0 at -1."""
    return torch.tensor([max(width - 1, 1), max(height - 1, 1)], device=device, dtype=dtype)


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
