"""From pictures to a predictions file."""

from warpgrasp.inference.predict import predict, predictions_of, reconstruct
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
    "predictions_of",
    "read_predictions",
    "reconstruct",
    "write_npz",
    "write_predictions",
]
