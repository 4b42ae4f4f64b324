"""HO-3D's splits by name, wherever their sequences lie, and what the folder lacks."""

import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
from torch.testing import assert_close

from tests.data.ho3d.ho3d_files import to_version_2
from warpgrasp.cli import main
from warpgrasp.data import examine
from warpgrasp.data.dataset import SPLITS
from warpgrasp.data.ho3d import files as folder_module
from warpgrasp.data.ho3d.dataset import Ho3d
from warpgrasp.data.ho3d.files import PLANS
from warpgrasp.errors import DataError
from warpgrasp.frame import FrameName
from warpgrasp.hand.model import HandModel

NAMED = [plan for plan in PLANS.values() if not isinstance(plan.splits, str)]


def listed(text: str) -> set[str]:
    """`SM2-4 SS1` as the sequences that it means."""
    names = set()
    for word in text.split():
        prefix, first, last = re.fullmatch(r"([A-Za-z]+)(\d+)(?:-(\d+))?", word).groups()
        names |= {f"{prefix}{number}" for number in range(int(first), int(last or first) + 1)}
    return names


# Written again from the descriptions, in another notation than the source's.
EXPECTED = {
    "ho3d/objects": {
        "train": "ABF11-14 BB10 BB12-14 GPMF10-11 GPMF13-14 GSF10-12 GSF14 MC2 MC4-6 MDF10-13 SB10 SB12 ShSu12-14 "
        "SiBF10 SiBF12-14 SM2 SM4-5 SMu40-42 SS1 SS3",
        "validation": "ABF11 BB12 GPMF13 GSF14",
        "evaluation": "ABF10 MC1 MDF14 BB11 GPMF12 GSF13 SB14 ShSu10 SM3 SMu1 SiBF11 SS2",
    },
    "ho3d/paper-appendix-b": {"train": "SM2-5 MC1 MC5-6 SS1-3", "validation": "", "evaluation": "SM1 MC2"},
    "ho3d/paper-appendix-b-mc2": {"train": "SM2-5 MC1 MC5-6 SS1-3", "validation": "", "evaluation": "MC2"},
    "ho3d/like-v1": {"train": "SM2-5 MC1 MC4-6 SS1-3", "validation": "", "evaluation": "MC2"},
}


@pytest.mark.parametrize("name", EXPECTED)
def test_sequences_of_each_protocol(name: str) -> None:
    splits = PLANS[name].splits
    for split in SPLITS:
        assert len(splits[split]) == len(set(splits[split]))
        assert set(splits[split]) == listed(EXPECTED[name][split]), split


def test_what_the_splits_share() -> None:
    objects, disjoint = PLANS["ho3d/objects"].splits, PLANS["ho3d/objects-trainval"].splits
    assert set(objects["validation"]) <= set(objects["train"])  # by design
    assert set(disjoint["train"]) == set(objects["train"]) - set(objects["validation"])
    assert disjoint["validation"] == objects["validation"]
    for protocol in NAMED:
        assert not set(protocol.splits["evaluation"]) & {*protocol.splits["train"], *protocol.splits["validation"]}
    assert len(PLANS["ho3d/paper-appendix-b"].splits["train"]) == 10
    assert len(PLANS["ho3d/like-v1"].splits["train"]) == 11


@pytest.fixture(scope="module")
def appendix_root(sample_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sequences of the paper's Appendix B: SM1 under evaluation/, as in version 2, all others under train/."""
    root = Path(shutil.copytree(sample_root, tmp_path_factory.mktemp("appendix") / "HO3D_v2"))
    (root / "evaluation/E1").rename(root / "evaluation/SM1")
    (root / "evaluation.txt").write_text((root / "evaluation.txt").read_text().replace("E1/", "SM1/"))
    wanted = sorted({*PLANS["ho3d/paper-appendix-b"].splits["train"], "MC2", "MC4"})
    for name in wanted:
        (root / "train" / name).symlink_to(root / "train" / ("B1" if name.startswith("MC") else "A1"))
    # MC4 is in no list: its frames are those that have a picture.
    lines = [f"{name}/{index:04d}\n" for name in wanted if name != "MC4" for index in range(8)]
    (root / "train.txt").write_text("".join(lines))
    return root


def test_sequences_are_found_wherever_they_lie(appendix_root: Path, hand: HandModel) -> None:
    dataset = Ho3d.open(appendix_root, hand, protocol="paper-appendix-b")
    assert dataset.protocol == "ho3d/paper-appendix-b"
    assert list(dataset.sequences["evaluation"]) == ["SM1", "MC2"]
    assert Counter(name.sequence for name in dataset.names("evaluation")) == {"SM1": 4, "MC2": 8}
    assert len(dataset.names("train")) == 80
    assert dataset.names("validation") == []
    assert {model.name for model in dataset.objects("evaluation")} == {"006_mustard_bottle", "003_cracker_box"}
    every = dataset.names("train") + dataset.names("evaluation")
    assert all(dataset.is_annotated(name) for name in every)
    # MC2 is annotated under train/, SM1 by the lists for evaluation; either is the frame that it was copied from.
    official = Ho3d(appendix_root, hand)
    for name in (FrameName("MC2", 3), FrameName("SM1", 2)):
        assert_close(dataset.truth(name).annotation.hand_joints, official.truth(name).annotation.hand_joints)
    assert dataset.truth(FrameName("MC2", 3)).annotation.hand_rotation is not None
    assert dataset.truth(FrameName("SM1", 2)).annotation.hand_rotation is None
    assert list(Ho3d.open(appendix_root, hand, protocol="paper-appendix-b-mc2").sequences["evaluation"]) == ["MC2"]
    like = Ho3d.open(appendix_root, hand, protocol="ho3d/like-v1")
    assert like.sequences["train"]["MC4"] == list(range(8))
    assert like.is_annotated(FrameName("MC4", 7))


def test_the_truth_of_sm1_keeps_its_rows_under_every_protocol(appendix_root: Path, sample, hand: HandModel) -> None:
    truth = Ho3d.open(appendix_root, hand, protocol="paper-appendix-b").truth(FrameName("SM1", 1))
    original = Ho3d(sample.root, hand).truth(FrameName("E1", 1))
    assert_close(truth.annotation.hand_vertices, original.annotation.hand_vertices)


def test_missing_sequences_are_named_all_at_once(sample_root: Path, hand: HandModel) -> None:
    dataset = Ho3d.open(sample_root, hand, protocol="paper-appendix-b-mc2")
    pattern = r"ho3d/paper-appendix-b-mc2 .*missing 11: MC1, MC2, MC5, MC6, SM2, SM3, SM4, SM5, SS1, SS2, SS3$"
    with pytest.raises(DataError, match=pattern):
        dataset.names("train")


def test_official_is_what_the_lists_say(copied_root: Path, hand: HandModel) -> None:
    (copied_root / "train.txt").write_text("B1/0003\nE1/0001\nB1/0001\n")
    dataset = Ho3d.open(copied_root, hand, protocol="official")
    names = [FrameName("B1", 3), FrameName("E1", 1), FrameName("B1", 1)]
    assert dataset.names("train") == names
    assert dataset.sequences["train"] == {"B1": [3, 1], "E1": [1]}
    assert dataset.truth(names[1]).annotation.hand_rotation is None  # it lies under evaluation/


def test_trainval_cuts_the_list(sample_root: Path, hand: HandModel, monkeypatch) -> None:
    with pytest.raises(DataError, match=r"expected more than 60000 lines in .*train\.txt .*found 16"):
        Ho3d.open(sample_root, hand, protocol="trainval").names("train")
    monkeypatch.setattr(folder_module, "TRAINVAL_TRAINING_LINES", 10)
    dataset, official = Ho3d.open(sample_root, hand, protocol="trainval"), Ho3d(sample_root, hand)
    assert dataset.names("train") == official.names("train")[:10]
    assert dataset.names("validation") == official.names("train")[10:]
    assert dataset.names("evaluation") == official.names("evaluation")
    assert dataset.sequences["validation"] == {"B1": [2, 3, 4, 5, 6, 7]}
    assert all(dataset.is_annotated(name) for name in dataset.names("validation"))


def test_unknown_protocols_are_refused(sample_root: Path, hand: HandModel) -> None:
    with pytest.raises(DataError, match=r"expected a protocol of HO-3D \(ho3d/official, .*\), got 'fphab/actions'"):
        Ho3d.open(sample_root, hand, protocol="fphab/actions")


def test_a_sequence_in_both_places_is_refused(copied_root: Path, hand: HandModel) -> None:
    (copied_root / "evaluation/A1").symlink_to(copied_root / "train/A1")
    with pytest.raises(DataError, match=r"expected the sequence A1 under train/ or under evaluation/ .*found both"):
        Ho3d(copied_root, hand).frame(FrameName("A1", 0), annotated=True)


def test_a_line_twice_is_refused(copied_root: Path, hand: HandModel) -> None:
    (copied_root / "evaluation.txt").write_text("E1/0000\nE1/0001\nE1/0000\n")
    with pytest.raises(
        DataError, match=r"expected each frame once in .*evaluation\.txt, found E1/0000 again in line 3"
    ):
        Ho3d(copied_root, hand).names("evaluation")


def doctor(root: Path, capsys, *words: str, status: int = 0) -> str:
    capsys.readouterr()
    assert main(["doctor", "--data", str(root), *words]) == status
    shown = capsys.readouterr()
    return " ".join((shown.err if status else shown.out).split())


def test_doctor_counts_and_compares(copied_root: Path, capsys) -> None:
    page = doctor(copied_root, capsys)
    assert "train: 2 sequences, 16 frames (HO-3D v3 has 78297)" in page
    assert "evaluation: 1 sequences, 4 frames (HO-3D v3 has 20137)" in page
    assert page.endswith("nothing is missing")
    to_version_2(copied_root)
    (copied_root / "evaluation_verts.json").unlink()
    (copied_root / "train/A1/meta/0003.pkl").unlink()
    page = doctor(copied_root, capsys)
    assert "train: 2 sequences, 16 frames (HO-3D v2 has 66034)" in page
    assert "evaluation: 1 sequences, 4 frames (HO-3D v2 has 11524)" in page
    assert "train: 1 frames without annotation, 1 of them without file" in page
    assert page.count("evaluation_verts.json missing") == 1
    assert page.endswith("nothing else is missing")


def test_doctor_counts_pictures_that_no_list_names(copied_root: Path, hand: HandModel) -> None:
    lines = (copied_root / "train.txt").read_text().split()
    (copied_root / "train.txt").write_text("\n".join(line for line in lines if line not in ("A1/0006", "B1/0002")))
    (copied_root / "train/B1/meta/0002.pkl").unlink()
    said = [line for line in examine(copied_root, hand) if "neither list" in line]
    assert len(said) == 1
    assert said[0].startswith("train/: 2 pictures that neither list names, 1 of them with an annotation file, ")
    assert "A1/rgb/0006.jpg" in said[0]
    assert len(Ho3d.open(copied_root, hand).names("train")) == 14


def test_doctor_says_once_what_is_missing_and_where_it_is(copied_root: Path, tmp_path: Path, capsys) -> None:
    for index in (1, 4, 6):
        (copied_root / f"train/A1/rgb/{index:04d}.jpg").unlink()
    with (copied_root / "train.txt").open("a") as lines:
        lines.writelines(f"ABF{number}/{index:04d}\n" for number in (12, 13) for index in range(50))
    (copied_root / "models/003_cracker_box").rename(tmp_path / "elsewhere")
    said = doctor(copied_root, capsys, status=1)
    assert "missing 2 sequences under train/ or evaluation/ (ABF12, ABF13); 3 pictures, the first " in said
    assert "A1/rgb/0001.jpg; 1 models of train under models/ ('003_cracker_box'). HO-3D is free for academic" in said
    assert "posecnn" in said
    (tmp_path / "empty").mkdir()
    said = doctor(tmp_path / "empty", capsys, "--layout", "ho3d", status=1)
    assert "missing train.txt; evaluation.txt; train/; evaluation/; models/. HO-3D is free" in said
    shutil.rmtree(copied_root / "models")
    said = doctor(copied_root, capsys, status=1)
    assert "missing models/; 2 sequences under train/ or evaluation/ (ABF12, ABF13); 3 pictures, the first " in said
    assert said.count("models") == 3  # of which two say where they come from
    shutil.rmtree(copied_root / "evaluation")
    said = doctor(copied_root, capsys, status=1)
    assert "missing evaluation/; models/; 3 pictures, the first " in said
    (copied_root / "evaluation").mkdir()
    said = doctor(copied_root, capsys, "--protocol", "like-v1", status=1)
    assert "missing models/; 12 sequences under train/ or evaluation/ (MC1, MC2, MC4" in said
