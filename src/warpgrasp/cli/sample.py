"""`warpgrasp sample`."""

from warpgrasp.cli.console import Positional, console


def sample(out: Positional, /, *, sequences: int = 8, frames: int = 60, seed: int = 0) -> None:
    """Generate sample data in HO-3D's layout, drawn by the built-in renderer.

    Args:
        out: Folder to write; it must not exist yet.
        sequences: Training sequences; a quarter as many come on top for evaluation.
        frames: Frames of each sequence.
        seed: Decides grasps, motions, skins, light and backgrounds.
    """
    from warpgrasp.data.sample.generate import generate

    generate(out, sequences=sequences, frames=frames, seed=seed)
    console.print(f"wrote {sequences} + {max(1, sequences // 4)} sequences of {frames} frames to {out}")
