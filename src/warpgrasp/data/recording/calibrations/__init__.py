"""Cameras as other programs write them, read into our conventions."""

from warpgrasp.data.recording.calibrations.calibrated import CalibratedCamera
from warpgrasp.data.recording.calibrations.reading import FORMATS, chosen_camera, read_cameras

__all__ = ["FORMATS", "CalibratedCamera", "chosen_camera", "read_cameras"]
