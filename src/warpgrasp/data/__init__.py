"""Data sets: raw folders to frames (paper Sec. 4.1); and the registry of the layouts in which they come."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from warpgrasp.data.augment import (
    Augmentation,
    AugmentConfig,
    Rows,
    View,
    augment,
    mirrored_annotation,
    mirrored_camera,
    mirrored_detections,
    mirrored_frame,
    mirrored_name,
    mirrored_object,
)
from warpgrasp.data.dataset import (
    SPLITS,
    Dataset,
    Joined,
    Layout,
    Opener,
    Split,
    Truth,
    join_datasets,
)
from warpgrasp.data.dexycb import RIGHT_HANDS, DexYcb, Sides, examine_dexycb
from warpgrasp.data.fphab import Fphab, examine_fphab
from warpgrasp.data.frames import (
    FrameSource,
    Labels,
    NearToFar,
    OnBad,
    Sampling,
    Share,
    annotatable,
    choose_labels,
    draw,
    fingerprint_of_frames,
)
from warpgrasp.data.ho3d import Ho3d, examine_ho3d
from warpgrasp.data.index import Manifest
from warpgrasp.data.meshes import load_object
from warpgrasp.data.pictures import decode_ahead, read_picture, resized_pixels
from warpgrasp.data.recording import Recordings, examine_recording
from warpgrasp.errors import DataError
from warpgrasp.hand import HandModel
from warpgrasp.registry import Registry

__all__ = [
    "DATASETS",
    "SPLITS",
    "AugmentConfig",
    "Augmentation",
    "DataError",
    "Dataset",
    "DexYcb",
    "Fphab",
    "FrameSource",
    "Ho3d",
    "Joined",
    "Labels",
    "Layout",
    "Manifest",
    "NearToFar",
    "OnBad",
    "Recordings",
    "Rows",
    "Sampling",
    "Share",
    "Sides",
    "Split",
    "Truth",
    "View",
    "annotatable",
    "augment",
    "choose_labels",
    "decode_ahead",
    "draw",
    "examine",
    "fingerprint_of_frames",
    "join_datasets",
    "layout_of",
    "load_object",
    "mirrored_annotation",
    "mirrored_camera",
    "mirrored_detections",
    "mirrored_frame",
    "mirrored_name",
    "mirrored_object",
    "open_dataset",
    "read_picture",
    "resized_pixels",
]


@dataclass(frozen=True)
class OwnLayout:
    """A layout whose data sets are examined by a function beside their class."""

    recognises: Callable[[Path], bool]
    open: Opener
    examine: Callable[[Any], Iterator[str]]


DATASETS: Registry[Layout] = Registry(
    "data set",
    "warpgrasp.datasets",
    {
        "ho3d": OwnLayout(Ho3d.recognises, Ho3d.open, examine_ho3d),
        "fphab": OwnLayout(Fphab.recognises, Fphab.open, examine_fphab),
        "dexycb": OwnLayout(DexYcb.recognises, DexYcb.open, examine_dexycb),
        "recording": OwnLayout(Recordings.recognises, Recordings.open, examine_recording),
    },
)


def layout_of(root: Path) -> str:
    """The name of the layout that a folder has, told from the names of its files.

    Raises `DataError` when no layout recognises the folder, or more than one.
    """
    if not root.is_dir():
        raise DataError(f"expected the folder of a data set, found no folder {root}")
    names = [name for name, layout in DATASETS.items() if layout.recognises(root)]
    if not names:
        raise DataError(
            f"expected a data set of a known layout ({', '.join(DATASETS)}) in {root}, found none; is this the right "
            f"folder? `warpgrasp doctor --data DIR --layout LAYOUT` says what is missing; `predict` takes a folder of "
            f"pictures with --object and --camera"
        )
    if len(names) > 1:
        raise DataError(
            f"expected a data set of one layout in {root}, found files of {' and '.join(names)}; name one by "
            f"--layout {names[0]}"
        )
    return names[0]


def open_dataset(
    root: Path,
    hand: HandModel,
    *,
    size: tuple[int, int] | None = None,
    layout: str | None = None,
    protocol: str | None = None,
    sides: Sides = RIGHT_HANDS,
) -> Dataset:
    """The data set in a folder, its layout told from its files unless `layout` names one of `DATASETS`.

    `protocol` names the splits, where a layout has several; the layout's usual ones otherwise. Raises `DataError` when
    the layout is none that is known or has no such splits or sides, `RegistryError` when it has no such name.
    """
    return _opener(layout or layout_of(root), root, sides)(root, hand, size=size, protocol=protocol)


def _opener(layout: str, root: Path, sides: Sides) -> Callable[..., Any]:
    """The layout's `open`, for these sides."""
    opener: Callable[..., Any] = DATASETS[layout].open
    if sides.are_usual:
        return opener
    if "sides" not in inspect.signature(opener).parameters:
        raise DataError(
            f"expected --side and --left-shapedirs with DexYCB, which has left hands, got {sides} hands for {root} in "
            f"the layout {layout}; leave them out"
        )
    return partial(opener, sides=sides)


def examine(
    root: Path,
    hand: HandModel,
    *,
    layout: str | None = None,
    protocol: str | None = None,
    sides: Sides = RIGHT_HANDS,
) -> Iterator[str]:
    """Lines about a data set. Raises `DataError` with a count of everything missing, each kind named once."""
    name = layout or layout_of(root)
    yield from DATASETS[name].examine(_opener(name, root, sides)(root, hand, protocol=protocol))
