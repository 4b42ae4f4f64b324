"""The folder beside a recording's labels in which somebody's painted masks are: a PNG file of labels for each frame."""

from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float
from PIL import Image
from scipy.interpolate import RegularGridInterpolator

from warpgrasp.data.recording.footage import Clip
from warpgrasp.data.recording.masks import (
    BACKGROUND,
    HAND,
    OBJECT,
    OCCLUDER,
    UNKNOWN,
    Labels,
    index_labels,
    mask_files,
    undistorted_labels,
)
from warpgrasp.data.recording.run_lengths import PARTS, FrameNames
from warpgrasp.errors import DataError
from warpgrasp.files import replacing

MASKS_FOLDER = "masks"
MASK_COLOURS = {  # for eyes
    BACKGROUND: (0, 0, 0),
    HAND: (250, 158, 66),
    OBJECT: (69, 143, 245),
    OCCLUDER: (90, 200, 90),
    UNKNOWN: (160, 160, 160),
}
GRID_PX = 16  # between pixels whose places are computed; a lens bends so little in between that a line will do


class MaskFolder:
    """The masks of a folder, as the pinhole would have seen them; each file is replaced whole."""

    def __init__(self, path: Path, clip: Clip):
        """Find the files; a folder that is not there has none.

        Raises `DataError` for a link, for other files in it, and for masks in sub-folders, which are not painted on.
        """
        self.path, self._lens = path, clip.lens
        self._names = FrameNames.of(clip.footage)
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            raise DataError(
                f"expected a folder of the recording's own to paint masks into, found that {path} is a file or a link; "
                f"give masks that lie elsewhere by --masks"
            )
        if inner := [name for name in PARTS if (path / name).is_dir()]:
            raise DataError(
                f"expected one PNG file for each frame in {path}, to paint on (0 background, 1 hand, 2 object, 3 "
                f"occluder, 255 unknown), found the sub-folder {inner[0]}; give them by --masks from another folder"
            )
        self._files = mask_files(path, self._names) if path.is_dir() else {}

    def read(self) -> Iterator[tuple[int, Labels]]:
        """The masks, one after the other. Raises `DataError` naming the file that is none of this recording's."""
        for number in sorted(self._files):
            labels = index_labels(self._files[number], (self._lens.width, self._lens.height))
            yield number, undistorted_labels(labels, self._lens)

    def write(self, number: int, labels: Labels | None) -> None:
        """Replace a frame's file, whole or not at all; there is none where nothing is marked, or without labels.

        Raises `OSError` when the folder cannot be written.
        """
        if labels is None or not (labels != BACKGROUND).any():
            file = self._files.pop(number, None)
            if file is not None:
                file.unlink(missing_ok=True)
            with suppress(OSError):  # other files are in it
                self.path.rmdir()
            return
        self.path.mkdir(exist_ok=True)
        file = self._files.get(number) or self.path / f"{self._names.stem(number)}.png"
        picture = Image.fromarray(self._bent(labels))
        picture.putpalette(bytes(value for level in range(256) for value in MASK_COLOURS.get(level, (0, 0, 0))))
        with replacing(file) as temporary:
            picture.save(temporary, format="PNG")
        self._files[number] = file

    def _bent(self, labels: Labels) -> Labels:
        """The labels as the lens sees them; unknown beyond what the pinhole sees."""
        if not self._lens.distorted:
            return labels
        u, v = self._straight_px
        return np.asarray(
            cv2.remap(labels, u, v, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=[UNKNOWN])
        )

    @cached_property
    def _straight_px(self) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
        """Where each pixel of the lens's picture lies in the pinhole's: u and v; outside of it where it shows none."""
        lens = self._lens
        axes = [np.arange(0, size - 1 + GRID_PX, GRID_PX, dtype=np.float64) for size in (lens.height, lens.width)]
        v, u = np.meshgrid(*axes, indexing="ij")
        straight = lens.straight_px(np.stack([u.ravel(), v.ravel()], axis=1)).reshape(*u.shape, 2)
        rows = np.stack(np.meshgrid(np.arange(lens.height), np.arange(lens.width), indexing="ij"), axis=-1)
        found = np.nan_to_num(RegularGridInterpolator(axes, straight)(rows), nan=-1e6).astype(np.float32)
        return found[..., 0].copy(), found[..., 1].copy()
