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

    @property
    def has_object(self) -> list[bool]:
        """Whether the pose of each object is given."""
        return (self.object_poses != 0).any(dim=2).any(dim=1).tolist()

    @property
    def given(self) -> str:
        """What is given, as a word of 1 and 0: the hand, then each object."""
        return "".join("1" if one else "0" for one in (self.has_hand, *self.has_object))


def read_labels(path: Path) -> Labels:
    """Read a labels file, all but its segmentation.

    Raises `DataError` naming the file and the fact.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return Labels(
                _array(archive, "pose_y", (None, 3, 4), path),
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


def _array(archive: zipfile.ZipFile, key: str, shape: tuple[int | None, ...], path: Path) -> Tensor:
    """One array of that shape, any where it says None. Its size is looked at first: no zip bomb is unpacked."""
    if f"{key}.npy" not in archive.namelist():
        found = ", ".join(sorted(name.removesuffix(".npy") for name in archive.namelist()))[:200] or "nothing"
        raise DataError(f"expected the array {key} in {path}, found {found}")
    if archive.getinfo(f"{key}.npy").file_size > LARGEST_ARRAY_BYTES:
        raise DataError(f"expected the small array {key} in {path}, found one above {LARGEST_ARRAY_BYTES} bytes")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd headers, which are judged by what comes out
        array = np.lib.format.read_array(io.BytesIO(archive.read(f"{key}.npy")), allow_pickle=False)
    if array.ndim != len(shape) or any(n not in (None, m) for n, m in zip(shape, array.shape, strict=True)):
        raise DataError(f"expected {key} of shape {str(shape).replace('None', 'n')} in {path}, found {array.shape}")
    if array.dtype.kind != "f":
        raise DataError(f"expected floating-point numbers in {key} of {path}, found {array.dtype}")
    if not np.isfinite(array).all():
        raise DataError(f"expected finite numbers in {key} of {path}, found NaN or infinity")
    if not (abs(array) < LARGEST_VALUE).all():
        raise DataError(f"expected metres and radians in {key} of {path}, found {abs(array).max():g}")
    return torch.from_numpy(array.astype(np.float32))
