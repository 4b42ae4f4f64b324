"""One picture for a page or a talk: input, control, photometric and ground truth of a few frames.

python -m warpgrasp.evaluation.strip --data runs/demo/data --control runs/demo/control.npz \
    --photometric runs/demo/photometric.npz --frames E1/0020 T2/0015 --out result.png
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tyro
from PIL import Image, ImageDraw, ImageFont

from warpgrasp.data import Dataset, open_dataset
from warpgrasp.evaluation.gallery import pixels_of
from warpgrasp.evaluation.metrics import EvaluationError
from warpgrasp.evaluation.overlay import Window, enlarged, labels_of, overlay
from warpgrasp.evaluation.scene import Scene
from warpgrasp.frame import FrameName
from warpgrasp.hand import HandModel, open_hand
from warpgrasp.inference import Predictions, read_predictions

SCALE = 4  # drawn at four times the size of the picture, then cropped and reduced to TILE_PX
TILE_PX = (400, 300)
GAP_PX, HEAD_PX = 8, 40


def save_strip(
    path: Path, dataset: Dataset, names: Sequence[FrameName], arms: Mapping[str, Predictions], *, margin: float = 0.45
) -> None:
    """Save a PNG: one row per frame; columns are the input, each arm in the order given, and the truth.

    Rows are cropped round the true silhouette, `margin` times its extent on each side. `dataset` reads pictures at
    their size on disk. The background is white, so that it suits light and dark pages alike.
    """
    columns = ["input", *arms, "ground truth"]
    width = len(columns) * (TILE_PX[0] + GAP_PX) + GAP_PX
    sheet = Image.new("RGB", (width, HEAD_PX + len(names) * (TILE_PX[1] + GAP_PX)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=20)
    for column, title in enumerate(columns):
        left = GAP_PX + column * (TILE_PX[0] + GAP_PX)
        pen.text((left + TILE_PX[0] / 2, HEAD_PX / 2), title, fill="#1c1e22", font=font, anchor="mm")
    for row, name in enumerate(names):
        for column, tile in enumerate(_tiles(dataset, name, arms, margin)):
            sheet.paste(tile, (GAP_PX + column * (TILE_PX[0] + GAP_PX), HEAD_PX + row * (TILE_PX[1] + GAP_PX)))
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        sheet.save(temporary, "PNG", optimize=True)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _tiles(dataset: Dataset, name: FrameName, arms: Mapping[str, Predictions], margin: float) -> list[Image.Image]:
    frame = dataset.frame(name, annotated=True)
    if frame.annotation is None:
        raise EvaluationError(f"expected the annotation of {name.sequence}/{name.index:04d}, found none")
    truth = Scene.true(dataset.hand, frame.annotation, frame.object)
    window = Window.around(labels_of(truth, frame.camera) > 0, margin=margin)
    images = [enlarged(frame.image, SCALE)]
    for predictions in arms.values():
        scene = Scene.predicted(dataset, predictions, name)
        images.append(overlay(frame.image, scene, frame.camera, scale=SCALE, truth=truth))
    images.append(overlay(frame.image, truth, frame.camera, scale=SCALE))
    parts = [np.ascontiguousarray(pixels_of(window.of(image))) for image in images]
    return [Image.fromarray(part).resize(TILE_PX, Image.Resampling.LANCZOS) for part in parts]


def main(*, data: Path, control: Path, photometric: Path, frames: list[str], out: Path) -> None:
    """Save the strip of the named frames (SEQUENCE/NUMBER) to `out`."""
    arms = {"control": read_predictions(control)[0], "photometric": read_predictions(photometric)[0]}
    names = [FrameName(frame.split("/")[0], int(frame.split("/")[1])) for frame in frames]
    save_strip(out, open_dataset(data, HandModel(open_hand())), names, arms)


if __name__ == "__main__":
    tyro.cli(main)
