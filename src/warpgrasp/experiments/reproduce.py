"""A table or figure of the paper: train what is missing, predict, score, set beside what was published."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from warpgrasp.data import Dataset, fingerprint_of_frames
from warpgrasp.experiments.charts import save_curves, save_pck
from warpgrasp.experiments.dashboard import Board
from warpgrasp.experiments.demo import picture_size
from warpgrasp.experiments.plans import HAND_ROW, OBJECT_ROW, Experiment, networks, published
from warpgrasp.experiments.results import PckLine, Result, ResultRow, as_json, markdown
from warpgrasp.experiments.scoring import NetworkScores, Scoring, read_scores
from warpgrasp.experiments.sweep import (
    RUNS,
    Failure,
    Network,
    Plan,
    Runner,
    Setting,
    SweepError,
    UsedLabels,
    alone_in,
    plan,
)
from warpgrasp.training import Recipe, write_json

SAMPLE = "sample data"
PCK_CURVES = ("hand_joint_frame_pck_image", "object_corner_frame_pck_image", "object_vertex_frame_pck_image")
# What a network that was supervised on one part alone says of the other means nothing.
UNSUPERVISED: Mapping[str, str] = {HAND_ROW: "object_", OBJECT_ROW: "hand_"}


@dataclass(frozen=True)
class Reproduction:
    """An experiment on a data set, over some seeds."""

    experiment: Experiment
    seeds: tuple[int, ...]
    on_sample: bool
    quick: bool

    @property
    def file_name(self) -> str:
        """What its files are called; a smoke run's never replace measured ones."""
        return "-".join(
            [self.experiment.name, *(["sample"] if self.on_sample else []), *(["quick"] if self.quick else [])]
        )

    @property
    def networks(self) -> list[Network]:
        """What it takes."""
        return networks(self.experiment, seeds=self.seeds, on_sample=self.on_sample, quick=self.quick)

    def setting(self, dataset: Dataset, out: Path, extra: Sequence[Dataset], command: Sequence[str]) -> Setting:
        """Where its trainings are carried out. Pixels are the paper's on its own data, and those on disk elsewhere."""
        scored = [*dataset.names("evaluation"), *(dataset.names("train") if self.on_sample else ())]
        data = fingerprint_of_frames(dataset, scored)
        scoring = Scoring(None if self.on_sample else self.experiment.pixels, training=self.on_sample, data=data)
        return Setting(dataset, out, tuple(extra), scoring, tuple(command))


def reproduce(wanted: Reproduction, setting: Setting, runner: Runner, console: Console) -> Result:
    """Carry it out and write its files; returns what they hold.

    Raises `SweepError` when trainings failed, after everything else is done and written.
    """
    experiment = wanted.experiment
    with alone_in(setting.out):
        whole = plan(wanted.networks, setting)
        board = Board(whole, setting, experiment.metrics, console)
        with board.shown():
            failures = runner(whole, setting, board)
        result = result_of(wanted, whole, setting)
        write(wanted, result, whole, setting, failures)
    if failures:
        for one in failures:
            console.print(f"failed: {said(one)}", highlight=False, soft_wrap=True)
        raise SweepError(
            f"expected {len(whole.jobs)} trainings to end, but {len(failures)} failed: "
            f"{'; '.join(one.job.label for one in failures)}. Mend the cause and give the same command again: what is "
            f"finished stays"
        )
    return result


def said(failure: Failure) -> str:
    """A failure in a line, with where its log lies."""
    log = "" if failure.log is None else f" ({failure.log})"
    return f"{failure.job.label}: {failure.sentence}{log}"


def write(wanted: Reproduction, result: Result, whole: Plan, setting: Setting, failures: Sequence[Failure]) -> None:
    """The JSON file, the Markdown table, and the figure."""
    path = setting.out / wanted.file_name
    runs = [
        {"row": one.row, "arm": one.arm, "seed": one.recipe.seed, "folder": f"{RUNS}/{mark}"}
        for one, mark in whole.networks
        if read_scores(setting.folder(mark), setting.scoring) is not None
    ]
    failed = [{"label": one.job.label, "error": one.sentence} for one in failures]
    write_json(path.with_name(f"{path.name}.json"), as_json(result, runs, failed))
    page = markdown(result, [said(one) for one in failures])
    temporary = path.with_name(f".{path.name}.md")
    temporary.write_text(page, encoding="utf-8")
    temporary.replace(path.with_name(f"{path.name}.md"))
    if wanted.experiment.kind == "curves":
        save_curves(path, result, published().curves[wanted.experiment.name])
    if wanted.experiment.kind == "pck" and result.pck:
        save_pck(path, result)


def result_of(wanted: Reproduction, whole: Plan, setting: Setting) -> Result:
    """Everything that has been measured so far, beside everything that was published."""
    experiment = wanted.experiment
    grouped: dict[tuple[str, str], list[tuple[Recipe, str]]] = {}
    for network, mark in whole.networks:
        grouped.setdefault((network.row, network.arm), []).append((network.recipe, mark))
    scores = {mark: read_scores(setting.folder(mark), setting.scoring) for mark in whole.scored}
    rows = [_measured_row(experiment, row, arm, members, whole, scores) for (row, arm), members in grouped.items()]
    printed = published().tables.get(experiment.name) or published().curves.get(experiment.name)
    return Result(
        name=experiment.name,
        title=experiment.title,
        metrics=experiment.metrics,
        rows=(*rows, *_rows_of_the_paper_alone(experiment, rows)),
        pck=_pck(whole, scores) if experiment.kind == "pck" else (),
        source="" if printed is None else f"{printed.source} ({printed.data}; {printed.note})",
        paper_data=experiment.data,
        paper_metrics=() if printed is None else printed.metrics,
        data=SAMPLE if wanted.on_sample else setting.dataset.protocol,
        is_papers_data=setting.dataset.protocol == experiment.splits,
        is_smoke=wanted.quick,
        protocol=tuple(protocol_in_words(wanted, whole, setting, scores)),
        seeds=wanted.seeds,
    )


def _rows_of_the_paper_alone(experiment: Experiment, measured: Sequence[ResultRow]) -> list[ResultRow]:
    """What was published and has no counterpart among the rows that are measured."""
    table = published().tables.get(experiment.name)
    if table is not None:
        known = {row.row for row in measured}
        return [
            ResultRow(method, "", None, 0, 0, {}, cells) for method, cells in table.rows.items() if method not in known
        ]
    curves = published().curves.get(experiment.name)
    if curves is None:
        return []
    taken = {row.percent for row in measured}
    return [
        ResultRow(f"{percent:g} %", arm, None, 0, 0, {}, {name: curves.value(arm, name, percent) for name in values})
        for percent in curves.percent
        if percent not in taken
        for arm, values in curves.arms.items()
    ]


def _measured_row(
    experiment: Experiment,
    row: str,
    arm: str,
    members: Sequence[tuple[Recipe, str]],
    whole: Plan,
    scores: Mapping[str, NetworkScores | None],
) -> ResultRow:
    recipe, mark = members[0]
    percent = round(100 * recipe.fraction, 6)
    labels = whole.labels[mark]
    there = [one for _, member in members if (one := scores[member]) is not None]
    meaningless = UNSUPERVISED.get(row)
    measured = {
        metric: tuple(one.values[metric] for one in there)
        for metric in experiment.metrics
        if there and not (meaningless is not None and metric.startswith(meaningless))
    }
    full = [one for network, other in whole.networks if network.arm == "full" and (one := scores[other]) is not None]
    return ResultRow(
        row,
        arm,
        percent,
        labels.annotated,
        labels.frames,
        measured,
        _published_cells(experiment, row, arm, percent),
        unannotated=_training_means(experiment, there, labels),
        full_there=_training_means(experiment, full, labels),
    )


def _training_means(
    experiment: Experiment, networks: Sequence[NetworkScores], labels: UsedLabels
) -> dict[str, tuple[float, ...]]:
    """Mean errors of networks on the training frames whose annotation a training did not use."""
    chosen = [one.training for one in networks if one.training] if labels.unannotated else []
    return {
        metric: tuple(statistics.fmean(errors[metric][place] for place in labels.unannotated) for errors in chosen)
        for metric in (experiment.metrics if chosen else ())
    }


def _published_cells(experiment: Experiment, row: str, arm: str, percent: float) -> Mapping[str, float | None]:
    table = published().tables.get(experiment.name)
    if table is not None:
        return table.rows.get(row, {})
    curves = published().curves.get(experiment.name)
    if curves is None:
        return {}
    known = "control" if arm in ("control", "full") else "photometric"  # at 100 %: the network without the term
    return {metric: curves.value(known, metric, percent) for metric in curves.metrics}


def _pck(whole: Plan, scores: Mapping[str, NetworkScores | None]) -> tuple[PckLine, ...]:
    there = [one for _, mark in whole.networks if (one := scores[mark]) is not None]
    if not there:
        return ()
    return tuple(
        PckLine(
            name,
            tuple(there[0].curves[name]["thresholds_px"]),
            tuple(tuple(one.curves[name]["shares"]) for one in there),
        )
        for name in PCK_CURVES
    )


def protocol_in_words(
    wanted: Reproduction, whole: Plan, setting: Setting, scores: Mapping[str, NetworkScores | None]
) -> list[str]:
    """Split, alignment, units, points, training: what a number needs beside it."""
    experiment, dataset = wanted.experiment, setting.dataset
    counted = next((one for one in scores.values() if one is not None), None)
    frames = "no frames scored yet" if counted is None else f"{counted.frames} evaluation frames scored"
    if counted is not None and counted.left_out:
        frames += f", {counted.left_out} without annotation left out"
    width, height = picture_size(dataset) if setting.scoring.pixels is None else setting.scoring.pixels
    recipes = [network.recipe for network, _ in whole.networks]
    sizes = dict.fromkeys(f"{one.width}×{one.height}" for one in recipes)
    alignment = "Alignment: none, camera space"
    if experiment.name == "table2":
        alignment += "; relative to a joint: moved so that this joint meets the true one, neither turned nor scaled"
    sentences = [
        f"Split: {dataset.protocol}; {frames}.",
        f"{alignment}.",
        f"Units: millimetres, and pixels of {width}×{height} pictures; mean over the points of a frame, then over "
        "frames.",
        "Points: 21 hand joints (wrist, four of each finger with its tip); the distinct vertices of the object’s mesh "
        "file; the eight corners of its bounding box.",
        f"Hand model of data and network: {dataset.hand.template.name}.",
        f"Training: pictures read at {', '.join(sizes)}; {_steps_in_words(recipes)}; the last checkpoint, never the "
        "best.",
        f"Seeds: {', '.join(map(str, wanted.seeds))}; mean ± standard deviation over them (n − 1).",
    ]
    if experiment.kind == "curves":
        sentences.append(
            "control and photometric start from the same weights of stage 1 and differ in λ_c = 0 alone"
            + (
                "; so do Eq. 1, the term as the paper has it, and near to far, photometric with pairs in that order"
                if wanted.on_sample
                else ""
            )
            + "; with every frame annotated there is one network, without stage 2."
        )
    if experiment.splits.startswith("ho3d/") and not wanted.on_sample:
        sentences.append(
            "The paper trained on an early release of HO-3D, and on synthetic frames, that were never published: its "
            "values compare roughly."
        )
    for added in setting.extra:
        sentences.append(f"Every annotated frame of {added.root.name} ({added.protocol}) is trained on as well.")
    return sentences


def _steps_in_words(recipes: Sequence[Recipe]) -> str:
    """The lengths of both stages, and of which share of annotated frames they are where they differ."""
    shares: dict[str, list[str]] = {}
    for one in sorted(recipes, key=lambda recipe: recipe.fraction):
        second = f" + {one.stage2.steps:,}" if one.stage2.steps else ""
        said = shares.setdefault(f"{one.stage1.steps:,}{second} steps", [])
        share = f"{100 * one.fraction:.3g} %"
        if share not in said:
            said.append(share)
    if len(shares) == 1:
        return next(iter(shares))
    return "; ".join(f"{steps} at {', '.join(said)}" for steps, said in shares.items())
