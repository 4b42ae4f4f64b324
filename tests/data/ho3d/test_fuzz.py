"""Hundreds of spoilt files: each leads to a `DataError` that names it, or to a correct frame; nothing else happens."""

import json
import math
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.data.damage import CORPUS_SHARES, mutations, outcomes
from tests.data.ho3d.ho3d_files import edit_meta, read_meta, to_version_2, write_wedge
from warpgrasp.data.dataset import Truth
from warpgrasp.data.ho3d.dataset import Ho3d
from warpgrasp.errors import DataError
from warpgrasp.frame import Frame, FrameName
from warpgrasp.hand.model import HandModel

A0, E0 = FrameName("A1", 0), FrameName("E1", 0)
META, WEDGE = "train/A1/meta/0000.pkl", "models/wedge/textured_simple.obj"
SPOILT = {"binary": 360, "jpg": 60, "png": 60, "json": 60, "list": 60, "mesh": 80}


@pytest.fixture(scope="module")
def small_root(sample_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One training and one evaluation frame, with a mesh of four vertices."""
    root = Path(shutil.copytree(sample_root, tmp_path_factory.mktemp("fuzz") / "small"))
    write_wedge(root)
    (root / "train.txt").write_text("A1/0000\n")
    (root / "evaluation.txt").write_text("E1/0000\n")
    for file in ("evaluation_xyz.json", "evaluation_verts.json"):
        (root / file).write_text(json.dumps(json.loads((root / file).read_text())[:1]))
    for path in (root / META, root / "evaluation/E1/meta/0000.pkl"):
        edit_meta(path, lambda meta: meta.update(objName="wedge"))
    return root


@pytest.fixture
def spoil(small_root: Path) -> Iterator[Callable[[str, bytes], Path]]:
    """Overwrite a file until the end of the test."""
    before: dict[Path, bytes] = {}

    def overwrite(file: str, content: bytes) -> Path:
        path = small_root / file
        before.setdefault(path, path.read_bytes())
        path.write_bytes(content)
        return path

    yield overwrite
    for path, content in before.items():
        path.write_bytes(content)


def refused_or_sane(root: Path, hand: HandModel, names: tuple[FrameName, ...], named: str) -> str | None:
    """What a data set says of the frames, None where they can be read."""
    dataset = Ho3d(root, hand)
    try:
        for name in names:
            if dataset.is_annotated(name):
                assert_sane(dataset.frame(name, annotated=True))
                assert_sane(dataset.truth(name))
            else:
                assert dataset.frame(name, annotated=False).annotation is None
    except DataError as error:
        said = str(error)
    else:
        return None
    assert named in said
    assert len(said) < 2000
    return said


def assert_sane(read: Frame | Truth) -> None:
    annotation = read.annotation
    for values in (annotation.hand_vertices, annotation.hand_joints, annotation.object_translation):
        assert torch.isfinite(values).all()
    assert 0 < annotation.object_translation[2] < 10
    rotation = annotation.object_rotation
    assert (rotation @ rotation.T - torch.eye(3)).abs().max() < 1e-4
    intrinsics = read.camera.intrinsics if isinstance(read, Frame) else read.intrinsics
    assert torch.isfinite(intrinsics).all()
    assert intrinsics[0, 0] > 0 < intrinsics[1, 1]


@CORPUS_SHARES
@pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")  # of `pickletools`, of spoilt texts
@pytest.mark.parametrize("version", ["v3", "v2"])
def test_spoilt_bytes_of_an_annotation(small_root: Path, hand, spoil, tmp_path, version: str, share: float) -> None:
    content = (small_root / META).read_bytes()
    if version == "v2":
        copy = Path(shutil.copytree(small_root, tmp_path / "v2"))
        to_version_2(copy)
        content = (copy / META).read_bytes()

    def read() -> str:
        return "read" if refused_or_sane(small_root, hand, (A0,), "A1/meta/0000.pkl") is None else "refused"

    corpus = mutations(content, SPOILT["binary"] // 2, seed=1, share=share)
    found = outcomes(corpus, lambda data: spoil(META, data), read)
    assert found["refused"] > found.total() / 3, found


def nested(depth: int) -> tuple:
    """A tuple that holds itself, so to speak, two to the `depth` times."""
    value: tuple = (1.0, 2.0)
    for _ in range(depth):
        value = (value, value)
    return value


STRANGE: dict[str, Any] = {
    "NaN": lambda value: np.full(np.shape(value), np.nan),
    "infinity": lambda value: np.full(np.shape(value), -np.inf),
    "huge": lambda value: np.full(np.shape(value), 1e300),
    "large": lambda value: np.full(np.shape(value), 1e30),
    "longer": lambda value: np.zeros((*np.shape(value), 2)),
    "transposed": lambda value: np.asarray(value).T if np.ndim(value) == 2 else np.zeros((2, *np.shape(value))),
    "empty": lambda value: np.zeros(0),
    "text": lambda value: "hello" * 1000,
    "texts": lambda value: np.full(np.shape(value), "1.0"),
    "object": lambda value: np.full(np.shape(value), {}, dtype=object),
    "complex": lambda value: np.full(np.shape(value), 1j),
    "integer": lambda value: 10**400,
    "integers": lambda value: [10**400] * np.size(value),
    "ragged": lambda value: [[1.0], [2.0, 3.0]],
    "nested": lambda value: nested(60),
    "dictionary": lambda value: {"a": 1},
}
KEYS = ("camMat", "objName", "objRot", "objTrans", "handPose", "handTrans", "handBeta", "handJoints3D")


@pytest.mark.slow
@pytest.mark.parametrize("key", KEYS)
def test_strange_values_in_an_annotation(small_root: Path, hand, spoil, key: str) -> None:
    original = read_meta(small_root / META)
    for what, change in STRANGE.items():
        meta = {**original, key: change(original[key])}
        spoil(META, pickle.dumps(meta, protocol=4))
        said = refused_or_sane(small_root, hand, (A0,), "A1/meta/0000.pkl")
        if (what, key) != ("transposed", "objRot"):  # (1, 3) instead of (3, 1) says the same
            assert said is not None, f"{what} in {key} was read"


@pytest.mark.parametrize("key", KEYS)
def test_removed_keys_and_none(small_root: Path, hand, spoil, key: str) -> None:
    original = read_meta(small_root / META)
    spoil(META, pickle.dumps({name: value for name, value in original.items() if name != key}, protocol=2))
    assert f"expected the key {key} in" in (refused_or_sane(small_root, hand, (A0,), "A1/meta/0000.pkl") or "")
    spoil(META, pickle.dumps({**original, key: None}, protocol=2))
    said = refused_or_sane(small_root, hand, (A0,), "A1/meta/0000.pkl")
    assert (said is None) == (key not in ("camMat", "objName"))  # no other frame has them: there is but one
    assert Ho3d(small_root, hand).is_annotated(A0) == (key in ("camMat", "objName"))


class Call:
    """Pickles to a call."""

    def __init__(self, function: Callable, *arguments: Any):
        self.called = function, arguments

    def __reduce__(self):
        return self.called


@pytest.mark.slow
def test_hostile_pickles(small_root: Path, hand, spoil, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    touch = f"open({str(ran)!r}, 'w').close()"
    hostile = [pickle.dumps({"camMat": Call(os.system, f"touch {ran}")}, protocol=protocol) for protocol in (0, 2, 4)]
    hostile += [
        pickle.dumps({Call(eval, touch): 1}),
        pickle.dumps(Call(exec, touch)),
        pickle.dumps([Call(eval, touch)]),
    ]
    hostile += [f"cos\nsystem\n(S'touch {ran}'\ntR.".encode(), f"(S'touch {ran}'\nios\nsystem\n.".encode()]
    hostile += [
        b"cnumpy\nload\n.",
        b"cnumpy.testing._private.utils\nrunstring\n.",
        b"cnumpy\nndarray\n((I99999999999999\nttR.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff.",
        b"\x80\x02" + b"(" * 100_000 + b".",
        b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
        b"\x80\x02cnumpy\ndtype\n(U\x01Ott R.",
        b"\x80\x02c_codecs\nencode\n(X\x01\x00\x00\x00aU\x05rot13tR.",
        b"\x80\x05\x97.",  # an out-of-band buffer
        b"\x80\x02U\x01aQ.",  # a persistent id
        b"\x80\x02\x82\x01.",  # the extension registry
        b"\x80\xff.",
        b"\x80\x02]r\x00\x00\x00\x70.",  # numbers a list 1,879,048,192: room for as many
        b"(lp1879048192\n.",
        pickle.dumps(None),
        pickle.dumps({}),
        pickle.dumps({1: 2, None: 3, ("a", 4): 5}),
        pickle.dumps([1, 2]),
    ]
    for data in hostile:
        spoil(META, data)
        said = refused_or_sane(small_root, hand, (A0,), "A1/meta/0000.pkl")
        assert said is not None
    assert not ran.exists()


@pytest.mark.parametrize(
    "name", ["../models/wedge", "/etc", "..", ".", "", "wedge/../wedge", "we\0dge", "w" * 5000, "ä"]
)
def test_object_names_lead_nowhere_else(small_root: Path, hand, spoil, name: str) -> None:
    meta = read_meta(small_root / META)
    spoil(META, pickle.dumps({**meta, "objName": name}))
    assert refused_or_sane(small_root, hand, (A0,), "A1/meta/0000.pkl") is not None


@CORPUS_SHARES
@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_spoilt_pictures(small_root: Path, hand, spoil, tmp_path: Path, ending: str, share: float) -> None:
    root = Path(shutil.copytree(small_root, tmp_path / "copy"))
    if ending == "png":
        to_version_2(root)
    path = root / f"train/A1/rgb/0000.{ending}"
    content = path.read_bytes()
    dataset = Ho3d(root, hand, size=(64, 48))
    refused = 0
    spoilt = [b"", content[:100], b"GIF89a", b"P6 99999 99999 255\n"]
    spoilt += mutations(content, SPOILT[ending], seed=2, share=share)
    headers = mutations(content[:200], SPOILT[ending], seed=3, share=share)
    for data in spoilt + [header[:200] + content[200:] for header in headers]:
        path.write_bytes(data)
        said = None
        try:
            image = dataset.frame(A0, annotated=False).image
            assert image.shape == (3, 48, 64)
            assert 0 <= image.min() <= image.max() <= 1
        except DataError as error:
            said = str(error)
        assert said is None or f"0000.{ending}" in said
        refused += said is not None
    assert refused > share * SPOILT[ending] // 5


@CORPUS_SHARES
@pytest.mark.parametrize("file", ["evaluation_xyz.json", "evaluation_verts.json"])
def test_spoilt_evaluation_lists(small_root: Path, hand, spoil, file: str, share: float) -> None:
    content = (small_root / file).read_bytes()
    odd = [b"", b"[]", b"{}", b"null", b"[" * 100_000, b"\xff\xfe", b"[[[1e999, 0, 0]]]", content[:-1], content + b"]"]
    odd += [content.replace(b",", b" ", 1), content.replace(b",", b",,", 1), content.replace(b"0.", b"NaN", 1)]
    odd += [content.replace(b".", b"..", 1), content.replace(b"[", b"[1 ", 1), content.replace(b"0.", b"-", 1)]
    for data in odd:
        spoil(file, data)
        assert refused_or_sane(small_root, hand, (E0,), file) is not None, data[:40]
    for data in mutations(content, SPOILT["json"] // 2, seed=4, share=share):
        spoil(file, data)
        # A digit more or less may put the hand behind the camera, of which the frame's own file is named.
        refused_or_sane(small_root, hand, (E0,), str(small_root))


@CORPUS_SHARES
def test_spoilt_lists(small_root: Path, hand, spoil, share: float) -> None:
    content = (small_root / "train.txt").read_bytes() + b"A1/0000\n"
    odd = [b"../A1/0000", b"A1/../A1/0000", b"/etc/passwd", b"A1\\0000", b"A1/0000/0000", b"A\0/0000", b".git/0000"]
    odd += [b"A1/\xb2", "A1/٣".encode(), b"A1/" + b"9" * 5000, b"\xff\xfe", b"x" * 10_000, b"C:/0000", b"A1/-1"]
    for data in odd:
        spoil("train.txt", data)
        with pytest.raises(DataError, match=r"train\.txt"):
            Ho3d(small_root, hand).names("train")
    for data in mutations(content, SPOILT["list"], seed=5, share=share):
        spoil("train.txt", data)
        said, names = None, []
        try:
            names = Ho3d(small_root, hand).names("train")
        except DataError as error:
            said = str(error)
        assert said is None or "train.txt" in said
        for name in names:  # of other frames than before, which may not be there
            refused_or_sane(small_root, hand, (name,), f"{name.sequence}/rgb/{name.index:04d}.jpg")


@CORPUS_SHARES
def test_spoilt_meshes(small_root: Path, hand, spoil, share: float) -> None:
    content = (small_root / WEDGE).read_bytes()
    odd = [b"", b"v 1 2 3", b"f 1 2 3", content + b"f 1 2 9\n", content + b"f 1 2 -9\n"]
    odd += [content.replace(b"0.1", b"100"), content.replace(b"0.1", b"nan"), content.replace(b"0.1", b"1e400")]
    odd += [content.replace(b"f 1 2 3", b"f a b c")]
    for data in odd:
        spoil(WEDGE, data)
        assert refused_or_sane(small_root, hand, (A0,), WEDGE) is not None, data[-40:]
    for data in mutations(content, SPOILT["mesh"], seed=6, share=share):
        spoil(WEDGE, data)
        refused_or_sane(small_root, hand, (A0,), str(small_root))


def test_enough_is_spoilt() -> None:
    assert sum(SPOILT.values()) + len(KEYS) * len(STRANGE) >= 500
    assert math.isclose(sum(SPOILT.values()), 680)
