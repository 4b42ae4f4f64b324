"""USD files and recordings of Rerun: read again by their own libraries, the meshes are where they are predicted."""

import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.export.conftest import TIMES_S, turned_about_x
from tests.export.predicted_sequences import predictions_by, sequence_of
from tests.footage_files import SIZE, Brought
from warpgrasp.cli import main
from warpgrasp.export import rrd, usd
from warpgrasp.export.sequence import PredictedSequence
from warpgrasp.frame import FrameName
from warpgrasp.geometry.camera import Camera
from warpgrasp.hand.model import HandModel
from warpgrasp.predictions.file import Predictions, read_predictions

# Its principal point is off the centre, and its pixels are not square.
CAMERA = Camera(torch.tensor([[70.0, 0, 29.0], [0, 65.0, 27.5], [0, 0, 1]]), 64, 48)


@pytest.fixture(scope="module")
def sequence(hand: HandModel) -> PredictedSequence:
    """Three frames of known poses."""
    return sequence_of(hand, predictions_by(hand), camera=CAMERA)


def object_in_camera(sequence: PredictedSequence, predictions: Predictions, row: int) -> np.ndarray:
    turned = sequence.model.vertices.numpy() @ predictions.object_rotation[row].T
    return turned + predictions.object_translation[row]


def opened_stage(path: Path):
    Usd = pytest.importorskip("pxr.Usd", reason="needs the extra `usd`")
    return Usd.Stage.Open(str(path))


def in_world(prim, code: float) -> np.ndarray:
    """The vertices of a mesh in the stage's own space at a time."""
    from pxr import UsdGeom

    points = np.array(UsdGeom.Mesh(prim).GetPointsAttr().Get(code), np.float64)
    matrix = np.array(UsdGeom.Xformable(prim).ComputeLocalToWorldTransform(code))  # of rows
    return points @ matrix[:3, :3] + matrix[3, :3]


@pytest.mark.parametrize("ending", [".usda", ".usdc"])
def test_a_stage(sequence: PredictedSequence, tmp_path: Path, ending: str) -> None:
    pytest.importorskip("pxr", reason="needs the extra `usd`")
    from pxr import UsdGeom

    path = tmp_path / f"a{ending}"
    usd.write_usd(sequence, path)
    stage = opened_stage(path)
    assert UsdGeom.GetStageUpAxis(stage) == "Y"
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    assert (stage.GetTimeCodesPerSecond(), stage.GetFramesPerSecond()) == (30.0, 30.0)
    assert (stage.GetStartTimeCode(), stage.GetEndTimeCode()) == (0.0, 2.0)
    assert stage.GetDefaultPrim().GetPath() == "/sequence"
    hand, thing = (stage.GetPrimAtPath(f"/sequence/camera_space/{name}") for name in ("hand", "object"))
    assert (hand.GetDisplayName(), thing.GetDisplayName()) == ("open-hand right", "box")
    predictions = sequence.predictions
    for row in range(3):
        expected = turned_about_x(predictions.hand_vertices[row])
        np.testing.assert_allclose(in_world(hand, row), expected, atol=1e-6)
        box = np.array(UsdGeom.Mesh(hand).GetExtentAttr().Get(row))
        np.testing.assert_allclose(box[0], predictions.hand_vertices[row].min(axis=0), atol=1e-6)
        expected = turned_about_x(object_in_camera(sequence, predictions, row))
        np.testing.assert_allclose(in_world(thing, row), expected, atol=1e-6)
    counts = UsdGeom.Mesh(hand).GetFaceVertexCountsAttr().Get()
    assert len(counts) == len(sequence.hand.faces) + len(sequence.hand.closing_faces)
    assert UsdGeom.Mesh(hand).GetSubdivisionSchemeAttr().Get() == "none"


def test_the_stages_camera_sees_what_the_pictures_show(sequence: PredictedSequence, tmp_path: Path) -> None:
    pytest.importorskip("pxr", reason="needs the extra `usd`")
    from pxr import UsdGeom

    usd.write_usd(sequence, tmp_path / "a.usdc")
    stage = opened_stage(tmp_path / "a.usdc")
    camera = UsdGeom.Camera(stage.GetPrimAtPath("/sequence/camera")).GetCamera(0)
    matrix = np.array(camera.frustum.ComputeViewMatrix() * camera.frustum.ComputeProjectionMatrix())
    points = sequence.predictions.hand_joints[0].astype(np.float64)
    clip = np.concatenate([turned_about_x(points), np.ones((21, 1))], axis=1) @ matrix
    x, y = (clip[:, :2] / clip[:, 3:]).T  # from -1 at the left and the bottom edge to 1
    pixels = np.stack([(x + 1) / 2 * CAMERA.width, (1 - y) / 2 * CAMERA.height], axis=1) - 0.5
    expected = CAMERA.project(torch.from_numpy(points).float()).numpy()
    np.testing.assert_allclose(pixels, expected, atol=1e-2)


def test_time_codes_are_whole_at_an_even_rate() -> None:
    rate_hz, codes = usd.time_codes(np.array([0, 0.0334, 0.0667, 0.1001]))
    assert rate_hz == pytest.approx(29.94, abs=0.05)
    np.testing.assert_allclose(codes, [0, 1, 2, 3], atol=0.01)
    rate_hz, codes = usd.time_codes(np.array(TIMES_S))
    assert rate_hz == 25
    np.testing.assert_allclose(codes, [0, 1, 2, 5, 6, 10])
    assert usd.time_codes(np.zeros(1)) == (30.0, 0.0)


def columns_of(path: Path, entity: str, component: str) -> tuple[list, list]:
    """The numbers of the frames, and the values of a component, that a recording has for an entity."""
    chunk = pytest.importorskip("rerun.chunk", reason="needs the extra `rerun`")
    frames, values = [], []
    for one in chunk.RrdReader(str(path)).store().stream():
        if one.entity_path != entity:
            continue
        batch = one.to_record_batch()
        names = {name: number for number, name in enumerate(batch.schema.names)}
        found = next((number for name, number in names.items() if name.endswith(component)), None)
        if found is not None:
            values += batch.column(found).to_pylist()
            frames += batch.column(names["frame"]).to_pylist() if "frame" in names else []
    return frames, values


@pytest.mark.parametrize("descriptors", [rrd.DESCRIPTORS, Path("/missing")], ids=["by a pipe", "by itself"])
def test_a_recording_of_rerun(
    predicted: Brought, tmp_path: Path, hand: HandModel, monkeypatch: pytest.MonkeyPatch, descriptors: Path
) -> None:
    pytest.importorskip("rerun", reason="needs the extra `rerun`")
    monkeypatch.setattr(rrd, "DESCRIPTORS", descriptors)
    path = tmp_path / "a.rrd"
    words = ["export", str(predicted.out), "--object", str(predicted.mesh), "--data", str(predicted.video)]
    assert main([*words, "--rrd", str(path)]) == 0
    predictions = read_predictions(predicted.out)[0]
    frames, vertices = columns_of(path, "/hand", "Mesh3D:vertex_positions")
    assert frames == list(range(6))
    for frame, points in zip(frames, vertices, strict=True):
        np.testing.assert_allclose(np.reshape(points, (-1, 3)), predictions.hand_vertices[frame], atol=1e-6)
    frames, places = columns_of(path, "/object", "Transform3D:translation")
    for frame, place in zip(frames, places, strict=True):
        np.testing.assert_allclose(np.reshape(place, 3), predictions.object_translation[frame], atol=1e-6)
    _, (faces,) = columns_of(path, "/hand", "Mesh3D:triangle_indices")
    assert np.reshape(faces, (-1, 3)).tolist() == torch.cat([hand.faces, hand.closing_faces]).tolist()
    _, pictures = columns_of(path, "/camera/picture", "EncodedImage:blob")
    assert len(pictures) == 6
    picture = Image.open(io.BytesIO(bytes(np.ravel(pictures[0]).astype(np.uint8))))
    assert picture.size == SIZE


@pytest.mark.slow
# Of about 101 000 bytes: none, the beginning, all but the end.
@pytest.mark.parametrize("limit", [0, 5_000, 95_000])
def test_a_recording_on_a_full_disk(words: list[str], predicted: Brought, tmp_path: Path, limit: int) -> None:
    """The old file stays, and the command ends: Rerun itself waits without end."""
    pytest.importorskip("rerun", reason="needs the extra `rerun`")
    pytest.importorskip("resource", reason="limits are POSIX's")
    path = tmp_path / "a.rrd"
    path.write_text("what was there before")
    code = "import resource, sys; from warpgrasp.cli import main; "
    code += f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, *words, "--data", str(predicted.video), "--rrd", str(path), "--force"]
    ended = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=600, check=False)
    assert ended.returncode == 1
    sentences = [row for row in ended.stderr.splitlines() if "the index of" not in row]
    assert len(sentences) == 1, ended.stderr
    assert re.match(f"warpgrasp: expected to use {re.escape(str(path))}: File too large; .*kept", sentences[0])
    assert path.read_text() == "what was there before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_long_recording_that_cannot_be_written_ends_early(
    hand: HandModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rerun", reason="needs the extra `rerun`")
    monkeypatch.setattr("warpgrasp.export.sequence.FRAMES_PER_CHUNK", 1)
    shown = []

    def picture(name: FrameName) -> tuple[np.ndarray, Camera]:
        shown.append(name.index)
        return np.random.default_rng(name.index).integers(256, size=(480, 640, 3), dtype=np.uint8), CAMERA

    sequence = sequence_of(hand, predictions_by(hand, count=300), pictures=picture)
    with pytest.raises(OSError, match="No such file") as raised:
        rrd.write_rrd(sequence, tmp_path / "missing" / "a.rrd")
    assert raised.value.filename == str(tmp_path / "missing" / "a.rrd")
    assert len(shown) < 300


@pytest.mark.parametrize(
    ("name", "module", "package"), [("usd", "pxr", "usd-core"), ("rrd", "rerun", "rerun-sdk")], ids=["usd", "rerun"]
)
def test_a_missing_package_is_named(
    words: list[str], tmp_path: Path, capsys, monkeypatch, name: str, module: str, package: str
) -> None:
    found = {"usd": usd, "rrd": rrd}[name].find_spec
    monkeypatch.setattr(
        f"warpgrasp.export.{name}.find_spec", lambda wanted: None if wanted == module else found(wanted)
    )
    assert main([*words, f"--{name}", str(tmp_path / "a.usd"), "--csv", str(tmp_path / "a.csv")]) == 1
    assert f"expected the package {package}, found none; install it: pip install 'warpgrasp[" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_stage_has_the_ending_of_one(words: list[str], tmp_path: Path, capsys) -> None:
    pytest.importorskip("pxr", reason="needs the extra `usd`")
    assert main([*words, "--usd", str(tmp_path / "a.usdz")]) == 1
    assert "expected a file called .usd, .usda, .usdc for USD" in capsys.readouterr().err
