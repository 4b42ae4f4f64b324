"""Writes docs/results.md from the figures that are stored in docs/results.

.venv/bin/python tools/results_page.py
"""

import json
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import spearmanr

from warpgrasp.evaluation import METRICS
from warpgrasp.experiments import HEADS, Result, from_json, published, save_curves

STORED = Path("docs/results")
GROUPS = {"unannotated": "never-annotated frames of the training sequences", "evaluation": "evaluation sequences"}
PAPER_GAP = {"object_vertex_error_px": 25, "hand_joint_error_px": 23}  # per cent, Sec. 4.3


def mean_std(values: list[float]) -> str:
    """Mean ± standard deviation over seeds."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):.1f} ± {spread:.1f}"


def table(results: list[dict], sequences: list[dict], group: str) -> list[str]:
    """One row a metric: each arm over the seeds, the paired change, the share of the gap that is closed."""
    arms = ("control", "photometric", "full")
    lines = [
        "| mean error | control | photometric | full | photometric against control | gap closed |",
        "|---|---|---|---|---|---|",
    ]
    for metric in METRICS:
        columns = {arm: [result[arm][group][metric] for result in results] for arm in arms}
        pairs = list(zip(columns["photometric"], columns["control"], strict=True))
        change = [100 * (ours / control - 1) for ours, control in pairs]
        errors = {
            arm: np.array([[by[metric] for by in of_seed[arm][group].values()] for of_seed in sequences])
            for arm in arms
        }
        cells = " | ".join(mean_std(columns[arm]) for arm in arms)
        lines.append(
            f"| {metric.replace('_', ' ')} | {cells} | {mean_std(change)} % | {Gap.between(errors).in_words()} |"
        )
    return lines


RESAMPLES = 10_000
GAP_ERRORS = 2  # standard errors: a narrower gap is none


@dataclass(frozen=True)
class Gap:
    """The gap between control and full supervision, and the share of it that the method closes.

    Both are resampled over the seeds and over the sequences at once (bootstrap), which are few of each.
    """

    mean: float
    error: float  # standard error
    closed_percent: float
    interval_percent: tuple[float, float]  # 95 %

    @staticmethod
    def between(errors: Mapping[str, np.ndarray]) -> "Gap":
        """`errors` of control, photometric and full, each of shape (seeds, sequences)."""
        control, ours, full = (errors[arm] for arm in ("control", "photometric", "full"))
        random = np.random.default_rng(0)
        seeds, sequences = (random.integers(0, size, (RESAMPLES, size)) for size in control.shape)
        chosen = seeds[:, :, None], sequences[:, None, :]
        gaps = (control - full)[chosen].mean(axis=(1, 2))
        gains = (control - ours)[chosen].mean(axis=(1, 2))
        low, high = np.percentile(100 * gains / gaps, (2.5, 97.5))
        gap = float((control - full).mean())
        return Gap(gap, float(gaps.std()), 100 * float((control - ours).mean()) / gap, (float(low), float(high)))

    def in_words(self) -> str:
        """The share with its interval, unless the gap is too narrow to be measured."""
        if self.mean < GAP_ERRORS * self.error:
            return f"no measurable gap ({self.mean:.1f} ± {self.error:.1f})"
        low, high = self.interval_percent
        return f"{self.closed_percent:.0f} % ({low:.0f} to {high:.0f})"


ABLATED = ("hand_joint_error_px", "object_vertex_error_px", "hand_joint_error_mm", "object_vertex_error_mm")


ABLATED_ROWS = {"3.33 %": "16 labels, one in thirty", "1.67 %": "8 labels, one in sixty"}
SPARSEST = "1.67 %"
METHOD, NEAR_TO_FAR, CONTROL_GRASP = "both (the demo's)", "both, from near to far", "control, grasp"


FIG8_ARMS = {"control": "control", "Eq. 1": "Eq. 1", METHOD: "photometric", NEAR_TO_FAR: "near to far"}


def ablation_lines() -> list[str]:
    """Each variant of the photometric term beside the control, Eq. 1 and the method, from the same stage 1."""
    path, curves = STORED / "ablation.json", STORED / "fig8-sample.json"
    if not (path.is_file() and curves.is_file()):
        return []
    rows, whole = json.loads(path.read_text()), from_json(json.loads(curves.read_text()))
    lines = [
        "### What the parts of the term are worth",
        "",
        "From the same stage-1 weights as Fig. 8's arms, with the same steps and draws (`python tools/ablation.py`); "
        f"seeds {', '.join(map(str, whole.seeds))}. Never-annotated frames; in brackets the change against Eq. 1, mean "
        "± standard deviation of the seeds' own changes. *both*: both warp directions, and half of the comparison on "
        "local contrast; λ_c of Eq. 1 is 3e-3, that of all others 1.2e-2. *from near to far*: pairs at most 5 frames "
        "apart at first, all of them from half of the steps on. *previous and next label*: each frame is compared with "
        "the label before it and the one after it in turn, instead of with the nearer. *grasp*: the palm keeps, in the "
        "object's frame, to where the pair's label has it (weight 0.1, the recipe `grasp`); the control with it sees "
        "no colours of pairs. *keypoints*: the reprojection of the shipped detector's joints (weight 3e-4). *twice "
        "the steps*: of stage 2. *best*: both, from near to far, grasp (weight 0.5), keypoints, twice the steps. "
        "*joints as input*: the network is also told where the detector sees the hand, in every picture (the recipe "
        "`best`).",
        "",
        "![Change of the error against Eq. 1](results/ablation.png)",
        "",
    ]
    changes: dict[str, dict[str, dict[str, list[float]]]] = {}
    for row, title in ABLATED_ROWS.items():
        scores = ablated_scores(rows, whole, row, "unannotated")
        order = [
            name
            for name in ("control", CONTROL_GRASP, "Eq. 1", "both directions", "local contrast", METHOD, NEAR_TO_FAR)
            if name in scores
        ]
        order += [name for name in scores if name not in order]
        lines += [f"{title[0].upper()}{title[1:]}:", ""]
        lines += ["| variant | " + " | ".join(metric.replace("_", " ") for metric in ABLATED) + " |"]
        lines += ["|---|" + "---|" * len(ABLATED)]
        for name in order:
            cells = []
            for metric in ABLATED:
                values, usual = scores[name][metric], scores["Eq. 1"][metric]
                change = [100 * (value / other - 1) for value, other in zip(values, usual, strict=True)]
                cells.append(mean_std(values) + ("" if name == "Eq. 1" else f" ({mean_std(change)} %)"))
                if name not in ("control", CONTROL_GRASP, "Eq. 1"):
                    changes.setdefault(title, {}).setdefault(name, {})[metric] = change
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        lines.append("")
    save_ablation(STORED / "ablation.png", changes)
    return lines + evaluation_lines(rows, whole)


def ablated_scores(
    rows: list[dict], whole: Result, row: str, group: Literal["unannotated", "evaluation"]
) -> dict[str, dict[str, list[float]]]:
    """The seeds' errors with so many labels: of Fig. 8's arms, then of the variants that have every seed."""
    arms = {one.arm: one for one in whole.rows if one.row == row}
    scores = {}
    for name, arm in FIG8_ARMS.items():
        found = arms[arm].unannotated if group == "unannotated" else arms[arm].measured
        scores[name] = {metric: list(found[metric]) for metric in ABLATED}
    own = [one for one in rows if one["row"] == row]
    for variant in dict.fromkeys(one["variant"] for one in own):
        by_seed = {one["seed"]: one[group] for one in own if one["variant"] == variant}
        if set(by_seed) >= set(whole.seeds):
            scores[variant] = {metric: [by_seed[seed][metric] for seed in whole.seeds] for metric in ABLATED}
    return scores


def evaluation_lines(rows: list[dict], whole: Result) -> list[str]:
    """The same variants on the evaluation sequences, beside full supervision: at one label in sixty."""
    full = next(one for one in whole.rows if one.arm == "full").measured
    wanted = [one for one in rows if "grasp" in one["variant"] or "best" in one["variant"]]
    scores = ablated_scores(wanted, whole, SPARSEST, "evaluation") | {"full": full}
    lines = [
        "The evaluation sequences with 8 labels, one in sixty, and with all:",
        "",
        "| variant | " + " | ".join(metric.replace("_", " ") for metric in ABLATED) + " |",
        "|---|" + "---|" * len(ABLATED),
    ]
    for name, values in scores.items():
        cells = [mean_std(list(values[metric])) for metric in ABLATED]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def save_ablation(path: Path, changes: dict[str, dict[str, dict[str, list[float]]]]) -> None:
    """The changes against Eq. 1 as bars, a panel for each number of labels."""
    figure, axes = plt.subplots(1, len(changes), figsize=(5.2 * len(changes), 3.4), sharex=True, layout="constrained")
    for panel, (title, variants) in zip(np.atleast_1d(axes), changes.items(), strict=True):
        height = 0.8 / len(ABLATED)
        for number, metric in enumerate(ABLATED):
            values = [found[metric] for found in variants.values()]
            places = np.arange(len(values)) + (number - (len(ABLATED) - 1) / 2) * height
            means = [statistics.fmean(one) for one in values]
            spreads = [statistics.stdev(one) for one in values]
            label = metric.replace("_error", "").replace("_", " ")
            panel.barh(places, means, height, xerr=spreads, label=label, error_kw={"elinewidth": 0.8})
        panel.set_yticks(np.arange(len(variants)), list(variants))
        panel.invert_yaxis()
        panel.axvline(0, color="black", linewidth=0.8)
        panel.set(title=title, xlabel="change against Eq. 1, %")
    np.atleast_1d(axes)[0].legend(fontsize=7)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def precision_lines() -> list[str]:
    """The demo's arms in bf16 and in fp32."""
    path = STORED / "precision.json"
    if not path.is_file():
        return []
    rows = json.loads(path.read_text())
    lines = [
        "### bf16 against fp32",
        "",
        "The demo's two arms with the encoder in bf16 and in fp32 (`python tools/precision.py`), seeds "
        f"{', '.join(map(str, sorted({row['seed'] for row in rows})))}, mean ± standard deviation over them.",
        "",
        "| frames | arm | precision | " + " | ".join(metric.replace("_", " ") for metric in ABLATED) + " |",
        "|---|---|---|" + "---|" * len(ABLATED),
    ]
    for group in GROUPS:
        for arm in ("control", "photometric"):
            for precision in ("bf16", "fp32"):
                chosen = [row[group] for row in rows if (row["arm"], row["precision"]) == (arm, precision)]
                cells = [mean_std([one[metric] for one in chosen]) for metric in ABLATED]
                lines.append(f"| {group} | {arm} | {precision} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def refine_lines() -> list[str]:
    """Predictions of training frames refined frame by frame, beside the networks' own."""
    path, curves = STORED / "refine.json", STORED / "fig8-sample.json"
    if not (path.is_file() and curves.is_file()):
        return []
    rows, whole = json.loads(path.read_text()), from_json(json.loads(curves.read_text()))
    seconds = [row["seconds"] for row in rows]
    lines = [
        "### Predictions of the training frames, refined frame by frame",
        "",
        "`densify` with the networks' own labels, on all eight training sequences (`python tools/refine_sample.py`): "
        "between the labels without any network, or from the predictions of an arm of Fig. 8 or of `best`. "
        "Never-annotated frames; *gap closed* as above, between the control and full supervision. One thread took "
        f"{min(seconds) / 60:.0f} to {max(seconds) / 60:.0f} minutes for the 480 frames, beside other work.",
        "",
        "| labels | what | " + " | ".join(f"{metric.replace('_', ' ')} | gap closed" for metric in ABLATED) + " |",
        "|---|---|" + "---|---|" * len(ABLATED),
    ]
    for row, title in ABLATED_ROWS.items():
        arms = {one.arm: one for one in whole.rows if one.row == row}
        control, full = arms["control"].unannotated, arms["control"].full_there
        kinds = {
            arm: {metric: list(arms[arm].unannotated[metric]) for metric in ABLATED}
            for arm in ("photometric", "near to far")
        }
        for start, name in (
            ("labels", "from the labels alone, refined"),
            ("photometric", "photometric, refined"),
            ("near to far", "near to far, refined"),
            ("both, grasp", "photometric and grasp, refined"),
            ("both, from near to far, grasp", "near to far and grasp, refined"),
            ("best", "best without joints as input, refined with keypoints"),
            ("best, joints as input", "best, refined with keypoints"),
        ):
            own = [one["after"] for one in rows if (one["row"], one["start"]) == (row, start)]
            if own:
                if start != "labels" and len(own) < len(whole.seeds):
                    name += f" ({len(own)} seed{'s' if len(own) > 1 else ''})"
                kinds[name] = {metric: [one[metric] for one in own] for metric in ABLATED}
        for name, values in kinds.items():
            cells = []
            for metric in ABLATED:
                top, bottom = statistics.fmean(control[metric]), statistics.fmean(full[metric])
                closed = 100 * (top - statistics.fmean(values[metric])) / (top - bottom)
                cells += [mean_std(values[metric]) if len(values[metric]) > 1 else f"{values[metric][0]:.1f}"]
                cells += [f"{closed:.0f} %"]
            lines.append(f"| {title.partition(',')[0]} | {name} | " + " | ".join(cells) + " |")
    return [*lines, ""]


SPARSE_ARMS = ("control", "Eq. 1", "photometric", "near to far")


def standard_error(values: list[float]) -> float:
    """Of the mean of a few values."""
    return statistics.stdev(values) / len(values) ** 0.5


def curve_lines() -> list[str]:
    """Fig. 8 on the sample data: each arm on both groups of frames, the paired differences, the closed gaps."""
    path = STORED / "fig8-sample.json"
    if not path.is_file():
        return []
    content = json.loads(path.read_text())
    result = from_json(content)
    save_curves(STORED / "fig8-sample", result, published().curves["fig8"])
    (STORED / "fig8-sample.svg").unlink()
    seeds = ", ".join(map(str, result.seeds))
    lines = [
        "## Fig. 8 on the shipped sample data",
        "",
        "`warpgrasp reproduce fig8 --data sample --out runs/record --ray auto --workers 2`, about an hour and a "
        f"quarter on two cores; seeds {seeds}, mean ± standard deviation over them. Labels are those of 480 training "
        "frames. *Eq. 1* is the term as the paper has it, *photometric* the demo's, *near to far* the demo's with "
        "pairs in that order; all start from the control's stage 1. *against control*: the mean of the seeds' own "
        "differences ± its standard error. *gap closed*: "
        f"1 − Σ(arm − full) / Σ(control − full) for photometric and near to far, where the gap is more than "
        f"{GAP_ERRORS} standard errors (over seeds) wide; *all*: the arm ends below *full*, which has the control's "
        "protocol, but whose stage 2 sees the 8 annotated pictures of a step alone, not 16 of pairs besides.",
        "",
        "![Errors against labels](results/fig8-sample.png)",
        "",
    ]
    full = next(row for row in result.rows if row.arm == "full")
    for title, group in (("Never-annotated training frames", "unannotated"), ("Evaluation sequences", "measured")):
        for metric in ABLATED:
            lines += [
                f"### {title}: {metric.replace('_', ' ')}",
                "",
                "| labels | control | Eq. 1 | photometric | near to far | full | photometric against control | "
                "gap closed |",
                "|---|---|---|---|---|---|---|---|",
            ]
            for name in dict.fromkeys(row.row for row in result.rows if row.arm in SPARSE_ARMS and row.frames):
                arms = {row.arm: row for row in result.rows if row.row == name}
                values = {arm: list(getattr(arms[arm], group)[metric]) for arm in SPARSE_ARMS}
                ends = list(arms["control"].full_there[metric] if group == "unannotated" else full.measured[metric])
                paired = [
                    ours - control for ours, control in zip(values["photometric"], values["control"], strict=True)
                ]
                gaps = [control - end for control, end in zip(values["control"], ends, strict=True)]
                closed = "no gap"
                if statistics.fmean(gaps) > GAP_ERRORS * standard_error(gaps):
                    shares = [
                        100 * (1 - (sum(values[arm]) - sum(ends)) / sum(gaps)) for arm in ("photometric", "near to far")
                    ]
                    closed = " / ".join(f"{share:.0f} %" if share <= 100 else "all" for share in shares)
                cells = [mean_std(values[arm]) for arm in SPARSE_ARMS] + [mean_std(ends)]
                difference = f"{statistics.fmean(paired):+.1f} ± {standard_error(paired):.1f}"
                lines.append(f"| {arms['control'].annotated} | " + " | ".join(cells) + f" | {difference} | {closed} |")
            lines.append("")
    return lines


def table_lines() -> list[str]:
    """Tables 1 to 3 on the sample data, where they were made."""
    results = [
        from_json(json.loads(path.read_text()))
        for number in (1, 2, 3)
        if (path := STORED / f"table{number}-sample.json").is_file()
    ]
    if not results:
        return []
    lines = [
        "## Tables 1 to 3 on the shipped sample data",
        "",
        "`warpgrasp reproduce table1 --data sample --out runs/record`, and so on: every label used, evaluation "
        f"sequences, camera space, no alignment; seeds {', '.join(map(str, results[0].seeds))}, mean ± standard "
        "deviation. What the paper measured on FPHAB does not compare.",
        "",
    ]
    for result in results:
        rows = [row for row in result.rows if row.frames]
        lines += [
            "| " + " | ".join([result.title.partition(",")[0], *(HEADS[metric] for metric in result.metrics)]) + " |",
            "|---|" + "---|" * len(result.metrics),
            *(
                "| " + " | ".join([row.row, *(row.in_words(metric) for metric in result.metrics)]) + " |"
                for row in rows
            ),
            "",
        ]
    return lines


SIGNS = (
    "difference_after",
    "compared_share",
    "frames_to_label",
    "acceleration_mm_per_frame2",
    "keypoints_px",
    "expected_error_mm",
)


def densify_lines() -> list[str]:
    """Recordings of three labels, or one, in sixty frames, carried on without a network."""
    path = STORED / "densify.json"
    if not path.is_file():
        return []
    found = json.loads(path.read_text())
    lines = [
        "## Recordings with three labels, and with one, in sixty frames (`densify`)",
        "",
        "`python tools/densify_sample.py`: four shipped sequences written as recordings, labels by 21 joints and "
        "object pose, keypoints by the shipped detector, or none (*colours alone*, `--keypoints none`). Errors of the "
        "frames without a label, camera space, no alignment, pixels of 320×240; seconds of one processor core.",
        "",
        "| recording | labels | seconds | hand, px | hand, mm | object, px | object, mm |",
        "|---|---|---|---|---|---|---|",
    ]
    for sequence, ways in found.items():
        for how, one in ways.items():
            scores = one["scores"]
            cells = [
                f"{scores[metric]:.1f}"
                for metric in (
                    "hand_joint_error_px",
                    "hand_joint_error_mm",
                    "object_vertex_error_px",
                    "object_vertex_error_mm",
                )
            ]
            labels = f"{how}: {', '.join(map(str, one['labels']))}"
            lines.append(f"| {sequence} | {labels} | {one['seconds']:.0f} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "Rank correlation (Spearman) of the signs in `quality.csv` with the true error (hand and object, px) over the "
        "frames of a recording:",
        "",
        "| recording | labels | difference of colours | compared share | frames to the label | acceleration | "
        "keypoints | expected error |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for sequence, ways in found.items():
        for how in ("even", "one in the middle"):
            signs = ways[how]["rank_correlations"]
            cells = [f"{signs[name]:.2f}" if name in signs else "" for name in SIGNS]
            lines.append(f"| {sequence} | {how} | " + " | ".join(cells) + " |")
    means = {
        how: {
            metric: statistics.fmean(ways[how]["scores"][metric] for ways in found.values())
            for metric in ("hand_joint_error_px", "object_vertex_error_px")
        }
        for how in next(iter(found.values()))
    }
    said = "; ".join(
        f"{how} {one['hand_joint_error_px']:.1f} / {one['object_vertex_error_px']:.1f}" for how, one in means.items()
    )
    lines += ["", f"Means over the recordings, hand / object px, by how the labels were chosen: {said}."]
    return [*lines, ""]


NEAR_MM, FAR_MM, DOUBTFUL = 10, 20, 64  # `Flag.DOUBTFUL`


def hard_lines() -> list[str]:
    """Hard generated recordings: how far off `densify` is, and whether it says so."""
    path = STORED / "densify_hard.json"
    if not path.is_file():
        return []
    found = json.loads(path.read_text())["reported"]
    lines = [
        "### Hard recordings, and whether doubtful frames are flagged",
        "",
        "`python tools/hard_recordings.py`: generated recordings of 36 frames, each with another difficulty; labels of "
        "two frames, or of one. A frame's error is the larger of hand (joints) and object (vertices), mm; flagged are "
        "frames with an expected error beyond 15 mm. Weights and bound of the expected error were chosen on the "
        "`chosen` half of such recordings, of other seeds and with the objects exchanged; these are the others.",
        "",
        f"| recording | labels | mean error | worst | within {NEAR_MM} mm, of these not flagged | "
        f"beyond {FAR_MM} mm, of these flagged | Spearman of expected and true error | s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    pooled: dict[str, list[np.ndarray]] = {}
    for kind, ways in found.items():
        for way, one in ways.items():
            errors = np.maximum(one["errors"]["hand_joint_error_mm"], one["errors"]["object_vertex_error_mm"])
            flagged = (np.array(one["flags"]) & DOUBTFUL) > 0
            expected = np.array(one["signs"]["expected_error_mm"])
            pooled.setdefault(way, []).append(np.stack([errors, flagged, expected]))
            lines.append(f"| {kind} | {way} | {_judged(errors, flagged, expected)} | {one['seconds']} |")
    for way, parts in pooled.items():
        errors, flagged, expected = np.concatenate(parts, axis=1)
        lines.append(f"| **all** | {way} | {_judged(errors, flagged > 0, expected)} | |")
    return [*lines, ""]


def _judged(errors: np.ndarray, flagged: np.ndarray, expected: np.ndarray) -> str:
    """The cells of a row: errors, and how well they are told."""

    def share(chosen: np.ndarray, told: np.ndarray) -> str:
        count = int(chosen.sum())
        return f"{count}: {100 * told[chosen].mean():.0f} %" if count else "0"

    near, far = share(errors < NEAR_MM, ~flagged), share(errors > FAR_MM, flagged)
    return f"{errors.mean():.1f} | {errors.max():.0f} | {near} | {far} | {spearmanr(expected, errors)[0]:.2f}"


def write() -> None:
    """docs/results.md, from the stored figures; what is said by hand lies in docs/results/notes.md."""
    results = [json.loads(path.read_text()) for path in sorted(STORED.glob("demo-seed*-results.json"))]
    sequences = [json.loads(path.read_text()) for path in sorted(STORED.glob("demo-seed*-sequences.json"))]
    labels, motion = results[0]["labels"], results[0]["motion_px"]
    lines = [
        "# Results",
        "",
        "Written by `python tools/results_page.py`; every figure comes from the JSON files in `docs/results/`.",
        "",
        "## The demo on the shipped sample data (`python tools/demo_seeds.py`)",
        "",
        f"Seeds {', '.join(str(result['seed']) for result in results)}; mean ± standard deviation over seeds. "
        f"{labels['annotated']} of {labels['total']} training frames annotated "
        f"({100 * labels['effective_fraction']:.1f} %, `--sampling paper`, one in 30). Camera space, no alignment; "
        "pixels of 320×240; the last checkpoint, never the best. "
        f"Surface points move by {motion['median']:.1f} px (median) and {motion['p95']:.1f} px (95th percentile) "
        "between an unannotated frame and its reference. "
        "*full*: every training frame annotated, trained by the control's protocol, both stages. "
        "*gap closed*: (control − photometric) / (control − full), in brackets its 95 % interval, resampled over seeds "
        f"and sequences; no measurable gap where control − full (± standard error) is below {GAP_ERRORS} errors. "
        f"The paper closes {PAPER_GAP['object_vertex_error_px']} % (object px) and "
        f"{PAPER_GAP['hand_joint_error_px']} % (hand px) on its test sequences. "
        "On the first table's frames *full* is trained on the frames it is scored on. "
        f"Seconds: {', '.join(format(result['seconds'], '.0f') for result in results)} in all, upper bound included.",
    ]
    for group, title in GROUPS.items():
        lines += ["", f"### {title[0].upper()}{title[1:]}", "", *table(results, sequences, group)]
    lines += ["", *precision_lines(), *curve_lines(), *ablation_lines()]
    lines += [*refine_lines(), *table_lines(), *densify_lines(), *hard_lines()]
    lines.append((STORED / "notes.md").read_text().strip())
    Path("docs/results.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    write()
