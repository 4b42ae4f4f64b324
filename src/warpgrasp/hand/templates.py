"""Hands by the name that `--hand` takes: the shipped one, and the user's own MANO file (Romero et al. 2017).

The shipped hand is openly licensed (NOTICE). It has the structure and sizes of a MANO file, but not its numbering of
vertices. MANO's file is read without chumpy, without SciPy and without running its pickle.
"""

import re
from dataclasses import replace
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from warpgrasp.archive import Archive
from warpgrasp.errors import UserError
from warpgrasp.geometry import boundary_loop
from warpgrasp.hand.model import MANO_JOINTS, HandModel, HandTemplate
from warpgrasp.pickled import NUMPY_NAMES, PickleError, load_pickle, plain_set
from warpgrasp.registry import Registry

Side = Literal["right", "left"]
ASSETS = files("warpgrasp.hand") / "assets"
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
MIRRORED = " (mirrored)"  # ends the name of a left hand that is a right one's mirror image

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


LARGEST_MATRIX = 10_000_000  # numbers; a regressor of MANO's size has twelve thousand
COEFFICIENTS = "hands_coeffs"  # of the poses that the components were made from; some copies of the file leave it out


@cache
def open_hand_arrays() -> dict[str, np.ndarray]:
    """Every array of the asset, also those that only pictures and grasps need (texture coordinates, joint axes)."""
    with as_file(ASSETS / "open_hand_right.npz") as path, np.load(path, allow_pickle=False) as asset:
        return {name: asset[name] for name in asset.files}


@cache
def open_hand(side: Side = "right") -> HandTemplate:
    """The open hand; the left one is the right one's mirror image."""
    asset = open_hand_arrays()
    right = HandTemplate(
        name="open-hand right",
        vertices=asset["v_template"],
        faces=asset["f"].astype(np.int64),
        shape_directions=asset["shapedirs"],
        pose_directions=None,
        joint_regressor=asset["J_regressor"],
        skinning_weights=asset["weights"],
        parents=(-1, *(int(parent) for parent in asset["kintree_table"][0, 1:])),
        pose_components=asset["hands_components"],
        mean_pose=asset["hands_mean"],
        fingertip_vertices=tuple(int(vertex) for vertex in asset["fingertip_vertices"]),
    )
    return right if side == "right" else right.mirrored("open-hand left")


def left_hand(right: HandModel) -> HandModel:
    """The left hand whose mirror image is a right one's model.

    The open hand's is `open_hand("left")`. MANO's is not the hand of MANO_LEFT.pkl, whose shapes are others, and so it
    is called after the right one.
    """
    template = right.template
    if template.name == open_hand().name:
        return HandModel(open_hand("left"))
    return HandModel(template.mirrored(f"{template.name}{MIRRORED}"))


def other_side(side: Side) -> Side:
    """The other hand."""
    return "left" if side == "right" else "right"


def side_of_hand(name: str) -> Side:
    """Which hand a model is, by its name: the left ones of recordings are those of `left_hand`."""
    return "left" if name == open_hand("left").name or MIRRORED in name else "right"


def other_hand(hand: HandModel) -> HandModel:
    """The other hand of the same person: `left_hand` of a right one, and the inverse of a left one."""
    name = hand.template.name
    if side_of_hand(name) == "right":
        return left_hand(hand)
    if name == open_hand("left").name:
        return HandModel(open_hand())
    return HandModel(hand.template.mirrored(name.replace(MIRRORED, "")))


def skin_textures() -> list[Path]:
    """The skin pictures, in the order of their names."""
    with as_file(ASSETS) as folder:
        return sorted(folder.glob("skin_*.jpg"))


@runtime_checkable
class HandLoader(Protocol):
    """Loads a hand model: a member of `HAND_MODELS`."""

    def __call__(self, folder: Path | None, side: Side) -> HandTemplate:
        """The right or the left hand, from files in `folder` where the model needs any.

        Its name is stored with every result, and decides which results belong together. Raises `HandFileError` when the
        folder or a file is missing.
        """
        ...


def _open(folder: Path | None, side: Side) -> HandTemplate:
    return open_hand(side)


def _mano(folder: Path | None, side: Side) -> HandTemplate:
    if folder is None:
        raise HandFileError(
            "expected --mano-folder DIR, the folder of MANO_RIGHT.pkl, together with --hand mano; see "
            "docs/datasets.md#mano"
        )
    return load_mano(folder, side)


HAND_MODELS: Registry[HandLoader] = Registry("hand model", "warpgrasp.hands", {"open": _open, "mano": _mano})


def load_hand(name: str, folder: Path | None = None, *, side: Side = "right") -> HandModel:
    """The hand model of that name. Raises `RegistryError` when there is none, `HandFileError` without its files."""
    return HandModel(HAND_MODELS[name](folder, side))


class HandFileError(UserError):
    """The file of a hand model is missing, or holds something else."""


class _Stub:
    """Stands for the classes of chumpy and SciPy that MANO's pickle names: keeps their state, does nothing."""

    def __init__(self, *arguments: Any):
        pass

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple):  # (instance dictionary, slots)
            state = state[0]
        if not isinstance(state, dict):
            raise ValueError("an object whose state is no dictionary")
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
_ALLOWED = {**NUMPY_NAMES, **_STUBS, ("__builtin__", "set"): plain_set, ("builtins", "set"): plain_set}


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
            with Archive.opened(path) as archive:
                content: Any = {key: archive.read(key) for key in (*KEYS, COEFFICIENTS) if key in archive.names}
        else:
            content = load_pickle(path, _ALLOWED)
        if not isinstance(content, dict):
            raise HandFileError(f"expected the arrays of a hand model in {path}, found a {type(content).__name__}")
        return {key: _dense(content[key]) for key in (*KEYS, COEFFICIENTS) if key in content}
    except (PickleError, OSError, ValueError, AttributeError, LookupError, TypeError, RecursionError) as error:
        if isinstance(error, HandFileError):
            raise
        raise HandFileError(f"expected a hand model in {path}: {error}") from error


def _dense(value: Any) -> np.ndarray:
    """The array inside the file's wrappers: `Select` (some of an array's entries), `Ch`, sparse matrices."""
    if isinstance(value, np.ndarray):
        return value
    if not isinstance(value, _Stub):
        raise ValueError(f"a {type(value).__name__} in place of an array")
    fields = value.__dict__
    if "idxs" in fields:
        return _dense(fields["a"]).ravel()[_dense(fields["idxs"])].reshape(fields["preferred_shape"])
    if "indptr" in fields:
        return _of_columns(fields)
    return _dense(fields["x"])


def _of_columns(fields: dict[str, Any]) -> np.ndarray:
    """The array of a sparse matrix that is stored column by column."""
    rows, columns = (int(length) for length in fields["_shape"])
    ends, entries = _dense(fields["indptr"]), _dense(fields["indices"])
    counts = np.diff(ends)
    if not (0 <= rows * columns <= LARGEST_MATRIX and len(counts) == columns):
        raise ValueError(f"a sparse matrix of {rows} × {columns} and {len(counts)} columns")
    if (counts < 0).any() or int(counts.sum()) != len(entries):
        raise ValueError("a sparse matrix with more or fewer entries than it says")
    dense = np.zeros((rows, columns))
    dense[entries, np.repeat(np.arange(columns), counts)] = _dense(fields["data"])
    return dense


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
