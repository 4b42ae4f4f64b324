"""A sequence of predictions written in other programs' formats."""

from warpgrasp.export.formats import ExportError, Targets, appearing, write_targets
from warpgrasp.export.recording import Export, VideoWriter, export_recording
from warpgrasp.export.sequence import Given, PredictedFile, Take, TakeError
from warpgrasp.export.tables import BopNumbers

__all__ = [
    "BopNumbers",
    "Export",
    "ExportError",
    "Given",
    "PredictedFile",
    "Take",
    "TakeError",
    "Targets",
    "VideoWriter",
    "appearing",
    "export_recording",
    "write_targets",
]
