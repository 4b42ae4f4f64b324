"""`warpgrasp predict`."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Literal

from warpgrasp.cli.options import AS_USUAL, DataChoice, Positional, check_new, console, hand_model

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
        force: Overwrite an existing file.
    """
    from warpgrasp.inference import PredictionOptions, Predictor
    from warpgrasp.predictions import open_predictions, summary
    from warpgrasp.reconstruction import open_weights

    check_new(out, force=force)
    options = PredictionOptions(batch, smooth, bad_frames, device, precision, backend, quantized)
    checkpoint = open_weights(weights)
    size = (int(checkpoint.training["width"]), int(checkpoint.training["height"]))
    if object is None and camera is None and not input.is_file():
        left = read.side == "left"
        read = read.of_recordings_too(input).in_splits_of(_trained_splits(weights, input), input)
        dataset = read.open(input, size=size)
        predictor = Predictor(checkpoint, dataset.hand, options)
        predictor.predict_dataset(dataset, split, out, left=left)
    else:
        predictor = Predictor(checkpoint, hand_model(read.hand, read.mano_folder), options)
        predictor.predict_footage(input, out, object=object, camera=camera, side=read.side)
    predictions, header = open_predictions(out)
    named = f" ({header['split']})" if "split" in header else ""
    flags = "" if predictions.flags is None else f"; {summary(predictions.flags)}"
    console.print(f"wrote {len(predictions)} frames{named} to {out}{flags}", soft_wrap=True)


def _trained_splits(weights: Path, data: Path) -> str:
    """The protocol of the run that made the weights, where it was trained on this folder; else an empty text."""
    notes = (weights if weights.is_dir() else weights.parent) / "run.json"
    with suppress(OSError, ValueError, LookupError, TypeError):
        trained = json.loads(notes.read_text())["data"]
        if Path(trained["root"]).resolve() == data.resolve():
            return str(trained["protocol"])
    return ""
