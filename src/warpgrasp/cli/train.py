"""`warpgrasp train RECIPE`."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from inspect import signature
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from warpgrasp.cli.masks import masks_of_recordings
from warpgrasp.cli.options import DataChoice, DataOptions, UsageError, console, parsed, print_shares
from warpgrasp.errors import UserError

if TYPE_CHECKING:
    from warpgrasp.training import LogOptions, Recipe, Training


class RecipeError(UserError):
    """A recipe does not fit its data."""


def train(arguments: Sequence[str]) -> None:
    """Train a recipe: stage 1 on the annotated frames, then stage 2 with pairs."""
    from warpgrasp.training import RECIPES

    if not arguments or arguments[0] in ("-h", "--help"):
        _print_recipes()
        return
    if arguments[0] not in RECIPES:
        raise UsageError(f"expected a recipe ({', '.join(RECIPES)}), got {arguments[0]!r}")
    options_type = _options_of(arguments[0], fraction=_fraction_in(arguments))
    _train(parsed(options_type, prog=f"warpgrasp train {arguments[0]}", arguments=arguments[1:]))


def _print_recipes() -> None:
    """What `warpgrasp train --help` prints."""
    from warpgrasp.training import RECIPES

    widest = max(map(len, RECIPES))
    console.print("usage: warpgrasp train RECIPE --data DIR --out RUN [OPTIONS]")
    console.print()
    for name, recipe in RECIPES.items():
        summary = (recipe.__doc__ or "").strip().splitlines()[0]
        console.print(f"  {name:{widest}} {summary}", highlight=False, soft_wrap=True)
    console.print()
    console.print("`warpgrasp train RECIPE --help` lists every field of a recipe.")


def _options_of(name: str, *, fraction: float | None) -> type[Any]:
    """The options of training a recipe, whose settings are the defaults."""
    from warpgrasp.data import OnBad
    from warpgrasp.training import RECIPES, Recipe, Tracker

    def recipe_as_usual() -> Recipe:
        make = RECIPES[name]
        return make(fraction) if fraction is not None and "fraction" in signature(make).parameters else make()

    @dataclass(frozen=True)
    class TrainOptions:
        data: Path
        """A data set."""
        out: Path
        """Folder of the run; the same command goes on with it when it was interrupted."""
        extra_data: tuple[Path, ...] = ()
        """More data sets, such as synthetic ones, whose annotations are all used; of their usual protocols."""
        masks: Path | None = None
        """Silhouettes of your own recordings' frames without a label, as `densify --masks` takes them: of one recording
        a folder of PNG files or a JSON file of run lengths, of many a folder of these, named as the recordings are."""
        recipe: Annotated[Recipe, tyro.conf.arg(name="")] = field(default_factory=recipe_as_usual)
        control: bool = False
        """Train the recipe's control: the same but λ_c = 0."""
        read: DataChoice = field(default_factory=DataOptions)
        bad_frames: OnBad = "refuse"
        """What is done with a frame that cannot be read: `skip` leaves it out, and lists it in the run's run.json."""
        snapshots: tuple[int, ...] = ()
        """Also keep the weights after so many steps of stage 2 (for `figure 9`)."""
        measure_every: int = 0
        """About every so many steps also log mean errors on a few frames of each group; 0: never."""
        tracker: Tracker | None = None
        """Where the curves go besides the run's own log; to TensorBoard, if it is installed, unless it is given."""

    return TrainOptions


def _fraction_in(arguments: Sequence[str]) -> float | None:
    """The value of `--fraction`, which decides the usual length of some recipes; tyro refuses one that is no number."""
    words = [part for word in arguments for part in word.split("=", 1)]
    for option, value in pairwise(words):
        if option == "--fraction":
            with suppress(ValueError):
                return float(value)
    return None


def _read_options(options: Any) -> DataOptions:
    """How the data are read: by the recipe's splits, unless others are named.

    Raises `RecipeError` when the data have no such splits.
    """
    from warpgrasp.data import layout_of

    splits = options.recipe.splits
    if splits is None or options.read.protocol is not None:
        return options.read
    layout, wanted = options.read.layout or layout_of(options.data), splits.partition("/")[0]
    if layout != wanted:
        raise RecipeError(
            f"expected data in the layout {wanted} for the recipe {options.recipe.name}, which is about the splits "
            f"{splits}, found the layout {layout} in {options.data}; to train it there all the same, choose splits by "
            f"--protocol"
        )
    return replace(options.read, protocol=splits)


def _train(options: Any) -> None:
    from warpgrasp.files import command_line
    from warpgrasp.training import LogOptions, Monitor, Training, choose_tracker, is_main, open_run

    recipe = _recipe_of(options)
    tracker = choose_tracker(options.tracker)
    usual = replace(options.read, layout=None, protocol=None)
    extra = [usual.open(root) for root in options.extra_data]
    dataset = _read_options(options).open(options.data)
    masks = None if options.masks is None else masks_of_recordings(options.masks, dataset)
    training = Training.prepare(recipe, dataset, extra, on_bad=options.bad_frames, masks=masks)
    if options.measure_every < 0:
        raise UsageError(f"expected --measure-every of at least 0, got {options.measure_every}")
    measure = Monitor.of(training) if options.measure_every else None
    log = LogOptions(tracker, options.snapshots, measure, options.measure_every)
    console.quiet = not is_main()
    with open_run(training, options.out, command=command_line()):
        _print_labels(training, with_extra_data=bool(extra))
        _train_stages(training, options.out, log)


def _recipe_of(options: Any) -> "Recipe":
    """The recipe that is trained. Raises `UsageError` for a weight of silhouettes without any."""
    recipe = options.recipe
    if options.masks is not None:
        recipe = recipe.with_silhouettes()
    elif recipe.photometric.silhouette_weight:
        raise UsageError("expected --masks with --photometric.silhouette-weight, got none")
    return recipe.as_control() if options.control else recipe


def _print_labels(training: "Training", *, with_extra_data: bool) -> None:
    share = training.labels.share
    console.print(
        f"{share.annotated} of {share.frames} frames annotated ({100 * share.fraction:.2f} %), "
        f"{len(training.objects)} objects, seed {training.recipe.seed}"
        + (f"; {len(training.added_names)} annotated frames of extra data" if with_extra_data else "")
    )
    print_shares(training.labels)
    if training.masks is not None:
        console.print(f"masks of hand or object in {len(training.masks)} frames without a label", highlight=False)


def _train_stages(training: "Training", out: Path, log: "LogOptions") -> None:
    from warpgrasp.training import train_stage

    recipe, final = training.recipe, out / "weights.safetensors"
    if final.is_file():
        console.print(f"finished already: {final}")
        return
    first_log = replace(log, snapshots=())
    if recipe.stage2.steps == 0:
        train_stage(training, recipe.stage1, final, log=first_log)
    else:
        first = train_stage(training, recipe.stage1, out / "stage1.safetensors", log=first_log)
        train_stage(training, recipe.stage2, final, initial=first, log=log)
    if training.source.bad:
        console.print(f"left out {len(training.source.bad)} bad frames, listed in {out / 'run.json'}")
    console.print(f"wrote {final}")
