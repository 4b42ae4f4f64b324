"""HO-3D's F-scores by k-d trees against every vertex with every other, at equal results: 778 vertices, one thread.

Both run in turns in one process, so that a busy machine slows both; the median of the turns counts. Then all fourteen
figures, and what the 20 137 evaluation frames of version 3 would take.
"""

import platform
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from warpgrasp.evaluation.ho3d_official import F_THRESHOLDS_M, f_scores, official_scores
from warpgrasp.evaluation.ho3d_submission import ChallengeHands
from warpgrasp.hand import HandModel, open_hand

FRAMES, TURNS, V3_FRAMES = 24, 7, 20_137


def hands(generator: torch.Generator, seen: ChallengeHands | None = None) -> ChallengeHands:
    """Hands in random poses at 0.5 m; or what was `seen`, some millimetres and up to 3 cm off."""
    if seen is not None:
        offset = 0.01 * torch.randn(FRAMES, 1, 3, generator=generator).double().numpy()
        noise = 0.003 * torch.randn(*seen.vertices.shape, generator=generator).double().numpy()
        return ChallengeHands(seen.joints + offset, seen.vertices + offset + noise)
    with torch.no_grad():
        posed = HandModel(open_hand())(
            torch.randn(FRAMES, 3, generator=generator),
            0.3 * torch.randn(FRAMES, 45, generator=generator),
            torch.randn(FRAMES, 10, generator=generator),
        )
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


def timed(run: Callable[[], list[list[float]]]) -> tuple[float, list[list[float]]]:
    start = time.perf_counter()
    result = run()
    return 1e3 * (time.perf_counter() - start) / FRAMES, result


def main() -> None:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    true = hands(generator)
    predicted = hands(generator, true)
    pairs = list(zip(predicted.vertices, true.vertices, strict=True))
    print(f"{platform.processor() or platform.machine()}, NumPy {np.__version__}, {true.vertices.shape[1]} vertices")
    trees, tables = [], []
    for _ in range(TURNS):
        tree, by_tree = timed(lambda: [f_scores(a, b, F_THRESHOLDS_M) for a, b in pairs])
        table, by_table = timed(lambda: [broadcast_f_scores(a, b) for a, b in pairs])
        assert by_tree == by_table, "expected equal F-scores"
        trees.append(tree)
        tables.append(table)
    tree, table = statistics.median(trees), statistics.median(tables)
    mean = np.mean(by_tree, axis=0)
    print(f"equal F-scores in all {FRAMES} frames (means {mean[0]:.3f} at 5 mm, {mean[1]:.3f} at 15 mm)")
    print(f"k-d trees: {tree:.2f} ms per frame   broadcasting: {table:.1f} ms per frame   ratio: {table / tree:.1f}")
    start = time.perf_counter()
    official_scores(predicted, true)
    frame = (time.perf_counter() - start) / FRAMES
    print(f"all fourteen figures: {1e3 * frame:.2f} ms per frame, {frame * V3_FRAMES:.0f} s for {V3_FRAMES} frames")


if __name__ == "__main__":
    main()
