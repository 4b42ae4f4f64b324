"""`warpgrasp evaluate`: scores of a predictions file, as tables of the terminal and as JSON."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from warpgrasp.cli.options import AS_USUAL, DataChoice, Positional, console
from warpgrasp.errors import UserError
from warpgrasp.files import write_json

if TYPE_CHECKING:  # too heavy for `--help`
    from warpgrasp.evaluation import Assessment, OfficialScores


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
    from warpgrasp.evaluation import (
        ChallengeHands,
        EvaluationError,
        assess,
        evaluation_names,
        official_scores,
        score,
        write_submission,
    )
    from warpgrasp.predictions import read_predictions

    if submission is not None and submission.exists() and not force:
        raise EvaluationError(f"expected to write a new file, but {submission} exists already; overwrite it by --force")
    predictions, header = read_predictions(file)
    dataset = read.in_splits_of(str(header.get("protocol", "")), data).open(data, as_shown=True)
    challenge = ho3d_official or submission is not None
    hands = ChallengeHands.predicted(predictions, evaluation_names(dataset)) if challenge else None
    names = dataset.names(header["split"]) if header.get("split") in SPLITS else predictions.names
    predicted_count = len(names)
    names = [name for name in names if dataset.is_annotated(name)]
    without_truth = predicted_count - len(names)
    if not names:
        raise UserError(f"expected frames with annotation among the predicted ones in {data}, found none to score")
    scores = score(predictions, dataset, names)
    assessment = assess(predictions, dataset, names, contact=contact)
    official = official_scores(hands, ChallengeHands.true(dataset)) if hands is not None and ho3d_official else None
    left_out = f", {without_truth} without annotation left out" if without_truth else ""
    console.print(score_table(f"{len(names)} frames{left_out} · camera space, no alignment", scores.means))
    console.print(figure_table(assessment))
    if official is not None:
        console.print(official_table(official))
    if out is not None:
        content = {
            "frames": len(names),
            "frames_without_truth": without_truth,
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


def score_table(title: str, means: Mapping[str, float]) -> Table:
    """The paper's mean errors, as printed."""
    table = Table(title=title, title_justify="left")
    table.add_column("mean error")
    table.add_column("value", justify="right")
    for name, value in means.items():
        table.add_row(name.replace("_", " "), f"{value:.2f}")
    return table


def figure_table(assessment: "Assessment") -> Table:
    """The further figures, as printed; a frame that is left out is counted beside the figure."""
    caption = f"not closed: {', '.join(assessment.open_objects)}" if assessment.open_objects else None
    table = Table(title="Further measures · alignment and unit in the name", title_justify="left", caption=caption)
    table.add_column("measure")
    table.add_column("value", justify="right")
    table.add_column("frames", justify="right")
    for figure in assessment.figures:
        value = "–" if figure.value is None else f"{figure.value:.3f}"
        left_out = f" ({figure.left_out} left out)" if figure.left_out else ""
        table.add_row(figure.name.replace("_", " "), value, f"{figure.frames}{left_out}")
    return table


def official_table(official: "OfficialScores") -> Table:
    """HO-3D's figures under their own names, as printed."""
    table = Table(title="HO-3D's official figures", title_justify="left")
    table.add_column("scores.txt")
    table.add_column("value", justify="right")
    table.add_column("unit")
    for name, value in asdict(official).items():
        table.add_row(name, f"{value:.6f}", official.unit(name))
    return table
