"""What the hand of the labels holds, which goes with it in the frames between and beyond them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from warpgrasp.frame import ObjectModel, Pose
from warpgrasp.geometry import Solid, Surface
from warpgrasp.hand import HandModel
from warpgrasp.refinement.start_poses import between_labels
from warpgrasp.scene import posed_hand

TOUCH_M = 0.005  # a hand nearer than this to the object holds it: labels are not truer
SLID_M, ROLLED_RAD = 0.01, 0.1  # of the object in the hand: costs 1, and farther away as the logarithm does


@dataclass(frozen=True)
class Grasp:
    """How the object lies in the hand in n frames, as the labels nearest to them say."""

    rotation: Float[Tensor, "n 3 3"]  # hand_from_object
    centre: Float[Tensor, "n 3"]  # of the object, from the wrist, in the axes of the hand
    held: Bool[Tensor, " n"]  # False where the nearest label shows no touch: nothing is known then
    labelled: Bool[Tensor, " n"]

    @staticmethod
    def of(labels: Mapping[int, Pose], times: Float[np.ndarray, " n"], hand: HandModel, model: ObjectModel) -> "Grasp":
        """The grasps of labels by their positions; between two in a row that hold, one passes evenly into the other."""
        positions = sorted(labels)
        nearest = np.abs(times[:, None] - times[positions]).argmin(axis=1)
        solid = solid_of(model)
        touches = [distance_to_hand_m(labels[position], hand, solid) < TOUCH_M for position in positions]
        in_hand = between_labels({position: _in_hand(labels[position]) for position in positions}, times)
        rotation, centre = in_hand.object_rotation, in_hand.object_centre
        for holds, rows in groupby(range(len(positions)), key=lambda row: touches[row]):
            together = list(rows)
            if holds and len(together) < len(positions):
                some = between_labels({positions[row]: _in_hand(labels[positions[row]]) for row in together}, times)
                frames = torch.from_numpy(np.isin(nearest, together))
                rotation[frames], centre[frames] = some.object_rotation[frames], some.object_centre[frames]
        labelled = torch.zeros(len(times), dtype=torch.bool)
        labelled[positions] = True
        return Grasp(rotation, centre, torch.tensor(touches)[nearest], labelled)

    def rows(self, rows: slice) -> "Grasp":
        """Some of the frames."""
        return Grasp(self.rotation[rows], self.centre[rows], self.held[rows], self.labelled[rows])

    def carried(self, poses: Pose) -> Pose:
        """The poses with the object in the hand where it is held; labels stay, to the last digit."""
        moved = self.held & ~self.labelled
        in_hand = _with_object(poses, self.rotation.to(poses.wrist), self.centre.to(poses.wrist))
        return replace(
            poses,
            object_rotation=torch.where(moved[:, None, None], in_hand.object_rotation, poses.object_rotation),
            object_centre=torch.where(moved[:, None], in_hand.object_centre, poses.object_centre),
        )

    def cost(self, poses: Pose) -> Float[Tensor, " n"]:
        """What it costs that the object has slid and rolled in the hand; 0 where it is not held."""
        found = _in_hand(poses)
        slid = (found.object_centre - self.centre.to(poses.wrist)).square().sum(dim=1) / SLID_M**2
        # A small turn shows twice in the nine numbers of its matrix.
        rolled = (found.object_rotation - self.rotation.to(poses.wrist)).square().sum(dim=(1, 2)) / 2 / ROLLED_RAD**2
        return torch.where(self.held, torch.log1p(slid + rolled), 0)


def _in_hand(pose: Pose) -> Pose:
    """The same pose with that of the object about the wrist, in the axes of the hand."""
    hand_from_camera = pose.hand_rotation.transpose(-1, -2)
    centre = (hand_from_camera @ (pose.object_centre - pose.wrist)[..., None])[..., 0]
    return replace(pose, object_rotation=hand_from_camera @ pose.object_rotation, object_centre=centre)


def _with_object(hands: Pose, rotation: Float[Tensor, "n 3 3"], centre: Float[Tensor, "n 3"]) -> Pose:
    """The poses with the object where it lies in the hands: the inverse of `_in_hand`."""
    placed = hands.wrist + (hands.hand_rotation @ centre[..., None])[..., 0]
    return replace(hands, object_rotation=hands.hand_rotation @ rotation, object_centre=placed)


def carried(held: Pose, hand: Pose) -> Pose:
    """The pose of a hand with the object in it as in another pose."""
    lying = _in_hand(held)
    return _with_object(hand, lying.object_rotation, lying.object_centre)


def solid_of(model: ObjectModel) -> Solid:
    """An object's surface, to measure distances from."""
    return Solid(Surface(model.vertices.double().numpy(), model.faces.numpy()))


@torch.no_grad()
def distance_to_hand_m(pose: Pose, hand: HandModel, solid: Solid) -> float:
    """How far the nearest vertex of the hand of one pose is from the surface of the object."""
    vertices, _ = posed_hand(pose, hand)
    of_object = (vertices[0] - pose.object_centre) @ pose.object_rotation[0]
    return float(solid.distance(of_object.double().numpy()).min())
