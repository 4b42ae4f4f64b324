"""The shipped hand, openly licensed (NOTICE): the structure and sizes of a MANO file, but not its vertex numbering."""

from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Literal

import numpy as np

from warpgrasp.hand.model import HandModel, HandTemplate

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
