"""Pictures in rows and columns under heads, as one PNG on white, which suits light and dark pages alike.

The module is also a command that saves input, control, photometric and ground truth of a few frames:

    python -m warpgrasp.report.picture_grid --data runs/demo/data --control runs/demo/control.npz \\
        --photometric runs/demo/photometric.npz --frames E1/0020 T2/0015 --out result.png
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from warpgrasp.data import Dataset, open_dataset
from warpgrasp.evaluation import EvaluationError
from warpgrasp.files import replacing
from warpgrasp.frame import FrameName
from warpgrasp.hand import HandModel, open_hand
from warpgrasp.predictions import Predictions, read_predictions
from warpgrasp.report.comparison import TRUTH, pixels_of
from warpgrasp.report.overlay import Window, enlarged, labels_of, overlay, predicted_scene
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


def main(*, data: Path, control: Path, photometric: Path, frames: list[str], out: Path) -> None:
    """Save the grid of the named frames (SEQUENCE/NUMBER) to `out`."""
    arms = {"control": read_predictions(control)[0], "photometric": read_predictions(photometric)[0]}
    names = [FrameName(frame.split("/")[0], int(frame.split("/")[1])) for frame in frames]
    save_frames(out, open_dataset(data, HandModel(open_hand())), names, arms)


if __name__ == "__main__":
    tyro.cli(main)
