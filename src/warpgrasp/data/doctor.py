"""Says what is in a data set's folder, and what is missing."""

from collections.abc import Iterator
from pathlib import Path

from warpgrasp.data.dexycb import RIGHT_HANDS, DexYcb, Sides
from warpgrasp.data.dexycb.contents import examine_dexycb
from warpgrasp.data.fphab import Fphab, examine_fphab
from warpgrasp.data.ho3d import Ho3d
from warpgrasp.data.ho3d_doctor import examine_ho3d
from warpgrasp.data.layouts import Layout, open_dataset
from warpgrasp.data.recording import Recordings, examine_recordings
from warpgrasp.hand import HandModel


def examine(
    root: Path,
    hand: HandModel,
    *,
    layout: Layout | None = None,
    protocol: str | None = None,
    sides: Sides = RIGHT_HANDS,
) -> Iterator[str]:
    """Lines about a data set. Raises `DataError` with a count of everything missing, each kind named once."""
    dataset = open_dataset(root, hand, layout=layout, protocol=protocol, sides=sides)
    match dataset:
        case Ho3d():
            yield from examine_ho3d(dataset)
        case Fphab():
            yield from examine_fphab(dataset)
        case DexYcb():
            yield from examine_dexycb(dataset)
        case Recordings():
            yield from examine_recordings(dataset)
