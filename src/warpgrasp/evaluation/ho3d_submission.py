"""The hands of HO-3D's challenge: its files' axes and orders, and the `pred.zip` that its server takes."""

import json
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from warpgrasp.data import DataError, Dataset, Ho3d
from warpgrasp.data.fields import numbers
from warpgrasp.data.ho3d import CV_FROM_GL
from warpgrasp.evaluation.metrics import EvaluationError
from warpgrasp.frame import FrameName
from warpgrasp.hand import HO3D_JOINTS, JOINTS, permutation
from warpgrasp.inference import Predictions

GL_FROM_CV = np.array(CV_FROM_GL)  # its own inverse


@dataclass(frozen=True)
class ChallengeHands:
    """The hands of the evaluation split, frame by frame as in `evaluation.txt`.

    OpenGL camera axes (what is seen has z < 0), metres, float64; joints in the order of `HO3D_JOINTS`.
    """

    joints: Float[np.ndarray, "n 21 3"]
    vertices: Float[np.ndarray, "n v 3"]

    @staticmethod
    def predicted(predictions: Predictions, names: list[FrameName]) -> "ChallengeHands":
        """The predicted hands of the named frames.

        Raises `EvaluationError` when a frame was not predicted, is not finite, or lies behind the camera.
        """
        row_of = {name: row for row, name in enumerate(predictions.names)}
        missing = [name for name in names if name not in row_of]
        if missing:
            raise EvaluationError(
                f"expected a prediction of each of the {len(names)} frames of HO-3D's evaluation split, missing "
                f"{len(missing)}, the first {_shown(missing[0])}; run `warpgrasp predict --split evaluation`"
            )
        rows = [row_of[name] for name in names]
        joints = predictions.hand_joints[rows][:, permutation(HO3D_JOINTS, from_=JOINTS)] * GL_FROM_CV
        hands = ChallengeHands(joints, predictions.hand_vertices[rows] * GL_FROM_CV)
        hands._check(names)
        return hands

    def _check(self, names: list[FrameName]) -> None:
        """The challenge's script refuses a frame all of whose z are positive: it would lie behind the camera."""
        for points in (self.joints, self.vertices):
            broken = np.flatnonzero(~np.isfinite(points).all(axis=(1, 2)))
            if len(broken):
                raise EvaluationError(
                    f"expected finite predictions, found NaN or infinity in {_shown(names[broken[0]])}"
                )
            behind = np.flatnonzero((points[..., 2] > 0).all(axis=1))
            if len(behind):
                raise EvaluationError(
                    f"expected hands in front of the camera, found {len(behind)} behind it, the first in "
                    f"{_shown(names[behind[0]])}; HO-3D's script refuses such predictions"
                )

    @staticmethod
    def true(dataset: Dataset) -> "ChallengeHands":
        """The published truth of a data set: `evaluation_xyz.json` and `evaluation_verts.json`."""
        count, vertices = len(evaluation_names(dataset)), len(dataset.hand.template.vertices)
        return ChallengeHands(
            _json_numbers(dataset.root / "evaluation_xyz.json", (count, 21, 3)),
            _json_numbers(dataset.root / "evaluation_verts.json", (count, vertices, 3)),
        )


def evaluation_names(dataset: Dataset) -> list[FrameName]:
    """The frames of HO-3D's evaluation split, in its order. Raises `EvaluationError` for any other data or split."""
    if not isinstance(dataset, Ho3d) or dataset.protocol != "ho3d/official":
        raise EvaluationError(
            f"expected HO-3D's layout and its official splits, found a {type(dataset).__name__} with the splits "
            f"{dataset.protocol}; HO-3D's challenge is defined for its evaluation split alone"
        )
    return dataset.names("evaluation")


def write_submission(path: Path, hands: ChallengeHands) -> None:
    """Write `pred.json` = [joints, vertices] into a zip, under a temporary name that is then renamed.

    Nine digits are written, so that every float32 comes back as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        entry = zipfile.ZipInfo("pred.json", date_time=(1980, 1, 1, 0, 0, 0))
        entry.compress_type = zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(temporary, "w") as archive, archive.open(entry, "w", force_zip64=True) as file:
            for number, points in enumerate((hands.joints, hands.vertices)):
                file.write(b",[" if number else b"[[")
                file.writelines(_frames_as_json(points))
                file.write(b"]")
            file.write(b"]")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _frames_as_json(frames: Float[np.ndarray, "n k 3"]) -> Iterator[bytes]:
    """The elements of a JSON list, one frame at a time: written as a whole, the list would not fit into memory."""
    pattern = "[" + ",".join(["[%.9g,%.9g,%.9g]"] * frames.shape[1]) + "]"
    for row, points in enumerate(frames):
        yield (("," if row else "") + pattern % tuple(points.ravel().tolist())).encode()


def _json_numbers(path: Path, shape: tuple[int, ...]) -> Float[np.ndarray, "n k 3"]:
    """All the digits of a JSON file: its float32 would be off by some nanometres."""
    try:
        return numbers({"list": json.loads(path.read_text())}, "list", shape, path)
    except FileNotFoundError as error:
        raise DataError(
            f"expected the truth of HO-3D's evaluation split in {path}, found no such file; it is published beside "
            f"the data set (docs/datasets.md)"
        ) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"expected JSON in {path}: {error}") from error


def _shown(name: FrameName) -> str:
    return f"{name.sequence}/{name.index:04d}"
