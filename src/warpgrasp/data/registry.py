"""Which layout a folder has, and the data set that reads it.

Says what is in a data set's folder, and what is missing.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

from warpgrasp.data.dataset import Dataset
from warpgrasp.data.dexycb.check import examine_dexycb
from warpgrasp.data.dexycb.dataset import RIGHT_HANDS, DexYcb, Sides
from warpgrasp.data.dexycb.files import Archive
from warpgrasp.data.fphab.check import examine_fphab
from warpgrasp.data.fphab.dataset import Fphab
from warpgrasp.data.ho3d.check import examine_ho3d
from warpgrasp.data.ho3d.dataset import Ho3d
from warpgrasp.data.recording.check import examine_recordings
from warpgrasp.data.recording.dataset import Recordings
from warpgrasp.errors import DataError
from warpgrasp.hand import HandModel

Layout = Literal["ho3d", "fphab", "dexycb", "recording"]


def layout_of(root: Path) -> Layout:
    """The layout of a folder, told by the files that only this layout has.

    Raises `DataError` when it is none that is known.
    """
    if not root.is_dir():
        raise DataError(f"expected the folder of a data set, found no folder {root}")
    if Ho3d.recognises(root):
        return "ho3d"
    if Fphab.recognises(root):
        return "fphab"
    if Archive.recognises(root):
        return "dexycb"
    if Recordings.recognises(root):
        return "recording"
    raise DataError(
        f"expected a data set of a known layout ({', '.join(get_args(Layout))}) in {root}, found none; is this the "
        f"right folder? `warpgrasp doctor --data DIR --layout LAYOUT` says what is missing; `predict` takes a folder "
        f"of pictures with --object and --camera"
    )


def checked_layout(root: Path, layout: Layout | None, sides: Sides) -> Layout:
    """The named layout, or the one told from the files. Raises `DataError` when it does not have what is asked for."""
    told = layout or layout_of(root)
    if told != "dexycb" and not sides.are_usual:
        raise DataError(
            f"expected --side and --left-shapedirs with DexYCB, which has left hands, got {sides} hands for {root} in "
            f"the layout {told}; leave them out"
        )
    return told


def open_dataset(
    root: Path,
    hand: HandModel,
    *,
    size: tuple[int, int] | None = None,
    layout: Layout | None = None,
    protocol: str | None = None,
    sides: Sides = RIGHT_HANDS,
) -> Dataset:
    """The data set in a folder, its layout told from its files unless `layout` names it.

    `protocol` names the splits, where a layout has several; the layout's usual ones otherwise. Raises `DataError` when
    the layout is none that is known, or does not have what is asked for.
    """
    match checked_layout(root, layout, sides):
        case "ho3d":
            return Ho3d(root, hand, size, *(() if protocol is None else (protocol,)))
        case "fphab":
            return Fphab.of_protocol(root, hand, size=size, protocol=protocol)
        case "dexycb":
            return DexYcb.open(root, hand, size=size, protocol=protocol, sides=sides)
        case "recording":
            return Recordings.opened(root, hand, size=size, protocol=protocol)


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
