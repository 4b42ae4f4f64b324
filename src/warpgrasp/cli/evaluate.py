"""`warpgrasp evaluate`."""

from dataclasses import asdict
from pathlib import Path

from warpgrasp.cli.console import Positional, console
from warpgrasp.cli.reading import AS_USUAL, DataChoice
from warpgrasp.errors import UserError


def evaluate(
    file: Positional,
    /,
    *,
    data: Path,
    out: Path | None = None,
    read: DataChoice = AS_USUAL,
    contact: bool = False,
    ho3d_official: bool = False,
    submission: Path | None = None,
    force: bool = False,
) -> None:
    """Score a predictions file against a data set's annotations.

    Args:
        file: What `predict` wrote.
        data: The data set.
        out: Also write the scores as JSON.
        read: How the data set is read.
        contact: Also measure penetration, shared volume and contact of predicted hand and object (slower).
        ho3d_official: Also compute the fourteen figures of HO-3D's own script, on its evaluation split.
        submission: Also write the zip file that HO-3D's challenge takes.
        force: Overwrite an existing submission.
    """
    from warpgrasp.data import SPLITS
    from warpgrasp.evaluation.assessment import assess
    from warpgrasp.evaluation.ho3d_official import official_scores
    from warpgrasp.evaluation.ho3d_submission import ChallengeHands, evaluation_names, write_submission
    from warpgrasp.evaluation.metrics import EvaluationError, score
    from warpgrasp.evaluation.tables import figure_table, official_table, score_table
    from warpgrasp.inference import read_predictions
    from warpgrasp.training.run import write_json

    if submission is not None and submission.exists() and not force:
        raise EvaluationError(f"expected to write a new file, but {submission} exists already; overwrite it by --force")
    predictions, header = read_predictions(file)
    dataset = read.in_splits_of(str(header.get("protocol", "")), data).open(data, as_shown=True)
    challenge = ho3d_official or submission is not None
    hands = ChallengeHands.predicted(predictions, evaluation_names(dataset)) if challenge else None
    names = dataset.names(header["split"]) if header.get("split") in SPLITS else predictions.names
    without_truth = [name for name in names if not dataset.is_annotated(name)]
    unscored = set(without_truth)
    names = [name for name in names if name not in unscored]
    if not names:
        raise UserError(f"expected frames with annotation among the predicted ones in {data}, found none to score")
    scores = score(predictions, dataset, names)
    assessment = assess(predictions, dataset, names, contact=contact)
    official = official_scores(hands, ChallengeHands.true(dataset)) if hands is not None and ho3d_official else None
    left_out = f", {len(without_truth)} without annotation left out" if without_truth else ""
    console.print(score_table(f"{len(names)} frames{left_out} · camera space, no alignment", scores.means))
    console.print(figure_table(assessment))
    if official is not None:
        console.print(official_table(official))
    if out is not None:
        content = {
            "frames": len(names),
            "frames_without_truth": len(without_truth),
            "predictions": header,
            "scores_alignment": "camera space, none",
            "scores": scores.means,
            **asdict(assessment),
            **({} if official is None else {"ho3d_official": asdict(official)}),
        }
        write_json(out, content)
    if hands is not None and submission is not None:
        write_submission(submission, hands)
        console.print(f"wrote {len(hands.joints)} frames to {submission}, for HO-3D's challenge")
