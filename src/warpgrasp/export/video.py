"""Videos: a writer of MP4 files, and the predictions drawn over the pictures."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from jaxtyping import UInt8

from warpgrasp.data.recording import BT_601
from warpgrasp.errors import DataError
from warpgrasp.export.sequence import PredictedSequence, SequenceError
from warpgrasp.geometry import Camera
from warpgrasp.report import overlay
from warpgrasp.scene import Scene

MARGIN_PX = 4  # about the projected vertices: outlines reach one pixel beyond them
BORDER_COLOUR = (220, 30, 30)  # of flagged frames
BORDER_SHARE = 1 / 80  # of the height
CLOCK_HZ = 60_000  # of the times in a written video: every usual frame rate divides it
LONGEST_S = 30_000.0  # that a picture can be shown for: its length is stored as 31 bits of the clock's ticks
NEARLY_LOSSLESS_CRF = 10
LIMITED_RANGE = 1  # FFmpeg's number for luma from 16 to 235


def check_video(sequence: PredictedSequence, path: Path) -> None:
    """Raise `SequenceError` when a sequence has no pictures or a long gap, or the file is not called .mp4."""
    if path.suffix.lower() != ".mp4":
        raise SequenceError(f"expected a name that ends with .mp4 for the video, got {path}")
    if sequence.pictures is None:
        raise SequenceError("expected the pictures that were predicted, for a video; give them by --data")
    longest_s = float(np.diff(sequence.times_s).max(initial=0))
    if longest_s >= LONGEST_S:
        raise SequenceError(f"expected frames less than {LONGEST_S:g} s apart for a video, found {longest_s:g} s")


def write_video(sequence: PredictedSequence, path: Path) -> None:
    """Write an MP4 of the pictures' own size and times, the meshes drawn over them; flagged frames have a red border.

    A column at the right or a row at the bottom is cut off where H.264 needs even sides. The sequence has pictures.
    """
    assert sequence.pictures is not None
    video: VideoWriter | None = None
    try:
        for position, (name, scene) in enumerate(sequence.scenes()):
            picture, camera = sequence.pictures(name)
            drawn = drawn_over(picture, scene, camera)
            if sequence.flagged[position]:
                drawn = bordered(drawn)
            height, width = (side - side % 2 for side in drawn.shape[:2])
            if video is None:
                video = VideoWriter(path, (width, height))
            video.add(np.ascontiguousarray(drawn[:height, :width]), time_s=float(sequence.times_s[position]))
    finally:
        if video is not None:
            video.__exit__(None, None, None)


def drawn_over(picture: UInt8[np.ndarray, "h w 3"], scene: Scene, camera: Camera) -> UInt8[np.ndarray, "h w 3"]:
    """Draw a scene over a picture; only the rectangle that the scene covers is computed."""
    pixels = camera.project(scene.mesh.vertices[0])
    last = torch.tensor([camera.width, camera.height])
    low = (pixels.amin(dim=0).floor().long() - MARGIN_PX).clamp_min(0)
    high = torch.minimum((pixels.amax(dim=0).ceil().long() + MARGIN_PX + 1), last)
    if not bool((high > low).all()):
        return picture
    (left, top), (right, bottom) = low.tolist(), high.tolist()
    shift = torch.eye(3)
    shift[:2, 2] = -low.float()
    part = camera.transformed(shift, width=right - left, height=bottom - top)
    cut = np.ascontiguousarray(picture[top:bottom, left:right].transpose(2, 0, 1))
    drawn = overlay(torch.from_numpy(cut).float() / 255, scene, part, scale=1)
    result = picture.copy()
    result[top:bottom, left:right] = (255 * drawn).round().byte().permute(1, 2, 0).numpy()
    return result


def bordered(picture: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Draw a border that says that the frame is doubtful."""
    width, marked = max(2, round(BORDER_SHARE * len(picture))), picture.copy()
    for edge in (np.s_[:width], np.s_[-width:], np.s_[:, :width], np.s_[:, -width:]):
        marked[edge] = BORDER_COLOUR
    return marked


class VideoWriter:
    """Writes an MP4 frame by frame: H.264, nearly lossless, or any codec of the installed FFmpeg."""

    def __init__(self, path: Path, size: tuple[int, int], *, codec: str = "libx264", turned_deg: int = 0):
        """`size` is (width, height). `turned_deg` asks players to turn the pictures counter-clockwise."""
        self._container = av.open(str(path), "w")
        stream = self._container.add_stream(codec, rate=Fraction(30))
        if not isinstance(stream, av.VideoStream):
            raise DataError(f"expected a video codec to write {path}, got {codec}")
        self._stream = stream
        self._stream.width, self._stream.height = size
        even = size[0] % 2 == 0 and size[1] % 2 == 0
        self._stream.pix_fmt = "yuv420p" if even else "yuv444p"  # 4:2:0 halves both sides
        self._stream.codec_context.time_base = Fraction(1, CLOCK_HZ)
        # The matrix of FFmpeg's conversion from RGB is stated: of wide pictures players would guess another.
        self._stream.codec_context.colorspace, self._stream.codec_context.color_range = BT_601, LIMITED_RANGE
        if codec == "libx264":
            self._stream.options = {"crf": str(NEARLY_LOSSLESS_CRF), "preset": "fast"}
        if turned_deg:
            self._stream.set_display_rotation(turned_deg)

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self._container.mux(self._stream.encode(None))
        self._container.close()

    def add(self, picture: UInt8[np.ndarray, "h w 3"], *, time_s: float) -> None:
        """Add a picture that is shown from a time on."""
        # Converted here: where the encoder does it on the way, its bytes differ from process to process.
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=self._stream.pix_fmt)
        frame.pts, frame.time_base = round(time_s * CLOCK_HZ), Fraction(1, CLOCK_HZ)
        self._container.mux(self._stream.encode(frame))
