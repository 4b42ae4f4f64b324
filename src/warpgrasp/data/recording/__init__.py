"""A user's own recordings as a data set (docs/datasets.md#your-own-recording says which files to write)."""

from warpgrasp.data.recording.annotations import (
    ANNOTATIONS_FILE,
    LARGEST_DISTANCE_M,
    LARGEST_FRAME,
    LARGEST_SHAPE,
    USES,
    AnnotationFile,
    HandJoints,
    HandParameters,
    Label,
    Use,
    read_annotations,
    write_annotations,
)
from warpgrasp.data.recording.board_solution import Coefficients
from warpgrasp.data.recording.camera import (
    CAMERA_FILE,
    LensMapping,
    check_lens,
    lens_of,
    read_lens,
    require_size,
    write_lens,
)
from warpgrasp.data.recording.chequerboard import BoardView, Calibration, board_pictures, calibrate, find_board
from warpgrasp.data.recording.clip import PICTURES_INTERVAL_S, Clip, open_clip, open_pictures
from warpgrasp.data.recording.dataset import Recordings
from warpgrasp.data.recording.evidence import ALIKE_SHARE, mirror_symmetry
from warpgrasp.data.recording.files import (
    MESH_ENDINGS,
    OBJECT_FILE,
    DeclaredObject,
    Recording,
    Symmetry,
    is_recording,
    models_in_any_units,
    read_object,
    write_object,
)
from warpgrasp.data.recording.focal import (
    centred_lens,
    focal_from_equivalent,
    focal_from_exif,
    focal_from_field_of_view,
)
from warpgrasp.data.recording.footage import FRAMES_FOLDER, VIDEO_STEM, open_footage, say_notices
from warpgrasp.data.recording.labels import annotation_of, check_labels, fitted_hand, label_of_pose, pose_of_label
from warpgrasp.data.recording.lens import Lens
from warpgrasp.data.recording.reel import Reel
from warpgrasp.data.recording.video import BT_601

__all__ = [
    "ALIKE_SHARE",
    "ANNOTATIONS_FILE",
    "BT_601",
    "CAMERA_FILE",
    "FRAMES_FOLDER",
    "LARGEST_DISTANCE_M",
    "LARGEST_FRAME",
    "LARGEST_SHAPE",
    "MESH_ENDINGS",
    "OBJECT_FILE",
    "PICTURES_INTERVAL_S",
    "USES",
    "VIDEO_STEM",
    "AnnotationFile",
    "BoardView",
    "Calibration",
    "Clip",
    "Coefficients",
    "DeclaredObject",
    "HandJoints",
    "HandParameters",
    "Label",
    "Lens",
    "LensMapping",
    "Recording",
    "Recordings",
    "Reel",
    "Symmetry",
    "Use",
    "annotation_of",
    "board_pictures",
    "calibrate",
    "centred_lens",
    "check_labels",
    "check_lens",
    "find_board",
    "fitted_hand",
    "focal_from_equivalent",
    "focal_from_exif",
    "focal_from_field_of_view",
    "is_recording",
    "label_of_pose",
    "lens_of",
    "mirror_symmetry",
    "models_in_any_units",
    "open_clip",
    "open_footage",
    "open_pictures",
    "pose_of_label",
    "read_annotations",
    "read_lens",
    "read_object",
    "require_size",
    "say_notices",
    "write_annotations",
    "write_lens",
    "write_object",
]
