"""Metrics and official scores (paper Sec. 4.2-4.3): numbers only."""

from warpgrasp.evaluation.assessment import MEASURES, Assessment, Figure, Measure, assess
from warpgrasp.evaluation.ho3d import (
    F_THRESHOLDS_M,
    ChallengeHands,
    OfficialScores,
    evaluation_names,
    f_scores,
    official_scores,
    write_submission,
)
from warpgrasp.evaluation.metrics import (
    METRICS,
    EvaluationError,
    Scores,
    SurfaceMotion,
    evaluate,
    measure_motion,
    score,
)

__all__ = [
    "F_THRESHOLDS_M",
    "MEASURES",
    "METRICS",
    "Assessment",
    "ChallengeHands",
    "EvaluationError",
    "Figure",
    "Measure",
    "OfficialScores",
    "Scores",
    "SurfaceMotion",
    "assess",
    "evaluate",
    "evaluation_names",
    "f_scores",
    "measure_motion",
    "official_scores",
    "score",
    "write_submission",
]
