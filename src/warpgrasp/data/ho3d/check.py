"""Examines a folder in HO-3D's layout: what is in it, and what is missing."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from warpgrasp.data.dataset import SPLITS, Split
from warpgrasp.data.ho3d.dataset import EVALUATION_TRUTH, Ho3d
from warpgrasp.data.ho3d.files import PLACES
from warpgrasp.data.ho3d.splits import PLANS, RELEASED_FRAMES, TRAINVAL_TRAINING_LINES
from warpgrasp.errors import DataError
from warpgrasp.frame import FrameName

WHERE = (
    "HO-3D is free for academic, non-commercial use, from the page that https://github.com/shreyashampali/ho3d links: "
    "unpack it so that train/, evaluation/, train.txt and evaluation.txt lie in this folder; models/ is that of the "
    "YCB-Video 3D models (https://rse-lab.cs.washington.edu/projects/posecnn/), copied or linked here; more in "
    "docs/datasets.md#ho-3d"
)
SHOWN_NAMES = 12


def examine_ho3d(dataset: Ho3d) -> Iterator[str]:
    """Lines about a folder in HO-3D's layout. Raises `DataError` with everything missing, each thing named once."""
    yield f"HO-3D, protocol {dataset.protocol}: {PLANS[dataset.protocol].source}"
    problems = _missing_parts(dataset.root)
    if all((dataset.root / f"{place}.txt").is_file() for place in PLACES):
        absent = dataset.folder.missing_sequences()
        if absent and all((dataset.root / place).is_dir() for place in PLACES):
            problems.append(f"{len(absent)} sequences under train/ or evaluation/ ({_some(absent)})")
        if not absent or dataset.protocol in ("ho3d/official", "ho3d/trainval"):
            version = yield from _examine_pictures(dataset, absent, problems)
            for split in SPLITS:
                if dataset.names(split):
                    yield from _examine_split(dataset, split, version, problems)
    if problems:
        raise DataError(f"expected a complete data set in {dataset.root}, missing {'; '.join(problems)}. {WHERE}")
    yield "nothing is missing" if dataset.has_evaluation_truth else "nothing else is missing"


def _missing_parts(root: Path) -> list[str]:
    if not root.is_dir():
        raise DataError(f"expected a data set in HO-3D's layout, found no folder {root}. {WHERE}")
    parts = [f"{place}.txt" for place in PLACES if not (root / f"{place}.txt").is_file()]
    parts += [f"{place}/" for place in PLACES if not (root / place).is_dir()]
    return parts + ([] if (root / "models").is_dir() else ["models/"])


def _examine_pictures(dataset: Ho3d, absent: Sequence[str], problems: list[str]) -> Iterator[str]:
    """Yield a line about the pictures; the version that they tell is returned."""
    folder, gone = dataset.folder, set(absent)
    counts = {"jpg": 0, "png": 0}
    missing: list[FrameName] = []
    for name in {name for split in SPLITS for name in folder.names[split] if name.sequence not in gone}:
        ending = folder.picture_ending(name)
        if ending is None:
            missing.append(name)
        else:
            counts[ending] += 1
    if missing:
        first = min(missing, key=lambda name: (name.sequence, name.index))
        problems.append(f"{len(missing)} pictures, the first {folder.picture(first)}")
    version = "v2" if counts["png"] > counts["jpg"] else "v3"
    yield f"pictures: {counts['png']} png (as in v2), {counts['jpg']} jpg (as in v3)"
    for place in PLACES:
        if unlisted := folder.unlisted(place):
            noted = sum(folder.meta(name).is_file() for name in unlisted)
            yield (
                f"{place}/: {len(unlisted)} pictures that neither list names, {noted} of them with an annotation file, "
                f"the first {folder.picture(unlisted[0])}; they are not read, unless the protocol names their sequence "
                f"and no list does"
            )
    return version


def _examine_split(dataset: Ho3d, split: Split, version: str, problems: list[str]) -> Iterator[str]:
    names, facts = dataset.names(split), dataset.folder.facts(split)
    expected = _expected_frames(dataset, split, version)
    beside = "" if expected is None else f" (HO-3D {version} has {expected})"
    yield f"{split}: {len(dataset.sequences[split])} sequences, {len(names)} frames{beside}"
    unread = sum(len(frames) for frames in dataset.sequences[split].values()) - sum(map(len, facts.values()))
    annotated = [name for name in names if dataset.is_annotated(name)]
    if len(annotated) < len(names):
        yield (
            f"{split}: {len(names) - len(annotated)} frames without annotation, {unread} of them without file; "
            f"they are kept as unannotated frames"
        )
    if not dataset.has_evaluation_truth and any(dataset.folder.place(sequence) == "evaluation" for sequence in facts):
        absent = [file for file in EVALUATION_TRUTH if not (dataset.root / file).is_file()]
        yield (
            f"{split}: {' and '.join(absent)} missing, so the frames under evaluation/ can be predicted, not scored "
            f"(released apart in 2024: see the page of HO-3D's scripts)"
        )
    used = {name for frames in facts.values() for name, *_ in frames.values() if name is not None}
    unknown = sorted(name for name in used if not dataset.has_model(name))
    if not (dataset.root / "models").is_dir():  # one of the missing parts
        return
    if unknown:
        problems.append(f"{len(unknown)} models of {split} under models/ ({_some([repr(name) for name in unknown])})")
    elif used:
        yield f"{split}: objects " + ", ".join(model.name for model in dataset.objects(split))
        _read_one_of_each_sequence(dataset, annotated)


def _expected_frames(dataset: Ho3d, split: Split, version: str) -> int | None:
    released = RELEASED_FRAMES[version]
    match dataset.protocol, split:
        case "ho3d/trainval", "train":
            return TRAINVAL_TRAINING_LINES
        case "ho3d/trainval", "validation":
            return released["train"] - TRAINVAL_TRAINING_LINES
        case (("ho3d/trainval" | "ho3d/official"), _):
            return released.get(split)
    return None


def _read_one_of_each_sequence(dataset: Ho3d, annotated: Sequence[FrameName]) -> None:
    """So that wrong units, another hand and broken pictures are found before a training."""
    first: dict[str, FrameName] = {}
    for name in annotated:
        first.setdefault(name.sequence, name)
    for name in first.values():
        if dataset.folder.picture_ending(name) is None:
            dataset.truth(name)
        else:
            dataset.frame(name, annotated=True)


def _some(names: Sequence[str]) -> str:
    more = len(names) - SHOWN_NAMES
    return ", ".join(names[:SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "")
