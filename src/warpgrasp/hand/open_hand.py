"""Hands by the name that `--hand` takes, and the shipped one.

The shipped hand is openly licensed (NOTICE). It has the structure and sizes of a MANO file, but not its numbering of
vertices.
"""

from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from warpgrasp.hand.mano import HandFileError, load_mano
from warpgrasp.hand.model import HandModel, HandTemplate
from warpgrasp.registry import Registry

Side = Literal["right", "left"]
ASSETS = files("warpgrasp.hand") / "assets"


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
    return HandModel(template.mirrored(f"{template.name} (mirrored)"))


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
