"""Thousands of spoilt files of the project's own formats: one sentence, or a sane content; nothing is ever written."""

import json
import pickle
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.data.damage import CORPUS_SHARES, mutated
from tests.data.recording.camera_texts import FILES, CameraFile
from tests.data.recording.label_texts import coco_text, cvat_text, label_studio_text, scene_gt_text
from tests.data.recording.recording_files import write_recording
from tests.golden.make_before import BEFORE
from tests.inference.networks import NAMES, models
from tests.keypoints.hands_at import hand_at
from tests.own_formats import corpora
from tests.own_formats.hostile_recordings import POINTS, edited
from tests.predictions.test_file import predictions
from warpgrasp import pickled
from warpgrasp.annotate.store import AnnotationStore
from warpgrasp.data.recording.annotations import read_annotations
from warpgrasp.data.recording.calibrations import chosen_camera, read_cameras
from warpgrasp.data.recording.camera import read_lens
from warpgrasp.data.recording.files import Recording, read_object
from warpgrasp.data.recording.label_files import read_labels
from warpgrasp.errors import UserError
from warpgrasp.hand.model import HandModel
from warpgrasp.keypoints import read_keypoints, read_keypoints_file, write_keypoints
from warpgrasp.pickled import PickleError, load_pickle
from warpgrasp.predictions.file import PredictionsError, open_predictions, read_predictions, write_predictions
from warpgrasp.reconstruction import HandObjectNetwork, NetworkConfig, checkpoint_of, save_checkpoint
from warpgrasp.reconstruction.checkpoint import CheckpointError, load_checkpoint

KINDS = {"p.npz": "predictions", "k.npz": "keypoints", "weights.safetensors": "checkpoints", "a.pkl": "pickles"}
KINDS |= {"k.json": "keypoints of programs", "calibration": "calibrations", "labels": "labels of programs"}
KINDS |= {f"{name}.json": f"{name}.json" for name in ("camera", "object", "annotations", "annotation_drafts")}
Note = Callable[[str, object], None]
MOST_S = 20.0  # for one of them
MOST_MB = 200  # of memory, for files of some ten thousand bytes


def largest_mb() -> int:
    """The most memory that this process has taken so far, where the system says so."""
    if sys.platform == "linux":
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) // 1000 for line in lines if line.startswith("VmHWM"))
    return 0


def tried(
    path: Path,
    corpus: Iterator[bytes],
    count: int,
    read: Callable[[Path], object],
    refusals: tuple[type[Exception], ...],
    *,
    note: Note,
) -> Counter[str]:
    """How many versions of a file are read and refused, and how that must be; noted for tools/security_figures.py."""
    found: Counter[str] = Counter(read=0, refused=0)
    slowest_s = 0.0
    before = path.read_bytes()
    others = {other: other.read_bytes() for other in path.parent.iterdir() if other != path and other.is_file()}
    read(path)
    most = largest_mb()
    for content in islice(corpus, count):
        path.write_bytes(content)
        began = time.process_time()
        try:
            read(path)
            found["read"] += 1
        except refusals as error:
            found["refused"] += 1
            said = str(error)
            assert str(path) in said, said
            assert len(said) < 1500, said
            assert said.count("\n") == 0, said
        slowest_s = max(slowest_s, time.process_time() - began)
    path.write_bytes(before)
    used = {"slowest_s": round(slowest_s, 3), "largest_mb": largest_mb() - most}
    note("fuzz", {"format": KINDS[path.name], "tried": found.total(), **found, **used})
    assert slowest_s < MOST_S
    assert largest_mb() - most < MOST_MB
    assert {other: other.read_bytes() for other in path.parent.iterdir() if other != path and other.is_file()} == others
    return found


@pytest.fixture
def note(record_property: Note) -> Note:
    return record_property


def generator(name: str) -> np.random.Generator:
    return np.random.default_rng(list(name.encode()))


HEADER = {
    "hand": "open-hand right",
    "side": "right",
    "split": "all",
    "labels": [0, 2],
    "objects": {"box": "86a00f34558c65a40a4816da79335f38"},
    "companions": {"quality.csv": "0123"},
    "cameras": {"A1": {"format": "warpgrasp-camera-1", "width": 64, "height": 48, "fx": 60.0, "fy": 60.0, "cx": 31.5}},
}


@CORPUS_SHARES
@pytest.mark.parametrize("read", [read_predictions, open_predictions], ids=["read", "opened"])
def test_predictions(tmp_path: Path, share: float, read: Callable[[Path], Any], note: Note) -> None:
    path = tmp_path / "p.npz"
    write_predictions(path, predictions(3), HEADER)
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    arrays |= {
        name: np.ones(3, np.float32) for name in ("keypoint_distance_px", "refined_distance_px", "depth_pull_mm")
    }
    arrays |= {"time_s": np.arange(3.0), "flags": np.zeros(3, np.uint8), "hand_in_view": np.ones(3, np.float32)}

    def sane(path: Path) -> None:
        found, header = read(path)
        assert isinstance(header, dict)
        assert found.hand_vertices.shape[::2] == (len(found), 3)
        assert len(set(found.names)) == len(found)
        for rotation in (found.hand_rotation, found.object_rotation):
            assert rotation.dtype.kind == "f"
            whole = np.array(rotation[np.isfinite(rotation).all(axis=(1, 2))], np.float64)
            assert np.abs(whole @ whole.transpose(0, 2, 1) - np.eye(3)).max(initial=0) < 0.05

    corpus = corpora.archives(arrays, generator(read.__name__))
    found = tried(path, corpus, round(700 * share), sane, (PredictionsError,), note=note)
    assert found["refused"] > 0.5 * found.total()
    assert found["read"] > 0.02 * found.total()


@CORPUS_SHARES
def test_keypoints(tmp_path: Path, share: float, note: Note) -> None:
    path = tmp_path / "k.npz"
    write_keypoints(path, [[hand_at(1, 2)], [], [hand_at(5, 6), hand_at(3, 4)]], "eagle-1")
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}

    def sane(path: Path) -> None:
        for hands in read_keypoints_file(path).hands:
            assert all(hand.joints_px.isfinite().all() for hand in hands)

    found = tried(
        path, corpora.archives(arrays, generator("keypoints")), round(400 * share), sane, (UserError,), note=note
    )
    assert found["refused"] > 0.5 * found.total()


def of_before(path: Path, hand: HandModel) -> None:
    path.write_bytes((BEFORE / "run" / "weights.safetensors").read_bytes())


def told_where_the_hand_is_seen(path: Path, hand: HandModel) -> None:
    network = HandObjectNetwork(NetworkConfig(width=4, joint_input=True), hand, NAMES)
    training = {"recipe": "none", "width": "64", "height": "48"}
    save_checkpoint(path, checkpoint_of(network, models(2), step=0, training=training))


@CORPUS_SHARES
@pytest.mark.parametrize("write", [of_before, told_where_the_hand_is_seen])
def test_checkpoints(tmp_path: Path, hand: HandModel, write: Callable, share: float, note: Note) -> None:
    path = tmp_path / "weights.safetensors"
    write(path, hand)
    content = path.read_bytes()

    def sane(path: Path) -> None:
        checkpoint = load_checkpoint(path)
        if (checkpoint.hand, len(checkpoint.sha256)) == ("open-hand right", 64):
            with suppress(CheckpointError):  # of a hand of other sizes, which says nothing of the file
                network = checkpoint.network(hand)
                assert all(value.isfinite().all() for value in network.state_dict().values())

    found = tried(
        path, corpora.checkpoints(content, generator(write.__name__)), round(500 * share), sane, (UserError,), note=note
    )
    assert found["refused"] > 0.5 * found.total()
    path.write_bytes(content[:-1])
    with pytest.raises(CheckpointError):
        load_checkpoint(path)


FUNCTIONS = [pickled._encode_latin1, pickled._reconstruct, pickled._scalar, pickled._frombuffer, pickled._no_bytes]


@CORPUS_SHARES
@pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")  # of spoilt texts
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles(tmp_path: Path, share: float, protocol: int, note: Note) -> None:
    path = tmp_path / "a.pkl"
    pose = np.arange(48, dtype=np.float32) / 7
    content = {
        "pose": pose,
        "T": pose[:6].reshape(2, 3).T,
        "names": np.array(["a", "ü"]),
        "objects": pose[:2].astype(object),
    }
    values = [*content.values(), {"set": {1, 2}, "frozen": frozenset("ab"), "tuple": (1, (2.5, None)), "big": 2**70}]
    path.write_bytes(pickle.dumps([content, *values, np.float32(0.1), b"raw", bytearray(b"raw")], protocol=protocol))
    before = [(one.__defaults__, one.__code__, dict(one.__dict__)) for one in FUNCTIONS]
    allowed = {
        **pickled.NUMPY_NAMES,
        **{(module, "set"): pickled.plain_set for module in ("builtins", "__builtin__")},
        **{(module, "frozenset"): pickled.plain_set for module in ("builtins", "__builtin__")},
        **{(module, "bytearray"): lambda *arguments: bytearray() for module in ("builtins", "__builtin__")},
    }
    corpus = corpora.pickles(path.read_bytes(), generator(f"pickle {protocol}"))

    def read(path: Path) -> None:
        loaded = load_pickle(path, allowed)
        if isinstance(loaded, np.ndarray) and loaded.dtype.kind == "U":
            loaded.tolist()

    found = tried(path, corpus, round(400 * share), read, (PickleError,), note=note)
    assert found["refused"] > 0.3 * found.total()
    assert before == [(one.__defaults__, one.__code__, dict(one.__dict__)) for one in FUNCTIONS]


@CORPUS_SHARES
@pytest.mark.parametrize("name", ["camera.json", "object.json", "annotations.json", "annotation_drafts.json"])
def test_json_of_recordings(tmp_path: Path, hand: HandModel, name: str, share: float, note: Note) -> None:
    folder = write_recording(tmp_path / "small")
    drafts = {"format": "warpgrasp-drafts-1", "hand_model": "open-hand right", "frames": []}
    (folder / "annotation_drafts.json").write_text(json.dumps(drafts))
    edited(folder / "object.json", lambda content: content.update(symmetry={"axis": "z", "fold": 2}))
    recording = Recording.read(folder)
    text = (folder / name).read_text()
    random = generator(name)
    corpus = (corpora.changed_text(text, random).encode(errors="surrogatepass") for _ in iter(int, 1))
    read: dict[str, Callable[[Path], object]] = {
        "camera.json": lambda path: read_lens(path.parent),
        "object.json": lambda path: read_object(path.parent),
        "annotations.json": lambda path: read_annotations(path.parent),
        "annotation_drafts.json": lambda path: AnnotationStore(recording, hand),
    }
    found = tried(folder / name, corpus, round(200 * share), read[name], (UserError,), note=note)
    assert found["refused"] > 0.5 * found.total()


HANDS = {"landmarks": [POINTS], "handedness": [[{"categoryName": "Right", "score": 0.9}]]}
KPTS = [float(number % 40) for number in range(63)]
COCO_HANDS = [{"image_id": number, "lefthand_kpts": KPTS, "righthand_kpts": KPTS} for number in range(2)]
OF_PROGRAMS: dict[str, Any] = {
    "MediaPipe": [HANDS, HANDS],
    "MediaPipe by name": {"a_0.png": HANDS, "a_1.png": None},
    "OpenPose": {"people": [{"hand_left_keypoints_2d": KPTS, "hand_right_keypoints_2d": []}]},
    "COCO-WholeBody": {"images": [{"id": 0, "file_name": "a_0.png"}], "annotations": COCO_HANDS},
    "COCO's results": [{"image_id": 1, "keypoints": [9.0] * 399, "score": 0.5}],
}


@CORPUS_SHARES
@pytest.mark.parametrize("program", OF_PROGRAMS)
def test_keypoints_of_programs(tmp_path: Path, program: str, share: float, note: Note) -> None:
    path, pictures = tmp_path / "k.json", [f"a_{number}.png" for number in range(1 if program == "OpenPose" else 2)]
    path.write_text(json.dumps(OF_PROGRAMS[program]))
    text, random = path.read_text(), generator(program)

    def sane(path: Path) -> None:
        hands = read_keypoints(path, pictures, (64, 48))
        assert len(hands) == len(pictures)
        assert all(hand.joints_px.isfinite().all() for picture in hands for hand in picture)

    corpus = (corpora.changed_text(text, random).encode(errors="surrogatepass") for _ in iter(int, 1))
    found = tried(path, corpus, round(120 * share), sane, (UserError,), note=note)
    assert found["refused"] > 0.3 * found.total()


@CORPUS_SHARES
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_calibrations(tmp_path: Path, file: CameraFile, share: float, note: Note) -> None:
    path = tmp_path / "calibration"
    path.write_bytes(file.content)
    random, is_json = generator(file.name), file.content.lstrip()[:1] == b"{"

    def spoilt() -> bytes:
        if is_json and random.integers(3):
            return corpora.changed_text(file.content.decode(), random).encode(errors="surrogatepass")
        return mutated(file.content, random)

    def sane(path: Path) -> None:
        camera = chosen_camera(read_cameras(path)[1], None, path)
        assert np.isfinite(camera.intrinsics).all()
        assert np.isfinite(camera.distortion).all()
        assert camera.size is None or min(camera.size) >= 1

    tried(path, iter(spoilt, None), round(40 * share), sane, (UserError,), note=note)


PIXELS = {1: np.linspace(2, 40, 42).reshape(21, 2)}
RESULTS = "scene_id,im_id,obj_id,score,R,t,time\n7,3,5,1,1 0 0 0 1 0 0 0 1,0 0 500,-1\n"
OF_LABELLERS = {
    "COCO": coco_text(PIXELS),
    "CVAT": cvat_text(PIXELS),
    "Label Studio": label_studio_text(PIXELS),
    "BOP": scene_gt_text({2: (np.eye(3), np.array([0, 0, 0.5]))}),
    "BOP's results": RESULTS,
}


@CORPUS_SHARES
@pytest.mark.parametrize("program", OF_LABELLERS)
def test_labels_of_programs(tmp_path: Path, program: str, share: float, note: Note) -> None:
    recording = Recording.read(write_recording(tmp_path / "small"))
    path, text, random = tmp_path / "labels", OF_LABELLERS[program], generator(program)
    path.write_text(text)

    def spoilt() -> bytes:
        if text[0] in "[{" and random.integers(3):
            return corpora.changed_text(text, random).encode(errors="surrogatepass")
        return mutated(text.encode(), random)

    def sane(path: Path) -> None:
        found = read_labels(path, recording, object_id=5)
        assert {*found.hands, *found.objects} <= set(recording.footage.numbers)
        assert all(np.isfinite(pixel).all() for hand in found.hands.values() for _, pixel in hand.joints_px)
        for pose in found.objects.values():
            assert np.abs(pose.rotation @ pose.rotation.T - np.eye(3)).max() < 1e-6
            assert np.isfinite(pose.translation).all()

    found = tried(path, iter(spoilt, None), round(120 * share), sane, (UserError,), note=note)
    assert found["refused"] > 0.3 * found.total()


def test_tensors_of_strange_values_are_refused_by_name(tmp_path: Path) -> None:
    path, content = tmp_path / "w.safetensors", (BEFORE / "run" / "weights.safetensors").read_bytes()
    path.write_bytes(content[:-4] + torch.tensor([torch.nan]).numpy().tobytes())
    with pytest.raises(CheckpointError, match=r"expected finite numbers in .* of .*w\.safetensors"):
        load_checkpoint(path)
