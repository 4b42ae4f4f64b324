"""HO-3D's annotation files, read and written.

They are in OpenGL camera axes: X_cv = F X_gl with F = diag(1, -1, -1). A frame has a pickled dictionary (`meta`); the
hands of the evaluation frames are in two JSON lists for all of them.
"""

import math
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from warpgrasp.bounded import parse_json, read_regular
from warpgrasp.checked import Entry
from warpgrasp.errors import DataError
from warpgrasp.geometry import bounding_box_corners
from warpgrasp.hand import HO3D_JOINTS, JOINTS, HandTemplate, permutation
from warpgrasp.pickled import PickleError, load_pickle

LARGEST_BYTES = 4_000_000_000  # the evaluation set has one and a half
CV_FROM_GL = (1.0, -1.0, -1.0)
FLIP = np.array(CV_FROM_GL)
OBJECT_KEYS = ("objRot", "objTrans")
HAND_KEYS = ("handPose", "handTrans", "handBeta", "handJoints3D")


def read_meta(path: Path) -> Entry:
    """The named values of a frame's annotation file. Raises `DataError` when it is missing, or holds anything else."""
    try:
        return Entry.of(load_pickle(path), path, unit_axes=True)
    except FileNotFoundError as error:
        raise DataError(f"expected the annotation {path}, found no such file") from error
    except (PickleError, OSError) as error:
        raise DataError(str(error)) from error


class MetaFacts(NamedTuple):
    """The facts of an annotation file that the index remembers."""

    object_name: str | None
    has_camera: bool
    has_object: bool
    has_hand: bool  # in training sequences; those for evaluation give the root joint alone


NO_FACTS = MetaFacts(None, False, False, False)  # of a frame without annotation file


def read_facts(path: Path) -> list[Any]:
    """The facts of an annotation file, as a list.

    HO-3D leaves frames without annotation: their values are None, or missing. A frame that is annotated must say what
    its camera and its object are.
    """
    meta = read_meta(path)
    has_object, has_hand = _is_given(meta, OBJECT_KEYS), _is_given(meta, HAND_KEYS)
    if has_object:
        meta.value("camMat")
        meta.value("objName")
    name = None if meta.values.get("objName") is None else meta.text("objName")
    return [*MetaFacts(name, meta.values.get("camMat") is not None, has_object, has_hand)]


def _is_given(meta: Entry, keys: tuple[str, ...]) -> bool:
    """Whether some of the keys are there and none is None. (With some only, reading the annotation is an error.)"""
    given = [key for key in keys if meta.has(key)]
    return bool(given) and all(meta.value(key) is not None for key in given)


def read_number_list(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The finite numbers of a JSON file that holds one nested list of this shape, as float64.

    Its brackets and commas are compared with those of the shape, and its numbers are read as one row: the 27
    million of `evaluation_verts.json` would take gigabytes as Python's lists. Raises `DataError` naming the file.
    """
    try:
        data = read_regular(path, LARGEST_BYTES)
    except FileNotFoundError as error:
        raise DataError(f"expected the numbers of {path}, found no such file") from error
    except OSError as error:
        raise DataError(f"expected the numbers of {path}: {error}") from error
    if data.translate(None, delete=b"0123456789.eE+- \t\r\n") != _brackets(shape):
        raise DataError(f"expected one list of shape {shape} in {path}, found {_described(data)}")
    row = data.translate(None, delete=b"[]")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # older versions warn of what is no number, and stop
            values = np.fromstring(row, sep=" , ", dtype=np.float64) if row.strip() else np.zeros(0)
    except (ValueError, DeprecationWarning) as error:
        raise DataError(f"expected numbers in {path}: {error}") from error
    if values.size != math.prod(shape):
        raise DataError(f"expected {math.prod(shape)} numbers in {path}, found what is none after {values.size}")
    return Entry({"list": values.reshape(shape)}, path).numbers("list", shape)


def _brackets(shape: tuple[int, ...]) -> bytes:
    inner = b""
    for length in reversed(shape):
        inner = b"[" + b",".join([inner] * length) + b"]"
    return inner


def _described(data: bytes) -> str:
    """Why a file is not the list that was expected; broken files are told from those of another shape."""
    try:
        content = parse_json(data)
    except ValueError as error:
        return f"no JSON: {error}"
    if not isinstance(content, list):
        return f"a {type(content).__name__}"
    lengths = []
    while isinstance(content, list) and len(lengths) < 10:
        lengths.append(len(content))
        content = content[0] if content else None
    return f"lists of lengths {lengths}, or other than finite numbers in them"


def object_meta(
    name: str,
    *,
    label: int,
    vertices: Float[np.ndarray, "v 3"],
    rotation: Float[np.ndarray, "3 3"],
    translation: Float[np.ndarray, " 3"],
    intrinsics: Float[np.ndarray, "3 3"],
) -> dict[str, Any]:
    """The object's keys and the camera's.

    The pose takes the mesh file's own `vertices` (metres) into the camera: X_gl = F X_cv, so the file's rotation is
    F R.
    """
    turned, moved = FLIP[:, None] * rotation, FLIP * translation
    rest = bounding_box_corners(torch.from_numpy(vertices)).numpy()
    return {
        "objRot": Rotation.from_matrix(turned).as_rotvec()[:, None],
        "objTrans": moved,
        "objName": name,
        "objLabel": label,
        "objCorners3DRest": rest,
        "objCorners3D": rest @ turned.T + moved,
        "camMat": np.asarray(intrinsics, dtype=np.float64),
    }


def hand_meta(
    template: HandTemplate,
    *,
    rotation: Float[np.ndarray, "3 3"],
    wrist: Float[np.ndarray, " 3"],
    angles: Float[np.ndarray, " 45"],
    shape: Float[np.ndarray, " s"],
) -> dict[str, Any]:
    """The keys of a hand that is turned by `rotation` about its wrist, which lies at `wrist`.

    Its shape puts the wrist at w in the model's own coordinates: X_gl = F R (v - w) + w + t_gl.
    """
    turned = Rotation.from_matrix(FLIP[:, None] * rotation)
    return {
        "handPose": np.concatenate([turned.as_rotvec(), angles]),
        "handTrans": FLIP * wrist - template.rest_wrist(shape),
        "handBeta": np.asarray(shape, dtype=np.float64),
    }


def joints_in_file(joints: Float[np.ndarray, "21 3"]) -> Float[np.ndarray, "21 3"]:
    """Joints in the order `JOINTS` and OpenCV's axes, as `handJoints3D` has them."""
    return (joints * FLIP)[permutation(HO3D_JOINTS, from_=JOINTS)]
