"""The figures of `reproduce`: Figs. 7 and 8 as curves over the labels, Fig. 5 as shares of correct frames."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from warpgrasp.experiments.plans import PublishedCurves
from warpgrasp.experiments.results import HEADS, PckLine, Result, ResultRow, mean_of, std_of
from warpgrasp.files import replacing
from warpgrasp.report import ARM_COLOURS

INK, WARNING = "#1c1e22", "#b3261e"
SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "warpgrasp",
    "text.parse_math": False,  # a dollar in the name of a data set is one
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
ARMS = ("control", "control, told", "2D", "Eq. 1", "photometric", "near to far", "best")
FULL_OF = {"control, told": "full, told", "best": "full, told"}  # what an arm is with every label; of others `full`
PAPERS_ARMS = ("control", "photometric")
ASIDE = 0.05  # of the distance of two positions on the axis
PCK_HEADS: Mapping[str, str] = {
    "hand_joint_frame_pck_image": "Hand, 21 joints",
    "object_corner_frame_pck_image": "Object, 8 corners",
    "object_vertex_frame_pck_image": "Object, all vertices",
}


def save_curves(path: Path, result: Result, paper: PublishedCurves) -> None:
    """Save `path` as PNG and SVG: each metric against the labels.

    On the paper's own data its curves are drawn beside ours; on other data they get panels of their own, below. So do
    the training frames whose annotation was not used, where they were scored.
    """
    trained = any(row.unannotated for row in result.rows)
    rows = 1 + trained + (not result.is_papers_data)
    with rc_context(SETTINGS):
        figure = Figure(figsize=(3.4 * len(result.metrics), 3.3 * rows + 0.8), layout="constrained", facecolor="white")
        panels = figure.subplots(rows, len(result.metrics), squeeze=False)
        for column, metric in enumerate(result.metrics):
            axes = panels[0][column]
            percents = _draw_measured(axes, result, metric)
            measured_on = "evaluation" if trained else result.data
            axes.set_title(HEADS[metric] if rows == 1 else f"{HEADS[metric]}\nmeasured: {measured_on}")
            if trained:
                _draw_unannotated(panels[1][column], result, metric)
                panels[1][column].set_title(f"{HEADS[metric]}\nmeasured: unannotated frames")
            if result.is_papers_data:
                _draw_published(axes, paper, metric, percents)
            else:
                _draw_published(panels[-1][column], paper, metric, paper.percent)
                panels[-1][column].set_title(f"{HEADS[metric]}\npublished: {paper.data}")
                _percent_axis(panels[-1][column], paper.percent)
        for axes in panels.flat:
            axes.set_ylim(0, 1.05 * axes.get_ylim()[1])
            axes.grid(axis="y", alpha=0.16)
            axes.margins(x=0.06)
        handles = {name: handle for axes in panels.flat for handle, name in zip(*axes.get_legend_handles_labels())}  # noqa: B905
        figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=len(handles))
        _titled(figure, result)
        _save(figure, path)


def _draw_measured(axes: Axes, result: Result, metric: str) -> tuple[float, ...]:
    """Draw our curves; return the nominal percentages of the positions on the axis."""
    by_percent = _by_percent(result)
    arms = [arm for arm in ARMS if any(arm in rows for rows in by_percent.values())]
    for number, arm in enumerate(arms):
        # With every label there is nothing to compare photometrically: one network for all.
        chosen = [rows.get(arm, rows.get(FULL_OF.get(arm, "full"))) for rows in by_percent.values()]
        cells = [() if row is None else row.measured.get(metric, ()) for row in chosen]
        _draw(axes, cells, ARM_COLOURS[arm], f"{arm}, measured", ASIDE * (2 * number - len(arms) + 1))
    _label_axis(axes, by_percent)
    return tuple(by_percent)


def _draw_unannotated(axes: Axes, result: Result, metric: str) -> None:
    """The same on training frames whose annotation was not used, beside the networks that were trained on them."""
    by_percent = {percent: rows for percent, rows in _by_percent(result).items() if "full" not in rows}
    arms = [arm for arm in ARMS if any(arm in rows for rows in by_percent.values())]
    for number, arm in enumerate(arms):
        chosen = [rows.get(arm) for rows in by_percent.values()]
        cells = [() if row is None else row.unannotated.get(metric, ()) for row in chosen]
        _draw(axes, cells, ARM_COLOURS[arm], f"{arm}, measured", ASIDE * (2 * number - len(arms) + 1))
    full = [next(iter(rows.values())).full_there.get(metric, ()) for rows in by_percent.values()]
    _draw(axes, full, ARM_COLOURS["full"], "trained on these frames", 0.0)
    _label_axis(axes, by_percent)


def _by_percent(result: Result) -> dict[float, dict[str, ResultRow]]:
    """The measured rows by the share of labels that was asked for, from few to many, and by arm."""
    by_percent: dict[float, dict[str, ResultRow]] = {}
    for row in result.rows:
        if row.percent is not None:
            by_percent.setdefault(row.percent, {})[row.arm] = row
    return dict(sorted(by_percent.items()))


def _label_axis(axes: Axes, by_percent: Mapping[float, Mapping[str, ResultRow]]) -> None:
    ticks = [_tick(percent, next(iter(rows.values()))) for percent, rows in by_percent.items()]
    axes.set_xticks(range(len(ticks)), ticks, fontsize=7.5)
    axes.set_xlabel("annotated frames: asked for, and really", fontsize=8)


def _tick(percent: float, row: ResultRow) -> str:
    """The share of frames that was asked for, how many they are, and their share where it is another."""
    asked, real = f"{percent:.3g} %", f"{100 * row.annotated / row.frames:.3g} %"
    return f"{asked}\n{row.annotated}" + ("" if real == asked else f"\n({real})")


def _draw(axes: Axes, cells: Sequence[Sequence[float]], colour: str, label: str, aside: float) -> None:
    """The means over seeds as points, moved `aside` so that no curve hides another, with their deviations as bars."""
    measured = [x for x, values in enumerate(cells) if values]
    if not measured:
        return
    means = [mean_of(cells[x]) for x in measured]
    stds = [std_of(cells[x]) or 0.0 for x in measured]
    positions = np.array(measured) + aside
    axes.errorbar(
        positions, np.array(means, float), yerr=np.array(stds), color=colour, marker="o", ms=4, capsize=2.5, label=label
    )


def _draw_published(axes: Axes, paper: PublishedCurves, metric: str, percents: Sequence[float]) -> None:
    for arm in PAPERS_ARMS:
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
    """Write the title, in red with the warnings of a smoke run or of other data than the paper's."""
    lines = [result.title, *result.warnings]
    figure.suptitle("\n".join(lines), color=WARNING if result.warnings else INK, fontsize=10, x=0.01, ha="left")


def _save(figure: Figure, path: Path) -> None:
    kinds: dict[str, dict[str, Any]] = {"png": {"dpi": 150}, "svg": {"metadata": {"Date": None}}}
    for kind, options in kinds.items():
        with replacing(path.with_suffix(f".{kind}")) as temporary:
            figure.savefig(temporary, format=kind, **options)
