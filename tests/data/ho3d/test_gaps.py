"""HO-3D's frames without annotation, without camera or without file, in both versions, down to the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from tests.data.ho3d.ho3d_files import edit_meta, to_version_2, to_version_3_with_gaps
from warpgrasp.cli import main
from warpgrasp.data.ho3d import annotations as annotation_module
from warpgrasp.data.ho3d.dataset import Ho3d
from warpgrasp.errors import DataError
from warpgrasp.frame import FrameName
from warpgrasp.hand.model import HandModel


@pytest.fixture
def gaps(copied_root: Path) -> dict[str, list[int]]:
    return to_version_3_with_gaps(copied_root)


def test_frames_without_annotation_stay_as_such(copied_root: Path, gaps, hand: HandModel) -> None:
    dataset = Ho3d(copied_root, hand)
    assert len(dataset.names("train")) == 16
    without = {name for name in dataset.names("train") if not dataset.is_annotated(name)}
    assert without == {FrameName(sequence, index) for sequence, frames in gaps.items() for index in frames}
    assert [model.name for model in dataset.objects("train")] == ["003_cracker_box", "006_mustard_bottle"]
    for name in without:
        frame = dataset.frame(name, annotated=False)
        assert frame.annotation is None
        assert frame.object.name == {"A1": "006_mustard_bottle", "B1": "003_cracker_box"}[name.sequence]
        for read in (dataset.truth, lambda name: dataset.frame(name, annotated=True)):
            with pytest.raises(DataError, match=rf"{name.sequence}/meta/{name.index:04d}\.pkl gives no hand or no obj"):
                read(name)


def test_the_camera_is_that_of_the_nearest_frame_that_has_one(copied_root: Path, gaps, hand: HandModel) -> None:
    def camera(index: int) -> torch.Tensor:
        return Ho3d(copied_root, hand).frame(FrameName("A1", index), annotated=False).camera.intrinsics

    # Each frame's camera says which frame it is of: a moving zoom.
    for index in (0, 1, 2, 6, 7):
        path = copied_root / f"train/A1/meta/{index:04d}.pkl"
        edit_meta(path, lambda meta, index=index: meta["camMat"].__setitem__((0, 2), 100.0 + index))
    found = {index: int(camera(index)[0, 2]) - 100 for index in range(8)}
    assert found == {0: 0, 1: 1, 2: 2, 3: 2, 4: 2, 5: 6, 6: 6, 7: 7}  # frame 4 is as far from 2 as from 6: the earlier
    assert_close(camera(3)[1], annotation_module.read_meta(path).tensor("camMat", (3, 3))[1])


def test_a_sequence_without_any_camera_is_refused(copied_root: Path, hand: HandModel) -> None:
    for path in (copied_root / "train/A1/meta").iterdir():
        edit_meta(path, lambda meta: meta.update(camMat=None))
    with pytest.raises(DataError, match=r"expected a camera \(camMat\) in .*A1/meta/0003\.pkl or in another frame of"):
        Ho3d(copied_root, hand).frame(FrameName("A1", 3), annotated=False)


def test_a_sequence_without_any_object_is_refused(copied_root: Path, hand: HandModel) -> None:
    for path in (copied_root / "train/A1/meta").iterdir():
        edit_meta(path, lambda meta: meta.update(objName=None))
    with pytest.raises(DataError, match=r"expected an object \(objName\) in .*A1/meta/0003\.pkl or in another frame"):
        Ho3d(copied_root, hand).frame(FrameName("A1", 3), annotated=False)


@pytest.mark.parametrize(
    "matrix",
    [
        [[400, 0, 0], [0, 400, 0], [160, 120, 1]],  # transposed
        [[-400, 0, 160], [0, 400, 120], [0, 0, 1]],
        [[0, 0, 160], [0, 0, 120], [0, 0, 1]],
        [[400, 9, 160], [0, 400, 120], [0, 0, 1]],
        [[1e9, 0, 160], [0, 1e9, 120], [0, 0, 1]],
    ],
)
def test_matrices_that_are_no_camera_are_refused(copied_root: Path, hand: HandModel, matrix: list) -> None:
    edit_meta(copied_root / "train/A1/meta/0000.pkl", lambda meta: meta.update(camMat=np.array(matrix, dtype=float)))
    with pytest.raises(DataError, match=r"expected camMat of .*A1/meta/0000\.pkl as \[\[fx 0 cx\]"):
        Ho3d(copied_root, hand).frame(FrameName("A1", 0), annotated=False)


def test_without_their_truth_evaluation_frames_can_still_be_predicted(
    copied_root: Path, hand: HandModel, trained_run: Path, tmp_path: Path, capsys
) -> None:
    (copied_root / "evaluation_xyz.json").unlink()
    dataset = Ho3d(copied_root, hand)
    assert not any(dataset.is_annotated(name) for name in dataset.names("evaluation"))
    assert dataset.frame(FrameName("E1", 0), annotated=False).object.name == "006_mustard_bottle"
    out = tmp_path / "p.npz"
    assert main(["predict", str(copied_root), "--weights", str(trained_run), "--out", str(out)]) == 0
    assert main(["doctor", "--data", str(copied_root)]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(out), "--data", str(copied_root)]) == 1
    assert "expected frames with annotation" in capsys.readouterr().err


def test_a_second_start_reads_no_annotation(copied_root: Path, gaps, hand: HandModel, monkeypatch) -> None:
    import os

    for path in copied_root.rglob("*.pkl"):
        os.utime(path, (1_600_000_000, 1_600_000_000))
    first = Ho3d(copied_root, hand)
    annotated = [first.is_annotated(name) for name in first.names("train")]

    def refuse(path: Path) -> None:
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr(annotation_module, "read_meta", refuse)
    second = Ho3d(copied_root, hand)
    assert [second.is_annotated(name) for name in second.names("train")] == annotated
    assert len(second.objects("train")) == 2
    half = second.at_size((160, 120))
    assert half.folder is second.folder


@pytest.mark.slow
@pytest.mark.parametrize("version", ["v2", "v3 with gaps"])
def test_train_predict_evaluate(copied_root: Path, tmp_path: Path, version: str) -> None:
    gaps = {}
    if version == "v2":
        to_version_2(copied_root)
    else:
        gaps = to_version_3_with_gaps(copied_root)
    run, out, scores = tmp_path / "run", tmp_path / "p.npz", tmp_path / "scores.json"
    fraction = "0.5" if version == "v2" else "1"  # every annotated frame; the gaps are then the pairs' targets
    words = ["--stage1.steps", "2", "--stage2.steps", "2", "--fraction", fraction]
    assert main(["train", "toy", "--data", str(copied_root), "--out", str(run), *words]) == 0
    notes = json.loads((run / "run.json").read_text())
    assert notes["data"]["protocol"] == "ho3d/official"
    assert notes["data"]["added"] == []
    chosen = notes["labels"]["annotated"]
    if version == "v2":
        assert chosen == {"A1": [0, 2, 4, 6], "B1": [0, 2, 4, 6]}
    else:
        assert chosen == {name: [index for index in range(8) if index not in gaps[name]] for name in ("A1", "B1")}
    for split, frames in (("train", 16), ("evaluation", 4)):
        words = ["--weights", str(run), "--split", split, "--out", str(out), "--force"]
        assert main(["predict", str(copied_root), *words]) == 0
        assert main(["evaluate", str(out), "--data", str(copied_root), "--out", str(scores)]) == 0
        written = json.loads(scores.read_text())
        without = sum(map(len, gaps.values())) if split == "train" else 0
        assert (written["frames"], written["frames_without_truth"]) == (frames - without, without)
        assert all(0 < value < 1e5 for value in written["scores"].values())
