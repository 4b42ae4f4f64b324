"""From a decoded frame to the colours that are shown: matrix, range and depth, shape of pixels, quarter turns."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from jaxtyping import UInt8

from warpgrasp.data.pictures import resized_pixels
from warpgrasp.data.recording.video_stream import REPAIR, open_end, picture_streams
from warpgrasp.errors import DataError

# Numbers of ITU-T H.273 for the matrix between YCbCr and RGB (table 4) and the transfer (table 3).
BT_709, BT_601 = 1, 5
UNSPECIFIED_MATRICES = (0, 2, 3)
READ_MATRICES = (1, 4, 5, 6, 7, 9)  # BT.709, FCC, BT.601 twice, SMPTE 240M, BT.2020: what FFmpeg's scaler knows
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
        """As the file asks. Raises `DataError` when it asks for what is no turn by quarters."""
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
    return frame.to_ndarray(format="rgb24", src_colorspace=matrix)


def _assumed_matrix(frame: av.VideoFrame, path: Path) -> int | None:
    """The matrix that players take for an unmarked frame; None where the frame says its own or needs none.

    Raises `DataError` for one that FFmpeg's scaler would silently take for BT.601.
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
