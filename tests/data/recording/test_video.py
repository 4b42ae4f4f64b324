"""Videos: the right frame by its number, whatever the order of asking, the codec and the clock."""

import gc
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.data.recording.recording_files import SMALL, frame_seen, write_video
from warpgrasp.data.recording.video import FrameIndex, Video
from warpgrasp.errors import DataError
from warpgrasp.export.datasets import VideoWriter

STEADY = [number / 30 for number in range(9)]
VARYING = [0.0, 0.03, 0.06, 0.2, 0.21, 0.4, 0.9, 0.95, 1.5]


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("video.mp4", "libx264"),
        ("video.mov", "mpeg4"),
        ("video.mkv", "libx264"),
        ("video.mkv", "ffv1"),
        ("video.webm", "libvpx"),
        ("video.webm", "libvpx-vp9"),
    ],
)
@pytest.mark.parametrize("times_s", [STEADY, VARYING], ids=["steady", "varying"])
def test_frames_by_number_in_any_order(tmp_path: Path, name: str, codec: str, times_s: list[float]) -> None:
    write_video(tmp_path / name, times_s, codec=codec)
    video = Video(tmp_path / name)
    assert list(video.numbers) == list(range(9))
    assert video.size == SMALL
    np.testing.assert_allclose(video.times_s, times_s, atol=1e-3)  # Matroska's clock ticks in milliseconds
    for number in (8, 0, 5, 4, 6, 7, 1, 8, 3, 2):
        assert frame_seen(video.picture(number)) == number


@pytest.mark.parametrize("keyframes_every", [1, 2, 4])
@pytest.mark.parametrize("open_gop", [False, True])
def test_frames_between_keyframes(tmp_path: Path, keyframes_every: int, open_gop: bool) -> None:
    path = tmp_path / "video.mp4"
    writer = VideoWriter(path, SMALL)
    extra = f"open-gop={int(open_gop)}:keyint={keyframes_every}:min-keyint=1:bframes=3:b-adapt=0:scenecut=0"
    writer._stream.options = {"crf": "10", "x264-params": extra}
    with writer:
        for number in range(9):
            writer.add(np.full((48, 64, 3), 20 + 25 * number, np.uint8), time_s=number / 25)
    video = Video(path)
    assert len(video.index.keyframe_pts) > 1
    for number in (8, 7, 6, 5, 4, 3, 2, 1, 0, 4, 2, 7):
        video._recent.clear()
        assert frame_seen(video.picture(number)) == number
        number_after = min(number + 1, 8)
        assert frame_seen(video.picture(number_after)) == number_after


def test_reading_in_order_decodes_each_frame_once(tmp_path: Path, monkeypatch) -> None:
    write_video(tmp_path / "video.mp4", [number / 30 for number in range(9)])
    decoded: list[int] = []
    begun: list[int] = []
    keep, begin = Video._keep, Video._begin
    monkeypatch.setattr(Video, "_keep", lambda self, number, frame: (decoded.append(number), keep(self, number, frame)))
    monkeypatch.setattr(Video, "_begin", lambda self, pts: (begun.append(pts), begin(self, pts)))
    video = Video(tmp_path / "video.mp4")
    for number in range(9):
        video.picture(number)
        video.picture(max(number - 1, 0))  # a little way back costs nothing
    assert decoded == list(range(9))
    assert begun == [0]


def test_a_seek_that_lands_too_late_is_made_good(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "video.mp4"
    writer = VideoWriter(path, SMALL)
    writer._stream.options = {"crf": "10", "g": "3", "bf": "0"}
    with writer:
        for number in range(9):
            writer.add(np.full((48, 64, 3), 20 + 25 * number, np.uint8), time_s=number / 25)
    video = Video(path)
    assert len(video.index.keyframe_pts) == 3
    monkeypatch.setattr(FrameIndex, "keyframe_before", lambda index, number: index.keyframe_pts[-1])
    for number in (4, 1, 8, 2):
        assert frame_seen(video.picture(number)) == number


def test_memory_does_not_grow_with_the_frames_read(tmp_path: Path) -> None:
    write_video(tmp_path / "video.mp4", [number / 30 for number in range(9)])
    video = Video(tmp_path / "video.mp4")
    gc.collect()
    gc.disable()  # what only the collector frees counts as held
    try:
        before = sum(type(one) is av.VideoFrame for one in gc.get_objects())
        for number in range(9):
            video.picture(number)
        video.close()
        after = sum(type(one) is av.VideoFrame for one in gc.get_objects())
    finally:
        gc.enable()
    assert after <= before


def test_reading_on_after_closing(tmp_path: Path) -> None:
    write_video(tmp_path / "video.mp4", STEADY)
    video = Video(tmp_path / "video.mp4")
    assert frame_seen(video.picture(4)) == 4
    video.close()
    assert frame_seen(video.picture(5)) == 5


def test_one_frame(tmp_path: Path) -> None:
    write_video(tmp_path / "video.mp4", [0.0])
    video = Video(tmp_path / "video.mp4")
    assert list(video.numbers) == [0]
    assert video.times_s == (0.0,)
    assert frame_seen(video.picture(0)) == 0
    with pytest.raises(DataError, match=r"expected a frame from 0 to 0 of .*video\.mp4, got 1"):
        video.picture(1)


@pytest.mark.parametrize("turned_deg", [0, 90, -90, 180])
def test_rotation_is_as_another_reader_has_it(tmp_path: Path, turned_deg: int) -> None:
    path = tmp_path / "video.mp4"
    write_video(path, STEADY[:2], turned_deg=turned_deg)
    found = Video(path).picture(1)
    opened, expected = cv2.VideoCapture(str(path)), None
    for _ in range(2):
        _, expected = opened.read()
    opened.release()
    assert expected is not None
    assert found.shape == expected.shape == ((64, 48, 3) if turned_deg in (90, -90) else (48, 64, 3))
    assert np.abs(found.astype(int) - expected[..., ::-1]).max() <= 3
    corner = {0: (slice(0, 20), slice(0, 20)), 180: (slice(-20, None), slice(-20, None))}
    corner |= {90: (slice(-20, None), slice(0, 20)), -90: (slice(0, 20), slice(-20, None))}  # counter-clockwise
    assert found[corner[turned_deg]].max() < 10


def test_a_crooked_rotation_is_refused(tmp_path: Path) -> None:
    write_video(tmp_path / "video.mp4", [0.0], turned_deg=30)
    with pytest.raises(DataError, match=r"turned by quarters in .*video\.mp4, found one that is .*30°"):
        Video(tmp_path / "video.mp4")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6])
def test_a_video_that_is_cut_off(tmp_path: Path, share: float) -> None:
    path = tmp_path / "video.mp4"
    write_video(path, STEADY)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=r"expected (to decode|a video in) .*video\.mp4"):
        Video(path)


def test_a_video_whose_list_of_frames_comes_first_and_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = *SMALL, "yuv420p"
        noise = np.random.default_rng(0)
        for _ in range(9):
            picture = noise.integers(0, 255, (48, 64, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    assert len(Video(path).numbers) == 9
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(
        DataError, match=r"the 9 frames that .*video\.mp4 announces, found [4-8] whole ones: it is cut off"
    ):
        Video(path)


def test_a_damaged_frame_is_named(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    writer = VideoWriter(path, SMALL)
    writer._stream.options = {"crf": "10", "g": "3", "bf": "0"}
    noise = np.random.default_rng(0)
    with writer:
        for number in range(9):
            writer.add(noise.integers(0, 255, (48, 64, 3), dtype=np.uint8), time_s=number / 25)
    with av.open(str(path)) as container:
        place = [packet.pos for packet in container.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    content[place[4] + 4 : place[5]] = b"\xff" * (place[5] - place[4] - 4)
    path.write_bytes(content)
    video = Video(path)
    for number in (0, 1, 2, 3, 6, 7, 8):
        video.picture(number)
    with pytest.raises(DataError, match=r"frame 4 (of|in) .*video\.mp4"):
        video.picture(4)
    video.picture(7)  # and goes on


@pytest.mark.parametrize("text", ["ffconcat version 1.0\nfile other.mp4\n", "#EXTM3U\n#EXTINF:1,\nother.mp4\n"])
def test_playlists_are_not_followed(tmp_path: Path, text: str) -> None:
    write_video(tmp_path / "other.mp4", STEADY)
    (tmp_path / "video.mp4").write_text(text)
    with pytest.raises(DataError, match=r"expected to decode .*video\.mp4"):
        Video(tmp_path / "video.mp4")


def test_sound_without_pictures(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "video.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    with pytest.raises(DataError, match=r"video in .*video\.mp4, found no stream of pictures"):
        Video(tmp_path / "video.mp4")


def test_the_keyframe_before() -> None:
    from fractions import Fraction

    index = FrameIndex((0, 10, 20, 35, 50), (0, 35), Fraction(1, 10))
    assert [index.keyframe_before(number) for number in range(5)] == [0, 0, 0, 35, 35]
    assert index.times_s == (0.0, 1.0, 2.0, 3.5, 5.0)
    assert index.number_of(35) == 3
    assert index.number_of(34) is None
    assert index.number_of(51) is None
