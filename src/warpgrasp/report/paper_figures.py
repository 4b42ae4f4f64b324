"""The paper's pictures of reconstructions: Figs. 4 and 6 (overlays and turned views), 9 (refinement), 10 (shape).

Each is a grid of pictures under heads, as one PNG on white, which suits light and dark pages alike. The module is also
a command that saves input, control, photometric and ground truth of a few frames:

    python -m warpgrasp.report.paper_figures --data runs/demo/data --control runs/demo/control.npz \
        --photometric runs/demo/photometric.npz --frames E1/0020 T2/0015 --out result.png
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import tyro
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from warpgrasp.data import Dataset, open_dataset
from warpgrasp.evaluation import EvaluationError, score
from warpgrasp.files import replacing
from warpgrasp.frame import Frame, FrameName
from warpgrasp.geometry import Camera
from warpgrasp.hand import JOINTS, HandModel, open_hand
from warpgrasp.predictions import Predictions, read_predictions
from warpgrasp.report.comparison import TRUTH, pixels_of
from warpgrasp.report.overlay import Window, enlarged, labels_of, on_paper, overlay, predicted_scene, turned_view
from warpgrasp.scene import Scene

GAP_PX, HEAD_PX, NOTE_PX = 8, 40, 26
INK, FAINT = "#1c1e22", "#5b5f68"
SCALE = 4  # drawn at four times the size of the picture, then cropped and reduced to TILE_PX
TILE_PX = (400, 300)


@dataclass(frozen=True)
class Tile:
    """A picture, and a line below it."""

    image: Float[Tensor, "3 h w"]
    note: str = ""


def save_grid(
    path: Path, heads: Sequence[str], rows: Sequence[Sequence[Tile]], *, tile_px: tuple[int, int], title: str = ""
) -> None:
    """Save a PNG: `heads` over the columns, each tile resized to `tile_px` (width, height); a row may be short."""
    width, height = tile_px
    noted = NOTE_PX if any(tile.note for row in rows for tile in row) else 0
    top = HEAD_PX * (2 if title else 1)
    size = (len(heads) * (width + GAP_PX) + GAP_PX, top + len(rows) * (height + noted + GAP_PX))
    grid = Image.new("RGB", size, "white")
    pen, large, small = ImageDraw.Draw(grid), ImageFont.load_default(size=20), ImageFont.load_default(size=14)
    if title:
        pen.text((GAP_PX, HEAD_PX / 2), title, fill=FAINT, font=large, anchor="lm")
    for column, head in enumerate(heads):
        centre = GAP_PX + column * (width + GAP_PX) + width / 2
        pen.text((centre, top - HEAD_PX / 2), head, fill=INK, font=large, anchor="mm")
    for number, row in enumerate(rows):
        for column, tile in enumerate(row):
            corner = (GAP_PX + column * (width + GAP_PX), top + number * (height + noted + GAP_PX))
            whole = Image.fromarray(np.ascontiguousarray(pixels_of(tile.image)))
            grid.paste(whole.resize(tile_px, Image.Resampling.LANCZOS), corner)
            below = (corner[0] + width / 2, corner[1] + height + NOTE_PX / 2)
            pen.text(below, tile.note, fill=FAINT, font=small, anchor="mm")
    with replacing(path) as temporary:
        grid.save(temporary, "PNG", optimize=True)


def save_frames(
    path: Path, dataset: Dataset, names: Sequence[FrameName], arms: Mapping[str, Predictions], *, margin: float = 0.45
) -> None:
    """Save a PNG: one row per frame; columns are the input, each arm in the order given, and the truth.

    Rows are cropped round the true silhouette, `margin` times its extent on each side. `dataset` reads pictures at
    their size on disk.
    """
    rows = [_tiles(dataset, name, arms, margin) for name in names]
    save_grid(path, ["input", *arms, TRUTH], rows, tile_px=TILE_PX)


def _tiles(dataset: Dataset, name: FrameName, arms: Mapping[str, Predictions], margin: float) -> list[Tile]:
    frame = dataset.frame(name, annotated=True)
    if frame.annotation is None:
        raise EvaluationError(f"expected the annotation of {name}, found none")
    truth = Scene.annotated(dataset.hand, frame.annotation, frame.object)
    window = Window.around(labels_of(truth, frame.camera) > 0, margin=margin)
    images = [enlarged(frame.image, SCALE)]
    for predictions in arms.values():
        scene = predicted_scene(dataset, predictions, name)
        images.append(overlay(frame.image, scene, frame.camera, scale=SCALE, truth=truth))
    images.append(overlay(frame.image, truth, frame.camera, scale=SCALE))
    return [Tile(window.of(image)) for image in images]


TILE_WIDTH_PX = 320
DRAWN_WIDTH_PX = 1280  # before cropping, about
MIDDLE_FINGER = tuple(JOINTS.index(f"middle_{part}") for part in ("1", "2", "3", "tip"))


@dataclass(frozen=True)
class _DrawnFrame:
    """A frame to draw: its truth, where it is annotated, and the windows that show hand and object closely."""

    frame: Frame
    truth: Scene | None
    window: Window
    turned_window: Window
    about: Float[Tensor, " 3"]
    scale: int

    @staticmethod
    def of(dataset: Dataset, name: FrameName, predictions: Predictions) -> "_DrawnFrame":
        frame = dataset.frame(name, annotated=dataset.is_annotated(name))
        truth = None
        if frame.annotation is not None:
            truth = Scene.annotated(dataset.hand, frame.annotation, frame.object)
        central = truth or predicted_scene(dataset, predictions, name)
        about, camera = central.object_centre, frame.camera
        window = Window.around(labels_of(central, camera) > 0, margin=0.45)
        turned = Window.around(labels_of(central.turned(about), camera) > 0, margin=0.45)
        scale = max(1, round(DRAWN_WIDTH_PX / camera.width))
        return _DrawnFrame(frame, truth, window, turned, about, scale)

    @property
    def input(self) -> Tile:
        return Tile(self.window.of(enlarged(self.frame.image, self.scale)), str(self.frame.name))

    def overlay(self, scene: Scene, *, note: str = "", traced: bool = True) -> Tile:
        truth = self.truth if traced else None
        return Tile(
            self.window.of(overlay(self.frame.image, scene, self.frame.camera, scale=self.scale, truth=truth)), note
        )

    def turned(self, scene: Scene, *, traced: bool = True) -> Tile:
        truth = self.truth if traced else None
        view = turned_view(scene, self.frame.camera, about=self.about, scale=self.scale, truth=truth)
        return Tile(self.turned_window.of(view), "turned by 90°")


def save_overlays(
    path: Path, dataset: Dataset, names: Sequence[FrameName], arms: Mapping[str, Predictions], *, heading: str
) -> None:
    """Figs. 4 and 6: each frame with each arm's reconstruction laid over it and turned by 90°, then the truth.

    The white and the pencilled line are the true silhouette; the frame's errors stand below. `dataset` reads pictures
    at their size on disk.
    """
    rows, known = [], False
    for name in names:
        shown = _DrawnFrame.of(dataset, name, next(iter(arms.values())))
        row = [shown.input]
        for predictions in arms.values():
            scene = predicted_scene(dataset, predictions, name)
            row += [shown.overlay(scene, note=_errors(dataset, predictions, name)), shown.turned(scene)]
        if shown.truth is not None:
            known = True
            row += [shown.overlay(shown.truth, traced=False), shown.turned(shown.truth, traced=False)]
        rows.append(row)
    heads = ["input", *(head for arm in [*arms, *([TRUTH] if known else [])] for head in (arm, ""))]
    save_grid(path, heads, rows, tile_px=_tile_px(dataset, names), title=heading)


def save_refinement(
    path: Path,
    dataset: Dataset,
    pairs: Sequence[tuple[FrameName, FrameName]],
    stages: Mapping[str, Predictions],
    *,
    heading: str,
) -> None:
    """Fig. 9: unannotated frames as the network sees them after more and more steps of stage 2.

    `pairs` are frames and the annotated ones that they are compared with; `stages` are by what the head says.
    """
    rows = []
    for name, reference in pairs:
        shown = _DrawnFrame.of(dataset, name, next(iter(stages.values())))
        source = _DrawnFrame.of(dataset, reference, next(iter(stages.values())))
        if source.truth is None:
            continue
        row = [source.overlay(source.truth, note=f"annotated: {reference}", traced=False), shown.input]
        for predictions in stages.values():
            scene = predicted_scene(dataset, predictions, name)
            row.append(shown.overlay(scene, note=_errors(dataset, predictions, name)))
        rows.append(row)
    heads = ["reference", "input", *stages]
    names = [name for name, _ in pairs]
    save_grid(path, heads, rows, tile_px=_tile_px(dataset, names), title=heading)


def save_shapes(
    path: Path, dataset: Dataset, names: Sequence[FrameName], arms: Mapping[str, Predictions], *, heading: str
) -> None:
    """Fig. 10: each arm's reconstruction, and the hand of its shape with stretched fingers.

    Below a hand: how its middle finger's length differs from that of the mean shape, whose silhouette is pencilled.
    """
    rows = []
    for name in names:
        shown = _DrawnFrame.of(dataset, name, next(iter(arms.values())))
        row = [shown.input]
        for predictions in arms.values():
            scene = predicted_scene(dataset, predictions, name)
            shape = torch.from_numpy(predictions.hand_shape[predictions.names.index(name)]).float()
            row += [shown.overlay(scene, note=_errors(dataset, predictions, name)), _shape_tile(dataset.hand, shape)]
        rows.append(row)
    heads = ["input", *(head for arm in arms for head in (arm, "its shape"))]
    save_grid(path, heads, rows, tile_px=_tile_px(dataset, names), title=heading)


def _shape_tile(hand: HandModel, shape: Float[Tensor, " s"]) -> Tile:
    """A hand of this shape in the rest pose, fingers up, with the mean shape's silhouette."""
    with torch.no_grad():
        surfaces = [_upright(hand, betas) for betas in (shape, torch.zeros_like(shape))]
    camera = Camera(torch.tensor([[2400.0, 0, 159.5], [0, 2400.0, 119.5], [0, 0, 1]]), TILE_WIDTH_PX, 240)
    drawn = on_paper(Scene.of_hand(hand, surfaces[0]), camera, scale=2, truth=Scene.of_hand(hand, surfaces[1]))
    longer = middle_finger_m(hand, shape) / middle_finger_m(hand, torch.zeros_like(shape)) - 1
    return Tile(drawn, f"middle finger {100 * longer:+.1f} %")


def middle_finger_m(hand: HandModel, shape: Float[Tensor, " s"]) -> float:
    """The length of the middle finger's bones, from its base to its tip."""
    with torch.no_grad():
        joints = hand(torch.zeros(1, 3), torch.zeros(1, len(hand.mean_pose)), shape[None]).joints[0]
    return float(sum((joints[a] - joints[b]).norm() for a, b in pairwise(MIDDLE_FINGER)))


def _upright(hand: HandModel, shape: Float[Tensor, " s"]) -> Float[Tensor, "v 3"]:
    """The surface in the rest pose: wrist below, middle finger's base above it, the palm's plane the picture's."""
    posed = hand(torch.zeros(1, 3), torch.zeros(1, len(hand.mean_pose)), shape[None])
    joints, vertices = posed.joints[0], posed.vertices[0]
    wrist, base, index, little = (joints[JOINTS.index(name)] for name in ("wrist", "middle_1", "index_1", "little_1"))
    up = torch.nn.functional.normalize(base - wrist, dim=0)
    across = index - little
    across = torch.nn.functional.normalize(across - (across @ up) * up, dim=0)
    turned = torch.stack([across, -up, torch.linalg.cross(across, -up)])
    return (vertices - (wrist + base) / 2) @ turned.T + torch.tensor([0.0, 0.04, 2.5])


def _errors(dataset: Dataset, predictions: Predictions, name: FrameName) -> str:
    """A frame's errors, where its truth is known."""
    if not dataset.is_annotated(name):
        return ""
    means = score(predictions, dataset, [name]).means
    parts = (("hand", "hand_joint"), ("object", "object_vertex"))
    return " · ".join(
        f"{word} {means[f'{part}_error_px']:.1f} px {means[f'{part}_error_mm']:.0f} mm" for word, part in parts
    )


def _tile_px(dataset: Dataset, names: Sequence[FrameName]) -> tuple[int, int]:
    camera = dataset.frame(names[0], annotated=False).camera
    return TILE_WIDTH_PX, round(TILE_WIDTH_PX * camera.height / camera.width)


def main(*, data: Path, control: Path, photometric: Path, frames: list[str], out: Path) -> None:
    """Save the grid of the named frames (SEQUENCE/NUMBER) to `out`."""
    arms = {"control": read_predictions(control)[0], "photometric": read_predictions(photometric)[0]}
    names = [FrameName(frame.split("/")[0], int(frame.split("/")[1])) for frame in frames]
    save_frames(out, open_dataset(data, HandModel(open_hand())), names, arms)


if __name__ == "__main__":
    tyro.cli(main)
