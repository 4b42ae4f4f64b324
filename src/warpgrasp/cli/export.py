"""`warpgrasp export`."""

from pathlib import Path

from warpgrasp.cli.console import Positional, console
from warpgrasp.cli.reading import AS_USUAL, DataChoice


def export(
    file: Positional,
    /,
    *,
    data: Path | None = None,
    object: Path | None = None,
    sequence: str | None = None,
    read: DataChoice = AS_USUAL,
    glb: Path | None = None,
    obj: Path | None = None,
    ply: Path | None = None,
    mp4: Path | None = None,
    csv: Path | None = None,
    json: Path | None = None,
    bop: Path | None = None,
    bop_scene: int = 1,
    bop_object: int = 1,
    ho3d: Path | None = None,
    force: bool = False,
) -> None:
    """Write predictions as animated GLB, mesh files, a video with the meshes over it, tables of numbers, or a data set.

    Args:
        file: What `predict` wrote.
        data: What was predicted: a video, a folder of pictures, a recording or a data set.
        object: The mesh of the object, where `data` is not a data set that has it.
        sequence: Which sequence of the file, where there are several.
        read: How the data set is read.
        glb: The animated GLB file to write.
        obj: The folder to write, an OBJ file for each frame.
        ply: The folder to write, two PLY files for each frame.
        mp4: The video to write, predictions over pictures.
        csv: The table to write, a row for each frame.
        json: The same as JSON.
        bop: The object poses as a CSV file of the BOP challenge.
        bop_scene: The number of the scene there.
        bop_object: The number of the object there.
        ho3d: The folder to write in HO-3D's layout, every frame an annotated one; it must not be there.
        force: Overwrite existing files.
    """
    from warpgrasp.viewer.exporting import Targets, write_targets
    from warpgrasp.viewer.parameters import BopNumbers

    targets = Targets(glb, obj, ply, mp4, csv, json, bop, ho3d)
    targets.check(force=force)
    take = read.given(file, data=data, object=object).take(file, sequence)
    for line in write_targets(take, targets, BopNumbers(bop_scene, bop_object)):
        console.print(line, soft_wrap=True)
