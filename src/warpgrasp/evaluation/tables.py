"""Scores as tables of the terminal."""

from collections.abc import Mapping
from dataclasses import asdict

from rich.table import Table

from warpgrasp.evaluation.assessment import Assessment
from warpgrasp.evaluation.ho3d_official import OfficialScores


def score_table(title: str, means: Mapping[str, float]) -> Table:
    """The paper's mean errors, as printed."""
    table = Table(title=title, title_justify="left")
    table.add_column("mean error")
    table.add_column("value", justify="right")
    for name, value in means.items():
        table.add_row(name.replace("_", " "), f"{value:.2f}")
    return table


def figure_table(assessment: Assessment) -> Table:
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


def official_table(official: OfficialScores) -> Table:
    """HO-3D's figures under their own names, as printed."""
    table = Table(title="HO-3D's official figures", title_justify="left")
    table.add_column("scores.txt")
    table.add_column("value", justify="right")
    table.add_column("unit")
    for name, value in asdict(official).items():
        table.add_row(name, f"{value:.6f}", official.unit(name))
    return table
