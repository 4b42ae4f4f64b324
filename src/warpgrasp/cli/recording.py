"""`warpgrasp annotate`, `suggest` and `densify`: one recording, labelled, and its labels carried to all frames."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from warpgrasp.cli.options import HandChoice, Positional, UsageError, console, hand_model
from warpgrasp.errors import UserError

if TYPE_CHECKING:
    from warpgrasp.data.recording import Recording
    from warpgrasp.predictions import Predictions
    from warpgrasp.refinement import Densified, RecordedHands

LEAST_COMPARED_SHARE = 0.3  # of the labelled surface: less says little of a frame


def annotate(
    recording: Positional,
    /,
    *,
    hand: HandChoice = "open",
    mano_folder: Path | None = None,
    side: Literal["right", "left"] | None = None,
    host: str = "127.0.0.1",
    port: int = 8080,
    read_only: bool = False,
    open_browser: bool = True,
) -> None:
    """Annotate a few frames of a recording in the browser.

    Args:
        recording: The recording's folder: pictures, camera.json and object.json.
        hand: The hand model of the labels.
        mano_folder: Where MANO_RIGHT.pkl lies, for `--hand mano`.
        side: Which hand it is; as its labels say, where there are any, or else the right one.
        host: The network interface to listen on; this machine alone can reach the usual one.
        port: The port to listen on, or the next one that is free.
        read_only: Only look; somebody else may write.
        open_browser: Open the page in this machine's browser.
    """
    try:
        from warpgrasp.annotate import serve
    except ModuleNotFoundError as error:
        if error.name not in ("viser", "websockets"):
            raise
        raise UserError(
            "expected the package viser, found none; install it: pip install 'warpgrasp[viewer]'"
        ) from error
    annotated = _recording(recording).of_side(side)
    serve(
        annotated,
        annotated.hand(hand_model(hand, mano_folder)),
        host=host,
        port=port,
        read_only="as asked for by --read-only" if read_only else None,
        open_browser=open_browser,
        say=lambda line: console.print(line, highlight=False, soft_wrap=True, markup=False),
    )


def suggest(recording: Positional, /, *, count: int = 3) -> None:
    """Name the frames of a recording whose labels would help most: each brings all others nearest, in motion, to one.

    Args:
        recording: The folder of one recording, with labels or without.
        count: How many frames.
    """
    from warpgrasp.refinement import suggested_frames

    if count < 1:
        raise UsageError(f"expected --count of at least 1, got {count}")
    frames = suggested_frames(_recording(recording), count)
    if not frames:
        console.print("every frame has a label")
        return
    console.print(" ".join(map(str, frames)), highlight=False)


def densify(
    recording: Positional,
    /,
    *,
    out: Path,
    keypoints: str = "detector",
    start: Path | None = None,
    hand: HandChoice = "open",
    mano_folder: Path | None = None,
    force: bool = False,
) -> None:
    """Carry the labels of a recording to all of its frames, by where the hand is seen and by the labels' colours.

    No network is trained. `out` gets predictions.npz (for `view`, `export`, `evaluate`), annotations.json with a label
    for every frame, and quality.csv.

    Args:
        recording: The folder of one recording with a few labels.
        out: The folder to write into; the same command goes on with it when it was interrupted.
        keypoints: Where the hand is seen in every frame: `detector`, the shipped one; `none`, by the labels' colours
            alone; or a file of another program (MediaPipe, OpenPose, COCO-WholeBody, HaMeR, WiLoR, a plain array).
        start: Predictions of a network to start from, instead of the labels' poses and the hand that is seen.
        hand: The hand model of the labels.
        mano_folder: Where MANO_RIGHT.pkl lies, for `--hand mano`.
        force: Overwrite predictions that are there.
    """
    from warpgrasp.files import source_commit
    from warpgrasp.refinement import PREDICTIONS, is_unfinished
    from warpgrasp.refinement import densify as carry_on

    labelled = _recording(recording)
    if (out / PREDICTIONS).exists() and not force and not is_unfinished(out):
        raise UserError(f"expected a folder without {PREDICTIONS}, but {out} has it; overwrite it by --force")
    if out.resolve() == recording.resolve():
        raise UserError(f"expected another folder than the recording's own, whose labels would be replaced, got {out}")
    begun = None if start is None else _predictions_to_start_from(start, labelled)
    model, look = hand_model(hand, mano_folder), _finder(keypoints)
    densified = carry_on(labelled, model, out, program=source_commit(), start=begun, look=look)
    console.print(_summary(densified, out), soft_wrap=True)


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


def _recording(folder: Path) -> "Recording":
    from warpgrasp.data.recording import Recording, is_recording

    if not is_recording(folder):
        raise UserError(f"expected the folder of one recording (camera.json, object.json, a video), found {folder}")
    return Recording.read(folder)


def _predictions_to_start_from(start: Path, recording: "Recording") -> "Predictions":
    from warpgrasp.predictions import read_predictions

    predictions, header = read_predictions(start)
    if header.get("side", "right") != recording.side:
        raise UserError(
            f"expected predictions of a {recording.side} hand to start from, as the labels are of one, found those of "
            f"the other in {start}; predict them by `warpgrasp predict --side {recording.side}`"
        )
    return predictions


def _summary(densified: "Densified", out: Path) -> str:
    others = [position for position in range(len(densified.predictions)) if position not in densified.labelled]
    if not others:
        return f"every frame has a label; wrote them in {out}"
    before, after = (float(agreement.difference[others].nanmean()) for agreement in (densified.before, densified.after))
    lost = int((densified.after.compared_share[others] < LEAST_COMPARED_SHARE).sum())
    return (
        f"{len(densified.labelled)} labels, {len(others)} other frames; difference to the nearest label {before:.3f}, "
        f"then {after:.3f}; {lost} frames show too little of the labelled surfaces (quality.csv)\n"
        f"{_sightings(densified)}"
        f"wrote predictions.npz, annotations.json, quality.csv in {out}"
    )


CONTRADICTION = (
    "so far off, they contradict the labels and were not followed: look at the labels' hands, or bring another "
    "program's keypoints by --keypoints FILE\n"
)


def _sightings(densified: "Densified") -> str:
    """A line on the keypoints, where any were asked for."""
    seen = densified.sightings
    if seen is None:
        return ""
    found = f"the hand is seen in {seen.frames} of {len(densified.predictions)} frames"
    if seen.adapted_px != seen.adapted_px:  # NaN
        return f"{found}, but at no label: where its joints are seen is not adapted to this hand\n"
    return (
        f"{found}; at the labels its joints are seen {seen.unadapted_px:.1f} px away, and {seen.adapted_px:.1f} px "
        f"once adapted to them\n{'' if seen.used else CONTRADICTION}"
    )
