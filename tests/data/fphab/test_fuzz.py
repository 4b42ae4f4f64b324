"""Hundreds of spoilt files of FPHAB: each leads to a `DataError` that names it, or to a frame; nothing else happens."""

import io
import os
import pickle
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.data.damage import CORPUS_SHARES, mutations, outcomes
from tests.data.fphab.fphab_files import LIST, FphabSample, write_list
from warpgrasp.data.fphab.dataset import Fphab
from warpgrasp.data.sample.grasp import object_surface
from warpgrasp.errors import DataError
from warpgrasp.frame import Frame, FrameName
from warpgrasp.hand.model import HandModel

FITTED, ALONE = "Subject_3/pour_milk/2", "Subject_6/pour_milk/1"  # with MANO fits, and with joints alone
NAME, BARE = FrameName(FITTED, 3), FrameName(ALONE, 1)
SKELETON = f"Hand_pose_annotation_v1/{FITTED}/skeleton.txt"
BARE_SKELETON = f"Hand_pose_annotation_v1/{ALONE}/skeleton.txt"
POSES = f"Object_6D_pose_annotation_v1_1/{FITTED}/object_pose.txt"
FITS = f"fhbhands_fits/{FITTED}/pkls.pkl"
PICTURE = f"Video_files/{FITTED}/color/color_0003.jpeg"
MESH = "Object_models/milk_model/milk_model.ply"
SPOILT = {LIST: 100, SKELETON: 120, POSES: 120, FITS: 160, PICTURE: 80, MESH: 100}
SPOILT_CACHES = 20
SLOWEST_S = 10.0  # of a core; a second without coverage, whose tracer follows each operation of a pickle


@pytest.fixture(scope="module")
def root(fphab_sample: FphabSample, hand: HandModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sequences, one of them without MANO fits, of a box of eight vertices. Each test puts back what it spoils."""
    root = Path(shutil.copytree(fphab_sample.root, tmp_path_factory.mktemp("fuzz") / "fphab"))
    write_list(root / LIST, [FITTED], [ALONE])
    write_box(root / MESH)
    shutil.rmtree(root / "Video_files_480")
    Fphab(root, hand).truth(BARE)  # fits the hand, which is kept
    return root


def write_box(path: Path) -> None:
    """The bounding box of the object's surface, in binary, as the data set's own files are."""
    surface = object_surface("003_cracker_box").vertices
    low, high = surface.min(axis=0), surface.max(axis=0)
    corners = np.array([[(low, high)[k >> axis & 1][axis] for axis in range(3)] for k in range(8)], dtype="<f4")
    quads = [(0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5)]
    triangles = [face for a, b, c, d in quads for face in ((a, b, c), (a, c, d))]
    header = ["ply", "format binary_little_endian 1.0", "element vertex 8"]
    header += [f"property float {axis}" for axis in "xyz"]
    header += ["element face 12", "property list uchar int vertex_indices", "end_header\n"]
    faces = b"".join(b"\3" + np.array(face, dtype="<i4").tobytes() for face in triangles)
    path.write_bytes("\n".join(header).encode() + corners.tobytes() + faces)


@pytest.fixture
def spoil(root: Path) -> Iterator[Callable[[str, bytes], None]]:
    """Overwrite a file until the end of the test."""
    before: dict[Path, bytes] = {}

    def overwrite(file: str, content: bytes) -> None:
        path = root / file
        before.setdefault(path, path.read_bytes())
        path.write_bytes(content)

    yield overwrite
    for path, content in before.items():
        path.write_bytes(content)


def refused_or_sane(root: Path, hand: HandModel, names: tuple[FrameName, ...], named: str) -> str | None:
    """What a data set says of the frames; None where they can be read, or are no frames of it any more."""
    started = time.process_time()
    try:
        dataset = Fphab(root, hand)
        listed = {*dataset.names("train"), *dataset.names("evaluation")}
        for name in names:
            if name in listed:
                assert_sane(dataset.frame(name, annotated=True) if named.endswith(".jpeg") else dataset.truth(name))
    except DataError as error:
        said = str(error)
    else:
        return None
    finally:
        assert time.process_time() - started < SLOWEST_S
    assert named in said
    assert len(said) < 1000
    return said


def assert_sane(read: Any) -> None:
    annotation = read.annotation
    for values in (annotation.hand_vertices, annotation.hand_joints, annotation.object_translation):
        assert torch.isfinite(values).all()
        assert values.abs().max() < 20
    assert annotation.object_translation[2] > 0
    rotation = annotation.object_rotation
    assert (rotation @ rotation.T - torch.eye(3)).abs().max() < 0.02
    if isinstance(read, Frame):
        assert read.image.shape[0] == 3
        assert 0 <= read.image.min() <= read.image.max() <= 1


@pytest.mark.slow
@CORPUS_SHARES
@pytest.mark.parametrize("file", SPOILT)
def test_bytes_that_went_wrong(root: Path, hand: HandModel, spoil, file: str, share: float) -> None:
    def read() -> str:
        return "read" if refused_or_sane(root, hand, (NAME,), Path(file).name) is None else "refused"

    corpus = mutations((root / file).read_bytes(), SPOILT[file], seed=len(file), share=share)
    found = outcomes(corpus, lambda content: spoil(file, content), read)
    assert found["refused"] > found.total() / 10, found


@pytest.mark.slow
def test_skeletons_that_a_hand_is_fitted_to(root: Path, hand: HandModel, spoil) -> None:
    """No MANO fits: the hand is fitted to whatever joints there are."""
    random, content = np.random.default_rng(8), (root / BARE_SKELETON).read_bytes()
    rows = [line.split() for line in content.decode().splitlines()]
    collapsed = [[row[0], *["1", "2", "400"] * 21] for row in rows]
    tiny = [[row[0], *(f"{0.01 * float(word):.6f}" for word in row[1:])] for row in rows]
    zeros = [[row[0], *["0"] * 63] for row in rows]
    scattered = [[row[0], *(f"{word:.3f}" for word in random.uniform(-9000, 9000, 63))] for row in rows]
    for strange in (collapsed, tiny, zeros, scattered):
        spoil(BARE_SKELETON, "\n".join(" ".join(row) for row in strange).encode())
        with suppress(DataError):  # of joints behind the camera; a hand that cannot be is an unannotated frame
            assert not Fphab(root, hand).is_annotated(BARE)
        with pytest.raises(DataError, match=r"skeleton\.txt"):
            Fphab(root, hand).truth(BARE)
    for spoilt in mutations(content, 10, seed=8):
        spoil(BARE_SKELETON, spoilt)
        refused_or_sane(root, hand, (BARE,), "skeleton.txt")


STRANGE_WORDS = ("nan", "inf", "-inf", "1e300", "1e400", "-1e9", "9" * 400, "one", "0x10", "--1", "1,5", "1_0", "½")


@pytest.mark.slow
@pytest.mark.parametrize(("file", "columns"), [(SKELETON, 64), (POSES, 17)])
@pytest.mark.parametrize("word", STRANGE_WORDS)
def test_words_that_are_no_coordinates(root: Path, hand: HandModel, spoil, file: str, columns: int, word: str) -> None:
    rows = [line.split() for line in (root / file).read_text().splitlines()]
    for column in (0, 1, columns // 2, columns - 1):
        changed = [list(row) for row in rows]
        changed[-3][column] = word
        spoil(file, "\n".join(" ".join(row) for row in changed).encode())
        assert refused_or_sane(root, hand, (NAME,), Path(file).name) is not None


@pytest.mark.parametrize("file", [SKELETON, POSES, LIST])
@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe", b"\0" * 500, b"x" * 100_000, b"\x1a", b"0\n" * 20_000, b"[1, 2]", "0 ٣".encode()],
)
def test_texts_that_are_something_else(root: Path, hand: HandModel, spoil, file: str, content: bytes) -> None:
    spoil(file, content)
    assert refused_or_sane(root, hand, (NAME,), Path(file).name) is not None


def test_a_row_without_end(root: Path, hand: HandModel, spoil) -> None:
    spoil(BARE_SKELETON, b"0 " * 100_000)
    said = refused_or_sane(root, hand, (FrameName(ALONE, 0), BARE), "skeleton.txt")
    assert said is not None
    assert "expected numbers in a list of 63 for row 1, after the frame's number, in" in said


STRANGE: dict[str, Callable[[Any], Any]] = {
    "NaN": lambda value: np.full(np.shape(value), np.nan),
    "infinity": lambda value: np.full(np.shape(value), -np.inf),
    "huge": lambda value: np.full(np.shape(value), 1e300),
    "large": lambda value: np.full(np.shape(value), 1e4),
    "longer": lambda value: np.zeros(len(value) + 1),
    "shorter": lambda value: value[:-1],
    "stacked": lambda value: np.stack([value, value]),
    "empty": lambda value: np.zeros(0),
    "none": lambda value: None,
    "text": lambda value: "hello" * 1000,
    "texts": lambda value: np.full(np.shape(value), "1.0"),
    "object": lambda value: np.full(np.shape(value), {}, dtype=object),
    "complex": lambda value: np.full(np.shape(value), 1j),
    "integers": lambda value: [10**400] * len(value),
    "ragged": lambda value: [[1.0], [2.0, 3.0]],
    "number": lambda value: 1.0,
    "dictionary": lambda value: {"a": 1},
}


@pytest.mark.slow
@pytest.mark.parametrize("key", ["fullpose", "trans", "shape"])
def test_strange_values_in_a_fit(root: Path, hand: HandModel, spoil, key: str) -> None:
    original = pickle.loads((root / FITS).read_bytes())  # noqa: S301 (our own file)
    for what, change in STRANGE.items():
        one = {**original["000003.pkl"], key: change(original["000003.pkl"][key])}
        spoil(FITS, pickle.dumps({**original, "000003.pkl": one}, protocol=4))
        assert refused_or_sane(root, hand, (NAME,), "pkls.pkl") is not None, f"{what} in {key} was read"
    spoil(FITS, pickle.dumps({**original, "000003.pkl": {k: v for k, v in one.items() if k != key}}, protocol=2))
    assert f"expected the key {key} of 000003.pkl in" in (refused_or_sane(root, hand, (NAME,), "pkls.pkl") or "")


@pytest.mark.parametrize(
    "frames",
    [
        None,
        [],
        "fits",
        {"3.pkl": {}},
        {"000003": {}},
        {"00000٣.pkl": {}},
        {"../../03.pkl": {}},
        {"000003.pkl": None},
        {"000003.pkl": [1, 2]},
        {3: {}},
        {None: {}},
        {("000003.pkl",): {}},
    ],
)
def test_fits_of_no_frames(root: Path, hand: HandModel, spoil, frames: Any) -> None:
    spoil(FITS, pickle.dumps(frames, protocol=2))
    assert refused_or_sane(root, hand, (NAME,), "pkls.pkl") is not None


class Call:
    """Pickles to a call."""

    def __init__(self, function: Callable, *arguments: Any):
        self.called = function, arguments

    def __reduce__(self):
        return self.called


@pytest.mark.slow
def test_hostile_fits(root: Path, hand: HandModel, spoil, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    touch = f"open({str(ran)!r}, 'w').close()"
    call = Call(os.system, f"touch {ran}")
    hostile = [pickle.dumps({"000003.pkl": {"fullpose": call}}, protocol=protocol) for protocol in (0, 1, 2, 4, 5)]
    hostile += [pickle.dumps({call: 1}), pickle.dumps(call), pickle.dumps([Call(eval, touch), Call(exec, touch)])]
    hostile += [pickle.dumps({"000003.pkl": np.array([Call(eval, touch)], dtype=object)})]
    hostile += [f"cos\nsystem\n(S'touch {ran}'\ntR.".encode(), f"(S'touch {ran}'\nios\nsystem\n.".encode()]
    hostile += [
        b"cnumpy\nload\n.",
        b"cnumpy\nndarray\n((I99999999999999\nttR.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff.",
        b"\x80\x02" + b"(" * 100_000 + b".",
        b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
        b"\x80\x02c_codecs\nencode\n(X\x01\x00\x00\x00aU\x05rot13tR.",
        b"\x80\x05\x97.",  # an out-of-band buffer
        b"\x80\x02U\x01aQ.",  # a persistent id
        b"\x80\x02]r\x00\x00\x00\x70.",  # room for a billion
        b"cchumpy.ch\nCh\n.",  # what MANO's own file may name
        b"",
    ]
    for data in hostile:
        spoil(FITS, data)
        assert refused_or_sane(root, hand, (NAME,), "pkls.pkl") is not None, data[:40]
    assert not ran.exists()


@pytest.mark.parametrize(
    "sequence",
    [
        "../../etc/passwd",
        "/etc/passwd/1",
        "Subject_1/../1",
        "Subject_1/pour_milk/..",
        "Subject_1/pour_milk/1/../1",
        "Subject_1\\pour_milk\\1",
        "Subject_1/pour\0milk/1",
        "Subject_1/pour_milk/٣",
        "Subject_1/pour_milk/" + "9" * 5000,
        "Subject_1/" + "a" * 5000 + "_milk/x",
        "Subject_12/pour_milk/1",
        "subject_1/pour_milk/1",
        "Subject_1/pour milk/1",
        "Subject_1/pour_milk",
        FITTED,  # again
    ],
)
def test_names_in_the_list_lead_nowhere_else(root: Path, hand: HandModel, spoil, sequence: str) -> None:
    for text in (
        f"Training 2\n{FITTED} 3\n{sequence} 3\nTest 1\n{ALONE} 3\n",
        f"Training 1\n{FITTED} 3\nTest 1\n{sequence}",
    ):
        spoil(LIST, text.encode())
        said = refused_or_sane(root, hand, (NAME,), LIST)
        assert said is not None
    with pytest.raises(DataError, match="expected a sequence like Subject_1/put_salt/2"):
        Fphab(root, hand).frame(FrameName(sequence[1:], 0), annotated=True)


def test_spoilt_pictures_of_other_kinds(root: Path, hand: HandModel, spoil) -> None:
    content = (root / PICTURE).read_bytes()
    bomb = content.replace(b"\x00\x11\x08" + b"\x00\x6c\x00\xc0", b"\x00\x11\x08" + b"\xff\xff\xff\xff")
    assert bomb != content
    for data in (b"", content[:100], b"GIF89a", b"P6 99999 99999 255\n", bomb, b"<svg/>", content[: len(content) // 2]):
        spoil(PICTURE, data)
        assert refused_or_sane(root, hand, (NAME,), "color_0003.jpeg") is not None, data[:20]


def ply(*rows: str, vertices: int | str = 4, faces: int | str = 4) -> bytes:
    """A text file of this many vertices and faces, whatever its rows are."""
    header = ["ply", "format ascii 1.0", f"element vertex {vertices}", *(f"property float {axis}" for axis in "xyz")]
    header += [f"element face {faces}", "property list uchar int vertex_indices", "end_header"]
    return "\n".join([*header, *rows]).encode() + b"\n"


POINTS = ("0.1 0.02 0", "0 0 0", "0 0.05 0", "0 0 0.02")
FACES = ("3 0 1 2", "3 0 3 1", "3 1 3 2", "3 2 3 0")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"ply\n",
        b"solid stl\n",
        ply(*POINTS[:3], *FACES),
        ply(*POINTS, *FACES[:2]),
        ply(*POINTS, *FACES[:3], "3 0 1 9"),
        ply(*POINTS, *FACES[:3], "3 0 1 -1"),
        ply(*POINTS, vertices=4, faces=0),
        ply(*FACES, vertices=0, faces=4),
        ply("nan 0 0", *POINTS[1:], *FACES),
        ply("inf 0 0", *POINTS[1:], *FACES),
        ply("1e300 0 0", *POINTS[1:], *FACES),
        ply("100 20 0", *POINTS[1:], *FACES),  # mm
        ply(*["0 0 0"] * 4, *FACES),
        ply(*POINTS, *FACES, vertices=10**9, faces=10**9),
        ply(*POINTS, *FACES, vertices="four"),
        ply(*POINTS, *FACES, vertices=-4),
        ply(*POINTS, *FACES).replace(b"ascii", b"binary_little_endian"),
    ],
)
def test_meshes_that_are_none(root: Path, hand: HandModel, spoil, content: bytes) -> None:
    spoil(MESH, content)
    assert refused_or_sane(root, hand, (NAME,), "milk_model.ply") is not None


def lying_header(shape: str) -> bytes:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        for name in ("rotation", "wrist", "pose", "shape"):
            opened.writestr(f"{name}.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    return archive.getvalue()


@pytest.mark.slow
def test_spoilt_caches_cost_only_time(root: Path, hand: HandModel) -> None:
    """The kept fit lies beside the data, where others may write: broken or hostile, it is made again, and the same."""
    shutil.rmtree(root / ".warpgrasp")  # with what other tests fitted
    Fphab(root, hand).truth(BARE)
    (kept,) = (root / ".warpgrasp/hand_fits").glob("*.npz")
    content, expected = kept.read_bytes(), Fphab(root, hand).truth(BARE).annotation.hand_vertices
    another = io.BytesIO()
    np.savez(another, rotation=np.zeros((9, 3), np.float32), wrist=np.zeros(3), pose=np.zeros(45), shape=np.zeros(10))
    lies = [lying_header("(1000000000000, 3)"), lying_header("(" * 400), lying_header("(3L, 3L")]
    for data in (b"", another.getvalue(), *lies, pickle.dumps(Call(os.mkdir, str(root / "ran"))), content[:-40]):
        kept.write_bytes(data)
        assert torch.equal(Fphab(root, hand).truth(BARE).annotation.hand_vertices, expected)
    for spoilt in mutations(content, SPOILT_CACHES, seed=9):
        kept.write_bytes(spoilt)
        vertices = Fphab(root, hand).truth(BARE).annotation.hand_vertices
        assert torch.equal(vertices, expected)
    assert not (root / "ran").exists()


@pytest.mark.parametrize("file", [LIST, SKELETON, POSES, FITS, PICTURE, MESH])
def test_files_that_are_folders(root: Path, hand: HandModel, spoil, file: str) -> None:
    spoil(file, (root / file).read_bytes())
    (root / file).unlink()
    (root / file).mkdir()
    try:
        said = refused_or_sane(root, hand, (NAME,), Path(file).name)
    finally:
        shutil.rmtree(root / file)
    assert (said is None) == (file in (POSES, FITS))  # sequences may be without either


def test_enough_is_spoilt() -> None:
    assert sum(SPOILT.values()) + len(STRANGE_WORDS) * 2 * 4 + len(STRANGE) * 3 + SPOILT_CACHES >= 800
