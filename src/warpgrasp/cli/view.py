"""`warpgrasp view`."""

from pathlib import Path

from warpgrasp.cli.console import Positional, console
from warpgrasp.cli.reading import AS_USUAL, DataChoice


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

    from warpgrasp.viewer.exporting import ExportError, appearing
    from warpgrasp.viewer.guard import is_loopback
    from warpgrasp.viewer.page import PageOptions, page_of
    from warpgrasp.viewer.shown import Shown

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
    from warpgrasp.viewer.frame_server import FrameServer

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
