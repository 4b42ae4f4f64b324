"""From pictures to a predictions file: resumable, and blind to annotations."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from warpgrasp.data.ho3d.dataset import Ho3d
from warpgrasp.hand.model import HandModel
from warpgrasp.hand.templates import open_hand
from warpgrasp.inference.prediction import predict
from warpgrasp.predictions.file import read_predictions
from warpgrasp.predictions.shards import ShardWriter
from warpgrasp.reconstruction.network import HandObjectNetwork, NetworkConfig

SIZE = (64, 48)


@pytest.fixture(scope="module")
def network() -> HandObjectNetwork:
    torch.manual_seed(0)
    names = ("003_cracker_box", "006_mustard_bottle")
    return HandObjectNetwork(NetworkConfig(width=8), HandModel(open_hand()), names)


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warpgrasp.inference.prediction.SHARD_FRAMES", 6)


def test_every_frame_in_the_order_of_the_list(network, sample_root: Path, hand: HandModel, tmp_path: Path) -> None:
    dataset, path = Ho3d(sample_root, hand, size=SIZE), tmp_path / "p.npz"
    predict(network, dataset, dataset.names("train"), path, header={"x": "1"}, batch=4)
    predictions, header = read_predictions(path)
    assert predictions.names == dataset.names("train")
    assert header["x"] == "1"
    assert set(predictions.object_name[:8]) == {"006_mustard_bottle"}
    assert np.isfinite(predictions.hand_vertices).all()
    assert list(tmp_path.iterdir()) == [path]


def test_interrupted_and_gone_on_with_is_the_same_file(
    network, sample_root: Path, hand: HandModel, tmp_path: Path, monkeypatch
) -> None:
    dataset = Ho3d(sample_root, hand, size=SIZE)
    names = dataset.names("train")
    undisturbed, interrupted = tmp_path / "a" / "p.npz", tmp_path / "b" / "p.npz"
    undisturbed.parent.mkdir()
    interrupted.parent.mkdir()
    predict(network, dataset, names, undisturbed, header={})

    write = ShardWriter.write

    def until_the_third(self, shard: int, predictions) -> None:
        if shard == 2:
            raise KeyboardInterrupt
        write(self, shard, predictions)

    monkeypatch.setattr(ShardWriter, "write", until_the_third)
    with pytest.raises(KeyboardInterrupt):
        predict(network, dataset, names, interrupted, header={})
    assert sorted(path.name for path in (tmp_path / "b" / "p.npz.partial").iterdir()) == ["000000.npz", "000001.npz"]
    written: list[int] = []

    def counted(self, shard: int, predictions) -> None:
        written.append(shard)
        write(self, shard, predictions)

    monkeypatch.setattr(ShardWriter, "write", counted)
    predict(network, dataset, names, interrupted, header={})
    assert written == [2]
    assert interrupted.read_bytes() == undisturbed.read_bytes()
    assert list(interrupted.parent.iterdir()) == [interrupted]


def test_no_annotation_is_read(network, copied_root: Path, hand: HandModel, tmp_path: Path) -> None:
    paths = [tmp_path / "before.npz", tmp_path / "after.npz"]
    for path in paths:
        dataset = Ho3d(copied_root, hand, size=SIZE)
        names = dataset.names("train") + dataset.names("evaluation")
        predict(network, dataset, names, path, header={})
        for meta_path in copied_root.glob("*/*/meta/*.pkl"):
            meta = pickle.loads(meta_path.read_bytes())  # noqa: S301 (our own file)
            for key, value in meta.items():
                if key not in ("objName", "camMat"):
                    meta[key] = np.full(np.shape(value), np.nan)
            meta_path.write_bytes(pickle.dumps(meta, protocol=2))
        for name in ("evaluation_xyz.json", "evaluation_verts.json"):
            (copied_root / name).unlink(missing_ok=True)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_the_batch_does_not_matter(network, sample_root: Path, hand: HandModel, tmp_path: Path) -> None:
    dataset = Ho3d(sample_root, hand, size=SIZE)
    results = []
    for batch in (1, 4):
        path = tmp_path / f"{batch}.npz"
        predict(network, dataset, dataset.names("evaluation"), path, header={}, batch=batch)
        results.append(read_predictions(path)[0])
    np.testing.assert_allclose(results[0].hand_vertices, results[1].hand_vertices, rtol=0, atol=1e-5)
