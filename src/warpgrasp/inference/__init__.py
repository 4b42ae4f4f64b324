"""From pictures to a predictions file."""

from warpgrasp.inference.npz import write_npz
from warpgrasp.inference.predict import predict, predict_few, predictions_of, reconstruct
from warpgrasp.inference.predictions import (
    Predictions,
    PredictionsError,
    open_predictions,
    read_predictions,
    write_predictions,
)
from warpgrasp.inference.shards import ShardWriter

__all__ = [
    "Predictions",
    "PredictionsError",
    "ShardWriter",
    "open_predictions",
    "predict",
    "predict_few",
    "predictions_of",
    "read_predictions",
    "reconstruct",
    "write_npz",
    "write_predictions",
]
