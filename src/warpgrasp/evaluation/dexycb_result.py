"""Writes hand predictions as DexYCB's own evaluation reads them."""

import os
from pathlib import Path

import numpy as np

from warpgrasp.data import DexYcb, Split
from warpgrasp.data.mirror import MIRROR
from warpgrasp.evaluation.metrics import EvaluationError
from warpgrasp.inference import Predictions


def write_dexycb_result(path: Path, predictions: Predictions, dataset: DexYcb, split: Split) -> int:
    """Write a line `image_id,x,y,z,…` for each frame of a split and return how many: 21 joints in mm, camera space.

    Ids count the split's frames of both hands in the official order. The joints of a left hand, which was predicted in
    the mirror, are mirrored back. Raises `EvaluationError` when a frame of the split was not predicted, or the data set
    was opened without left or right hands: the official evaluation wants all.
    """
    if dataset.sides.choice != "both":
        raise EvaluationError(
            f"expected both hands for DexYCB's result file, got {dataset.protocol}; predict with --side both"
        )
    rows = {name: row for row, name in enumerate(predictions.names)}
    ids = dataset.image_ids(split)
    missing = [name for name in ids if name not in rows]
    if missing:
        raise EvaluationError(
            f"expected a prediction of each of {len(ids)} frames of {split}, missing {len(missing)}, the first "
            f"{missing[0].sequence}/{missing[0].index:06d}"
        )
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w") as file:
            for name, number in ids.items():
                flip = np.array(MIRROR) if dataset.is_mirrored(name) else 1.0
                joints_mm = 1000.0 * predictions.hand_joints[rows[name]].astype(np.float64) * flip
                file.write(f"{number},{','.join(f'{value:.4f}' for value in joints_mm.ravel())}\n")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return len(ids)
