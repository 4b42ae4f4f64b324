"""The predictions file: fixed bytes, resumable, and refused when it is not one."""

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from warpgrasp.frame import FrameName
from warpgrasp.predictions.file import Predictions, PredictionsError, read_predictions, write_predictions
from warpgrasp.predictions.shards import ShardWriter


def predictions(count: int, first: int = 0) -> Predictions:
    generator = np.random.default_rng(first)

    def numbers(*shape: int) -> np.ndarray:
        return generator.normal(size=(count, *shape)).astype(np.float32)

    return Predictions(
        sequence=np.array(["A1"] * count),
        index=np.arange(first, first + count),
        object_name=np.array(["box"] * count),
        hand_vertices=numbers(7, 3),
        hand_joints=numbers(21, 3),
        hand_rotation=numbers(3, 3),
        hand_translation=numbers(3),
        hand_pose=numbers(15),
        hand_shape=numbers(10),
        object_rotation=numbers(3, 3),
        object_translation=numbers(3),
    )


def test_round_trip(tmp_path: Path) -> None:
    path, written = tmp_path / "p.npz", predictions(3)
    write_predictions(path, written, {"hand": "open-hand right"})
    read, header = read_predictions(path)
    for one in fields(Predictions):
        assert np.array_equal(getattr(read, one.name), getattr(written, one.name)), one.name
    assert header == {"format": "warpgrasp-predictions-1", "hand": "open-hand right"}
    assert read.names == [FrameName("A1", index) for index in range(3)]


def test_equal_predictions_make_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        write_predictions(tmp_path / name, predictions(3), {"x": "1", "y": "2"})
    write_predictions(tmp_path / "c.npz", predictions(3), {"y": "2", "x": "1"})
    contents = {path.read_bytes() for path in tmp_path.iterdir()}
    assert len(contents) == 1


def test_anything_that_reads_npz_reads_it_without_pickle(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.npz", predictions(2), {})
    with np.load(tmp_path / "p.npz", allow_pickle=False) as stored:
        assert all(stored[name].dtype != object for name in stored.files)


def test_shards_join_in_order_and_go(tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    writer = ShardWriter(path, {"x": "1"})
    writer.write(1, predictions(2, first=3))
    writer.write(0, predictions(3))
    assert ShardWriter(path, {"x": "1"}).has(0)
    assert not writer.has(2)
    writer.finish(2)
    assert [name.index for name in read_predictions(path)[0].names] == [0, 1, 2, 3, 4]
    assert list(tmp_path.iterdir()) == [path]


def test_shards_of_other_predictions_are_refused(tmp_path: Path) -> None:
    ShardWriter(tmp_path / "p.npz", {"weights": "1"}).write(0, predictions(2))
    with pytest.raises(PredictionsError, match=r"unfinished predictions of the same weights.*p\.npz\.partial"):
        ShardWriter(tmp_path / "p.npz", {"weights": "2"})


def test_files_that_are_no_predictions(tmp_path: Path) -> None:
    with pytest.raises(PredictionsError, match=r"found no file .*none\.npz; run `warpgrasp predict` first"):
        read_predictions(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("hello")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    np.savez(tmp_path / "format.npz", header=np.array(json.dumps({"format": "something"})))
    whole = tmp_path / "whole.npz"
    write_predictions(whole, predictions(3), {})
    (tmp_path / "cut.npz").write_bytes(whole.read_bytes()[:-200])
    for name in ("text", "other", "format", "cut"):
        with pytest.raises(PredictionsError, match=rf"expected a predictions file .*{name}\.npz"):
            read_predictions(tmp_path / f"{name}.npz")
