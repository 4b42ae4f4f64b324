"""The joints of a recording's labels as its own pictures show them: where each lies, and whether it can be seen."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float

from warpgrasp.data.recording.files import Recording
from warpgrasp.data.recording.labels import annotation_of
from warpgrasp.hand import HandModel
from warpgrasp.render import rasterize
from warpgrasp.scene import Scene

# A joint lies inside the hand. It counts as hidden when the surface at its pixel is nearer to the camera by more than a
# hand is thick from its joints to its skin: then another finger, the palm or the object is before it.
SKIN_M = 0.03
JointState = Literal["visible", "hidden", "outside"]
VISIBLE: JointState = "visible"
HIDDEN: JointState = "hidden"
OUTSIDE: JointState = "outside"


@dataclass(frozen=True)
class ProjectedHand:
    """The hand of one label in the recording's own pictures, joints in the order of `JOINTS`."""

    frame: int
    pixels: Float[np.ndarray, "21 2"]  # as the lens shows them; (0, 0) is the centre of the top-left pixel
    states: tuple[JointState, ...]


def projected_hands(recording: Recording, hand: HandModel) -> list[ProjectedHand]:
    """The hands of all labels, by ascending frame; `hand` is the model of the recording's own hand.

    Raises `DataError` for a label that no camera could see, or of another hand model.
    """
    return [_projected(recording, frame, hand) for frame in sorted(recording.labels)]


def _projected(recording: Recording, frame: int, hand: HandModel) -> ProjectedHand:
    annotation, camera = annotation_of(recording, recording.labels[frame], hand), recording.lens.camera
    joints = annotation.hand_joints
    straight = camera.project(joints).double().numpy()
    bent = recording.lens.bent_px(straight)
    size = np.array([camera.width, camera.height])
    # Where the pinhole sees beyond its picture, nothing is drawn to say what hides the joint.
    inside = (np.isfinite(bent) & (bent >= -0.5) & (bent <= size - 0.5)).all(axis=1) & (joints[:, 2] > 0).numpy()
    depth_m = rasterize(Scene.annotated(hand, annotation, recording.object.model).mesh, camera.batched).depth[0]
    u, v = (torch.from_numpy(straight).nan_to_num(0).round().long().clamp_min(0)[:, axis] for axis in (0, 1))
    nearest_m = depth_m[v.clamp_max(camera.height - 1), u.clamp_max(camera.width - 1)]
    hidden = (nearest_m < joints[:, 2] - SKIN_M).numpy()
    states: list[JointState] = [
        OUTSIDE if not there else HIDDEN if behind else VISIBLE for there, behind in zip(inside, hidden, strict=True)
    ]
    return ProjectedHand(frame, bent, tuple(states))
