"""Poses refined until the pictures agree with them: one frame, or all frames of a recording from a few labels."""

from warpgrasp.refinement.both_hands import BothHands
from warpgrasp.refinement.densify import PREDICTIONS, Densified, densify, is_finished, is_unfinished
from warpgrasp.refinement.keypoint_fit import to_keypoints
from warpgrasp.refinement.labels import (
    carried,
    distance_to_hand_m,
    labelled_poses,
    solid_of,
)
from warpgrasp.refinement.mask_margins import margins_by_labels, without_margins
from warpgrasp.refinement.one_frame import ONE_FRAME, GivenMask, RefinedFrame, refine_frame
from warpgrasp.refinement.outlines import Edges, resized_labels
from warpgrasp.refinement.quality import QUALITY, Agreement, Criterion, LabelledPictures, agreement, read_quality
from warpgrasp.refinement.refine import ALL_FRAMES, Descent, Stage, refine
from warpgrasp.refinement.seen_hand import RecordedHands, RecordingPictures, detected_hands, stated_hands
from warpgrasp.refinement.suggest import (
    ScannedVideo,
    scanned_positions,
    scanned_video,
    suggested_frames,
    suggested_position,
)

__all__ = [
    "ALL_FRAMES",
    "ONE_FRAME",
    "PREDICTIONS",
    "QUALITY",
    "Agreement",
    "BothHands",
    "Criterion",
    "Densified",
    "Descent",
    "Edges",
    "GivenMask",
    "LabelledPictures",
    "RecordedHands",
    "RecordingPictures",
    "RefinedFrame",
    "ScannedVideo",
    "Stage",
    "agreement",
    "carried",
    "densify",
    "detected_hands",
    "distance_to_hand_m",
    "is_finished",
    "is_unfinished",
    "labelled_poses",
    "margins_by_labels",
    "read_quality",
    "refine",
    "refine_frame",
    "resized_labels",
    "scanned_positions",
    "scanned_video",
    "solid_of",
    "stated_hands",
    "suggested_frames",
    "suggested_position",
    "to_keypoints",
    "without_margins",
]
