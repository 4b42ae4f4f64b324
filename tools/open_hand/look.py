"""The contact sheet: rest, mean, named poses and extreme shapes."""

from pathlib import Path

import numpy as np
from PIL import Image
from pose_space import SYNERGIES, JointAxes, named_pose
from straighten import global_rotations, skin
from view import BACK, PALM, SIDE, contact_sheet, shade


def pose_hand(arrays: dict[str, np.ndarray], pose: np.ndarray, shape: np.ndarray | None = None) -> np.ndarray:
    """Vertices of the built hand in a pose (45,) and shape (10,)."""
    vertices = arrays["v_template"] + (0 if shape is None else arrays["shapedirs"] @ shape)
    return skin(vertices, arrays["J_regressor"] @ vertices, arrays["weights"], global_rotations(pose))[0]


def painter(arrays: dict[str, np.ndarray], picture: Path):
    """A function from face and barycentric weights to the skin's colours."""
    pixels = np.asarray(Image.open(picture), float)
    corners = arrays["uv"][arrays["uv_faces"]]
    height, width = pixels.shape[:2]

    def colours(face: int, weights: np.ndarray) -> np.ndarray:
        uv = weights @ corners[face]
        row = ((1 - uv[..., 1]) * height).astype(int).clip(0, height - 1)
        return pixels[row, (uv[..., 0] * width).astype(int).clip(0, width - 1)]

    return colours


def skin_sheet(arrays: dict[str, np.ndarray], path: Path, assets: Path) -> None:
    """Draw the mean pose in every skin."""
    vertices = pose_hand(arrays, 0.4 * arrays["hands_mean"])
    rows = []
    for picture in sorted(assets.glob("skin_*.jpg")):
        draw = dict(size=420, span=0.2, colours=painter(arrays, picture))
        views = (("back", BACK), ("palm", PALM), ("side", SIDE))
        rows.append([(f"{picture.stem} {n}", shade(vertices, arrays["f"], m, **draw)) for n, m in views])
    contact_sheet([left + right for left, right in zip(rows[::2], rows[1::2], strict=True)], str(path))


def sheet(arrays: dict[str, np.ndarray], path: Path, assets: Path) -> None:
    """Draw everything that must look like a hand, and beside it the skins."""
    skin_sheet(arrays, path.with_stem(path.stem + "_skins"), assets)
    axes = JointAxes(arrays["flexion_axes"], arrays["spread_axes"], arrays["joint_limits"])
    still = np.zeros(45)
    cases = [("rest", still, None), ("mean", arrays["hands_mean"], None)]
    cases += [(name, named_pose(axes, name), None) for name in SYNERGIES]
    for component in range(4):
        for sign in (-2.5, 2.5):
            cases.append((f"shape {component + 1} {sign:+}", still, sign * np.eye(10)[component]))
    for component in range(4):
        for sign in (-2, 2):
            pose = arrays["hands_mean"] + sign * arrays["hands_components"][component]
            cases.append((f"pose {component + 1} {sign:+}", pose, None))
    pictures = [
        [(f"{name}, {view}", shade(pose_hand(arrays, pose, shape), arrays["f"], matrix, size=230))
         for view, matrix in (("back", BACK), ("palm", PALM), ("side", SIDE))]
        for name, pose, shape in cases
    ]  # fmt: skip
    rows = [left + right for left, right in zip(pictures[::2], pictures[1::2], strict=True)]
    contact_sheet(rows, str(path))
