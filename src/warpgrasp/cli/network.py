"""Networks from and for elsewhere: `warpgrasp import-released`, `quantize` and `export-onnx`."""

from pathlib import Path

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
