"""Picture files: opened whole, turned upright, of colours in 0 … 255, or refused by name; threads decode ahead."""

import os
import struct
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from warpgrasp.bounded import read_regular
from warpgrasp.errors import DataError

# By the formats of Pillow that are asked; any other file with such an ending is refused.
LARGEST_BYTES = 1_000_000_000  # of a picture file
HEIC_ENDINGS = (".heic", ".heif")
PICTURE_ENDINGS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp", *HEIC_ENDINGS)
FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP")  # a JPEG of several pictures (MPO) is a JPEG
# Pictures that are not read: passed over in silence they would be missing frames.
UNREAD_ENDINGS = (
    *(
        ".jpe",
        ".jfif",
        ".jp2",
        ".j2k",
        ".jxl",
        ".avif",
        ".gif",
        ".apng",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".tga",
        ".dds",
    ),
    *(".exr", ".hdr", ".psd", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".raw"),
)
CONVERT = "convert it: ffmpeg -i OLD -pix_fmt rgb24 NEW.png"
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
HEIF_HELP = "pip install 'warpgrasp[heic]', or convert it to JPEG: heif-convert OLD.heic NEW.jpg"

BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)  # a header that promises gigabytes
# What Pillow's readers raise on damaged files; its warnings of damaged EXIF data only where warnings are errors.
BROKEN = (
    *(OSError, UnidentifiedImageError, SyntaxError, ValueError, KeyError, TypeError, struct.error, UserWarning),
    *BOMBS,
)
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I;16N")
LARGEST_DENSITY_DEVIATION = 0.01  # between a picture's two resolutions: rounded notes are no other shape of pixels


def is_hidden(name: str) -> bool:
    """Whether a file's name says that it is no user's file: macOS writes ._NAME beside each NAME on other disks."""
    return name.startswith(".")


def read_upright(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """A photograph's or a frame's colours in 0 … 255, turned or mirrored as its note on orientation (EXIF) asks.

    Of 16 bits the upper ones count, rounded. Raises `DataError` naming the file when it is missing, broken, animated or
    partly transparent, or when its pixels are not square.
    """
    with opened_picture(path) as (_, opened):
        _check_square(opened, path)
        ImageOps.exif_transpose(opened, in_place=True)
        return rgb_pixels(opened, path)


@contextmanager
def opened_picture(path: Path) -> Iterator[tuple[bytes, Image.Image]]:
    """A picture file's bytes and what Pillow makes of them. Raises `DataError` for whatever fails inside, too."""
    try:
        data = read_regular(path, LARGEST_BYTES)
        with Image.open(BytesIO(data), formats=_formats(data, path)) as opened:
            if opened.format == "PNG":
                _check_png(data)
            if opened.format in ("JPEG", "MPO"):
                _check_jpeg(data)
            yield data, opened
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"expected the picture {path}, found no such file") from error
    except UnidentifiedImageError as error:
        kind = "a damaged HEIC picture" if _is_heic(data) else "other or damaged data"
        raise DataError(f"expected a whole picture in {path}: found {kind}") from error
    except BROKEN as error:
        raise DataError(f"expected a whole picture in {path}: {str(error)[:200]}") from error


def _is_heic(data: bytes) -> bool:
    return data[4:8] == b"ftyp" and data[8:12] in HEIF_BRANDS


def _formats(data: bytes, path: Path) -> tuple[str, ...]:
    """Which readers may look at a file. Raises `DataError` for an iPhone's photograph where its reader is missing."""
    if not _is_heic(data):
        return FORMATS
    try:
        import pillow_heif  # pyright: ignore[reportMissingImports]  # an extra
    except ImportError as error:
        raise DataError(
            f"expected a JPEG or PNG picture in {path}, found a HEIC one, which needs another package: {HEIF_HELP}"
        ) from error
    pillow_heif.register_heif_opener()
    return ("HEIF",)


def rgb_pixels(opened: Image.Image, path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """Colours in 0 … 255 of any kind of picture. Raises `DataError` where its numbers are no colours of one picture."""
    _check_single(opened, path)
    if opened.mode in (*SIXTEEN_BITS, "I"):
        grey = _eight_bits(opened, path)
        return np.repeat(grey[..., None], 3, axis=2)
    if opened.mode == "F":
        raise DataError(f"expected colours of 8 or 16 bits in {path}, found floating-point numbers; {CONVERT}")
    if opened.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in opened.info:
        opaque = opened.convert("RGBA")
        if opaque.getchannel("A").getextrema()[0] != 255:
            raise DataError(
                f"expected an opaque picture in {path}, found a partly transparent one, whose hidden colours are "
                f"anybody's guess; put it on a background: magick OLD -background black -flatten NEW.png"
            )
        return np.asarray(opaque)[..., :3].copy()
    return np.array(opened.convert("RGB"))


def _check_single(opened: Image.Image, path: Path) -> None:
    # MPO and HEIF hold thumbnails, depths and gain maps beside the one picture that is shown.
    if opened.format not in ("MPO", "HEIF") and getattr(opened, "n_frames", 1) > 1:
        raise DataError(
            f"expected one picture in {path}, found {getattr(opened, 'n_frames', 0)}, an animation or pages; take them "
            f"apart: ffmpeg -i OLD NEW_%04d.png"
        )


def _check_square(opened: Image.Image, path: Path) -> None:
    """Refuse a picture whose note on resolution (JFIF, pHYs, TIFF) says that its pixels are not square.

    Programs do not agree which way round the two numbers of a note without a unit count.
    """
    across, down = opened.info.get("jfif_density") or opened.info.get("aspect") or opened.info.get("dpi") or (1, 1)
    if float(across) > 0 < float(down) and abs(float(across) / float(down) - 1) > LARGEST_DENSITY_DEVIATION:
        raise DataError(
            f"expected square pixels in {path}, but its note on resolution says {float(across):.4g}:{float(down):.4g}; "
            f"write it again as it is to be shown: ffmpeg -i OLD -vf scale=WIDTH:HEIGHT,setsar=1 NEW.png"
        )


def _eight_bits(opened: Image.Image, path: Path) -> UInt8[np.ndarray, "h w"]:
    """Grey of up to 16 bits, scaled to 8 and rounded; Pillow would cut off what is above 255."""
    tags = getattr(opened, "tag_v2", {})  # of a TIFF
    bits = int(tags.get(258, (16,))[0])  # BitsPerSample
    levels = np.asarray(opened).astype(np.int64)
    if bits > 16 or levels.min() < 0 or levels.max() >= 1 << bits:
        raise DataError(f"expected grey of 8 or 16 bits in {path}, found numbers of 32 bits; {CONVERT}")
    most = (1 << bits) - 1
    if tags.get(262) == 0:  # PhotometricInterpretation: white is zero
        levels = most - levels
    return ((levels * 255 + most // 2) // most).astype(np.uint8)


def _check_png(data: bytes) -> None:
    """Compare the lengths and checksums of its parts. Raises `ValueError` where one is wrong.

    Pillow reads pixels whatever their checksums are; OpenCV believes a length and asks for gigabytes.
    """
    start, name = len(PNG_SIGNATURE), b""
    while name != b"IEND":
        end = start + 8 + int.from_bytes(data[start : start + 4], "big")
        if end + 4 > len(data):
            raise ValueError(f"it ends after {len(data)} bytes, {end + 4 - len(data)} too early")
        if zlib.crc32(memoryview(data)[start + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise ValueError(f"wrong checksum of the {end - start - 8} bytes from byte {start + 8} on")
        name, start = data[start + 4 : start + 8], end + 4


def _check_jpeg(data: bytes) -> None:
    """Look for the mark of its end after its pixels' beginning. Raises `ValueError` where there is none.

    Pillow takes the zeros by which an interrupted copy is filled up for pixels. The end of a thumbnail comes earlier.
    """
    start = 2
    while data[start : start + 1] == b"\xff" and data[start + 1 : start + 2] != b"\xda":  # segments before the pixels
        is_fill = data[start + 1 : start + 2] == b"\xff"
        start += 1 if is_fill else 2 + int.from_bytes(data[start + 2 : start + 4], "big")
    begin = start if data[start : start + 2] == b"\xff\xda" else 0
    if data.find(b"\xff\xd9", begin) < 0:
        raise ValueError("it has no end: it is cut off")


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
