"""Many recordings densified by one command: each as by itself, whatever becomes of the others."""

import importlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.data.recording.recording_files import hand_parameters
from tests.refinement.test_densify_resuming import UNMOVED, edit
from tests.sample_set import Sample
from warpgrasp.cli import main
from warpgrasp.data import open_dataset
from warpgrasp.export.datasets import RecordingOptions, export_recording
from warpgrasp.hand.model import HandModel

NAMES = ("A1", "B1")


@pytest.fixture(scope="module")
def recordings(sample: Sample, hand: HandModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings of eight pictures with two labels each, and one without labels. Read only."""
    folder, dataset = tmp_path_factory.mktemp("recordings"), open_dataset(sample.root, hand)
    for name in NAMES:
        hands = {number: hand_parameters(sample.sequences["train"][name], number) for number in (1, 6)}
        export_recording(dataset, "train", name, folder / name, RecordingOptions((1, 6), (), hands, "frames"))
    shutil.copytree(folder / "A1", folder / "unlabelled")
    (folder / "unlabelled" / "annotations.json").unlink()
    return folder


@pytest.fixture
def unmoved(monkeypatch: pytest.MonkeyPatch) -> None:
    """The poses stay where they start: what is refined is not the matter here."""
    monkeypatch.setattr(importlib.import_module("warpgrasp.refinement.densify"), "ALL_FRAMES", UNMOVED)


def arrays(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "predictions.npz", allow_pickle=False) as members:
        return {name: members[name] for name in members.files if members[name].ndim}


def assert_same_files(found: Path, expected: Path) -> None:
    for name in ("annotations.json", "quality.csv"):
        assert (found / name).read_text() == (expected / name).read_text()
    own, others = arrays(found), arrays(expected)
    assert own.keys() == others.keys()
    for name, values in own.items():
        np.testing.assert_array_equal(values, others[name], err_msg=name)


@pytest.mark.slow
@pytest.mark.usefixtures("unmoved")
def test_each_is_as_by_itself_and_one_that_fails_is_named(recordings: Path, tmp_path: Path, capsys) -> None:
    words = ["--keypoints", "none", "--out"]
    assert main(["densify", str(recordings), *words, str(tmp_path / "all")]) == 1
    said, error = (" ".join(text.split()) for text in capsys.readouterr())
    assert "A1: 2 labels, 6 other frames" in said
    assert "unlabelled: failed: expected labels" in said
    assert error.startswith("warpgrasp: expected every recording to be densified, but 1 of 3 failed: unlabelled;")
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == list(NAMES)
    for name in NAMES:
        assert main(["densify", str(recordings / name), *words, str(tmp_path / name)]) == 0
        assert_same_files(tmp_path / "all" / name, tmp_path / name)


@pytest.mark.slow
@pytest.mark.usefixtures("unmoved")
def test_finished_ones_are_kept_while_their_inputs_are_the_same(recordings: Path, tmp_path: Path, capsys) -> None:
    folder, out = tmp_path / "folder", tmp_path / "out"
    for name in NAMES:
        shutil.copytree(recordings / name, folder / name)
    words = ["densify", str(folder), "--keypoints", "none", "--out", str(out)]
    assert main(words) == 0
    before = {name: (out / name / "predictions.npz").stat().st_mtime_ns for name in NAMES}
    capsys.readouterr()
    assert main(words) == 0
    assert capsys.readouterr().out.count("finished already") == 2
    edit(
        folder / "B1" / "annotations.json",
        lambda file: file["frames"][1]["object"]["translation"].__setitem__(2, 0.55),
    )
    assert main(words) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "A1: finished already" in said
    assert "B1: failed: expected predictions of the same labels, pictures and options" in said
    assert "(different: inputs.labels, inputs.start)" in said
    assert before == {name: (out / name / "predictions.npz").stat().st_mtime_ns for name in NAMES}
    assert main([*words, "--force"]) == 0
    assert before["B1"] != (out / "B1" / "predictions.npz").stat().st_mtime_ns


def test_what_is_of_many_is_refused_of_one(recordings: Path, tmp_path: Path, capsys) -> None:
    one, out = str(recordings / "A1"), ["--out", str(tmp_path / "out")]
    assert main(["densify", one, *out, "--ray", "auto"]) == 2
    assert "expected a folder of recordings with --ray or --workers, got one recording" in capsys.readouterr().err
    assert main(["densify", str(recordings), *out, "--workers", "2"]) == 2
    assert "expected --workers of at least 1, together with --ray, got 2" in capsys.readouterr().err
    (tmp_path / "k.json").write_text("{}")
    assert main(["densify", str(recordings), *out, "--keypoints", str(tmp_path / "k.json")]) == 2
    assert "expected --keypoints detector or none for many recordings" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("alone_with_ray")
def test_two_nodes_of_a_cluster_write_what_one_process_writes(recordings: Path, tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster

    words = ["densify", str(recordings), "--keypoints", "none", "--out"]
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        cluster.add_node(num_cpus=1)
        assert main([*words, str(tmp_path / "spread"), "--ray", cluster.address]) == 1  # one has no labels
    finally:
        cluster.shutdown()
    assert main([*words, str(tmp_path / "here")]) == 1
    for name in NAMES:
        assert_same_files(tmp_path / "spread" / name, tmp_path / "here" / name)
