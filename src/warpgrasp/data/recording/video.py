"""A video file as numbered pictures: exact random access, in presentation order, in constant memory.

Decoded frames become the colours that are shown: matrix, range and depth, square pixels, quarter turns.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from jaxtyping import UInt8

from warpgrasp.data.pictures import resized_pixels
from warpgrasp.data.recording.video_stream import (
    FORMAT_OF,
    REPAIR,
    FrameIndex,
    decoding_errors,
    index_frames,
    open_container,
    open_end,
    picture_streams,
    video_stream,
)
from warpgrasp.errors import DataError

# Numbers of ITU-T H.273 for the matrix between YCbCr and RGB (table 4) and the transfer (table 3).
BT_709, BT_601 = 1, 5
UNSPECIFIED_MATRICES = (0, 2, 3)
READ_MATRICES = (1, 4, 5, 6, 7, 9)  # BT.709, FCC, BT.601 twice, SMPTE 240M, BT.2020: what FFmpeg's scaler knows
LIMITED_RANGE, BLACK, WHITE = 1, 16, 235  # of FFmpeg's AVColorRange, and its ends in 8 bits
HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
HD_WIDTH, SD_HEIGHT = 1280, 576  # players take an unmarked video from this width on, or above this height, for BT.709
PROGRESSIVE_ORDERS = (0, 1)  # of FFmpeg's AVFieldOrder: unknown, progressive
LARGEST_ASPECT = 4  # of a pixel; film's 2 is the largest in use


@dataclass(frozen=True)
class Showing:
    """How the frames of one video are shown."""

    path: Path
    pixel_aspect: Fraction
    """How many times as wide as high a stored pixel is shown."""
    quarter_turns: int
    """Counter-clockwise."""

    @staticmethod
    def of(stream: VideoStream, first: av.VideoFrame, path: Path) -> "Showing":
        """What the file asks for. Raises `DataError` when it asks for more than quarter turns and opaque pixels."""
        if stream.metadata.get("alpha_mode") == "1":  # WebM keeps it beside the frames, where FFmpeg does not look
            raise DataError(
                f"expected an opaque video in {path}, found one with a channel of transparency; put it on a background "
                f"and write it again"
            )
        aspect = Fraction(stream.sample_aspect_ratio or 1)
        if not Fraction(1, LARGEST_ASPECT) <= aspect <= LARGEST_ASPECT:
            raise DataError(
                f"expected pixels of a usual shape in {path}, found {aspect} times as wide as high; {REPAIR}"
            )
        return Showing(path, aspect, _quarter_turns(first, path))

    def picture(self, frame: av.VideoFrame) -> UInt8[np.ndarray, "h w 3"]:
        """The colours of a frame, from 0 to 255, of square pixels: the stored height, and the width that is shown."""
        pixels = _rgb(frame, self.path)
        height, width = pixels.shape[:2]
        shown_width = max(1, round(width * self.pixel_aspect))
        if shown_width != width:
            pixels = np.array(resized_pixels(pixels, (shown_width, height)))
        return np.ascontiguousarray(np.rot90(pixels, self.quarter_turns))


def video_notices(container: InputContainer, first: av.VideoFrame, showing: Showing) -> tuple[str, ...]:
    """What is remarkable about a video: a sentence each."""
    path, streams, notices = showing.path, picture_streams(container), []
    codec = streams[0].codec_context
    reason = open_end(path)
    if reason is not None:
        notices.append(
            f"{path} {reason}, so that it cannot be told whether its end was cut off: compare the number of frames "
            f"with what was recorded"
        )
    field_order = getattr(codec, "field_order", 0)  # told by PyAV from 18 on; most files mark their frames, too
    if first.interlaced_frame or field_order not in PROGRESSIVE_ORDERS:
        notices.append(
            f"{path} is interlaced: what moves is torn into combs, and each frame holds two moments; write one frame "
            f"for each field: ffmpeg -i OLD -vf bwdif=send_field -c:v libx264 -crf 16 NEW.mp4"
        )
    if codec.color_trc in HDR_TRANSFERS:
        notices.append(
            f"{path} is HDR ({HDR_TRANSFERS[codec.color_trc]}): its colours are read as they are coded, alike in all "
            f"frames but flatter than a player shows them"
        )
    shown_width = round(first.width * showing.pixel_aspect)
    if shown_width != first.width:
        notices.append(
            f"the pixels of {path} are not square ({showing.pixel_aspect} times as wide as high): its frames of "
            f"{first.width}×{first.height} are read as {shown_width}×{first.height}, as they are shown, before any "
            f"turn; the camera must be of that size"
        )
    if len(streams) > 1:
        notices.append(
            f"{path} holds {len(streams)} videos: the first, of {first.width}×{first.height}, is read; for another "
            f"write it alone: ffmpeg -i OLD -map 0:v:1 -c copy NEW.mp4"
        )
    return tuple(notices)


def _rgb(frame: av.VideoFrame, path: Path) -> UInt8[np.ndarray, "h w 3"]:
    matrix = _assumed_matrix(frame, path)
    if any(component.is_alpha for component in frame.format.components):
        pixels = frame.to_ndarray(format="rgba", src_colorspace=matrix)
        if pixels[..., 3].min() < 255:
            raise DataError(
                f"expected an opaque video in {path}, found a partly transparent frame; put it on a background and "
                f"write it again"
            )
        return np.ascontiguousarray(pixels[..., :3])
    pixels = frame.to_ndarray(format="rgb24", src_colorspace=matrix)
    if len(frame.format.components) == 1 and frame.color_range == LIMITED_RANGE and not frame.format.has_palette:
        # FFmpeg's scaler takes all grey for full range.
        grey = (pixels.astype(np.float32) - BLACK) * (255 / (WHITE - BLACK))
        return grey.round().clip(0, 255).astype(np.uint8)
    return pixels


def _assumed_matrix(frame: av.VideoFrame, path: Path) -> int | None:
    """The matrix that players use for an unmarked frame; None where the frame states its own or needs none.

    Raises `DataError` for a matrix that FFmpeg's scaler would silently replace by BT.601.
    """
    if frame.format.is_rgb or frame.format.has_palette or len(frame.format.components) < 3:
        return None
    if frame.colorspace in UNSPECIFIED_MATRICES:
        return BT_709 if frame.width >= HD_WIDTH or frame.height > SD_HEIGHT else BT_601
    if frame.colorspace not in READ_MATRICES:
        raise DataError(
            f"expected colours by the matrix of BT.601, BT.709 or BT.2020 in {path}, found number "
            f"{int(frame.colorspace)} of H.273; {REPAIR}"
        )
    return None


def _quarter_turns(frame: av.VideoFrame, path: Path) -> int:
    """How many quarter turns, counter-clockwise, show the frame as the file asks."""
    if "DISPLAYMATRIX" not in frame.side_data:
        return 0
    matrix = np.frombuffer(bytes(frame.side_data["DISPLAYMATRIX"]), dtype=np.int32)
    a, b, _, c, d = matrix[:5].astype(np.float64)  # the rows of a 3×3 matrix, in any fixed point
    turns = -np.arctan2(b, a) / (np.pi / 2)
    if a * d - b * c <= 0 or abs(turns - round(turns)) > 1e-3:
        raise DataError(
            f"expected a video that is shown as it is or turned by quarters in {path}, found one that is mirrored or "
            f"turned by {90 * turns:.0f}°; write it again upright: ffmpeg -i OLD NEW.mp4"
        )
    return round(turns) % 4


__all__ = ["FORMAT_OF", "FrameIndex", "Video"]

KEPT_FRAMES = 8  # decoded frames that stay in memory, 3 MB each at 1920×1080


class Video:
    """Reads the frames of a video file by their number in presentation order, as the file asks that they be shown.

    Frames that an edit list hides do not count. Pixels are made square, and quarter turns are applied. Reading in order
    decodes each frame once; a jump decodes from the keyframe before it. Raises `DataError` naming the file and, where
    it is one frame's fault, the frame.
    """

    def __init__(self, path: Path):
        self.path = path
        self._container: InputContainer | None = None
        self._frames: Iterator[av.VideoFrame] | None = None
        self._next = 0  # the number of the frame that `_frames` should give next
        self._recent: OrderedDict[int, av.VideoFrame] = OrderedDict()
        with decoding_errors(path):
            self.index = index_frames(path)
        with decoding_errors(path, "frame 0 of "):
            first = self._frame(0)
            container, stream = self._opened()
            # Asked once: a frame whose side data are read is freed by the collector alone.
            self._showing = Showing.of(stream, first, path)
            self.notices = video_notices(container, first, self._showing)
            shown = self._showing.picture(first)
        self.size = (shown.shape[1], shown.shape[0])

    @property
    def numbers(self) -> range:
        """The numbers of the frames."""
        return range(len(self.index.pts))

    @property
    def times_s(self) -> tuple[float, ...]:
        """When each frame is shown, in seconds after the first."""
        return self.index.times_s

    def file_of(self, number: int) -> Path:
        """The file that holds a frame."""
        return self.path

    def close(self) -> None:
        """Free the decoder's memory. Frames can still be read: the decoder is opened again."""
        self._recent.clear()
        self._frames = None
        if self._container is not None:
            self._container.close()
            self._container = None

    def picture(self, number: int) -> UInt8[np.ndarray, "h w 3"]:
        """The colours of a frame, from 0 to 255."""
        if not 0 <= number < len(self.index.pts):
            raise DataError(f"expected a frame from 0 to {len(self.index.pts) - 1} of {self.path}, got {number}")
        with decoding_errors(self.path, f"frame {number} of "):
            return self._showing.picture(self._frame(number))

    def _frame(self, number: int) -> av.VideoFrame:
        if number in self._recent:
            return self._recent[number]
        key = self.index.keyframe_before(number)
        on_the_way = self._frames is not None and self._next <= number and self.index.pts[self._next] >= key
        # A seek may land too late, after a keyframe whose neighbours are shown before it: then decode all.
        frame = self._decoded(number) if on_the_way else None
        frame = frame or self._decoded(number, from_pts=key) or self._decoded(number, from_pts=self.index.pts[0])
        if frame is None:
            raise DataError(f"expected frame {number} in {self.path}, but decoding does not give it; {REPAIR}")
        if frame.is_corrupt:
            raise DataError(f"expected a whole frame {number} in {self.path}, found a damaged one; {REPAIR}")
        return frame

    def _decoded(self, number: int, *, from_pts: int | None = None) -> av.VideoFrame | None:
        """Decode up to a frame, from the frame shown at a time or from where the last call stopped."""
        if from_pts is not None:
            self._begin(from_pts)
        assert self._frames is not None
        wanted, frames, self._frames = self.index.pts[number], self._frames, None  # None if decoding fails
        for frame in frames:
            shown = None if frame.pts is None else self.index.number_of(frame.pts)
            if frame.pts is None or frame.pts > wanted:
                return None
            if shown is not None and (from_pts is None or frame.pts >= from_pts):
                self._keep(shown, frame)
            if shown == number:
                self._frames, self._next = frames, min(number + 1, len(self.index.pts) - 1)
                return frame
        return None

    def _keep(self, number: int, frame: av.VideoFrame) -> None:
        self._recent[number] = frame
        self._recent.move_to_end(number)
        while len(self._recent) > KEPT_FRAMES:
            self._recent.popitem(last=False)

    def _begin(self, pts: int) -> None:
        container, stream = self._opened()
        if pts == self.index.pts[0]:
            self.close()  # begin with a new decoder
            container, stream = self._opened()
        else:
            container.seek(pts, stream=stream, backward=True)
        self._frames = container.decode(stream)

    def _opened(self) -> tuple[InputContainer, VideoStream]:
        if self._container is None:
            self._container = open_container(self.path)
            video_stream(self._container, self.path).thread_type = "AUTO"
        return self._container, video_stream(self._container, self.path)
