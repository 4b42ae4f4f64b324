"""`warpgrasp view`."""

from pathlib import Path

from warpgrasp.cli.console import Positional, console
from warpgrasp.cli.reading import AS_USUAL, DataChoice


def view(
    file: Positional,
    /,
    *,
    save: Path,
    data: Path | None = None,
    object: Path | None = None,
    sequence: str | None = None,
    control: Path | None = None,
    read: DataChoice = AS_USUAL,
    frames: int = 300,
    width: int = 960,
    force: bool = False,
) -> None:
    """Write a page that shows predictions over their pictures and in space; it opens without a network.

    Args:
        file: What `predict` wrote.
        save: The page to write (.html).
        data: What was predicted: a video, a folder of pictures, a recording or a data set, with the truth if it has it.
        object: The mesh of the object, where `data` is not a data set that has it.
        sequence: Which sequence of the file, where there are several.
        control: Another network's predictions of the same frames, to be shown beside.
        read: How the data set is read.
        frames: The most frames that the page holds; of longer sequences every so many is shown.
        width: The largest width of the pictures in the page, in pixels.
        force: Overwrite an existing page.
    """
    from warpgrasp.viewer.exporting import ExportError, appearing
    from warpgrasp.viewer.page import PageOptions, page_of

    if save.exists() and not force:
        raise ExportError(f"expected to write a new page, but {save} exists already; overwrite it by --force")
    options = PageOptions(frames, width)
    given = read.given(file, data=data, object=object)
    take = given.take(file, sequence)
    other = None if control is None else given.take(control, take.sequence)
    page = page_of(take, control=other, dataset=given.dataset, options=options)
    with appearing(save) as temporary:
        temporary.write_text(page, encoding="utf-8")
    console.print(f"wrote {save}, {len(page) / 1e6:.1f} MB; open it in a browser", soft_wrap=True)
