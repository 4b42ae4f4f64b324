"""The registry of export formats, and the writing of a sequence in some of them, each whole or not at all."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from warpgrasp.errors import UserError
from warpgrasp.export.datasets import check_frames_folder, check_ho3d, write_bop, write_ho3d, write_obj, write_ply
from warpgrasp.export.gltf import write_glb
from warpgrasp.export.rrd import check_rrd, write_rrd
from warpgrasp.export.sequence import PredictedSequence
from warpgrasp.export.tables import write_csv, write_json
from warpgrasp.export.usd import check_usd, write_usd
from warpgrasp.export.video import check_video, write_video
from warpgrasp.files import fingerprint_of_files, remove_leftovers, replacing, replacing_folder
from warpgrasp.registry import Registry
from warpgrasp.signals import Waiting


class ExportTargetError(UserError):
    """No target is given, or a target cannot be written."""


@dataclass(frozen=True)
class ExportOptions:
    """What formats want to know besides the sequence."""

    bop_scene: int = 1
    """The number of the scene in a BOP data set."""
    bop_object: int = 1
    """The number of the object in a BOP data set."""


def _accept(sequence: PredictedSequence, path: Path, options: ExportOptions) -> None:
    """Every sequence can be written."""


@dataclass(frozen=True)
class ExportFormat:
    """A format in which a sequence of predictions can be written, as one file or one folder.

    A package adds a format by an entry point of the group `warpgrasp.exports` that names an `ExportFormat`; the command
    line then takes it as `--to NAME=PATH`.
    """

    description: str
    """What is written, for lists of the formats."""
    write: Callable[[PredictedSequence, Path, ExportOptions], None]
    """Write a sequence to a path: a new name, which becomes the target's when the function returns.

    With `is_folder` an empty folder is there. The name of the path is that of the target.
    """
    check: Callable[[PredictedSequence, Path, ExportOptions], None] = _accept
    """Raise a `UserError` when a sequence cannot be written to this target; called before any target is written."""
    is_folder: bool = False
    """Whether a folder is written, not a file."""
    overwrites: bool = True
    """Whether `--force` may replace what is there."""
    both_hands: bool = False
    """Whether it holds a sequence's other hand too; else sequences of both hands are refused."""


def _format(
    description: str,
    write: Callable[[PredictedSequence, Path], None],
    *,
    check: Callable[[PredictedSequence, Path], None] = lambda sequence, path: None,
    is_folder: bool = False,
    overwrites: bool = True,
    both_hands: bool = False,
) -> ExportFormat:
    """A format that has no options."""
    return ExportFormat(
        description,
        write=lambda sequence, path, _: write(sequence, path),
        check=lambda sequence, path, _: check(sequence, path),
        is_folder=is_folder,
        overwrites=overwrites,
        both_hands=both_hands,
    )


OWN_EXPORTS: Mapping[str, ExportFormat] = {
    "glb": _format("an animated GLB file", write_glb, both_hands=True),
    "usd": _format(
        "an animated USD file, for Blender, Omniverse or Unreal", write_usd, check=check_usd, both_hands=True
    ),
    "rrd": _format(
        "a recording of Rerun, with pictures where --data has them", write_rrd, check=check_rrd, both_hands=True
    ),
    "obj": _format("a folder of OBJ files", write_obj, check=check_frames_folder, is_folder=True),
    "ply": _format("a folder of PLY files", write_ply, check=check_frames_folder, is_folder=True),
    "mp4": _format("a video, predictions over pictures", write_video, check=check_video, both_hands=True),
    "csv": _format("a table of parameters", write_csv, both_hands=True),
    "json": _format("the parameters as JSON", write_json, both_hands=True),
    "bop": ExportFormat(
        "the object's poses as results of the BOP challenge",
        lambda sequence, path, options: write_bop(
            sequence, path, scene=options.bop_scene, object_number=options.bop_object
        ),
    ),
    # Never overwritten: HO-3D itself looks the same.
    "ho3d": _format("a data set in HO-3D's layout", write_ho3d, check=check_ho3d, is_folder=True, overwrites=False),
}
EXPORTS: Registry[ExportFormat] = Registry("export format", "warpgrasp.exports", OWN_EXPORTS)


def export_sequence(
    sequence: PredictedSequence,
    targets: Mapping[str, Path],
    options: ExportOptions | None = None,
    *,
    appeared: Collection[str] = (),
) -> Iterator[str]:
    """Write a sequence to targets, paths by the names of formats, and yield a line about each.

    They appear together when all are written, and no signal comes in between. What is there is replaced
    (`check_targets` refuses that), but for those that `appeared` of an export that was killed while they did: they must
    be the same again, else `ExportTargetError` is raised and nothing is written. Nothing is written either when one of
    the formats cannot hold the sequence: then its `check` raises a `UserError`.
    """
    options = options or ExportOptions()
    for name, path in targets.items():
        if sequence.other_hand is not None and not EXPORTS[name].both_hands:
            others = [other for other, known in EXPORTS.items() if known.both_hands]
            raise ExportTargetError(
                f"expected a format that holds both hands ({', '.join(others)}) with --other-hand, got {name}; write "
                f"each hand for itself"
            )
        EXPORTS[name].check(sequence, path, options)
    with Waiting() as waiting, ExitStack() as until_all_are_written, waiting.interrupted:
        for name, path in targets.items():
            export = EXPORTS[name]
            replaced = replacing_folder(path, overwrite=True) if export.is_folder else replacing(path)
            temporary = until_all_are_written.enter_context(replaced)
            export.write(sequence, temporary, options)
            if name in appeared and _content(temporary) != _content(path):
                raise _exists_already(path)
    for path in targets.values():
        yield f"wrote {len(sequence)} frames to {path}"


def _content(path: Path) -> dict[Path, str]:
    """A file's hash, or those of all files in a folder."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    return {file.relative_to(path): fingerprint_of_files([file]) for file in files}


def _exists_already(path: Path) -> ExportTargetError:
    return ExportTargetError(f"expected to write anew, but {path} exists already; overwrite it by --force")


def check_targets(targets: Mapping[str, Path], *, force: bool) -> set[str]:
    """Check the targets before predictions are read.

    Returns the names of those that an export was killed at which would have written all of them: they are there, of
    another one its private folder. Raises `ExportTargetError` when there is none, one cannot be written or, unless
    `force`, is there already; and `RegistryError` when there is no format of a name.
    """
    if not targets:
        others = [name for name in EXPORTS if name not in OWN_EXPORTS]
        names = [f"--{name}" for name in OWN_EXPORTS] + [f"--to {name}=PATH" for name in others]
        raise ExportTargetError(f"expected at least one of {', '.join(names)} with a path to write, got none")
    left = {name for name, path in targets.items() if remove_leftovers(path.parent, path.name)}
    there = {name for name, path in targets.items() if path.exists()}
    appeared = there if left - there else set()
    for name, path in targets.items():
        _check_target(name, path, force=force, appeared=name in appeared)
    if len({path.absolute() for path in targets.values()}) < len(targets):
        raise ExportTargetError(f"expected another path for each of {', '.join(targets)}, got one twice")
    return set() if force else appeared


def _check_target(name: str, path: Path, *, force: bool, appeared: bool) -> None:
    export = EXPORTS[name]
    if not isinstance(export, ExportFormat):
        raise ExportTargetError(
            f"expected an ExportFormat for {name} of the entry points {EXPORTS.group}, found {type(export).__name__}"
        )
    kind = "folder" if export.is_folder else "file"
    if path.exists():
        if not (export.overwrites or appeared):
            raise ExportTargetError(f"expected a new {kind} for --{name}, but {path} exists already; choose another")
        if not (force or appeared):
            raise _exists_already(path)
        if path.is_dir() != export.is_folder:
            found = "folder" if path.is_dir() else "file"
            raise ExportTargetError(f"expected a {kind} to overwrite for {name}, but {path} is a {found}")
    if not path.absolute().parent.is_dir():
        raise ExportTargetError(f"expected a folder {path.absolute().parent} to write {path.name} to, found none")
