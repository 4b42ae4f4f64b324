"""The pinhole camera.

OpenCV axes: +X right, +Y down, +Z forward, in metres. Pixel (0, 0) is the centre of the top-left pixel, so that an
image of width W and height H is centred on ((W - 1) / 2, (H - 1) / 2).
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

NEAR_M = 0.01  # nothing nearer than this to the camera plane is drawn or compared


@dataclass(frozen=True)
class Camera:
    """Intrinsics (pixels) of one image or of a batch of images of one size."""

    intrinsics: Float[Tensor, "*b 3 3"]
    width: int
    height: int

    @property
    def batched(self) -> "Camera":
        """The camera of one image as that of a batch of one."""
        return replace(self, intrinsics=self.intrinsics[None])

    @property
    def focal_px(self) -> Float[Tensor, "*b 2"]:
        """Focal lengths (fx, fy), in pixels."""
        return self.intrinsics.diagonal(dim1=-2, dim2=-1)[..., :2]

    @property
    def principal_point_px(self) -> Float[Tensor, "*b 2"]:
        """Principal point (cx, cy), in pixels."""
        return self.intrinsics[..., :2, 2]

    @property
    def rays_from_pixels(self) -> Float[Tensor, "*b 3 3"]:
        """The inverse of the intrinsics.

        Raises `torch.linalg.LinAlgError` when there is none; on a GPU, for which nobody waits here, it is not finite.
        """
        if not self.intrinsics.is_cuda:
            return torch.linalg.inv(self.intrinsics)
        return inverse_by_cross_products(self.intrinsics)

    @property
    def image_centre_px(self) -> Float[Tensor, "*b 2"]:
        """The centre of the image, ((W - 1) / 2, (H - 1) / 2)."""
        like = self.intrinsics[..., 0, 0]  # filled, not uploaded: a GPU would have to be waited for
        return torch.stack([torch.full_like(like, (size - 1) / 2) for size in (self.width, self.height)], dim=-1)

    def project(self, points: Float[Tensor, "*b n 3"]) -> Float[Tensor, "*b n 2"]:
        """Project camera-space points (metres) to pixels.

        The division is safe: a point at or behind `NEAR_M` is divided by `NEAR_M` instead of by its depth, so that it
        never sends NaN back. Whether a point lies in front of the camera is told by its depth, not by its pixel.
        """
        depth = points[..., 2:].clamp_min(NEAR_M)
        linear, offset = self.intrinsics[..., :2, :2], self.intrinsics[..., None, :2, 2]
        return (points[..., :2] / depth) @ linear.transpose(-1, -2) + offset

    def sees(self, points: Float[Tensor, "*b n 3"]) -> Bool[Tensor, "*b n"]:
        """Whether points lie far enough in front of the camera for their projection to mean something."""
        return points[..., 2] > NEAR_M

    def rays(self, pixels: Float[Tensor, "*b n 2"]) -> Float[Tensor, "*b n 3"]:
        """The points at depth 1 m that project to `pixels`."""
        homogeneous = torch.cat([pixels, torch.ones_like(pixels[..., :1])], dim=-1)
        return homogeneous @ self.rays_from_pixels.transpose(-1, -2)

    def unproject(self, pixels: Float[Tensor, "*b n 2"], depth: Float[Tensor, "*b n"]) -> Float[Tensor, "*b n 3"]:
        """The camera-space points (metres) at `depth` that project to `pixels`: the inverse of `project`."""
        return self.rays(pixels) * depth[..., None]

    def transformed(
        self, new_from_old_px: Float[Tensor, "*b 3 3"], *, width: int | None = None, height: int | None = None
    ) -> "Camera":
        """The camera of an image whose pixels were moved by an affine map of pixel coordinates."""
        return Camera(
            new_from_old_px @ self.intrinsics,
            self.width if width is None else width,
            self.height if height is None else height,
        )

    def resized(self, width: int, height: int) -> "Camera":
        """The camera of the image resized to `width` × `height`.

        A point x moves to s·(x + 0.5) - 0.5 along each axis.
        """
        sx, sy = width / self.width, height / self.height
        new_from_old_px = self.intrinsics.new_tensor([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2], [0, 0, 1]])
        return self.transformed(new_from_old_px, width=width, height=height)

    def to(self, like: Tensor) -> "Camera":
        """The same camera with the device and dtype of `like`."""
        return replace(self, intrinsics=self.intrinsics.to(like))


def inverse_by_cross_products(matrix: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 3 3"]:
    """The inverse of 3×3 matrices with rows a, b, c: its columns are b × c, c × a and a × b over a·(b × c)."""
    a, b, c = matrix.unbind(-2)
    columns = [torch.linalg.cross(b, c), torch.linalg.cross(c, a), torch.linalg.cross(a, b)]
    return torch.stack(columns, dim=-1) / (a * columns[0]).sum(-1)[..., None, None]


def pixel_grid(height: int, width: int, *, like: Tensor) -> Float[Tensor, "h w 2"]:
    """Pixel coordinates (u, v) of every pixel's centre, with the device and dtype of `like`."""
    v, u = torch.meshgrid(
        torch.arange(height, device=like.device, dtype=like.dtype),
        torch.arange(width, device=like.device, dtype=like.dtype),
        indexing="ij",
    )
    return torch.stack([u, v], dim=-1)
