"""The stream of pictures in a video file: opened without reading any other file, and listed frame by frame."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from warpgrasp.errors import DataError

# The demuxer is named by the file's ending, never guessed from its content: a playlist called video.mp4 would otherwise
# make FFmpeg open the files, or addresses, that it lists.
FORMAT_OF = {".mp4": "mp4", ".mov": "mp4", ".m4v": "mp4", ".mkv": "matroska", ".webm": "matroska", ".avi": "avi"}
LARGEST_PIXELS = 16384 * 8192  # what a broken header may make FFmpeg allocate
HIDDEN_FRAME_CODECS = ("vp8",)  # some of their packets hold pictures that are never shown
NO_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails  # covers and previews beside the video
EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"  # names of Matroska's outermost elements
REPAIR = "copy it anew, or write it again: ffmpeg -i OLD -c:v libx264 -crf 16 NEW.mp4"


@dataclass(frozen=True)
class FrameIndex:
    """When each frame is shown (ascending, in units of `time_base` seconds), and at which frames decoding can begin.

    Decoding can begin at keyframes, and at the first frame, whose keyframe an edit list may hide.
    """

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


@dataclass
class Packets:
    """What a stream's packets say, without the packets: together they are as large as the file."""

    shown_pts: list[int | None]
    positions: list[int | None]  # in the file, of the shown
    keyframe_pts: list[int | None]
    hidden: int = 0  # by an edit list, or empty
    damaged: int = 0

    @property
    def whole(self) -> int:
        """How many undamaged packets there are, shown or not."""
        return len(self.shown_pts) + self.hidden - self.damaged


@contextmanager
def decoding_errors(path: Path, what: str = "") -> Iterator[None]:
    """Turn any error of FFmpeg into a `DataError` that names the file and the part that was being read."""
    try:
        yield
    except DataError:
        raise
    except (FFmpegError, ValueError, MemoryError, OSError) as error:
        raise DataError(f"expected to decode {what}{path}: {str(error)[:120]}; {REPAIR}") from error


def open_container(path: Path, *, edited: bool = True) -> InputContainer:
    """Open a video file. With `edited`, its edit list applies, which may hide packets."""
    if not path.is_file():
        raise DataError(f"expected the video {path}, found no such file")
    options = {"protocol_whitelist": "file", "max_pixels": str(LARGEST_PIXELS)}
    name = FORMAT_OF[path.suffix.lower()]
    if not edited:
        options["ignore_editlist"] = "1"
    return av.open(f"file:{path.absolute()}", format=name, options=options, metadata_errors="replace")


def picture_streams(container: InputContainer) -> list[VideoStream]:
    """The streams of moving pictures, without covers and previews: the one that is read, then the others."""
    streams = [stream for stream in container.streams.video if not stream.disposition & NO_PICTURES]
    return sorted(streams, key=lambda stream: not stream.disposition & Disposition.default)


def video_stream(container: InputContainer, path: Path) -> VideoStream:
    """The stream that is read: the first of those that a player chooses by itself, else the first."""
    streams = picture_streams(container)
    if not streams:
        raise DataError(f"expected a video in {path}, found no stream of pictures")
    if streams[0].codec_context is None:
        raise DataError(f"expected a video of a known codec in {path}, found another; {REPAIR}")
    if container.format.name == "avi" and streams[0].codec_context.has_b_frames:
        raise DataError(
            f"expected an AVI whose frames are stored in the order of showing in {path}, found another order, for "
            f"which AVI tells no times; write it again: ffmpeg -i OLD -c:v libx264 -crf 16 NEW.mp4"
        )
    return streams[0]


def index_frames(path: Path) -> FrameIndex:
    """List the frames by the container's packets, without decoding them where each holds one picture.

    Raises `DataError` when the file is cut off, or when two frames are shown at the same time.
    """
    container = open_container(path)
    try:
        stream = video_stream(container, path)
        packets = _packets(container, stream)
        _check_whole(path, packets, stream.frames)
        shown, time_base = packets.shown_pts, stream.time_base
        if stream.codec_context.name in HIDDEN_FRAME_CODECS:
            shown = _decoded_pts(path)
    finally:
        container.close()
    pts = sorted(time for time in shown if time is not None)
    if len(set(pts)) != len(shown) or time_base is None:
        raise DataError(f"expected a time of its own for each frame in {path}, found none for some; {REPAIR}")
    if not pts:
        raise DataError(f"expected frames in {path}, found none")
    keys = {pts[0], *(key for key in packets.keyframe_pts if key is not None)}
    return FrameIndex(tuple(pts), tuple(sorted(keys)), time_base)


def _packets(container: InputContainer, stream: VideoStream) -> Packets:
    packets = Packets([], [], [])
    for packet in container.demux(stream):
        if packet.size and not packet.is_discard:
            packets.shown_pts.append(packet.pts)
            packets.positions.append(packet.pos)
            if packet.is_keyframe:
                packets.keyframe_pts.append(packet.pts)
        elif packet.size or packet.dts is not None:  # the packet that ends the stream has neither
            packets.hidden += 1
        packets.damaged += packet.is_corrupt
    return packets


def _decoded_pts(path: Path) -> list[int | None]:
    with open_container(path) as container:
        return [frame.pts for frame in container.decode(video_stream(container, path))]


def _check_whole(path: Path, packets: Packets, announced: int) -> None:
    """Raise `DataError` when packets are missing that the file's list announces, or when an edit list joins pieces.

    An edit list may hide packets or give them twice: then all are counted without it.
    """
    if FORMAT_OF[path.suffix.lower()] == "mp4" and (packets.hidden or packets.whole < announced):
        edited = packets
        with open_container(path, edited=False) as container:
            packets = _packets(container, video_stream(container, path))
        _check_one_piece(path, edited, packets)
    if packets.damaged or packets.whole < announced:
        raise DataError(
            f"expected the {announced or 'whole'} frames that {path} announces, found {packets.whole} whole ones: it "
            f"is cut off; {REPAIR}"
        )


def _check_one_piece(path: Path, edited: Packets, stored: Packets) -> None:
    """Raise `DataError` unless an edit list moves all frames alike in time.

    With several pieces, FFmpeg's times of the later ones are wrong where frames are stored in another order than shown.
    """
    stored_pts = dict(zip(stored.positions, stored.shown_pts, strict=True))
    moves = {
        pts - before
        for position, pts in zip(edited.positions, edited.shown_pts, strict=True)
        if pts is not None and (before := stored_pts.get(position)) is not None
    }
    if len(moves) > 1:
        raise DataError(
            f"expected a video of one piece in {path}, found an edit list that joins {len(moves)}; write it again: "
            f"ffmpeg -i OLD -c:v libx264 -crf 16 NEW.mp4"
        )


def open_end(path: Path) -> str | None:
    """Why it is unknown whether a file's end was cut off; None where the end is there.

    Raises `DataError` when it was cut off.
    """
    match FORMAT_OF[path.suffix.lower()]:
        case "mp4":
            kinds, end = _parts(path)
            if b"moof" not in kinds:
                return None  # its list of frames has been compared with them
            named, reason = (
                "fragments",
                None if b"mfra" in kinds else "is written in fragments and has no closing list (mfra)",
            )
        case "matroska":
            end = _matroska_end(path)
            named, reason = "clusters", "does not state its own length" if end is None else None
        case _:
            return None
    if end is not None and end > path.stat().st_size:
        raise DataError(f"expected whole {named} in {path}, found the last cut off; {REPAIR}")
    return reason


def _matroska_end(path: Path) -> int | None:
    """Where a Matroska file's one segment should end (RFC 8794, sections 4 to 6); None where it is of unknown size."""
    with path.open("rb") as file:
        head = file.read(4096)
    if not head.startswith(EBML):
        return None
    start = len(EBML)
    for name in (b"", SEGMENT):
        if not head.startswith(name, start) or start + len(name) >= len(head):
            return None
        start += len(name)
        width = 9 - head[start].bit_length()
        size = int.from_bytes(head[start : start + width], "big") & ((1 << 7 * width) - 1)
        unknown = size == (1 << 7 * width) - 1
        start += width + size
    return None if unknown else start


def _parts(path: Path) -> tuple[set[bytes], int]:
    """The kinds of the outermost boxes of an MP4 file (ISO/IEC 14496-12, 4.2), and where the last should end."""
    size, start, kinds = path.stat().st_size, 0, set()
    with path.open("rb") as file:
        while start + 8 <= size:
            file.seek(start)
            head = file.read(16)
            length = int.from_bytes(head[:4], "big")
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            if length < 8:  # 0: up to the file's end
                kinds.add(head[4:8])
                return kinds, size
            kinds.add(head[4:8])
            start += length
    return kinds, start
