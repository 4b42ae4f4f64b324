"""The figures of `reproduce`: Figs. 7 and 8 as curves over the labels, Fig. 5 as shares of correct frames."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from warpgrasp.evaluation.figures import ARM_COLOURS
from warpgrasp.evaluation.published import PublishedCurves
from warpgrasp.evaluation.reproduction import HEADS, PckLine, Result, ResultRow

INK, WARNING = "#1c1e22", "#b3261e"
SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "warpgrasp",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    **{f"{part}color": INK for part in ("text.", "axes.edge", "axes.label", "axes.title", "xtick.", "ytick.")},
}
ARMS = ("control", "photometric")
ASIDE = 0.05  # of the distance of two positions on the axis
PCK_HEADS: Mapping[str, str] = {
    "hand_joint_frame_pck_image": "Hand, 21 joints",
    "object_corner_frame_pck_image": "Object, 8 corners",
    "object_vertex_frame_pck_image": "Object, all vertices",
}


@dataclass(frozen=True)
class _Line:
    """A curve over positions on the axis: the mean and the standard deviation over seeds, where there is one."""

    means: tuple[float | None, ...]
    stds: tuple[float | None, ...]


def save_curves(path: Path, result: Result, paper: PublishedCurves) -> None:
    """Save `path` as PNG and SVG: each metric against the labels.

    On the paper's own data its curves are drawn beside ours; on other data they get panels of their own, below.
    """
    rows = 1 if result.is_papers_data else 2
    with rc_context(SETTINGS):
        figure = Figure(figsize=(3.4 * len(result.metrics), 3.3 * rows + 0.8), layout="constrained", facecolor="white")
        panels = figure.subplots(rows, len(result.metrics), squeeze=False)
        for column, metric in enumerate(result.metrics):
            axes = panels[0][column]
            percents = _draw_measured(axes, result, metric)
            axes.set_title(HEADS[metric] if rows == 1 else f"{HEADS[metric]}\nmeasured: {result.data}")
            if rows == 1:
                _draw_published(axes, paper, metric, percents)
            else:
                _draw_published(panels[1][column], paper, metric, paper.percent)
                panels[1][column].set_title(f"{HEADS[metric]}\npublished: {paper.data}")
                _percent_axis(panels[1][column], paper.percent)
        for axes in panels.flat:
            axes.set_ylim(0, 1.05 * axes.get_ylim()[1])
            axes.grid(axis="y", alpha=0.16)
            axes.margins(x=0.06)
        handles = {name: handle for axes in panels.flat for handle, name in zip(*axes.get_legend_handles_labels())}  # noqa: B905
        figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=len(handles))
        _titled(figure, result)
        _save(figure, path)


def _draw_measured(axes: Axes, result: Result, metric: str) -> tuple[float, ...]:
    """Ours; returns the nominal percentages of the positions on the axis."""
    by_percent: dict[float, dict[str, ResultRow]] = {}
    for row in result.rows:
        if row.percent is not None:
            by_percent.setdefault(row.percent, {})[row.arm] = row
    percents = tuple(sorted(by_percent))
    for arm, aside in zip(ARMS, (-ASIDE, ASIDE), strict=True):
        # With every label there is nothing to compare photometrically: one network for both.
        chosen = [by_percent[percent].get(arm, by_percent[percent].get("full")) for percent in percents]
        means = tuple(None if row is None else row.mean(metric) for row in chosen)
        stds = tuple(None if row is None else row.std(metric) for row in chosen)
        _draw(axes, _Line(means, stds), ARM_COLOURS[arm], f"{arm}, measured", aside)
    ticks = [_tick(percent, next(iter(by_percent[percent].values()))) for percent in percents]
    axes.set_xticks(range(len(percents)), ticks, fontsize=7.5)
    axes.set_xlabel("annotated frames: asked for, and really", fontsize=8)
    return percents


def _tick(percent: float, row: ResultRow) -> str:
    """The share of frames that was asked for, how many they are, and their share where it is another."""
    asked, real = f"{percent:.3g} %", f"{100 * row.annotated / row.frames:.3g} %"
    return f"{asked}\n{row.annotated}" + ("" if real == asked else f"\n({real})")


def _draw(axes: Axes, line: _Line, colour: str, label: str, aside: float) -> None:
    """The means as points, moved `aside` so that neither curve hides the other, with their deviations as bars."""
    there = [x for x, mean in enumerate(line.means) if mean is not None]
    if not there:
        return
    means = [line.means[x] for x in there]
    stds = [line.stds[x] or 0.0 for x in there]
    positions = np.array(there) + aside
    axes.errorbar(
        positions, np.array(means, float), yerr=np.array(stds), color=colour, marker="o", ms=4, capsize=2.5, label=label
    )


def _draw_published(axes: Axes, paper: PublishedCurves, metric: str, percents: Sequence[float]) -> None:
    for arm in ARMS:
        values = [paper.value(arm, metric, percent) for percent in percents]
        points = [(x, value) for x, value in enumerate(values) if value is not None]
        if points:
            axes.plot(
                *zip(*points, strict=True),
                "--s",
                color=ARM_COLOURS[arm],
                mfc="white",
                ms=4,
                lw=1.2,
                label=f"{arm}, paper",
            )


def _percent_axis(axes: Axes, percents: Sequence[float]) -> None:
    axes.set_xticks(range(len(percents)), [f"{percent:g} %" for percent in percents], fontsize=7.5)
    axes.set_xlabel("annotated: asked for", fontsize=8)


def save_pck(path: Path, result: Result) -> None:
    """Save `path` as PNG and SVG: the share of frames whose mean error lies below each threshold, over the seeds."""
    with rc_context(SETTINGS):
        figure = Figure(figsize=(10.2, 3.8), layout="constrained", facecolor="white")
        panels = figure.subplots(1, len(PCK_HEADS), sharey=True)
        for axes, (name, title) in zip(panels, PCK_HEADS.items(), strict=True):
            for line in result.pck:
                if line.name == name:
                    _draw_pck(axes, line)
            axes.set_title(title)
            axes.set_xlabel("mean error of the frame below, px")
            axes.set_ylim(0, 1.02)
            axes.set_xlim(left=0)
            axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
            axes.grid(alpha=0.16)
        panels[0].set_ylabel("share of frames")
        _titled(figure, result)
        _save(figure, path)


def _draw_pck(axes: Axes, line: PckLine) -> None:
    shares = np.array(line.shares)
    mean = shares.mean(axis=0)
    axes.plot(line.thresholds_px, mean, color=ARM_COLOURS["full"])
    if len(shares) > 1:
        std = shares.std(axis=0, ddof=1)
        low, high = (mean - std).clip(0, 1), (mean + std).clip(0, 1)
        axes.fill_between(line.thresholds_px, low, high, color=ARM_COLOURS["full"], alpha=0.2, linewidth=0)


def _titled(figure: Figure, result: Result) -> None:
    """The title; a smoke run or other data than the paper's is said above everything, in red."""
    lines = [result.title, *result.warnings]
    figure.suptitle("\n".join(lines), color=WARNING if result.warnings else INK, fontsize=10, x=0.01, ha="left")


def _save(figure: Figure, path: Path) -> None:
    """Both files under a temporary name, then renamed."""
    kinds: dict[str, dict[str, Any]] = {"png": {"dpi": 150}, "svg": {"metadata": {"Date": None}}}
    for kind, options in kinds.items():
        temporary = path.with_name(f".{path.name}.{kind}.{os.getpid()}")
        try:
            figure.savefig(temporary, format=kind, **options)
            temporary.replace(path.with_suffix(f".{kind}"))
        finally:
            temporary.unlink(missing_ok=True)
