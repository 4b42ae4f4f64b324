"""Hands found in pictures by a detector that has seen photographs, and its joints adapted to ours."""

from warpgrasp.keypoints.adaptation import JointOffsets, fit_offsets, usual_offsets
from warpgrasp.keypoints.file import KeypointsFile, cached_keypoints, read_keypoints_file, write_keypoints
from warpgrasp.keypoints.hands import HandBox, HandKeypoints, KeypointDetector, Picture, hand_of_side
from warpgrasp.keypoints.mediapipe import DETECTORS, DetectorSettings, MediaPipeDetector
from warpgrasp.keypoints.programs import read_keypoints
from warpgrasp.keypoints.reprojection import OTHER_HAND, Detections, reprojection_loss

__all__ = [
    "DETECTORS",
    "OTHER_HAND",
    "Detections",
    "DetectorSettings",
    "HandBox",
    "HandKeypoints",
    "JointOffsets",
    "KeypointDetector",
    "KeypointsFile",
    "MediaPipeDetector",
    "Picture",
    "cached_keypoints",
    "fit_offsets",
    "hand_of_side",
    "read_keypoints",
    "read_keypoints_file",
    "reprojection_loss",
    "usual_offsets",
    "write_keypoints",
]
