"""Files written by an earlier version are read, and give the numbers that they gave then.

The files in tests/golden/before were written once, by the commit that tests/golden/before/made.json names, and stay as
they are: data set, recordings, run folder, predictions, labels of every frame, tables, and what was computed from them.
Reading and hashing are compared bit for bit everywhere. What is computed is compared bit for bit on the kind of
processor and with the versions of PyTorch and NumPy that computed it; elsewhere, where sums are taken in another
order, within the tolerance that the test names. What the hand model poses anew is within it everywhere: the model has
since come to multiply in another order, which moves a vertex by 30 nm.
"""

import csv
import hashlib
import json
import math
import platform
import re
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from scipy.spatial.transform import Rotation

from warpgrasp.annotate.store import AnnotationStore

# ---- All that this test imports of the package: when a module moves, only these lines change. ----
from warpgrasp.cli import COMMANDS, main
from warpgrasp.data import open_dataset
from warpgrasp.data.recording.annotations import HandJoints, HandParameters, read_annotations
from warpgrasp.data.recording.files import Recording
from warpgrasp.experiments.plans import EXPERIMENTS, networks
from warpgrasp.experiments.scoring import FinishedRun
from warpgrasp.experiments.sweep import Setting, plan
from warpgrasp.frame import FramePair
from warpgrasp.geometry.camera import Camera
from warpgrasp.geometry.mesh import Mesh
from warpgrasp.geometry.rotation import matrix_from_axis_angle
from warpgrasp.hand.model import HandModel
from warpgrasp.hand.templates import open_hand
from warpgrasp.photometric.consistency import appearance, photometric_consistency
from warpgrasp.predictions.file import read_predictions
from warpgrasp.reconstruction.checkpoint import KnownObject, load_checkpoint
from warpgrasp.training.recipes import RECIPES
from warpgrasp.training.run import Training, data_fingerprint, fingerprint_of

# ---- The end of the imports. ----

BEFORE = Path(__file__).parent / "golden" / "before"
# How the run was trained that is stored.
TOY = ("--network.width", "2", "--stage1.steps", "4", "--stage2.steps", "4", "--tracker", "none")
STATE_STEP = 2  # of stage 2, where the interrupted run was stopped
FLOAT32 = 1e-5  # of the largest value: the network's and the exports' arithmetic is of seven digits
DIFFERENCE = 1e-3  # of differences of positions that are themselves some hundred times as large
ERROR = 1e-4  # mm or px, of errors of what is nearly right: they are differences too
FLOAT64 = 1e-6
TRAINED = 5e-3  # as in tests/training/test_golden.py: Adam lets differences grow


def stored(name: str) -> Any:
    """A stored JSON file."""
    return json.loads((BEFORE / name).read_text())


def machine() -> dict[str, str]:
    """What decides the last bits of a result: the processor, and the versions of what computes on it."""
    cpu = Path("/proc/cpuinfo")
    models = re.findall(r"^model name\s*: (.*)$", cpu.read_text(), re.MULTILINE) if cpu.is_file() else []
    return {
        "cpu": models[0] if models else platform.processor(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def computed_here() -> bool:
    """Whether this machine is of the kind that the files were written on, so that all bits are the same."""
    return machine() == stored("made.json")["machine"]


def assert_same(found: Any, expected: Any, tolerance: float, where: str = "") -> None:
    """The same structure, texts and whole numbers; the same floats, bit for bit where `computed_here`."""
    if isinstance(expected, dict):
        assert isinstance(found, dict), where
        assert list(found) == list(expected), where
        for key, value in expected.items():
            assert_same(found[key], value, tolerance, f"{where}.{key}")
    elif isinstance(expected, list) and not all(isinstance(value, float) for value in expected):
        assert len(found) == len(expected), where
        for place, value in enumerate(expected):
            assert_same(found[place], value, tolerance, f"{where}[{place}]")
    elif isinstance(expected, float | list | np.ndarray) and np.asarray(expected).dtype.kind == "f":
        assert_same_floats(np.asarray(found), np.asarray(expected), tolerance, where)
    elif isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(found, expected, err_msg=where)
    else:
        assert found == expected, where


def assert_same_floats(found: np.ndarray, expected: np.ndarray, tolerance: float, where: str) -> None:
    assert found.dtype == expected.dtype, where
    assert found.shape == expected.shape, where
    if computed_here():
        np.testing.assert_array_equal(found, expected, err_msg=where)
    else:
        assert_close_floats(found, expected, tolerance, where)


def assert_close_floats(found: np.ndarray, expected: np.ndarray, tolerance: float, where: str) -> None:
    """Within a tolerance of the largest value; what is no float is the same."""
    if expected.dtype.kind != "f":
        np.testing.assert_array_equal(found, expected, err_msg=where)
        return
    largest = float(np.abs(expected[np.isfinite(expected)]).max(initial=0.0))
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * largest, err_msg=where)


def arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a predictions file, read without the package."""
    with np.load(path, allow_pickle=False) as members:
        return {name: members[name] for name in members.files if members[name].ndim}


def file_hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def run(*words: str | Path) -> None:
    """A command that must succeed."""
    assert main([str(word) for word in words]) == 0


# ---- What is computed, here and when the files were written ----


def fingerprints(data: Path, recordings: Path) -> dict[str, Any]:
    """What names recipes, data and objects in stored files."""
    hand = HandModel(open_hand())
    recipes = {name: make() for name, make in RECIPES.items()}
    sets = {"ho3d": data, "right": recordings / "right", "left": recordings / "left"}
    toy = replace(recipes["toy"], fraction=1 / 2)
    with_data = {name: Training.prepare(toy, open_dataset(root, hand)) for name, root in sets.items()}
    return {
        "recipes": {name: fingerprint_of(recipe, hand, "data") for name, recipe in recipes.items()},
        "controls": {name: fingerprint_of(recipe.as_control(), hand, "data") for name, recipe in recipes.items()},
        "first stages": {name: fingerprint_of(recipe.first_stage(), hand, "data") for name, recipe in recipes.items()},
        "rarer labels": {
            name: fingerprint_of(RECIPES[name](1 / 160), hand, "data") for name in ("fphab-sparse", "ho3d-appendix-b")
        },
        "data": {name: data_fingerprint(training) for name, training in with_data.items()},
    }


def sweep_folders(data: Path) -> dict[str, dict[str, str]]:
    """The folder of every network of the paper's tables and figures, on a data set."""
    setting = Setting(open_dataset(data, HandModel(open_hand())), Path("nowhere"))
    folders = {}
    for name, experiment in EXPERIMENTS.items():
        for data_kind, quick in (("sample", False), ("sample", True), ("paper", False)):
            whole = plan(networks(experiment, seeds=(0,), data=data_kind, quick=quick), setting)
            kind = f"{name}{' sample' * (data_kind == 'sample')}{' quick' * quick}"
            folders[kind] = {network.label: folder for network, folder in whole.networks}
    return folders


def box(turn_rad: float, centre_m: tuple[float, float, float]) -> Mesh:
    """A box of 24 x 18 x 12 cm, turned about Y."""
    corners = [[x, y, z] for x in (-0.12, 0.12) for y in (-0.09, 0.09) for z in (-0.06, 0.06)]
    cosine, sine = math.cos(turn_rad), math.sin(turn_rad)
    turn = torch.tensor([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]], dtype=torch.float64)
    faces = [[0, 1, 3], [0, 3, 2], [4, 7, 5], [4, 6, 7], [0, 5, 1], [0, 4, 5]]
    faces += [[2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]]
    placed = torch.tensor(corners, dtype=torch.float64) @ turn.T + torch.tensor(centre_m, dtype=torch.float64)
    return Mesh.of(placed[None], torch.tensor(faces))


def photometric_values() -> dict[str, Any]:
    """The photometric term of two views of a box, and its gradient, of colours and with local contrast."""
    v, u = torch.meshgrid(torch.arange(48), torch.arange(64), indexing="ij")
    target, reference = (
        torch.stack([(a * u + b * v) % 64 for a, b in ((3, 1), (1, 5), (2, 2))])[None].double() / 64
        for u, v in ((u, v), (u + 3, v + 1))
    )
    intrinsics = torch.tensor([[[80.0, 0, 30.8], [0, 76.0, 24.1], [0, 0, 1]]], dtype=torch.float64)
    camera = Camera(intrinsics, 64, 48)
    values = {}
    for share in (0.0, 0.5):
        compared, given = (appearance(image, contrast_share=share) for image in (target, reference))
        moved = box(0.45, (0.02, -0.01, 0.5))
        vertices = moved.vertices.clone().requires_grad_()
        pair = FramePair(compared, camera, given, camera, box(0.4, (0.01, -0.02, 0.5)))
        term = photometric_consistency(pair, moved.with_vertices(vertices))
        term.loss.sum().backward()
        assert vertices.grad is not None
        values[f"contrast {share}"] = {
            "loss": term.loss.tolist(),
            "compared_share": term.compared_share.tolist(),
            "gradient": vertices.grad[0].tolist(),
        }
    return values


def write_tables(file: Path, data: Path, out: Path) -> None:
    """Every export of a predictions file but the film, whose bytes are FFmpeg's."""
    words: list[str | Path] = ["--glb", out / "a.glb", "--csv", out / "a.csv", "--json", out / "a.json"]
    words += ["--obj", out / "obj", "--ply", out / "ply", "--ho3d", out / "ho3d"]
    words += ["--bop", out / "bop.csv", "--bop-scene", "7", "--bop-object", "5"]
    run("export", file, "--data", data, *words)


def scores_of(file: Path, data: Path, out: Path) -> dict[str, Any]:
    """All that `evaluate` says of a predictions file."""
    run("evaluate", file, "--data", data, "--contact", "--ho3d-official", "--out", out)
    return json.loads(out.read_text())


def left_pictures(recordings: Path, data: Path) -> list[str | Path]:
    """How `predict` is told of the pictures of a left hand with the mesh that the network was trained on."""
    folder, mesh = recordings / "left", data / "models" / "003_cracker_box" / "textured_simple.obj"
    return [folder / "frames", "--object", mesh, "--camera", folder / "camera.json", "--side", "left"]


def options(page: str) -> dict[str, str | None]:
    """The options of a page of help, with the default of each; None where there is none."""
    entries: dict[str, str] = {}
    name = None
    for raw in page.splitlines():
        line = raw.strip("│| ")
        started = re.match(r"(?:-h, )?(--[a-z][\w.-]*)", line)
        if started:
            name = started[1]
            entries[name] = line
        elif not line or line[0] in "╭╰":
            name = None
        elif name is not None:
            entries[name] += " " + line
    defaults = {name: re.search(r"\(default: ?(.*?)\)$", text) for name, text in entries.items()}
    return {name: default and default[1] for name, default in defaults.items()}


# ---- Tests ----


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set in HO-3D's layout that everything was computed from. Read only."""
    return unpacked("ho3d.zip", tmp_path_factory.mktemp("before"))


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of a right hand, one of a left hand. Read only."""
    return unpacked("recordings.zip", tmp_path_factory.mktemp("before"))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def unpacked(name: str, folder: Path) -> Path:
    out = folder / Path(name).stem
    with zipfile.ZipFile(BEFORE / name) as archive:
        archive.extractall(out)
    return out


def finished_run(folder: Path) -> Path:
    """A copy of the run."""
    return Path(shutil.copytree(BEFORE / "run", folder / "run"))


def test_a_finished_run_is_known_as_finished(data: Path, tmp_path: Path, capsys) -> None:
    out = finished_run(tmp_path)
    before = file_hashes(out)
    run("train", "toy", "--data", data, "--out", out, *TOY)
    assert "finished already" in capsys.readouterr().out
    assert file_hashes(out) == before
    assert main(["train", "toy", "--data", str(data), "--out", str(out), *TOY, "--seed", "1"]) == 1
    assert stored("run/run.json")["fingerprint"] in capsys.readouterr().err


def test_an_interrupted_run_goes_on_to_the_same_weights(data: Path, tmp_path: Path) -> None:
    out = finished_run(tmp_path)
    for path in out.glob("weights.*"):
        path.unlink()
    shutil.copytree(BEFORE / "interrupted", out, dirs_exist_ok=True)
    run("train", "toy", "--data", data, "--out", out, *TOY)
    found, expected = (load_file(folder / "weights.safetensors") for folder in (out, BEFORE / "run"))
    assert found.keys() == expected.keys()
    for name, values in expected.items():  # both batches of a step go through the network in one pass now
        np.testing.assert_allclose(found[name], values, rtol=0, atol=TRAINED, err_msg=name)
    assert not (out / "weights.state.safetensors").exists()
    begun = (BEFORE / "interrupted" / "weights.jsonl").read_text()
    assert (out / "weights.jsonl").read_text().startswith(begun)  # with its seconds: those steps are not taken again
    # What is logged every ten steps is logged of the last one too.
    last = [json.loads((folder / "weights.jsonl").read_text().splitlines()[-1]) for folder in (out, BEFORE / "run")]
    for row in last:
        del row["seconds"]
    assert last[0] == pytest.approx(last[1], rel=TRAINED, abs=TRAINED)


def test_the_run_folder_says_what_it_said() -> None:
    finished, expected = FinishedRun.read(BEFORE / "run"), stored("checkpoints.json")
    assert finished.arm == "photometric"
    assert {arm: path.name for arm, path in finished.weights().items()} == {"photometric": "weights.safetensors"}
    assert list(finished.stages()) == ["0 steps", "4 steps"]
    for name, known in expected.items():
        checkpoint = load_checkpoint(BEFORE / name)
        assert checkpoint.sha256 == known["sha256"]
        assert [[one.name, one.mesh_sha256] for one in checkpoint.objects] == known["objects"]
        assert (checkpoint.hand, checkpoint.step, checkpoint.training) == (
            known["hand"],
            known["step"],
            known["training"],
        )
        plain = load_file(BEFORE / name)
        assert checkpoint.tensors.keys() == plain.keys()
        for tensor, values in plain.items():
            np.testing.assert_array_equal(checkpoint.tensors[tensor].numpy(), values)


@pytest.mark.parametrize("name", ["evaluation.npz", "left.npz", "densified/predictions.npz"])
def test_predictions_are_read_bit_for_bit(name: str) -> None:
    predictions, header = read_predictions(BEFORE / name)
    plain = arrays(BEFORE / name)
    assert {"hand_vertices", "hand_joints", "object_rotation", "object_translation"} <= plain.keys()
    for field, values in plain.items():
        if hasattr(predictions, field):
            np.testing.assert_array_equal(getattr(predictions, field), values)
    known = stored("headers.json")[name]
    assert {key: header[key] for key in known["header"]} == known["header"]
    read = {field for field in plain if hasattr(predictions, field)}
    assert read == set(known["fields"])


@pytest.mark.parametrize("name", ["evaluation.npz", "left.npz"])
def test_the_network_predicts_what_it_predicted(data: Path, recordings: Path, tmp_path: Path, name: str) -> None:
    source = [data] if name == "evaluation.npz" else left_pictures(recordings, data)
    run("predict", *source, "--weights", BEFORE / "run", "--check-hands", "0", "--out", tmp_path / name)
    found, expected = arrays(tmp_path / name), arrays(BEFORE / name)
    assert expected.keys() <= found.keys()
    for field, values in expected.items():
        assert_close_floats(found[field], values, DIFFERENCE if field == "hand_jump" else FLOAT32, field)


def test_the_scores_are_the_same(data: Path, tmp_path: Path) -> None:
    found, expected = scores_of(BEFORE / "evaluation.npz", data, tmp_path / "scores.json"), stored("scores.json")
    assert len(expected["ho3d_official"]) == 14
    assert_same({key: found[key] for key in expected}, expected, FLOAT32)


def test_exports_are_the_same(data: Path, tmp_path: Path) -> None:
    write_tables(BEFORE / "evaluation.npz", data, tmp_path)
    hashes = stored("exports.json")
    found = file_hashes(tmp_path)
    assert found.keys() == hashes.keys()
    if computed_here():  # elsewhere a last digit may be another
        compared = hashes.keys() - {*TABLES, POSED}
        assert {name: found[name] for name in compared} == {name: hashes[name] for name in compared}


POSED = "ho3d/train/E1/meta/0000.pkl"  # hand parameters that are fitted: a vertex of 30 nm elsewhere is another digit
TABLES = ("a.csv", "a.json", "bop.csv")  # whose object poses were those of HO-3D's turned meshes
TURNED = np.diag([1.0, -1.0, -1.0])


def test_tables_hold_the_numbers_of_before(data: Path, tmp_path: Path) -> None:
    """But for the hand's place and its coefficients, of which there are angles now, and the coordinates of the mesh."""
    write_tables(BEFORE / "evaluation.npz", data, tmp_path)
    (_, found), (known_head, expected) = (table(folder / "a.csv") for folder in (tmp_path, BEFORE))
    changed = [name for name in known_head if re.match("(hand_translation|hand_pose|object_rotation)_", name)]
    assert len(changed) == 3 + 15 + 3
    assert_same({name: found[name] for name in expected if name not in changed}, without(expected, changed), FLOAT32)
    rotations, known_rotations = (
        Rotation.from_rotvec(np.stack([columns[f"object_rotation_{axis}"] for axis in "xyz"], axis=1)).as_matrix()
        for columns in (found, expected)
    )
    np.testing.assert_allclose(rotations, known_rotations @ TURNED, atol=1e-6)
    (head, found), (known_head, expected) = (table(folder / "bop.csv") for folder in (tmp_path, BEFORE))
    assert head == known_head
    assert_same(without(found, ["R"]), without(expected, ["R"]), FLOAT32)
    matrices = [columns["R"].reshape(-1, 3, 3) for columns in (found, expected)]
    np.testing.assert_allclose(matrices[0], matrices[1] @ TURNED, atol=1e-6)


def without(columns: dict[str, np.ndarray], names: list[str]) -> dict[str, np.ndarray]:
    return {name: values for name, values in columns.items() if name not in names}


TEXTS = ("sequence", "object")


def table(path: Path) -> tuple[list[str], dict[str, np.ndarray]]:
    """The names in the head of a CSV file, and each column's numbers: a cell of BOP's tables holds several."""
    with path.open(newline="") as file:
        head, *rows = csv.reader(file)
    head = [cell.partition(" [")[0] for cell in head]
    columns = dict(zip(head, zip(*rows, strict=True), strict=True))
    words = {name: [word for cell in cells for word in cell.split()] for name, cells in columns.items()}
    return head, {name: np.array(column, str if name in TEXTS else float) for name, column in words.items()}


@pytest.mark.parametrize("side", ["right", "left"])
def test_labels_and_drafts_of_a_recording(recordings: Path, tmp_path: Path, side: str) -> None:
    folder = Path(shutil.copytree(recordings / side, tmp_path / side))
    content, drafts = (
        json.loads((folder / f"{name}.json").read_text()) for name in ("annotations", "annotation_drafts")
    )
    file = read_annotations(folder)
    assert (file.side, file.hand_model) == (side, content["hand_model"])
    assert [label.frame for label in file.labels] == [0, 2, 3]
    for label, entry in zip(file.labels, content["frames"], strict=True):
        assert label.object_rotation.tolist() == entry["object"]["rotation"]
        assert label.object_translation.tolist() == entry["object"]["translation"]
        assert label.use == entry.get("use", "train")
        match label.hand:
            case HandParameters():
                assert {name: value.tolist() for name, value in vars(label.hand).items()} == entry["hand"]
            case HandJoints():
                assert label.hand.joints.tolist() == list(entry["hand"]["joints"].values())
    recording = Recording.read(folder)
    store = AnnotationStore(recording, recording.hand(HandModel(open_hand())))
    assert (store.labelled, store.drafted) == ([0, 2, 3], [1])
    (entry,) = drafts["frames"]
    state = store.get(1)
    assert state is not None
    for part in ("hand", "object"):
        rotation = matrix_from_axis_angle(torch.tensor(entry[part]["rotation"], dtype=torch.float64))
        np.testing.assert_array_equal(getattr(state, f"{part}_rotation"), rotation)
    assert state.object_centre.tolist() == entry["object"]["centre"]
    assert state.wrist.tolist() == entry["hand"]["wrist"]
    assert state.joint_angles.tolist() == entry["hand"]["joints"]
    assert state.shape.tolist() == entry["hand"]["shape"]
    assert [pair.point.tolist() for pair in state.pairs] == [pair["point"] for pair in entry["object_points"]]
    assert {name: pixel.tolist() for name, pixel in state.joints_px} == entry["hand_joints"]
    label = store.get(0)
    assert label is not None
    store.put(0, label)  # what nobody has changed is written as it was
    store.save()
    for name, expected in (("annotations", content), ("annotation_drafts", drafts)):
        assert json.loads((folder / f"{name}.json").read_text()) == expected


@pytest.mark.parametrize("side", ["right", "left"])
def test_frames_of_a_recording_are_posed_as_they_were(recordings: Path, side: str) -> None:
    """Also of the label that a fit to 21 joints poses."""
    dataset, expected = open_dataset(recordings / side, HandModel(open_hand())), np.load(BEFORE / f"{side}_frames.npz")
    assert [name.index for name in dataset.names("train")] == [0, 1, 3]
    assert [name.index for name in dataset.names("evaluation")] == [2]
    for name, values in posed(dataset).items():
        tolerance = 1e-3 if name.startswith("3.hand") else FLOAT32  # the fit ends where it no longer improves
        assert_same(values, expected[name], tolerance, name)


def posed(dataset: Any) -> dict[str, np.ndarray]:
    """Hand, object and camera of the labelled frames of a recording."""
    values = {}
    for split in ("train", "evaluation"):
        for name in (name for name in dataset.names(split) if dataset.is_annotated(name)):
            annotation = dataset.truth(name).annotation
            for field in ("hand_vertices", "hand_joints", "object_rotation", "object_translation"):
                values[f"{name.index}.{field}"] = getattr(annotation, field).numpy()[:: 40 if "vert" in field else 1]
    camera = dataset.frame(dataset.names("train")[0], annotated=False).camera
    return {**values, "intrinsics": camera.intrinsics.numpy()}


@pytest.mark.slow
def test_densify_goes_where_it_went(recordings: Path, tmp_path: Path) -> None:
    out = tmp_path / "densified"
    run("densify", recordings / "right", "--keypoints", "none", "--out", out)
    found, expected = (arrays(folder / "predictions.npz") for folder in (out, BEFORE / "densified"))
    assert expected.keys() <= found.keys()
    # Stretches are refined from both of their labels now: the frames between end within two centimetres, not there.
    for field in ("hand_vertices", "hand_joints", "object_translation"):
        np.testing.assert_allclose(found[field], expected[field], rtol=0, atol=0.02, err_msg=field)
    labels, known = (json.loads((folder / "annotations.json").read_text()) for folder in (out, BEFORE / "densified"))
    assert labels.keys() == known.keys()
    assert [entry["frame"] for entry in labels["frames"]] == [0, 1, 2, 3]
    given = json.loads((recordings / "right" / "annotations.json").read_text())["frames"]
    used = {entry["frame"] for entry in given if entry.get("use", "train") == "train"}
    ours, theirs = ([entry for entry in one["frames"] if entry["frame"] in used] for one in (labels, known))
    assert ours == theirs


def test_a_densified_recording_is_a_recording(recordings: Path, tmp_path: Path, capsys) -> None:
    """Its labels of every frame, beside the pictures of the recording, can be trained on and are checked by doctor."""
    folder = Path(shutil.copytree(recordings / "right", tmp_path / "right"))
    shutil.copyfile(BEFORE / "densified" / "annotations.json", folder / "annotations.json")
    assert [label.frame for label in read_annotations(folder).labels] == [0, 1, 2, 3]
    run("doctor", "--data", folder)
    run("evaluate", BEFORE / "densified" / "predictions.npz", "--data", folder, "--out", tmp_path / "scores.json")
    scores = json.loads((tmp_path / "scores.json").read_text())["scores"]
    known = stored("densified_scores.json")
    assert scores == (known if computed_here() else pytest.approx(known, rel=0, abs=ERROR))
    capsys.readouterr()


def test_the_photometric_term_is_the_same() -> None:
    assert_same(photometric_values(), stored("photometric.json"), FLOAT64)


def test_fingerprints_are_the_same(data: Path, recordings: Path) -> None:
    """Of recipes, data and objects: bytes and settings, which no processor decides."""
    found = fingerprints(data, recordings)
    for kind, expected in stored("fingerprints.json").items():
        if kind != "objects":
            assert {name: found[kind].get(name) for name in expected} == expected, kind


def test_objects_are_known_by_their_hashes_of_before(data: Path, recordings: Path) -> None:
    """A mesh is stored by another identity today; the hash of its vertices in order still tells it from any other."""
    models = open_dataset(data, HandModel(open_hand())).objects("train")
    models += [Recording.read(recordings / side).object.model for side in ("right", "left")]
    hashes = stored("fingerprints.json")["objects"]
    assert [name for name, _ in hashes] == [model.name for model in models]
    for name, mesh_sha256 in hashes:
        known = KnownObject(name, mesh_sha256)
        assert [known.has_mesh_of(model) for model in models] == [digest == mesh_sha256 for _, digest in hashes]


@pytest.mark.slow
def test_sweeps_find_their_folders(data: Path) -> None:
    found = sweep_folders(data)
    for experiment, folders in stored("sweeps.json").items():
        if "sample" in experiment:  # where full supervision is a bound, it has had its control's protocol since
            folders = {label: folder for label, folder in folders.items() if "· full ·" not in label}
        assert folders
        assert {label: found[experiment].get(label) for label in folders} == folders, experiment


def known_options() -> dict[str, dict[str, str | None]]:
    return stored("options.json")


# The recipes' pages differ in the defaults, of which their fingerprints are; one of them stands for all in short tests.
PAGES = [
    pytest.param(name, marks=[pytest.mark.slow] if name.startswith("train ") and name != "train demo" else [])
    for name in known_options()
]


# Defaults that were changed on purpose: calibration chooses the number of coefficients itself.
NEW_DEFAULTS: dict[str, dict[str, str]] = {"sample": {"--sequences": "None"}, "camera": {"--coefficients": "auto"}}


@pytest.mark.parametrize("command", PAGES)
def test_every_option_is_still_there(command: str, capsys, monkeypatch) -> None:
    """By its page of help; with the default that it had."""
    monkeypatch.setenv("COLUMNS", "100")  # narrow enough for one column of options
    run(*command.split(), "--help")
    found, expected = options(capsys.readouterr().out), known_options()[command] | NEW_DEFAULTS.get(command, {})
    assert {name: found.get(name, "no such option") for name in expected} == expected


def test_every_command_and_recipe_is_still_there() -> None:
    words = [command.split() for command in known_options()]
    assert {first for first, *_ in words} <= set(COMMANDS)
    assert {rest[0] for _, *rest in words if rest} <= set(RECIPES)
