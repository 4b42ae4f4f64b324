"""HO-3D's F-scores by k-d trees against every vertex with every other, at equal results; then all fourteen figures."""

from collections.abc import Iterator

import numpy as np
import torch

from benchmarks.measure import Case, Work
from benchmarks.scale import Scale
from benchmarks.scenes import posed_hands
from warpgrasp.evaluation import F_THRESHOLDS_M, ChallengeHands, f_scores, official_scores


def cases(scale: Scale) -> Iterator[Case]:
    frames = scale.scored_frames
    generator = torch.Generator().manual_seed(0)
    true = hands(frames, generator)
    predicted = hands(frames, generator, true)
    pairs = list(zip(predicted.vertices, true.vertices, strict=True))
    by_tree = [f_scores(a, b, F_THRESHOLDS_M) for a, b in pairs]
    if by_tree != [broadcast_f_scores(a, b) for a, b in pairs]:
        raise ValueError("expected equal F-scores from trees and from tables of distances")
    size = f"{true.vertices.shape[1]} vertices"
    read = Work(bytes=predicted.vertices.nbytes + true.vertices.nbytes)
    runs = {
        "ours": lambda: [f_scores(a, b, F_THRESHOLDS_M) for a, b in pairs],
        "every distance": lambda: [broadcast_f_scores(a, b) for a, b in pairs],
    }
    yield Case("HO-3D's F-scores", size, "frame", frames, runs, read, f"equal scores in all {frames} frames")
    yield Case(
        "all of HO-3D's figures", size, "frame", frames, {"ours": lambda: official_scores(predicted, true)}, read
    )


def hands(frames: int, generator: torch.Generator, seen: ChallengeHands | None = None) -> ChallengeHands:
    """Hands in random poses at 0.5 m; or what was `seen`, some millimetres and up to 3 cm off."""
    if seen is not None:
        offset = 0.01 * torch.randn(frames, 1, 3, generator=generator).double().numpy()
        noise = 0.003 * torch.randn(*seen.vertices.shape, generator=generator).double().numpy()
        return ChallengeHands(seen.joints + offset, seen.vertices + offset + noise)
    _, posed = posed_hands(frames, generator)
    away = np.array([0.0, 0.0, -0.5])
    return ChallengeHands(posed.joints.double().numpy() + away, posed.vertices.double().numpy() + away)


def broadcast_f_scores(predicted: np.ndarray, true: np.ndarray) -> list[float]:
    """As the script computes them, but both thresholds from one table of distances."""
    apart = np.sqrt(((predicted[:, None] - true[None]) ** 2).sum(axis=-1))
    scores = []
    for threshold in F_THRESHOLDS_M:
        a, b = (apart.min(axis=1) < threshold).mean(), (apart.min(axis=0) < threshold).mean()
        scores.append(float(2 * a * b / (a + b)) if a + b > 0 else 0.0)
    return scores
