"""`warpgrasp evaluate`, `view` and `export`: what is done with a predictions file.

Scores as tables of the terminal and as JSON; a sequence in a browser, and in other programs' formats.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.table import Table

from warpgrasp.cli.options import AS_USUAL, DataChoice, Positional, UsageError, check_new, console
from warpgrasp.errors import UserError
from warpgrasp.files import write_json

if TYPE_CHECKING:  # too heavy for `--help`
    from warpgrasp.evaluation import Assessment, OfficialScores
    from warpgrasp.export import PredictedSequence, SequenceSources
    from warpgrasp.hand import Side
    from warpgrasp.view import FrameServer


def evaluate(
    file: Positional,
    /,
    *,
    data: Path,
    out: Path | None = None,
    read: DataChoice = AS_USUAL,
    contact: bool = False,
    ho3d_official: bool = False,
    submission: Path | None = None,
    force: bool = False,
) -> None:
    """Score a predictions file against a data set's annotations.

    Args:
        file: What `predict` wrote.
        data: The data set.
        out: Also write the scores as JSON.
        read: How the data set is read.
        contact: Also measure penetration, shared volume and contact of predicted hand and object (slower).
        ho3d_official: Also compute the fourteen figures of HO-3D's own script, on its evaluation split.
        submission: Also write the zip file that HO-3D's challenge takes.
        force: Overwrite an existing submission.
    """
    from warpgrasp.data import SPLITS
    from warpgrasp.evaluation import ChallengeHands, assess, evaluation_names, official_scores, score, write_submission
    from warpgrasp.predictions import read_predictions

    if submission is not None:
        check_new(submission, force=force)
    predictions, header = read_predictions(file)
    side: Side = "left" if header.get("side") == "left" else "right"
    dataset = read.in_splits_of(str(header.get("protocol", "")), data).open(data, as_shown=side)
    challenge = ho3d_official or submission is not None
    hands = ChallengeHands.predicted(predictions, evaluation_names(dataset)) if challenge else None
    names = dataset.names(header["split"]) if header.get("split") in SPLITS else predictions.names
    predicted_count = len(names)
    names = [name for name in names if dataset.is_annotated(name)]
    without_truth = predicted_count - len(names)
    if not names:
        raise UserError(f"expected frames with annotation among the predicted ones in {data}, found none to score")
    scores = score(predictions, dataset, names)
    assessment = assess(predictions, dataset, names, contact=contact)
    official = official_scores(hands, ChallengeHands.true(dataset)) if hands is not None and ho3d_official else None
    left_out = f", {without_truth} without annotation left out" if without_truth else ""
    console.print(score_table(f"{len(names)} frames{left_out} · camera space, no alignment", scores.means))
    console.print(figure_table(assessment))
    if official is not None:
        console.print(official_table(official))
    if out is not None:
        content = {
            "frames": len(names),
            "frames_without_truth": without_truth,
            "predictions": header,
            "scores_alignment": "camera space, none",
            "scores": scores.means,
            **asdict(assessment),
            **({} if official is None else {"ho3d_official": asdict(official)}),
        }
        write_json(out, content)
    if hands is not None and submission is not None:
        write_submission(submission, hands)
        console.print(f"wrote {len(hands.joints)} frames to {submission}, for HO-3D's challenge")


def score_table(title: str, means: Mapping[str, float]) -> Table:
    """The paper's mean errors, as printed."""
    table = Table(title=title, title_justify="left")
    table.add_column("mean error")
    table.add_column("value", justify="right")
    for name, value in means.items():
        table.add_row(name.replace("_", " "), f"{value:.2f}")
    return table


def figure_table(assessment: "Assessment") -> Table:
    """The further figures, as printed; a frame that is left out is counted beside the figure."""
    caption = f"not closed: {', '.join(assessment.open_objects)}" if assessment.open_objects else None
    table = Table(title="Further measures · alignment and unit in the name", title_justify="left", caption=caption)
    table.add_column("measure")
    table.add_column("value", justify="right")
    table.add_column("frames", justify="right")
    for figure in assessment.figures:
        value = "–" if figure.value is None else f"{figure.value:.3f}"
        left_out = f" ({figure.left_out} left out)" if figure.left_out else ""
        table.add_row(figure.name.replace("_", " "), value, f"{figure.frames}{left_out}")
    return table


def official_table(official: "OfficialScores") -> Table:
    """HO-3D's figures under their own names, as printed."""
    table = Table(title="HO-3D's official figures", title_justify="left")
    table.add_column("scores.txt")
    table.add_column("value", justify="right")
    table.add_column("unit")
    for name, value in asdict(official).items():
        table.add_row(name, f"{value:.6f}", official.unit(name))
    return table


def view(
    file: Positional,
    /,
    *,
    save: Path | None = None,
    data: Path | None = None,
    object: Path | None = None,
    sequence: str | None = None,
    control: Path | None = None,
    other_hand: Path | None = None,
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
        other_hand: The other hand's predictions around the same object, as `densify` writes them of both hands.
        read: How the data set is read.
        frames: The most frames that a saved page holds; of longer sequences every so many is shown.
        width: The largest width of the pictures in the page, in pixels.
        compare: Let a saved page hold the photometric residual and the flow too, in three times as many pictures.
        force: Overwrite an existing page.
        host: The address to serve at; others than this machine's own let the network look.
        port: The port to serve at, or the next free one.
        open_browser: Open the page in a browser.
    """
    from warpgrasp.files import write_text
    from warpgrasp.view import FrameServer, PageOptions, ViewContent, saved_page

    if save is not None:
        check_new(save, force=force)
    options = PageOptions(frames, width, compare)
    sources = read.sources(file, data=data, object=object)
    shown = _with_other_hand(sources, sources.sequence(file, sequence), other_hand)
    other = None if control is None else sources.sequence(control, shown.name)
    content = ViewContent(shown, other, sources.dataset)
    if save is not None:
        page = saved_page(content, options)
        write_text(save, page)
        console.print(f"wrote {save}, {len(page) / 1e6:.1f} MB; open it in a browser", soft_wrap=True)
        return
    with FrameServer(content, host=host, port=port, width=width) as server:
        _serve(server, host, open_browser=open_browser)


def _with_other_hand(sources: "SequenceSources", shown: "PredictedSequence", file: Path | None) -> "PredictedSequence":
    """A sequence, with the other hand of a file where one is given."""
    from warpgrasp.export import with_other_hand

    return shown if file is None else with_other_hand(shown, sources.sequence(file, shown.name))


def _serve(server: "FrameServer", host: str, *, open_browser: bool) -> None:
    """Say the page's address, open it in a browser, and answer until Ctrl+C."""
    import webbrowser

    from warpgrasp.guard import is_loopback

    console.print(f"showing {server.frame_count} frames at {server.address}", highlight=False, soft_wrap=True)
    if not is_loopback(host):
        console.print(f"whoever reaches {host} and knows this address can look", style="bold", soft_wrap=True)
    console.print("Ctrl+C ends it")
    if open_browser:
        webbrowser.open(server.address)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        console.print("ended")


@dataclass(frozen=True)
class TargetOptions:
    """What is written where: an option for each format of `EXPORTS`, and `--to` for those of other packages."""

    glb: Path | None = None
    """The animated GLB file to write."""
    usd: Path | None = None
    """The animated USD file to write (.usd, .usda, .usdc); needs the extra `usd`."""
    rrd: Path | None = None
    """The recording of Rerun to write, with the pictures of `data`; needs the extra `rerun`."""
    obj: Path | None = None
    """The folder to write, an OBJ file for each frame."""
    ply: Path | None = None
    """The folder to write, two PLY files for each frame."""
    mp4: Path | None = None
    """The video to write, predictions over pictures."""
    csv: Path | None = None
    """The table to write, a row for each frame."""
    json: Path | None = None
    """The same as JSON."""
    bop: Path | None = None
    """The object poses as a CSV file of the BOP challenge."""
    ho3d: Path | None = None
    """The folder to write in HO-3D's layout, every frame an annotated one; it must not be there."""
    to: Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="NAME=PATH")] = ()
    """What to write in a format of another package (docs/extending.md); may be given again."""

    @property
    def paths(self) -> dict[str, Path]:
        """The paths by the names of their formats. Raises `UsageError` when one of `to` is none, or given twice."""
        named = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "to"}
        paths = {name: path for name, path in named.items() if path is not None}
        for text in self.to:
            name, _, path = text.partition("=")
            if not name or not path:
                raise UsageError(f"expected NAME=PATH for --to, got {text!r}")
            if name in paths:
                raise UsageError(f"expected one path for the format {name}, got {paths[name]} and {path}")
            paths[name] = Path(path)
        return paths


def export(
    file: Positional,
    /,
    *,
    data: Path | None = None,
    object: Path | None = None,
    sequence: str | None = None,
    other_hand: Path | None = None,
    read: DataChoice = AS_USUAL,
    targets: Annotated[TargetOptions, tyro.conf.arg(name="")] = TargetOptions(),
    bop_scene: int = 1,
    bop_object: int = 1,
    force: bool = False,
) -> None:
    """Write predictions as animated GLB or USD, meshes, a video with them over it, tables of numbers, or a data set.

    Args:
        file: What `predict` wrote.
        data: What was predicted: a video, a folder of pictures, a recording or a data set.
        object: The mesh of the object, where `data` is not a data set that has it.
        sequence: Which sequence of the file, where there are several.
        other_hand: The other hand's predictions around the same object, as `densify` writes them of both hands.
        read: How the data set is read.
        targets: What is written where.
        bop_scene: The number of the scene in the BOP file.
        bop_object: The number of the object in the BOP file.
        force: Overwrite existing files.
    """
    from warpgrasp.export import ExportOptions, check_targets, export_sequence

    paths = targets.paths
    appeared = check_targets(paths, force=force)
    sources = read.sources(file, data=data, object=object)
    predicted = _with_other_hand(sources, sources.sequence(file, sequence), other_hand)
    for line in export_sequence(predicted, paths, ExportOptions(bop_scene, bop_object), appeared=appeared):
        console.print(line, soft_wrap=True)
