"""A video file as numbered pictures: exact random access, in presentation order, in constant memory."""

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream
from jaxtyping import UInt8

from warpgrasp.errors import DataError

# The demuxer is named by the file's ending, never guessed from its content: a playlist called video.mp4 would otherwise
# make FFmpeg open the files, or addresses, that it lists.
FORMAT_OF = {".mp4": "mp4", ".mov": "mp4", ".mkv": "matroska", ".webm": "matroska"}
LARGEST_PIXELS = 16384 * 8192  # what a broken header may make FFmpeg allocate
KEPT_FRAMES = 8  # decoded frames that stay in memory, 3 MB each at 1920×1080
HIDDEN_FRAME_CODECS = ("vp8",)  # some of their packets hold pictures that are never shown
REPAIR = "copy it anew, or write it again: ffmpeg -i OLD -c:v libx264 -crf 16 NEW.mp4"


@dataclass(frozen=True)
class FrameIndex:
    """When each frame is shown: ascending, in units of `time_base` seconds, and which of these are keyframes."""

    pts: tuple[int, ...]
    keyframe_pts: tuple[int, ...]
    time_base: Fraction

    @property
    def times_s(self) -> tuple[float, ...]:
        """When each frame is shown, in seconds after the first."""
        return tuple(float((pts - self.pts[0]) * self.time_base) for pts in self.pts)

    def number_of(self, pts: int) -> int | None:
        """The number of the frame that is shown at that time, if there is one."""
        number = bisect_left(self.pts, pts)
        return number if number < len(self.pts) and self.pts[number] == pts else None

    def keyframe_before(self, number: int) -> int:
        """The time of the last keyframe that is not after a frame: decoding from there gives the frame."""
        position = bisect_right(self.keyframe_pts, self.pts[number])
        return self.keyframe_pts[max(position - 1, 0)]


class Video:
    """Reads the frames of a video file by their number in presentation order; rotated as the file asks.

    Frames that follow each other are decoded once; a jump decodes from the keyframe before it. Raises `DataError`
    naming the file, and the frame where one is concerned.
    """

    def __init__(self, path: Path):
        self.path = path
        self._container: InputContainer | None = None
        self._frames: Iterator[av.VideoFrame] | None = None
        self._next = 0  # the number of the frame that `_frames` gives next, if all is well
        self._turns: int | None = None
        self._recent: OrderedDict[int, av.VideoFrame] = OrderedDict()
        self.index = self._indexed()
        first = self.picture(0)
        self.size = (first.shape[1], first.shape[0])

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
        """Give the decoder's memory back; reading goes on whenever a frame is asked for."""
        self._recent.clear()
        self._frames = None
        if self._container is not None:
            self._container.close()
            self._container = None

    def picture(self, number: int) -> UInt8[np.ndarray, "h w 3"]:
        """The colours of a frame, from 0 to 255."""
        if not 0 <= number < len(self.index.pts):
            raise DataError(f"expected a frame from 0 to {len(self.index.pts) - 1} of {self.path}, got {number}")
        with self._errors_named(f"frame {number} of "):
            frame = self._frame(number)
            if self._turns is None:  # asked once: a frame whose side data are read is freed by the collector alone
                self._turns = _quarter_turns(frame, self.path)
            turned = np.rot90(frame.to_ndarray(format="rgb24"), self._turns)
        return np.ascontiguousarray(turned)

    def _frame(self, number: int) -> av.VideoFrame:
        if number in self._recent:
            return self._recent[number]
        key = self.index.keyframe_before(number)
        on_the_way = self._frames is not None and self._next <= number and self.index.pts[self._next] >= key
        # A container's seek may land after a keyframe whose neighbours are shown before it: then from the beginning.
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
            self.close()  # the surest beginning
            container, stream = self._opened()
        else:
            container.seek(pts, stream=stream, backward=True)
        self._frames = container.decode(stream)

    def _opened(self) -> tuple[InputContainer, VideoStream]:
        if self._container is None:
            self._container = _open(self.path)
            _video_stream(self._container, self.path).thread_type = "AUTO"
        return self._container, _video_stream(self._container, self.path)

    @contextmanager
    def _errors_named(self, what: str) -> Iterator[None]:
        try:
            yield
        except (FFmpegError, ValueError, MemoryError, OSError) as error:
            self._frames = None
            if isinstance(error, DataError):
                raise
            raise DataError(f"expected to decode {what}{self.path}: {str(error)[:120]}; {REPAIR}") from error

    def _indexed(self) -> FrameIndex:
        """List the frames by the container's packets, without decoding them where each holds one picture."""
        with self._errors_named(""):
            container, stream = self._opened()
            shown, keys, corrupt = _packet_times(container, stream)
            if corrupt or len(shown) < stream.frames:
                raise DataError(
                    f"expected the {stream.frames or 'whole'} frames that {self.path} announces, found "
                    f"{len(shown) - corrupt} whole ones: it is cut off; {REPAIR}"
                )
            if stream.codec_context.name in HIDDEN_FRAME_CODECS:
                self.close()
                container, stream = self._opened()
                shown = [frame.pts for frame in container.decode(stream)]
            time_base = stream.time_base
        self.close()
        pts = sorted(one for one in shown if one is not None)
        if len(set(pts)) != len(shown) or time_base is None:
            raise DataError(f"expected a time of its own for each frame in {self.path}, found none for some; {REPAIR}")
        if not pts:
            raise DataError(f"expected frames in {self.path}, found none")
        return FrameIndex(tuple(pts), tuple(sorted(key for key in keys if key is not None)) or (pts[0],), time_base)


def _packet_times(container: InputContainer, stream: VideoStream) -> tuple[list[int | None], list[int | None], int]:
    """When each packet is shown, when each keyframe is, and how many packets are damaged.

    No packet is kept: together they are as large as the file.
    """
    shown, keys, corrupt = [], [], 0
    for packet in container.demux(stream):
        if packet.size and not packet.is_discard:
            shown.append(packet.pts)
            corrupt += packet.is_corrupt
            if packet.is_keyframe:
                keys.append(packet.pts)
    return shown, keys, corrupt


def _open(path: Path) -> InputContainer:
    if not path.is_file():
        raise DataError(f"expected the video {path}, found no such file")
    options = {"protocol_whitelist": "file", "max_pixels": str(LARGEST_PIXELS)}
    name = FORMAT_OF[path.suffix.lower()]
    return av.open(f"file:{path.absolute()}", format=name, options=options, metadata_errors="replace")


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream):
        raise DataError(f"expected a video in {path}, found no stream of pictures")
    if stream.codec_context is None:
        raise DataError(f"expected a video of a known codec in {path}, found another; {REPAIR}")
    return stream


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
