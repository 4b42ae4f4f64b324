"""Hands found in pictures by a detector that has seen photographs, and its joints adapted to ours."""

from warpgrasp.keypoints.adaptation import JointOffsets, fit_offsets
from warpgrasp.keypoints.file import KeypointsFile, cached_keypoints, read_keypoints_file, write_keypoints
from warpgrasp.keypoints.hands import HandBox, HandKeypoints, KeypointDetector, hand_of_side
from warpgrasp.keypoints.mediapipe import DETECTORS, DetectorSettings, MediaPipeDetector
from warpgrasp.keypoints.programs import read_keypoints

__all__ = [
    "DETECTORS",
    "DetectorSettings",
    "HandBox",
    "HandKeypoints",
    "JointOffsets",
    "KeypointDetector",
    "KeypointsFile",
    "MediaPipeDetector",
    "cached_keypoints",
    "fit_offsets",
    "hand_of_side",
    "read_keypoints",
    "read_keypoints_file",
    "write_keypoints",
]
