"""The terminal that commands print to, and what they share there."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.console import Console
from rich.table import Table

from warpgrasp.errors import UserError

if TYPE_CHECKING:
    from warpgrasp.data import Labels

console = Console()

Positional = Annotated[Path, tyro.conf.Positional]
SEQUENCES_SHOWN = 20  # one by one; of more, a summary


class UsageError(UserError):
    """The command line cannot be understood: exit status 2."""


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
