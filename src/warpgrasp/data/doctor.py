"""Says what is in a data set's folder, and what is missing."""

from collections.abc import Iterator
from pathlib import Path

from warpgrasp.data.dataset import Split
from warpgrasp.data.errors import DataError
from warpgrasp.data.fphab import Fphab, examine_fphab
from warpgrasp.data.ho3d import Ho3d
from warpgrasp.data.layouts import Layout, open_dataset
from warpgrasp.data.recording import Recordings, examine_recordings
from warpgrasp.hand import HandModel


def examine(root: Path, hand: HandModel, *, layout: Layout | None = None, protocol: str | None = None) -> Iterator[str]:
    """Lines about a data set. Raises `DataError` with a count of everything missing, each kind named once."""
    dataset = open_dataset(root, hand, layout=layout, protocol=protocol)
    match dataset:
        case Ho3d():
            yield from _examine_ho3d(dataset)
        case Fphab():
            yield from examine_fphab(dataset)
        case Recordings():
            yield from examine_recordings(dataset)


def _examine_ho3d(dataset: Ho3d) -> Iterator[str]:
    root = dataset.root
    problems: list[str] = []
    splits: tuple[Split, ...] = ("train", "evaluation")
    for split in splits:
        names = dataset.names(split)
        yield f"{split}: {len(dataset.sequences[split])} sequences, {len(names)} frames"
        for kind in ("rgb", "meta"):
            missing = [name for name in names if not dataset.path(name, kind).is_file()]
            if missing:
                problems.append(f"{len(missing)} {kind} files of {split}, the first {dataset.path(missing[0], kind)}")
        readable = [name for name in names if dataset.path(name, "meta").is_file()]
        for sequence in dataset.sequences[split]:
            first = next((name for name in readable if name.sequence == sequence), None)
            if first is not None and dataset.is_annotated(first):
                dataset.frame(first, annotated=split == "train")
        if readable:
            yield f"{split}: objects " + ", ".join(model.name for model in dataset.objects(split))
    for name in ("evaluation_xyz.json", "evaluation_verts.json"):
        if dataset.names("evaluation") and not (root / name).is_file():
            problems.append(f"{name} (the truth of the evaluation frames)")
    if problems:
        raise DataError(f"expected a complete data set in {root}, missing " + "; ".join(problems))
    yield "nothing is missing"
