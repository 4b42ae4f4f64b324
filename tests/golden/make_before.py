"""Writes tests/golden/before, the files by which tests/test_files_of_before.py knows what an earlier version wrote.

It was run once, with the code of commit 4c01e0d54e8ecad6a94009ad357aba27dd6778e6, and is never run again: the files are
never regenerated, for then they would say nothing. It is kept to show how they came about, and works with that commit.
Only options.json was written once more with the code of that commit, by pages of help of one column (COLUMNS=100): by
those of two it held half of a recipe's options, and with them parts of the other column.
The test module that it shares functions with reads options.json when it is imported: begin with one that holds `{}`.

    OMP_NUM_THREADS=1 python -m tests.golden.make_before
"""

import json
import os
import platform
import shutil
import sys
import tempfile
import zipfile
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from tests import sample_set
from tests.data.recording.recording_files import hand_parameters
from tests.test_files_of_before import (
    BEFORE,
    STATE_STEP,
    TOY,
    arrays,
    file_hashes,
    fingerprints,
    left_pictures,
    machine,
    options,
    photometric_values,
    posed,
    run,
    scores_of,
    sweep_folders,
    write_tables,
)
from warpgrasp.annotate.edited_frame import EditedFrame, PointPair
from warpgrasp.annotate.store import AnnotationStore
from warpgrasp.cli import COMMANDS, main
from warpgrasp.data import open_dataset
from warpgrasp.data.recording.files import Recording
from warpgrasp.export.datasets import RecordingOptions, export_recording
from warpgrasp.files import source_commit
from warpgrasp.hand.model import HandModel
from warpgrasp.hand.templates import open_hand
from warpgrasp.predictions.file import read_predictions
from warpgrasp.reconstruction.checkpoint import load_checkpoint
from warpgrasp.training import loop
from warpgrasp.training.recipes import RECIPES

PICTURE_QUALITY = 30
SMALL = (64, 48)
DATE = (2020, 1, 1, 0, 0, 0)  # of everything in an archive


def keep(name: str, content: Any) -> None:
    (BEFORE / name).write_text(json.dumps(content, indent=1) + "\n")


def keep_archive(name: str, folder: Path) -> None:
    """A folder's files in a fixed order and with fixed dates."""
    with zipfile.ZipFile(BEFORE / name, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())


def write_data(root: Path) -> sample_set.Sample:
    """Two training sequences of 4 frames, an evaluation sequence of 3, in few bytes."""
    sample_set.TRAIN_FRAMES, sample_set.EVALUATION_FRAMES = 4, 3
    sample = sample_set.write_sample(root)
    for path in root.rglob("rgb/*.jpg"):
        with Image.open(path) as picture:
            picture.load()
        picture.save(path, quality=PICTURE_QUALITY)
    for path in root.rglob("texture.jpg"):
        path.unlink()
    return sample


def write_recording(sample: sample_set.Sample, folder: Path, side: Any) -> None:
    """Frames 0 and 2 (held out) by parameters, 3 by its joints; frame 1 begun and not finished."""
    name, hand = "A1" if side == "right" else "B1", HandModel(open_hand())
    sequence = sample.sequences["train"][name]
    hands = {index: hand_parameters(sequence, index) for index in (0, 2)}
    dataset = open_dataset(sample.root, hand, size=SMALL)
    export_recording(dataset, "train", name, folder, RecordingOptions((0, 3), (2,), hands, "frames", side=side))
    recording = Recording.read(folder)
    store = AnnotationStore(recording, recording.hand(hand))
    state = store.get(0)
    assert state is not None
    points = recording.object.model.vertices.double().numpy()[[0, 100, 200, 300]]
    pairs = tuple(PointPair(point, np.array([20.25 + 5 * place, 10.5 + place])) for place, point in enumerate(points))
    begun = state.moved(wrist=state.wrist + 0.01, object_centre=state.object_centre - 0.01)
    begun = begun.with_joint("wrist", np.array([31.5, 20.125])).with_joint("index_tip", np.array([12.0, 7.75]))
    store.put(1, EditedFrame(begun.pose, pairs, begun.joints_px))
    store.save()


def write_runs(data: Path) -> None:
    """A finished run, and what it had saved in the middle of stage 2."""
    os.chdir(data.parent)  # no path of this machine is stored
    words = ["train", "toy", "--data", "ho3d", "--out", "run", *TOY]
    sys.argv = ["warpgrasp", *words]
    platform.platform = lambda *_, **__: "Linux"
    run(*words)
    shutil.move("run", BEFORE / "run")
    with tempfile.TemporaryDirectory() as folder:
        again = Path(shutil.copytree(BEFORE / "run", Path(folder) / "run"))
        for path in again.glob("weights.*"):
            path.unlink()
        loop.SAVE_EVERY_S, real = 0.0, loop.learning_rate

        def interrupted(optimisation: Any, step: int) -> float:
            if step == STATE_STEP:
                raise KeyboardInterrupt
            return real(optimisation, step)

        loop.learning_rate = interrupted
        try:
            assert main([str(again) if word == "run" else word for word in words]) == 1
        finally:
            loop.SAVE_EVERY_S, loop.learning_rate = 30.0, real
        (BEFORE / "interrupted").mkdir()
        for path in again.glob("weights.*"):
            shutil.copyfile(path, BEFORE / "interrupted" / path.name)
    known = {}
    for path in sorted(BEFORE.rglob("*.safetensors")):
        path.chmod(0o644)
        checkpoint = load_checkpoint(path)
        known[path.relative_to(BEFORE).as_posix()] = {
            "sha256": checkpoint.sha256,
            "objects": [[one.name, one.mesh_sha256] for one in checkpoint.objects],
            "hand": checkpoint.hand,
            "step": checkpoint.step,
            "training": checkpoint.training,
        }
    keep("checkpoints.json", known)


def write_numbers(data: Path, recordings: Path, folder: Path) -> None:
    """Predictions, and what is computed from them."""
    run("predict", data, "--weights", BEFORE / "run", "--out", BEFORE / "evaluation.npz")
    run("predict", *left_pictures(recordings, data), "--weights", BEFORE / "run", "--out", BEFORE / "left.npz")
    run("densify", recordings / "right", "--out", BEFORE / "densified")
    keep("scores.json", scores_of(BEFORE / "evaluation.npz", data, folder / "scores.json"))
    densified = Path(shutil.copytree(recordings / "right", folder / "right"))
    shutil.copyfile(BEFORE / "densified" / "annotations.json", densified / "annotations.json")
    run("evaluate", BEFORE / "densified/predictions.npz", "--data", densified, "--out", folder / "densified.json")
    keep("densified_scores.json", json.loads((folder / "densified.json").read_text())["scores"])
    headers = {}
    for name in ("evaluation.npz", "left.npz", "densified/predictions.npz"):
        predictions, header = read_predictions(BEFORE / name)
        headers[name] = {
            "header": header,
            "fields": [key for key in arrays(BEFORE / name) if hasattr(predictions, key)],
        }
    keep("headers.json", headers)
    (folder / "tables").mkdir()
    write_tables(BEFORE / "evaluation.npz", data, folder / "tables")
    for name in ("a.csv", "bop.csv"):
        shutil.copyfile(folder / "tables" / name, BEFORE / name)
    keep("exports.json", file_hashes(folder / "tables"))
    for side in ("right", "left"):
        np.savez_compressed(
            BEFORE / f"{side}_frames.npz", **posed(open_dataset(recordings / side, HandModel(open_hand())))
        )
    keep("photometric.json", photometric_values())
    keep("fingerprints.json", fingerprints(data, recordings))
    keep("sweeps.json", sweep_folders(data))


def write_options() -> None:
    """The options of every command's page of help."""
    known = {}
    commands = [name for name in COMMANDS if name != "train"] + [f"train {recipe}" for recipe in RECIPES]
    for command in commands:
        with redirect_stdout(StringIO()) as page:
            run(*command.split(), "--help")
        known[command] = options(page.getvalue())
        assert "--help" in known[command], command
    keep("options.json", known)


def make() -> None:
    """Write everything to an empty folder."""
    torch.set_num_threads(1)
    shutil.rmtree(BEFORE, ignore_errors=True)
    BEFORE.mkdir()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        sample = write_data(work / "ho3d")
        for side in ("right", "left"):
            write_recording(sample, work / "recordings" / side, side)
        keep_archive("ho3d.zip", work / "ho3d")
        keep_archive("recordings.zip", work / "recordings")
        keep("made.json", {"commit": source_commit(), "machine": machine()})
        write_runs(work / "ho3d")
        write_numbers(work / "ho3d", work / "recordings", work)
    write_options()


if __name__ == "__main__":
    if (BEFORE / "made.json").exists():
        sys.exit("expected no files of before: they are never regenerated")
    make()
