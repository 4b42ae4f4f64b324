"""`warpgrasp densify`."""

from pathlib import Path

from warpgrasp.cli.console import Positional, console
from warpgrasp.cli.reading import HandChoice, hand_model
from warpgrasp.errors import UserError


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
    from warpgrasp.data.recording.folder import Recording, is_recording
    from warpgrasp.inference import read_predictions
    from warpgrasp.inference.densify import PREDICTIONS
    from warpgrasp.inference.densify import densify as carry_on
    from warpgrasp.training.run import commit

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
    found = carry_on(read, hand_model(hand, mano_folder), out, program=commit(), start=begun)
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
