"""`warpgrasp view`.

`warpgrasp export`.
"""

from pathlib import Path

from warpgrasp.cli.options import AS_USUAL, DataChoice, Positional, console


def view(
    file: Positional,
    /,
    *,
    save: Path | None = None,
    data: Path | None = None,
    object: Path | None = None,
    sequence: str | None = None,
    control: Path | None = None,
    read: DataChoice = AS_USUAL,
    frames: int = 300,
    width: int = 960,
    compare: bool = False,
    force: bool = False,
    host: str = "127.0.0.1",
    port: int = 8080,
    open_browser: bool = True,
) -> None:
    """Show predictions over their pictures and in space, in a browser; or write the page as one file.

    Without `--save` the page is served here, with every frame of a sequence of any length, until Ctrl+C.

    Args:
        file: What `predict` or `densify` wrote.
        save: The page to write (.html); it opens without a network.
        data: What was predicted: a video, a folder of pictures, a recording or a data set, with the truth if it has it.
        object: The mesh of the object, where `data` is not a data set that has it.
        sequence: Which sequence of the file, where there are several.
        control: Another network's predictions of the same frames, to be shown beside.
        read: How the data set is read.
        frames: The most frames that a saved page holds; of longer sequences every so many is shown.
        width: The largest width of the pictures in the page, in pixels.
        compare: Let a saved page hold the photometric residual and the flow too, in three times as many pictures.
        force: Overwrite an existing page.
        host: The address to serve at; others than this machine's own let the network look.
        port: The port to serve at, or the next free one.
        open_browser: Open the page in a browser.
    """
    import webbrowser

    from warpgrasp.export import ExportError, appearing
    from warpgrasp.guard import is_loopback
    from warpgrasp.view import PageOptions, Shown, page_of

    if save is not None and save.exists() and not force:
        raise ExportError(f"expected to write a new page, but {save} exists already; overwrite it by --force")
    options = PageOptions(frames, width, compare)
    given = read.given(file, data=data, object=object)
    take = given.take(file, sequence)
    other = None if control is None else given.take(control, take.sequence)
    if save is not None:
        page = page_of(take, control=other, dataset=given.dataset, options=options)
        with appearing(save) as temporary:
            temporary.write_text(page, encoding="utf-8")
        console.print(f"wrote {save}, {len(page) / 1e6:.1f} MB; open it in a browser", soft_wrap=True)
        return
    from warpgrasp.view import FrameServer

    with FrameServer(Shown(take, other, given.dataset), host=host, port=port, width=width) as server:
        console.print(f"showing {len(take)} frames at {server.address}", highlight=False, soft_wrap=True)
        if not is_loopback(host):
            console.print(f"whoever reaches {host} and knows this address can look", style="bold", soft_wrap=True)
        console.print("Ctrl+C ends it")
        if open_browser:
            webbrowser.open(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            console.print("ended")


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
    from warpgrasp.export import BopNumbers, Targets, write_targets

    targets = Targets(glb, obj, ply, mp4, csv, json, bop, ho3d)
    targets.check(force=force)
    take = read.given(file, data=data, object=object).take(file, sequence)
    for line in write_targets(take, targets, BopNumbers(bop_scene, bop_object)):
        console.print(line, soft_wrap=True)
