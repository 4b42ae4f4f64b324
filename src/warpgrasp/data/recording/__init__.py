"""A user's own recordings as a data set (docs/datasets.md#your-own-recording says which files to write)."""

from warpgrasp.data.recording.annotation_file import (
    AnnotationFile,
    HandJoints,
    HandParameters,
    Label,
    read_annotations,
    write_annotations,
)
from warpgrasp.data.recording.camera_file import Lens, read_lens, write_lens
from warpgrasp.data.recording.check import examine_recordings
from warpgrasp.data.recording.loader import Recordings
from warpgrasp.data.recording.object_file import DeclaredObject, Symmetry, read_object, write_object

__all__ = [
    "AnnotationFile",
    "DeclaredObject",
    "HandJoints",
    "HandParameters",
    "Label",
    "Lens",
    "Recordings",
    "Symmetry",
    "examine_recordings",
    "read_annotations",
    "read_lens",
    "read_object",
    "write_annotations",
    "write_lens",
    "write_object",
]
