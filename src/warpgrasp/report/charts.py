"""Charts of the report, as SVG that takes its text colour and font from the page around it."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from warpgrasp.data import Labels
from warpgrasp.evaluation import Scores
from warpgrasp.report.comparison import label_distance

ARM_COLOURS = {
    "stage 1": "#8c8f96",
    "control": "#d0603a",
    "Eq. 1": "#8a5fb0",
    "photometric": "#1f8fb8",
    "near to far": "#2b4c8c",
    "2D": "#b58a1e",
    "control, told": "#a34f6d",
    "best": "#14604a",
    "full": "#6f9a3a",
}
INK = "#010203"  # stands for the page's text colour
SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "warpgrasp",
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    **{f"{part}color": INK for part in ("text.", "axes.edge", "axes.label", "axes.title", "xtick.", "ytick.", "grid.")},
    "grid.alpha": 0.16,
    "grid.linewidth": 0.7,
}
DISTANCE_PANELS = (
    ("hand_joint_error_px", "Hand joints, px"),
    ("object_vertex_error_px", "Object vertices, px"),
    ("hand_joint_error_mm", "Hand joints, mm"),
    ("object_vertex_error_mm", "Object vertices, mm"),
)
CURVE_PANELS = (
    ("hand_joints", "Hand joints (Eq. 3), m²", True),
    ("object_vertices", "Object vertices (Eq. 3), m²", True),
    ("loss", "Weighted total", True),
    ("photometric", "Photometric term (Eq. 1)", False),
    ("compared_share", "Compared share of the surface", False),
    ("lambda_c", "Weight of the photometric term, λ", False),
)
SMOOTHED_POINTS = 7


@dataclass(frozen=True)
class TrainingCurve:
    """The log of one stage of training: a mapping per logged step, and the steps that came before this stage."""

    rows: Sequence[Mapping[str, float | int]]
    steps_before: int = 0


def error_by_distance(scores: Mapping[str, Scores], labels: Labels) -> str:
    """Each arm's error against the distance (frames) to the nearest annotated frame: mean, and the middle half."""
    with rc_context(SETTINGS):
        figure = Figure(figsize=(11.6, 2.9), layout="constrained")
        panels = figure.subplots(1, len(DISTANCE_PANELS))
        for axes, (metric, title) in zip(panels, DISTANCE_PANELS, strict=True):
            for arm, arm_scores in scores.items():
                distances = np.array([label_distance(labels, name) for name in arm_scores.names])
                _band(axes, distances, np.array(arm_scores.per_frame[metric]), arm)
            _finish(axes, title, "frames to the nearest label")
            axes.set_ylim(bottom=0)
        _legend(figure, panels[0])
        return _svg(figure)


def training_curves(curves: Mapping[str, TrainingCurve]) -> str:
    """The logged terms of each stage against the step: each value faint, their running mean strong."""
    with rc_context(SETTINGS):
        figure = Figure(figsize=(11.6, 5.0), layout="constrained")
        panels = figure.subplots(2, 3, sharex=True).flat
        for axes, (term, title, logarithmic) in zip(panels, CURVE_PANELS, strict=True):
            for name, curve in curves.items():
                points = [(row["step"] + curve.steps_before, row[term]) for row in curve.rows if term in row]
                if points and (term != "lambda_c" or any(value for _, value in points)):
                    _running_mean(axes, np.array(points), name, window=1 if term == "lambda_c" else SMOOTHED_POINTS)
            _finish(axes, title, "step" if axes.get_subplotspec().is_last_row() else "")
            if logarithmic and axes.lines:
                _logarithmic(axes)
            elif axes.lines:
                axes.set_ylim(bottom=0, top=max(axes.get_ylim()[1], 1e-6))
            else:
                axes.text(0.5, 0.5, "not logged", ha="center", transform=axes.transAxes)
        _legend(figure, figure.axes[0])
        return _svg(figure)


def _band(axes: Axes, distances: np.ndarray, errors: np.ndarray, arm: str) -> None:
    steps = np.unique(distances)
    groups = [errors[distances == step] for step in steps]
    low, high = np.array([np.percentile(group, [25, 75]) for group in groups]).reshape(-1, 2).T
    axes.fill_between(steps, low, high, color=ARM_COLOURS[arm], alpha=0.16, linewidth=0)
    marker = "o" if len(steps) < 12 else None
    means = [group.mean() for group in groups]
    axes.plot(steps, means, marker=marker, ms=3, color=ARM_COLOURS[arm], label=arm)


def _running_mean(axes: Axes, points: np.ndarray, name: str, *, window: int) -> None:
    steps, values = points.T
    kernel = np.ones(min(window, len(values)))
    smooth = np.convolve(values, kernel, "same") / np.convolve(np.ones(len(values)), kernel, "same")
    axes.plot(steps, values, color=ARM_COLOURS[name], alpha=0.28, lw=0.8)
    axes.plot(steps, smooth, color=ARM_COLOURS[name], label=name)


def _finish(axes: Axes, title: str, x_label: str) -> None:
    axes.set_title(title)
    axes.set_xlabel(x_label)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.margins(x=0.02)


def _logarithmic(axes: Axes) -> None:
    """A logarithmic axis with plainly written ticks."""
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.lines])
    values = values[values > 0]
    axes.set_autoscaley_on(False)  # of a constant it makes no interval, and warns
    if len(values):
        axes.set_ylim(0.85 * values.min(), 1.15 * values.max())
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2g}".replace("e-0", "e−")))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _legend(figure: Figure, axes: Axes) -> None:
    handles, names = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, names, loc="outside upper left", ncols=len(names), frameon=False, handlelength=1.4)


def _svg(figure: Figure) -> str:
    """The figure as an element of the page: no namespaces, fonts, sizes or colours of ink of its own."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    drawing = buffer.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r'\s(xmlns(:\w+)?|version)="[^"]*"', "", drawing)
    drawing = re.sub(r'(<svg[^>]*?)\s(?:width|height)="[^"]*"', r"\1", drawing)
    drawing = re.sub(r'(<svg[^>]*?)\s(?:width|height)="[^"]*"', r"\1", drawing)
    drawing = re.sub(r"font-family: [^;\"]*", "font-family: inherit", drawing)
    return drawing.replace("xlink:href", "href").replace(INK, "currentColor")
