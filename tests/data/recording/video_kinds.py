"""Writes small videos of the kinds that cameras and editing programs make."""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.data.recording.recording_files import SMALL, level

RATE = 30
REORDERED = {"g": "4", "bf": "2", "crf": "10", "x264-params": "scenecut=0:b-adapt=0"}  # B-frames, keyframes every 4


@dataclass(frozen=True)
class Coding:
    """How a video is coded."""

    codec: str = "libx264"
    pixels: str = "yuv420p"
    options: dict[str, str] = field(default_factory=lambda: {"crf": "10"})
    size: tuple[int, int] = SMALL
    pixel_aspect: Fraction | None = None
    container_options: dict[str, str] = field(default_factory=dict)
    tags: dict[str, int] = field(default_factory=dict)
    """Attributes of the codec: colorspace, color_range, color_trc …, by FFmpeg's numbers."""


def even_frames(count: int, size: tuple[int, int] = SMALL) -> list[av.VideoFrame]:
    """Frames of even brightness, by which `frame_seen` knows them."""
    width, height = size
    return [
        av.VideoFrame.from_ndarray(np.full((height, width, 3), level(number), np.uint8), format="rgb24")
        for number in range(count)
    ]


def write_coded(path: Path, frames: Sequence[av.VideoFrame], coding: Coding | None = None) -> Path:
    """Write frames, 30 a second."""
    coding = coding or Coding()
    with av.open(str(path), "w", options=coding.container_options) as container:
        stream = container.add_stream(coding.codec, rate=RATE, options=coding.options)
        stream.width, stream.height, stream.pix_fmt = *coding.size, coding.pixels
        if coding.pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = coding.pixel_aspect
        for name, value in coding.tags.items():
            setattr(stream.codec_context, name, value)
        for number, frame in enumerate(frames):
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def box(kind: bytes, content: bytes) -> bytes:
    """A box of an MP4 file."""
    return struct.pack(">I4s", len(content) + 8, kind) + content


def with_edits(content: bytes, edits: Sequence[tuple[float, float | None]]) -> bytes:
    """An MP4 whose list of frames comes last, with another edit list.

    An edit is how many frames long it is, and the frame with which it begins; None shows nothing.
    """
    place = content.index(b"elst")
    begin = struct.unpack(">IIIiI", content[place + 4 : place + 24])[3]  # the media's time of frame 0
    movie_clock = struct.unpack(">I", content[content.index(b"mvhd") + 16 :][:4])[0]
    media_clock = struct.unpack(">I", content[content.index(b"mdhd") + 16 :][:4])[0]
    entries = b"".join(
        struct.pack(
            ">IiI",
            round(frames / RATE * movie_clock),
            -1 if first is None else begin + round(first / RATE * media_clock),
            0x10000,
        )
        for frames, first in edits
    )
    return _replaced(content, b"elst", lambda _: struct.pack(">II", 0, len(edits)) + entries)


def _replaced(content: bytes, wanted: bytes, change: Callable[[bytes], bytes]) -> bytes:
    replaced, start = b"", 0
    while start < len(content):
        length, kind = struct.unpack(">I4s", content[start : start + 8])
        inner = content[start + 8 : start + length]
        if kind in (b"moov", b"trak", b"edts"):
            inner = _replaced(inner, wanted, change)
        replaced += box(kind, change(inner) if kind == wanted else inner)
        start += length
    return replaced


def coded_planes(colours: np.ndarray, weights: tuple[float, float], *, full: bool, bits: int) -> list[np.ndarray]:
    """Y, Cb and Cr of RGB in 0 … 255, by the weights of red and blue (ITU-R BT.709-6, items 3.2 to 3.5)."""
    kr, kb = weights
    red, green, blue = (colours / 255).transpose(2, 0, 1)
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    chroma = (blue - luma) / (2 * (1 - kb)), (red - luma) / (2 * (1 - kr))
    unit = 2 ** (bits - 8)
    planes = [255 * unit * luma if full else (16 + 219 * luma) * unit]
    planes += [(128 + (255 if full else 224) * part) * unit for part in chroma]
    return [np.clip(plane.round(), 0, 2**bits - 1).astype(np.uint8 if bits == 8 else np.uint16) for plane in planes]


def frame_of_planes(planes: Sequence[np.ndarray], pixels: str) -> av.VideoFrame:
    """A frame of three planes of one size."""
    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, pixels)
    for place, plane in zip(frame.planes, planes, strict=True):
        lines = np.zeros((height, place.line_size), np.uint8)
        row = plane.view(np.uint8).reshape(height, -1)
        lines[:, : row.shape[1]] = row
        place.update(lines.tobytes())
    return frame
