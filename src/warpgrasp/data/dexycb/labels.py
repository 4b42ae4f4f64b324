"""DexYCB's `labels_*.npz`: object poses, hand pose and joints of one picture."""

import io
import tokenize
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from lzma import LZMAError
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.data.errors import DataError

LARGEST_ARRAY_BYTES = 65_536  # the poses of 21 objects have 1,136
LARGEST_VALUE = 1e4
NO_HAND_JOINT = -1.0

# What zip files and arrays raise when they are broken.
BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    LZMAError,
    tokenize.TokenError,
    OSError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    SyntaxError,
    ArithmeticError,
    MemoryError,
    RuntimeError,  # encrypted, unknown compression, too deep
)


@dataclass(frozen=True)
class Labels:
    """What is known of one picture: OpenCV camera axes, metres."""

    object_poses: Float[Tensor, "n 3 4"]  # camera_from_object; all 0 where an object has none
    hand: Float[Tensor, " 51"]  # root rotation (axis-angle), 45 coefficients of the pose space, translation
    joints: Float[Tensor, "21 3"]  # in the order of JOINTS

    @property
    def has_hand(self) -> bool:
        """Whether the hand is given: joints of -1 and a pose of 0 mean that it is not."""
        return not bool((self.joints == NO_HAND_JOINT).all() or (self.hand == 0).all())

    def has_object(self, number: int) -> bool:
        """Whether the pose of an object is given."""
        return bool((self.object_poses[number] != 0).any())


def read_labels(path: Path, objects: int) -> Labels:
    """Read a labels file of a picture with so many objects, all but its segmentation.

    Raises `DataError` naming the file and the fact.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return Labels(
                _array(archive, "pose_y", (objects, 3, 4), path),
                _array(archive, "pose_m", (1, 51), path)[0],
                _array(archive, "joint_3d", (1, 21, 3), path)[0],
            )
    except FileNotFoundError as error:
        raise DataError(f"expected the labels {path}, found no such file") from error
    except BROKEN as error:
        if isinstance(error, DataError):
            raise
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise DataError(f"expected the arrays of a labels file in {path}, but it cannot be read: {reason}") from error


def _array(archive: zipfile.ZipFile, key: str, shape: tuple[int, ...], path: Path) -> Tensor:
    """One array of exactly that shape. Its size is looked at first, so that a zip bomb is never unpacked."""
    if f"{key}.npy" not in archive.namelist():
        found = ", ".join(sorted(name.removesuffix(".npy") for name in archive.namelist()))[:200] or "nothing"
        raise DataError(f"expected the array {key} in {path}, found {found}")
    if archive.getinfo(f"{key}.npy").file_size > LARGEST_ARRAY_BYTES:
        raise DataError(f"expected the small array {key} in {path}, found one above {LARGEST_ARRAY_BYTES} bytes")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd headers, which are judged by what comes out
        array = np.lib.format.read_array(io.BytesIO(archive.read(f"{key}.npy")), allow_pickle=False)
    if array.shape != shape:
        raise DataError(f"expected {key} of shape {shape} in {path}, found {array.shape}")
    if array.dtype.kind != "f":
        raise DataError(f"expected floating-point numbers in {key} of {path}, found {array.dtype}")
    if not np.isfinite(array).all():
        raise DataError(f"expected finite numbers in {key} of {path}, found NaN or infinity")
    if not (abs(array) < LARGEST_VALUE).all():
        raise DataError(f"expected metres and radians in {key} of {path}, found {abs(array).max():g}")
    return torch.from_numpy(array.astype(np.float32))
