"""`warpgrasp labels`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from warpgrasp.cli.data import of_hands, one_recording
from warpgrasp.cli.options import HandChoice, Positional, UsageError, check_new, hand_model, say, warn

if TYPE_CHECKING:
    from warpgrasp.annotate import Imported
    from warpgrasp.data.recording import Recording
    from warpgrasp.hand import HandModel

FormatChoice = Literal["coco", "cvat", "label-studio", "bop"]
POOR_SHARE = 1 / 60  # of the picture's longer side: hands whose joints are missed by more are named


def labels(
    recording: Positional,
    /,
    *,
    files: Annotated[tuple[Path, ...], tyro.conf.UseAppendAction, tyro.conf.arg(name="from", metavar="FILE")] = (),
    to: Path | None = None,
    format: FormatChoice | None = None,
    object_id: int | None = None,
    use: Literal["train", "evaluation"] | None = None,
    hand: HandChoice = "open",
    mano_folder: Path | None = None,
    side: Literal["right", "left"] | None = None,
    hands: Literal["one", "both"] = "one",
    force: bool = False,
) -> None:
    """Take labels of CVAT, Label Studio, COCO or BOP into a recording's annotations.json, or write its own as theirs.

    Args:
        recording: The recording's folder.
        files: Joints of hands (CVAT's XML, Label Studio's or COCO's JSON) or poses of the object (BOP's scene_gt.json
            or results); may be given again, so that hands and objects meet.
        to: The file to write the recording's labels to instead.
        format: The format of that file; by its name unless given: .xml is CVAT's, scene_gt.json BOP's, .json COCO's.
        object_id: The object's number in BOP's files.
        use: Whether the labels are for training or held out; for training, unless drafts or labels say it already.
        hand: The hand model of the labels.
        mano_folder: Where MANO_RIGHT.pkl lies, for `--hand mano`.
        side: Which hand it is; as the labels say, where they are of one hand, or else the right one.
        hands: `both` lets a recording with labels of one hand get those of the other one beside them.
        force: Replace what is stated of frames that have a label or a draft already, or overwrite the file.
    """
    if bool(files) == (to is not None):
        raise UsageError(f"expected either --from FILE or --to FILE, got {'both' if files else 'neither'}")
    labelled = of_hands(one_recording(recording), side, hands)
    model = labelled.hand(hand_model(hand, mano_folder))
    if to is not None:
        _write(labelled, model, to, format or _format_of(to), 1 if object_id is None else object_id, force=force)
        return
    from warpgrasp.annotate import import_labels
    from warpgrasp.data.recording.label_files import read_labels

    stated = [read_labels(path, labelled, object_id=object_id) for path in files]
    for one in stated:
        parts = [
            f"{len(one.hands)} hands" * bool(one.hands),
            f"{len(one.objects)} poses of the object" * bool(one.objects),
        ]
        say(f"{one.path} is of {one.kind}: {' and '.join(filter(None, parts))}")
    _report(labelled, import_labels(labelled, model, stated, use=use, force=force))


def _report(recording: "Recording", found: "Imported") -> None:
    """Say what became of the frames; those that are left out or look wrong are named."""
    from warpgrasp.annotate import listed
    from warpgrasp.data.recording import ANNOTATIONS_FILE

    folder, missed = recording.folder, found.missed_px
    if missed:
        worst = max(missed, key=lambda frame: missed[frame])
        say(
            f"fitted {len(missed)} hands, {sum(missed.values()) / len(missed):.1f} px from their joints on average, "
            f"{missed[worst]:.1f} in the worst, frame {worst}"
        )
    say(f"wrote {len(found.labelled)} labels to {folder / ANNOTATIONS_FILE}")
    for part, frames in found.lacking.items():
        if frames:
            say(
                f"nothing is known of the {part} in {listed(frames)}: kept as drafts; give it by another --from, or "
                f"finish them by `warpgrasp annotate {folder}`"
            )
    poor_px = POOR_SHARE * max(recording.lens.width, recording.lens.height)
    poor = sorted(frame for frame, missed_px in missed.items() if missed_px > poor_px)
    if poor:
        warn(f"no hand has its joints where they are stated in {listed(poor)}: is each named right, and of this hand?")
    for frame, reason in found.left_out.items():
        warn(f"no hand was fitted in frame {frame}: {reason}")


def _format_of(path: Path) -> FormatChoice:
    """The format that a file's name tells. Raises `UsageError` when it tells none."""
    if path.name.lower() == "scene_gt.json":
        return "bop"
    match path.suffix.lower():
        case ".xml":
            return "cvat"
        case ".json":
            return "coco"
    raise UsageError(f"expected a file called .xml or .json for --to, or its format by --format, got {path}")


def _write(
    recording: "Recording", hand: "HandModel", path: Path, name: FormatChoice, object_id: int, *, force: bool
) -> None:
    from warpgrasp.data.recording import ANNOTATIONS_FILE
    from warpgrasp.data.recording.label_files import WRITERS
    from warpgrasp.errors import DataError
    from warpgrasp.files import write_text

    check_new(path, force=force)
    if not recording.labels:
        raise DataError(f"expected labels in {recording.folder / ANNOTATIONS_FILE}, found none to write")
    writer = WRITERS[name]
    write_text(path, writer.text(recording, hand, object_id))
    say(f"wrote {len(recording.labels)} labels to {path}: {writer.description}")
