"""Meshes drawn over pictures by the project's own rasteriser and the camera of the picture."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from warpgrasp.data import Dataset
from warpgrasp.frame import FrameName
from warpgrasp.geometry import Camera
from warpgrasp.predictions import Predictions
from warpgrasp.render import Texture, rasterize, shade
from warpgrasp.scene import Scene

BACKGROUND, HAND, OBJECT, OTHER_HAND = 0, 1, 2, 3  # the labels of pixels
HAND_COLOUR = (0.98, 0.62, 0.26)
WRIST_COLOUR = (0.70, 0.42, 0.16)
OTHER_HAND_COLOUR = (0.95, 0.47, 0.60)
OTHER_WRIST_COLOUR = (0.68, 0.28, 0.40)
OBJECT_COLOUR = (0.27, 0.56, 0.96)
OUTLINES = {HAND: (0.80, 0.38, 0.02), OBJECT: (0.05, 0.26, 0.72), OTHER_HAND: (0.72, 0.13, 0.33)}
COLOURS = {  # of the faces of each part, and of those that close its wrist
    HAND: (HAND_COLOUR, WRIST_COLOUR),
    OBJECT: (OBJECT_COLOUR, OBJECT_COLOUR),
    OTHER_HAND: (OTHER_HAND_COLOUR, OTHER_WRIST_COLOUR),
}
TRUTH_OUTLINE = (1.0, 1.0, 1.0)
PAPER = (0.93, 0.935, 0.945)  # behind turned views
PENCIL = (0.10, 0.11, 0.13)  # the truth's outline on paper
LIGHT = (-0.5, -0.7, -1.0)  # from the surface to the light: from behind the viewer's left shoulder


@dataclass(frozen=True)
class Window:
    """A part of a picture, of the picture's proportions, as shares of its width and height."""

    left: float
    top: float
    side: float

    @staticmethod
    def around(mask: Bool[Tensor, "h w"], *, margin: float, smallest: float = 0.4) -> "Window":
        """The window round a mask with `margin` times the mask's extent on each side, moved into the picture."""
        height, width = mask.shape
        rows, columns = torch.nonzero(mask, as_tuple=True)
        if not len(rows):
            return Window(0.0, 0.0, 1.0)
        low = torch.stack([columns.min() / width, rows.min() / height])
        high = torch.stack([(columns.max() + 1) / width, (rows.max() + 1) / height])
        side = min(1.0, max(smallest, (1 + 2 * margin) * float((high - low).max())))
        left, top = ((low + high) / 2 - side / 2).clamp(0, 1 - side).tolist()
        return Window(left, top, side)

    def of(self, image: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 ch cw"]:
        """That part of a picture, cut at whole pixels."""
        height, width = image.shape[1:]
        x, y = round(self.left * width), round(self.top * height)
        return image[:, y : y + round(self.side * height), x : x + round(self.side * width)]


def predicted_scene(dataset: Dataset, predictions: Predictions, name: FrameName) -> Scene:
    """Hand and object as they were predicted in a frame. The object is the data set's of the predicted name."""
    row = predictions.names.index(name)

    def tensor(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array[row]).float()

    model = dataset.object_model(str(predictions.object_name[row]))
    pose = tensor(predictions.object_rotation), tensor(predictions.object_translation)
    return Scene.of(dataset.hand, tensor(predictions.hand_vertices), *pose, model)


def labels_of(scene: Scene, camera: Camera) -> Int[Tensor, "h w"]:
    """The label of each pixel: background, hand, object or other hand. The camera is that of one image."""
    face_ids = rasterize(scene.mesh, camera.batched).face_ids[0]
    return torch.where(face_ids < 0, BACKGROUND, _parts(scene, face_ids))


def _parts(scene: Scene, face_ids: Int[Tensor, "*n"]) -> Int[Tensor, "*n"]:
    """The labels of faces by their numbers."""
    beyond = scene.mesh.faces.shape[1] - scene.other_hand_face_count
    labels = torch.where(face_ids < scene.hand_face_count, HAND, OBJECT)
    return torch.where(face_ids >= beyond, OTHER_HAND, labels)


def outline(labels: Int[Tensor, "h w"], *, width: int) -> Bool[Tensor, "h w"]:
    """The labelled pixels within `width` pixels of another label (the image's border is no label)."""
    edges = torch.zeros_like(labels, dtype=torch.bool)
    for label in OUTLINES:
        if not (labels == label).any():
            continue
        edges |= (labels == label) & _spread(labels != label, width)
    return edges


def overlay(
    image: Float[Tensor, "3 h w"],
    scene: Scene,
    camera: Camera,
    *,
    scale: int = 2,
    truth: Scene | None = None,
    opacity: float = 0.62,
) -> Float[Tensor, "3 sh sw"]:
    """The picture at `scale` times its size with the scene over it: shaded, half transparent, its parts outlined.

    `camera` is that of `image`. With `truth`, its silhouette is drawn too, in white.
    """
    larger = camera.resized(scale * camera.width, scale * camera.height)
    canvas, labels = enlarged(image, scale), labels_of(scene, larger)
    canvas = torch.where(labels > 0, canvas + opacity * (_shaded(scene, larger) - canvas), canvas)
    canvas = _outlined(canvas, labels, width=scale)
    return canvas if truth is None else _traced(canvas, truth, larger, width=scale, colour=TRUTH_OUTLINE)


def turned_view(
    scene: Scene, camera: Camera, *, about: Float[Tensor, " 3"], scale: int = 2, truth: Scene | None = None
) -> Float[Tensor, "3 sh sw"]:
    """The scene turned by 90° about the vertical line through `about`, drawn by the same camera on plain paper."""
    return on_paper(scene.turned(about), camera, scale=scale, truth=None if truth is None else truth.turned(about))


def on_paper(scene: Scene, camera: Camera, *, scale: int = 2, truth: Scene | None = None) -> Float[Tensor, "3 sh sw"]:
    """The scene on plain paper; with `truth`, its silhouette in pencil."""
    larger = camera.resized(scale * camera.width, scale * camera.height)
    paper = torch.tensor(PAPER)[:, None, None].expand(3, larger.height, larger.width)
    labels = labels_of(scene, larger)
    canvas = _outlined(torch.where(labels > 0, _shaded(scene, larger), paper), labels, width=scale)
    return canvas if truth is None else _traced(canvas, truth, larger, width=scale, colour=PENCIL)


def enlarged(image: Float[Tensor, "3 h w"], scale: int) -> Float[Tensor, "3 sh sw"]:
    """The picture at `scale` times its size; a point x moves to s·(x + 0.5) - 0.5, as with `Camera.resized`."""
    if scale == 1:
        return image
    size = [scale * image.shape[1], scale * image.shape[2]]
    # The cubic of `antialias` (a = -0.5) keeps a ramp a ramp; torch's other one (a = -0.75) does not.
    larger = F.interpolate(image[None], size=size, mode="bicubic", align_corners=False, antialias=True)
    return larger[0].clamp(0, 1)


def _shaded(scene: Scene, camera: Camera) -> Float[Tensor, "3 h w"]:
    faces = torch.arange(scene.mesh.faces.shape[1])
    kinds = torch.stack([_parts(scene, faces), scene.mesh.auxiliary_faces[0].long()], dim=1)
    runs, counts = torch.unique_consecutive(kinds, dim=0, return_counts=True)
    textures = [
        Texture.plain(COLOURS[part][closing], count)
        for (part, closing), count in zip(runs.tolist(), counts.tolist(), strict=True)
    ]
    light = torch.tensor(LIGHT)
    return shade(scene.mesh, textures, camera.batched, rasterizer=rasterize, light=light, ambient=0.35).image


def _outlined(canvas: Float[Tensor, "3 h w"], labels: Int[Tensor, "h w"], *, width: int) -> Float[Tensor, "3 h w"]:
    edges = outline(labels, width=width)
    for label, colour in OUTLINES.items():
        canvas = torch.where(edges & (labels == label), torch.tensor(colour)[:, None, None], canvas)
    return canvas


def _traced(
    canvas: Float[Tensor, "3 h w"], truth: Scene, camera: Camera, *, width: int, colour: tuple[float, float, float]
) -> Float[Tensor, "3 h w"]:
    """The silhouette of hand and object together as a line, set off by a thin shadow."""
    silhouette = (labels_of(truth, camera) > 0).long()
    line = outline(silhouette, width=width)
    near = _spread(line, 1)
    shadow = 0.0 if sum(colour) > 1.5 else 1.0
    canvas = torch.where(near, canvas + 0.45 * (shadow - canvas), canvas)
    return torch.where(line, torch.tensor(colour)[:, None, None], canvas)


def _spread(mask: Bool[Tensor, "h w"], width: int) -> Bool[Tensor, "h w"]:
    """The pixels within a square of `width` pixels to each side of the mask."""
    rows = F.max_pool2d(mask.float()[None, None], (1, 2 * width + 1), stride=1, padding=(0, width))
    return F.max_pool2d(rows, (2 * width + 1, 1), stride=1, padding=(width, 0))[0, 0] > 0
