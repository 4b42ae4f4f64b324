"""Mesh files, tables and the video: read again by other readers."""

import csv
import json
import re
from pathlib import Path

import av
import numpy as np
import pytest
import trimesh
from PIL import Image
from scipy.spatial.transform import Rotation

from tests.export.conftest import TIMES_S, turned_about_x
from tests.footage_files import BOX_M, SIZE, Brought, lens, write_pictures
from tests.oracles.glb import GlbFile
from warpgrasp.cli import main
from warpgrasp.data import open_dataset
from warpgrasp.frame import FrameName
from warpgrasp.hand.model import JOINTS
from warpgrasp.predictions.file import read_predictions


def box_in_camera(rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """The mesh file's own vertices, by the pose of its own coordinates."""
    return BOX_M @ rotation.T + translation


def parts_of_obj(text: str) -> dict[str, trimesh.Trimesh]:
    """The named parts of an OBJ file, whose faces count all vertices of the file."""
    vertices: list[list[float]] = []
    faces: dict[str, list[list[int]]] = {}
    for kind, *values in (line.split() for line in text.splitlines()):
        if kind == "o":
            part = faces.setdefault(values[0], [])
        elif kind == "v":
            vertices.append([float(value) for value in values])
        elif kind == "f":
            part.append([int(value) - 1 for value in values])
    every = {name: trimesh.Trimesh(vertices, rows, process=False) for name, rows in faces.items()}
    for one in every.values():
        one.remove_unreferenced_vertices()
    return every


@pytest.mark.parametrize("kind", ["obj", "ply"])
def test_mesh_files(words: list[str], predicted: Brought, tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "meshes"
    assert main([*words, f"--{kind}", str(folder)]) == 0
    predictions = read_predictions(predicted.out)[0]
    stems = {f"{number:06d}" for number in range(6)}
    parts = {f"{stem}_{part}.ply" for stem in stems for part in ("hand", "object")}
    assert {path.name for path in folder.iterdir()} == (parts if kind == "ply" else {f"{stem}.obj" for stem in stems})
    for row in (0, 5):
        if kind == "ply":
            hand = trimesh.load_mesh(folder / f"{row:06d}_hand.ply", process=False)
            thing = trimesh.load_mesh(folder / f"{row:06d}_object.ply", process=False)
        else:
            text = (folder / f"{row:06d}.obj").read_text()
            assert "OpenCV" in text
            hand, thing = (parts_of_obj(text)[name] for name in ("hand", "object"))
        np.testing.assert_allclose(hand.vertices, predictions.hand_vertices[row], atol=1e-6)
        assert hand.is_watertight
        assert thing.is_watertight
        np.testing.assert_allclose(thing.volume, 0.06 * 0.04 * 0.1, rtol=1e-4)
        middle = predictions.object_translation[row]  # of its bounding box, and of the box that it is
        np.testing.assert_allclose(thing.vertices.mean(axis=0), middle, atol=1e-6)


def test_tables(words: list[str], predicted: Brought, tmp_path: Path) -> None:
    assert main([*words, "--csv", str(tmp_path / "t.csv"), "--json", str(tmp_path / "t.json")]) == 0
    predictions = read_predictions(predicted.out)[0]
    with (tmp_path / "t.csv").open(newline="") as file:
        table = [{head.split(" ")[0]: cell for head, cell in row.items()} for row in csv.DictReader(file)]
    content = json.loads((tmp_path / "t.json").read_text())
    assert content["format"] == "warpgrasp-parameters-2"
    assert content["hand_model"] == "open-hand right"
    assert content["joints"] == list(JOINTS)
    assert len(table) == len(content["frames"]) == 6
    local = BOX_M - BOX_M.mean(axis=0)
    for row, (line, entry) in enumerate(zip(table, content["frames"], strict=True)):
        assert (line["sequence"], line["frame"]) == ("clip", str(row))
        np.testing.assert_allclose(float(line["time_s"]), TIMES_S[row], atol=1e-3)
        rotation = Rotation.from_rotvec([float(line[f"object_rotation_{axis}"]) for axis in "xyz"]).as_matrix()
        translation = np.array([float(line[f"object_translation_{axis}"]) for axis in "xyz"])
        expected = local @ predictions.object_rotation[row].T + predictions.object_translation[row]
        np.testing.assert_allclose(box_in_camera(rotation, translation), expected, atol=1e-6)
        np.testing.assert_allclose(entry["object_translation"], translation, atol=1e-9)
        tip = [float(line[f"index_tip_{axis}"]) for axis in "xyz"]
        np.testing.assert_allclose(tip, predictions.hand_joints[row, JOINTS.index("index_tip")], atol=1e-7)
        np.testing.assert_allclose(entry["hand_joints"], predictions.hand_joints[row], atol=1e-7)
        np.testing.assert_allclose(entry["hand_shape"], predictions.hand_shape[row], atol=1e-7)


def test_bop_results_place_the_mesh_in_millimetres(words: list[str], predicted: Brought, tmp_path: Path) -> None:
    out = tmp_path / "bop.csv"
    assert main([*words, "--bop", str(out), "--bop-scene", "7", "--bop-object", "5"]) == 0
    predictions = read_predictions(predicted.out)[0]
    with out.open(newline="") as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == ["scene_id", "im_id", "obj_id", "score", "R", "t", "time"]
    local = BOX_M - BOX_M.mean(axis=0)
    for row, line in enumerate(table):
        assert (line["scene_id"], line["im_id"], line["obj_id"]) == ("7", str(row), "5")
        rotation = np.array(line["R"].split(), dtype=float).reshape(3, 3)
        translation_m = np.array(line["t"].split(), dtype=float) / 1000
        expected = local @ predictions.object_rotation[row].T + predictions.object_translation[row]
        np.testing.assert_allclose(box_in_camera(rotation, translation_m), expected, atol=1e-6)


def test_a_data_set_in_the_layout_of_ho3d(words: list[str], predicted: Brought, tmp_path: Path, hand) -> None:
    out = tmp_path / "set"
    assert main([*words, "--data", str(predicted.video), "--ho3d", str(out)]) == 0
    predictions = read_predictions(predicted.out)[0]
    dataset = open_dataset(out, hand)
    names = dataset.names("train")
    assert names == [FrameName("clip", index) for index in range(6)]
    assert dataset.names("evaluation") == []
    pictures, _ = decoded(predicted.video)
    for row, name in enumerate(names):
        frame = dataset.frame(name, annotated=True)
        found = frame.annotation
        assert found is not None
        np.testing.assert_allclose(found.hand_vertices, predictions.hand_vertices[row], atol=1e-6)
        np.testing.assert_allclose(found.hand_rotation, predictions.hand_rotation[row], atol=1e-6)
        np.testing.assert_allclose(found.object_rotation, predictions.object_rotation[row], atol=1e-6)
        np.testing.assert_allclose(found.object_translation, predictions.object_translation[row], atol=1e-6)
        np.testing.assert_allclose(frame.camera.intrinsics, lens().camera.intrinsics, rtol=1e-6)
        np.testing.assert_allclose(frame.picture.permute(1, 2, 0).int(), pictures[row].astype(int), atol=40)
    (model,) = dataset.objects("train")
    local = BOX_M - (BOX_M.min(axis=0) + BOX_M.max(axis=0)) / 2
    np.testing.assert_allclose(sorted(model.vertices.tolist()), sorted(local.tolist()), atol=1e-7)
    assert main(["doctor", "--data", str(out)]) == 0


def decoded(path: Path) -> tuple[list[np.ndarray], list[float]]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        return [frame.to_ndarray(format="rgb24") for frame in frames], [float(frame.time or 0) for frame in frames]


def test_the_video_has_the_pictures_times_and_size(words: list[str], predicted: Brought, tmp_path: Path) -> None:
    film = tmp_path / "over.mp4"
    assert main([*words, "--data", str(predicted.video), "--mp4", str(film)]) == 0
    frames, times = decoded(film)
    assert frames[0].shape == (SIZE[1], SIZE[0], 3)
    np.testing.assert_allclose(times, TIMES_S, atol=1e-3)


@pytest.mark.parametrize(
    ("more", "pattern"),
    [
        (
            [],
            r"expected at least one of --glb, --usd, --rrd, --obj, --ply, --mp4, --csv, --json, --bop, --ho3d",
        ),
        (["--mp4", "OUT/a.mp4"], r"expected the pictures that were predicted, for a video; give them by --data"),
        (["--mp4", "OUT/a.avi"], r"expected a name that ends with \.mp4 for the video, got .*a\.avi"),
        (["--glb", "OUT/none/a.glb"], r"expected a folder .*none to write a\.glb to, found none"),
        (["--glb", "OUT/there.glb"], r"there\.glb exists already; overwrite it by --force"),
        (["--obj", "OUT", "--force"], r"expected a folder that export wrote, or none, in .*, found something else"),
        (["--ho3d", "OUT/a"], r"expected the pictures that were predicted, for HO-3D's layout; give them by --data"),
        (["--ho3d", "OUT", "--force"], r"expected a new folder for --ho3d, but .* exists already; choose another"),
        (["--glb", "OUT/a.glb", "--sequence", "other"], r"expected a sequence of .*p\.npz \(clip\), got 'other'"),
    ],
)
def test_what_cannot_be_written(words: list[str], tmp_path: Path, capsys, more: list[str], pattern: str) -> None:
    (tmp_path / "there.glb").write_text("precious")
    before = sorted(tmp_path.iterdir())
    assert main([*words, *(word.replace("OUT", str(tmp_path)) for word in more)]) == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert re.search(pattern, message), message
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "there.glb").read_text() == "precious"


def test_another_mesh_or_none_is_refused(predicted: Brought, tmp_path: Path, capsys) -> None:
    words = ["export", str(predicted.out), "--glb", str(tmp_path / "a.glb")]
    assert main(words) == 1
    assert re.search(r"expected the mesh of box by --object MESH, or the data set", capsys.readouterr().err)
    other = tmp_path / "other.obj"
    other.write_text(predicted.mesh.read_text().replace("0.1", "0.11"))
    assert main([*words, "--object", str(other)]) == 1
    error = capsys.readouterr().err
    assert re.search(r"expected the mesh of an object that .*\(box\), found another in .*other\.obj", error)
    assert not (tmp_path / "a.glb").exists()


def test_pictures_of_another_size_are_refused(words: list[str], tmp_path: Path, capsys) -> None:
    folder = write_pictures(tmp_path / "shots", range(6))
    film = tmp_path / "a.mp4"
    assert main([*words, "--data", str(folder), "--mp4", str(film)]) == 0
    film.unlink()
    for path in folder.iterdir():
        Image.open(path).resize((32, 24)).save(path)
    assert main([*words, "--data", str(folder), "--mp4", str(film)]) == 1
    assert re.search(r"pictures of the camera's size, 64×48, in .*shot_0000\.png, found 32×24", capsys.readouterr().err)
    assert not film.exists()


def test_a_folder_is_written_anew_by_force(words: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "meshes"
    assert main([*words, "--obj", str(folder)]) == 0
    (folder / "000099.obj").write_text("of before")
    assert main([*words, "--obj", str(folder), "--force"]) == 0
    assert len(list(folder.iterdir())) == 6


def test_predictions_of_a_data_set(trained_run: Path, sample_root: Path, tmp_path: Path, capsys) -> None:
    file, film, glb = tmp_path / "p.npz", tmp_path / "a.mp4", tmp_path / "a.glb"
    words = ["predict", str(sample_root), "--weights", str(trained_run), "--split", "train", "--out", str(file)]
    assert main(words) == 0
    words = ["export", str(file), "--data", str(sample_root), "--mp4", str(film), "--glb", str(glb)]
    assert main(words) == 1
    assert re.search(
        r"expected one sequence in .*, found 2 \(A1, B1\); choose one by --sequence", capsys.readouterr().err
    )
    assert main([*words, "--sequence", "B1"]) == 0
    frames, times = decoded(film)
    picture = np.array(Image.open(sample_root / "train" / "B1" / "rgb" / "0000.jpg"))
    assert frames[0].shape == picture.shape
    np.testing.assert_allclose(times, np.arange(8) / 30, atol=1e-3)
    assert 0.2 < (np.abs(frames[0].astype(int) - picture) < 12).all(axis=-1).mean() < 1  # the rest is drawn over
    predictions = read_predictions(file)[0]
    read, row = GlbFile.read(glb), predictions.names.index(FrameName("B1", 7))
    expected = turned_about_x(predictions.hand_vertices[row])
    np.testing.assert_allclose(read.vertices(read.node("hand"), float(read.times()[-1])), expected, atol=1e-5)


def test_a_left_hand(predicted: Brought, tmp_path: Path, capsys) -> None:
    file, glb = tmp_path / "left.npz", tmp_path / "left.glb"
    assert main(predicted.words("--side", "left", out=file)) == 0
    words = ["export", str(file), "--object", str(predicted.mesh)]
    assert main([*words, "--data", str(predicted.video), "--ho3d", str(tmp_path / "set")]) == 1
    assert "expected right hands, which HO-3D's layout is for, found open-hand left" in capsys.readouterr().err
    assert not (tmp_path / "set").exists()
    assert main([*words, "--glb", str(glb)]) == 0
    read, predictions = GlbFile.read(glb), read_predictions(file)[0]
    for row, time in ((0, 0.0), (5, float(read.times()[-1]))):
        expected = turned_about_x(predictions.hand_vertices[row])
        np.testing.assert_allclose(read.vertices(read.node("hand"), time), expected, atol=1e-5)


def test_the_pages_bag_holds_the_poses(words: list[str], predicted: Brought, tmp_path: Path, monkeypatch) -> None:
    """The example of docs/own_video.md, run on a table and read again by the package that it uses."""
    reader = pytest.importorskip("mcap_ros2.reader", reason="needs the package mcap-ros2-support")
    page = (Path(__file__).parents[2] / "docs" / "own_video.md").read_text().partition("### ROS 2 and MCAP")[2]
    code = page.partition("```python\n")[2].partition("```")[0]
    monkeypatch.chdir(tmp_path)
    assert main([*words, "--json", "mug.json"]) == 0
    exec(compile(code, "own_video.md", "exec"), {})
    frames = json.loads((tmp_path / "mug.json").read_text())["frames"]
    messages = list(reader.read_ros2_messages("mug.mcap"))
    assert len(messages) == len(frames) == 6
    for frame, message in zip(frames, messages, strict=True):
        assert message.channel.topic == "/object/pose"
        assert message.log_time_ns == round(1e9 * frame["time_s"])
        pose, stamp = message.ros_msg.pose, message.ros_msg.header.stamp
        assert stamp.sec * 10**9 + stamp.nanosec == message.log_time_ns
        place = [pose.position.x, pose.position.y, pose.position.z]
        np.testing.assert_allclose(place, frame["object_translation"], atol=1e-12)
        turn = Rotation.from_quat([getattr(pose.orientation, axis) for axis in "xyzw"])
        np.testing.assert_allclose(turn.as_rotvec(), frame["object_rotation"], atol=1e-9)
