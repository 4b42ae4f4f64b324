"""`warpgrasp sample`, `warpgrasp doctor` and `warpgrasp demo`: to begin with."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from rich.table import Table

from warpgrasp.cli.options import AS_USUAL, DataChoice, Positional, console, hand_model, print_shares


def demo(
    *,
    out: Path = Path("runs/demo"),
    data: Path | None = None,
    seed: int = 0,
    upper_bound: bool = False,
    recipe: Literal["demo", "toy"] = "demo",
) -> None:
    """Train from a few annotated frames with and without photometric consistency; score both; write a report.

    Args:
        out: Folder of the results; an interrupted demo goes on there.
        data: A data set in HO-3D's layout instead of the shipped sample.
        seed: Decides the initial weights, the order of the frames and the augmentation.
        upper_bound: Train also on every annotation, with the steps of both stages.
        recipe: `toy` is a smoke run of seconds, and no evidence.
    """
    from warpgrasp.data import open_dataset
    from warpgrasp.data.sample import unpack_shipped
    from warpgrasp.experiments import report_of, run_demo
    from warpgrasp.files import write_json
    from warpgrasp.report import write_report
    from warpgrasp.training import RECIPES

    chosen = replace(RECIPES[recipe](), seed=seed)
    root = unpack_shipped(out / "data") if data is None else data
    dataset = open_dataset(root, hand_model("open", None))
    finished = run_demo(chosen, dataset, out, upper_bound=upper_bound, side_by_side=True)
    results = finished.results()
    write_json(out / "results.json", results)
    write_json(out / "sequences.json", finished.per_sequence())
    write_report(out / "report.html", report_of(finished))
    labels = results["labels"]
    print_shares(finished.training.labels)
    console.print(
        f"{labels['annotated']} of {labels['total']} training frames annotated "
        f"({100 * labels['effective_fraction']:.1f} %); camera space, no alignment; change: photometric against control"
    )
    for table in result_tables(results):
        console.print(table)
    console.print(f"{results['seconds']:.0f} s; {out / 'results.json'}; look at {out / 'report.html'}")


def result_tables(results: dict[str, Any]) -> list[Table]:
    """The demo's scores, as printed."""
    titles = {
        "unannotated": "Never-annotated frames of the training sequences",
        "evaluation": "Evaluation sequences",
    }
    arms = [arm for arm in ("control", "photometric", "full") if arm in results]
    tables = []
    for group, title in titles.items():
        table = Table(title=title, title_justify="left")
        table.add_column("mean error")
        for arm in arms:
            table.add_column(arm, justify="right")
        table.add_column("change", justify="right")
        for metric in results["control"][group]:
            values = [results[arm][group][metric] for arm in arms]
            change = 100 * (values[1] / values[0] - 1)
            table.add_row(metric.replace("_", " "), *(f"{value:.1f}" for value in values), f"{change:+.0f} %")
        tables.append(table)
    return tables


def sample(out: Positional, /, *, sequences: int = 8, frames: int = 60, seed: int = 0) -> None:
    """Generate sample data in HO-3D's layout, drawn by the built-in renderer.

    Args:
        out: Folder to write; it must not exist yet.
        sequences: Training sequences; a quarter as many come on top for evaluation.
        frames: Frames of each sequence.
        seed: Decides grasps, motions, skins, light and backgrounds.
    """
    from warpgrasp.data.sample import generate

    generate(out, sequences=sequences, frames=frames, seed=seed)
    console.print(f"wrote {sequences} + {max(1, sequences // 4)} sequences of {frames} frames to {out}")


def doctor(*, data: Path | None = None, read: DataChoice = AS_USUAL) -> None:
    """Check the installation, the hand model and, if given, a data set; say what is missing.

    Args:
        data: A data set to check.
        read: How the data set is read.
    """
    import torch

    from warpgrasp.data import examine

    model = hand_model(read.hand, read.mano_folder)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    console.print(f"PyTorch {torch.__version__} on {device}")
    console.print(f"hand: {model.template.name}, {len(model.template.vertices)} vertices")
    if data is not None:
        for line in examine(data, model, layout=read.named_layout, protocol=read.protocol, sides=read.sides()):
            console.print(line)
