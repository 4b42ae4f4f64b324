"""Reads picture files."""

import os
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from warpgrasp.data.picture_file import opened_picture, rgb_pixels

Size = tuple[int, int]
Pixels = UInt8[np.ndarray, "h w 3"]
DECODERS = max(1, min(8, (os.cpu_count() or 1) - 1))  # threads that read ahead
MOST_AHEAD = 512  # pictures; of more, those that were asked for first are given up

JPEG_END = b"\xff\xd9"


_asked: OrderedDict[tuple[Path, Size | None], Future[tuple[Pixels, Size]]] = OrderedDict()


def decode_ahead(paths: Iterable[Path], size: Size | None) -> None:
    """Let threads read pictures that `read_picture` will soon be asked for, each once, from the calling thread.

    They run no PyTorch, whose operations would start a second team of OpenMP's threads there.
    """
    for path in paths:
        if (path, size) not in _asked:
            _asked[path, size] = _decoders().submit(_pixels, path, size)
    while len(_asked) > MOST_AHEAD:
        _, oldest = _asked.popitem(last=False)
        oldest.cancel()


@cache
def _decoders() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(DECODERS, thread_name_prefix="pictures")


def read_picture(path: Path, size: Size | None) -> tuple[UInt8[Tensor, "3 h w"], Size]:
    """A picture's colours in 0 … 255, resized to `size` (width, height) if given, and its size on disk.

    Pixels stay where they are stored: a note in the file that asks for the picture to be turned (EXIF) is ignored,
    since data sets give their cameras for the stored pixels. Raises `DataError` naming the file when it is missing or
    broken.
    """
    ahead = _asked.pop((path, size), None)
    pixels, original_size = _pixels(path, size) if ahead is None else ahead.result()
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy()), original_size


def _pixels(path: Path, size: Size | None) -> tuple[Pixels, Size]:
    with opened_picture(path) as (data, opened):
        original_size = opened.size
        # A JPEG is decoded at 1/2, 1/4 or 1/8 where that is enough. Its last pixels may reach beyond the picture,
        # which ends at `box`.
        draft = None if size is None else opened.draft("RGB", size)
        box = (0, 0, *original_size) if draft is None else draft[1]
        pixels = _decoded(data, opened, path, shrunk=opened.size != original_size)
    return resized_pixels(pixels, size, box), original_size


def resized(
    pixels: UInt8[np.ndarray, "h w 3"],
    size: Size | None,
    box: Sequence[int | float] | None = None,
) -> UInt8[Tensor, "3 new_h new_w"]:
    """Colours resized to `size` (width, height) if given; `box` is where the picture lies in the pixels."""
    return torch.from_numpy(resized_pixels(pixels, size, box).transpose(2, 0, 1).copy())


def resized_pixels(
    pixels: UInt8[np.ndarray, "h w 3"],
    size: Size | None,
    box: Sequence[int | float] | None = None,
) -> UInt8[np.ndarray, "new_h new_w 3"]:
    """The same without PyTorch, for threads beside the one that trains or predicts."""
    left, top, right, bottom = box or (0, 0, pixels.shape[1], pixels.shape[0])
    if size is None or (pixels.shape[1], pixels.shape[0]) == size:
        return pixels
    divides = (right - left) % size[0] == 0 and (bottom - top) % size[1] == 0
    average = Image.Resampling.BOX if divides else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(pixels).resize(size, average, (left, top, right, bottom)))


def _decoded(data: bytes, opened: Image.Image, path: Path, *, shrunk: bool) -> UInt8[np.ndarray, "h w 3"]:
    """The pixels, by the faster of two decoders where both give the same.

    OpenCV saves a copy (640×480 JPEG: 1.7 instead of 2.6 ms). Whatever is unusual is left to Pillow, and so is a JPEG
    that does not end as it should, since not every version of OpenCV refuses half of a file.
    """
    usual = opened.format == "PNG" or (opened.format == "JPEG" and data.endswith(JPEG_END))
    usual &= opened.mode == "RGB" and "transparency" not in opened.info and getattr(opened, "n_frames", 1) == 1
    if usual and not shrunk:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
        if decoded is not None:
            return decoded
    return rgb_pixels(opened, path)
