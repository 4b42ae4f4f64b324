"""Sequences of predictions written in other programs' formats, and data sets written as recordings."""

from warpgrasp.export.datasets import RecordingOptions, export_recording, write_dexycb_result
from warpgrasp.export.formats import (
    EXPORTS,
    ExportFormat,
    ExportOptions,
    ExportTargetError,
    check_targets,
    export_sequence,
)
from warpgrasp.export.other_hand import with_other_hand
from warpgrasp.export.sequence import PredictedFile, PredictedSequence, SequenceError
from warpgrasp.export.sources import SequenceSources
from warpgrasp.export.video import VideoWriter

__all__ = [
    "EXPORTS",
    "ExportFormat",
    "ExportOptions",
    "ExportTargetError",
    "PredictedFile",
    "PredictedSequence",
    "RecordingOptions",
    "SequenceError",
    "SequenceSources",
    "VideoWriter",
    "check_targets",
    "export_recording",
    "export_sequence",
    "with_other_hand",
    "write_dexycb_result",
]
