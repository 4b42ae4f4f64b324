"""The sample data: generated sequences, and the shipped ones, in HO-3D version 3's layout."""

from warpgrasp.data.sample.files import generate, shipped_if_named, unpack_shipped, write_layout
from warpgrasp.data.sample.grasp import (
    DEEPEST_M,
    OBJECT_NAMES,
    THUMB,
    Grip,
    Gripper,
    closed,
    contact,
    object_distance,
    object_surface,
    open_gripper,
    seated,
)
from warpgrasp.data.sample.sequence import (
    TOUCHING_FINGERS,
    GraspSequence,
    exact_contact,
    make_sequence,
    surface_motion_px,
)

__all__ = [
    "DEEPEST_M",
    "OBJECT_NAMES",
    "THUMB",
    "TOUCHING_FINGERS",
    "GraspSequence",
    "Grip",
    "Gripper",
    "closed",
    "contact",
    "exact_contact",
    "generate",
    "make_sequence",
    "object_distance",
    "object_surface",
    "open_gripper",
    "seated",
    "shipped_if_named",
    "surface_motion_px",
    "unpack_shipped",
    "write_layout",
]
