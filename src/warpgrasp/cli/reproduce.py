"""`warpgrasp reproduce`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from warpgrasp.cli.console import UsageError, console
from warpgrasp.cli.reading import AS_USUAL, DataChoice, DataOptions, hand_model
from warpgrasp.errors import UserError

if TYPE_CHECKING:
    from warpgrasp.training.experiments import Experiment
    from warpgrasp.training.sweep import Runner

SAMPLE = Path("sample")
QUICK_SEEDS = 2  # as many as a spread takes


class WrongDataError(UserError):
    """The data are not those that a table or figure is about."""


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
        what: The paper's number of it.
        data: The data set that it is about, or `sample` for the shipped one.
        out: Folder of the results; trainings in it are never repeated, interrupted ones go on.
        seeds: Seeds of the trainings; 0 1 2 unless given, for fig7 the paper's five runs 0 to 4.
        quick: A smoke run on tiny pictures with a few steps and two seeds, which is no evidence.
        extra_data: More data sets to train on, such as synthetic ones for fig5 and fig7.
        ray: Spread the trainings by Ray: a cluster's address, or `auto` for the one here or else this machine.
        workers: Trainings at a time, with `--ray`.
        read: How the data set is read.
    """
    from warpgrasp.data import open_dataset
    from warpgrasp.data.sample import unpack_shipped
    from warpgrasp.training.experiments import EXPERIMENTS
    from warpgrasp.training.reproduce import Reproduction
    from warpgrasp.training.reproduce import reproduce as carry_out
    from warpgrasp.training.run import command_line

    runner = _runner(ray, workers)
    experiment, on_sample = EXPERIMENTS[what], data == SAMPLE
    if on_sample:
        dataset = open_dataset(unpack_shipped(out / "data"), hand_model("open", None))
    else:
        dataset = _for_the_papers_data(experiment, data, read).open(data)
    usual = replace(read, layout=None, protocol=None)
    extra = [usual.open(root) for root in extra_data]
    usual_seeds = experiment.seeds[:QUICK_SEEDS] if quick else experiment.seeds
    wanted = Reproduction(experiment, seeds or usual_seeds, on_sample, quick)
    setting = wanted.setting(dataset, out, extra, command_line())
    result = carry_out(wanted, setting, runner, console)
    for warning in result.warnings:
        console.print(warning, style="bold", highlight=False, soft_wrap=True)
    written = sorted(path.name for path in out.glob(f"{wanted.file_name}.*"))
    console.print(f"wrote {', '.join(written)} in {out}", highlight=False, soft_wrap=True)


def _runner(ray: str | None, workers: int | None) -> "Runner":
    """In this process, or spread by Ray."""
    from warpgrasp.training.ray_workers import run_on_ray
    from warpgrasp.training.sweep import run_here

    if workers is not None and (ray is None or workers < 1):
        raise UsageError(f"expected --workers of at least 1, together with --ray, got {workers}")
    if ray is None:
        return run_here
    return lambda whole, setting, watcher: run_on_ray(whole, setting, watcher, address=ray, workers=workers)


def _for_the_papers_data(experiment: "Experiment", data: Path, read: DataOptions) -> DataOptions:
    """Read the splits that the experiment is about, unless others are named.

    Raises `WrongDataError` for another layout.
    """
    from warpgrasp.data import layout_of

    layout, wanted = read.layout or layout_of(data), experiment.splits.partition("/")[0]
    if layout != wanted:
        raise WrongDataError(
            f"expected data in the layout {wanted} for {experiment.name}, found the layout {layout} in {data}; give "
            f"that data set, or `--data sample` for the shipped data"
        )
    return read if read.protocol is not None else replace(read, protocol=experiment.splits)
