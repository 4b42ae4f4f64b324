"""Writes files in the pickle layout of MANO's, with neither chumpy nor SciPy's old names installed."""

import io
import pickle
import struct
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy._core import multiarray
from scipy.sparse import csc_matrix

from warpgrasp.hand.model import HandTemplate


class Ch:
    """Stands for chumpy.ch.Ch: a wrapped array."""

    def __init__(self, x):
        self.x = x
        self._dirty_vars = set()


class Select:
    """Stands for chumpy.reordering.Select: some entries of an array, in another shape."""

    def __init__(self, a, idxs, preferred_shape):
        self.a, self.idxs, self.preferred_shape = a, idxs, preferred_shape
        self._dirty_vars = {"a", "idxs"}


class Sparse:
    """Stands for scipy.sparse's csc_matrix as SciPy's old versions stored it."""

    def __init__(self, matrix):
        self.data, self.indices, self.indptr = matrix.data, matrix.indices, matrix.indptr
        self._shape, self.maxprint = matrix.shape, 50


PYTHON_2_NAMES = {
    Ch: ("chumpy.ch", "Ch"),
    Select: ("chumpy.reordering", "Select"),
    Sparse: ("scipy.sparse.csc", "csc_matrix"),
    multiarray._reconstruct: ("numpy.core.multiarray", "_reconstruct"),
    multiarray.scalar: ("numpy.core.multiarray", "scalar"),
}
PYTHON_3_NAMES = {
    Ch: ("chumpy.ch", "Ch"),
    Select: ("chumpy.reordering", "Select"),
    Sparse: ("scipy.sparse._csc", "csc_matrix"),
}


class _Pickler(pickle._Pickler):  # the one written in Python, whose parts can be replaced
    names = PYTHON_3_NAMES

    def save_global(self, obj, name=None):
        if obj in self.names:
            module, name = self.names[obj]
            self.write(f"c{module}\n{name}\n".encode())
            self.memoize(obj)
        else:
            super().save_global(obj, name)


class _Python2Pickler(_Pickler):
    """Python 2 had one type for text and bytes."""

    names = PYTHON_2_NAMES
    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def _save_string(self, obj):
        raw = obj if isinstance(obj, bytes) else obj.encode("latin1")
        self.write(b"U" + bytes([len(raw)]) + raw if len(raw) < 256 else b"T" + struct.pack("<i", len(raw)) + raw)
        self.memoize(obj)

    dispatch[bytes] = dispatch[str] = _save_string


def dumps(content, *, python: int) -> bytes:
    stream = io.BytesIO()
    (_Python2Pickler if python == 2 else _Pickler)(stream, protocol=2).dump(content)
    return stream.getvalue()


def mano_content(template: HandTemplate, *, wrapped: bool = True) -> dict:
    """What a MANO file holds, twice as many shape components in `Select` as it shows; plain arrays unless `wrapped`."""
    count, _, shapes = template.shape_directions.shape
    more = np.random.default_rng(1).normal(size=(count, 3, 2 * shapes))
    more[..., :shapes] = template.shape_directions
    kept = np.arange(more.size).reshape(more.shape)[..., :shapes]
    shown = Select(Ch(more), kept.ravel(), kept.shape) if wrapped else more[..., :shapes]
    regressor = Sparse(csc_matrix(template.joint_regressor)) if wrapped else template.joint_regressor
    parents = np.array([2**32 - 1, *template.parents[1:]])
    return {
        "v_template": template.vertices.astype(np.float64),
        "f": template.faces.astype(np.uint32),
        "shapedirs": shown,
        "posedirs": np.zeros((count, 3, 135)) if template.pose_directions is None else template.pose_directions,
        "J": template.joint_regressor @ template.vertices,
        "J_regressor": regressor,
        "weights": template.skinning_weights.astype(np.float64),
        "kintree_table": np.stack([parents, np.arange(16)]),
        "hands_components": template.pose_components.astype(np.float64),
        "hands_mean": template.mean_pose.astype(np.float64),
        "hands_coeffs": np.zeros((4, 45)),
        "bs_style": "lbs",
        "bs_type": "lrotmin",
    }


def write(path: Path, content, *, python: int = 2) -> Path:
    path.write_bytes(dumps(content, python=python))
    return path
