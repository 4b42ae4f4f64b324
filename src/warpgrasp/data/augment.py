"""Pictures changed with their cameras: augmentation, and the mirror image by which a left hand becomes a right one.

Augmentation is one draw of colour, blur and geometry per frame; equal draws of equal colours give equal colours.

The mirror image reflects the world in the camera's plane x = 0 by M = diag(-1, 1, 1), and the picture with it: pixel u
moves to (W - 1) - u. A point p becomes M p, a rotation R becomes M R M, an object becomes its mirror image, which is
another object with a name of its own. Projection commutes with mirroring, and mirroring twice changes nothing. Vertices
keep their numbers, and faces turn round, so that a mirrored left hand has the right hand's faces.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from warpgrasp.frame import Annotation, Detections, Frame, ObjectModel
from warpgrasp.geometry import Camera, mirrored_points, mirrored_rotation

MIDDLE_GREY = 0.5
LUMA = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601), as in Pillow
BLUR_RADIUS_PX = 2  # of the blur's window
LEAST_BLUR_PX = 1e-3  # a Gaussian as narrow as this changes nothing


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
    zoom: float = 0.0
    """Largest change, as a logarithm, of the size at which annotated frames show hand and object: they come nearer."""


@dataclass(frozen=True)
class View:
    """An augmented picture with the camera that would have taken it.

    `view_from_camera` turns camera space into the space of the augmented camera, which may be rolled.
    """

    image: Float[Tensor, "b 3 h w"]
    camera: Camera
    view_from_camera: Float[Tensor, "b 3 3"]
    valid: Bool[Tensor, "b h w"]  # False in padding
    zoom: Float[Tensor, " b"] | None = None  # how many times as large everything is shown; None: as it was

    def split(self, sizes: Sequence[int]) -> list["View"]:
        """The views of batches that stand one after the other."""
        zooms = [None] * len(sizes) if self.zoom is None else self.zoom.split(sizes)
        cameras = [replace(self.camera, intrinsics=own) for own in self.camera.intrinsics.split(sizes)]
        columns = (one.split(sizes) for one in (self.view_from_camera, self.valid))
        return [View(*row) for row in zip(self.image.split(sizes), cameras, *columns, zooms, strict=True)]

    def seen(self, points_px: Float[Tensor, "b n 2"], camera: Camera) -> Float[Tensor, "b n 2"]:
        """Where the view shows points of the pictures, which `camera` took."""
        return self._taken_by.project(camera.rays(points_px) @ self.view_from_camera.transpose(-1, -2))

    @property
    def _taken_by(self) -> Camera:
        """The camera that would have taken the picture, had nothing come nearer."""
        return self.camera if self.zoom is None else zoomed(self.camera, self.zoom)

    def annotated(self, annotation: Annotation) -> Annotation:
        """An annotation of the frames in the space of the augmented camera."""
        turned = annotation.turned(self.view_from_camera)
        if self.zoom is None:
            return turned
        # All moves as one, so that hand and object keep touching: sizes change right at the depth between them.
        depth = (turned.hand_joints[..., 2].mean(dim=1) + turned.object_translation[..., 2]) / 2
        nearer = F.pad((depth / self.zoom - depth)[:, None], (2, 0))
        return replace(
            turned,
            hand_vertices=turned.hand_vertices + nearer[:, None],
            hand_joints=turned.hand_joints + nearer[:, None],
            object_translation=turned.object_translation + nearer,
        )


@dataclass(frozen=True)
class Rows:
    """Some rows, one after the other, of a batch of `total`."""

    first: int
    count: int
    total: int

    @property
    def own(self) -> slice:
        """Where they are in the batch."""
        return slice(self.first, self.first + self.count)


@dataclass(frozen=True)
class Augmentation:
    """What is drawn for each frame of a batch, on the CPU, so that a seed means the same on every device."""

    config: AugmentConfig
    drawn: Float[Tensor, "8 b"]  # brightness, contrast, saturation, hue, blur, shift along u and v, roll
    zoom: Float[Tensor, " b"] | None  # None: nothing comes nearer

    @staticmethod
    def draw(
        config: AugmentConfig, generator: torch.Generator, rows: Rows, *, height: int, zooms: bool = False
    ) -> "Augmentation":
        """Draw for pictures of a height; with `zooms` a zoom too, which is for annotated frames.

        It is drawn for all of the batch of which the frames are some `rows`, so that a frame's draw does not depend on
        how the batch is shared out. All in one draw: numbers that are drawn by themselves cost a GPU's host as much as
        a product of pictures each.
        """
        total, shift = rows.total, config.shift * height
        largest = (config.brightness, config.contrast, config.saturation, config.hue, config.blur_px)
        largest = torch.tensor([*largest, shift, shift, config.roll])
        colours, shifts, rolls = torch.rand(8 * total, generator=generator).split([5 * total, 2 * total, total])
        parts = [colours.view(5, total), shifts.view(total, 2).T, rolls[None]]
        drawn = (2 * torch.cat(parts)[:, rows.own] - 1) * largest[:, None]
        zoom = None
        if zooms and config.zoom > 0:
            zoom = ((2 * torch.rand(total, generator=generator)[rows.own] - 1) * config.zoom).exp()
        return Augmentation(config, drawn, zoom)

    @staticmethod
    def joined(parts: Sequence["Augmentation"]) -> "Augmentation":
        """Those of several batches, one after the other, by one configuration."""
        zoom = None
        if any(part.zoom is not None for part in parts):
            ones = (torch.ones(part.drawn.shape[1]) for part in parts)
            zoom = torch.cat([one if part.zoom is None else part.zoom for part, one in zip(parts, ones, strict=True)])
        return Augmentation(parts[0].config, torch.cat([part.drawn for part in parts], dim=1), zoom)

    def of(self, image: Float[Tensor, "b 3 h w"], camera: Camera) -> View:
        """Apply it to the pictures for which it was drawn."""
        drawn = self.drawn.to(image.device, image.dtype, non_blocking=True)
        zoom = None if self.zoom is None else self.zoom.to(image, non_blocking=True)
        factors, (hue, blur_px, shift_u, shift_v, roll) = 1 + drawn[:3], drawn[3:].unbind()
        image = _recolour(image, factors)
        if self.config.hue > 0:
            import kornia.enhance  # a quarter of a second, which the demo does not need

            image = kornia.enhance.adjust_hue(image, 2 * torch.pi * hue)
        if self.config.blur_px > 0:
            image = _blur(image, blur_px.abs())
        return _move(image, camera, torch.stack([shift_u, shift_v], dim=1), roll, zoom)


def augment(
    image: Float[Tensor, "b 3 h w"],
    camera: Camera,
    config: AugmentConfig,
    generator: torch.Generator,
    *,
    rows: Rows | None = None,
    zooms: bool = False,
) -> View:
    """Draw and apply an augmentation of each frame of a batch, all of it or some `rows` (`Augmentation.draw`)."""
    rows = Rows(0, len(image), len(image)) if rows is None else rows
    return Augmentation.draw(config, generator, rows, height=camera.height, zooms=zooms).of(image, camera)


def zoomed(camera: Camera, zoom: Float[Tensor, " b"]) -> Camera:
    """The camera with a focal length so many times as long."""
    scale = torch.ones_like(camera.intrinsics)
    scale[:, 0, :2] = zoom[:, None]
    scale[:, 1, 1] = zoom
    return replace(camera, intrinsics=camera.intrinsics * scale)


def _recolour(image: Float[Tensor, "b 3 h w"], factors: Float[Tensor, "3 b"]) -> Float[Tensor, "b 3 h w"]:
    """Brightness, contrast and saturation as in Pillow, one after the other, each kept within [0, 1].

    In place on one copy: what these few operations cost is memory.
    """
    brightness, contrast, saturation = factors[..., None, None, None].unbind()
    image = (image * brightness).clamp_(0, 1)
    # About a fixed grey: about the picture's mean, equal colours of two pictures would become different ones.
    image.sub_(MIDDLE_GREY).mul_(contrast).add_(MIDDLE_GREY).clamp_(0, 1)
    grey = sum(weight * image[:, channel : channel + 1] for channel, weight in enumerate(LUMA))
    return image.mul_(saturation).add_((1 - saturation) * grey).clamp_(0, 1)


def _blur(image: Float[Tensor, "b 3 h w"], sigma_px: Float[Tensor, " b"]) -> Float[Tensor, "b 3 h w"]:
    """A Gaussian blur of each picture; the border is repeated outside.

    As sums of shifted pictures: on a CPU a seventh of a grouped convolution's time.
    """
    offset_px = torch.arange(-BLUR_RADIUS_PX, BLUR_RADIUS_PX + 1, device=image.device).to(image.dtype)
    weights = torch.exp(-0.5 * (offset_px / sigma_px.clamp_min(LEAST_BLUR_PX)[:, None]) ** 2)
    first, *others = (weights / weights.sum(dim=1, keepdim=True))[:, :, None, None, None].unbind(dim=1)
    blurred = F.pad(image, 4 * (BLUR_RADIUS_PX,), mode="replicate")
    for axis in (-1, -2):
        length = image.shape[axis]
        total = first * blurred.narrow(axis, 0, length)
        for shift, weight in enumerate(others, start=1):
            total.addcmul_(weight, blurred.narrow(axis, shift, length))
        blurred = total
    return blurred


def _move(
    image: Tensor,
    camera: Camera,
    shift_px: Float[Tensor, "b 2"],
    roll: Float[Tensor, " b"],
    zoom: Float[Tensor, " b"] | None,
) -> View:
    """Roll the camera about its axis, zoom, then shift the picture; its camera follows, but for the zoom."""
    height, width = image.shape[-2:]
    one, zero, cosine, sine = torch.ones_like(roll), torch.zeros_like(roll), roll.cos(), roll.sin()
    rows = [cosine, -sine, zero, sine, cosine, zero, zero, zero, one]
    view_from_camera = torch.stack(rows, dim=1).unflatten(1, (3, 3))
    rows = [one, zero, shift_px[:, 0], zero, one, shift_px[:, 1], zero, zero, one]
    shift = torch.stack(rows, dim=1).unflatten(1, (3, 3))
    moved = camera.transformed(shift)
    taken_by = moved if zoom is None else zoomed(moved, zoom)
    # A pixel of the new picture sees along the ray that the old picture has at old_from_new · pixel. This is affine,
    # since a roll about the axis leaves depths as they are; as one matrix it costs a quarter of the rays themselves.
    turned = camera.intrinsics.double() @ view_from_camera.double().transpose(1, 2)
    old_from_new = turned @ taken_by.to(turned).rays_from_pixels
    along = [2 * old_from_new[:, axis] / (size - 1) for axis, size in enumerate((width, height))]
    normalised_from_new = torch.stack(along, dim=1)
    normalised_from_new[:, :, 2] -= 1
    along_u, along_v, start = normalised_from_new.to(image)[:, None, None].unbind(-1)
    u, v = (torch.arange(size, device=image.device, dtype=image.dtype)[:, None] for size in (width, height))
    normalised = along_u * u + (along_v * v[:, None] + start)
    seen = F.grid_sample(image, normalised, mode="bilinear", padding_mode="border", align_corners=True)
    inside = normalised.abs() <= 1
    return View(seen, moved, view_from_camera, inside[..., 0] & inside[..., 1], zoom)


MIRRORED_SUFFIX = " (mirrored)"


def mirrored_name(name: str) -> str:
    """The name of an object's mirror image; the object's own name when `name` is that of a mirror image."""
    return name.removesuffix(MIRRORED_SUFFIX) if name.endswith(MIRRORED_SUFFIX) else name + MIRRORED_SUFFIX


def mirrored_object(model: ObjectModel) -> ObjectModel:
    """The mirror image of an object; its faces turn round, so that they still look outwards."""
    return ObjectModel(
        mirrored_name(model.name),
        mirrored_points(model.vertices),
        model.faces.flip(-1),
        mirrored_points(model.centre_m),
        model.axes_from_file,  # of the mirrored file
        model.symmetry,  # mirroring turns the turns round, and they remain the same turns
    )


def mirrored_camera(camera: Camera) -> Camera:
    """The camera of the mirrored picture: the principal point moves to (W - 1) - cx, a skew changes its sign."""
    width = camera.width - 1
    intrinsics = camera.intrinsics.clone()
    intrinsics[..., 0, 1] *= -1
    intrinsics[..., 0, 2] = width - intrinsics[..., 0, 2]
    return replace(camera, intrinsics=intrinsics)


def mirrored_detections(detections: Detections, width: int) -> Detections:
    """The detections of the mirrored pictures of this width: pixel u moves to (width - 1) - u."""
    joints_px = detections.joints_px.clone()
    joints_px[..., 0] = width - 1 - joints_px[..., 0]
    return Detections(joints_px, detections.confidence)


def mirrored_annotation(annotation: Annotation) -> Annotation:
    """The annotation of the mirrored picture; its object pose is that of the mirrored object."""
    rotation = annotation.hand_rotation
    return Annotation(
        mirrored_points(annotation.hand_vertices),
        mirrored_points(annotation.hand_joints),
        mirrored_rotation(annotation.object_rotation),
        mirrored_points(annotation.object_translation),
        None if rotation is None else mirrored_rotation(rotation),
    )


def mirrored_frame(frame: Frame) -> Frame:
    """The frame as its mirrored picture shows it."""
    return Frame(
        frame.name,
        frame.picture.flip(-1),
        mirrored_camera(frame.camera),
        mirrored_object(frame.object),
        None if frame.annotation is None else mirrored_annotation(frame.annotation),
    )
