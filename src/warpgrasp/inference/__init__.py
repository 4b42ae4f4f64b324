"""From pictures to a predictions file."""

from warpgrasp.inference.predict import predict, predict_few, predictions_of, reconstruct
from warpgrasp.inference.predictions import (
    Predictions,
    PredictionsError,
    ShardWriter,
    read_predictions,
    write_npz,
    write_predictions,
)

__all__ = [
    "Predictions",
    "PredictionsError",
    "ShardWriter",
    "predict",
    "predict_few",
    "predictions_of",
    "read_predictions",
    "reconstruct",
    "write_npz",
    "write_predictions",
]
