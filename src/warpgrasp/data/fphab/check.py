"""Examines a folder in FPHAB's layout: what is in it, and what is missing."""

from collections.abc import Iterator

import torch
from rich.progress import track

from warpgrasp.data.dataset import SPLITS
from warpgrasp.data.fphab.dataset import POSE_FOLDERS, SKELETON_FOLDERS, VIDEO_FOLDERS, Fphab
from warpgrasp.data.fphab.hands import FARTHEST_FIT_M, FIT_AGREEMENT_M
from warpgrasp.data.fphab.splits import (
    EXPECTED_EVALUATION,
    EXPECTED_FRAMES,
    EXPECTED_TRAIN,
    LIST,
    OBJECTS,
    PROTOCOLS,
    read_action_split,
    split_sequences,
)
from warpgrasp.errors import DataError
from warpgrasp.frame import FrameName
from warpgrasp.hand import LARGEST_RESIDUAL_M

SOURCES = (
    "FPHAB is had by the form on https://github.com/guiggh/hand_pose_action; its terms: academic research, no "
    "redistribution",
    f"the folder holds {LIST}, Video_files (or the 480x270 copies in Video_files_480), Hand_pose_annotation_v1, "
    "Object_6D_pose_annotation_v1_1 and Object_models",
    "MANO fits (assets/fhbhands_fits.tgz of https://github.com/hassony2/handobjectconsist, for --hand mano) go to "
    "fhbhands_fits in it, or to assets/fhbhands_fits beside it; without them the hand is fitted to the joints",
)


def examine_fphab(dataset: Fphab) -> Iterator[str]:
    """Lines about a folder of FPHAB. Raises `DataError` with a count of everything missing, each kind named once."""
    yield from SOURCES
    problems, meshes = _missing_parts(dataset), _missing_meshes(dataset)
    if not problems:
        yield from _sizes(dataset)
        if not meshes:
            for split in SPLITS[::2]:
                yield f"{split}: objects " + (", ".join(model.name for model in dataset.objects(split)) or "none")
        yield from _hands(dataset)
        problems = [*_broken_frames(dataset), *_missing_pictures(dataset)]
    problems += meshes
    if problems:
        raise DataError(f"expected a complete data set in {dataset.root}, missing " + "; ".join(problems))
    for sequence in _sequences(dataset):
        frames, hands = dataset.annotation(sequence).frames, dataset.hands(sequence)
        wanted = [frame for frame in frames if frame not in hands.unfitted_frames]  # the others are counted
        believed = [frame for frame in wanted if frame not in hands.refused_frames]  # where none is, the reason is said
        for frame in (believed or wanted)[:1]:
            dataset.frame(FrameName(sequence, frame), annotated=True)
    yield "nothing is missing"


def _missing_parts(dataset: Fphab) -> list[str]:
    """The missing files that tell which frames there are."""
    root, problems = dataset.root, []
    if not (root / LIST).is_file():
        problems.append(f"the list of the splits, {root / LIST}")
    for content, names in (("joints", SKELETON_FOLDERS), ("object poses", POSE_FOLDERS), ("pictures", VIDEO_FOLDERS)):
        if not any((root / name).is_dir() for name in names):
            problems.append(f"the folder of all {content}, {root / names[0]}")
    if problems:
        return problems
    listed = [sequence for _, sequence in split_sequences(read_action_split(root / LIST), dataset.protocol)]
    posed = [sequence for sequence in listed if dataset.pose_file(sequence).is_file()]
    if not posed:
        return [f"the object poses of all {len(listed)} sequences, {root / POSE_FOLDERS[0]}"]
    absent = [path for path in map(dataset.skeleton_file, posed) if not path.is_file()]
    return [f"{len(absent)} of {len(posed)} skeleton files, the first {absent[0]}"] if absent else []


def _missing_meshes(dataset: Fphab) -> list[str]:
    meshes = [dataset.object_file(name) for name in OBJECTS]
    absent = [path for path in meshes if not path.is_file()]
    return [f"{len(absent)} of {len(meshes)} object meshes, the first {absent[0]}"] if absent else []


def _missing_pictures(dataset: Fphab) -> list[str]:
    names = [name for split in SPLITS for name in dataset.names(split)]
    if not names:
        return ["every frame: no sequence has both joints and a pose"]
    absent = [path for path in map(dataset.picture_file, names) if not path.is_file()]
    return [f"{len(absent)} of {len(names)} pictures, the first {absent[0]}"] if absent else []


def _broken_frames(dataset: Fphab) -> list[str]:
    """Frames of which a row, or a fit, cannot be read."""
    broken = []
    for sequence in _sequences(dataset):
        annotation = dataset.annotation(sequence)
        parts = (annotation.joints.broken, annotation.poses.broken, dataset.hands(sequence).broken)
        for frame in annotation.frames:
            broken += [part[frame] for part in parts if frame in part][:1]
    return [f"whole annotations of {len(broken)} frames, the first: {broken[0]}"] if broken else []


def _sequences(dataset: Fphab) -> list[str]:
    return [sequence for split in SPLITS for sequence in dataset.sequences[split]]


def _sizes(dataset: Fphab) -> Iterator[str]:
    """The sizes of the splits beside those of a complete data set."""
    listed = read_action_split(dataset.root / LIST)
    yield (
        f"{LIST}: {len(listed.train)} + {len(listed.evaluation)} sequences of all actions "
        f"(expected: {EXPECTED_TRAIN[0]} or {EXPECTED_TRAIN[1]} + {EXPECTED_EVALUATION})"
    )
    posed = [sequence for _, sequence in split_sequences(listed, dataset.protocol)]
    posed = [sequence for sequence in posed if dataset.pose_file(sequence).is_file()]
    without = {sequence: dataset.annotation(sequence).without_joints for sequence in posed}
    without = {sequence: frames for sequence, frames in without.items() if frames}
    if without:
        first = next(iter(without))
        yield (
            f"left out: {sum(map(len, without.values()))} frames with a pose but without joints, in {len(without)} of "
            f"{len(posed)} sequences, the first is frame {without[first][0]} of {first}"
        )
    for split in SPLITS[::2]:
        expected = f" (expected: {EXPECTED_FRAMES[split]} frames)" if dataset.protocol == PROTOCOLS[0] else ""
        yield (
            f"{dataset.protocol} {split}: {len(dataset.sequences[split])} sequences, "
            f"{len(dataset.names(split))} frames{expected}"
        )


def _hands(dataset: Fphab) -> Iterator[str]:
    """The sources of the hands' surfaces, and how far their joints are from the skeletons."""
    every = [dataset.hands(sequence) for sequence in track(_sequences(dataset), "hands", transient=True)]
    if not every:
        return
    residual_mm = 1000 * torch.cat([hands.residual_m for hands in every])
    fitted = torch.cat([hands.fitted for hands in every])
    folder = dataset.fits_folder or "no folder of fits"
    stated_limit = f"{1000 * FIT_AGREEMENT_M:.0f} mm in a sequence's median frame, {1000 * FARTHEST_FIT_M:.0f} in any"
    for kind, chosen, limit in (
        (f"taken from MANO fits ({folder})", ~fitted, stated_limit),
        ("fitted to the joints here", fitted, f"{1000 * LARGEST_RESIDUAL_M:.0f} mm"),
    ):
        if chosen.any():
            of_kind = residual_mm[chosen]
            yield (
                f"{len(of_kind)} hands {kind}: their joints are {of_kind.mean():.1f} mm from the skeletons, "
                f"{of_kind.max():.1f} mm in the worst frame (limit: {limit})"
            )
    yield from _refused_hands(dataset, len(fitted))


def _refused_hands(dataset: Fphab, count: int) -> Iterator[str]:
    """The fits of another hand, and the hands that are beyond the limits."""
    hands = {sequence: dataset.hands(sequence) for sequence in _sequences(dataset)}
    another = [name for name in hands if dataset.fits_file(name) is not None and hands[name].fitted.all()]
    if another:
        yield (
            f"warning: the fits of {len(another)} sequences are of another hand than {dataset.hand.template.name} "
            f"(they were made with MANO: --hand mano), so it is fitted to the joints instead"
        )
    unfitted = [f"frame {frame} of {name}" for name in hands for frame in sorted(hands[name].unfitted_frames)]
    if unfitted:
        yield (
            f"{len(unfitted)} hands ({100 * len(unfitted) / count:.2f} %) cannot be fitted within the limit: these "
            f"frames are kept as unannotated frames, the first is {unfitted[0]}"
        )
    refused = [
        f"frame {frame} of {name}"
        for name in hands
        for frame in hands[name].refused_frames
        if frame not in hands[name].unfitted_frames
    ]
    if refused:
        yield (
            f"warning: {len(refused)} of these hands are beyond the limits, and refused where their annotation is "
            f"wanted, the first in {refused[0]}"
        )
