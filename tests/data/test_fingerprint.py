"""What frames are read from decides what is stored of them."""

from pathlib import Path

from tests.training.runs import spoil
from warpgrasp.data import open_dataset
from warpgrasp.data.frames import fingerprint_of_frames
from warpgrasp.hand.model import HandModel


def test_pictures_annotations_and_the_choice_of_frames_decide(
    sample_root: Path, copied_root: Path, hand: HandModel
) -> None:
    def fingerprint(root: Path, start: int = 0) -> str:
        dataset = open_dataset(root, hand)
        return fingerprint_of_frames(dataset, dataset.names("evaluation")[start:])

    known = fingerprint(sample_root)
    assert fingerprint(copied_root) == known  # a copy is as good
    folder = next(path for path in (copied_root / "evaluation").iterdir() if path.is_dir())
    marks = [known, fingerprint(copied_root, 1)]
    for path in (sorted((folder / "rgb").iterdir())[1], sorted((folder / "meta").iterdir())[1]):
        spoil(path)
        marks.append(fingerprint(copied_root))
    spoil(copied_root / "evaluation_xyz.json")
    marks.append(fingerprint(copied_root))
    assert len(set(marks)) == len(marks)
