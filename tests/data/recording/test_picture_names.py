"""Names of pictures: the frame's number, or the time, as people and programs write them; or a refusal by name."""

import time
from pathlib import Path

import pytest

from warpgrasp.data.recording.picture_names import NumberedPictures, numbered_pictures
from warpgrasp.errors import DataError

FOLDER = Path("shots")


def numbered(*stems: str, ending: str = ".png") -> NumberedPictures:
    return numbered_pictures(FOLDER, [stem + ending for stem in stems])


@pytest.mark.parametrize(
    ("stems", "numbers"),
    [
        (["1", "2", "10"], [1, 2, 10]),
        (["0001", "0002", "0010"], [1, 2, 10]),
        (["0000000000", "0000000007"], [0, 7]),  # padded to ten digits
        (["frame_12", "frame_9"], [9, 12]),
        (["frame_12_left", "frame_9_left"], [9, 12]),
        (["12-color", "9-color"], [9, 12]),
        (["photo (2)", "photo (11)"], [2, 11]),
        (["shot1.0012", "shot1.0013"], [12, 13]),
        (["cam2_0012", "cam2_0040"], [12, 40]),
        (["IMG_0001", "DSC_0002"], [1, 2]),
        (["VID_20230405_123456_001", "VID_20230405_123456_017"], [1, 17]),  # when it began, and the frame
        (["20230405_000058", "20230405_000059", "20230405_000060"], [58, 59, 60]),  # a day, and the frame
        (["rec_1403636579_0001", "rec_1403636579_0002"], [1, 2]),
    ],
)
def test_numbers(stems: list[str], numbers: list[int]) -> None:
    found = numbered(*stems)
    assert list(found.names) == numbers
    assert sorted(found.names.values()) == sorted(f"{stem}.png" for stem in stems)
    assert found.times_s is None


@pytest.mark.parametrize(
    ("stems", "times_s"),
    [
        (["1305031102.175304", "1305031102.2112"], [0, 0.035896]),  # seconds
        (["rgb_1305031102", "rgb_1305031104"], [0, 2]),
        (["1403636579763", "1403636579813"], [0, 0.05]),  # milliseconds
        (["1403636579763555", "1403636579813555"], [0, 0.05]),  # microseconds
        (["1403636579763555584", "1403636579813555456"], [0, 0.049999872]),  # nanoseconds
        (["frame_0001_1305031102175", "frame_0002_1305031102208"], [0, 0.033]),
        (["IMG_20230405_123456", "IMG_20230405_123458", "IMG_20230405_123501"], [0, 2, 5]),
        (["IMG_20230405_235959", "IMG_20230406_000001"], [0, 2]),  # over midnight
        (["Shot 2024-05-01 at 11.59.59 AM", "Shot 2024-05-01 at 12.00.01 PM"], [0, 2]),
        (["Shot 2024-05-01 at 12.59.59\u202fPM", "Shot 2024-05-01 at 1.00.01\u202fPM"], [0, 2]),
        (["2024-05-01_11-59-59_PM", "2024-05-02_12-00-01_AM"], [0, 2]),
        (["20240501_095959am", "20240501_100001 a.m."], [0, 2]),
        (["20240501_125959_amber", "20240501_130001_amber"], [0, 2]),  # of 24 hours
        (["PXL_20230405_123456789", "PXL_20230405_123456822"], [0, 0.033]),
        (["2023-04-05-12-34-56-123456", "2023-04-05-12-34-56-623456"], [0, 0.5]),
        (["20230405T123456.5", "20230405T123457.25"], [0, 0.75]),
        (["Screenshot 2023-04-05 at 12.34.56", "Screenshot 2023-04-05 at 12.35.00"], [0, 4]),
        (["0.033", "0.066", "0.100"], [0, 0.033, 0.067]),
        (["9.5", "12.345"], [0, 2.845]),
        (["1403636579_900000000", "1403636580_33000000", "1403636580_66000000"], [0, 0.133, 0.166]),
        (["1403636579.96600", "1403636579.533366", "1403636579.533466"], [0, 0.436766, 0.436866]),  # microseconds
        (["1403636579.0333334", "1403636579.1", "1403636579.1666667"], [0, 0.0666666, 0.1333333]),  # decimals
        (["0.5", "0.533333333", "0.6"], [0, 0.033333333, 0.1]),
        (["shot_00-00-59.900", "shot_00-01-00.000", "shot_01-00-00.5"], [0, 0.1, 3540.6]),  # hours, minutes, seconds
        (["0h00m59.9s", "0h01m00.0s"], [0, 0.1]),
        (["mug 01-59.5", "mug 02-00.25"], [0, 0.75]),
        (["frame01_59.5", "frame02_60.25"], [0, 0.75]),  # a number, and seconds
        (["vlcsnap-2023-04-05-12h34m56s789", "vlcsnap-2023-04-05-12h34m57s123"], [0, 0.334]),
    ],
)
def test_times(stems: list[str], times_s: list[float]) -> None:
    found = numbered(*reversed(stems))
    assert found.times_s == pytest.approx(times_s, abs=1e-9)
    assert list(found.names.items()) == [(number, f"{stem}.png") for number, stem in enumerate(stems)]


@pytest.mark.parametrize(
    ("stems", "message"),
    [
        (["7", "0007"], r"one picture for each frame in shots, found 7\.png and 0007\.png"),
        (["0001", "0002", "0001 (1)"], r"found 0001\.png and 0001 \(1\)\.png, which looks like a copy of it"),
        (["0001", "0001 2"], r"found 0001\.png and 0001 2\.png, which looks like a copy"),
        (["0001", "0001 - Copy"], r"found 0001\.png and 0001 - Copy\.png, which looks like a copy"),
        (
            ["1305031102.2", "1305031102.175", "rgb_1305031102.175000"],
            r"found 1305031102\.175\.png and rgb_.*are of the same",
        ),
        (["44035013456789", "44035013456799"], r"up to nine digits, or a time since 1970 .* found 44035013456789\.png"),
        (["s1_0001", "s2_0002"], r"one number that changes from name to name in shots, found 2 in s1_0001"),
        (["IMG_20230405_123456_001", "IMG_20230405_123456_002", "IMG_20230405_123457_001"], r"count within a second"),
        (["IMG_20230405_123456", "IMG_20230405_123457", "0003"], r"names of one kind in shots, found IMG.* and 0003"),
        (
            ["mug_-0002", "mug_-0001", "mug_0000"],
            r"numbers from 0 on in shots, found the negative one of mug_-0002\.png",
        ),
        (["front", "0001"], r"names that end with the frame's number in shots, found front\.png; number the pictures"),
    ],
)
def test_what_is_refused(stems: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        numbered(*stems)


def test_one_picture_under_two_endings() -> None:
    with pytest.raises(DataError, match=r"found 0001\.jpg and 0001\.png"):
        numbered_pictures(FOLDER, ["0001.jpg", "0001.png", "0002.jpg"])


@pytest.mark.slow
def test_many_pictures_take_little_time() -> None:
    begin = time.process_time()
    assert len(numbered(*(f"frame_{number:06d}" for number in range(100_000))).names) == 100_000
    assert time.process_time() - begin < 10
