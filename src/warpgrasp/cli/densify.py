"""`warpgrasp densify`: the labels of a recording carried to all of its frames, or those of many recordings each."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from warpgrasp.cli.data import one_recording, predictions_to_start_from
from warpgrasp.cli.masks import masks_of_each, masks_of_sides
from warpgrasp.cli.options import HandChoice, Positional, UsageError, console, hand_model
from warpgrasp.cli.recordings import carry_out_each
from warpgrasp.errors import UserError

if TYPE_CHECKING:
    from warpgrasp.data.recording import Recording
    from warpgrasp.refinement import Densified, RecordedHands

LARGEST_SMOOTHNESS = 10_000  # beyond it nothing moves at all


def densify(
    recording: Positional,
    /,
    *,
    out: Path,
    keypoints: str = "detector",
    masks: Path | None = None,
    start: Path | None = None,
    smoothness: float = 1.0,
    hand: HandChoice = "open",
    mano_folder: Path | None = None,
    force: bool = False,
    ray: str | None = None,
    workers: int | None = None,
) -> None:
    """Carry the labels of a recording to all of its frames, by where the hand is seen and by the labels' colours.

    No network is trained. `out` gets predictions.npz (for `view`, `export`, `evaluate`), annotations.json with a label
    for every frame, and quality.csv. Of a folder of recordings each gets a folder in `out`; those that are finished are
    left as they are, and one that fails stops no other. Of a recording of both hands `out` gets these three in `right`
    and in `left`, and annotations.json of both hands beside them.

    Args:
        recording: The folder of one recording with a few labels, or a folder of such folders.
        out: The folder to write into; the same command goes on with it when it was interrupted.
        keypoints: Where the hand is seen in every frame: `detector`, the shipped one; `none`, by the labels' colours
            alone; or a file of another program (MediaPipe, OpenPose, COCO-WholeBody, HaMeR, WiLoR, a plain array).
        masks: Silhouettes of hand, object and what is in front of them in some or all frames: a folder of PNG files, or
            COCO's, CVAT's or SAM 2's run lengths in a JSON file (docs/own_video.md says which). Of a folder of
            recordings: a folder in which they are named as the recordings are, NAME/ or NAME.json; a recording without
            any is densified without. Of a recording of both hands: a folder with those of each hand, right/ and left/.
        start: Predictions of a network to start from, instead of the labels' poses and the hand that is seen.
        smoothness: How strongly the motion is held to be smooth: 0 for not at all, 10 for slow, even motion.
        hand: The hand model of the labels.
        mano_folder: Where MANO_RIGHT.pkl lies, for `--hand mano`.
        force: Overwrite predictions that are there.
        ray: Spread a folder's recordings by Ray: a cluster's address, or `auto` for the one here or else this machine.
        workers: Recordings at a time, with `--ray`.
    """
    from warpgrasp.data.recording import is_recording, recording_folders

    if not 0 <= smoothness <= LARGEST_SMOOTHNESS:
        raise UsageError(f"expected --smoothness from 0 to {LARGEST_SMOOTHNESS}, got {smoothness}")
    asked = Densifying(recording, out, keypoints, masks, start, smoothness, hand, mano_folder, force)
    folders = [] if is_recording(recording) else recording_folders(recording)
    if not folders and (ray is not None or workers is not None):
        raise UsageError("expected a folder of recordings with --ray or --workers, got one recording")
    if folders:
        if keypoints not in ("detector", "none"):
            raise UsageError(f"expected --keypoints detector or none for many recordings, got the file {keypoints}")
        found = {} if masks is None else masks_of_each(masks, folders, done="densified")
        each = {
            folder.name: replace(asked, recording=folder, out=out / folder.name, masks=found.get(folder.name))
            for folder in folders
        }
        work = partial(Densifying.carried_out, keeps_finished=True, show_progress=False)
        carry_out_each(work, each, done="densified", ray=ray, workers=workers)
    else:
        for row in asked.carried_out():
            console.print(row, soft_wrap=True)


@dataclass(frozen=True)
class Densifying:
    """What `densify` is asked to do with one recording."""

    recording: Path
    out: Path
    keypoints: str
    masks: Path | None
    start: Path | None
    smoothness: float
    hand: str
    mano_folder: Path | None
    force: bool

    def carried_out(self, *, keeps_finished: bool = False, show_progress: bool = True) -> list[str]:
        """Densify, and say in lines what came of it. Finished ones of the same inputs are kept where that is asked."""
        from warpgrasp.data.recording import read_masks
        from warpgrasp.files import source_commit
        from warpgrasp.predictions import remove_finished_shards
        from warpgrasp.refinement import PREDICTIONS, is_finished, is_unfinished
        from warpgrasp.refinement import densify as carry_on

        labelled, out = one_recording(self.recording), self.out
        if out.resolve() == self.recording.resolve():
            raise UserError(
                f"expected another folder than the recording's own, whose labels would be replaced, got {out}"
            )
        if labelled.annotations.other is not None:
            return self._of_both(labelled, keeps_finished=keeps_finished, show_progress=show_progress)
        there = (out / PREDICTIONS).exists() and not self.force and not is_unfinished(out)
        if there and not keeps_finished:
            remove_finished_shards(out / PREDICTIONS)
            raise UserError(f"expected a folder without {PREDICTIONS}, but {out} has it; overwrite it by --force")
        begun = None if self.start is None else predictions_to_start_from(self.start, labelled)
        model, look = hand_model(self.hand, self.mano_folder), _finder(self.keypoints)
        masks = None if self.masks is None else read_masks(self.masks, labelled.clip)
        options = {"start": begun, "smoothness": self.smoothness, "look": look, "masks": masks}
        if there and is_finished(labelled, model, out, **options):
            remove_finished_shards(out / PREDICTIONS)
            return [f"finished already: {out}"]
        densified = carry_on(labelled, model, out, program=source_commit(), show_progress=show_progress, **options)
        return _summary(densified, out)

    def _of_both(self, labelled: "Recording", *, keeps_finished: bool, show_progress: bool) -> list[str]:
        """The same with a recording of both hands."""
        from warpgrasp.files import source_commit
        from warpgrasp.refinement import PREDICTIONS, BothHands

        if self.start is not None:
            raise UsageError(
                f"expected a recording of one hand with --start, whose predictions are of one, got {self.recording} "
                f"of both; leave --start away"
            )
        if (self.out / PREDICTIONS).exists():
            raise UserError(
                f"expected a folder without {PREDICTIONS} for both hands, but {self.out} has it; choose another"
            )
        masks = {} if self.masks is None else masks_of_sides(self.masks, labelled)
        model, look = hand_model(self.hand, self.mano_folder), _finder(self.keypoints)
        both = BothHands(labelled, model, self.out, self.smoothness, look, masks)
        if both.is_whole and not self.force and not keeps_finished:
            raise UserError(f"expected a folder without both hands, but {self.out} has them; overwrite them by --force")
        if self.force:
            both.remove()
        elif keeps_finished and both.is_finished():
            return [f"finished already: {self.out}"]
        found = both.densified(program=source_commit(), show_progress=show_progress)
        lines = [
            f"{side} hand: {row}"
            for side, densified in found.items()
            for row in (["finished already"] if densified is None else _summary(densified, self.out / side))
        ]
        return [*lines, f"wrote annotations.json of both hands in {self.out}"]


def _finder(keypoints: str) -> "Callable[[Recording], RecordedHands] | None":
    """Who finds the hands in a recording's pictures."""
    from warpgrasp.refinement import detected_hands, stated_hands

    match keypoints:
        case "none":
            return None
        case "detector":
            return detected_hands
        case _ if Path(keypoints).exists():
            return lambda recording: stated_hands(recording, Path(keypoints))
        case _:
            raise UsageError(f"expected --keypoints detector, none or a file of another program, got {keypoints}")


def _summary(densified: "Densified", out: Path) -> list[str]:
    others = [position for position in range(len(densified.predictions)) if position not in densified.labelled]
    if not others:
        return [f"every frame has a label; wrote them in {out}"]
    before, after = (float(agreement.difference[others].nanmean()) for agreement in (densified.before, densified.after))
    return [
        f"{len(densified.labelled)} labels, {len(others)} other frames; difference to the nearest label {before:.3f}, "
        f"then {after:.3f}",
        _doubts(densified),
        *_contradictions(densified),
        *_sightings(densified),
        *_masks(densified),
        f"wrote predictions.npz, annotations.json, quality.csv in {out}",
    ]


def _doubts(densified: "Densified") -> str:
    """A line on the frames that may be wrong, and on the label that would help most."""
    from warpgrasp.predictions import DOUBTFUL_MM

    doubtful = densified.doubtful
    if doubtful is None:
        return f"no frame is doubtful: none is expected to be off by more than {DOUBTFUL_MM:g} mm"
    return (
        f"{doubtful.count} of {len(densified.predictions)} frames are doubtful, expected to be off by more than "
        f"{DOUBTFUL_MM:g} mm: {doubtful.frames}; a label of frame {doubtful.help_by} would help most (quality.csv)"
    )


def _contradictions(densified: "Densified") -> list[str]:
    """A line on labels that both labels beside them contradict, and one on other pairs that contradict each other."""
    pairs = densified.contradictions
    both = [(before, after) for before, after in pairwise(pairs) if before.last == after.first]
    named = {before.last for before, _ in both}
    others = [pair for pair in pairs if not named & {pair.first, pair.last}]
    lines = []
    if both:
        wrong = ", ".join(
            f"{before.last} ({before.closure_mm:.0f} and {after.closure_mm:.0f} mm)" for before, after in both
        )
        lines.append(f"labels that lie elsewhere than the labels on both sides are carried to: {wrong}; look at them")
    if others:
        apart = ", ".join(f"{pair.first} and {pair.last} ({pair.closure_mm:.0f} mm)" for pair in others)
        lines.append(
            f"labels that lie elsewhere than either is carried to from the other: {apart}; one of the two is wrong, or "
            "what lies between cannot be followed"
        )
    return lines


CONTRADICTION = (
    "so far off, they contradict the labels and were not followed: look at the labels' hands, or bring another "
    "program's keypoints by --keypoints FILE"
)


def _sightings(densified: "Densified") -> list[str]:
    """Lines on the keypoints, where any were asked for."""
    seen = densified.sightings
    if seen is None:
        return []
    found = f"the hand is seen in {seen.frames} of {len(densified.predictions)} frames"
    if seen.adapted_px != seen.adapted_px:  # NaN
        return [f"{found}, but at no label: where its joints are seen is not adapted to this hand"]
    adapted = (
        f"{found}; at the labels its joints are seen {seen.unadapted_px:.1f} px away, and {seen.adapted_px:.1f} px "
        f"once adapted to them"
    )
    return [adapted] if seen.used else [adapted, CONTRADICTION]


def _masks(densified: "Densified") -> list[str]:
    """A line on each part's masks, where any were given."""
    from warpgrasp.data.recording import HAND, OBJECT

    masked = densified.masked
    if masked is None:
        return []
    said = []
    for part, name, count, overlap in (
        (HAND, "hand", masked.masks.hands, masked.overlap[:, 0]),
        (OBJECT, "object", masked.masks.objects, masked.overlap[:, 1]),
    ):
        if not count:
            continue
        wide = None if masked.margins is None else masked.margins.get(part)
        told = "no label tells whether they are too wide" if wide is None else f"by the labels {wide:+d} px too wide"
        said.append(
            f"masks of the {name} in {count} of {len(densified.predictions)} frames: drawn and given silhouettes "
            f"overlap by {float(overlap.nanmean()):.2f} (IoU); {told}"
        )
    if masked.masks.occluders:
        said.append(
            f"masks of an occluder in {masked.masks.occluders} of {len(densified.predictions)} frames: what it "
            f"covers is not compared"
        )
    return said
