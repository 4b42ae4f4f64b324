"""`predict` on a user's own footage: the right frames, resumable, and a clear word when something does not fit."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from tests.footage_files import (
    BOX_FACES,
    BOX_M,
    SEEN_SIZE,
    SIZE,
    Brought,
    bring,
    lens,
    network_that_knows,
    picture,
    write_checkpoint,
    write_obj,
    write_pictures,
    write_video,
)
from warpgrasp.cli import main
from warpgrasp.data.augment import mirrored_object
from warpgrasp.data.recording.files import load_mesh_in
from warpgrasp.files import write_document
from warpgrasp.frame import ObjectModel, Objects
from warpgrasp.geometry.camera import Camera
from warpgrasp.hand.model import HandModel
from warpgrasp.hand.templates import open_hand
from warpgrasp.predictions.file import Predictions, read_predictions
from warpgrasp.predictions.shards import ShardWriter

BOX = ObjectModel.centred("box", torch.tensor(BOX_M).float(), torch.tensor(BOX_FACES))
TIMES_S = [0.0, 0.03, 0.06, 0.2, 0.21, 0.4, 0.9, 0.95]


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Brought:
    """Eight frames in constant rate. Read only."""
    return bring(tmp_path_factory.mktemp("brought"))


@pytest.fixture
def brought(given: Brought, tmp_path: Path) -> Brought:
    """A copy that a test may spoil."""
    folder = Path(shutil.copytree(given.folder, tmp_path / "own"))
    return Brought(folder, folder / "weights.safetensors", folder / "box.obj")


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warpgrasp.inference.stream.SHARD_FRAMES", 3)


def frames_by_opencv(path: Path) -> list[np.ndarray]:
    """Every frame, by another reader of videos."""
    opened, found = cv2.VideoCapture(str(path)), []
    while True:
        there, frame = opened.read()
        if not there:
            opened.release()
            return found
        found.append(frame[..., ::-1])


def expected_vertices(pictures: list[np.ndarray]) -> np.ndarray:
    """The network on each picture alone, without anything of `inference`."""
    network = network_that_knows(["box"]).eval()
    width, height = SEEN_SIZE  # as wide in pixels as the focal length is long, as are the pictures themselves
    matrix = torch.tensor([[[width, 0, (width - 1) / 2], [0, width, (height - 1) / 2], [0, 0, 1]]])
    camera = Camera(matrix, width, height)
    found = []
    for pixels in pictures:
        small = np.array(Image.fromarray(np.ascontiguousarray(pixels)).resize(SEEN_SIZE, Image.Resampling.BOX))
        image = torch.from_numpy(small).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad():
            found.append(network(image, camera, Objects.of([BOX])).hand.vertices[0].numpy())
    return np.stack(found)


@pytest.mark.slow
def test_each_frame_of_a_video_is_predicted_under_its_number(brought: Brought, capsys) -> None:
    assert main(brought.words("--batch", "2")) == 0
    predictions, header = read_predictions(brought.out)
    assert [(name.sequence, name.index) for name in predictions.names] == [("clip", number) for number in range(8)]
    expected = expected_vertices(frames_by_opencv(brought.video))
    assert np.abs(expected[1:] - expected[:-1]).max() > 1e-3  # or the test could not tell frames apart
    np.testing.assert_allclose(predictions.hand_vertices, expected, atol=2e-4)  # two readers' colours
    np.testing.assert_allclose(predictions.time_s, np.arange(8) / 30, atol=1e-4)
    assert set(predictions.object_name) == {"box"}
    assert header["cameras"]["clip"]["fx"] == SIZE[0]
    assert header["side"] == "right"
    assert list(brought.out.parent.iterdir()) == [brought.out]
    assert re.search(r"wrote 8 frames to .*; (none|\d) of 8 frames", " ".join(capsys.readouterr().out.split()))


def test_pictures_are_predicted_under_their_numbers(brought: Brought, tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "shots", [3, 4, 17])
    assert main(brought.words(input=folder)) == 0
    predictions, _ = read_predictions(brought.out)
    assert [(name.sequence, name.index) for name in predictions.names] == [("shots", 3), ("shots", 4), ("shots", 17)]
    pictures = [np.array(Image.open(path)) for path in sorted(folder.iterdir())]
    np.testing.assert_allclose(predictions.hand_vertices, expected_vertices(pictures), atol=1e-6)
    assert np.isnan(predictions.time_s).all()


def test_a_varying_rate(brought: Brought) -> None:
    write_video(brought.video, TIMES_S)
    assert main(brought.words()) == 0
    predictions, _ = read_predictions(brought.out)
    np.testing.assert_allclose(predictions.time_s, TIMES_S, atol=1e-3)
    expected = expected_vertices(frames_by_opencv(brought.video))
    np.testing.assert_allclose(predictions.hand_vertices, expected, atol=2e-4)


def test_a_video_that_asks_to_be_turned(brought: Brought) -> None:
    write_video(brought.video, TIMES_S[:3], size=(SIZE[1], SIZE[0]), turned_deg=90)
    assert main(brought.words()) == 0
    shown = frames_by_opencv(brought.video)
    assert shown[0].shape == (SIZE[1], SIZE[0], 3)
    np.testing.assert_allclose(read_predictions(brought.out)[0].hand_vertices, expected_vertices(shown), atol=2e-4)


def test_one_frame(brought: Brought) -> None:
    write_video(brought.video, [0.0])
    assert main(brought.words("--smooth", "2")) == 0
    predictions, _ = read_predictions(brought.out)
    assert len(predictions) == 1
    assert np.isnan(predictions.hand_jump).all()
    assert predictions.flags[0] & 3 == 0  # nothing to jump from
    np.testing.assert_allclose(predictions.hand_vertices, expected_vertices(frames_by_opencv(brought.video)), atol=2e-4)


def test_interrupted_and_gone_on_with_is_the_same_file(brought: Brought, monkeypatch, capsys) -> None:
    undisturbed = brought.folder / "undisturbed.npz"
    assert main(brought.words("--smooth", "1.5", out=undisturbed)) == 0
    write = ShardWriter.write

    def until_the_second(self, shard: int, predictions: Predictions) -> None:
        if shard == 1:
            raise KeyboardInterrupt
        write(self, shard, predictions)

    monkeypatch.setattr(ShardWriter, "write", until_the_second)
    assert main(brought.words("--smooth", "1.5")) == 130
    assert [path.name for path in (brought.out.parent / "p.npz.partial").iterdir()] == ["000000.npz"]
    written: list[int] = []

    def counted(self, shard: int, predictions: Predictions) -> None:
        written.append(shard)
        write(self, shard, predictions)

    monkeypatch.setattr(ShardWriter, "write", counted)
    assert main(brought.words("--smooth", "1.5")) == 0
    assert written == [1, 2]
    assert brought.out.read_bytes() == undisturbed.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("change", ["video", "camera", "smooth", "check_hands", "refine"])
def test_shards_of_another_input_are_not_gone_on_with(brought: Brought, monkeypatch, capsys, change: str) -> None:
    write = ShardWriter.write

    def only_the_first(self, shard: int, predictions: Predictions) -> None:
        if shard:
            raise KeyboardInterrupt
        write(self, shard, predictions)

    monkeypatch.setattr(ShardWriter, "write", only_the_first)
    assert main(brought.words()) == 130
    more: list[str] = []
    match change:
        case "video":
            write_video(brought.video, TIMES_S)
        case "camera":
            write_document(brought.camera, lens(centre_px=(30, 20)).content)
        case "smooth":
            more = ["--smooth", "1"]
        case "refine":
            more = ["--refine"]
        case "check_hands":
            more = ["--check-hands", "2"]
    capsys.readouterr()
    assert main(brought.words(*more)) == 1
    assert re.search(r"expected unfinished predictions of the same .*; delete that folder", capsys.readouterr().err)


def test_shards_of_another_picture_in_the_middle_are_not_gone_on_with(brought: Brought, monkeypatch, capsys) -> None:
    """Of the same name, size and time as the one before."""
    write, pictures = ShardWriter.write, brought.folder / "pictures"
    words = brought.words(input=write_pictures(pictures, range(8)))

    def only_the_first(self, shard: int, predictions: Predictions) -> None:
        if shard:
            raise KeyboardInterrupt
        write(self, shard, predictions)

    with monkeypatch.context() as patch:
        patch.setattr(ShardWriter, "write", only_the_first)
        assert main(words) == 130
    path = sorted(pictures.iterdir())[4]
    stat, content = path.stat(), bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    capsys.readouterr()
    assert main(words) == 1
    assert "(different: input)" in " ".join(capsys.readouterr().err.split())


def refused(brought: Brought, capsys, pattern: str, words: list[str]) -> None:
    assert main(words) == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1, message
    assert re.search(pattern, message), message
    assert not brought.out.parent.exists() or list(brought.out.parent.iterdir()) == []


def spoil_codec(path: Path) -> None:
    content = path.read_bytes()
    assert b"avc1" in content[content.index(b"moov") :]
    head, tail = content[: content.index(b"stsd")], content[content.index(b"stsd") :]
    path.write_bytes(head + tail.replace(b"avc1", b"zzzz", 1))


@pytest.mark.parametrize(
    ("spoil", "pattern"),
    [
        (
            lambda own: write_document(own.camera, lens(size=(128, 96)).content),
            r"pictures of the camera's size, 128×96, in .*clip\.mp4, found 64×48 in frame 0: .*camera\.json is of an",
        ),
        (
            lambda own: own.camera.unlink(),
            r"expected camera\.json in .*, found no such file",
        ),
        (
            lambda own: write_obj(own.mesh, BOX_M * [1, 1, 1.1], BOX_FACES),
            r"the mesh of an object that the network knows \(box\), found another in .*box\.obj, 110 mm long; give the",
        ),
        (
            lambda own: write_obj(own.mesh, BOX_M, BOX_FACES, scale=1e6),
            r"found one of 100000 m .*no unit that is known fits it",
        ),
        (lambda own: own.mesh.unlink(), r"expected a mesh file \(.obj, .ply, .glb\) .*found no file .*box\.obj"),
        (lambda own: spoil_codec(own.video), r"a video of a known codec in .*clip\.mp4, found another; copy it anew"),
        (lambda own: own.video.write_bytes(b""), r"expected to decode .*clip\.mp4"),
        (
            lambda own: own.video.write_bytes(own.video.read_bytes()[:1500]),
            r"expected to decode .*clip\.mp4: .*; copy it anew",
        ),
    ],
)
def test_what_does_not_fit(brought: Brought, capsys, spoil: Callable[[Brought], object], pattern: str) -> None:
    spoil(brought)
    refused(brought, capsys, pattern, brought.words())


def test_a_file_that_is_no_video(brought: Brought, capsys) -> None:
    (brought.folder / "clip.wmv").write_bytes(b"RIFF")
    words = brought.words(input=brought.folder / "clip.wmv")
    refused(brought, capsys, r"expected a video \(\.mp4, .*\), found .*clip\.wmv; convert it: ffmpeg -i", words)


@pytest.mark.parametrize(
    ("more", "pattern"),
    [
        (["--batch", "0"], r"expected at least 1 frame at once, got 0"),
        (["--smooth", "-1"], r"expected a standard deviation from 0 to 50 frames, got -1"),
        (
            ["--device", "abacus"],
            r"expected a device of PyTorch's on this machine, got 'abacus': .*--device cpu",
        ),
        (["--side", "both"], r"expected --side right or left with .*clip\.mp4, got both"),
    ],
)
def test_options_that_cannot_be(brought: Brought, capsys, more: list[str], pattern: str) -> None:
    refused(brought, capsys, pattern, brought.words(*more))


def test_a_video_needs_object_and_camera(brought: Brought, capsys) -> None:
    words = ["predict", str(brought.video), "--weights", str(brought.weights), "--out", str(brought.out)]
    refused(brought, capsys, r"expected --object MESH and --camera camera\.json with .*clip\.mp4", words)
    refused(brought, capsys, r"expected --camera camera\.json with", [*words, "--object", str(brought.mesh)])


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1000, 100, 1 / 0.0254])
def test_a_mesh_in_other_units_is_known_by_its_shape(brought: Brought, scale: float) -> None:
    assert main(brought.words()) == 0
    again = brought.folder / "again.npz"
    write_obj(brought.mesh, BOX_M, BOX_FACES, scale=scale)
    assert main(brought.words(out=again)) == 0
    assert again.read_bytes() == brought.out.read_bytes()


def damage(path: Path, wanted: int) -> None:
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    start, size = packets[wanted]
    content[start + 4 : start + size] = b"\xff" * (size - 4)
    path.write_bytes(content)


def test_a_damaged_frame_is_refused_or_left_out_by_name(brought: Brought, capsys) -> None:
    with av.open(str(brought.video), "w") as container:
        stream = container.add_stream("mjpeg", rate=30)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuvj420p"
        for number in range(8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number), format="rgb24")))
        container.mux(stream.encode(None))
    damage(brought.video, 4)
    assert main(brought.words()) == 1
    assert re.search(r"frame 4 (of|in) .*clip\.mp4", capsys.readouterr().err)
    assert main(brought.words("--bad-frames", "skip")) == 0
    predictions, header = read_predictions(brought.out)
    assert [name.index for name in predictions.names] == [0, 1, 2, 3, 5, 6, 7]
    assert header["left_out"] == {"frames": 1, "which": [["clip", 4]]}
    folder = brought.folder / "clips"
    folder.mkdir()
    brought.video.rename(folder / brought.video.name)
    words = [*brought.words(input=folder, out=brought.folder / "many"), "--each"]
    assert main([*words, "--bad-frames", "skip"]) == 0
    capsys.readouterr()
    assert main(words) == 1  # not finished for who wants all frames
    assert "(different: left_out.frames, left_out.which)" in " ".join(capsys.readouterr().out.split())


WEDGE = np.array([[0.1, 0.0, 0.0], [0.0, 0.05, 0.0], [0.0, 0.0, 0.02], [0.0, 0.0, 0.0]])
WEDGE_FACES = ((0, 1, 2), (0, 3, 1), (1, 3, 2), (2, 3, 0))


def surfaces(predictions: Predictions, model: ObjectModel) -> np.ndarray:
    """The object's vertices in camera space."""
    local = model.vertices.numpy()
    return local @ predictions.object_rotation.swapaxes(1, 2) + predictions.object_translation[:, None]


def left_and_right(brought: Brought, tmp_path: Path) -> tuple[Predictions, Predictions]:
    """What is predicted of pictures, and of their mirror images by `--side left`."""
    write_document(brought.camera, lens(centre_px=(28, 25)).content)
    right = brought.words("--smooth", "1", input=write_pictures(tmp_path / "right", range(7)), out=tmp_path / "r.npz")
    assert main(right) == 0
    write_document(brought.camera, lens(centre_px=(63 - 28, 25)).content)
    folder = write_pictures(tmp_path / "left", range(7), mirrored=True)
    left = brought.words("--smooth", "1", "--side", "left", input=folder, out=tmp_path / "l.npz")
    assert main(left) == 0
    assert read_predictions(tmp_path / "l.npz")[1]["side"] == "left"
    return read_predictions(tmp_path / "r.npz")[0], read_predictions(tmp_path / "l.npz")[0]


@pytest.mark.slow
def test_a_left_hand_with_an_object_that_is_like_its_mirror_image(brought: Brought, tmp_path: Path) -> None:
    right, left = left_and_right(brought, tmp_path)
    np.testing.assert_allclose(left.hand_vertices, right.hand_vertices * [-1, 1, 1], atol=1e-6)
    np.testing.assert_allclose(left.hand_joints, right.hand_joints * [-1, 1, 1], atol=1e-6)
    np.testing.assert_allclose(left.hand_pose, right.hand_pose, atol=1e-6)
    assert set(left.object_name) == {"box"}
    np.testing.assert_allclose(np.linalg.det(left.object_rotation), 1, atol=1e-5)
    seen, expected = surfaces(left, BOX), surfaces(right, BOX) * [-1, 1, 1]
    for ours, theirs in zip(seen, expected, strict=True):  # the same box, its corners in another order
        apart = np.linalg.norm(ours[:, None] - theirs[None], axis=-1)
        assert apart.min(axis=1).max() < 1e-6
        assert sorted(apart.argmin(axis=1)) == list(range(8))


@pytest.mark.slow
def test_a_left_hand_with_an_object_whose_mirror_image_is_known(brought: Brought, tmp_path: Path, capsys) -> None:
    wedge = load_mesh_in(write_obj(brought.mesh, WEDGE, WEDGE_FACES), "wedge", "m")
    write_checkpoint(brought.weights, [wedge])
    folder = write_pictures(tmp_path / "only", range(2), mirrored=True)
    words = brought.words("--side", "left", input=folder)
    refused(
        brought,
        capsys,
        r"whose mirror image the network knows, or that looks like it.* got wedge, \d+ mm",
        words,
    )
    write_checkpoint(brought.weights, [wedge, mirrored_object(wedge)])
    right, left = left_and_right(brought, tmp_path)
    assert set(left.object_name) == {"wedge"}
    seen = surfaces(right, mirrored_object(wedge))  # of equal pictures the network says equal poses
    np.testing.assert_allclose(surfaces(left, wedge), seen * [-1, 1, 1], atol=1e-6)


@pytest.mark.slow
def test_smoothing_is_noted_and_keeps_the_hand_a_hand(brought: Brought) -> None:
    assert main(brought.words(out=brought.folder / "raw.npz")) == 0
    assert main(brought.words("--smooth", "2")) == 0
    (smooth, header), (raw, _) = read_predictions(brought.out), read_predictions(brought.folder / "raw.npz")
    assert header["smooth_frames"] == 2
    steps = [np.linalg.norm(np.diff(one.hand_joints, axis=0), axis=-1).mean() for one in (smooth, raw)]
    assert steps[0] < 0.7 * steps[1]
    np.testing.assert_array_equal(smooth.hand_jump, raw.hand_jump)  # those of the network itself
    np.testing.assert_allclose(smooth.hand_vertices[[0, -1]], raw.hand_vertices[[0, -1]], atol=1e-6)  # no window there
    hand = HandModel(open_hand())
    with torch.no_grad():
        pose = hand.pose_from_coefficients(torch.from_numpy(smooth.hand_pose))
        posed = hand(torch.zeros(8, 3), pose, torch.from_numpy(smooth.hand_shape)).vertices.numpy()
    turned = posed @ smooth.hand_rotation.swapaxes(1, 2)
    offset = smooth.hand_vertices - turned
    np.testing.assert_allclose(offset, np.broadcast_to(offset[:, :1], offset.shape), atol=1e-6)
