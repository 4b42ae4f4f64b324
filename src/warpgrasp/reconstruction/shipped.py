"""The weights that come with the package, and weights as they are named on the command line."""

from importlib.resources import as_file, files
from pathlib import Path

from warpgrasp.reconstruction.checkpoint import Checkpoint, load_checkpoint

BEST = "best"
SHIPPED_BEST = files("warpgrasp.reconstruction") / "assets" / "best.safetensors"  # docs/model_card.md
FINAL = "weights.safetensors"  # in a run's folder


def open_weights(named: Path) -> Checkpoint:
    """The checkpoint of a run's folder or in a file; `best`, where there is no such file, is the shipped one.

    Raises `CheckpointError` when there is none.
    """
    if named == Path(BEST) and not named.exists():
        with as_file(SHIPPED_BEST) as path:
            return load_checkpoint(path)
    return load_checkpoint(named / FINAL if named.is_dir() else named)
