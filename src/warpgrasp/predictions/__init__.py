"""The predictions file: what was reconstructed in each frame, and the signs by which a bad frame is told."""

from warpgrasp.predictions.file import (
    Predictions,
    PredictionsError,
    open_predictions,
    read_predictions,
    write_npz,
    write_predictions,
)
from warpgrasp.predictions.objects import ObjectError, SeenObject, identified_object, known_hashes, seen_in_mirror
from warpgrasp.predictions.poses import pose_of_predictions, predictions_of_pose
from warpgrasp.predictions.postprocessing import (
    LONGEST_FRAMES,
    Finish,
    PosedHand,
    as_left_hands,
    left_posed_hand,
)
from warpgrasp.predictions.quality import Flag, finite, share_in_view, summary, times_of, with_quality
from warpgrasp.predictions.shards import Finishing, ShardWriter, Window

__all__ = [
    "LONGEST_FRAMES",
    "Finish",
    "Finishing",
    "Flag",
    "ObjectError",
    "PosedHand",
    "Predictions",
    "PredictionsError",
    "SeenObject",
    "ShardWriter",
    "Window",
    "as_left_hands",
    "finite",
    "identified_object",
    "known_hashes",
    "left_posed_hand",
    "open_predictions",
    "pose_of_predictions",
    "predictions_of_pose",
    "read_predictions",
    "seen_in_mirror",
    "share_in_view",
    "summary",
    "times_of",
    "with_quality",
    "write_npz",
    "write_predictions",
]
