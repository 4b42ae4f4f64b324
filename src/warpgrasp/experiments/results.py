"""Measured beside published values: the results of `reproduce`, as JSON and as a Markdown table."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

Number = float | None

HEADS: Mapping[str, str] = {
    "hand_joint_error_mm": "hand joints, mm",
    "hand_joint_error_px": "hand joints, px",
    "hand_joint_error_wrist_relative_mm": "hand joints relative to the wrist, mm",
    "hand_joint_error_middle_base_relative_mm": "hand joints relative to the middle finger’s base, mm",
    "object_vertex_error_mm": "object vertices, mm",
    "object_vertex_error_px": "object vertices, px",
    "object_corner_error_mm": "object corners, mm",
    "object_corner_error_px": "object corners, px",
}
SMOKE = "Smoke run (--quick): tiny pictures and a few steps. No evidence of anything."
MISSING = "–"


@dataclass(frozen=True)
class ResultRow:
    """A row of a table, or a point of a curve: each seed's measured values, and the published ones."""

    row: str
    arm: str  # control, Eq. 1, photometric, near to far or full; empty in tables
    percent: float | None  # annotated, as the recipe asks for; None for a row that was only published
    annotated: int  # frames that really are
    frames: int
    measured: Mapping[str, tuple[float, ...]]  # by metric, one value a seed
    paper: Mapping[str, Number]  # by metric
    unannotated: Mapping[str, tuple[float, ...]] = field(default_factory=dict)  # on training frames without a label
    full_there: Mapping[str, tuple[float, ...]] = field(default_factory=dict)  # on the same, of those that had them all

    def mean(self, metric: str) -> Number:
        """Over the seeds."""
        return mean_of(self.measured.get(metric, ()))

    def std(self, metric: str) -> Number:
        """Over the seeds (n - 1); None of fewer than two."""
        return std_of(self.measured.get(metric, ()))

    def in_words(self, metric: str) -> str:
        """Mean ± standard deviation."""
        return in_words(self.measured.get(metric, ()))

    def labels_in_words(self) -> str:
        """How many frames are annotated."""
        if not self.frames:
            return MISSING
        return f"{self.annotated} of {self.frames} ({100 * self.annotated / self.frames:.2f} %)"


def mean_of(values: Sequence[float]) -> Number:
    """The mean; None of nothing."""
    return statistics.fmean(values) if values else None


def std_of(values: Sequence[float]) -> Number:
    """The standard deviation (n - 1); None of fewer than two."""
    return statistics.stdev(values) if len(values) > 1 else None


def in_words(values: Sequence[float]) -> str:
    """Mean ± standard deviation."""
    mean, std = mean_of(values), std_of(values)
    if mean is None:
        return MISSING
    return f"{mean:.1f}" if std is None else f"{mean:.1f} ± {std:.1f}"


@dataclass(frozen=True)
class PckLine:
    """A curve of Fig. 5: the share of frames below each threshold, one row of shares a seed."""

    name: str
    thresholds_px: tuple[float, ...]
    shares: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Result:
    """A table or figure, measured and published."""

    name: str
    title: str
    metrics: tuple[str, ...]
    rows: tuple[ResultRow, ...]
    pck: tuple[PckLine, ...]
    source: str  # of the published values; empty when there are none
    paper_data: str
    paper_metrics: tuple[str, ...]
    data: str  # on which ours was measured, in words
    is_papers_data: bool
    is_smoke: bool
    protocol: tuple[str, ...]  # sentences: split, alignment, units, joints, training
    seeds: tuple[int, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences that stand above every table and figure."""
        other = f"Ours is measured on {self.data}, the paper's values on {self.paper_data}: they do not compare."
        return (*((SMOKE,) if self.is_smoke else ()), *(() if self.is_papers_data else (other,)))

    @property
    def ours(self) -> str:
        """The head of the measured columns."""
        return "ours" if self.is_papers_data else f"ours ({self.data})"

    @property
    def paper(self) -> str:
        """The head of the published columns."""
        return "paper" if self.is_papers_data else f"paper ({self.paper_data.partition(',')[0]})"


def as_json(result: Result, runs: Sequence[Mapping[str, Any]], failed: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The content of the results file; `runs` are the networks, each with its folder, `failed` those without a result.

    Standard deviations are over seeds (n - 1); `paper` holds published values alone, `ours` measured ones alone.
    """
    return {
        "format": "warpgrasp-reproduction-1",
        "name": result.name,
        "title": result.title,
        "metrics": list(result.metrics),
        "evidence": not result.is_smoke,
        "data": result.data,
        "is_papers_data": result.is_papers_data,
        "protocol": list(result.protocol),
        "seeds": list(result.seeds),
        "published": {
            "source": result.source,
            "data": result.paper_data,
            "metrics": list(result.paper_metrics),
        },
        "rows": [_row_json(row, result.metrics) for row in result.rows],
        "pck": [asdict(line) for line in result.pck],
        "runs": list(runs),
        "failed": list(failed),
    }


def _row_json(row: ResultRow, metrics: Sequence[str]) -> dict[str, Any]:
    return {
        "row": row.row,
        "arm": row.arm,
        "nominal_percent": row.percent,
        "annotated": row.annotated,
        "frames": row.frames,
        "ours": _cells_json(row.measured, metrics),
        "unannotated": _cells_json(row.unannotated, metrics),
        "full_on_unannotated": _cells_json(row.full_there, metrics),
        "paper": {metric: value for metric, value in row.paper.items() if value is not None},
    }


def _cells_json(measured: Mapping[str, tuple[float, ...]], metrics: Sequence[str]) -> dict[str, Any]:
    return {
        metric: {"mean": mean_of(values), "std": std_of(values), "values": list(values)}
        for metric in metrics
        if (values := measured.get(metric))
    }


def from_json(content: Mapping[str, Any]) -> Result:
    """A result as it was written, to be shown again."""
    rows = [_row_from_json(row) for row in content["rows"]]
    pck = [
        PckLine(line["name"], tuple(line["thresholds_px"]), tuple(map(tuple, line["shares"])))
        for line in content["pck"]
    ]
    return Result(
        name=content["name"],
        title=content["title"],
        metrics=tuple(content["metrics"]),
        rows=tuple(rows),
        pck=tuple(pck),
        source=content["published"]["source"],
        paper_data=content["published"]["data"],
        paper_metrics=tuple(content["published"]["metrics"]),
        data=content["data"],
        is_papers_data=content["is_papers_data"],
        is_smoke=not content["evidence"],
        protocol=tuple(content["protocol"]),
        seeds=tuple(content["seeds"]),
    )


def _row_from_json(row: Mapping[str, Any]) -> ResultRow:
    def cells(measured: Mapping[str, Any]) -> dict[str, tuple[float, ...]]:
        return {metric: tuple(cell["values"]) for metric, cell in measured.items()}

    return ResultRow(
        row["row"],
        row["arm"],
        row["nominal_percent"],
        row["annotated"],
        row["frames"],
        cells(row["ours"]),
        row["paper"],
        cells(row["unannotated"]),
        cells(row["full_on_unannotated"]),
    )


def markdown(result: Result, failed: Sequence[str] = ()) -> str:
    """The table with its warnings and its protocol; `failed` are sentences."""
    arms = any(row.arm for row in result.rows)
    heads = [
        "annotated" if arms else "method",
        *(["arm"] if arms else []),
        *(f"{result.paper}: {HEADS[metric]}" for metric in result.paper_metrics),
        *(f"{result.ours}: {HEADS[metric]}" for metric in result.metrics),
        "annotated frames",
        "seeds",
    ]
    lines = [f"# {result.title}", ""]
    for warning in result.warnings:
        lines += [f"**{warning}**", ""]
    lines += ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in result.rows:
        seeds = max((len(values) for values in row.measured.values()), default=0)
        cells = [
            row.row,
            *([row.arm] if arms else []),
            *(_number(row.paper.get(metric)) for metric in result.paper_metrics),
            *(row.in_words(metric) for metric in result.metrics),
            row.labels_in_words(),
            str(seeds) if row.frames else MISSING,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    lines += [*_unannotated_lines(result), "", *(f"* {sentence}" for sentence in result.protocol)]
    if result.source:
        lines.append(f"* The column *paper* is {result.source}; it was published, not measured here.")
    if failed:
        lines += ["", "Failed:", "", *(f"* {sentence}" for sentence in failed)]
    return "\n".join(lines) + "\n"


def _unannotated_lines(result: Result) -> list[str]:
    """The table of training frames whose annotation was not used, where they were scored."""
    rows = [row for row in result.rows if row.unannotated]
    if not rows:
        return []
    heads = ["annotated", "arm", *(f"{result.ours}: {HEADS[metric]}" for metric in result.metrics)]
    lines = ["", "Never-annotated frames of the training sequences; *full* was trained on them:", ""]
    lines += ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    named = {row.row: row for row in rows}
    for name, last in named.items():
        arms = {row.arm: row.unannotated for row in rows if row.row == name}
        for arm, measured in {**arms, "full": last.full_there}.items():
            cells = [in_words(measured.get(metric, ())) for metric in result.metrics]
            lines.append("| " + " | ".join([name, arm, *cells]) + " |")
    return lines


def _number(value: Number) -> str:
    return MISSING if value is None else f"{value:.1f}"
