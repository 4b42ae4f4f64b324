"""`warpgrasp doctor`."""

from pathlib import Path

from warpgrasp.cli.console import console
from warpgrasp.cli.reading import AS_USUAL, DataChoice, hand_model


def doctor(*, data: Path | None = None, read: DataChoice = AS_USUAL) -> None:
    """Check the installation, the hand model and, if given, a data set; say what is missing.

    Args:
        data: A data set to check.
        read: How the data set is read.
    """
    import torch

    from warpgrasp.data.doctor import examine

    model = hand_model(read.hand, read.mano_folder)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    console.print(f"PyTorch {torch.__version__} on {device}")
    console.print(f"hand: {model.template.name}, {len(model.template.vertices)} vertices")
    if data is not None:
        for line in examine(data, model, layout=read.layout, protocol=read.protocol, sides=read.sides()):
            console.print(line)
