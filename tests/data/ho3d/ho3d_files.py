"""Turns the tiny data set of the tests into the versions of HO-3D that were released, and spoils its files."""

import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ANNOTATION = ("handPose", "handTrans", "handBeta", "handJoints3D", "objRot", "objTrans")


def read_meta(path: Path) -> dict[str, Any]:
    return pickle.loads(path.read_bytes())  # noqa: S301 (our own file)


def edit_meta(path: Path, change: Callable[[dict], Any]) -> None:
    meta = read_meta(path)
    change(meta)
    path.write_bytes(pickle.dumps(meta, protocol=2))


def write_wedge(root: Path) -> None:
    """A small object of four vertices, whose bounding box is not centred on the origin."""
    folder = root / "models" / "wedge"
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["v 0.1 0 0", "v 0 0.05 0", "v 0 0 0.02", "v 0 0 0", "f 1 2 3", "f 1 4 2", "f 2 4 3", "f 3 4 1"]
    (folder / "textured_simple.obj").write_text("\n".join(rows) + "\n")


def python2_pickle(meta: dict[str, Any]) -> bytes:
    """A dictionary as Python 2 with NumPy 1 pickles it: byte strings for texts, old module names (protocol 2)."""
    return b"\x80\x02}(" + b"".join(_python2(key) + _python2(value) for key, value in meta.items()) + b"u."


def _python2(value: Any) -> bytes:
    if value is None:
        return b"N"
    if isinstance(value, str):
        return b"U" + bytes([len(value)]) + value.encode("latin1")
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, list):
        return b"](" + b"".join(_python2(one) for one in value) + b"e"
    array = np.asarray(value, dtype="<f8")
    shape = b"(" + b"".join(_python2(length) for length in array.shape) + b"t"
    data = array.tobytes()
    return (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01" + shape + b"cnumpy\ndtype\n"
        b"(U\x02f8K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        b"T" + struct.pack("<i", len(data)) + data + b"tb"
    )


def to_version_2(root: Path) -> None:
    """Pictures as png; annotations as Python 2 wrote them."""
    for path in root.glob("*/*/rgb/*.jpg"):
        with Image.open(path) as picture:
            picture.save(path.with_suffix(".png"))
        path.unlink()
    for path in root.glob("*/*/meta/*.pkl"):
        path.write_bytes(python2_pickle(read_meta(path)))


def to_version_3_with_gaps(root: Path) -> dict[str, list[int]]:
    """Annotations missing as in version 3; returns the training frames without, by sequence."""
    meta = root / "train" / "A1" / "meta"

    def nothing(content: dict) -> None:
        content.update(dict.fromkeys(ANNOTATION))

    edit_meta(meta / "0002.pkl", nothing)
    edit_meta(meta / "0003.pkl", lambda content: content.update(dict.fromkeys(content)))  # camera and object too
    edit_meta(meta / "0004.pkl", lambda content: [content.pop(key) for key in (*ANNOTATION, "camMat")])
    (meta / "0005.pkl").unlink()
    edit_meta(root / "train" / "B1" / "meta" / "0000.pkl", nothing)
    for path in root.glob("train/*/meta/*.pkl"):
        edit_meta(path, lambda content: content.update(handVertContact=np.zeros(778)))
    return {"A1": [2, 3, 4, 5], "B1": [0]}
