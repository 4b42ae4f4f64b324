"""Makes the weights that the package ships of a run's, in half precision.

    warpgrasp sample runs/benchmark --benchmark                                       # a quarter of an hour
    warpgrasp sample runs/wide --benchmark --sequences 199 --frames 10 --seed 11      # another
    warpgrasp train best --data sample --extra-data runs/benchmark runs/wide --added-share 0.75 \\
        --stage1.steps 22000 --network.object-told --augment.zoom 0.2 --augment.roll 0.3 --augment.shift 0.15 \\
        --augment.brightness 0.4 --augment.contrast 0.4 --augment.saturation 0.4 --out runs/shipped   # 40 minutes
    .venv/bin/python tools/ship_best.py runs/shipped

They are those of seed 0, the first and only one that was trained. Statistics and biases of the batch norms stay as they
are: some are too small for half precision.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from warpgrasp.reconstruction import open_weights, save_checkpoint

SHIPPED = Path("src/warpgrasp/reconstruction/assets/best.safetensors")
MATRIX = 2  # dimensions from which on a tensor holds weights rather than statistics


def main() -> None:
    """Convert and say what was written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the run's folder")
    checkpoint = open_weights(parser.parse_args().run)
    tensors = {
        name: value.half() if value.is_floating_point() and value.dim() >= MATRIX else value
        for name, value in checkpoint.network_tensors.items()
    }
    named = {f"network.{name}": value for name, value in tensors.items()}
    save_checkpoint(SHIPPED, replace(checkpoint, tensors=named))
    print(f"wrote {SHIPPED}, {SHIPPED.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
