"""Broken and hostile DexYCB files: a `DataError` that names the file, or the right frame; never anything else."""

import io
import os
import pickle
import shutil
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.data.damage import CORPUS_SHARES, mutations, outcomes
from tests.data.dexycb.dexycb_files import EVALUATION_RIGHT, SUBJECT, DexYcbFiles, edit_labels, edit_yaml
from warpgrasp.data.dexycb.dataset import DexYcb
from warpgrasp.errors import DataError
from warpgrasp.frame import Frame, FrameName
from warpgrasp.hand.model import HandModel

NAME = FrameName(EVALUATION_RIGHT.name, 0)
LABELS = f"{NAME.sequence}/labels_000000.npz"
PICTURE = f"{NAME.sequence}/color_000000.jpg"
META = f"{SUBJECT}/{EVALUATION_RIGHT.folder}/meta.yml"
INTRINSICS = f"calibration/intrinsics/{EVALUATION_RIGHT.serial}_640x480.yml"
SHAPE = f"calibration/mano_{EVALUATION_RIGHT.calibration}/mano.yml"
SLOWEST_S = 5.0


@pytest.fixture(scope="module")
def root(files: DexYcbFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data set for all: each test puts back what it spoils."""
    return Path(shutil.copytree(files.root, tmp_path_factory.mktemp("fuzz") / "data"))


@dataclass(frozen=True)
class Whole:
    """What was read before anything was spoilt: the sequences, the meshes, and the frame."""

    dataset: DexYcb
    frame: Frame


@pytest.fixture(scope="module")
def whole(root: Path, hand: HandModel) -> Whole:
    dataset = DexYcb.open(root, hand)
    return Whole(dataset, dataset.frame(NAME, annotated=True))


@pytest.fixture(autouse=True)
def _unspoilt(root: Path, whole: Whole, tmp_path: Path):
    kept = {name: (root / name).read_bytes() for name in (LABELS, PICTURE, META, INTRINSICS, SHAPE)}
    yield
    for name, content in kept.items():
        (root / name).write_bytes(content)


def outcome(root: Path, hand: HandModel, name: str, whole: Whole) -> str:
    """Read the frame: `refused` by an error that names the file, `same`, or `other` numbers of the right kind."""
    started, expected = time.process_time(), whole.frame
    dataset = DexYcb.open(root, hand)
    if name in (LABELS, PICTURE, INTRINSICS, SHAPE):  # neither the other sequences nor the mesh are read again
        for cached in ("captures", "_models"):
            dataset.folder.__dict__[cached] = whole.dataset.folder.__dict__[cached]
    try:
        truth = dataset.truth(NAME)
        image = dataset.frame(NAME, annotated=False).image if name == PICTURE else expected.image
    except DataError as error:
        message = str(error)
        assert Path(name).name in message or (name == META and str(root) in message), message
        assert len(message) < 1000, message
        return "refused"
    finally:
        assert time.process_time() - started < SLOWEST_S
    assert image.shape == (3, 480, 640)
    for tensor in (truth.annotation.hand_vertices, truth.annotation.object_rotation, truth.intrinsics):
        assert tensor.isfinite().all()
    pairs = [
        (truth.annotation.hand_vertices, expected.annotation.hand_vertices),
        (truth.annotation.object_translation, expected.annotation.object_translation),
        (truth.intrinsics, expected.camera.intrinsics),
        (image, expected.image),
    ]
    return "same" if all(torch.equal(*pair) for pair in pairs) else "other"


@pytest.mark.slow
@CORPUS_SHARES
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(("name", "count"), [(LABELS, 250), (PICTURE, 60), (INTRINSICS, 150), (SHAPE, 150)])
def test_bytes_that_went_wrong(root: Path, hand, whole: Whole, name: str, count: int, share: float) -> None:
    """610 mutated files."""
    corpus = mutations((root / name).read_bytes(), count, seed=len(name), share=share)
    found = outcomes(corpus, (root / name).write_bytes, lambda: outcome(root, hand, name, whole))
    assert found["refused"] > found.total() / 10, found
    if name == LABELS:  # the archive's checksums guard all that is read
        assert found["other"] == 0, found


@CORPUS_SHARES
def test_metadata_that_went_wrong(root: Path, hand: HandModel, whole: Whole, share: float) -> None:
    """100 mutated meta.yml: what they say may change, but only to something that can be."""
    corpus = mutations((root / META).read_bytes(), 100, seed=4, share=share)
    found = outcomes(corpus, (root / META).write_bytes, lambda: outcome(root, hand, META, whole))
    assert found["refused"] > found.total() / 10, found


VALUES: list[object] = [np.nan, np.inf, -1e30, 3e38]


@pytest.mark.parametrize("key", ["pose_y", "pose_m", "joint_3d"])
@pytest.mark.parametrize("value", VALUES)
def test_numbers_that_are_none(root: Path, hand: HandModel, whole: Whole, key: str, value: float) -> None:
    with np.load(root / LABELS) as stored:
        array = stored[key].copy()
    array.flat[4] = value
    edit_labels(root / LABELS, **{key: array})
    assert outcome(root, hand, LABELS, whole) == "refused"


@pytest.mark.parametrize("key", ["pose_y", "pose_m", "joint_3d"])
@pytest.mark.parametrize(
    "change",
    [
        lambda array: None,
        lambda array: array[0],
        lambda array: np.concatenate([array, array]),
        lambda array: np.swapaxes(array, -1, -2) if array.ndim > 2 else array.T,
        lambda array: array.astype("U8"),
        lambda array: array.astype(np.complex64),
        lambda array: np.zeros(0, np.float32),
        lambda array: np.float32(1),
        lambda array: np.zeros((1, 300_000), np.float32),
    ],
)
def test_arrays_of_another_kind(root: Path, hand: HandModel, whole: Whole, key: str, change: Callable) -> None:
    with np.load(root / LABELS) as stored:
        edit_labels(root / LABELS, **{key: change(stored[key])})
    assert outcome(root, hand, LABELS, whole) == "refused"


def test_arrays_of_double_precision_are_read(root: Path, hand: HandModel, whole: Whole) -> None:
    with np.load(root / LABELS) as stored:
        doubles = {key: stored[key].astype(">f8") for key in ("pose_y", "pose_m", "joint_3d")}
    edit_labels(root / LABELS, **doubles)
    assert outcome(root, hand, LABELS, whole) == "same"


class Hostile:
    """Unpickling it makes a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def test_pickles_are_never_run(root: Path, hand: HandModel, whole: Whole, tmp_path: Path) -> None:
    target = tmp_path / "ran"
    objects = np.array([[Hostile(target)] * 51], dtype=object)
    kept = (root / LABELS).read_bytes()
    for key in ("pose_y", "pose_m", "joint_3d"):
        (root / LABELS).write_bytes(kept)
        edit_labels(root / LABELS, **{key: objects})
        assert outcome(root, hand, LABELS, whole) == "refused"
    (root / LABELS).write_bytes(pickle.dumps(Hostile(target)))
    assert outcome(root, hand, LABELS, whole) == "refused"
    with zipfile.ZipFile(root / LABELS, "w") as archive:
        for key in ("pose_y", "pose_m", "joint_3d"):
            archive.writestr(f"{key}.npy", pickle.dumps(Hostile(target)))
    assert outcome(root, hand, LABELS, whole) == "refused"
    assert not target.exists()


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 51), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (" + 40 * "9" + ",), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 51), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (1, 51), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1L, 51L), }",
        "__import__('os').system('true')",
        "(" * 500,
        "{'a",
        "",
    ],
)
def test_headers_that_lie(root: Path, hand: HandModel, whole: Whole, header: str) -> None:
    buffer = io.BytesIO()
    buffer.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(204))
    with zipfile.ZipFile(root / LABELS) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(root / LABELS, "w") as archive:
        for name, data in (content | {"pose_m.npy": buffer.getvalue()}).items():
            archive.writestr(name, data)
    assert outcome(root, hand, LABELS, whole) == "refused"


def test_a_zip_bomb_is_not_unpacked(root: Path, hand: HandModel, whole: Whole) -> None:
    with zipfile.ZipFile(root / LABELS, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("pose_y.npy", bytes(50_000_000))
    assert (root / LABELS).stat().st_size < 100_000
    started = time.process_time()
    assert outcome(root, hand, LABELS, whole) == "refused"
    assert time.process_time() - started < 1


BOMB = "a: &a [x, x]\nb: &b [" + "*a, " * 9 + "*a]\nc: &c [" + "*b, " * 9 + "*b]\nbetas: [" + "*c, " * 9 + "*c]\n"
MERGE_BOMB = "a: &a {k: 1}\nb: &b {<<: [" + "*a, " * 9 + "*a]}\ncolor: {<<: [" + "*b, " * 9 + "*b]}\n"


@pytest.mark.parametrize("name", [META, INTRINSICS, SHAPE])
@pytest.mark.parametrize(
    "content",
    [
        "",
        "hello",
        "[1, 2]",
        "1: 2\n",
        "betas: !!python/object/apply:os.mkdir [TARGET]\n",
        "!!python/object/new:os.mkdir [TARGET]\n",
        "color: !!python/name:os.mkdir\nserials: !!python/module:os\n",
        BOMB,
        MERGE_BOMB,
        "[" * 50_000,
        "- " * 30_000 + "x",
        "a: " + "9" * 5000 + "\n",
        "a: 2001-99-99\n",
        "? [a, b]\n: c\n",
        "a: \x00\n",
        "a: &a [*a]\nbetas: *a\n",
        "x" * 70_000,
        b"\xff\xfe\x00",
    ],
)
def test_yaml_that_is_something_else(
    root: Path, hand: HandModel, whole: Whole, tmp_path: Path, name: str, content: str | bytes
) -> None:
    target = tmp_path / "ran"
    data = content if isinstance(content, bytes) else content.replace("TARGET", str(target)).encode()
    (root / name).write_bytes(data)
    assert outcome(root, hand, name, whole) == "refused"
    assert not target.exists()


@pytest.mark.parametrize(
    "values",
    [
        {"ycb_ids": [0, 1, 2]},
        {"ycb_ids": [1, 2, 22]},
        {"ycb_ids": []},
        {"ycb_ids": [1, 2]},
        {"ycb_ids": [1, 2, 3, 4]},
        {"ycb_ids": [True, 2, 3]},
        {"ycb_ids": "123"},
        {"ycb_grasp_ind": 3},
        {"ycb_grasp_ind": -1},
        {"ycb_grasp_ind": 1.0},
        {"ycb_grasp_ind": [1]},
        {"ycb_grasp_ind": 1 << 4000},
        {"num_frames": -2},
        {"num_frames": 1 << 70},
        {"num_frames": "2"},
        {"num_frames": True},
        {"serials": ["../../etc"]},
        {"serials": ["836212060125/.."]},
        {"serials": [["836212060125"]]},
        {"mano_sides": ["right", "left"]},
        {"mano_sides": ["both"]},
        {"mano_sides": []},
        {"mano_calib": ["../../../etc"]},
        {"mano_calib": [".."]},
        {"mano_calib": ["a/b"]},
        {"mano_calib": [""]},
        {"mano_calib": [7]},
        {"mano_calib": ["nobody"]},
        *({key: None} for key in ("serials", "num_frames", "ycb_ids", "ycb_grasp_ind", "mano_sides", "mano_calib")),
    ],
)
def test_metadata_that_cannot_be(root: Path, hand: HandModel, whole: Whole, values: dict[str, object]) -> None:
    edit_yaml(root / META, **values)
    name = "mano.yml" if values == {"mano_calib": ["nobody"]} else META
    assert outcome(root, hand, name, whole) == "refused"


@pytest.mark.parametrize("values", [{"fx": -600}, {"fx": float("nan")}, {"fy": "614"}, {"ppx": [1]}, {"ppy": 1e300}])
def test_intrinsics_that_cannot_be(root: Path, hand: HandModel, whole: Whole, values: dict[str, object]) -> None:
    numbers = {"fx": 614.0, "fy": 614.0, "ppx": 320.0, "ppy": 240.0}
    edit_yaml(root / INTRINSICS, color=numbers | values)
    assert outcome(root, hand, INTRINSICS, whole) == "refused"


@pytest.mark.parametrize(
    "betas", [[0.0] * 9, [0.0] * 11, [float("nan")] * 10, [1 << 5000] * 10, ["0"] * 10, 3, [[0.0] * 10]]
)
def test_betas_that_cannot_be(root: Path, hand: HandModel, whole: Whole, betas: object) -> None:
    edit_yaml(root / SHAPE, betas=betas)
    assert outcome(root, hand, SHAPE, whole) == "refused"


@pytest.mark.parametrize("name", [LABELS, PICTURE, META, INTRINSICS, SHAPE])
def test_files_that_are_missing_or_folders(root: Path, hand: HandModel, whole: Whole, name: str) -> None:
    (root / name).unlink()
    assert outcome(root, hand, name, whole) == "refused"
    (root / name).mkdir()
    try:
        assert outcome(root, hand, name, whole) == "refused"
    finally:
        shutil.rmtree(root / name)
