import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.keypoints.hands_at import hand_at
from warpgrasp.errors import DataError
from warpgrasp.keypoints import HandBox, HandKeypoints, cached_keypoints, read_keypoints_file, write_keypoints


def assert_same(hand: HandKeypoints, other: HandKeypoints) -> None:
    for field in fields(HandKeypoints):
        value, expected = getattr(hand, field.name), getattr(other, field.name)
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, expected)
        elif isinstance(value, HandBox):
            assert value == expected
        else:
            assert value == pytest.approx(expected, rel=1e-6)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "hands.npz"
    unturned = replace(hand_at(3, 4), box=HandBox((1.0, 2.0), 3.0, None))
    write_keypoints(path, [[hand_at(1, 2), unturned], [], [hand_at(5, 6, right=0.1)]], "eagle-1")
    stored = read_keypoints_file(path)
    assert stored.identity == "eagle-1"
    assert [len(hands) for hands in stored.hands] == [2, 0, 1]
    assert_same(stored.hands[0][0], hand_at(1, 2))
    assert_same(stored.hands[0][1], unturned)
    assert_same(stored.hands[2][0], hand_at(5, 6, right=0.1))


def test_no_hands_are_written_and_read(tmp_path: Path) -> None:
    write_keypoints(tmp_path / "a.npz", [[], []], "eagle-1")
    assert read_keypoints_file(tmp_path / "a.npz").hands == [[], []]


@pytest.mark.parametrize(
    ("name", "array", "sentence"),
    [
        ("joints_px", np.zeros((1, 20, 2), np.float32), r"expected numbers of shape \(1, 21, 2\) in joints_px"),
        ("joints_px", np.full((1, 21, 2), np.inf, np.float32), "expected finite numbers in joints_px"),
        ("confidence", np.full((1, 21), 1.5, np.float32), "expected numbers from 0 to 1 in confidence"),
        ("presence", np.zeros(1, np.int64), "in presence"),
        ("box", np.full((1, 4), np.nan), "expected finite numbers in box"),
        ("picture", np.array([7]), "expected the number of a picture below 1"),
        ("header", np.array("{}"), "header cannot be read"),
        ("header", np.array('{"format": "x", "identity": "y", "pictures": 1}'), "found another header"),
        ("header", np.array([{"a": 1}], dtype=object), "cannot be read"),
    ],
)
def test_a_spoilt_file_is_refused(tmp_path: Path, name: str, array: np.ndarray, sentence: str) -> None:
    path = tmp_path / "hands.npz"
    write_keypoints(path, [[hand_at(1, 2)]], "eagle-1")
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez(path, **{**arrays, name: array})
    with pytest.raises(DataError, match=sentence) as refusal:
        read_keypoints_file(path)
    assert str(path) in str(refusal.value)


def test_an_array_that_promises_more_than_the_file_holds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "hands.npz"
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": "<f4", "fortran_order": False, "shape": (10**9, 21)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("joints_px.npy", content.getvalue())
    with pytest.raises(DataError, match="cannot be read: 128 bytes for an array of 84000000000"):
        read_keypoints_file(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY"])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "hands.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read"):
        read_keypoints_file(path)
    with pytest.raises(DataError, match="found no file"):
        read_keypoints_file(tmp_path / "none.npz")


class Counting:
    """A detector that says how often it was asked, in where it sees hands."""

    def __init__(self, identity: str = "counting-1"):
        self.identity = identity
        self.asked = 0

    def detect(self, pictures: np.ndarray, boxes: Sequence[Sequence[HandBox]] | None = None) -> list[Any]:
        self.asked += len(pictures)
        return [[hand_at(float(picture.mean()), 0)] for picture in pictures]

    def track(self, pictures: Iterable[np.ndarray], start: Sequence[HandBox] = ()) -> Iterator[Any]:
        for picture in pictures:
            self.asked += 1
            yield [hand_at(float(picture.mean()), 1)]


def test_the_cache_answers_the_second_time(tmp_path: Path) -> None:
    detector = Counting()
    pictures = [np.full((4, 5, 3), value, np.uint8) for value in (10, 20)]
    first = cached_keypoints(detector, pictures, folder=tmp_path / "cache")
    again = cached_keypoints(detector, [picture.copy() for picture in pictures], folder=tmp_path / "cache")
    assert detector.asked == 2
    for hands, others in zip(first, again, strict=True):
        assert_same(hands[0], others[0])


def test_other_content_other_detectors_and_other_ways_are_other_entries(tmp_path: Path) -> None:
    detector, folder = Counting(), tmp_path / "cache"
    pictures = [np.full((4, 6, 3), value, np.uint8) for value in (10, 20)]
    changed = [pictures[0], np.where(np.arange(3) == 1, 21, pictures[1]).astype(np.uint8)]
    reshaped = [picture.reshape(6, 4, 3) for picture in pictures]
    for others in (pictures, changed, reshaped, pictures[::-1], pictures[:1]):
        cached_keypoints(detector, others, folder=folder)
    assert detector.asked == 9
    cached_keypoints(detector, pictures, folder=folder, mode="detect")
    assert detector.asked == 11
    other = Counting("counting-2")
    cached_keypoints(other, pictures, folder=folder)
    assert other.asked == 2
    assert len(list(folder.iterdir())) == 7


def test_the_cache_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARPGRASP_CACHE", str(tmp_path))
    cached_keypoints(Counting(), [np.zeros((2, 2, 3), np.uint8)])
    assert [path.suffix for path in (tmp_path / "keypoints").iterdir()] == [".npz"]


def test_a_spoilt_cache_and_an_iterator_are_refused(tmp_path: Path) -> None:
    pictures = [np.zeros((2, 2, 3), np.uint8)]
    cached_keypoints(Counting(), pictures, folder=tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="this file of the cache is spoilt: remove it"):
        cached_keypoints(Counting(), pictures, folder=tmp_path)
    with pytest.raises(DataError, match="got an iterator"):
        cached_keypoints(Counting(), iter(pictures), folder=tmp_path)


def test_the_header_is_json(tmp_path: Path) -> None:
    write_keypoints(tmp_path / "a.npz", [[]], "eagle-1")
    with np.load(tmp_path / "a.npz") as stored:
        assert json.loads(str(stored["header"])) == {
            "format": "warpgrasp-keypoints-1",
            "identity": "eagle-1",
            "pictures": 1,
        }
