"""Hands fitted to joints (`fit_hand`), kept on disk: a sequence is fitted once, until its joints change."""

import hashlib
import os
import tokenize
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.data.manifest import cache_folder
from warpgrasp.hand import HandFit, HandModel, HandTemplate, fit_hand

FIT_VERSION = 1  # to be raised with every change of hand/fit.py that changes its results
FOLDER = ".warpgrasp/hand_fits"  # beside the data
PARAMETERS = ("rotation", "wrist", "pose", "shape")
# What NumPy raises of files that are broken, or whose headers lie.
BROKEN = (
    *(OSError, ValueError, KeyError, EOFError, NotImplementedError, MemoryError, RecursionError, SyntaxError),
    *(zipfile.BadZipFile, zlib.error, tokenize.TokenError),
)


def cached_fit(hand: HandModel, joints: Float[Tensor, "n 21 3"], *, root: Path) -> HandFit:
    """The hand fitted to a sequence's joints: out of the cache of the data in `root`, or computed and put there.

    The cache is `root/.warpgrasp/hand_fits`, or `hand_fits` in the user's own (`cache_folder`) where `root` is not
    writable; with neither, nothing is kept. A file's name is the hash of everything that decides its content; a broken
    file is written anew. Raises `FitError` as `fit_hand` does.
    """
    name = f"{_key(hand.template, joints)}.npz"
    folders = [root / FOLDER, cache_folder() / "hand_fits"]
    for folder in folders:
        with suppress(*BROKEN):
            return _read(folder / name, hand, joints)
    fit = fit_hand(hand, joints)
    for folder in folders:
        with suppress(OSError):
            _write(folder / name, fit)
            break
    return fit


def _key(template: HandTemplate, joints: Float[Tensor, "n 21 3"]) -> str:
    digest = hashlib.sha256(f"{FIT_VERSION} {template.fingertip_vertices} {template.parents}".encode())
    decisive = (
        template.vertices,
        template.shape_directions,
        template.pose_directions,
        template.joint_regressor,
        template.skinning_weights,
        template.pose_components,
        template.mean_pose,
        joints.detach().cpu().numpy(),
    )
    for array in decisive:
        if array is not None:
            digest.update(f"{array.shape}".encode() + np.ascontiguousarray(array, dtype=np.float64).tobytes())
    return digest.hexdigest()[:32]


def _read(path: Path, hand: HandModel, joints: Float[Tensor, "n 21 3"]) -> HandFit:
    count = len(joints)
    shapes = ((count, 3), (count, 3), (count, 45), (hand.shape_count,))
    with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        arrays = [stored[name] for name in PARAMETERS]
    for array, shape in zip(arrays, shapes, strict=True):
        if array.shape != shape or array.dtype != np.float32 or not np.isfinite(array).all():
            raise ValueError(f"{path} holds another fit")
    rotation, wrist, pose, shape = (torch.from_numpy(array).to(hand.mean_pose) for array in arrays)
    return HandFit.of(hand, joints, rotation=rotation, wrist=wrist, pose=pose, shape=shape)


def _write(path: Path, fit: HandFit) -> None:
    """Under a temporary name, then renamed: whatever happens, `path` holds a whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    rotation, wrist, pose, shape = (
        part.float().numpy() for part in (fit.rotation, fit.joints[:, 0], fit.pose, fit.shape)
    )
    try:
        with temporary.open("wb") as file:
            np.savez(file, rotation=rotation, wrist=wrist, pose=pose, shape=shape)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
