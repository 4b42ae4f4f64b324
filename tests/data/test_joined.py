"""Several data sets as one, and training on one with the annotations of another."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from tests.data.ho3d.ho3d_files import edit_meta, to_version_3_with_gaps, write_wedge
from warpgrasp.cli import main
from warpgrasp.data.dataset import Dataset, join_datasets
from warpgrasp.data.frames import FrameSource
from warpgrasp.data.ho3d.dataset import Ho3d
from warpgrasp.errors import DataError
from warpgrasp.frame import FrameName, Frames
from warpgrasp.hand.model import HandModel
from warpgrasp.reconstruction.checkpoint import load_checkpoint
from warpgrasp.training.log import LogOptions
from warpgrasp.training.loop import Training, train_stage
from warpgrasp.training.recipes import RECIPES
from warpgrasp.training.run import fingerprint


@pytest.fixture(scope="module")
def synthetic_root(sample_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same sequences' names in another folder: one shows a wedge, and some frames have no annotation."""
    root = Path(shutil.copytree(sample_root, tmp_path_factory.mktemp("added") / "synthetic"))
    write_wedge(root)
    to_version_3_with_gaps(root)
    for path in (root / "train/B1/meta").iterdir():
        edit_meta(path, lambda meta: meta.update(objName="wedge"))
    return root


@pytest.fixture
def both(sample_root: Path, synthetic_root: Path, hand: HandModel) -> list[Ho3d]:
    return [Ho3d(root, hand) for root in (sample_root, synthetic_root)]


ADDED = [FrameName(f"synthetic:{sequence}", index) for sequence in ("A1", "B1") for index in range(8)]


def test_frames_come_from_the_one_that_has_them(both: list[Ho3d]) -> None:
    first, second = both
    whole = join_datasets(first, [second])
    assert isinstance(whole, Dataset)
    assert whole.names("train") == [*first.names("train"), *ADDED]
    assert whole.names("evaluation") == first.names("evaluation")
    assert whole.sequences["train"].keys() == {"A1", "B1", "synthetic:A1", "synthetic:B1"}
    assert whole.sequences["evaluation"] == first.sequences["evaluation"]
    assert (whole.root, whole.hand, whole.size) == (first.root, first.hand, None)
    assert whole.protocol == "ho3d/official+synthetic:ho3d/official"
    name, own = FrameName("synthetic:B1", 3), FrameName("B1", 3)
    frame = whole.at_size((64, 48)).frame(name, annotated=True)
    assert frame.name == name
    assert frame.object.name == "wedge"
    assert frame.image.shape == (3, 48, 64)
    assert torch.equal(frame.image, second.at_size((64, 48)).frame(own, annotated=False).image)
    assert_close(whole.truth(name).annotation.hand_joints, second.truth(own).annotation.hand_joints)
    assert whole.frame(own, annotated=True).object.name == "003_cracker_box"
    assert not whole.is_annotated(FrameName("synthetic:B1", 0))
    assert whole.is_annotated(FrameName("B1", 0))
    assert whole.picture_file(name) == second.picture_file(own)
    assert whole.annotation_files(name) == second.annotation_files(own)
    assert [model.name for model in whole.objects("train")] == ["003_cracker_box", "006_mustard_bottle", "wedge"]
    assert [model.name for model in whole.objects("evaluation")] == ["006_mustard_bottle"]
    assert whole.object_model("wedge").name == "wedge"


def test_folders_of_one_name_get_labels_of_their_own(both: list[Ho3d], synthetic_root: Path, tmp_path: Path) -> None:
    third = Ho3d(Path(shutil.copytree(synthetic_root, tmp_path / "synthetic")), both[0].hand)
    whole = join_datasets(both[0], [both[1], third])
    assert [one.label for one in whole.added] == ["synthetic", "synthetic-2"]
    with pytest.raises(DataError, match=r"expected each data set once, found .*synthetic again"):
        join_datasets(both[0], [both[1], both[1]])
    with pytest.raises(DataError, match="expected each data set once"):
        join_datasets(both[0], [both[0]])


def test_two_meshes_under_one_name_are_refused(both: list[Ho3d], synthetic_root: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(synthetic_root, tmp_path / "scaled"))
    path = root / "models/006_mustard_bottle/textured_simple.obj"
    rows = [line.split() for line in path.read_text().splitlines()]
    path.write_text("\n".join(" ".join([*row[:3], str(1.1 * float(row[3]))] if row[0] == "v" else row) for row in rows))
    with pytest.raises(DataError, match=r"expected the same mesh of 006_mustard_bottle in .* and .*scaled, found"):
        join_datasets(both[0], [Ho3d(root, both[0].hand)]).objects("train")


def test_the_fraction_acts_on_the_first_alone(both: list[Ho3d]) -> None:
    recipe = RECIPES["toy"]()
    alone, together = Training.prepare(recipe, both[0]), Training.prepare(recipe, both[0], both[1:])
    assert together.labels == alone.labels
    usable = [
        name for name in ADDED if name.index not in {"synthetic:A1": [2, 3, 4, 5], "synthetic:B1": [0]}[name.sequence]
    ]
    assert together.supervised_names == [*alone.labels.annotated_names, *usable]
    assert alone.supervised_names == alone.labels.annotated_names
    assert all(together.source.frame(name).annotation is not None for name in together.supervised_names)
    paired = {*together.labels.comparable_names, *map(together.labels.reference, together.labels.comparable_names)}
    assert not paired & set(ADDED)
    assert [model.name for model in together.objects] == ["003_cracker_box", "006_mustard_bottle", "wedge"]


def test_the_fingerprint_knows_the_added_annotations(both: list[Ho3d], synthetic_root: Path, tmp_path: Path) -> None:
    recipe = RECIPES["toy"]()
    root = Path(shutil.copytree(synthetic_root, tmp_path / "synthetic"))
    copy = Ho3d(root, both[0].hand)
    alone = fingerprint(Training.prepare(recipe, both[0]))
    before = fingerprint(Training.prepare(recipe, both[0], both[1:]))
    assert fingerprint(Training.prepare(recipe, both[0], [copy])) == before != alone
    edit_meta(root / "train/B1/meta/0003.pkl", lambda meta: meta.update(objLabel=99))
    assert fingerprint(Training.prepare(recipe, both[0], [Ho3d(root, both[0].hand)])) != before


def test_the_batches_are_drawn_from_both_and_the_pairs_from_the_first(
    both: list[Ho3d], tmp_path: Path, monkeypatch
) -> None:
    pools: list[list[FrameName]] = []

    def draw(items: list[FrameName], **options) -> list[FrameName]:
        pools.append(list(items))
        return items[-options["batch"] :]

    monkeypatch.setattr("warpgrasp.training.loop.draw", draw)
    training = Training.prepare(RECIPES["toy"](), both[0], both[1:])
    once = replace(training.recipe.stage1, steps=1)
    first = train_stage(training, once, tmp_path / "1.safetensors", log=LogOptions(show_progress=False))
    train_stage(training, once, tmp_path / "2.safetensors", initial=first, log=LogOptions(show_progress=False))
    supervised = training.supervised_names
    assert len(supervised) == len(training.labels.annotated_names) + 11
    assert pools == [supervised, supervised, training.labels.comparable_names]


def test_added_frames_have_their_share_of_every_batch(both: list[Ho3d], tmp_path: Path, monkeypatch) -> None:
    drawn: list[list[FrameName]] = []
    frames = FrameSource.frames

    def noted(self: FrameSource, names: list[FrameName]) -> Frames:
        drawn.append(list(names))
        return frames(self, names)

    monkeypatch.setattr(FrameSource, "frames", noted)
    recipe = replace(RECIPES["toy"](), added_share=0.75)
    training = Training.prepare(recipe, both[0], both[1:])
    stage1 = replace(recipe.stage1, steps=5)
    train_stage(training, stage1, tmp_path / "1.safetensors", log=LogOptions(show_progress=False))
    own, added = set(training.labels.annotated_names), set(training.added_names)
    assert [[len(own & {name}) for name in names] for names in drawn] == [[1, 0, 0, 0]] * 5
    assert {name for names in drawn for name in names} == own | added
    assert fingerprint(training) != fingerprint(replace(training, recipe=replace(recipe, added_share=0.5)))


@pytest.mark.slow
def test_train_with_extra_data(sample_root: Path, synthetic_root: Path, tmp_path: Path, capsys) -> None:
    run = tmp_path / "run"
    words = ["train", "toy", "--data", str(sample_root), "--extra-data", str(synthetic_root), "--out", str(run)]
    words += ["--stage1.steps", "2", "--stage2.steps", "2"]
    assert main(words) == 0
    assert "11 annotated frames of extra data" in " ".join(capsys.readouterr().out.split())
    added = json.loads((run / "run.json").read_text())["data"]["added"]
    expected = {"label": "synthetic", "root": str(synthetic_root), "protocol": "ho3d/official", "annotated_frames": 11}
    assert added == [expected]
    names = {thing.name for thing in load_checkpoint(run / "weights.safetensors").objects}
    assert names == {"003_cracker_box", "006_mustard_bottle", "wedge"}
    assert main(words) == 0  # finished already
    without = [word for word in words if word not in ("--extra-data", str(synthetic_root))]
    assert main(without) == 1
    assert "choose another folder" in capsys.readouterr().err
    predict = ["predict", str(sample_root), "--weights", str(run), "--out", str(tmp_path / "p.npz")]
    assert main(predict) == 0
