"""Optical flow rendered from two meshes (paper Sec. 3.1)."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from warpgrasp.geometry import Camera, Mesh
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
