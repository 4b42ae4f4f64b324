"""From pictures in memory to hand and object, in one call."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from warpgrasp.data.recording import Clip, Entry, Lens, Reel, lens_of, read_lens
from warpgrasp.errors import DataError
from warpgrasp.hand import HandModel, Side, open_hand
from warpgrasp.inference.predictor import Options, Predictor
from warpgrasp.predictions import Predictions, identified_object
from warpgrasp.reconstruction import open_weights

SEQUENCE = "pictures"
IN_MEMORY = Path("camera")  # what errors call a camera that is no file


def reconstruct(
    images: Sequence[Any],
    *,
    camera: Path | str | Float[np.ndarray, "3 3"],
    object: Path | str,
    weights: Path | str,
    hand: HandModel | None = None,
    side: Side = "right",
    options: Options | None = None,
) -> Predictions:
    """Reconstruct hand and object in each of some pictures, which are taken to follow each other at 30 a second.

    `images` are of shape (height, width, 3), colours from 0 to 255: arrays, or whatever NumPy makes arrays of. `camera`
    is a camera.json, or the matrix [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] in pixels of the images. `object` is the mesh
    file of an object that the network knows, or its object.json; `weights` a run's folder, a checkpoint, or `best`.
    `hand` is the right hand's model, the open one unless it is given. The result is in camera space, in metres; row i
    is of image i. Raises `UserError` with one sentence where something does not fit.
    """
    checkpoint = open_weights(Path(weights))
    predictor = Predictor(checkpoint, hand or HandModel(open_hand()), options or Options())
    pictures = PicturesInMemory([_pixels(image, number) for number, image in enumerate(images)])
    lens, lens_file = _lens(camera, pictures)
    model = identified_object(Path(object), checkpoint.objects, left=side == "left")
    clip = Clip(lens, pictures, lens_file)
    return predictor.in_memory(Reel.of_clip(SEQUENCE, clip, model, predictor.size), left=side == "left")


@dataclass(frozen=True)
class PicturesInMemory:
    """Pictures as footage: numbered from 0."""

    pictures: Sequence[UInt8[np.ndarray, "_h _w 3"]]

    @property
    def numbers(self) -> range:
        """The numbers of the frames."""
        return range(len(self.pictures))

    @property
    def times_s(self) -> None:
        """Not told."""
        return None

    @property
    def notices(self) -> Sequence[str]:
        """None."""
        return ()

    def picture(self, number: int) -> UInt8[np.ndarray, "h w 3"]:
        """The colours of a frame, from 0 to 255."""
        return self.pictures[number]

    def file_of(self, number: int) -> Path:
        """What errors call a frame."""
        return Path(f"images[{number}]")

    def close(self) -> None:
        """Nothing is held."""


def _pixels(image: Any, number: int) -> UInt8[np.ndarray, "h w 3"]:
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise DataError(
            f"expected colours from 0 to 255 as bytes of shape (height, width, 3) in images[{number}], found "
            f"{pixels.dtype} of shape {pixels.shape}"
        )
    return pixels


def _lens(camera: Path | str | np.ndarray, pictures: PicturesInMemory) -> tuple[Lens, Path]:
    if not pictures.pictures:
        raise DataError("expected at least one picture in images, found none")
    if isinstance(camera, Path | str):
        return read_lens(Path(camera)), Path(camera)
    height, width = pictures.pictures[0].shape[:2]
    stated = {"width": width, "height": height, "matrix": np.asarray(camera).tolist()}
    return lens_of(Entry(stated, IN_MEMORY, "")), IN_MEMORY
