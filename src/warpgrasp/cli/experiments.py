"""Experiments: `warpgrasp demo`, `reproduce`, the paper's tables and curves, and `figure`, its pictures."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from rich.table import Table

from warpgrasp.cli.options import (
    AS_USUAL,
    DataChoice,
    DataOptions,
    check_new,
    check_workers,
    console,
    hand_model,
    print_shares,
)
from warpgrasp.errors import UserError

if TYPE_CHECKING:
    from warpgrasp.data import Dataset, Labels
    from warpgrasp.experiments import Experiment, FinishedRun, Runner
    from warpgrasp.frame import FrameName

SAMPLE = Path("sample")
QUICK_SEEDS = 2  # as many as a spread takes
FIGURE_FRAMES = 4  # frames shown, unless they are named


class WrongDataError(UserError):
    """The data are not those that a table or figure is about."""


class FigureError(UserError):
    """A figure cannot be drawn from the runs and frames that are given."""


def demo(
    *,
    out: Path = Path("runs/demo"),
    data: Path | None = None,
    seed: int = 0,
    upper_bound: bool = False,
    recipe: Literal["demo", "toy"] = "demo",
) -> None:
    """Train from a few annotated frames with and without photometric consistency; score both; write a report.

    Args:
        out: Folder of the results; an interrupted demo goes on there.
        data: A data set in HO-3D's layout instead of the shipped sample.
        seed: Decides the initial weights, the order of the frames and the augmentation.
        upper_bound: Train also on every annotation, by the control's protocol.
        recipe: `toy` is a smoke run of seconds, and no evidence.
    """
    from warpgrasp.data import open_dataset
    from warpgrasp.data.sample import unpack_shipped
    from warpgrasp.experiments import report_of, run_demo
    from warpgrasp.files import write_json
    from warpgrasp.report import write_report
    from warpgrasp.training import RECIPES

    chosen = replace(RECIPES[recipe](), seed=seed)
    root = unpack_shipped(out / "data") if data is None else data
    dataset = open_dataset(root, hand_model("open", None))
    finished = run_demo(chosen, dataset, out, upper_bound=upper_bound, side_by_side=True)
    results = finished.results()
    write_json(out / "results.json", results)
    write_json(out / "sequences.json", finished.per_sequence())
    write_report(out / "report.html", report_of(finished))
    labels = results["labels"]
    print_shares(finished.training.labels)
    console.print(
        f"{labels['annotated']} of {labels['total']} training frames annotated "
        f"({100 * labels['effective_fraction']:.1f} %); camera space, no alignment; change: photometric against control"
    )
    for table in result_tables(results):
        console.print(table)
    console.print(f"{results['seconds']:.0f} s; {out / 'results.json'}; look at {out / 'report.html'}")


def result_tables(results: dict[str, Any]) -> list[Table]:
    """The demo's scores, as printed."""
    titles = {
        "unannotated": "Never-annotated frames of the training sequences",
        "evaluation": "Evaluation sequences",
    }
    arms = [arm for arm in ("control", "photometric", "full") if arm in results]
    tables = []
    for group, title in titles.items():
        table = Table(title=title, title_justify="left")
        table.add_column("mean error")
        for arm in arms:
            table.add_column(arm, justify="right")
        table.add_column("change", justify="right")
        for metric in results["control"][group]:
            values = [results[arm][group][metric] for arm in arms]
            change = 100 * (values[1] / values[0] - 1)
            table.add_row(metric.replace("_", " "), *(f"{value:.1f}" for value in values), f"{change:+.0f} %")
        tables.append(table)
    return tables


def reproduce(
    what: Annotated[Literal["table1", "table2", "table3", "fig5", "fig7", "fig8"], tyro.conf.Positional],
    /,
    *,
    data: Path,
    out: Path,
    seeds: tuple[int, ...] = (),
    quick: bool = False,
    extra_data: tuple[Path, ...] = (),
    ray: str | None = None,
    workers: int | None = None,
    read: DataChoice = AS_USUAL,
) -> None:
    """Make a table or figure of the paper: train what is missing, predict, score, set beside the published values.

    Args:
        what: The table or figure of the paper.
        data: The data set that it is about, `sample` for the shipped one, or an open benchmark (`sample --benchmark`).
        out: Folder of the results; trainings in it are never repeated, interrupted ones go on.
        seeds: Seeds of the trainings; 0 1 2 unless given, for fig7 the paper's five runs 0 to 4.
        quick: A smoke run on tiny pictures with a few steps and two seeds, which is no evidence.
        extra_data: More data sets to train on, such as synthetic ones for fig5 and fig7.
        ray: Spread the trainings by Ray: a cluster's address, or `auto` for the one here or else this machine.
        workers: Trainings at a time, with `--ray`.
        read: How the data set is read.
    """
    from warpgrasp.data import open_dataset
    from warpgrasp.data.benchmark import is_benchmark
    from warpgrasp.data.sample import unpack_shipped
    from warpgrasp.experiments import EXPERIMENTS, Reproduction
    from warpgrasp.experiments import reproduce as carry_out
    from warpgrasp.files import command_line

    runner = _runner(ray, workers)
    experiment = EXPERIMENTS[what]
    kind = "sample" if data == SAMPLE else "benchmark" if is_benchmark(data) else "paper"
    if kind == "sample":
        dataset = open_dataset(unpack_shipped(out / "data"), hand_model("open", None))
    else:
        options = read if kind == "benchmark" else _for_the_papers_data(experiment, data, read)
        dataset = options.open(data)
    usual = replace(read, layout=None, protocol=None)
    extra = [usual.open(root) for root in extra_data]
    usual_seeds = experiment.seeds[:QUICK_SEEDS] if quick else experiment.seeds
    wanted = Reproduction(experiment, seeds or usual_seeds, kind, quick)
    setting = wanted.setting(dataset, out, extra, command_line())
    result = carry_out(wanted, setting, runner, console)
    for warning in result.warnings:
        console.print(warning, style="bold", highlight=False, soft_wrap=True)
    written = sorted(path.name for path in out.glob(f"{wanted.file_name}.*"))
    console.print(f"wrote {', '.join(written)} in {out}", highlight=False, soft_wrap=True)


def _runner(ray: str | None, workers: int | None) -> "Runner":
    """In this process, or spread by Ray."""
    from warpgrasp.experiments import run_here, run_on_ray

    check_workers(ray, workers)
    if ray is None:
        return run_here
    return lambda sweep, setting, watcher: run_on_ray(sweep, setting, watcher, address=ray, workers=workers)


def _for_the_papers_data(experiment: "Experiment", data: Path, read: DataOptions) -> DataOptions:
    """Read the splits that the experiment is about, unless others are named.

    Raises `WrongDataError` for another layout.
    """
    from warpgrasp.data import layout_of

    layout, wanted = read.layout or layout_of(data), experiment.splits.partition("/")[0]
    if layout != wanted:
        raise WrongDataError(
            f"expected data in the layout {wanted} for {experiment.name}, found the layout {layout} in {data}; give "
            f"that data set, or `--data sample` for the shipped data, or a folder of `sample --benchmark`"
        )
    return read if read.protocol is not None else replace(read, protocol=experiment.splits)


def figure(
    number: Annotated[Literal["4", "6", "9", "10"], tyro.conf.Positional],
    /,
    *,
    run: tuple[Path, ...],
    data: Path,
    out: Path,
    frames: tuple[str, ...] = (),
    read: DataChoice = AS_USUAL,
    force: bool = False,
) -> None:
    """Draw the paper's Fig. 4, 6 (overlays and turned views), 9 (refinement) or 10 (shape) from finished runs.

    Args:
        number: The paper's number of the figure; 6 is 4 without the network trained on every label.
        run: Folders of runs, those of `demo`, `train` or `reproduce` (its runs/…); several make several columns.
        data: The data set.
        out: The picture to write (.png).
        frames: Frames to show, as SEQUENCE/NUMBER; some of the evaluation split unless given, for 9 of training.
        read: How the data set is read; in the splits of the first run unless others are named.
        force: Overwrite an existing picture.
    """
    from warpgrasp.experiments import FinishedRun, predictions_for
    from warpgrasp.report import save_overlays, save_shapes

    check_new(out, force=force)
    if out.suffix != ".png":
        raise FigureError(f"expected the name of a PNG file for --out, got {out}")
    runs = [FinishedRun.read(folder) for folder in run]
    reading = read if read.protocol is not None else replace(read, protocol=runs[0].protocol)
    dataset = reading.open(data)
    names = [_named(dataset, frame) for frame in frames]
    names = names or _chosen(dataset, runs[0].labels(dataset), training=number == "9")
    heading = f"{dataset.protocol} · errors of each frame in pixels on disk and mm, camera space, no alignment"
    out.parent.mkdir(parents=True, exist_ok=True)
    if number == "9":
        _draw_refinement(out, runs[0], dataset, names, heading)
    else:
        weights = _skeletons(runs) if number == "10" else _arms(runs, with_full=number == "4")
        arms = {arm: predictions_for(path, dataset, names) for arm, path in weights.items()}
        (save_shapes if number == "10" else save_overlays)(out, dataset, names, arms, heading=heading)
    console.print(f"wrote {out}", highlight=False, soft_wrap=True)


def _draw_refinement(out: Path, run: "FinishedRun", dataset: "Dataset", names: "list[FrameName]", heading: str) -> None:
    """Draw Fig. 9. Raises `FigureError` when no frame has a label to be compared with."""
    from warpgrasp.experiments import predictions_for
    from warpgrasp.report import save_refinement

    labels = run.labels(dataset)
    pairs = [(name, labels.reference(name)) for name in names if labels.annotated.get(name.sequence)]
    if not pairs:
        raise FigureError("expected frames of training sequences with an annotated frame for figure 9, got none")
    shown = sorted({name for pair in pairs for name in pair}, key=lambda name: (name.sequence, name.index))
    files = run.stages()
    if len(files) == 2:
        console.print("no weights between start and end of stage 2; `train … --snapshots 100 300` keeps some")
    stages = {head: predictions_for(path, dataset, shown) for head, path in files.items()}
    save_refinement(out, dataset, pairs, stages, heading=f"after steps of stage 2 · {heading}")


def _named(dataset: "Dataset", frame: str) -> "FrameName":
    """The frame called SEQUENCE/NUMBER. Raises `FigureError` when the data set has none of that name."""
    from warpgrasp.data import SPLITS
    from warpgrasp.frame import FrameName

    sequence, _, index = frame.rpartition("/")
    frames = {number for split in SPLITS for number in dataset.sequences[split].get(sequence, ())}
    if not index.isdecimal() or int(index) not in frames:
        examples = ", ".join(sequence for split in SPLITS for sequence in list(dataset.sequences[split])[:3])
        raise FigureError(f"expected frames as SEQUENCE/NUMBER of {dataset.root} ({examples}, …), got {frame!r}")
    return FrameName(sequence, int(index))


def _chosen(dataset: "Dataset", labels: "Labels", *, training: bool) -> list["FrameName"]:
    """A few frames, by the rule of the report; of the training split where there are no others."""
    from warpgrasp.report import choose_frames

    evaluation = {} if training else dataset.sequences["evaluation"]
    count = 0 if evaluation else FIGURE_FRAMES
    names = choose_frames(labels, evaluation, training_count=count, evaluation_count=FIGURE_FRAMES)
    if not names:
        raise FigureError(f"expected frames of {dataset.root} to show, found none; name some by --frames")
    return names


def _arms(runs: list["FinishedRun"], *, with_full: bool) -> dict[str, Path]:
    """Every network of the runs, under a name that tells it from the others; Fig. 6 has no fully supervised one."""
    arms: dict[str, Path] = {}
    for run in runs:
        for arm, path in run.weights().items():
            arms[arm if arm not in arms else f"{arm}, {run.folder.name}"] = path
    if not with_full:
        arms = {arm: path for arm, path in arms.items() if not arm.startswith("full")} or arms
    order = {"full": 0, "photometric": 1, "control": 2}
    return dict(sorted(arms.items(), key=lambda item: order.get(item[0].partition(",")[0], 3)))


def _skeletons(runs: list["FinishedRun"]) -> dict[str, Path]:
    """A network without and one with skeleton adaptation. Raises `FigureError` when one is missing."""
    from warpgrasp.experiments import has_adaptation

    by_adaptation: dict[bool, Path] = {}
    for run in runs:
        for path in run.weights().values():
            by_adaptation.setdefault(has_adaptation(path), path)
    if len(by_adaptation) < 2:
        given = "with" if True in by_adaptation else "without"
        raise FigureError(
            f"expected a run with and one without skeleton adaptation for figure 10, found only runs {given} it; give "
            f"both by --run A B, for example those of `reproduce table2`"
        )
    return {"no adaptation": by_adaptation[False], "skeleton adaptation": by_adaptation[True]}
