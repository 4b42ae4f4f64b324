"""A table or figure of the paper reproduced: train, predict, score, and set beside the published values."""

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from warpgrasp.data import Dataset, fingerprint_of_frames
from warpgrasp.errors import UserError
from warpgrasp.experiments.charts import save_curves, save_pck
from warpgrasp.experiments.dashboard import Dashboard
from warpgrasp.experiments.plans import HAND_ROW, OBJECT_ROW, DataKind, Experiment, networks, published
from warpgrasp.experiments.results import PckLine, Result, ResultRow, as_json, markdown
from warpgrasp.experiments.scoring import NetworkScores, Scoring, picture_size, read_scores
from warpgrasp.experiments.sweep import RUNS, Failure, Network, Plan, Runner, Setting, UsedLabels, plan
from warpgrasp.files import write_json, write_text
from warpgrasp.locks import alone_in
from warpgrasp.training import Recipe

SAMPLE, BENCHMARK = "sample data", "open benchmark"
PCK_CURVES = ("hand_joint_frame_pck_image", "object_corner_frame_pck_image", "object_vertex_frame_pck_image")
# A network that was supervised on one part alone predicts nothing meaningful of the other.
UNSUPERVISED: Mapping[str, str] = {HAND_ROW: "object_", OBJECT_ROW: "hand_"}


class SweepError(UserError):
    """Some trainings of a sweep failed."""


@dataclass(frozen=True)
class Reproduction:
    """An experiment on a data set, over some seeds."""

    experiment: Experiment
    seeds: tuple[int, ...]
    data: DataKind
    quick: bool

    @property
    def is_generated(self) -> bool:
        """Whether its data are generated instead of the paper's, and its settings the demo's."""
        return self.data != "paper"

    @property
    def file_name(self) -> str:
        """The name of its files, without a suffix; a smoke run's never replace measured ones."""
        data = f"-{self.data}" * self.is_generated
        return f"{self.experiment.name}{data}{'-quick' * self.quick}"

    @property
    def networks(self) -> list[Network]:
        """The networks that it takes."""
        return networks(self.experiment, seeds=self.seeds, data=self.data, quick=self.quick)

    def setting(self, dataset: Dataset, out: Path, extra: Sequence[Dataset], command: Sequence[str]) -> Setting:
        """Its trainings' folder and data. Pixels are the paper's on its own data, and those on disk elsewhere."""
        scored = [*dataset.names("evaluation"), *(dataset.names("train") if self.is_generated else ())]
        data = fingerprint_of_frames(dataset, scored)
        scoring = Scoring(None if self.is_generated else self.experiment.pixels, training=self.is_generated, data=data)
        return Setting(dataset, out, tuple(extra), scoring, tuple(command))


def reproduce(wanted: Reproduction, setting: Setting, runner: Runner, console: Console) -> Result:
    """Carry out a reproduction, write its files, and return their content.

    Raises `LockedError` when another command is at work in the folder, and `SweepError` when trainings failed, after
    everything else is done and written.
    """
    out = setting.out
    with alone_in(out):
        sweep = plan(wanted.networks, setting)
        dashboard = Dashboard(sweep, setting, wanted.experiment.metrics, console)
        with dashboard.shown():
            failures = runner(sweep, setting, dashboard)
        result = result_of(wanted, sweep, setting)
        write(wanted, result, sweep, setting, failures)
    for failure in failures:
        console.print(f"failed: {failure_in_words(failure)}", highlight=False, soft_wrap=True)
    if failures:
        raise SweepError(
            f"expected {len(sweep.jobs)} trainings to end, but {len(failures)} failed: "
            f"{'; '.join(failure.job.label for failure in failures)}. Mend the cause and give the same command again: "
            f"what is finished stays"
        )
    return result


def failure_in_words(failure: Failure) -> str:
    """A failure in a line, with the file of its log."""
    log = "" if failure.log is None else f" ({failure.log})"
    return f"{failure.job.label}: {failure.sentence}{log}"


def write(wanted: Reproduction, result: Result, sweep: Plan, setting: Setting, failures: Sequence[Failure]) -> None:
    """The JSON file, the Markdown table, and the figure."""
    path = setting.out / wanted.file_name
    runs = [
        {"row": network.row, "arm": network.arm, "seed": network.recipe.seed, "folder": f"{RUNS}/{fingerprint}"}
        for network, fingerprint in sweep.networks
        if read_scores(setting.folder(fingerprint), setting.scoring) is not None
    ]
    failed = [{"label": failure.job.label, "error": failure.sentence} for failure in failures]
    write_json(path.with_name(f"{path.name}.json"), as_json(result, runs, failed))
    write_text(path.with_name(f"{path.name}.md"), markdown(result, [failure_in_words(failure) for failure in failures]))
    if wanted.experiment.kind == "curves":
        save_curves(path, result, published().curves[wanted.experiment.name])
    if wanted.experiment.kind == "pck" and result.pck:
        save_pck(path, result)


def result_of(wanted: Reproduction, sweep: Plan, setting: Setting) -> Result:
    """Everything that has been measured so far, beside everything that was published."""
    experiment = wanted.experiment
    grouped: dict[tuple[str, str], list[tuple[Recipe, str]]] = {}
    for network, fingerprint in sweep.networks:
        grouped.setdefault((network.row, network.arm), []).append((network.recipe, fingerprint))
    scores = {job: read_scores(setting.folder(job), setting.scoring) for job in sweep.scored}
    rows = [_measured_row(experiment, row, arm, members, sweep, scores) for (row, arm), members in grouped.items()]
    printed = published().tables.get(experiment.name) or published().curves.get(experiment.name)
    return Result(
        name=experiment.name,
        title=experiment.title,
        metrics=experiment.metrics,
        rows=(*rows, *_rows_of_the_paper_alone(experiment, rows)),
        pck=_pck(sweep, scores) if experiment.kind == "pck" else (),
        source="" if printed is None else f"{printed.source} ({printed.data}; {printed.note})",
        paper_data=experiment.data,
        paper_metrics=() if printed is None else printed.metrics,
        data=_data_in_words(wanted, setting),
        is_papers_data=setting.dataset.protocol == experiment.splits,
        is_smoke=wanted.quick,
        protocol=tuple(protocol_in_words(wanted, sweep, setting, scores)),
        seeds=wanted.seeds,
    )


def _data_in_words(wanted: Reproduction, setting: Setting) -> str:
    return {"sample": SAMPLE, "benchmark": BENCHMARK}.get(wanted.data, setting.dataset.protocol)


def _rows_of_the_paper_alone(experiment: Experiment, measured: Sequence[ResultRow]) -> list[ResultRow]:
    """The published rows that have no counterpart among the measured ones."""
    table = published().tables.get(experiment.name)
    if table is not None:
        methods = {row.row for row in measured}
        return [
            ResultRow(method, "", None, 0, 0, {}, cells)
            for method, cells in table.rows.items()
            if method not in methods
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
    sweep: Plan,
    scores: Mapping[str, NetworkScores | None],
) -> ResultRow:
    recipe, fingerprint = members[0]
    percent = round(100 * recipe.fraction, 6)
    labels = sweep.labels[fingerprint]
    scored = _scored(scores, (job for _, job in members))
    meaningless = UNSUPERVISED.get(row)
    measured = {
        metric: tuple(seed.values[metric] for seed in scored)
        for metric in experiment.metrics
        if scored and not (meaningless is not None and metric.startswith(meaningless))
    }
    full = _scored(scores, (job for network, job in sweep.networks if network.arm == "full"))
    return ResultRow(
        row,
        arm,
        percent,
        labels.annotated,
        labels.frames,
        measured,
        _published_cells(experiment, row, arm, percent),
        unannotated=_training_means(experiment, scored, labels),
        full_there=_training_means(experiment, full, labels),
    )


def _scored(scores: Mapping[str, NetworkScores | None], jobs: Iterable[str]) -> list[NetworkScores]:
    """The scores of those jobs that have some."""
    return [job_scores for job in jobs if (job_scores := scores[job]) is not None]


def _training_means(
    experiment: Experiment, networks: Sequence[NetworkScores], labels: UsedLabels
) -> dict[str, tuple[float, ...]]:
    """Mean errors of networks on the training frames whose annotation a training did not use."""
    chosen = [network.training for network in networks if network.training] if labels.unannotated else []
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
    published_arm = "control" if arm in ("control", "full") else "photometric"  # at 100 %: the network without the term
    return {metric: curves.value(published_arm, metric, percent) for metric in curves.metrics}


def _pck(sweep: Plan, scores: Mapping[str, NetworkScores | None]) -> tuple[PckLine, ...]:
    scored = _scored(scores, (job for _, job in sweep.networks))
    if not scored:
        return ()
    return tuple(
        PckLine(
            name,
            tuple(scored[0].curves[name]["thresholds_px"]),
            tuple(tuple(seed.curves[name]["shares"]) for seed in scored),
        )
        for name in PCK_CURVES
    )


def protocol_in_words(
    wanted: Reproduction, sweep: Plan, setting: Setting, scores: Mapping[str, NetworkScores | None]
) -> list[str]:
    """Split, alignment, units, points and training, which stand beside every number."""
    width, height = picture_size(setting.dataset) if setting.scoring.pixels is None else setting.scoring.pixels
    recipes = [network.recipe for network, _ in sweep.networks]
    sizes = dict.fromkeys(f"{recipe.width}×{recipe.height}" for recipe in recipes)
    alignment = "Alignment: none, camera space"
    if wanted.experiment.name == "table2":
        alignment += "; relative to a joint: moved so that this joint meets the true one, neither turned nor scaled"
    return [
        f"Split: {setting.dataset.protocol}; {_frames_in_words(scores)}.",
        f"{alignment}.",
        f"Units: millimetres, and pixels of {width}×{height} pictures; mean over the points of a frame, then over "
        "frames.",
        "Points: 21 hand joints (wrist, four of each finger with its tip); the distinct vertices of the object’s mesh "
        "file; the eight corners of its bounding box.",
        f"Hand model of data and network: {setting.dataset.hand.template.name}.",
        f"Training: pictures read at {', '.join(sizes)}; {_steps_in_words(recipes)}; the last checkpoint, never the "
        "best.",
        f"Seeds: {', '.join(map(str, wanted.seeds))}; mean ± standard deviation over them (n − 1).",
        *_arms_in_words(wanted, setting),
    ]


def _frames_in_words(scores: Mapping[str, NetworkScores | None]) -> str:
    """How many evaluation frames were scored."""
    counted = next((network for network in scores.values() if network is not None), None)
    if counted is None:
        return "no frames scored yet"
    left_out = f", {counted.left_out} without annotation left out" if counted.left_out else ""
    return f"{counted.frames} evaluation frames scored{left_out}"


def _arms_in_words(wanted: Reproduction, setting: Setting) -> Iterator[str]:
    """How the arms differ, and the data that they were trained on."""
    if wanted.experiment.kind == "curves" and wanted.data == "benchmark":
        yield (
            "control sees labels alone, in space, 2D also in the picture; Eq. 1 is the term as the paper has it; "
            "best is all that helps, keypoints as an input among them; control, told is the control with this input; "
            "full and full, told are trained as these two controls, on every label."
        )
    elif wanted.experiment.kind == "curves":
        full = "with every frame annotated there is one network, without stage 2"
        if wanted.data == "sample":
            full = "with every frame annotated there is one network, trained as the control is"
        on_sample = (
            "; so do Eq. 1, the term as the paper has it, and near to far, photometric with pairs in that order"
            if wanted.data == "sample"
            else ""
        )
        yield (
            "control and photometric start from the same weights of stage 1 and differ in λ_c = 0 alone"
            f"{on_sample}; {full}."
        )
    if wanted.experiment.splits.startswith("ho3d/") and not wanted.is_generated:
        yield (
            "The paper trained on an early release of HO-3D, and on synthetic frames, that were never published: its "
            "values compare roughly."
        )
    for added in setting.extra:
        yield f"Every annotated frame of {added.root.name} ({added.protocol}) is trained on as well."


def _steps_in_words(recipes: Sequence[Recipe]) -> str:
    """The lengths of both stages, and of which share of annotated frames they are where they differ."""
    shares: dict[str, list[str]] = {}
    for recipe in sorted(recipes, key=lambda recipe: recipe.fraction):
        second = f" + {recipe.stage2.steps:,}" if recipe.stage2.steps else ""
        of_length = shares.setdefault(f"{recipe.stage1.steps:,}{second} steps", [])
        share = f"{100 * recipe.fraction:.3g} %"
        if share not in of_length:
            of_length.append(share)
    if len(shares) == 1:
        return next(iter(shares))
    return "; ".join(f"{steps} at {', '.join(of_length)}" for steps, of_length in shares.items())
