"""Folders of pictures: what counts as a picture, in which order, and when."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.recording.recording_files import write_recording
from warpgrasp.cli import main
from warpgrasp.data.recording.chequerboard import board_pictures
from warpgrasp.data.recording.footage import Clip, PictureFolder, open_footage, picture_names
from warpgrasp.data.recording.lens import Lens
from warpgrasp.errors import DataError

APPLE_DOUBLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        " + bytes(100)


def write_pictures(folder: Path, *names: str) -> Path:
    """Pictures of even brightness: 10, 20, 30 … in the order of the names."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, name in enumerate(names):
        Image.fromarray(np.full((48, 64, 3), 10 * (place + 1), np.uint8)).save(folder / name)
    return folder


def test_files_that_are_no_pictures_are_passed_over(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "frames", "0000.png", "0001.png")
    for name in ("._0000.png", ".DS_Store", ".hidden.jpg", "Thumbs.db", "desktop.ini", "0001.png.part", "list.txt"):
        (folder / name).write_bytes(APPLE_DOUBLE)
    (folder / "0002.png").mkdir()
    footage = PictureFolder(folder)
    assert list(footage.numbers) == [0, 1]
    assert [int(footage.picture(number)[0, 0, 0]) for number in footage.numbers] == [10, 20]
    assert [name for name, _ in board_pictures(folder)] == ["0000.png", "0001.png"]


def test_pictures_of_a_kind_that_is_not_read_are_named(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "frames", "0000.png")
    for name in ("0001.GIF", "0001.dng", "0001.avif"):
        (folder / name).write_bytes(b"GIF89a")
        with pytest.raises(DataError, match=rf"expected pictures of \.jpg, .* found {name}; convert it: ffmpeg"):
            PictureFolder(folder)
        (folder / name).unlink()


def test_natural_order(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "board", "b2.png", "a10.png", "a9.png")
    assert picture_names(folder) == ["a9.png", "a10.png", "b2.png"]


def test_gaps_stay_and_time_follows_the_number(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "frames", "2.png", "10.png", "11.png")
    footage = PictureFolder(folder)
    assert list(footage.numbers) == [2, 10, 11]
    assert footage.times_s is None
    assert footage.file_of(10).name == "10.png"
    with pytest.raises(DataError, match=r"found no picture of number 3"):
        footage.picture(3)


def test_times_in_names_are_the_frames_times(tmp_path: Path) -> None:
    names = ("1403636579763555584.png", "1403636579813555584.png", "1403636580013555584.png")
    folder = write_pictures(tmp_path / "frames", *names)
    footage = PictureFolder(folder)
    assert list(footage.numbers) == [0, 1, 2]
    assert footage.times_s == pytest.approx([0, 0.05, 0.25], abs=1e-9)
    clip = Clip(
        Lens(np.array([[60.0, 0, 31.5], [0, 60.0, 23.5], [0, 0, 1]]), 64, 48), footage, tmp_path / "camera.json"
    )
    assert clip.time_s(2) == pytest.approx(0.25)
    assert clip.interval_s == pytest.approx(0.125)


def test_deep_pictures_in_a_recording(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    Image.fromarray(np.full((48, 64), 257 * 77, np.uint16)).save(folder / "0.png")
    assert (open_footage(tmp_path).picture(0) == 77).all()


def test_doctor_names_pictures_that_are_there_twice(tmp_path: Path, capsys) -> None:
    recording = write_recording(tmp_path / "small", labels=(0,))
    (recording / "video.mp4").unlink()
    write_pictures(recording / "frames", "0.png", "1.png", "2.png")
    (recording / "frames" / "7.png").write_bytes((recording / "frames" / "1.png").read_bytes())
    assert main(["doctor", "--data", str(recording)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "warning: copies of other pictures: 1, the first frame 7, a copy of 1;" in said


def test_a_video_of_another_kind_is_named(tmp_path: Path) -> None:
    (tmp_path / "video.wmv").write_bytes(b"")
    with pytest.raises(DataError, match=r"a folder frames of pictures in .*, found neither but video\.wmv; convert it"):
        open_footage(tmp_path)
