"""The fingers' axes against the anatomy that the open hand was built with, and the laws of coordinates."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from warpgrasp.hand.model import FINGERS, JOINTS, MANO_JOINTS, FingerAngles, FingerAxes, HandModel
from warpgrasp.hand.templates import open_hand, open_hand_arrays


@pytest.fixture(scope="module")
def axes() -> FingerAxes:
    return FingerAxes.of(open_hand())


def joints_of(hand: HandModel, pose: np.ndarray) -> np.ndarray:
    posed = hand(torch.zeros(1, 3), torch.from_numpy(pose).float()[None], torch.zeros(1, hand.shape_count))
    return posed.joints[0].double().numpy()


def test_hinges_are_those_that_the_hand_was_built_with(axes: FingerAxes) -> None:
    built = open_hand_arrays()["flexion_axes"].astype(np.float64)
    for number, finger in enumerate(FINGERS):
        for joint in range(3):
            if (finger, joint) != ("thumb", 0):  # a saddle joint: no single hinge
                of_joint = built[MANO_JOINTS.index(f"{finger}_{joint + 1}") - 1]
                assert axes.bend[number, joint] @ of_joint > 0.99, (finger, joint)


def test_a_mirrored_hand_closes_too() -> None:
    """M R M negates y and z of an axis-angle vector; the angles stay what they are."""
    right, left = FingerAxes.of(open_hand("right")), FingerAxes.of(open_hand("left"))
    mirror = np.array([1.0, -1.0, -1.0])
    np.testing.assert_allclose(left.bend, right.bend * mirror, atol=1e-6)
    np.testing.assert_allclose(left.spread, right.spread * mirror, atol=1e-6)


@pytest.mark.parametrize("finger", range(1, 5))
def test_bending_moves_the_tip_to_the_palm_and_spreading_moves_it_apart(
    axes: FingerAxes, hand: HandModel, finger: int
) -> None:
    flat = np.zeros(45)
    rest, tip = joints_of(hand, flat), JOINTS.index(f"{FINGERS[finger]}_tip")
    index, middle, little, wrist = (rest[JOINTS.index(name)] for name in ("index_1", "middle_1", "little_1", "wrist"))
    palm = np.cross(middle - wrist, little - index)  # of a right hand: out of its palm
    one = np.eye(5)[finger]
    start = axes.angles(flat)
    for field in ("knuckle", "curl"):
        moved = joints_of(hand, axes.with_angles(flat, replace(start, **{field: 0.4 * one})))
        assert (moved - rest)[tip] @ palm / np.linalg.norm(palm) > 0.003
        others = [row for row in range(21) if FINGERS[finger] not in JOINTS[row]]
        np.testing.assert_allclose(moved[others], rest[others], atol=1e-6)
    if FINGERS[finger] != "middle":
        moved = joints_of(hand, axes.with_angles(flat, replace(start, spread=0.2 * one)))
        middle_tip = rest[JOINTS.index("middle_tip")]
        assert np.linalg.norm(moved[tip] - middle_tip) > np.linalg.norm(rest[tip] - middle_tip) + 0.003


def test_angles_are_coordinates(axes: FingerAxes) -> None:
    random = np.random.default_rng(0)
    pose, wanted = random.normal(0, 0.5, 45), FingerAngles(*random.normal(0, 0.5, (3, 5)))
    changed = axes.with_angles(pose, wanted)
    for field in ("knuckle", "curl", "spread"):
        np.testing.assert_allclose(getattr(axes.angles(changed), field), getattr(wanted, field), atol=1e-12)
    np.testing.assert_allclose(axes.with_angles(changed, axes.angles(pose)), pose, atol=1e-12)
    np.testing.assert_allclose(axes.with_angles(pose, axes.angles(pose)), pose, atol=1e-12)
