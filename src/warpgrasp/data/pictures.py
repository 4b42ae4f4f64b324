"""Reads picture files."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from warpgrasp.data.errors import DataError

BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)  # a header that promises gigabytes


def read_picture(path: Path, size: tuple[int, int] | None) -> tuple[Float[Tensor, "3 h w"], tuple[int, int]]:
    """A picture's colours in [0, 1], resized to `size` (width, height) if given, and its size on disk.

    Raises `DataError` naming the file when it is missing or broken.
    """
    try:
        with Image.open(path) as opened:
            original_size = opened.size
            if size is not None:
                opened.draft("RGB", size)
            picture = opened.convert("RGB")
    except FileNotFoundError as error:
        raise DataError(f"expected the picture {path}, found no such file") from error
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, *BOMBS) as error:
        raise DataError(f"expected a whole picture in {path}: {error}") from error
    return colours_of(picture, size), original_size


def colours_of(picture: Image.Image, size: tuple[int, int] | None) -> Float[Tensor, "3 h w"]:
    """An RGB picture's colours in [0, 1], resized to `size` (width, height) if given."""
    if size is not None and picture.size != size:
        picture = picture.resize(
            size, Image.Resampling.BOX if _divides(picture.size, size) else Image.Resampling.BILINEAR
        )
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255


def _divides(size: tuple[int, int], wanted: tuple[int, int]) -> bool:
    return size[0] % wanted[0] == 0 and size[1] % wanted[1] == 0
