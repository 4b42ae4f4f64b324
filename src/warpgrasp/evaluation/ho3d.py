"""HO-3D's challenge: the `pred.zip` that its server takes, and the fourteen figures of its script's `scores.txt`.

Definitions: docs/scoring.md. The script's F-scores compare every vertex with every other; here the nearest vertex comes
from a k-d tree, with equal results (`python -m benchmarks ho3d_scoring`).
"""

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.spatial import KDTree

from warpgrasp.data import Dataset
from warpgrasp.data.ho3d import CV_FROM_GL, Ho3d, read_number_list
from warpgrasp.errors import DataError
from warpgrasp.evaluation.accuracy import KeypointError, Thresholds, procrustes_aligned, scale_translation_aligned
from warpgrasp.evaluation.metrics import EvaluationError
from warpgrasp.files import replacing
from warpgrasp.frame import FrameName
from warpgrasp.hand import HO3D_JOINTS, JOINTS, permutation
from warpgrasp.predictions import Predictions
from warpgrasp.progress import track

GL_FROM_CV = np.array(CV_FROM_GL)  # its own inverse
WRIST, MIDDLE_BASE = HO3D_JOINTS.index("wrist"), HO3D_JOINTS.index("middle_1")
DISTANCES_M = Thresholds(0.05, 100)
F_THRESHOLDS_M = (0.005, 0.015)
CM_PER_M = 100.0
BATCH_FRAMES = 64


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
                f"{len(missing)}, the first {missing[0]}; run `warpgrasp predict --split evaluation`"
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
                raise EvaluationError(f"expected finite predictions, found NaN or infinity in {names[broken[0]]}")
            behind = np.flatnonzero((points[..., 2] > 0).all(axis=1))
            if len(behind):
                raise EvaluationError(
                    f"expected hands in front of the camera, found {len(behind)} behind it, the first in "
                    f"{names[behind[0]]}; HO-3D's script refuses such predictions"
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
    """Replace a zip file by one that holds `pred.json` = [joints, vertices].

    Nine digits are written, so that every float32 is read back exactly.
    """
    with replacing(path) as temporary:
        entry = zipfile.ZipInfo("pred.json", date_time=(1980, 1, 1, 0, 0, 0))
        entry.compress_type = zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(temporary, "w") as archive, archive.open(entry, "w", force_zip64=True) as file:
            for number, points in enumerate((hands.joints, hands.vertices)):
                file.write(b",[" if number else b"[[")
                file.writelines(_frames_as_json(points))
                file.write(b"]")
            file.write(b"]")


def _frames_as_json(frames: Float[np.ndarray, "n k 3"]) -> Iterator[bytes]:
    """The elements of a JSON list, one frame at a time: written as a whole, the list would not fit into memory."""
    pattern = "[" + ",".join(["[%.9g,%.9g,%.9g]"] * frames.shape[1]) + "]"
    for row, points in enumerate(frames):
        yield (("," if row else "") + pattern % tuple(points.ravel().tolist())).encode()


def _json_numbers(path: Path, shape: tuple[int, ...]) -> Float[np.ndarray, "n k 3"]:
    """All the digits of a JSON file: its float32 would be off by some nanometres."""
    if not path.exists():
        raise DataError(
            f"expected the truth of HO-3D's evaluation split in {path}, found no such file; it is published beside "
            f"the data set (docs/datasets.md)"
        )
    return read_number_list(path, shape)


@dataclass(frozen=True)
class OfficialScores:
    """The figures, named as in `scores.txt`: means in *centimetres*, areas and F-scores between 0 and 1.

    `al` stands for Procrustes alignment (with reflections), `scale_trans_al` for the length wrist to middle base.
    """

    xyz_mean3d: float
    xyz_auc3d: float
    xyz_procrustes_al_mean3d: float
    xyz_procrustes_al_auc3d: float
    xyz_scale_trans_al_mean3d: float
    xyz_scale_trans_al_auc3d: float
    mesh_mean3d: float
    mesh_auc3d: float
    mesh_al_mean3d: float
    mesh_al_auc3d: float
    f_score_5: float
    f_al_score_5: float
    f_score_15: float
    f_al_score_15: float

    def text(self) -> str:
        """The content of `scores.txt`."""
        return "".join(f"{name}: {value:f}\n" for name, value in asdict(self).items())

    @staticmethod
    def unit(name: str) -> str:
        """The unit of a figure."""
        return "cm" if name.endswith("mean3d") else "1"


def _errors() -> KeypointError:
    return KeypointError(DISTANCES_M)


@dataclass
class OfficialMetrics:
    """`update` with batches of frames, `compute` the fourteen figures."""

    joints: KeypointError = field(default_factory=_errors)
    joints_procrustes: KeypointError = field(default_factory=_errors)
    joints_scale_translation: KeypointError = field(default_factory=_errors)
    mesh: KeypointError = field(default_factory=_errors)
    mesh_procrustes: KeypointError = field(default_factory=_errors)
    f_scores: list[Sequence[float]] = field(default_factory=list)  # of each frame, at each threshold
    f_scores_procrustes: list[Sequence[float]] = field(default_factory=list)

    def update(self, predicted: ChallengeHands, true: ChallengeHands) -> None:
        """Add the frames of a batch. Raises `EvaluationError` when the hands are not of one kind or number."""
        shapes = [hands.vertices.shape for hands in (predicted, true)]
        if shapes[0] != shapes[1] or len(predicted.joints) != len(true.joints):
            raise EvaluationError(
                f"expected predicted vertices as in the truth, (frames, vertices, 3) = {shapes[1]}, found {shapes[0]}; "
                f"was another hand model used (--hand open|mano)?"
            )
        scaled = scale_translation_aligned(predicted.joints, true.joints, root=WRIST, tip=MIDDLE_BASE)
        vertices = procrustes_aligned(predicted.vertices, true.vertices)
        self.joints.update(_distances(predicted.joints, true.joints))
        self.joints_procrustes.update(_distances(procrustes_aligned(predicted.joints, true.joints), true.joints))
        self.joints_scale_translation.update(_distances(scaled, true.joints))
        self.mesh.update(_distances(predicted.vertices, true.vertices))
        self.mesh_procrustes.update(_distances(vertices, true.vertices))
        for row, surface in enumerate(true.vertices):
            tree = KDTree(surface, balanced_tree=False)
            self.f_scores.append(f_scores(predicted.vertices[row], surface, F_THRESHOLDS_M, tree))
            self.f_scores_procrustes.append(f_scores(vertices[row], surface, F_THRESHOLDS_M, tree))

    def compute(self) -> OfficialScores:
        """The figures of all frames seen. Raises `EvaluationError` when there are none."""
        parts = (self.joints, self.joints_procrustes, self.joints_scale_translation, self.mesh, self.mesh_procrustes)
        values = [value for part in parts for value in (CM_PER_M * part.mean(), part.compute())]
        raw, aligned = np.mean(self.f_scores, axis=0), np.mean(self.f_scores_procrustes, axis=0)
        values += [float(value) for pair in zip(raw, aligned, strict=True) for value in pair]
        names = [field.name for field in fields(OfficialScores)]
        return OfficialScores(**dict(zip(names, values, strict=True)))


def official_scores(predicted: ChallengeHands, true: ChallengeHands) -> OfficialScores:
    """The figures of all frames, with a progress bar."""
    if len(predicted.joints) != len(true.joints):
        raise EvaluationError(f"expected {len(true.joints)} predicted frames, found {len(predicted.joints)}")
    metrics = OfficialMetrics()
    for start in track(range(0, len(true.joints), BATCH_FRAMES), description="HO-3D's figures", transient=True):
        rows = slice(start, start + BATCH_FRAMES)
        metrics.update(
            ChallengeHands(predicted.joints[rows], predicted.vertices[rows]),
            ChallengeHands(true.joints[rows], true.vertices[rows]),
        )
    return metrics.compute()


def f_scores(
    predicted: Float[np.ndarray, "p 3"],
    true: Float[np.ndarray, "t 3"],
    thresholds: Sequence[float],
    true_tree: KDTree | None = None,
) -> list[float]:
    """The F-score at each threshold: the harmonic mean of precision and recall of the predicted points.

    A point counts when a point of the other set is nearer (<) than the threshold. Zero when both shares are zero.
    `true_tree` is the k-d tree of the true points, where the caller has it.
    """
    farthest = 1.001 * max(thresholds)  # distances beyond it change no score
    to_true, _ = (KDTree(true, balanced_tree=False) if true_tree is None else true_tree).query(
        predicted, distance_upper_bound=farthest
    )
    to_predicted, _ = KDTree(predicted, balanced_tree=False).query(true, distance_upper_bound=farthest)
    scores = []
    for threshold in thresholds:
        shares = (to_true < threshold).mean(), (to_predicted < threshold).mean()
        scores.append(float(2 * shares[0] * shares[1] / sum(shares)) if sum(shares) > 0 else 0.0)
    return scores


def _distances(predicted: Float[np.ndarray, "b k 3"], expected: Float[np.ndarray, "b k 3"]) -> Float[np.ndarray, "b k"]:
    return np.linalg.norm(predicted - expected, axis=-1)
