"""The open benchmark: generated sequences in rooms, of many objects, in HO-3D version 3's layout."""

from warpgrasp.data.benchmark.action import KINDS, Action
from warpgrasp.data.benchmark.files import generate_benchmark, is_benchmark
from warpgrasp.data.benchmark.film import Take
from warpgrasp.data.benchmark.objects import NAMES, HeldObject, held_object
from warpgrasp.data.benchmark.view import make_scene

__all__ = [
    "KINDS",
    "NAMES",
    "Action",
    "HeldObject",
    "Take",
    "generate_benchmark",
    "held_object",
    "is_benchmark",
    "make_scene",
]
