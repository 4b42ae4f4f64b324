"""`warpgrasp export-onnx`."""

from pathlib import Path

from warpgrasp.cli.console import Positional, console
from warpgrasp.cli.reading import HandChoice, hand_model


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
    from warpgrasp.inference.onnx_export import ExportError
    from warpgrasp.inference.onnx_export import export_onnx as export
    from warpgrasp.reconstruction import open_weights

    if out.exists() and not force:
        raise ExportError(f"expected to write a new file, but {out} exists already; overwrite it by --force")
    checkpoint = open_weights(weights)
    width, height = int(checkpoint.training["width"]), int(checkpoint.training["height"])
    network = checkpoint.network(hand_model(hand, mano_folder))
    notes = {"hand": checkpoint.hand, "weights_sha256": checkpoint.sha256}
    export(network, out, width=width, height=height, notes=notes)
    objects = ", ".join(f"{row}: {name}" for row, name in enumerate(network.object_names))
    console.print(f"wrote {out}, for pictures of {width}×{height}; object_row is {objects}", soft_wrap=True)
