"""Says what is in a data set's folder, and what is missing."""

from collections.abc import Iterator
from pathlib import Path

from warpgrasp.data.dexycb import RIGHT_HANDS, DexYcb, Sides
from warpgrasp.data.dexycb.contents import examine_dexycb
from warpgrasp.data.fphab import Fphab, examine_fphab
from warpgrasp.data.ho3d import Ho3d
from warpgrasp.data.ho3d_doctor import examine_ho3d
from warpgrasp.data.layouts import Layout, checked_layout
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
    match checked_layout(root, layout, sides):
        case "ho3d":
            yield from examine_ho3d(Ho3d(root, hand, protocol=protocol or "ho3d/official"))
        case "fphab":
            yield from examine_fphab(Fphab.of_protocol(root, hand, size=None, protocol=protocol))
        case "dexycb":
            yield from examine_dexycb(DexYcb.open(root, hand, protocol=protocol, sides=sides))
        case "recording":
            yield from examine_recordings(Recordings.opened(root, hand, protocol=protocol))
