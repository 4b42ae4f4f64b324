"""Hands found in pictures by a detector that has seen photographs, and its joints adapted to ours."""

from warpgrasp.keypoints.hands import HandBox, HandKeypoints, KeypointDetector, hand_of_side
from warpgrasp.keypoints.mediapipe import DETECTORS, DetectorSettings, MediaPipeDetector

__all__ = [
    "DETECTORS",
    "DetectorSettings",
    "HandBox",
    "HandKeypoints",
    "KeypointDetector",
    "MediaPipeDetector",
    "hand_of_side",
]
