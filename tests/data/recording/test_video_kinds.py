"""What cameras and editing programs write around the pictures: shown as players show it, told, or refused by name."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.data.recording.recording_files import SMALL, frame_seen, write_recording, write_video
from tests.data.recording.video_kinds import (
    REORDERED,
    Coding,
    coded_planes,
    even_frames,
    frame_of_planes,
    with_edits,
    write_coded,
)
from warpgrasp.cli import main
from warpgrasp.data.recording.camera import read_lens
from warpgrasp.data.recording.footage import open_clip
from warpgrasp.data.recording.video import Video
from warpgrasp.errors import DataError
from warpgrasp.export.datasets import VideoWriter

WEIGHTS = {"BT.601": (0.299, 0.114), "BT.709": (0.2126, 0.0722), "BT.2020": (0.2627, 0.0593)}  # of red and blue
MATRIX = {"BT.601": 6, "BT.709": 1, "BT.2020": 9}  # ITU-T H.273, table 4
SKIN = (224, 172, 140)


def frames_in_any_order(video: Video) -> list[int]:
    """Which frames of the source its frames are, each asked for from the end and again from the beginning."""
    backwards = [frame_seen(video.picture(number)) for number in reversed(video.numbers)]
    forwards = [frame_seen(video.picture(number)) for number in video.numbers]
    assert forwards == backwards[::-1]
    return forwards


def reordered_video(path: Path, count: int = 9) -> bytes:
    write_coded(path, even_frames(count), Coding(options=REORDERED))
    return path.read_bytes()


@pytest.mark.parametrize(
    ("edits", "frames"),
    [
        ([(6, 3)], [3, 4, 5, 6, 7, 8]),  # trimmed at the beginning, between two keyframes
        ([(15, None), (9, 0)], list(range(9))),  # half a second of nothing, then all
        ([(15, None), (7, 2)], [2, 3, 4, 5, 6, 7, 8]),
        ([(4.9, 0)], [0, 1, 2, 3, 4]),  # trimmed at the end
        ([(2.9, 3)], [3, 4, 5]),  # and at both
    ],
)
@pytest.mark.parametrize("ending", ["mp4", "mov"])
def test_frames_that_an_edit_list_hides_are_none(
    tmp_path: Path, ending: str, edits: list[tuple[float, float | None]], frames: list[int]
) -> None:
    path = tmp_path / f"video.{ending}"
    path.write_bytes(with_edits(reordered_video(path), edits))
    video = Video(path)
    assert frames_in_any_order(video) == frames
    np.testing.assert_allclose(video.times_s, np.arange(len(frames)) / 30, atol=1e-4)
    assert video.notices == ()


def test_reading_an_edited_video_in_order_decodes_it_once(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(with_edits(reordered_video(path), [(4, 5)]))
    video = Video(path)
    begun: list[int] = []
    begin = Video._begin
    monkeypatch.setattr(Video, "_begin", lambda self, pts: (begun.append(pts), begin(self, pts)))
    assert [frame_seen(video.picture(number)) for number in video.numbers] == [5, 6, 7, 8]
    assert len(begun) <= 1


@pytest.mark.parametrize("edits", [[(3, 1), (3, 6)], [(3, 6), (3, 0)]])
def test_an_edit_list_that_joins_pieces_is_refused(tmp_path: Path, edits: list[tuple[float, float | None]]) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(with_edits(reordered_video(path), edits))
    with pytest.raises(DataError, match=r"a video of one piece in .*video\.mp4, found an edit list that joins 2"):
        Video(path)


def test_an_edited_video_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    """The list of frames first, as in files for the web, an edit that hides three, and a third of the bytes missing."""
    path = tmp_path / "video.mp4"
    noise = np.random.default_rng(0)
    frames = [
        av.VideoFrame.from_ndarray(noise.integers(0, 255, (48, 64, 3), dtype=np.uint8), format="rgb24")
        for _ in range(9)
    ]
    write_coded(path, frames, Coding(options=REORDERED))
    with av.open(str(path)) as whole, av.open(str(tmp_path / "a.mp4"), "w", options={"movflags": "faststart"}) as part:
        stream = part.add_stream_from_template(whole.streams.video[0])
        for packet in whole.demux(whole.streams.video[0]):
            if packet.size:
                shift = 3 * packet.duration
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, stream
                part.mux(packet)
    content = (tmp_path / "a.mp4").read_bytes()
    path.write_bytes(content)
    assert content.index(b"moov") < content.index(b"mdat")
    assert list(Video(path).numbers) == list(range(6))
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(DataError, match=r"the 9 frames that .*video\.mp4 announces, found [4-8] whole ones: it is cut"):
        Video(path)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("matrix", list(WEIGHTS))
def test_marked_colours(tmp_path: Path, matrix: str, bits: int, full: bool) -> None:
    colours = np.array(
        [[(255, 0, 0), (0, 255, 0), (0, 0, 255), SKIN], [(128,) * 3, (0,) * 3, (255,) * 3, (60, 160, 200)]]
    )
    shown = colours.astype(float).repeat(16, axis=0).repeat(16, axis=1)
    pixels = "yuv444p" if bits == 8 else "yuv444p10le"
    frame = frame_of_planes(coded_planes(shown, WEIGHTS[matrix], full=full, bits=bits), pixels)
    tags = {"colorspace": MATRIX[matrix], "color_range": 2 if full else 1}
    frame.colorspace, frame.color_range = tags["colorspace"], tags["color_range"]
    write_coded(tmp_path / "a.mkv", [frame], Coding("ffv1", pixels, {}, (64, 32), tags=tags))
    found = Video(tmp_path / "a.mkv").picture(0)
    assert np.abs(found[8::16, 8::16].astype(int) - colours).max() <= 2


@pytest.mark.parametrize(
    ("size", "matrix"),
    [((720, 576), "BT.601"), ((640, 480), "BT.601"), ((1280, 720), "BT.709"), ((720, 578), "BT.709")],
)
def test_unmarked_colours_are_taken_as_players_take_them(tmp_path: Path, size: tuple[int, int], matrix: str) -> None:
    shown = np.full((size[1], size[0], 3), SKIN, float)
    frame = frame_of_planes(coded_planes(shown, WEIGHTS[matrix], full=False, bits=8), "yuv444p")
    write_coded(tmp_path / "a.mkv", [frame], Coding("ffv1", "yuv444p", {}, size))
    assert np.abs(Video(tmp_path / "a.mkv").picture(0)[5, 5].astype(int) - SKIN).max() <= 2


def test_a_matrix_that_is_not_read_is_refused(tmp_path: Path) -> None:
    planes = [np.full((48, 64), 128, np.uint8)] * 3
    write_coded(
        tmp_path / "a.mkv", [frame_of_planes(planes, "yuv444p")], Coding("ffv1", "yuv444p", {}, tags={"colorspace": 8})
    )
    with pytest.raises(DataError, match=r"BT\.601, BT\.709 or BT\.2020 in .*a\.mkv, found number 8 of H\.273"):
        Video(tmp_path / "a.mkv")


def test_written_videos_have_their_colours_at_any_size(tmp_path: Path) -> None:
    for size in ((64, 48), (1280, 720)):
        with VideoWriter(tmp_path / "a.mp4", size) as video:
            video.add(np.full((size[1], size[0], 3), SKIN, np.uint8), time_s=0.0)
        assert np.abs(Video(tmp_path / "a.mp4").picture(0)[5, 5].astype(int) - SKIN).max() <= 2


@pytest.mark.parametrize(
    ("pixels", "expected"), [("gray", 114), ("gray16le", 114), ("bgra", (200, 100, 0)), ("gbrp16le", (200, 100, 0))]
)
def test_grey_and_rgb_video(tmp_path: Path, pixels: str, expected: int | tuple[int, int, int]) -> None:
    colour = np.full((48, 64, 3), (200, 100, 0) if isinstance(expected, tuple) else expected, np.uint8)
    write_coded(tmp_path / "a.mkv", [av.VideoFrame.from_ndarray(colour, format="rgb24")], Coding("ffv1", pixels, {}))
    assert np.abs(Video(tmp_path / "a.mkv").picture(0)[5, 5].astype(int) - expected).max() <= 2


@pytest.mark.parametrize(("pixels", "scale"), [("gray", 1), ("gray10le", 4)])
def test_grey_of_limited_range(tmp_path: Path, pixels: str, scale: int) -> None:
    """16, 16 + 219/3 and 235 of 255 are black, a third of white, and white."""
    levels = np.repeat([16, 89, 235], 32)[None].repeat(48, axis=0) * scale
    frame = av.VideoFrame.from_ndarray(levels.astype(np.uint8 if scale == 1 else np.uint16), format=pixels)
    frame.color_range = 1
    write_coded(tmp_path / "a.mkv", [frame], Coding("ffv1", pixels, {}, (96, 48), tags={"color_range": 1}))
    found = Video(tmp_path / "a.mkv").picture(0)[9, 16::32].astype(int)
    assert np.abs(found - [[0], [85], [255]]).max() <= 2


def test_transparency_beside_the_frames_is_refused(tmp_path: Path) -> None:
    pixels = np.full((48, 64, 4), 100, np.uint8)
    coding = Coding("libvpx-vp9", "yuva420p", {"crf": "30", "b:v": "0"})
    write_coded(tmp_path / "a.webm", [av.VideoFrame.from_ndarray(pixels, format="rgba")], coding)
    with pytest.raises(DataError, match=r"an opaque video in .*a\.webm, found one with a channel of transparency"):
        Video(tmp_path / "a.webm")


def test_a_transparent_frame_is_refused(tmp_path: Path) -> None:
    pixels = np.full((48, 64, 4), 255, np.uint8)
    pixels[9, 9, 3] = 100
    write_coded(tmp_path / "a.mkv", [av.VideoFrame.from_ndarray(pixels, format="rgba")], Coding("ffv1", "bgra", {}))
    with pytest.raises(DataError, match=r"an opaque video in .*a\.mkv, found a partly transparent frame"):
        Video(tmp_path / "a.mkv")


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_said(tmp_path: Path, transfer: int, name: str) -> None:
    coding = Coding("ffv1", "yuv420p10le", {}, tags={"color_trc": transfer, "colorspace": 9, "color_primaries": 9})
    write_coded(tmp_path / "a.mkv", even_frames(1), coding)
    (notice,) = Video(tmp_path / "a.mkv").notices
    assert f"a.mkv is HDR ({name}): its colours are read as they are coded" in notice


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
def test_pixels_become_square(tmp_path: Path, ending: str) -> None:
    """A disc of the shown picture, stored three quarters as wide, is round again and where it was."""
    v, u = np.mgrid[:108, :144]
    stored = np.where(np.hypot((u + 0.5) * 4 / 3 - 120.5, v + 0.5 - 40.5) < 20, 230, 30).astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(np.repeat(stored[..., None], 3, axis=2), format="rgb24")
    coding = Coding(size=(144, 108), pixel_aspect=Fraction(4, 3))
    video = Video(write_coded(tmp_path / f"a.{ending}", [frame], coding))
    assert video.size == (192, 108)
    assert video.picture(0).flags.writeable
    rows, columns = np.nonzero(video.picture(0)[..., 0] > 130)
    np.testing.assert_allclose((columns.mean(), rows.mean()), (120, 40), atol=0.3)
    np.testing.assert_allclose((np.ptp(columns) + 1, np.ptp(rows) + 1), (40, 40), atol=2)
    (notice,) = video.notices
    assert "not square (4/3 times as wide as high): its frames of 144×108 are read as 192×108" in notice


@pytest.mark.parametrize("turned_deg", [0, 90])
def test_the_camera_is_of_the_shown_size(tmp_path: Path, turned_deg: int, capsys) -> None:
    with av.open(str(tmp_path / "video.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 144, 108, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        stream.set_display_rotation(turned_deg)
        container.mux(stream.encode(even_frames(1, (144, 108))[0]))
        container.mux(stream.encode(None))
    assert main(["camera", str(tmp_path), "--field-of-view-deg", "60"]) == 0
    lens = read_lens(tmp_path / "camera.json")
    assert (lens.width, lens.height) == ((192, 108), (108, 192))[turned_deg // 90]
    assert lens.intrinsics[0, 0] == lens.intrinsics[1, 1]
    assert capsys.readouterr().err.count("are not square") == 1


def interlaced(path: Path) -> Path:
    return write_coded(path, even_frames(3), Coding(options={"flags": "+ildct+ilme", "x264-params": "tff=1"}))


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
def test_interlaced_video_is_said(tmp_path: Path, ending: str) -> None:
    (notice,) = Video(interlaced(tmp_path / f"a.{ending}")).notices
    assert notice.startswith(f"{tmp_path / f'a.{ending}'} is interlaced: what moves is torn into combs")
    assert Video(write_coded(tmp_path / "b.mp4", even_frames(2))).notices == ()


def test_notices_are_said_once(tmp_path: Path, capsys) -> None:
    recording = write_recording(tmp_path / "small", frames=3, labels=(0,))
    interlaced(recording / "video.mp4")
    assert main(["doctor", "--data", str(recording)]) == 0
    said = capsys.readouterr()
    assert " ".join(said.out.split()).count("is interlaced") == 1
    assert "is interlaced" not in said.err


def test_reading_says_notices_once_on_standard_error(tmp_path: Path, capsys) -> None:
    recording = write_recording(tmp_path / "small", frames=3, labels=(0,))
    clip = open_clip(interlaced(recording / "video.mp4"), recording / "camera.json")
    assert capsys.readouterr().err == ""
    for number in (0, 1, 0):
        clip.picture(number)
    said = capsys.readouterr().err
    assert said.startswith(f"warpgrasp: warning: {recording / 'video.mp4'} is interlaced: ")
    assert said.count("is interlaced") == 1


def test_a_cover_is_no_video_and_the_first_of_two_is_read(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        streams = []
        for size in (SMALL, (32, 32)):
            stream = container.add_stream("libx264", rate=30, options={"crf": "10"})
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            streams.append(stream)
        cover = container.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = 96, 96, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        for stream, size in ((cover, (96, 96)), (streams[0], SMALL), (streams[1], (32, 32))):
            for number, frame in enumerate(even_frames(1 if stream is cover else 3, size)):
                frame.pts = number
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    video = Video(tmp_path / "a.mp4")
    assert video.size == SMALL
    assert frames_in_any_order(video) == [0, 1, 2]
    (notice,) = video.notices
    assert "a.mp4 holds 2 videos: the first, of 64×48, is read" in notice


def fragmented(path: Path) -> bytes:
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    coding = Coding(options={"g": "3", "bf": "0", "crf": "10"}, container_options=options)
    return write_coded(path, even_frames(9), coding).read_bytes()


def test_fragments_without_an_end_are_said_and_cut_ones_refused(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    content = fragmented(path)
    video = Video(path)
    assert frames_in_any_order(video) == list(range(9))
    assert video.notices == ()
    last = content.rindex(b"moof") - 4
    path.write_bytes(content[:last])
    video = Video(path)
    assert frames_in_any_order(video) == list(range(6))
    (notice,) = video.notices
    assert "video.mp4 is written in fragments and has no closing list (mfra)" in notice
    for end in (last + 4, last + 40, last + (len(content) - last) // 2):
        path.write_bytes(content[:end])
        if end == last + 4:  # less than a head: nothing is known of it
            assert Video(path).notices
            continue
        with pytest.raises(DataError, match=r"video\.mp4"):
            Video(path)


@pytest.mark.parametrize(("codec", "pixels"), [("mjpeg", "yuvj420p"), ("mpeg4", "yuv420p"), ("ffv1", "yuv420p")])
def test_avi(tmp_path: Path, codec: str, pixels: str) -> None:
    options = {"q:v": "2"} if codec != "ffv1" else {}
    video = Video(write_coded(tmp_path / "a.avi", even_frames(5), Coding(codec, pixels, options)))
    assert frames_in_any_order(video) == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(video.times_s, np.arange(5) / 30, atol=1e-6)


def test_an_avi_of_reordered_frames_is_refused(tmp_path: Path) -> None:
    write_coded(tmp_path / "a.avi", even_frames(5), Coding(options=REORDERED))
    with pytest.raises(DataError, match=r"stored in the order of showing in .*a\.avi, found another order"):
        Video(tmp_path / "a.avi")


def test_times_of_a_varying_rate_start_at_the_first_frame(tmp_path: Path) -> None:
    """A recording whose first frame is late: times are between frames, not from the file's beginning."""
    times_s = [1.5, 1.53, 1.6, 2.4]
    write_video(tmp_path / "a.mp4", times_s)
    np.testing.assert_allclose(Video(tmp_path / "a.mp4").times_s, [0, 0.03, 0.1, 0.9], atol=1e-4)


@pytest.mark.parametrize(("ending", "codec"), [("mkv", "libx264"), ("webm", "libvpx-vp9")])
def test_matroska_that_is_cut_off_is_refused_and_of_unknown_length_said(
    tmp_path: Path, ending: str, codec: str
) -> None:
    path = tmp_path / f"a.{ending}"
    content = write_coded(path, even_frames(9), Coding(codec, options={"g": "3"})).read_bytes()
    assert Video(path).notices == ()
    path.write_bytes(content[:-1])
    with pytest.raises(DataError, match=rf"expected whole clusters in .*a\.{ending}, found the last cut off"):
        Video(path)
    place = content.index(b"\x18\x53\x80\x67") + 4
    assert content[place] == 1  # a length of eight bytes
    path.write_bytes(content[:place] + b"\x01" + b"\xff" * 7 + content[place + 8 :])
    video = Video(path)
    assert frames_in_any_order(video) == list(range(9))
    (notice,) = video.notices
    assert f"a.{ending} does not state its own length, so that it cannot be told" in notice
