"""Writes the tiny data set of the tests: HO-3D version 3's layout, without the search for grasps."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from warpgrasp.data.dataset import Split
from warpgrasp.data.sample.files import Appearance, PosedSequence, paint, save_picture, write_layout
from warpgrasp.data.sample.grasp import OBJECT_NAMES
from warpgrasp.data.sample.sequence import FOCAL_PX, HEIGHT_PX, WIDTH_PX, GraspSequence
from warpgrasp.hand.model import HandModel
from warpgrasp.hand.templates import open_hand

TRAIN_FRAMES, EVALUATION_FRAMES = 8, 4
# The distances to one object take seconds to compute: the fast tests hold one of the sample's, the slow ones all.
HELD = [OBJECT_NAMES[0], *(pytest.param(name, marks=pytest.mark.slow) for name in OBJECT_NAMES[1:])]


@dataclass(frozen=True)
class Sample:
    """The tiny data set, and what it was written from."""

    root: Path
    sequences: dict[Split, dict[str, GraspSequence]]


def simple_sequence(object_name: str, frames: int, phase: float) -> GraspSequence:
    """A hand in its mean pose with an object beside it, turning and moving together before a still camera."""
    model = HandModel(open_hand())
    time = phase + np.arange(frames) / 8
    turn = Rotation.from_rotvec(np.stack([0.3 * np.sin(time), 0.4 * np.cos(time), 0.2 * time], axis=1))
    place = np.stack([0.03 * np.sin(2 * time), 0.02 * np.cos(time), 0.5 + 0.03 * np.sin(time)], axis=1)
    shape = np.linspace(-0.5, 0.5, 10)
    rest = model.template_vertices.numpy() + model.shape_directions.numpy() @ shape
    wrist = model.joint_regressor.numpy()[0] @ rest
    camera_from_object = np.tile(np.eye(4), (frames, 1, 1))
    upright = Rotation.from_rotvec([-1.4, 0.4, 0.3])
    camera_from_object[:, :3, :3] = (turn * upright).as_matrix()
    camera_from_object[:, :3, 3] = place + turn.apply([-0.05, 0.0, 0.0])
    return GraspSequence(
        object_name=object_name,
        hand_rotation=turn.as_rotvec(),
        hand_pose=np.tile(model.mean_pose.double().numpy(), (frames, 1)),
        hand_shape=shape,
        hand_translation=place + turn.apply([0.06, 0.0, -0.04]) - wrist,
        camera_from_object=camera_from_object,
        world_from_camera=np.tile(np.eye(4), (frames, 1, 1)),
        intrinsics=np.array([[FOCAL_PX, 0, (WIDTH_PX - 1) / 2], [0, FOCAL_PX, (HEIGHT_PX - 1) / 2], [0, 0, 1]]),
    )


def write_sample(root: Path) -> Sample:
    """Two training sequences of 8 frames and one evaluation sequence of 4."""
    sequences: dict[Split, dict[str, GraspSequence]] = {
        "train": {
            "A1": simple_sequence("006_mustard_bottle", TRAIN_FRAMES, 0.0),
            "B1": simple_sequence("003_cracker_box", TRAIN_FRAMES, 1.0),
        },
        "evaluation": {"E1": simple_sequence("006_mustard_bottle", EVALUATION_FRAMES, 2.0)},
    }
    model = HandModel(open_hand())
    every = sequences["train"] | sequences["evaluation"]
    posed = {name: PosedSequence.of(sequence, model) for name, sequence in every.items()}
    scenes = {name: Appearance.random(np.random.default_rng(number)) for number, name in enumerate(every)}

    def painter(split: Split, name: str, index: int, path: Path) -> None:
        save_picture(paint(every[name], posed[name], model, scenes[name], index), path)

    write_layout(root, sequences["train"], sequences["evaluation"], painter)
    return Sample(root, sequences)
