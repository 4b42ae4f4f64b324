"""`warpgrasp predict`."""

from pathlib import Path
from typing import Literal

from warpgrasp.cli.console import Positional, console
from warpgrasp.cli.reading import AS_USUAL, DataChoice


def predict(
    input: Positional,
    /,
    *,
    weights: Path,
    out: Path,
    split: Literal["train", "validation", "evaluation"] | None = None,
    read: DataChoice = AS_USUAL,
    batch: int = 16,
    precision: Literal["auto", "fp32", "bf16"] = "fp32",
    backend: Literal["torch", "onnx", "openvino"] = "torch",
    force: bool = False,
) -> None:
    """Reconstruct hand and object in every frame of a data set's split.

    Args:
        input: A data set, or a recording.
        weights: A run's folder, or a checkpoint.
        out: The predictions file to write (.npz).
        split: Which frames; `evaluation` where the data set has such, else `train`.
        read: How the data set is read.
        batch: Frames at once.
        precision: Arithmetic of the encoder; `auto`: bf16 where the hardware has it.
        backend: What runs the encoder: PyTorch, ONNX Runtime (fp32), or OpenVINO, the fastest on a CPU.
        force: Overwrite an existing file.
    """
    import torch

    from warpgrasp.inference import PredictionsError
    from warpgrasp.inference import predict as predict_frames
    from warpgrasp.inference.backends import run_encoder_by
    from warpgrasp.reconstruction import load_checkpoint, precision_on
    from warpgrasp.training.run import commit

    if out.exists() and not force:
        raise PredictionsError(f"expected to write a new file, but {out} exists already; overwrite it by --force")
    path = weights / "weights.safetensors" if weights.is_dir() else weights
    checkpoint = load_checkpoint(path)
    size = (int(checkpoint.training["width"]), int(checkpoint.training["height"]))
    dataset = read.open(input, size=size)
    split = split or ("evaluation" if dataset.names("evaluation") else "train")
    names = dataset.names(split)
    if not names:
        raise PredictionsError(
            f"expected frames in the split {split} of {input}, found none; choose another by --split"
        )
    checkpoint.check_objects(dataset.objects(split))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = checkpoint.network(dataset.hand).to(device)
    network.encoder_precision = precision_on(device, precision)
    run_encoder_by(backend, network, width=size[0], height=size[1])
    header = {
        "weights_sha256": checkpoint.sha256,
        "hand": checkpoint.hand,
        "protocol": dataset.protocol,
        "split": split,
        "precision": network.encoder_precision,
        "backend": backend,
        "commit": commit(),
        **checkpoint.training,
    }
    predict_frames(network, dataset, names, out, header=header, batch=batch)
    console.print(f"wrote {len(names)} frames ({split}) to {out}")
