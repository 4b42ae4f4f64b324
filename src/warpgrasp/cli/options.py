"""What commands share: the terminal they print to, checks, and the options that say how a folder of data is read.

Heavy modules are imported inside the functions, so that `--help` answers at once.
"""

import io
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import tyro
from rich.table import Table
from rich.text import Text

from warpgrasp.errors import UserError
from warpgrasp.plain_text import line
from warpgrasp.terminal import Terminal

if TYPE_CHECKING:
    from warpgrasp.data import Dataset, Labels
    from warpgrasp.data.dexycb import Sides
    from warpgrasp.export import SequenceSources
    from warpgrasp.hand import HandModel, Side

console = Terminal()
Result = TypeVar("Result")

Positional = Annotated[Path, tyro.conf.Positional]
# Names of HAND_MODELS and DATASETS, which are too heavy to be imported for `--help`; packages may add more.
HandChoice = Annotated[str, tyro.conf.arg(metavar="{open,mano}")]
LayoutChoice = Annotated[str | None, tyro.conf.arg(metavar="{None,ho3d,fphab,dexycb,recording}")]
SEQUENCES_SHOWN = 20  # each with its own row; of more, a summary


class UsageError(UserError):
    """The command line cannot be understood: exit status 2."""


def check_workers(ray: str | None, workers: int | None) -> None:
    """Raise `UsageError` for a number of workers that is none, or without Ray."""
    if workers is not None and (ray is None or workers < 1):
        raise UsageError(f"expected --workers of at least 1, together with --ray, got {workers}")


def deferred(command: Callable[..., Result]) -> Callable[..., Callable[[], Result]]:
    """A command that, instead of running, gives the call that runs it with the same arguments."""

    @wraps(command)
    def call(*positional: Any, **named: Any) -> Callable[[], Result]:
        return partial(command, *positional, **named)

    return call


def parsed(wanted: Callable[..., Result], *, prog: str, arguments: Sequence[str]) -> Result:
    """What a function returns, or a class makes, of the arguments of the command line.

    What is wrong with them is printed, in lines that show every character; then `SystemExit` is raised.
    """
    if all(word.isprintable() for word in arguments):
        return tyro.cli(wanted, prog=prog, args=arguments)
    said = io.StringIO()
    try:
        with redirect_stdout(said), redirect_stderr(said):
            return tyro.cli(wanted, prog=prog, args=arguments)
    finally:
        for row in said.getvalue().split("\n"):
            print(line(row), file=sys.stderr)  # noqa: T201


def check_new(out: Path, *, force: bool) -> None:
    """Raise `UserError` when a file to write is there already and may not be overwritten, or is a folder."""
    from warpgrasp.files import remove_leftovers

    if out.is_dir():
        raise UserError(f"expected the name of a file to write, but {out} is a folder")
    if out.exists() and not force:
        remove_leftovers(out.parent, out.name)  # of a command that was killed when it had just written the file
        raise UserError(f"expected to write a new file, but {out} exists already; overwrite it by --force")


def print_shares(labels: "Labels") -> None:
    """Print the annotated frames of each sequence; of many sequences the spread."""
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


@dataclass(frozen=True)
class DataOptions:
    """How a folder of data is read. Layouts and hand models of installed packages can be named too."""

    layout: LayoutChoice = None
    """The folder's layout; told from its files unless it is given."""
    protocol: str | None = None
    """Which of the layout's splits (docs/datasets.md); those of the recipe, run or file, or else the usual ones."""
    hand: HandChoice = "open"
    """The hand model that the annotations were made with."""
    mano_folder: Path | None = None
    """Where MANO_RIGHT.pkl lies (and MANO_LEFT.pkl, where left hands are read), for `--hand mano`."""
    side: Literal["right", "left", "both"] = "right"
    """Which hands of DexYCB are read, left ones as their mirror image; which hand of recordings with labels of both; or
    which hand `predict` finds in a video."""
    left_shapedirs: Literal["as-labelled", "corrected"] = "as-labelled"
    """The shape of DexYCB's left hands: as they were labelled, with MANO's wrong sign, or corrected."""

    def open(self, root: Path, *, size: tuple[int, int] | None = None, as_shown: "Side | None" = None) -> "Dataset":
        """The data set in a folder, or the shipped one where it is called `sample`.

        `as_shown` gives left hands of recordings as left hands, as in predictions, and not as their mirror images; it
        is the hand that is meant in recordings of both.
        """
        from warpgrasp.data import open_dataset
        from warpgrasp.data.recording import Recordings
        from warpgrasp.data.sample import shipped_if_named

        root = shipped_if_named(root)
        model, sides = hand_model(self.hand, self.mano_folder), self.of_recordings_too(root).sides()
        dataset = open_dataset(root, model, size=size, layout=self.named_layout, protocol=self.protocol, sides=sides)
        if not isinstance(dataset, Recordings):
            return dataset
        if as_shown is not None:
            return dataset.as_shown(as_shown)
        dataset = dataset.of_side("left" if self.side == "left" else "right")
        dataset.say_side()
        return dataset

    def of_recordings_too(self, root: Path) -> "DataOptions":
        """The same, but for recordings without a side: they are read alike, whichever hand they show."""
        recording = self.side == "left" and self._layout_of(root) == "recording"
        return replace(self, side="right") if recording else self

    def in_splits_of(self, protocol: str, root: Path) -> "DataOptions":
        """The same, in the splits of a run or a predictions file unless others are named.

        `protocol` is as the run or file stores it; that of another layout does not apply to this folder.
        """
        name = protocol.partition("+")[0].partition(" ")[0]  # without added data, without sides
        of_this_layout = name.partition("/")[0] == self._layout_of(root)
        return replace(self, protocol=name) if self.protocol is None and of_this_layout else self

    def _layout_of(self, root: Path) -> str:
        from warpgrasp.data import layout_of
        from warpgrasp.data.sample import shipped_if_named

        return self.named_layout or layout_of(shipped_if_named(root))

    def sources(self, file: Path, *, data: Path | None, object: Path | None) -> "SequenceSources":
        """What is given besides a predictions file to show it: a data set, or footage and a mesh."""
        from warpgrasp.export import PredictedFile, SequenceSources

        footage = data is not None and (
            data.is_file() or PredictedFile.opened(file).header.get("protocol") == "footage"
        )
        if data is None or footage:
            return SequenceSources(hand_model(self.hand, self.mano_folder), object, None, data)
        dataset = self.of_recordings_too(data).open(data, as_shown=PredictedFile.opened(file).side)
        return SequenceSources(dataset.hand, object, dataset)

    @property
    def named_layout(self) -> str | None:
        """The layout that is named, if one is. Raises `UsageError` when there is none of that name."""
        from warpgrasp.data import DATASETS

        if self.layout is not None and self.layout not in DATASETS:
            raise UsageError(f"expected one of {', '.join(DATASETS)} for --layout, got {self.layout!r}")
        return self.layout

    def sides(self) -> "Sides":
        """Which hands are read, with the left hand model where it is needed."""
        from warpgrasp.data.dexycb import Sides

        left = None if self.side == "right" else hand_model(self.hand, self.mano_folder, side="left")
        return Sides(self.side, left, self.left_shapedirs)


DataChoice = Annotated[DataOptions, tyro.conf.arg(name="")]
AS_USUAL = DataOptions()


def hand_model(hand: HandChoice, mano_folder: Path | None, *, side: Literal["right", "left"] = "right") -> "HandModel":
    """The hand named on the command line."""
    from warpgrasp.hand import HAND_MODELS, load_hand

    if hand not in HAND_MODELS:
        raise UsageError(f"expected one of {', '.join(HAND_MODELS)} for --hand, got {hand!r}")
    return load_hand(hand, mano_folder, side=side)


def say(text: str) -> None:
    """Print a sentence, in one line however long it is."""
    console.print(text, highlight=False, soft_wrap=True)


def warn(text: str) -> None:
    """Print a warning, of which nothing is markup."""
    console.print(Text.assemble(("warning:", "bold"), f" {line(text)}"))
