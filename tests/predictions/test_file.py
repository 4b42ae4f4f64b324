"""The predictions file: fixed bytes, resumable, and refused when it is not one."""

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from warpgrasp.frame import FrameName
from warpgrasp.locks import LockedError
from warpgrasp.predictions.file import Predictions, PredictionsError, read_predictions, write_predictions
from warpgrasp.predictions.shards import ShardWriter, remove_finished_shards


def predictions(count: int, first: int = 0) -> Predictions:
    generator = np.random.default_rng(first)

    def numbers(*shape: int) -> np.ndarray:
        return generator.normal(size=(count, *shape)).astype(np.float32)

    def rotations() -> np.ndarray:
        return Rotation.from_rotvec(numbers(3)).as_matrix().astype(np.float32)

    return Predictions(
        sequence=np.array(["A1"] * count),
        index=np.arange(first, first + count),
        object_name=np.array(["box"] * count),
        hand_vertices=numbers(7, 3),
        hand_joints=numbers(21, 3),
        hand_rotation=rotations(),
        hand_translation=numbers(3),
        hand_pose=numbers(15),
        hand_shape=numbers(10),
        object_rotation=rotations(),
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
    with ShardWriter(path, {"x": "1"}) as writer:
        writer.write(1, predictions(2, first=3))
    with ShardWriter(path, {"x": "1"}) as writer:
        assert (writer.has(0), writer.has(1), writer.has(2)) == (False, True, False)
        writer.write(0, predictions(3))
        writer.finish(2)
    assert [name.index for name in read_predictions(path)[0].names] == [0, 1, 2, 3, 4]
    assert list(tmp_path.iterdir()) == [path]


def test_shards_of_other_predictions_are_refused(tmp_path: Path) -> None:
    with ShardWriter(tmp_path / "p.npz", {"weights": "1"}) as writer:
        writer.write(0, predictions(2))
    refused = pytest.raises(PredictionsError, match=r"unfinished predictions of the same weights.*p\.npz\.partial")
    for _ in range(2):  # not locked by the first
        with refused, ShardWriter(tmp_path / "p.npz", {"weights": "2"}):
            pass


def test_one_at_a_time_writes_a_file(tmp_path: Path) -> None:
    """Else the shards of two networks would be joined."""
    path = tmp_path / "p.npz"
    with ShardWriter(path, {"weights": "1"}) as writer:
        with pytest.raises(LockedError, match=r"at work in .*p\.npz\.partial, found one: process \d+"):
            ShardWriter(path, {"weights": "1"}).__enter__()
        writer.write(0, predictions(2))
        writer.finish(1)
    assert list(tmp_path.iterdir()) == [path]


def test_shards_go_through_no_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "p.npz.partial").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PredictionsError, match="found a link"), ShardWriter(tmp_path / "p.npz", {}):
        pass
    remove_finished_shards(tmp_path / "p.npz")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_shards_that_a_killed_process_left_beside_the_finished_file_go(tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    for weights, stay in (("1", False), ("2", True)):
        with ShardWriter(path, {"weights": "1"}) as writer:
            writer.write(0, predictions(2))
            writer.finish(1, notes=lambda: {"more": "said at the end"})
        with ShardWriter(path, {"weights": weights}) as writer:
            writer.write(0, predictions(2))
        remove_finished_shards(path)
        assert (tmp_path / "p.npz.partial").exists() == stay


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
