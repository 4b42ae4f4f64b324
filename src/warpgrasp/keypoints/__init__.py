"""Hands found in pictures by a detector that has seen photographs, and its joints adapted to ours."""

from warpgrasp.keypoints.adaptation import (
    JointOffsets,
    fit_offsets,
    hand_from_keypoints,
    joint_misses_m,
    no_offsets,
    reprojection_loss,
    usual_offsets,
)
from warpgrasp.keypoints.file import KeypointsFile, cached_keypoints, read_keypoints_file, write_keypoints
from warpgrasp.keypoints.hands import (
    OTHER_HAND,
    SURE_SCORE,
    FoundHand,
    HandBox,
    HandKeypoints,
    KeypointDetector,
    Picture,
    detections_of,
    find_hand,
    hand_of_side,
)
from warpgrasp.keypoints.mediapipe import DETECTORS, DetectorSettings, MediaPipeDetector
from warpgrasp.keypoints.programs import read_keypoints

__all__ = [
    "DETECTORS",
    "OTHER_HAND",
    "SURE_SCORE",
    "DetectorSettings",
    "FoundHand",
    "HandBox",
    "HandKeypoints",
    "JointOffsets",
    "KeypointDetector",
    "KeypointsFile",
    "MediaPipeDetector",
    "Picture",
    "cached_keypoints",
    "detections_of",
    "find_hand",
    "fit_offsets",
    "hand_from_keypoints",
    "hand_of_side",
    "joint_misses_m",
    "no_offsets",
    "read_keypoints",
    "read_keypoints_file",
    "reprojection_loss",
    "usual_offsets",
    "write_keypoints",
]
