"""The poses of a predictions file, from which a frame's may be copied."""

from dataclasses import dataclass

import numpy as np
import torch

from warpgrasp.errors import UserError
from warpgrasp.frame import Pose
from warpgrasp.hand import HandModel
from warpgrasp.predictions import Predictions, pose_of_predictions


@dataclass(frozen=True)
class PredictedPoses:
    """Predictions by frame number."""

    predictions: Predictions
    hand: HandModel

    def pose(self, number: int) -> Pose:
        """The pose of a frame, in float64. Raises `UserError` when it was not predicted or is of another hand model."""
        rows = np.nonzero(np.asarray(self.predictions.index) == number)[0]
        if not len(rows):
            raise UserError(f"expected a prediction of frame {number}, there is none in the file")
        return pose_of_predictions(self.predictions.rows(rows[:1]), self.hand).to(torch.float64)
