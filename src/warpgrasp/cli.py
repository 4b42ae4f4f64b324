"""The command line: `warpgrasp sample · demo · train · predict · evaluate · doctor`.

Heavy imports are made by the command that needs them, so that `--help` answers at once.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from rich.console import Console
from rich.table import Table

from warpgrasp.errors import UserError

if TYPE_CHECKING:
    from warpgrasp.data import Dataset, Labels, Sides
    from warpgrasp.hand import HandModel

console = Console()

OutFolder = Annotated[Path, tyro.conf.Positional]
HandChoice = Literal["open", "mano"]
Layout = Literal["ho3d", "fphab", "dexycb", "recording"]  # as in data/layouts.py, which is too heavy for `--help`
SEQUENCES_SHOWN = 20  # one by one; of more, a summary


@dataclass(frozen=True)
class DataOptions:
    """How a folder of data is read."""

    layout: Layout | None = None
    """The folder's layout; told from its files unless it is given."""
    protocol: str | None = None
    """Which of the layout's splits (docs/datasets.md); its usual ones unless it is given."""
    hand: HandChoice = "open"
    """The hand model that the annotations were made with."""
    mano_folder: Path | None = None
    """Where MANO_RIGHT.pkl lies (and MANO_LEFT.pkl, where left hands are read), for `--hand mano`."""
    side: Literal["right", "left", "both"] = "right"
    """Which hands of DexYCB are read; left ones as their mirror image."""
    left_shapedirs: Literal["as-labelled", "corrected"] = "as-labelled"
    """The shape of DexYCB's left hands: as they were labelled, with MANO's wrong sign, or corrected."""

    def open(self, root: Path, *, size: tuple[int, int] | None = None) -> "Dataset":
        """The data set in a folder."""
        from warpgrasp.data import open_dataset

        model = hand_model(self.hand, self.mano_folder)
        return open_dataset(root, model, size=size, layout=self.layout, protocol=self.protocol, sides=self.sides())

    def sides(self) -> "Sides":
        """Which hands are read, with the left hand model where it is needed."""
        from warpgrasp.data import Sides

        left = None if self.side == "right" else hand_model(self.hand, self.mano_folder, side="left")
        return Sides(self.side, left, self.left_shapedirs)


DataChoice = Annotated[DataOptions, tyro.conf.arg(name="")]


def sample(out: OutFolder, /, *, sequences: int = 8, frames: int = 60, seed: int = 0) -> None:
    """Generate sample data in HO-3D's layout, drawn by the built-in renderer.

    Args:
        out: Folder to write; it must not exist yet.
        sequences: Training sequences; a quarter as many come on top for evaluation.
        frames: Frames of each sequence.
        seed: Decides grasps, motions, skins, light and backgrounds.
    """
    from warpgrasp.data.sample.generate import generate

    generate(out, sequences=sequences, frames=frames, seed=seed)
    console.print(f"wrote {sequences} + {max(1, sequences // 4)} sequences of {frames} frames to {out}")


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
        upper_bound: Train also on every annotation, with the steps of both stages.
        recipe: `toy` is a smoke run of seconds, and no evidence.
    """
    from warpgrasp.data import open_dataset
    from warpgrasp.data.sample import unpack_shipped
    from warpgrasp.evaluation.report import write_report
    from warpgrasp.training.demo import report_of, run_demo
    from warpgrasp.training.recipes import RECIPES
    from warpgrasp.training.run import write_json

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


def predict(
    input: OutFolder,
    /,
    *,
    weights: Path,
    out: Path,
    split: Literal["train", "validation", "evaluation"] | None = None,
    read: DataChoice = DataOptions(),
    batch: int = 16,
    precision: Literal["auto", "fp32", "bf16"] = "fp32",
    force: bool = False,
) -> None:
    """Reconstruct hand and object in every frame of a data set's split.

    Args:
        input: A data set, or a recording.
        weights: A run's folder, or a checkpoint.
        out: The predictions file to write (.npz).
        split: Which frames; `evaluation` where the data set has such, else `train`.
        read: How the data set is read.
        batch: Frames at once.
        precision: Arithmetic of the encoder; `auto`: bf16 where the hardware has it.
        force: Overwrite an existing file.
    """
    import torch

    from warpgrasp.inference import PredictionsError
    from warpgrasp.inference import predict as predict_frames
    from warpgrasp.reconstruction import load_checkpoint, precision_on
    from warpgrasp.training.run import commit

    if out.exists() and not force:
        raise PredictionsError(f"expected to write a new file, but {out} exists already; overwrite it by --force")
    path = weights / "weights.safetensors" if weights.is_dir() else weights
    checkpoint = load_checkpoint(path)
    size = (int(checkpoint.training["width"]), int(checkpoint.training["height"]))
    dataset = read.open(input, size=size)
    split = split or ("evaluation" if dataset.names("evaluation") else "train")
    names = dataset.names(split)
    if not names:
        raise PredictionsError(
            f"expected frames in the split {split} of {input}, found none; choose another by --split"
        )
    checkpoint.check_objects(dataset.objects(split))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = checkpoint.network(dataset.hand).to(device)
    network.encoder_precision = precision_on(device, precision)
    header = {
        "weights_sha256": checkpoint.sha256,
        "hand": checkpoint.hand,
        "protocol": dataset.protocol,
        "split": split,
        "precision": network.encoder_precision,
        "commit": commit(),
        **checkpoint.training,
    }
    predict_frames(network, dataset, names, out, header=header, batch=batch)
    console.print(f"wrote {len(names)} frames ({split}) to {out}")


def evaluate(
    file: OutFolder,
    /,
    *,
    data: Path,
    out: Path | None = None,
    read: DataChoice = DataOptions(),
    contact: bool = False,
    ho3d_official: bool = False,
    submission: Path | None = None,
    force: bool = False,
) -> None:
    """Score a predictions file against a data set's annotations.

    Args:
        file: What `predict` wrote.
        data: The data set.
        out: Also write the scores as JSON.
        read: How the data set is read.
        contact: Also measure penetration, shared volume and contact of predicted hand and object (slower).
        ho3d_official: Also compute the fourteen figures of HO-3D's own script, on its evaluation split.
        submission: Also write the zip file that HO-3D's challenge takes.
        force: Overwrite an existing submission.
    """
    from warpgrasp.data import SPLITS
    from warpgrasp.evaluation.assessment import assess
    from warpgrasp.evaluation.ho3d_official import official_scores
    from warpgrasp.evaluation.ho3d_submission import ChallengeHands, evaluation_names, write_submission
    from warpgrasp.evaluation.metrics import EvaluationError, score
    from warpgrasp.evaluation.tables import figure_table, official_table, score_table
    from warpgrasp.inference import read_predictions
    from warpgrasp.training.run import write_json

    if submission is not None and submission.exists() and not force:
        raise EvaluationError(f"expected to write a new file, but {submission} exists already; overwrite it by --force")
    predictions, header = read_predictions(file)
    dataset = read.open(data)
    challenge = ho3d_official or submission is not None
    hands = ChallengeHands.predicted(predictions, evaluation_names(dataset)) if challenge else None
    names = dataset.names(header["split"]) if header.get("split") in SPLITS else predictions.names
    without_truth = [name for name in names if not dataset.is_annotated(name)]
    unscored = set(without_truth)
    names = [name for name in names if name not in unscored]
    if not names:
        raise UserError(f"expected frames with annotation among the predicted ones in {data}, found none to score")
    scores = score(predictions, dataset, names)
    assessment = assess(predictions, dataset, names, contact=contact)
    official = official_scores(hands, ChallengeHands.true(dataset)) if hands is not None and ho3d_official else None
    left_out = f", {len(without_truth)} without annotation left out" if without_truth else ""
    console.print(score_table(f"{len(names)} frames{left_out} · camera space, no alignment", scores.means))
    console.print(figure_table(assessment))
    if official is not None:
        console.print(official_table(official))
    if out is not None:
        content = {
            "frames": len(names),
            "frames_without_truth": len(without_truth),
            "predictions": header,
            "scores_alignment": "camera space, none",
            "scores": scores.means,
            **asdict(assessment),
            **({} if official is None else {"ho3d_official": asdict(official)}),
        }
        write_json(out, content)
    if hands is not None and submission is not None:
        write_submission(submission, hands)
        console.print(f"wrote {len(hands.joints)} frames to {submission}, for HO-3D's challenge")


def doctor(*, data: Path | None = None, read: DataChoice = DataOptions()) -> None:
    """Check the installation, the hand model and, if given, a data set; say what is missing.

    Args:
        data: A data set to check.
        read: How the data set is read.
    """
    import torch

    from warpgrasp.data.doctor import examine

    model = hand_model(read.hand, read.mano_folder)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    console.print(f"PyTorch {torch.__version__} on {device}")
    console.print(f"hand: {model.template.name}, {len(model.template.vertices)} vertices")
    if data is not None:
        for line in examine(data, model, layout=read.layout, protocol=read.protocol, sides=read.sides()):
            console.print(line)


def hand_model(hand: HandChoice, mano_folder: Path | None, *, side: Literal["right", "left"] = "right") -> "HandModel":
    """The hand named on the command line."""
    from warpgrasp.hand import HandModel, open_hand
    from warpgrasp.hand.mano import load_mano

    if hand == "open":
        return HandModel(open_hand(side))
    if mano_folder is None:
        raise UserError(
            "expected --mano-folder DIR, the folder of MANO_RIGHT.pkl, together with --hand mano; see "
            "docs/datasets.md#mano"
        )
    return HandModel(load_mano(mano_folder, side))


def train(arguments: Sequence[str]) -> None:
    """Train a recipe: stage 1 on the annotated frames, then stage 2 with pairs."""
    from warpgrasp.data import OnBad
    from warpgrasp.training.recipes import RECIPES, Recipe
    from warpgrasp.training.tracking import Tracker

    names = ", ".join(RECIPES)
    if not arguments or arguments[0] in ("-h", "--help"):
        console.print("usage: warpgrasp train RECIPE --data DIR --out RUN [OPTIONS]\n")
        for name, recipe in RECIPES.items():
            summary = (recipe.__doc__ or "").strip().splitlines()[0]
            console.print(f"  {name:12} {summary}", highlight=False, soft_wrap=True)
        console.print("\n`warpgrasp train RECIPE --help` lists every field of a recipe.")
        return
    if arguments[0] not in RECIPES:
        raise UsageError(f"expected a recipe ({names}), got {arguments[0]!r}")

    @dataclass(frozen=True)
    class TrainOptions:
        data: Path
        """A data set."""
        out: Path
        """Folder of the run; the same command goes on with it when it was interrupted."""
        extra_data: tuple[Path, ...] = ()
        """More data sets, such as synthetic ones, whose annotations are all used; of their usual protocols."""
        recipe: Annotated[Recipe, tyro.conf.arg(name="")] = field(default_factory=RECIPES[arguments[0]])
        read: DataChoice = field(default_factory=DataOptions)
        bad_frames: OnBad = "refuse"
        """What is done with a frame that cannot be read: `skip` leaves it out, and lists it in the run's run.json."""
        tracker: Tracker | None = None
        """Where the curves go besides the run's own log; to TensorBoard, if it is installed, unless it is given."""

    options = tyro.cli(TrainOptions, prog=f"warpgrasp train {arguments[0]}", args=arguments[1:])
    _train(options)


def _train(options: Any) -> None:
    from warpgrasp.training.loop import Training, train_stage
    from warpgrasp.training.run import command_line, open_run
    from warpgrasp.training.tracking import choose_tracker

    recipe, tracker = options.recipe, choose_tracker(options.tracker)
    usual = replace(options.read, layout=None, protocol=None)
    extra = [usual.open(root) for root in options.extra_data]
    training = Training.prepare(recipe, options.read.open(options.data), extra, on_bad=options.bad_frames)
    final = options.out / "weights.safetensors"
    with open_run(training, options.out, command=command_line()):
        share = training.labels.share
        console.print(
            f"{share.annotated} of {share.frames} frames annotated ({100 * share.fraction:.2f} %), "
            f"{len(training.objects)} objects, seed {recipe.seed}"
            + (f"; {len(training.added_names)} annotated frames of extra data" if extra else "")
        )
        print_shares(training.labels)
        if final.is_file():
            console.print(f"finished already: {final}")
            return
        first = train_stage(training, recipe.stage1, options.out / "stage1.safetensors", tracker=tracker)
        train_stage(training, recipe.stage2, final, initial=first, tracker=tracker)
        if training.source.bad:
            console.print(f"left out {len(training.source.bad)} bad frames, listed in {options.out / 'run.json'}")
        console.print(f"wrote {final}")


def print_shares(labels: "Labels") -> None:
    """The annotated frames of each sequence; of many sequences the spread."""
    shares = labels.shares
    if len(shares) > SEQUENCES_SHOWN:
        counts = sorted(share.annotated for share in shares.values())
        percents = sorted(100 * share.fraction for share in shares.values())
        console.print(
            f"in {len(shares)} sequences, {counts[0]} to {counts[-1]} annotated frames in each "
            f"({percents[0]:.2f} to {percents[-1]:.2f} %), all listed in run.json"
        )
        return
    table = Table("sequence", "frames", "annotated", "share", "which")
    for sequence, share in shares.items():
        which = ", ".join(map(str, labels.annotated[sequence]))
        table.add_row(sequence, str(share.frames), str(share.annotated), f"{100 * share.fraction:.2f} %", which)
    console.print(table)


class UsageError(UserError):
    """The command line cannot be understood: exit status 2."""


COMMANDS: dict[str, Callable[..., None]] = {
    "sample": sample,
    "demo": demo,
    "train": train,
    "predict": predict,
    "evaluate": evaluate,
    "doctor": doctor,
}


def usage() -> str:
    """What `--help` prints."""
    lines = [f"  {name:10} {(command.__doc__ or '').strip().splitlines()[0]}" for name, command in COMMANDS.items()]
    return (
        "usage: warpgrasp COMMAND [OPTIONS] [--debug]\n\n"
        + "\n".join(lines)
        + "\n\n`warpgrasp COMMAND --help` says more."
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Exit status 0: done; 1: failed, with one sentence; 2: bad usage."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    if not words or words[0] in ("-h", "--help"):
        console.print(usage(), highlight=False, soft_wrap=True)
        return 0 if words else 2
    try:
        if words[0] not in COMMANDS:
            raise UsageError(f"expected a command ({', '.join(COMMANDS)}), got {words[0]!r}")
        if words[0] == "train":
            train(words[1:])
        else:
            tyro.cli(COMMANDS[words[0]], prog=f"warpgrasp {words[0]}", args=words[1:])
    except SystemExit as stop:  # tyro has printed what is wrong
        return int(stop.code or 0)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from the last saved state", file=sys.stderr)  # noqa: T201
        return 1
    except (UserError, OSError) as error:
        if debug:
            raise
        print(f"warpgrasp: {' '.join(str(error).split())}", file=sys.stderr)  # noqa: T201
        return 2 if isinstance(error, UsageError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
