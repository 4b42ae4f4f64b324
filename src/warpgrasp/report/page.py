"""The report: one HTML file that opens offline, light or dark."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template

from warpgrasp.data import Dataset, Labels
from warpgrasp.evaluation import METRICS, Scores, SurfaceMotion
from warpgrasp.files import write_text
from warpgrasp.predictions import Predictions
from warpgrasp.report.charts import TrainingCurve, error_by_distance, training_curves
from warpgrasp.report.comparison import RULE, choose_frames, compare, comparison_section

STYLE = """
:root { color-scheme: light dark; --paper:#fff; --ink:#1c1e22; --soft:#5f6570; --line:#d9dce2; --wash:#f5f6f8;
  --control:#b84a26; --photometric:#12789c; --full:#557d25; --better:#1b7a3d; --worse:#b3261e; }
@media (prefers-color-scheme: dark) { :root { --paper:#15171b; --ink:#e6e8ec; --soft:#9aa1ad; --line:#31353d;
  --wash:#1d2026; --control:#e88560; --photometric:#52b4d8; --full:#9cc463; --better:#6fce8f; --worse:#f08a80; } }
* { box-sizing:border-box; }
body { margin:0; background:var(--paper); color:var(--ink);
  font:15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width:1240px; margin:0 auto; padding:44px 28px 64px; }
h1 { font-size:30px; line-height:1.2; margin:0 0 4px; letter-spacing:-.015em; }
h2 { font-size:19px; margin:46px 0 10px; padding-top:14px; border-top:1px solid var(--line); }
h3 { font-size:15px; margin:0 0 8px; } h3 span { font-weight:400; color:var(--soft); margin-left:6px; }
p { max-width:88ch; margin:0 0 12px; } .lead { color:var(--soft); font-size:16px; }
code { font:13.5px ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
dl { display:flex; flex-wrap:wrap; gap:10px 30px; margin:20px 0 0; padding:14px 18px; background:var(--wash);
  border-radius:8px; }
dt { font-size:12px; color:var(--soft); } dd { margin:0; font-weight:600; font-variant-numeric:tabular-nums; }
.wide { overflow-x:auto; }
table { border-collapse:collapse; font-variant-numeric:tabular-nums; width:100%; font-size:14.5px; }
th, td { padding:6px 12px; text-align:right; white-space:nowrap; } thead th { font-weight:600; border:0; }
thead tr:last-child th { border-bottom:1.5px solid var(--ink); font-size:13.5px; }
thead tr:first-child th { border-top:1.5px solid var(--ink); }
tbody tr:last-child > * { border-bottom:1.5px solid var(--ink); }
tbody tr:nth-child(2n) > * { border-bottom:1px solid var(--line); }
th[scope=row], thead tr:first-child th:first-child { text-align:left; font-weight:500; }
thead th[rowspan] { vertical-align:bottom; border-bottom:1.5px solid var(--ink) !important; } sub { line-height:0; }
th.group { text-align:center; } th.group small { font-weight:400; color:var(--soft); }
.first { padding-left:34px; } .unit { color:var(--soft); } .best { font-weight:700; }
.change.better { color:var(--better); } .change.worse { color:var(--worse); }
.arm.control { color:var(--control); } .arm.photometric { color:var(--photometric); } .arm.full { color:var(--full); }
.chart svg { width:100%; height:auto; display:block; font-family:inherit; }
.caption, figcaption, .side { color:var(--soft); font-size:13px; line-height:1.45; }
.caption { max-width:104ch; margin-top:8px; }
.frame { margin:0 0 34px; }
.grid { display:grid; grid-template-columns:repeat(4, minmax(0, 1fr)); gap:8px 10px; align-items:start; }
figure { margin:0; } img { display:block; width:100%; height:auto; border-radius:3px; }
figcaption { display:flex; flex-wrap:wrap; justify-content:space-between; gap:0 8px; padding-top:3px; }
figcaption b { font-weight:600; } .note { font-variant-numeric:tabular-nums; font-size:12.5px; }
.side { align-self:center; padding:0 14px 0 4px; } .side b { color:var(--ink); }
.scale { margin-top:12px; } .scale div { height:12px; border-radius:2px; }
.scale p { display:flex; justify-content:space-between; margin:2px 0 0; font-variant-numeric:tabular-nums; }
.key { display:inline-block; width:11px; height:11px; border-radius:2px; margin:0 4px 0 0; vertical-align:-1px; }
@media print { .frame { break-inside:avoid; } }
"""

PAGE = (
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>warpgrasp: demo report, seed $seed</title>
<style>"""
    + STYLE
    + """</style>
</head>
<body>
<main>
<h1>Hands and objects from a few annotated frames</h1>
<p class="lead">What photometric consistency between frames adds, beside a control that differs in it alone.</p>
<dl>$facts</dl>

<h2>Protocol</h2>
<p>$protocol</p>

<h2>Scores</h2>
<div class="wide">$table</div>
<p class="caption">Mean over frames; lower is better. <em>Change</em> is photometric against control; the better of
these two is bold.$full_note</p>

<h2>Error against the distance to the nearest annotated frame</h2>
<div class="chart">$distance_chart</div>
<p class="caption">Never-annotated frames of the training sequences. Lines: mean over the frames at that distance,
before and after the label, in all sequences. Bands: the middle half of these frames.</p>

<h2>Frames</h2>
<p>Which frames are shown is decided by a rule that looks at no prediction. $rule</p>
<p class="caption">Overlays are drawn by the camera of the picture, at twice its size:
<span class="key" style="background:#fa9e42"></span>hand,
<span class="key" style="background:#458ff5"></span>object; the white line is the true silhouette of both together.
The warped frame is the input, sampled where the surface that is annotated in the reference lies in it, according to the
column’s reconstruction of the input. It is shown where the photometric term compares it (seen in both frames, and
returning to within 2 px), at the size of the pictures on disk; the arms agree with what is filmed where it looks like
the reference. The last column uses the true surfaces: what remains there is light, noise and resampling.</p>
$comparisons

<h2>Training curves</h2>
<div class="chart">$curves</div>
<p class="caption">Logged every ten steps, on the batch of that step: faint, each value; strong, the running mean of
seven. Supervised terms are those of the annotated batch. The photometric arm’s weighted total contains its photometric
term. The control’s λ<sub>c</sub> is 0 throughout.</p>
</main>
</body>
</html>
"""
)


GROUPS = {"unannotated": "never-annotated frames of the training sequences", "evaluation": "evaluation sequences"}
SHOWN_ARMS = ("photometric", "control")
FULL_NOTE = (
    " The full arm is trained on every annotation of the training sequences, by the control's protocol; "
    "<em>gap closed</em> is 1 − (photometric − full) / (control − full)."
)


@dataclass(frozen=True)
class ReportedProtocol:
    """The settings of the trainings, as the report states them."""

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
    """The content of the page."""

    dataset: Dataset  # at the size of the pictures on disk
    labels: Labels
    arms: dict[str, ReportedArm]  # control, photometric and perhaps full
    curves: dict[str, TrainingCurve]  # by stage or arm
    motion: SurfaceMotion
    protocol: ReportedProtocol
    seconds: float


def write_report(path: Path, report: Report) -> None:
    """Replace the page, and make its folder where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, report_page(report))


def report_page(report: Report) -> str:
    """The page's HTML."""
    names = choose_frames(report.labels, report.dataset.sequences["evaluation"])
    predictions = {arm: report.arms[arm].predictions for arm in SHOWN_ARMS}
    scores = {arm: report.arms[arm].scores for arm in SHOWN_ARMS}
    sections = (comparison_section(compare(report.dataset, report.labels, name, predictions), scores) for name in names)
    unannotated = {arm: reported.scores["unannotated"] for arm, reported in report.arms.items()}
    return Template(PAGE).substitute(
        protocol=protocol_text(report),
        facts=facts(report),
        table=score_table({arm: reported.scores for arm, reported in report.arms.items()}),
        full_note=FULL_NOTE if "full" in report.arms else "",
        distance_chart=error_by_distance(unannotated, report.labels),
        rule=escape(RULE),
        comparisons="\n".join(sections),
        curves=training_curves(report.curves),
        seed=report.protocol.seed,
    )


def protocol_text(report: Report) -> str:
    """The protocol, in words."""
    protocol, labels, motion = report.protocol, report.labels, report.motion
    annotated, total = len(labels.annotated_names), len(labels.annotated_names) + len(labels.unannotated_names)
    standard = protocol.encoder_width == 64
    encoder = (
        "the standard ResNet-18" if standard else f"a ResNet-18 of width {protocol.encoder_width} (64 is standard)"
    )
    return (
        f"Of {total} training frames, {annotated} are annotated ({100 * labels.effective_fraction:.2f} %). "
        f"Stage 1 trains {encoder} on these alone, at {protocol.width}×{protocol.height}, for "
        f"{protocol.stage1_steps} steps of {protocol.stage1_batch} frames. Stage 2 goes on from its weights, twice, "
        f"for {protocol.stage2_steps} steps of {protocol.batch} annotated frames and {protocol.pairs} pairs: "
        f"<em>photometric</em> compares each unannotated frame with its nearest annotated one"
        f"{_beyond_eq_1(protocol)}, weighted by λ<sub>c</sub> = {protocol.lambda_c:g} (reached linearly over "
        f"{protocol.ramp_steps} steps); <em>control</em> sees the same frames in the same order and differs in "
        f"λ<sub>c</sub> = 0 alone. Between an unannotated frame and the annotated one that it is compared with, "
        f"visible surface points move by {motion.median:.1f} px (median) and {motion.p95:.1f} px (95th percentile). "
        f"Errors are mean distances in camera space, without any alignment, and in pixels of the pictures on disk. "
        f"The last checkpoint is scored, never the best."
    )


def _beyond_eq_1(protocol: ReportedProtocol) -> str:
    """The additions to the comparison of Eq. 1, in words; empty where there are none."""
    parts = ["warping either one to the other"] if protocol.both_directions else []
    if protocol.contrast_share > 0:
        parts.append(f"by colours and, to {100 * protocol.contrast_share:.0f} %, by local contrast")
    return f" ({', '.join(parts)})" if parts else ""


def facts(report: Report) -> str:
    """The protocol's numbers at a glance."""
    protocol, labels, motion = report.protocol, report.labels, report.motion
    total = len(labels.annotated_names) + len(labels.unannotated_names)
    values = {
        "annotated": f"{len(labels.annotated_names)} of {total} frames",
        "effective fraction": f"{100 * labels.effective_fraction:.2f} %",
        "motion, median / p95": f"{motion.median:.1f} / {motion.p95:.1f} px",
        "recipe": f"{protocol.recipe}, {protocol.width}×{protocol.height}",
        "ResNet-18 width": f"{protocol.encoder_width}",
        "steps": f"{protocol.stage1_steps} + {protocol.stage2_steps}",
        "λ<sub>c</sub>": f"{protocol.lambda_c:g}",
        "seed": f"{protocol.seed}",
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
        cells = "".join(_cells({arm: scores[arm][group].means[metric] for arm in arms}) for group in GROUPS)
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
