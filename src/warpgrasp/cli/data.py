"""`warpgrasp sample`.

`warpgrasp doctor`.
"""

from pathlib import Path

from warpgrasp.cli.options import AS_USUAL, DataChoice, Positional, console, hand_model


def sample(out: Positional, /, *, sequences: int = 8, frames: int = 60, seed: int = 0) -> None:
    """Generate sample data in HO-3D's layout, drawn by the built-in renderer.

    Args:
        out: Folder to write; it must not exist yet.
        sequences: Training sequences; a quarter as many come on top for evaluation.
        frames: Frames of each sequence.
        seed: Decides grasps, motions, skins, light and backgrounds.
    """
    from warpgrasp.data.sample import generate

    generate(out, sequences=sequences, frames=frames, seed=seed)
    console.print(f"wrote {sequences} + {max(1, sequences // 4)} sequences of {frames} frames to {out}")


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
        for line in examine(data, model, layout=read.named_layout, protocol=read.protocol, sides=read.sides()):
            console.print(line)
