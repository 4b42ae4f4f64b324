"""The report: one HTML file that opens offline, light or dark."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template

from warpgrasp.data import Dataset, Labels
from warpgrasp.evaluation.comparison import RULE, choose_frames, compare
from warpgrasp.evaluation.figures import Curve, error_by_distance, training_curves
from warpgrasp.evaluation.gallery import comparison_section
from warpgrasp.evaluation.metrics import METRICS, Scores
from warpgrasp.evaluation.motion import Motion
from warpgrasp.evaluation.page import PAGE
from warpgrasp.inference import Predictions

GROUPS = {"unannotated": "never-annotated frames of the training sequences", "evaluation": "evaluation sequences"}
SHOWN_ARMS = ("photometric", "control")


@dataclass(frozen=True)
class Protocol:
    """How the networks were trained, as the report says it."""

    recipe: str
    seed: int
    width: int  # of the pictures as the network sees them
    height: int
    encoder_width: int  # channels of the ResNet's first layer; 64 is the standard network
    stage1_steps: int
    stage2_steps: int
    stage1_batch: int
    batch: int
    pairs: int
    lambda_c: float
    ramp_steps: int
    both_directions: bool = False
    contrast_share: float = 0.0


@dataclass(frozen=True)
class ReportedArm:
    """One trained network: its predictions, and its scores on each group of frames."""

    predictions: Predictions
    scores: dict[str, Scores]


@dataclass(frozen=True)
class Report:
    """Everything that the page is made of."""

    dataset: Dataset  # at the size of the pictures on disk
    labels: Labels
    arms: dict[str, ReportedArm]  # control, photometric and perhaps full
    curves: dict[str, Curve]  # by stage or arm
    motion: Motion
    protocol: Protocol
    seconds: float


def write_report(path: Path, report: Report) -> None:
    """Write the page to a temporary name, then rename it."""
    page = report_page(report)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(page, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def report_page(report: Report) -> str:
    """The page's HTML."""
    names = choose_frames(report.labels, report.dataset.sequences["evaluation"])
    predictions = {arm: report.arms[arm].predictions for arm in SHOWN_ARMS}
    scores = {arm: report.arms[arm].scores for arm in SHOWN_ARMS}
    sections = (comparison_section(compare(report.dataset, report.labels, name, predictions), scores) for name in names)
    unannotated = {arm: one.scores["unannotated"] for arm, one in report.arms.items()}
    return Template(PAGE).substitute(
        protocol=protocol_text(report),
        facts=facts(report),
        table=score_table({arm: one.scores for arm, one in report.arms.items()}),
        full_note=FULL_NOTE if "full" in report.arms else "",
        distance_chart=error_by_distance(unannotated, report.labels),
        rule=escape(RULE),
        comparisons="\n".join(sections),
        curves=training_curves(report.curves),
        seed=report.protocol.seed,
    )


FULL_NOTE = (
    " The full arm is trained on every annotation of the training sequences, with the steps of both stages; "
    "<em>gap closed</em> is 1 − (photometric − full) / (control − full)."
)


def protocol_text(report: Report) -> str:
    """The protocol, in words."""
    one, labels = report.protocol, report.labels
    annotated, total = len(labels.annotated_names), len(labels.annotated_names) + len(labels.unannotated_names)
    width = "the standard ResNet-18" if one.encoder_width == 64 else f"a ResNet-18 of width {one.encoder_width}"
    width += "" if one.encoder_width == 64 else " (64 is standard)"
    return (
        f"Of {total} training frames, {annotated} are annotated ({100 * labels.effective_fraction:.2f} %). "
        f"Stage 1 trains {width} on these alone, at {one.width}×{one.height}, for {one.stage1_steps} steps of "
        f"{one.stage1_batch} frames. Stage 2 goes on from its weights, twice, for {one.stage2_steps} steps of "
        f"{one.batch} annotated frames and {one.pairs} pairs: <em>photometric</em> compares each unannotated frame "
        f"with its nearest annotated one{_beyond_eq_1(one)}, weighted by λ<sub>c</sub> = {one.lambda_c:g} (reached "
        f"linearly over {one.ramp_steps} steps); <em>control</em> sees the same frames in the same order and differs "
        f"in λ<sub>c</sub> = 0 alone. "
        f"Between an unannotated frame and the annotated one that it is compared with, visible surface points move by "
        f"{report.motion.median:.1f} px (median) and {report.motion.p95:.1f} px (95th percentile). "
        f"Errors are mean distances in camera space, without any alignment, and in pixels of the pictures on disk. "
        f"The last checkpoint is scored, never the best."
    )


def _beyond_eq_1(protocol: Protocol) -> str:
    """What the comparison has beside the paper's, in words; nothing where it is Eq. 1 alone."""
    parts = ["warping either one to the other"] if protocol.both_directions else []
    if protocol.contrast_share > 0:
        parts.append(f"by colours and, to {100 * protocol.contrast_share:.0f} %, by local contrast")
    return f" ({', '.join(parts)})" if parts else ""


def facts(report: Report) -> str:
    """The protocol's numbers at a glance."""
    one, labels, motion = report.protocol, report.labels, report.motion
    total = len(labels.annotated_names) + len(labels.unannotated_names)
    values = {
        "annotated": f"{len(labels.annotated_names)} of {total} frames",
        "effective fraction": f"{100 * labels.effective_fraction:.2f} %",
        "motion, median / p95": f"{motion.median:.1f} / {motion.p95:.1f} px",
        "recipe": f"{one.recipe}, {one.width}×{one.height}",
        "ResNet-18 width": f"{one.encoder_width}",
        "steps": f"{one.stage1_steps} + {one.stage2_steps}",
        "λ<sub>c</sub>": f"{one.lambda_c:g}",
        "seed": f"{one.seed}",
        "time": f"{report.seconds:.0f} s",
    }
    return "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in values.items())


def score_table(scores: Mapping[str, Mapping[str, Scores]]) -> str:
    """Both groups of frames side by side; `scores` by arm and group."""
    arms = list(scores)
    columns = [*arms, "change", *(["gap closed"] if "full" in arms else [])]
    groups, rows = [], []
    for group, title in GROUPS.items():
        count = len(scores["control"][group].names)
        groups.append(f'<th colspan="{len(columns)}" class="group">{title} <small>({count} frames)</small></th>')
    for metric in METRICS:
        cells = "".join(_cells({arm: one[group].means[metric] for arm, one in scores.items()}) for group in GROUPS)
        name, unit = metric.rsplit("_", 1)
        name = name.replace("_error", "").replace("_", " ")
        rows.append(f'<tr><th scope="row">{name} <span class="unit">{unit}</span></th>{cells}</tr>')
    heads = "".join(
        f'<th class="{"first" if i == 0 else ""}"><span class="arm {name.split()[0]}">{name}</span></th>'
        for _ in GROUPS
        for i, name in enumerate(columns)
    )
    return (
        f'<table><thead><tr><th rowspan="2">mean error</th>{"".join(groups)}</tr><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _cells(means: Mapping[str, float]) -> str:
    """One metric of one group: each arm's mean, the photometric arm's change, and the gap that it closes."""
    control, photometric = means["control"], means["photometric"]
    best = round(min(control, photometric), 1)
    cells = []
    for arm, value in means.items():
        place = "first " if arm == "control" else ""
        emphasis = "best" if arm != "full" and round(value, 1) == best else ""
        cells.append(f'<td class="{place}{emphasis}">{value:.1f}</td>')
    change = 100 * (photometric / control - 1)
    tone = "same" if abs(change) < 0.5 else "better" if change < 0 else "worse"
    cells.append(f'<td class="change {tone}">{_percent(change, "+")}</td>')
    if "full" in means:
        gap = control - means["full"]
        closed = _percent(100 * (control - photometric) / gap) if gap > 0 else "–"
        cells.append(f"<td>{closed}</td>")
    return "".join(cells)


def _percent(value: float, sign: str = "-") -> str:
    whole = round(value)
    return f"{whole:{sign if whole else '-'}d} %".replace("-", "−")
