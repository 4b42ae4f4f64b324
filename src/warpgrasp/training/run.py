"""The folder of a run: what it takes to repeat it, and whether it may be gone on with."""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from warpgrasp.data import FrameSource, Joined, Share
from warpgrasp.errors import UserError
from warpgrasp.files import fingerprint_of_files, fingerprint_of_values
from warpgrasp.hand import HandModel
from warpgrasp.training.loop import Training
from warpgrasp.training.processes import begins_first
from warpgrasp.training.settings import Recipe
from warpgrasp.training.tracking import TRACKING_FOLDER

VERSIONS = ("torch", "numpy", "numba", "kornia", "accelerate", "roma")


class RunError(UserError):
    """A run's folder holds something else."""


def fingerprint(training: Training) -> str:
    """What decides a training: recipe, data and hand, as a short hash."""
    return fingerprint_of(training.recipe, training.hand, data_fingerprint(training))


def fingerprint_of(recipe: Recipe, hand: HandModel, data: str) -> str:
    """The fingerprint of a training on data of the fingerprint `data`."""
    settings = asdict(recipe)
    for label in ("name", "splits"):  # they decide nothing: the splits that are read are part of the data
        del settings[label]
    if not recipe.photometric.grasp_weight:  # as before there was such a weight: nothing that was trained is refused
        del settings["photometric"]["grasp_weight"]
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    digest.update(hand.template.name.encode())
    digest.update(data.encode())
    return digest.hexdigest()[:16]


def data_fingerprint(training: Training) -> str:
    """The frames' list, the sizes of their pictures, the content of the annotations that may be used."""
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
                digest.update(path.read_bytes() if path.is_file() else b"missing")
            read.add(path)
    return digest.hexdigest()[:16]


def inputs_of(training: Training) -> dict[str, str]:
    """Fingerprints of files that a training reads and that do not name its folder: it is gone on with on these alone.

    Pictures, objects, and the encoder's first weights where they are a file.
    """
    dataset, weights = training.source.dataset, training.recipe.encoder_weights
    inputs = {
        "pictures": fingerprint_of_files(dataset.picture_file(name) for name in dataset.names("train")),
        "objects": fingerprint_of_values(training.objects),
    }
    if weights not in ("imagenet", "none"):  # the former is known by the hash in its name
        inputs["encoder weights"] = fingerprint_of_files([Path(weights)])
    return inputs


def changed_inputs(out: Path, inputs: Mapping[str, str]) -> list[str]:
    """Which of a training's inputs are not those that the run in `out` began with; an older run does not tell."""
    try:
        begun_with = json.loads((out / "run.json").read_text()).get("inputs", {})
    except (OSError, json.JSONDecodeError, AttributeError):  # said when it is opened
        return []
    return [name for name, fingerprint in inputs.items() if begun_with.get(name, fingerprint) != fingerprint]


@contextmanager
def open_run(training: Training, out: Path, *, command: list[str]) -> Iterator[None]:
    """Begin a run in `out`, or go on with the one that is there; remove one that fails before it has saved anything.

    Raises `RunError` when the folder holds a run of another fingerprint, or anything else but the data set.
    """
    with begins_first():
        _check_or_begin(training, out, command)
    source = training.source
    source.when_bad = lambda: note_bad_frames(source, out / "run.json")
    try:
        note_bad_frames(source, out / "run.json")
        yield
    except (UserError, OSError):
        _remove_if_nothing_is_saved(out)
        raise
    finally:
        source.when_bad = None


def _check_or_begin(training: Training, out: Path, command: list[str]) -> None:
    path, mine, inputs = out / "run.json", fingerprint(training), inputs_of(training)
    if path.is_file():
        try:
            theirs = json.loads(path.read_text())["fingerprint"]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
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
    if out.exists() and any(entry != training.source.dataset.root for entry in out.iterdir()):
        raise RunError(f"expected an empty folder or a run of the same recipe in {out}, found other files")
    out.mkdir(parents=True, exist_ok=True)
    try:
        write_json(path, {"fingerprint": mine, "inputs": inputs, **notes(training, command)})
    except OSError:
        _remove_if_nothing_is_saved(out)
        raise


def _remove_if_nothing_is_saved(out: Path) -> None:
    if any(out.glob("*.safetensors")):
        return
    for path in (out / "run.json", *out.glob("*.jsonl")):
        path.unlink(missing_ok=True)
    shutil.rmtree(out / TRACKING_FOLDER, ignore_errors=True)
    with suppress(OSError):  # the data set may lie there
        out.rmdir()


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
        },
        "labels": {
            "annotated": {sequence: list(frames) for sequence, frames in labels.annotated.items()},
            "effective_fraction": labels.effective_fraction,
            "effective": _share(labels.share),
            "effective_per_sequence": {sequence: _share(share) for sequence, share in labels.shares.items()},
        },
        "commit": commit(),
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
            "label": one.label,
            "root": str(one.dataset.root),
            "protocol": one.dataset.protocol,
            "annotated_frames": given[one.label],
        }
        for one in dataset.added
    ]


def _share(share: Share) -> dict[str, Any]:
    return {**asdict(share), "fraction": share.fraction}


def note_bad_frames(source: FrameSource, path: Path) -> None:
    """Keep in a run's notes what is done with bad frames, and each that was found, with its error.

    Those that the run found before it was interrupted stay.
    """
    content = json.loads(path.read_text())
    before = content.get("bad_frames", {"frames": []})["frames"]
    errors = {(one["sequence"], one["index"]): one["error"] for one in before}
    errors |= {(name.sequence, name.index): error for name, error in source.bad.items()}
    frames = [{"sequence": key[0], "index": key[1], "error": errors[key]} for key in sorted(errors)]
    bad_frames = {"when_found": source.on_bad, "count": len(frames), "frames": frames}
    note(path, "bad_frames", bad_frames)


def note(path: Path, key: str, value: Any) -> None:
    """Add one note to those of a run."""
    content = json.loads(path.read_text())
    if content.get(key) != value:
        write_json(path, {**content, key: value})


def commit() -> str:
    """The commit of the source tree that runs, or the version of the installed package."""
    asked = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        answer = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=True)
        return answer.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return f"version {version('warpgrasp')}"


def write_json(path: Path, content: Any) -> None:
    """Write JSON to a temporary name, then rename."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(json.dumps(content, indent=2) + "\n")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def command_line() -> list[str]:
    """The command as it was typed."""
    return [Path(sys.argv[0]).name, *sys.argv[1:]]
