"""`warpgrasp import-released`."""

from pathlib import Path

from warpgrasp.cli.console import Positional, console
from warpgrasp.cli.reading import AS_USUAL, DataChoice

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
    from warpgrasp.reconstruction import CheckpointError, save_checkpoint
    from warpgrasp.reconstruction.released import read_released

    if out.exists() and not force:
        raise CheckpointError(f"expected to write a new file, but {out} exists already; overwrite it by --force")
    layout = read.layout or layout_of(data)
    if layout not in SIZES:
        raise CheckpointError(f"expected FPHAB or HO-3D, on which the paper trained, found the layout {layout}")
    dataset = read.open(data)
    models = {model.name: model for split in ("train", "evaluation") for model in dataset.objects(split)}
    width, height = SIZES[layout]
    found = read_released(checkpoint, dataset.hand, list(models.values()), width=width, height=height)
    save_checkpoint(out, found.checkpoint)
    adapted = found.checkpoint.config.skeleton_adaptation
    note = f"; adapted joints within {1000 * found.adaptation_error_m:.2g} mm of theirs" if adapted else ""
    console.print(f"wrote {out}, which knows {', '.join(models)}{note}", soft_wrap=True)
