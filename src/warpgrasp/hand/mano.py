"""The user's own MANO file (Romero et al. 2017), read without chumpy, without SciPy and without running its pickle."""

import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from warpgrasp.errors import UserError
from warpgrasp.geometry import boundary_loop
from warpgrasp.hand.model import HandModel, HandTemplate
from warpgrasp.hand.skeleton import MANO_JOINTS
from warpgrasp.pickled import NUMPY_NAMES, PickleError, load_pickle

# The vertices of the fingertips (thumb, index, middle, ring, little): as published by two families of libraries, and by
# HO-3D's own tools, of which its labels are.
Fingertips = Literal["manopth", "smplx", "ho3d"]
MANO_FINGERTIPS: dict[Fingertips, tuple[int, ...]] = {
    "manopth": (745, 317, 444, 556, 673),
    "smplx": (744, 320, 443, 554, 671),
    "ho3d": (744, 333, 444, 555, 672),
}
MANO_LEFT_FINGERTIPS = {**MANO_FINGERTIPS, "manopth": (745, 317, 445, 556, 673)}
TIPS_IN_NAME = re.compile(r" \(tips: (\w+)\)")
MANO_SIZE = (778, 1538)

KEYS = (
    "v_template",
    "f",
    "shapedirs",
    "posedirs",
    "J_regressor",
    "weights",
    "kintree_table",
    "hands_components",
    "hands_mean",
)


COEFFICIENTS = "hands_coeffs"  # of the poses that the components were made from; some copies of the file leave it out


class HandFileError(UserError):
    """The file of a hand model is missing, or holds something else."""


class _Stub:
    """Stands for the classes of chumpy and SciPy that MANO's pickle names: keeps their state, does nothing."""

    def __init__(self, *arguments: Any):
        pass

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple):  # (instance dictionary, slots)
            state = state[0]
        self.__dict__.update(state)


_STUBS = {
    (module, name): _Stub
    for module, name in [
        ("chumpy.ch", "Ch"),
        ("chumpy.reordering", "Select"),
        ("scipy.sparse.csc", "csc_matrix"),
        ("scipy.sparse._csc", "csc_matrix"),
    ]
}
_ALLOWED = {**NUMPY_NAMES, **_STUBS, ("__builtin__", "set"): set, ("builtins", "set"): set}


def load_mano(
    folder: Path,
    side: Literal["right", "left"] = "right",
    *,
    fingertips: Fingertips = "manopth",
) -> HandTemplate:
    """Read `MANO_RIGHT.pkl` or `MANO_LEFT.pkl` (or the same arrays as `.npz`) of `folder`.

    Raises `HandFileError` when there is none or it is not a hand model.
    """
    stem = f"MANO_{side.upper()}"
    path = next(
        (folder / f"{stem}{ending}" for ending in (".pkl", ".npz") if (folder / f"{stem}{ending}").is_file()),
        None,
    )
    if path is None:
        raise HandFileError(
            f"expected {stem}.pkl (or .npz) in {folder}, found neither. It needs a licence of its own "
            f"(https://mano.is.tue.mpg.de): see docs/datasets.md#mano; or run with `--hand open`"
        )
    arrays = _read(path)
    _check(arrays, path)
    shape = (len(arrays["v_template"]), len(arrays["f"]))
    published = MANO_LEFT_FINGERTIPS if side == "left" else MANO_FINGERTIPS
    tips = published[fingertips] if shape == MANO_SIZE else _farthest_vertices(arrays)
    name = f"mano {side} (tips: {fingertips if shape == MANO_SIZE else 'farthest'})"
    return HandTemplate(
        name=name,
        vertices=arrays["v_template"],
        faces=arrays["f"].astype(np.int64),
        shape_directions=arrays["shapedirs"],
        pose_directions=arrays["posedirs"],
        joint_regressor=arrays["J_regressor"],
        skinning_weights=arrays["weights"],
        parents=(-1, *(int(parent) for parent in arrays["kintree_table"][0, 1:])),
        pose_components=arrays["hands_components"],
        mean_pose=arrays["hands_mean"],
        fingertip_vertices=tips,
        pose_deviations=arrays[COEFFICIENTS].std(axis=0) if COEFFICIENTS in arrays else None,
    )


def with_fingertips(hand: HandModel, fingertips: Fingertips) -> HandModel:
    """A hand with MANO's own mesh, with its fingertips as other publishers take them; any other hand as it is."""
    template = hand.template
    stated = TIPS_IN_NAME.search(template.name)
    if stated is None or stated[1] not in MANO_FINGERTIPS or stated[1] == fingertips:
        return hand
    published = MANO_LEFT_FINGERTIPS if template.name.startswith("mano left") else MANO_FINGERTIPS
    name = TIPS_IN_NAME.sub(f" (tips: {fingertips})", template.name)
    return HandModel(replace(template, name=name, fingertip_vertices=published[fingertips]))


def with_fingertips_of(name: str, hand: HandModel) -> HandModel:
    """The hand with the fingertips that the name of another says."""
    return next((with_fingertips(hand, tips) for tips in MANO_FINGERTIPS if f"(tips: {tips})" in name), hand)


def same_hand(name: str, other: str) -> bool:
    """Whether two names are of one hand model, whichever vertices are taken for its fingertips."""
    return TIPS_IN_NAME.sub("", name) == TIPS_IN_NAME.sub("", other)


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        if path.suffix == ".npz":
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                content: dict[str, Any] = {key: stored[key] for key in stored.files}
        else:
            content = load_pickle(path, _ALLOWED)
        if not isinstance(content, dict):
            raise HandFileError(f"expected the arrays of a hand model in {path}, found a {type(content).__name__}")
        return {key: _dense(content[key]) for key in (*KEYS, COEFFICIENTS) if key in content}
    except (
        PickleError,
        zipfile.BadZipFile,
        OSError,
        ValueError,
        AttributeError,
        LookupError,
        TypeError,
    ) as error:
        if isinstance(error, HandFileError):
            raise
        raise HandFileError(f"expected a hand model in {path}: {error}") from error


def _dense(value: Any) -> np.ndarray:
    """The array inside the file's wrappers: `Select` (some of an array's entries), `Ch`, sparse matrices."""
    if not isinstance(value, _Stub):
        return np.asarray(value)
    fields = value.__dict__
    if "idxs" in fields:
        return _dense(fields["a"]).ravel()[fields["idxs"]].reshape(fields["preferred_shape"])
    if "indptr" in fields:
        rows, columns = fields["_shape"]
        dense = np.zeros((rows, columns))
        dense[fields["indices"], np.repeat(np.arange(columns), np.diff(fields["indptr"]))] = fields["data"]
        return dense
    return np.asarray(fields["x"])


def _check(arrays: dict[str, np.ndarray], path: Path) -> None:
    """Raise `HandFileError` naming the array that is not one of a hand model."""
    missing = [key for key in KEYS if key not in arrays]
    if missing:
        raise HandFileError(f"expected the arrays {', '.join(KEYS)} in {path}, missing {', '.join(missing)}")
    vertices, faces = arrays["v_template"].shape[:1], arrays["f"].shape[:1]
    joints, angles = len(MANO_JOINTS), 3 * (len(MANO_JOINTS) - 1)
    expected = {
        "v_template": (*vertices, 3),
        "f": (*faces, 3),
        "shapedirs": (*vertices, 3, *arrays["shapedirs"].shape[2:3]),
        "posedirs": (*vertices, 3, 3 * angles),
        "J_regressor": (joints, *vertices),
        "weights": (*vertices, joints),
        "kintree_table": (2, joints),
        "hands_components": (angles, angles),
        "hands_mean": (angles,),
        **({COEFFICIENTS: (*arrays[COEFFICIENTS].shape[:1], angles)} if COEFFICIENTS in arrays else {}),
    }
    for key, shape in expected.items():
        array = arrays[key]
        if array.dtype.kind not in "iuf":
            raise HandFileError(f"expected numbers in {key} of {path}, found {array.dtype}")
        if array.shape != shape:
            raise HandFileError(f"expected {key} of shape {shape} in {path}, found {array.shape}")
        if not np.isfinite(array).all():
            raise HandFileError(f"expected finite numbers in {key} of {path}, found NaN or infinity")
    _check_structure(arrays, path)


def _check_structure(arrays: dict[str, np.ndarray], path: Path) -> None:
    faces, parents = arrays["f"].astype(np.int64), arrays["kintree_table"][0, 1:].astype(np.int64)
    count = len(arrays["v_template"])
    if not ((faces >= 0) & (faces < count)).all():
        raise HandFileError(f"expected faces of {count} vertices in {path}, found a vertex {faces.max()} in f")
    if not ((parents >= 0) & (parents < np.arange(1, len(MANO_JOINTS)))).all():
        raise HandFileError(f"expected every joint after its parent in kintree_table of {path}, found {parents}")
    try:
        boundary_loop(faces)
    except ValueError as error:
        raise HandFileError(f"expected a hand that is open at its wrist alone in {path}: {error}") from error


def _farthest_vertices(arrays: dict[str, np.ndarray]) -> tuple[int, ...]:
    """For meshes other than MANO's: the vertex farthest along each finger's last bone."""
    joints = arrays["J_regressor"] @ arrays["v_template"]
    tips = []
    for finger in ("thumb", "index", "middle", "ring", "little"):
        middle, last = (MANO_JOINTS.index(f"{finger}_{part}") for part in (2, 3))
        along = (arrays["v_template"] - joints[last]) @ (joints[last] - joints[middle])
        along[arrays["weights"].argmax(axis=1) != last] = -np.inf
        tips.append(int(along.argmax()))
    return tuple(tips)
