"""`warpgrasp predict`, and networks from and for elsewhere: `import-released`, `quantize`, `export-onnx`."""

from contextlib import suppress
from pathlib import Path
from typing import Literal

from warpgrasp.cli.options import AS_USUAL, DataChoice, HandChoice, Positional, check_new, console, hand_model

SIZES = {"fphab": (480, 270), "ho3d": (640, 480)}  # at which the paper's networks see pictures


def import_released(
    checkpoint: Positional,
    /,
    *,
    data: Path,
    out: Path,
    read: DataChoice = AS_USUAL,
    force: bool = False,
) -> None:
    """Convert a checkpoint that the paper's code released (FPHAB or HO-3D) into weights of this program.

    Args:
        checkpoint: `checkpoint_*.pth.tar`, or the like, of the paper's code.
        data: The data set that it was trained on, whose objects it knows.
        out: The checkpoint to write (.safetensors), for `predict --weights`.
        read: How the data set is read; the hand is the MANO of the checkpoint.
        force: Overwrite an existing file.
    """
    from warpgrasp.data import layout_of
    from warpgrasp.reconstruction import CheckpointError, read_released, save_checkpoint

    check_new(out, force=force)
    layout = read.layout or layout_of(data)
    if layout not in SIZES:
        raise CheckpointError(f"expected FPHAB or HO-3D, on which the paper trained, found the layout {layout}")
    dataset = read.open(data)
    models = {model.name: model for split in ("train", "evaluation") for model in dataset.objects(split)}
    width, height = SIZES[layout]
    released = read_released(checkpoint, dataset.hand, list(models.values()), width=width, height=height)
    save_checkpoint(out, released.checkpoint)
    adapted = released.checkpoint.config.skeleton_adaptation
    note = f"; adapted joints within {1000 * released.adaptation_error_m:.2g} mm of theirs" if adapted else ""
    console.print(f"wrote {out}, which knows {', '.join(models)}{note}", soft_wrap=True)


def quantize(
    weights: Positional,
    /,
    *,
    data: Path,
    out: Path,
    read: DataChoice = AS_USUAL,
    pictures: int = 40,
    force: bool = False,
) -> None:
    """Write a trained network's encoder in 8-bit integers, for faster predictions on a CPU.

    Args:
        weights: A run's folder, a checkpoint, or `best` for the shipped one.
        data: A data set like those to predict; only the pictures of its training frames are read.
        out: The ONNX file to write, for `predict --quantized`.
        read: How the data set is read.
        pictures: Number of pictures, evenly spread, that the ranges are taken from.
        force: Overwrite an existing file.
    """
    from warpgrasp.frame import Frames
    from warpgrasp.inference import (
        QuantizationError,
        quantize_encoder,
        quantized_encoder,
        run_encoder_by,
        vertex_change_mm,
    )
    from warpgrasp.reconstruction import open_weights

    check_new(out, force=force)
    if pictures < 1:
        raise QuantizationError(
            f"expected at least 1 picture to calibrate by, got {pictures}; choose more by --pictures"
        )
    checkpoint = open_weights(weights)
    width, height = checkpoint.picture_size
    dataset = read.open(data, size=(width, height))
    checkpoint.check_objects(dataset.objects("train"))
    names = dataset.names("train")
    chosen = names[:: max(1, len(names) // pictures)][:pictures]
    batches = [Frames.of([dataset.frame(name, annotated=False)]) for name in chosen]
    network, sha256 = checkpoint.network(dataset.hand).eval(), checkpoint.sha256
    quantize_encoder(network, [frames.image for frames in batches], out, weights_sha256=sha256)
    quantized = checkpoint.network(dataset.hand).eval()
    content = quantized_encoder(out, quantized, weights_sha256=sha256, size=(width, height))
    run_encoder_by("onnx", quantized, width=width, height=height, quantized=content)
    hand_mm, object_mm = vertex_change_mm(network, quantized, batches)
    console.print(
        f"wrote {out}; in these {len(batches)} pictures vertices move by {hand_mm:.2f} mm (hand) and {object_mm:.2f} "
        f"mm (object), on average",
        soft_wrap=True,
    )


def export_onnx(
    weights: Positional,
    /,
    *,
    out: Path,
    hand: HandChoice = "open",
    mano_folder: Path | None = None,
    force: bool = False,
) -> None:
    """Write a trained network with its hand model as one ONNX file, for other programs.

    Args:
        weights: A run's folder, a checkpoint, or `best` for the shipped one.
        out: The ONNX file to write.
        hand: The hand model that the network was trained with.
        mano_folder: Where MANO_RIGHT.pkl lies, for `--hand mano`; the file will then hold MANO, under its licence.
        force: Overwrite an existing file.
    """
    from warpgrasp.inference import export_onnx as export
    from warpgrasp.reconstruction import open_weights

    check_new(out, force=force)
    checkpoint = open_weights(weights)
    width, height = checkpoint.picture_size
    network = checkpoint.network(hand_model(hand, mano_folder))
    notes = {"hand": checkpoint.hand, "weights_sha256": checkpoint.sha256}
    export(network, out, width=width, height=height, notes=notes)
    objects = ", ".join(f"{row}: {name}" for row, name in enumerate(network.object_names))
    console.print(f"wrote {out}, for pictures of {width}×{height}; object_row is {objects}", soft_wrap=True)


OnBad = Literal["refuse", "skip"]  # as in data/frames.py, which is too heavy for `--help`


def predict(
    input: Positional,
    /,
    *,
    weights: Path,
    out: Path,
    object: Path | None = None,
    camera: Path | None = None,
    split: Literal["train", "validation", "evaluation", "all"] | None = None,
    read: DataChoice = AS_USUAL,
    smooth: float = 0.0,
    bad_frames: OnBad = "refuse",
    batch: int = 16,
    device: str = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "fp32",
    backend: Literal["torch", "onnx", "openvino"] = "torch",
    quantized: Path | None = None,
    check_hands: int = 5,
    refine: bool = False,
    keypoints: Path | None = None,
    force: bool = False,
) -> None:
    """Reconstruct hand and object in every frame of a video, a folder of pictures, a recording or a data set.

    Args:
        input: A video, a folder of numbered pictures, a recording, a data set, or `sample` for the shipped one.
        weights: A run's folder, a checkpoint, or `best` for the shipped one.
        out: The predictions file to write (.npz).
        object: The mesh of the object that a video or pictures show, or its object.json.
        camera: The camera.json of a video or of pictures.
        split: Which frames of a recording or data set; `evaluation` where it has such, else `train`.
        read: How the data set is read.
        smooth: Average parameters over neighbouring frames, by a Gaussian of this standard deviation in frames.
        bad_frames: What is done with a frame of a video that cannot be read: `skip` leaves it out and lists it.
        batch: Frames at once.
        device: `cpu`, `cuda`, or another of PyTorch's; `auto`: a GPU where there is one.
        precision: Arithmetic of the encoder; `auto`: bf16 where the hardware has it.
        backend: What runs the encoder: PyTorch, ONNX Runtime (fp32), or OpenVINO, the fastest on a CPU.
        quantized: The encoder in int8, as `warpgrasp quantize` wrote it, for `--backend onnx` or `openvino`.
        check_hands: Look for the hand by a detector in one frame of so many, and flag frames without one; 0: never.
        refine: Move each frame's hand, and the object with it, to the keypoints that the detector sees.
        keypoints: Another program's keypoints of the pictures (docs/own_video.md), instead of the shipped detector's.
        force: Overwrite an existing file.
    """
    from warpgrasp.inference import PredictionOptions, Predictor
    from warpgrasp.predictions import keypoints_summary, open_predictions, remove_finished_shards, summary
    from warpgrasp.reconstruction import open_weights

    if not force:
        remove_finished_shards(out)
    check_new(out, force=force)
    options = PredictionOptions(
        batch, smooth, bad_frames, device, precision, backend, quantized, check_hands, refine, keypoints
    )
    checkpoint = open_weights(weights)
    if object is None and camera is None and not input.is_file():
        left = read.side == "left"
        read = read.of_recordings_too(input).in_splits_of(_trained_splits(weights, input), input)
        dataset = read.open(input, size=checkpoint.picture_size)
        predictor = Predictor(checkpoint, dataset.hand, options)
        predictor.predict_dataset(dataset, split, out, left=left)
    else:
        predictor = Predictor(checkpoint, hand_model(read.hand, read.mano_folder), options)
        predictor.predict_footage(input, out, object=object, camera=camera, side=read.side)
    predictions, header = open_predictions(out)
    named = f" ({header['split']})" if "split" in header else ""
    flags = "" if predictions.flags is None else f"; {summary(predictions.flags)}"
    console.print(f"wrote {len(predictions)} frames{named} to {out}{flags}", soft_wrap=True)
    seen = keypoints_summary(predictions)
    if seen is not None:
        console.print(seen, soft_wrap=True)


def _trained_splits(weights: Path, data: Path) -> str:
    """The protocol of the run that made the weights, where it was trained on this folder; else an empty text."""
    from warpgrasp.bounded import read_json

    notes = (weights if weights.is_dir() else weights.parent) / "run.json"
    with suppress(OSError, ValueError, LookupError, TypeError):
        trained = read_json(notes)["data"]
        if Path(trained["root"]).resolve() == data.resolve():
            return str(trained["protocol"])
    return ""
