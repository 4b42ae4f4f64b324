"""A run: a recipe with its data, and the folder that holds what it takes to repeat it and to go on with it."""

import hashlib
import json
import os
import platform
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import MISSING, Field, asdict, dataclass, fields, is_dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from warpgrasp.bounded import read_json, read_regular
from warpgrasp.checked import read_json_object
from warpgrasp.data import Dataset, FrameSource, Joined, Labels, OnBad, Share, annotatable, choose_labels, join_datasets
from warpgrasp.data.recording import Masks
from warpgrasp.errors import DataError, UserError
from warpgrasp.files import (
    fingerprint_of_files,
    fingerprint_of_values,
    source_commit,
    write_json,
)
from warpgrasp.frame import FrameName, ObjectModel
from warpgrasp.hand import HandModel
from warpgrasp.locks import LOCK, alone_in
from warpgrasp.training.keypoints import FrameKeypoints, keypoints_of
from warpgrasp.training.pairs import compared_channels
from warpgrasp.training.processes import begins_first, is_main
from warpgrasp.training.settings import Recipe
from warpgrasp.training.silhouettes import FrameMasks, fingerprint_of_masks, masks_of

NOTES, TRACKING_FOLDER = "run.json", "tracking"  # in a run's folder
STATE = ".state.safetensors"  # ends the name of what an unfinished stage goes on from
LARGEST_ANNOTATION_BYTES = 128_000_000  # of a file: the labels of a recording
VERSIONS = ("torch", "numpy", "numba", "kornia", "accelerate")
# The settings that every fingerprint has held from the first on, by their class. A setting that is added to a class
# later enters a fingerprint only where it differs from its default: runs of before, which had no choice, are known
# again. So nothing is ever added here.
FIRST_SETTINGS: Mapping[str, str] = {
    "Recipe": "width height fraction sampling seed encoder_weights network base_rotations augment loss stage1 stage2 "
    "photometric data_weight freeze_batch_norm gradient_clip precision",
    "NetworkConfig": "width pose_coefficients skeleton_adaptation scales image_mean image_std",
    "OutputScales": "kind depth_scale translation_scale_px unit_m",
    "AugmentConfig": "brightness contrast saturation hue blur_px shift roll",
    "LossWeights": "hand_joints object_vertices hand_pose hand_shape",
    "Optimisation": "steps learning_rate schedule batch epsilon",
    "Photometric": "weight ramp_steps pairs compare directions contrast_share cycle_tolerance_px near_to_far_steps",
}
UNDECIDING = ("name", "splits")  # settings of a recipe: the splits that are really read are part of the data


class RunError(UserError):
    """A run's folder holds something else."""


@dataclass(frozen=True)
class Training:
    """A recipe and the data that it trains on. Only the chosen annotations can be read through `source`.

    `labels` are those of the data set itself; the frames of data that is added to it are all annotated.
    """

    recipe: Recipe
    hand: HandModel
    labels: Labels
    source: FrameSource
    objects: list[ObjectModel]
    added_names: tuple[FrameName, ...] = ()
    keypoints: FrameKeypoints | None = None  # where the recipe weighs them
    masks: FrameMasks | None = None  # likewise
    masks_fingerprint: str = ""  # of what the masks say; empty where there are none

    @staticmethod
    def prepare(
        recipe: Recipe,
        dataset: Dataset,
        extra: Sequence[Dataset] = (),
        *,
        on_bad: OnBad = "refuse",
        masks: Mapping[str, Masks] | None = None,
    ) -> "Training":
        """Choose the annotated frames of a data set; add all those of the extra ones, which are never paired.

        `masks` are of a data set's recordings, by their names; they count where the recipe weighs them.
        Raises `DataError` when the data set has none, and `RegistryError` for an unknown photometric term.
        """
        compared_channels(
            torch.zeros(1, 3, recipe.height, recipe.width), recipe.photometric
        )  # refuse a wrong term now, not in stage 2
        at_own_size, dataset = dataset.at_size(None), dataset.at_size((recipe.width, recipe.height))
        possible = annotatable(dataset, on_bad)
        if not possible:
            raise DataError(f"expected annotated training frames in {dataset.root}, found none")
        sequences, rule = dataset.sequences["train"], recipe.sampling
        labels = choose_labels(sequences, fraction=recipe.fraction, sampling=rule, annotatable=possible)
        of_frames = masks_of(recipe, dataset, labels, masks)
        seen = {"masks": of_frames, "masks_fingerprint": fingerprint_of_masks(masks) if masks and of_frames else ""}
        if not extra:
            keypoints = keypoints_of(recipe, at_own_size, labels, on_bad)
            source = FrameSource(dataset, annotated=labels.annotated_names, on_bad=on_bad)
            return Training(recipe, dataset.hand, labels, source, dataset.objects("train"), keypoints=keypoints, **seen)
        joined = join_datasets(dataset, [added.at_size(dataset.size) for added in extra])
        possible = annotatable(joined, on_bad)
        added_names = tuple(name for name in joined.added_names if name in possible)
        at_own_size = join_datasets(at_own_size, [added.at_size(None) for added in extra])
        keypoints = keypoints_of(recipe, at_own_size, labels, on_bad, added_names)
        source = FrameSource(joined, annotated=[*labels.annotated_names, *added_names], on_bad=on_bad)
        return Training(recipe, dataset.hand, labels, source, joined.objects("train"), added_names, keypoints, **seen)

    @property
    def supervised_names(self) -> list[FrameName]:
        """Every frame whose annotation is used."""
        return [*self.labels.annotated_names, *self.added_names]

    def notes(self) -> dict[str, str]:
        """The notes of a checkpoint on its training; the size is that at which the network sees pictures."""
        recipe = self.recipe
        size = {"width": str(recipe.width), "height": str(recipe.height)}
        return {"recipe": recipe.name, "seed": str(recipe.seed), "lambda_c": str(recipe.photometric.weight), **size}

    def generator(self, stage: int, step: int) -> torch.Generator:
        """The random draws of one step, a function of the seed and the step alone."""
        seed = np.random.SeedSequence([self.recipe.seed, stage, step]).generate_state(2, np.uint64)
        return torch.Generator().manual_seed(int(seed[0] >> np.uint64(1)))


def fingerprint(training: Training) -> str:
    """What decides a training, recipe, data and hand, as a short hash."""
    return fingerprint_of(training.recipe, training.hand, data_fingerprint(training))


def fingerprint_of(recipe: Recipe, hand: HandModel, data: str) -> str:
    """The fingerprint of a training on data of the fingerprint `data`."""
    digest = hashlib.sha256(json.dumps(deciding_settings(recipe), sort_keys=True).encode())
    digest.update(hand.template.name.encode())
    digest.update(data.encode())
    return digest.hexdigest()[:16]


def deciding_settings(settings: Any) -> dict[str, Any]:
    """The settings of a recipe, or of a part of it, that decide a training.

    Those of the first version always, later ones where they differ from their defaults (`FIRST_SETTINGS`); a recipe's
    name never.
    """
    first = FIRST_SETTINGS.get(type(settings).__name__, "").split()
    values: dict[str, Any] = {}
    for setting in fields(settings):
        value = getattr(settings, setting.name)
        undeciding = isinstance(settings, Recipe) and setting.name in UNDECIDING
        if undeciding or (setting.name not in first and value == _default_of(setting)):
            continue
        values[setting.name] = deciding_settings(value) if is_dataclass(value) else value
    return values


def _default_of(setting: Field[Any]) -> Any:
    """A field's default; for a field without one, a value that equals no other."""
    return setting.default if setting.default_factory is MISSING else setting.default_factory()


def data_fingerprint(training: Training) -> str:
    """The frames' list, the sizes of their pictures, the content of the annotations that may be used, and of masks."""
    dataset, digest = training.source.dataset, hashlib.sha256()
    digest.update(dataset.protocol.encode())
    for name in dataset.names("train"):
        picture = dataset.picture_file(name)
        try:
            size = os.stat(picture).st_size
        except OSError:  # it is missed when it is read
            size = 0
        digest.update(f"{name.sequence} {name.index} {picture.name} {size}\n".encode())
    read: set[Path] = set()  # one file may hold the annotations of many frames
    for name in training.supervised_names:
        for path in dataset.annotation_files(name):
            if path not in read:
                digest.update(read_regular(path, LARGEST_ANNOTATION_BYTES) if path.is_file() else b"missing")
            read.add(path)
    digest.update(training.masks_fingerprint.encode())
    return digest.hexdigest()[:16]


def inputs_of(training: Training) -> dict[str, str]:
    """Fingerprints of files that a training reads and that do not name its folder: it is gone on with on these alone.

    Pictures, objects, keypoints, and the encoder's first weights where they are a file.
    """
    dataset, weights = training.source.dataset, training.recipe.encoder_weights
    inputs = {
        "pictures": fingerprint_of_files(dataset.picture_file(name) for name in dataset.names("train")),
        "objects": fingerprint_of_values(training.objects),
    }
    if training.keypoints is not None:
        detections = training.keypoints.detections
        inputs["keypoints"] = fingerprint_of_values((detections.joints_px, detections.confidence))
    if weights not in ("imagenet", "none"):  # the former is known by the hash in its name
        inputs["encoder weights"] = fingerprint_of_files([Path(weights)])
    return inputs


def changed_inputs(out: Path, inputs: Mapping[str, str]) -> list[str]:
    """Which of a training's inputs are not those that the run in `out` began with; an older run does not tell."""
    try:
        begun_with = read_json(out / NOTES).get("inputs", {})
        return [name for name, fingerprint in inputs.items() if begun_with.get(name, fingerprint) != fingerprint]
    except (OSError, DataError, AttributeError):  # said when it is opened
        return []


@contextmanager
def open_run(training: Training, out: Path, *, command: list[str]) -> Iterator[None]:
    """Begin a run in `out`, or go on with the one that is there; remove one that fails before it has saved anything.

    Raises `RunError` when the folder holds a run of another fingerprint, or anything else but the data set, and
    `LockedError` when another command is at work there.
    """
    source = training.source
    with alone_in(out) if is_main() else nullcontext():
        with begins_first():
            _check_or_begin(training, out, command)
        source.when_bad = lambda: note_bad_frames(source, out)
        try:
            note_bad_frames(source, out)
            yield
        except (UserError, OSError):
            _remove_if_nothing_is_saved(out)
            raise
        finally:
            source.when_bad = None


def _check_or_begin(training: Training, out: Path, command: list[str]) -> None:
    path, mine, inputs = out / NOTES, fingerprint(training), inputs_of(training)
    for state in out.glob(f"*{STATE}"):  # of a process that was killed when the stage was finished
        if state.with_name(state.name.removesuffix(STATE) + ".safetensors").is_file():
            state.unlink(missing_ok=True)
    if path.is_file():
        try:
            theirs = read_json_object(path).text("fingerprint")
        except DataError as error:
            raise RunError(f"expected the notes of a run in {path}, but they cannot be read: {error}") from error
        if theirs != mine:
            raise RunError(
                f"expected the run {mine} (recipe, data, seed and hand) in {out}, found the run {theirs}; "
                f"choose another folder or remove it"
            )
        if changed := changed_inputs(out, inputs):
            raise RunError(
                f"expected the {' and '.join(changed)} that the run in {out} began with, found files that were changed "
                f'since; choose another folder or remove it, or, where they are mere copies, remove "inputs" from '
                f"{path}"
            )
        return
    if any(entry != training.source.dataset.root and not entry.name.startswith(LOCK) for entry in out.iterdir()):
        raise RunError(f"expected an empty folder or a run of the same recipe in {out}, found other files")
    try:
        write_json(path, {"fingerprint": mine, "inputs": inputs, **notes(training, command)})
    except OSError:
        _remove_if_nothing_is_saved(out)
        raise


def _remove_if_nothing_is_saved(out: Path) -> None:
    if any(out.glob("*.safetensors")):
        return
    for path in (out / NOTES, *out.glob("*.jsonl")):
        path.unlink(missing_ok=True)
    shutil.rmtree(out / TRACKING_FOLDER, ignore_errors=True)


def notes(training: Training, command: list[str]) -> dict[str, Any]:
    """Everything that it takes to repeat a run."""
    labels, dataset = training.labels, training.source.dataset
    return {
        "command": command,
        "recipe": asdict(training.recipe),
        "hand": training.hand.template.name,
        "data": {
            "root": str(dataset.root),
            "protocol": dataset.protocol,
            "fingerprint": data_fingerprint(training),
            "added": _added(training),
            **({"masks": training.masks_fingerprint} if training.masks is not None else {}),
        },
        "labels": {
            "annotated": {sequence: list(frames) for sequence, frames in labels.annotated.items()},
            "effective_fraction": labels.effective_fraction,
            "effective": _share(labels.share),
            "effective_per_sequence": {sequence: _share(share) for sequence, share in labels.shares.items()},
        },
        "commit": source_commit(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in VERSIONS}},
        "machine": platform.platform(),
    }


def _added(training: Training) -> list[dict[str, Any]]:
    """The data sets that were added, and how many annotated frames each has given."""
    dataset = training.source.dataset
    if not isinstance(dataset, Joined):
        return []
    given = Counter(name.sequence.partition(":")[0] for name in training.added_names)
    return [
        {
            "label": added.label,
            "root": str(added.dataset.root),
            "protocol": added.dataset.protocol,
            "annotated_frames": given[added.label],
        }
        for added in dataset.added
    ]


def _share(share: Share) -> dict[str, Any]:
    return {**asdict(share), "fraction": share.fraction}


def note_bad_frames(source: FrameSource, folder: Path) -> None:
    """List the bad frames in a run's notes, each with its error, and what is done with them.

    Those that the run met before it was interrupted stay listed.
    """
    content = read_json_object(folder / NOTES)
    before = content.entry("bad_frames").entries("frames") if content.has("bad_frames") else []
    errors = {
        (frame.text("sequence"), frame.whole("index", least=0, most=2**63)): str(frame.value("error"))
        for frame in before
    }
    errors |= {(name.sequence, name.index): error for name, error in source.bad.items()}
    frames = [{"sequence": key[0], "index": key[1], "error": errors[key]} for key in sorted(errors)]
    bad_frames = {"when_found": source.on_bad, "count": len(frames), "frames": frames}
    note(folder, "bad_frames", bad_frames)


def note(folder: Path, key: str, value: Any) -> None:
    """Add one note to those of a run's folder."""
    path = folder / NOTES
    content = read_json_object(path)
    if content.values.get(key) != value:
        write_json(path, {**content.values, key: value})
