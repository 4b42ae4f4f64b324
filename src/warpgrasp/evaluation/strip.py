"""One picture for a page or a talk: input, control, photometric and ground truth of a few frames.

python -m warpgrasp.evaluation.strip --data runs/demo/data --control runs/demo/control.npz \
    --photometric runs/demo/photometric.npz --frames E1/0020 T2/0015 --out result.png
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import tyro

from warpgrasp.data import Dataset, open_dataset
from warpgrasp.evaluation.metrics import EvaluationError
from warpgrasp.evaluation.overlay import Window, enlarged, labels_of, overlay
from warpgrasp.evaluation.scene import Scene
from warpgrasp.evaluation.sheet import Tile, save_sheet
from warpgrasp.frame import FrameName
from warpgrasp.hand import HandModel, open_hand
from warpgrasp.inference import Predictions, read_predictions

SCALE = 4  # drawn at four times the size of the picture, then cropped and reduced to TILE_PX
TILE_PX = (400, 300)


def save_strip(
    path: Path, dataset: Dataset, names: Sequence[FrameName], arms: Mapping[str, Predictions], *, margin: float = 0.45
) -> None:
    """Save a PNG: one row per frame; columns are the input, each arm in the order given, and the truth.

    Rows are cropped round the true silhouette, `margin` times its extent on each side. `dataset` reads pictures at
    their size on disk.
    """
    rows = [_tiles(dataset, name, arms, margin) for name in names]
    save_sheet(path, ["input", *arms, "ground truth"], rows, tile_px=TILE_PX)


def _tiles(dataset: Dataset, name: FrameName, arms: Mapping[str, Predictions], margin: float) -> list[Tile]:
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
    return [Tile(window.of(image)) for image in images]


def main(*, data: Path, control: Path, photometric: Path, frames: list[str], out: Path) -> None:
    """Save the strip of the named frames (SEQUENCE/NUMBER) to `out`."""
    arms = {"control": read_predictions(control)[0], "photometric": read_predictions(photometric)[0]}
    names = [FrameName(frame.split("/")[0], int(frame.split("/")[1])) for frame in frames]
    save_strip(out, open_dataset(data, HandModel(open_hand())), names, arms)


if __name__ == "__main__":
    tyro.cli(main)
