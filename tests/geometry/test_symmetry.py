"""Poses that look alike: the nearest by trying every turn, whatever the axis and the fold."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch.testing import assert_close

from warpgrasp.cli import main
from warpgrasp.geometry import AXIS_NAMES, Axis, Symmetry, nearest_of_each


def random_rotations(count: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(Rotation.random(count, random_state=seed).as_matrix())


def turns(axis: Axis, angles: np.ndarray) -> torch.Tensor:
    vectors = angles[:, None] * np.eye(3)[AXIS_NAMES.index(axis)]
    return torch.from_numpy(Rotation.from_rotvec(vectors).as_matrix())


def angles_deg(one: torch.Tensor, other: torch.Tensor) -> np.ndarray:
    relative = (one.transpose(-1, -2) @ other).reshape(-1, 3, 3).numpy()
    return np.degrees(Rotation.from_matrix(relative).magnitude()).reshape(one.shape[:-2])


@pytest.mark.parametrize("axis", AXIS_NAMES)
@pytest.mark.parametrize("fold", [2, 3, 5, None])
def test_the_nearest_is_the_best_of_all_turns(axis: Axis, fold: int | None) -> None:
    symmetry = Symmetry(axis, fold)
    count = 3600 if fold is None else fold
    every = turns(axis, 2 * math.pi * np.arange(count) / count)
    rotations, references = random_rotations(40, 1), random_rotations(40, 2)
    found = symmetry.nearest(rotations, references)
    tried = angles_deg(references[:, None].expand(-1, count, 3, 3), rotations[:, None] @ every)
    apart = angles_deg(references, found)
    assert (apart <= tried.min(axis=1) + 1e-6).all()
    np.testing.assert_allclose(apart, tried.min(axis=1), atol=0.1 if fold is None else 1e-6)
    np.testing.assert_allclose(symmetry.apart_deg(rotations, references).numpy(), apart, atol=1e-6)
    # By a turn about the axis alone.
    about = (rotations.transpose(-1, -2) @ found)[:, AXIS_NAMES.index(axis), AXIS_NAMES.index(axis)]
    assert_close(about, torch.ones_like(about))
    assert (angles_deg(rotations, found) > 10).any()


def test_a_motion_is_followed_through_labels_that_are_turned_at_random() -> None:
    """A jar that someone has labelled at any of its turns moves by as little as it does."""
    truth = turns("x", np.linspace(0, 1.0, 12)) @ turns("z", np.linspace(0, 0.5, 12))
    labelled = truth @ turns("z", np.random.default_rng(0).uniform(0, 2 * math.pi, 12))
    followed = Symmetry("z", None).continuous(labelled)
    assert angles_deg(followed[:-1], followed[1:]).max() < 1.01 * angles_deg(truth[:-1], truth[1:]).max()
    assert angles_deg(labelled[:-1], labelled[1:]).max() > 90
    assert_close(followed[..., 2], truth[..., 2])  # the axis is where it was


def test_a_batch_of_objects_of_which_some_have_one() -> None:
    rotations, references = random_rotations(3, 5).requires_grad_(), random_rotations(3, 6)
    found = nearest_of_each((None, Symmetry("y", None), Symmetry("z", 2)), rotations, references)
    assert torch.equal(found[0], rotations[0])
    assert (found[1:] - rotations[1:]).abs().amax() > 1e-2
    found.sum().backward()
    assert rotations.grad is not None
    assert bool(rotations.grad.isfinite().all())
    assert nearest_of_each((), rotations, references) is rotations


def test_the_command_proposes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import trimesh

    can = trimesh.creation.cylinder(0.04, 0.12, sections=64)
    bar = trimesh.creation.cylinder(10, 30, sections=4)  # in millimetres
    corner = trimesh.Trimesh(np.diag([100, 50, 80, 0])[:, :3], [[0, 1, 2], [0, 3, 1], [1, 3, 2], [2, 3, 0]])
    shapes = {
        "can.obj": (can, 'any angle about z; .*{"axis": "z", "fold": "any"}'),
        "bar.ply": (bar, r'turned by 90° about z; .*{"axis": "z", "fold": 4}'),
        "corner.obj": (corner, "no turn about an axis"),
    }
    for name, (mesh, expected) in shapes.items():
        mesh.export(tmp_path / name)
        assert main(["symmetry", str(tmp_path / name)]) == 0
        printed = " ".join(capsys.readouterr().out.split())
        assert re.search(expected, printed), printed
    assert main(["symmetry", str(tmp_path / "none.obj")]) == 1
