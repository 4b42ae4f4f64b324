"""Predictions moved to the keypoints that are seen in their frames (`refinement/to_keypoints.py`)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from warpgrasp.geometry import Camera
from warpgrasp.hand import HandModel, Side
from warpgrasp.inference.looks import Look, distances_px
from warpgrasp.keypoints import Detections, usual_offsets
from warpgrasp.predictions import HandPosing, Predictions, coefficients_of_angles, finite, pose_of_predictions
from warpgrasp.refinement import to_keypoints
from warpgrasp.scene import posed_hand


@dataclass(frozen=True)
class KeypointRefinement:
    """Moves predictions to the keypoints that are seen in their frames."""

    hand: HandModel
    """The hand model of the predicted side."""
    pose_hand: HandPosing
    """How the network poses such a hand."""

    def refined(self, predictions: Predictions, looks: Mapping[int, Look], side: Side) -> Predictions:
        """The predictions with `refined_distance_px`, NaN where nothing was seen and all stays as it was.

        `hand_pose` gets all coefficients: what joints do beyond the network's few.
        """
        is_finite = finite(predictions)
        rows = [row for row, look in sorted(looks.items()) if look.presence and is_finite[row]]
        missing = len(self.hand.pose_components) - predictions.hand_pose.shape[1]
        arrays = dict(predictions.arrays)
        arrays["hand_pose"] = np.pad(predictions.hand_pose, ((0, 0), (0, missing)))
        if rows:
            for name, values in self._moved(predictions.rows(np.array(rows)), [looks[row] for row in rows], side):
                arrays[name] = arrays[name].copy()
                arrays[name][rows] = values.numpy()
        moved = Predictions(**arrays)
        distance_px = distances_px(moved, {row: looks[row] for row in rows}, side)
        return replace(moved, refined_distance_px=distance_px)

    def _moved(self, part: Predictions, looks: Sequence[Look], side: Side) -> Iterator[tuple[str, Tensor]]:
        """The fields of some predictions that change."""
        pictures = Camera(torch.stack([look.camera.intrinsics for look in looks]), 1, 1)  # projecting needs no size
        detections = Detections(
            torch.cat([look.detections.joints_px for look in looks]),
            torch.cat([look.detections.confidence for look in looks]),
        )
        pose = pose_of_predictions(part, self.hand)
        pose = to_keypoints(pose, self.hand, pictures, detections, usual_offsets(side))
        coefficients = coefficients_of_angles(pose.joint_angles, self.hand)
        # The network's skeleton says where in the hand its placement is.
        nowhere = torch.zeros_like(pose.wrist)
        with torch.no_grad():
            vertices, joints = self.pose_hand(pose.hand_rotation, nowhere, coefficients, pose.shape)
            place = (posed_hand(pose, self.hand)[0] - vertices).mean(dim=1)
        yield "hand_vertices", vertices + place[:, None]
        yield "hand_joints", joints + place[:, None]
        yield "hand_rotation", pose.hand_rotation
        yield "hand_translation", place
        yield "hand_pose", coefficients
        yield "object_rotation", pose.object_rotation
        yield "object_translation", pose.object_centre
