"""A video file as numbered pictures: exact random access, in presentation order, in constant memory."""

from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from jaxtyping import UInt8

from warpgrasp.data.recording.video_picture import Showing, video_notices
from warpgrasp.data.recording.video_stream import (
    FORMAT_OF,
    REPAIR,
    FrameIndex,
    decoding_errors,
    index_frames,
    open_container,
    video_stream,
)
from warpgrasp.errors import DataError

__all__ = ["FORMAT_OF", "FrameIndex", "Video"]

KEPT_FRAMES = 8  # decoded frames that stay in memory, 3 MB each at 1920×1080


class Video:
    """Reads the frames of a video file by their number in presentation order, as the file asks that they be shown.

    Frames that an edit list hides are none; pixels that are not square are made so; quarter turns are made.
    Frames that follow each other are decoded once; a jump decodes from the keyframe before it. Raises `DataError`
    naming the file, and the frame where one is concerned.
    """

    def __init__(self, path: Path):
        self.path = path
        self._container: InputContainer | None = None
        self._frames: Iterator[av.VideoFrame] | None = None
        self._next = 0  # the number of the frame that `_frames` gives next, if all is well
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
        with decoding_errors(self.path, f"frame {number} of "):
            return self._showing.picture(self._frame(number))

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
            self._container = open_container(self.path)
            video_stream(self._container, self.path).thread_type = "AUTO"
        return self._container, video_stream(self._container, self.path)
