"""Examines a folder in DexYCB's layout: what is in it, and what is missing."""

import os
from collections.abc import Iterator
from pathlib import Path

from warpgrasp.data.dataset import SPLITS
from warpgrasp.data.dexycb.dataset import DexYcb, SideChoice
from warpgrasp.data.dexycb.files import CameraView
from warpgrasp.data.dexycb.splits import PARTS, S0_TRAIN_FRAMES, SUBJECTS
from warpgrasp.errors import DataError
from warpgrasp.frame import FrameName

SOURCES = (
    "DexYCB: https://dex-ycb.github.io, licence CC BY-NC 4.0 (research only)",
    f"the folder holds {SUBJECTS[0]}/ … {SUBJECTS[-1]}/, each with all of its sequences, calibration/ and models/; "
    f"labels need MANO (--hand mano --mano-folder DIR, docs/datasets.md#mano)",
)


def examine_dexycb(dataset: DexYcb) -> Iterator[str]:
    """Lines about the folder. Raises `DataError` with a count of everything missing, each kind named once."""
    folder = dataset.folder
    yield from SOURCES
    yield f"{len(folder.subjects)} of {len(SUBJECTS)} subjects, {len(folder.captures)} recordings"
    yield f"{dataset.protocol}, in brackets both hands, as the official splits count:"
    yield from _splits(dataset)
    every = {view.name: view for part in PARTS[dataset.setup].values() for view in folder.views(part)}
    chosen = [view for view in every.values() if dataset.sides.choice in ("both", view.capture.side)]
    problems = list(_missing_files(dataset, chosen))
    if not problems:
        yield from _read_some(dataset, chosen)
    absent = [subject for number, subject in enumerate(SUBJECTS) if number not in folder.subjects]
    if absent:
        problems.insert(0, f"{len(absent)} subjects ({', '.join(absent)})")
    if problems:
        raise DataError(f"expected a complete data set in {dataset.root}, missing " + "; ".join(problems))
    yield "nothing is missing"


def _splits(dataset: DexYcb) -> Iterator[str]:
    """The size of each split beside that of a complete data set."""
    for split in SPLITS:
        part = PARTS[dataset.setup][split]
        views = dataset.folder.views(part)
        frames = sum(view.capture.frames for view in views)
        left = sum(view.capture.frames for view in views if view.capture.side == "left")
        expected = f" of {S0_TRAIN_FRAMES:,}" if (dataset.setup, split) == ("dexycb/s0", "train") else ""
        yield (
            f"{split}: {len(dataset.names(split)):,} frames in {len(dataset.sequences[split]):,} views "
            f"(both hands: {frames:,}{expected} frames, {left:,} of them of left hands, in {len(views):,} of "
            f"{part.view_count:,} views)"
        )


def _missing_files(dataset: DexYcb, views: list[CameraView]) -> Iterator[str]:
    folder = dataset.folder
    wanted = {
        "intrinsics files": {folder.intrinsics_file(view.serial) for view in views},
        "mano.yml files": {folder.shape_file(view.capture) for view in views},
        "object meshes": {folder.mesh_file(view.capture.grasped_object) for view in views},
    }
    for kind, paths in wanted.items():
        missing = sorted(path for path in paths if not path.is_file())
        if missing:
            yield f"{len(missing)} {kind}, the first {missing[0]}"
    pictures, labels = [], []
    for view in views:  # folders are listed, since asking for each of a million files takes minutes
        present = _listed(view.picture(0).parent)
        pictures += [path for path in map(view.picture, view.frames) if path.name not in present]
        labels += [path for path in map(view.labels, view.frames) if path.name not in present]
    for kind, missing in (("pictures", pictures), ("labels files", labels)):
        if missing:
            yield f"{len(missing)} {kind}, the first {missing[0]}"


def _listed(folder: Path) -> set[str]:
    try:
        return set(os.listdir(folder))
    except OSError:
        return set()


def _read_some(dataset: DexYcb, views: list[CameraView]) -> Iterator[str]:
    """Read the first annotated frame of each subject's first view of either hand, and every object."""
    folder = dataset.folder
    seen: set[tuple[str, SideChoice]] = set()
    for view in views:
        key = view.name.split("/")[0], view.capture.side
        if key in seen:
            continue
        annotated = (
            index
            for index in view.frames
            if (labels := folder.labels(view, index)).has_hand and labels.has_object[view.capture.grasped]
        )
        index = next(annotated, None)
        if index is not None:
            seen.add(key)
            dataset.frame(FrameName(view.name, index), annotated=True)
    objects = sorted({view.capture.grasped_object for view in views})
    for name in objects:
        folder.object_model(name)
    yield f"read a frame of {len(seen)} subjects' right or left hands; objects {', '.join(objects)}"
