"""`warpgrasp sample`, `doctor`, `symmetry`, `annotate` and `suggest`: data made, checked and labelled."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from warpgrasp.cli.options import AS_USUAL, DataChoice, HandChoice, Positional, UsageError, console, hand_model
from warpgrasp.errors import UserError

if TYPE_CHECKING:
    from warpgrasp.data.recording import Recording
    from warpgrasp.hand import Side
    from warpgrasp.predictions import Predictions

SAMPLE_SEQUENCES, BENCHMARK_SEQUENCES = 8, 100


def sample(
    out: Positional,
    /,
    *,
    benchmark: bool = False,
    sequences: int | None = None,
    frames: int = 60,
    seed: int = 0,
) -> None:
    """Generate sample data or the open benchmark in HO-3D's layout, drawn by the built-in renderer.

    Args:
        out: Folder to write; it must not exist yet.
        benchmark: The benchmark: many objects, rooms, lights, occluders, and grips that change; made by all processors
            in some minutes.
        sequences: Training sequences; a quarter as many come on top for evaluation. 8 unless given, 100 of the
            benchmark.
        frames: Frames of each sequence.
        seed: Decides grasps, motions, skins, light and backgrounds.
    """
    from warpgrasp.data.sample import evaluation_count

    if benchmark:
        from warpgrasp.data.benchmark import generate_benchmark as generate
    else:
        from warpgrasp.data.sample import generate

    count = (BENCHMARK_SEQUENCES if benchmark else SAMPLE_SEQUENCES) if sequences is None else sequences
    generate(out, sequences=count, frames=frames, seed=seed)
    console.print(f"wrote {count} + {evaluation_count(count)} sequences of {frames} frames to {out}")


def doctor(*, data: Path | None = None, read: DataChoice = AS_USUAL) -> None:
    """Check the installation, the hand model and, if given, a data set; say what is missing.

    Args:
        data: A data set to check.
        read: How the data set is read.
    """
    import torch

    from warpgrasp.data import examine

    model = hand_model(read.hand, read.mano_folder)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    console.print(f"PyTorch {torch.__version__} on {device}")
    console.print(f"hand: {model.template.name}, {len(model.template.vertices)} vertices")
    if data is not None:
        sides = read.of_recordings_too(data).sides()
        for line in examine(data, model, layout=read.named_layout, protocol=read.protocol, sides=sides):
            console.print(line, soft_wrap=True)


def symmetry(mesh: Positional, /, *, alike_share: float = 0.02) -> None:
    """Propose what object.json may say of a mesh's symmetry: the turns that leave its shape as it is.

    Args:
        mesh: A mesh file (.obj, .ply or .glb), in any unit.
        alike_share: The root mean square distance of the turned surface from the mesh's that counts as the same, as a
            share of the mesh's diagonal.
    """
    import json

    from warpgrasp.data.recording import models_in_any_units, near_symmetries

    _, _, model = next(models_in_any_units(mesh))
    found = near_symmetries(model, alike_share=alike_share)
    if not found:
        console.print(f"{mesh}: no turn about an axis of the mesh leaves the shape as it is", soft_wrap=True)
    for like in found:
        turn = "at any angle" if like.turn_deg is None else f"turned by {like.turn_deg:g}°"
        declared = json.dumps({"axis": like.axis, "fold": like.fold})
        console.print(
            f'the same {turn} about {like.axis}; where its colours do not tell these turns apart: "symmetry": '
            f"{declared}",
            soft_wrap=True,
            highlight=False,
        )


def annotate(
    recording: Positional,
    /,
    *,
    hand: HandChoice = "open",
    mano_folder: Path | None = None,
    side: Literal["right", "left"] | None = None,
    hands: Literal["one", "both"] = "one",
    host: str = "127.0.0.1",
    port: int = 8080,
    predictions: Path | None = None,
    masks: Path | None = None,
    read_only: bool = False,
    open_browser: bool = True,
) -> None:
    """Annotate a few frames of a recording in the browser.

    Args:
        recording: The recording's folder: pictures, camera.json and object.json.
        hand: The hand model of the labels.
        mano_folder: Where MANO_RIGHT.pkl lies, for `--hand mano`.
        side: Which hand is annotated; as the labels say, where they are of one hand, or else the right one.
        hands: `both` lets a recording with labels of one hand get those of the other one beside them.
        host: The network interface to listen on; this machine alone can reach the usual one.
        port: The port to listen on, or the next one that is free.
        predictions: A predictions file of this recording (of `predict` or `densify`), whose grasps may be copied.
        masks: Silhouettes of hand and object in some or all frames, as `densify --masks` takes them: refining goes by
            their outlines too. Those that are painted on the page are in the recording's folder `masks`.
        read_only: Only look; somebody else may write.
        open_browser: Open the page in this machine's browser.
    """
    from warpgrasp.annotate import serve
    from warpgrasp.data.recording import read_masks

    annotated = of_hands(one_recording(recording), side, hands)
    try:
        serve(
            annotated,
            annotated.hand(hand_model(hand, mano_folder)),
            host=host,
            port=port,
            predictions=None if predictions is None else predictions_to_start_from(predictions, annotated),
            masks=None if masks is None else read_masks(masks, annotated.clip),
            read_only="as asked for by --read-only" if read_only else None,
            open_browser=open_browser,
            say=lambda line: console.print(line, highlight=False, soft_wrap=True),
        )
    except ModuleNotFoundError as error:
        if error.name not in ("viser", "websockets"):
            raise
        raise UserError(
            "expected the package viser, found none; install it: pip install 'warpgrasp[viewer]'"
        ) from error


def suggest(recording: Positional, /, *, count: int = 3, side: Literal["right", "left"] | None = None) -> None:
    """Name the frames of a recording whose labels would help most: each brings all others nearest, in motion, to one.

    Of nearby frames that are nearly as good it is one in which hand and object are sharper.

    Args:
        recording: The folder of one recording, with labels or without.
        count: How many frames.
        side: The hand whose labels count; as they say, where they are of one hand, or else the right one.
    """
    from warpgrasp.refinement import suggested_frames

    if count < 1:
        raise UsageError(f"expected --count of at least 1, got {count}")
    frames = suggested_frames(one_recording(recording).of_side(side), count)
    if not frames:
        console.print("every frame has a label")
        return
    console.print(" ".join(map(str, frames)), highlight=False)


def one_recording(folder: Path) -> "Recording":
    """Read the recording of a folder. Raises `UserError` where it is none."""
    from warpgrasp.data.recording import Recording, is_recording

    if not is_recording(folder):
        raise UserError(f"expected the folder of one recording (camera.json, object.json, a video), found {folder}")
    return Recording.read(folder)


def of_hands(recording: "Recording", side: "Side | None", hands: Literal["one", "both"]) -> "Recording":
    """The recording taken as one of that hand, or of both. Raises `DataError` where labels are of the other alone."""
    return recording.of_both(side) if hands == "both" else recording.of_side(side)


def predictions_to_start_from(start: Path, recording: "Recording") -> "Predictions":
    """Read predictions of a recording. Raises `UserError` where they are of the other hand."""
    from warpgrasp.predictions import read_predictions

    predictions, header = read_predictions(start)
    if header.get("side", "right") != recording.side:
        raise UserError(
            f"expected predictions of a {recording.side} hand to start from, as the labels are of one, found those of "
            f"the other in {start}; predict them by `warpgrasp predict --side {recording.side}`"
        )
    return predictions
