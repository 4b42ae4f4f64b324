"""Where the masks of a recording, of each of its hands, or of each of many recordings lie: `--masks`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from warpgrasp.cli.options import UsageError, console
from warpgrasp.errors import UserError

if TYPE_CHECKING:
    from warpgrasp.data import Dataset
    from warpgrasp.data.recording import Masks, Recording
    from warpgrasp.hand import Side

Name = TypeVar("Name", bound=str)


def masks_of_recordings(path: Path, dataset: "Dataset") -> "dict[str, Masks]":
    """The masks of a data set of one recording or of many, by the recordings' names, of those that have any.

    They are looked up as `densify` does; of recordings of both hands those of the hand that is read count. Raises
    `UsageError` for data in another layout, and where a recording has two places with masks; `UserError` where there is
    none.
    """
    from warpgrasp.data.recording import Recordings, is_recording, read_masks

    if not isinstance(dataset, Recordings):
        raise UsageError(f"expected recordings of your own with --masks, found other data in {dataset.root}")
    recordings = dataset.recordings
    if is_recording(dataset.root):
        found = dict.fromkeys(recordings, path)
    else:
        found = masks_of_each(path, [Path(name) for name in recordings], done="trained on")
    masks = {}
    for name, place in found.items():
        recording = recordings[name]
        if recording.annotations.other is None:
            masks[name] = read_masks(place, recording.clip)
        elif dataset.side in (of_sides := masks_of_sides(place, recording)):
            masks[name] = of_sides[dataset.side]
        else:
            console.print(f"no masks of the {dataset.side} hand of {name}: trained on without", highlight=False)
        recording.footage.close()
    return masks


def masks_of_sides(folder: Path, labelled: "Recording") -> "dict[Side, Masks]":
    """The masks of each hand of a recording of both, of a hand without any nothing.

    Raises `UserError` when there are none of either, and `UsageError` when a hand has two.
    """
    from warpgrasp.data.recording import SIDES, read_masks

    found = masks_by_name(folder, SIDES)
    if not found:
        raise UserError(
            f"expected masks of each hand in {folder}, right/ or right.json and left/ or left.json, for a recording of "
            f"both hands, found neither; in each the other hand is an occluder"
        )
    return {side: read_masks(path, labelled.clip) for side, path in found.items()}


def masks_by_name(folder: Path, names: "Sequence[Name]") -> "dict[Name, Path]":
    """Where the masks called NAME/ or NAME.json lie in a folder, of those that are there.

    Raises `UsageError` where a name has two.
    """
    found: dict[Name, Path] = {}
    for name in names:
        there = [path for path in (folder / name, folder / f"{name}.json") if path.exists()]
        if len(there) > 1:
            raise UsageError(f"expected one place with masks of {name}, got {there[0]} and {there[1]}; remove one")
        if there:
            found[name] = there[0]
    return found


def masks_of_each(folder: Path, recordings: Sequence[Path], *, done: str) -> dict[str, Path]:
    """Where each recording's masks lie, by its name; says which recordings have none, and are `done` without.

    Raises `UsageError` when nothing in the folder is named as a recording is, or when a recording has two.
    """
    found = masks_by_name(folder, [recording.name for recording in recordings])
    if not found:
        raise UsageError(
            f"expected a folder with masks of each recording for --masks, named as it is ({recordings[0].name}/ or "
            f"{recordings[0].name}.json), got {folder} without any"
        )
    if without := [recording.name for recording in recordings if recording.name not in found]:
        console.print(f"no masks of {', '.join(without)}: {done} without", soft_wrap=True, highlight=False)
    return found
