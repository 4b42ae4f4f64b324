"""The predictions file: what was reconstructed in each frame, and the signs by which a bad frame is told."""

from warpgrasp.predictions.file import (
    Predictions,
    PredictionsError,
    open_predictions,
    read_predictions,
    write_predictions,
)
from warpgrasp.predictions.objects import (
    MirrorCounterpart,
    ObjectError,
    identified_object,
    mesh_hashes,
    mirror_counterpart,
)
from warpgrasp.predictions.poses import coefficients_of_angles, pose_of_predictions, predictions_of_pose
from warpgrasp.predictions.postprocessing import (
    LONGEST_FRAMES,
    HandPosing,
    Postprocessing,
    Smoothing,
    as_left_hands,
    posing_left_hands,
)
from warpgrasp.predictions.quality import Flag, finite, refined_summary, share_in_view, summary
from warpgrasp.predictions.shards import ShardContext, ShardWriter

__all__ = [
    "LONGEST_FRAMES",
    "Flag",
    "HandPosing",
    "MirrorCounterpart",
    "ObjectError",
    "Postprocessing",
    "Predictions",
    "PredictionsError",
    "ShardContext",
    "ShardWriter",
    "Smoothing",
    "as_left_hands",
    "coefficients_of_angles",
    "finite",
    "identified_object",
    "mesh_hashes",
    "mirror_counterpart",
    "open_predictions",
    "pose_of_predictions",
    "posing_left_hands",
    "predictions_of_pose",
    "read_predictions",
    "refined_summary",
    "share_in_view",
    "summary",
    "write_predictions",
]
