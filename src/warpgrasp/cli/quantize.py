"""`warpgrasp quantize`."""

from pathlib import Path

from warpgrasp.cli.console import Positional, console
from warpgrasp.cli.reading import AS_USUAL, DataChoice


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
        data: A data set like those to predict; of its training frames only pictures are looked at.
        out: The ONNX file to write, for `predict --quantized`.
        read: How the data set is read.
        pictures: From how many pictures, evenly spread, the ranges are taken.
        force: Overwrite an existing file.
    """
    from warpgrasp.frame import Frames
    from warpgrasp.inference.backends import run_encoder_by
    from warpgrasp.inference.quantization import (
        QuantizationError,
        quantize_encoder,
        quantized_encoder,
        vertex_change_mm,
    )
    from warpgrasp.reconstruction import open_weights

    if out.exists() and not force:
        raise QuantizationError(f"expected to write a new file, but {out} exists already; overwrite it by --force")
    if pictures < 1:
        raise QuantizationError(
            f"expected at least 1 picture to calibrate by, got {pictures}; choose more by --pictures"
        )
    checkpoint = open_weights(weights)
    width, height = int(checkpoint.training["width"]), int(checkpoint.training["height"])
    dataset = read.open(data, size=(width, height))
    checkpoint.check_objects(dataset.objects("train"))
    names = dataset.names("train")
    chosen = names[:: max(1, len(names) // pictures)][:pictures]
    frames = [Frames.of([dataset.frame(name, annotated=False)]) for name in chosen]
    sha256, network = checkpoint.sha256, checkpoint.network(dataset.hand).eval()
    quantize_encoder(network, [one.image for one in frames], out, weights_sha256=sha256)
    quantized = checkpoint.network(dataset.hand).eval()
    content = quantized_encoder(out, weights_sha256=sha256)
    run_encoder_by("onnx", quantized, width=width, height=height, quantized=content)
    hand_mm, object_mm = vertex_change_mm(network, quantized, frames)
    console.print(
        f"wrote {out}; in these {len(frames)} pictures vertices move by {hand_mm:.2f} mm (hand) and {object_mm:.2f} mm "
        f"(object), on average",
        soft_wrap=True,
    )
