"""Labels that are read but look like something else: the other hand, degrees, coefficients, or another point.

Numbers alone seldom prove such a mistake, so a doubt is a warning, and names what the numbers would be right for.
"""

import math
import multiprocessing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import KDTree
from torch import Tensor

from warpgrasp.data.recording.annotations import HandJoints, HandParameters, Label
from warpgrasp.frame import Annotation, ObjectModel, pose_points
from warpgrasp.geometry import mirrored_axis_angle, mirrored_points
from warpgrasp.hand import HandModel, Side, fit_cost, fit_hand, pose_cost, refusal
from warpgrasp.progress import notice

# The other hand is named when it explains the numbers this much better (natural logarithm of the probability). Measured
# with the open hand: for poses drawn from its own distribution, with 0 to 6 mm of noise on the joints, the hand that is
# stated is better by 28 and more; a flat hand of the other side, the hardest to tell, worse by 29.
LEAST_EVIDENCE = 10.0
# Improbabilities of 45 joint angles: drawn from the open hand's own distribution at most 12 (twice as wide 32), all
# joints bent by 1.5 rad 369, coefficients of principal components taken for angles 920 and more.
LARGEST_POSE_COST = 600.0
LARGEST_BEND_RAD = math.pi  # of a finger's joint
LARGEST_TURN_RAD = 3.5  # of a whole hand or object: beyond a half turn a shorter rotation is the same
APART_M, NEAR_M = 0.3, 0.02  # from a hand to the object that it is about to hold, or holds
SUSPECT_M = 0.1
EXAMINED = 8  # labels of a recording that are looked at when it is read; hands may have to be fitted for each
POINTS = 5000  # of the object, by which the distance is measured


@dataclass(frozen=True)
class LabelInCamera:
    """A label with what it means: hand and object in camera space, and their models."""

    label: Label
    annotation: Annotation
    object: ObjectModel
    hand: HandModel
    side: Side


def doubts(labels: Sequence[LabelInCamera]) -> Iterator[str]:
    """A line for each kind of doubt about some labels: about how many, and of the first what speaks for it."""
    for doubt in (_side_doubt, _bend_doubt, _turn_doubt, _distance_doubt):
        doubted = [(label.label.frame, text) for label in labels if (text := doubt(label)) is not None]
        if doubted:
            frame, text = doubted[0]
            yield f"{len(doubted)} of {len(labels)} labels look wrong, the first frame {frame}: {text}"


def say_doubts(path: Path, labels: Sequence[LabelInCamera]) -> bool:
    """Print the doubts about some labels of the file `path` to the error stream, and return whether there are any.

    Nothing is printed, and False returned, in the worker processes that read data.
    """
    lines = [] if multiprocessing.parent_process() is not None else list(doubts(labels))
    for line in lines:
        notice(f"warning: {path}: {line}; `warpgrasp doctor` checks all labels")
    return bool(lines)


def other_side(side: Side) -> Side:
    """The other hand."""
    return "left" if side == "right" else "right"


def fits_other_hand(joints: Float[Tensor, "21 3"], hand: HandModel) -> bool:
    """Whether 21 joints (metres) are rather those of the other hand than of this one."""
    stated, mirrored = joints[None].float(), mirrored_points(joints[None].float())
    fit = fit_hand(hand, mirrored)
    if refusal(fit.residual_m[0], fit.shape) is not None:
        return False
    evidence = fit_cost(hand, fit_hand(hand, stated), stated) - fit_cost(hand, fit, mirrored)
    return evidence > LEAST_EVIDENCE


def _side_doubt(label: LabelInCamera) -> str | None:
    match label.label.hand:
        case HandJoints(joints):
            is_other, numbers = fits_other_hand(torch.from_numpy(joints), label.hand), "its 21 joints are"
        case HandParameters(pose):
            angles = torch.from_numpy(pose[3:]).double()
            mirrored = mirrored_axis_angle(angles.unflatten(0, (-1, 3))).flatten()
            evidence = pose_cost(label.hand, angles) - pose_cost(label.hand, mirrored)
            is_other, numbers = evidence > LEAST_EVIDENCE, "its fingers bend like"
    other = other_side(label.side)
    if not is_other:
        return None
    return f'{numbers} those of a {other} hand; for a {other} hand write "side": "{other}" in annotations.json'


def _bend_doubt(label: LabelInCamera) -> str | None:
    if not isinstance(label.label.hand, HandParameters):
        return None
    angles = label.label.hand.pose[3:]
    bend_rad = float(np.linalg.norm(angles.reshape(-1, 3), axis=1).max())
    if bend_rad < LARGEST_BEND_RAD and pose_cost(label.hand, torch.from_numpy(angles).double()) < LARGEST_POSE_COST:
        return None
    return (
        f"no hand bends its fingers so (by up to {bend_rad:.1f} rad); are the 45 numbers after the first three of its "
        f"pose degrees, or coefficients of principal components? Axis-angle vectors in radians are wanted"
    )


def _turn_doubt(label: LabelInCamera) -> str | None:
    rotations = {"object": label.label.object_rotation}
    if isinstance(label.label.hand, HandParameters):
        rotations["hand"] = label.label.hand.pose[:3]
    for name, rotation in rotations.items():
        turn_rad = float(np.linalg.norm(rotation))
        if turn_rad > LARGEST_TURN_RAD:
            return f"its {name} is turned by {turn_rad:.2f} rad, more than a half turn; are these degrees?"
    return None


def _distance_doubt(label: LabelInCamera) -> str | None:
    annotation, model = label.annotation, label.object
    step = -(-len(model.vertices) // POINTS)
    vertices = pose_points(annotation.object_rotation, annotation.object_translation, model.vertices[::step])
    hand = KDTree(annotation.hand_vertices.numpy())

    def gap_m(points: Float[Tensor, "n 3"]) -> float:
        return float(hand.query(points.numpy())[0].min())

    apart_m = gap_m(vertices)
    # With the translation taken for the place of the box's centre instead of the mesh file's origin.
    centred_m = gap_m(vertices - annotation.object_rotation @ model.centre_m)
    if apart_m > SUSPECT_M and centred_m < NEAR_M:
        return (
            f"its object lies {1000 * apart_m:.0f} mm from the hand, but {1000 * centred_m:.0f} mm if the translation "
            f"were that of the centre of the mesh; it is that of the mesh file's own origin"
        )
    if apart_m > APART_M:
        return (
            f"its object lies {1000 * apart_m:.0f} mm from the hand; are both in metres, in the same camera, and the "
            f"object's translation that of the mesh file's own origin?"
        )
    return None
