"""Fingers by three angles each, in which a person who poses a hand thinks.

A finger bends at its knuckle, curls at the two joints after it, and spreads at the knuckle. The angles are coordinates
of the joints' axis-angle vectors along fixed axes, so that setting one keeps everything else of a pose as it is.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from warpgrasp.hand.model import HandTemplate
from warpgrasp.hand.skeleton import FINGERS, MANO_JOINTS

# A model's first pose components are bending: they tell the axis of a hinge better than the rest pose's geometry does,
# above all the thumb's. The last ones may be noise of unit size (MANO's are).
LEADING_COMPONENTS = 10


@dataclass(frozen=True)
class FingerAngles:
    """Radians, finger by finger (order: `FINGERS`); 0 is the model's zero pose, positive closes or moves apart."""

    knuckle: Float[np.ndarray, " 5"]  # bending of the base joint
    curl: Float[np.ndarray, " 5"]  # mean bending of the two joints after it
    spread: Float[np.ndarray, " 5"]  # sideways at the base joint, away from the middle finger


@dataclass(frozen=True)
class FingerAxes:
    """The axes about which a hand model's fingers bend and spread, in its rest pose."""

    bend: Float[np.ndarray, "5 3 3"]  # of each finger's three joints, base to tip
    spread: Float[np.ndarray, "5 3"]  # of the base joints

    @staticmethod
    def of(template: HandTemplate) -> "FingerAxes":
        """The axes of a hand model, by its pose components and its rest pose."""
        joints = np.asarray(template.joint_regressor, dtype=np.float64) @ template.vertices
        leading = np.asarray(template.pose_components, dtype=np.float64)[:LEADING_COMPONENTS].reshape(-1, 15, 3)
        mean = np.asarray(template.mean_pose, dtype=np.float64).reshape(15, 3)
        place = {name: joints[MANO_JOINTS.index(name)] for name in MANO_JOINTS}
        bend, spread = np.empty((5, 3, 3)), np.empty((5, 3))
        for number, finger in enumerate(FINGERS):
            for joint in (1, 2):
                index = _rows(finger)[joint]
                _, _, axes = np.linalg.svd(leading[:, index])
                bend[number, joint] = axes[0] * (1 if axes[0] @ mean[index] >= 0 else -1)  # the mean hand is curled
            along = place[f"{finger}_2"] - place[f"{finger}_1"]
            along /= np.linalg.norm(along)
            hinge = bend[number, 1] - (bend[number, 1] @ along) * along
            bend[number, 0] = hinge / np.linalg.norm(hinge)
            sideways = np.cross(along, bend[number, 0])
            # The middle finger spreads in the direction of the index finger.
            start = place["index_1"] if finger == "middle" else place[f"{finger}_1"]
            apart = np.cross(sideways, along) @ (start - place["middle_1"])
            spread[number] = sideways * (1 if apart >= 0 else -1)
        return FingerAxes(bend, spread)

    def angles(self, pose: Float[np.ndarray, " 45"]) -> FingerAngles:
        """The fingers' angles in a pose."""
        vectors = pose.reshape(15, 3)[[_rows(finger) for finger in FINGERS]]
        bends = (vectors * self.bend).sum(axis=-1)
        return FingerAngles(bends[:, 0], bends[:, 1:].mean(axis=1), (vectors[:, 0] * self.spread).sum(axis=-1))

    def with_angles(self, pose: Float[np.ndarray, " 45"], wanted: FingerAngles) -> Float[np.ndarray, " 45"]:
        """The pose whose fingers have these angles and which is otherwise the given one."""
        now = self.angles(pose)
        turned = pose.reshape(15, 3).copy()
        for number, finger in enumerate(FINGERS):
            base, second, third = _rows(finger)
            turned[base] += (wanted.knuckle - now.knuckle)[number] * self.bend[number, 0]
            turned[base] += (wanted.spread - now.spread)[number] * self.spread[number]
            for joint, row in ((1, second), (2, third)):
                turned[row] += (wanted.curl - now.curl)[number] * self.bend[number, joint]
        return turned.reshape(45)


def _rows(finger: str) -> list[int]:
    """The joints of a finger among the 15 of a pose, base to tip."""
    return [MANO_JOINTS.index(f"{finger}_{part}") - 1 for part in "123"]
