"""`warpgrasp annotate`.

`warpgrasp suggest`.

`warpgrasp densify`.
"""

from pathlib import Path
from typing import Literal

from warpgrasp.cli.options import HandChoice, Positional, UsageError, console, hand_model
from warpgrasp.errors import UserError


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
    from warpgrasp.data.recording import Recording, is_recording

    try:
        from warpgrasp.annotate import serve
    except ModuleNotFoundError as error:
        if error.name not in ("viser", "websockets"):
            raise
        raise UserError(
            "expected the package viser, found none; install it: pip install 'warpgrasp[viewer]'"
        ) from error
    if not is_recording(recording):
        raise UserError(f"expected the folder of one recording (camera.json, object.json, a video), found {recording}")
    read = Recording.read(recording).of_side(side)
    serve(
        read,
        read.hand(hand_model(hand, mano_folder)),
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
    from warpgrasp.data.recording import Recording, is_recording
    from warpgrasp.refinement import suggested_frames

    if count < 1:
        raise UsageError(f"expected --count of at least 1, got {count}")
    if not is_recording(recording):
        raise UserError(f"expected the folder of one recording (camera.json, object.json, a video), found {recording}")
    frames = suggested_frames(Recording.read(recording), count)
    if not frames:
        console.print("every frame has a label")
        return
    console.print(" ".join(map(str, frames)), highlight=False)


def densify(
    recording: Positional,
    /,
    *,
    out: Path,
    start: Path | None = None,
    hand: HandChoice = "open",
    mano_folder: Path | None = None,
    force: bool = False,
) -> None:
    """Carry the labels of a recording to all of its frames, by the colours of what is labelled.

    No network is trained. `out` gets predictions.npz (for `view`, `export`, `evaluate`), annotations.json with a label
    for every frame, and quality.csv.

    Args:
        recording: The folder of one recording with a few labels.
        out: The folder to write into; the same command goes on with it when it was interrupted.
        start: Predictions of a network to start from, instead of the poses between the labels.
        hand: The hand model of the labels.
        mano_folder: Where MANO_RIGHT.pkl lies, for `--hand mano`.
        force: Overwrite predictions that are there.
    """
    from warpgrasp.data.recording import Recording, is_recording
    from warpgrasp.files import source_commit
    from warpgrasp.predictions import read_predictions
    from warpgrasp.refinement import PREDICTIONS
    from warpgrasp.refinement import densify as carry_on

    if not is_recording(recording):
        raise UserError(f"expected the folder of one recording (camera.json, object.json, a video), found {recording}")
    if (out / PREDICTIONS).exists() and not force:
        raise UserError(f"expected a folder without {PREDICTIONS}, but {out} has it; overwrite it by --force")
    if out.resolve() == recording.resolve():
        raise UserError(f"expected another folder than the recording's own, whose labels would be replaced, got {out}")
    read, begun = Recording.read(recording), None
    if start is not None:
        begun, header = read_predictions(start)
        if header.get("side", "right") != read.side:
            raise UserError(
                f"expected predictions of a {read.side} hand to start from, as the labels are of one, found those of "
                f"the other in {start}; predict them by `warpgrasp predict --side {read.side}`"
            )
    found = carry_on(read, hand_model(hand, mano_folder), out, program=source_commit(), start=begun)
    others = [place for place in range(len(found.predictions)) if place not in found.known]
    if not others:
        console.print(f"every frame has a label; wrote them in {out}", soft_wrap=True)
        return
    before, after = (float(one.difference[others].nanmean()) for one in (found.before, found.after))
    lost = int((found.after.compared_share[others] < 0.3).sum())
    console.print(
        f"{len(found.known)} labels, {len(others)} other frames; difference to the nearest label {before:.3f}, then "
        f"{after:.3f}; {lost} frames show too little of what is labelled (quality.csv)",
        soft_wrap=True,
    )
    console.print(f"wrote predictions.npz, annotations.json, quality.csv in {out}", soft_wrap=True)
