"""Where the method ends: errors against motion, occlusion, blur, light and a wrong focal length.

    .venv/bin/warpgrasp reproduce fig8 --data sample --out runs/record      # first: about an hour on two cores
    .venv/bin/python tools/limits.py runs/record                              # some minutes
    .venv/bin/python tools/limits.py --only-write                             # docs/limits.md from the stored figures

The figures are kept in docs/results/limits.json. All are of the networks at one label in 30, on the training frames
that were never annotated.
"""

import argparse
import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFilter

from warpgrasp.data import Dataset, open_dataset
from warpgrasp.evaluation import score
from warpgrasp.experiments import FinishedRun
from warpgrasp.files import write_json
from warpgrasp.frame import Frame, FrameName
from warpgrasp.geometry import Camera, Mesh
from warpgrasp.hand import HandModel, open_hand
from warpgrasp.inference import predict_few
from warpgrasp.photometric import render_flow
from warpgrasp.reconstruction import load_checkpoint
from warpgrasp.render import rasterize
from warpgrasp.scene import Scene

STORED, PAGE = Path("docs/results/limits.json"), Path("docs/limits.md")
ROW, ARMS, SPACING = "3.33 %", ("control", "Eq. 1", "photometric"), 30
METRICS = ("hand_joint_error_px", "object_vertex_error_px", "hand_joint_error_mm", "object_vertex_error_mm")
SIZE = (320, 240)
MOTION_PX, HIDDEN = (0, 4, 8, 12, 20, 1000), (0.0, 0.1, 0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Changed:
    """A data set whose frames are changed as they are read."""

    dataset: Dataset
    change: Callable[[Frame], Frame]

    def frame(self, name: FrameName, *, annotated: bool) -> Frame:
        return self.change(self.dataset.frame(name, annotated=annotated))


def lighter(factor: float) -> Callable[[Frame], Frame]:
    return lambda frame: replace(frame, picture=(frame.picture.float() * factor).clamp(0, 255).byte())


def blurred(sigma_px: float) -> Callable[[Frame], Frame]:
    """A Gaussian of so many pixels of 320×240, in the smaller pictures that the network sees."""

    def change(frame: Frame) -> Frame:
        picture = Image.fromarray(frame.picture.permute(1, 2, 0).contiguous().numpy())
        picture = picture.filter(ImageFilter.GaussianBlur(sigma_px * frame.camera.width / SIZE[0]))
        return replace(frame, picture=torch.from_numpy(np.array(picture)).permute(2, 0, 1))

    return change


def refocused(factor: float) -> Callable[[Frame], Frame]:
    """A focal length that is wrong by a factor."""

    def change(frame: Frame) -> Frame:
        intrinsics = frame.camera.intrinsics.clone()
        intrinsics[[0, 1], [0, 1]] *= factor
        return replace(frame, camera=replace(frame.camera, intrinsics=intrinsics))

    return change


CHANGES: dict[str, dict[str, Callable[[Frame], Frame]]] = {
    "brightness, times": {f"{factor:g}": lighter(factor) for factor in (0.4, 0.6, 0.8, 1.0, 1.25, 1.6)},
    "blur, px of 320×240": {f"{sigma:g}": blurred(sigma) for sigma in (0, 1, 2, 4)},
    "focal length, times": {f"{factor:g}": refocused(factor) for factor in (0.8, 0.9, 1.0, 1.1, 1.25)},
}


def scene_of(dataset: Dataset, name: FrameName) -> tuple[Scene, Camera]:
    truth = dataset.truth(name)
    return Scene.annotated(dataset.hand, truth.annotation, truth.object), Camera(truth.intrinsics[None], *SIZE)


def motion_px(dataset: Dataset, name: FrameName, reference: FrameName) -> float:
    """The median displacement of what the reference sees."""
    (source, camera), (destination, other) = scene_of(dataset, reference), scene_of(dataset, name)
    flow = render_flow(source.mesh, destination.mesh, source_camera=camera, destination_camera=other)
    return float(flow.flow_px[flow.visible].norm(dim=-1).median())


def hidden_share(dataset: Dataset, name: FrameName) -> float:
    """The share of the object's silhouette that the hand hides."""
    scene, camera = scene_of(dataset, name)
    first = scene.hand_face_count
    alone = Mesh(scene.mesh.vertices, scene.mesh.faces[:, first:], scene.mesh.auxiliary_faces[:, first:])
    whole = rasterize(alone, camera).face_ids >= 0
    seen = rasterize(scene.mesh, camera).face_ids >= first
    return 1 - float(seen.sum() / whole.sum())


def in_bins(values: Sequence[float], edges: Sequence[float], errors: Sequence[dict[str, list[float]]]) -> list[dict]:
    """For each bin how many frames it holds, and each metric's mean for each seed."""
    rows = []
    for low, high in pairwise(edges):
        chosen = [place for place, value in enumerate(values) if low <= value < high]
        if chosen:
            means = {
                metric: [statistics.fmean(one[metric][place] for place in chosen) for one in errors]
                for metric in METRICS
            }
            rows.append({"from": low, "to": high, "frames": len(chosen), **means})
    return rows


def measure(record: Path) -> dict[str, Any]:
    content = json.loads((record / "fig8-sample.json").read_text())
    dataset = open_dataset(record / "data", HandModel(open_hand()))
    folders = {
        arm: [record / one["folder"] for one in content["runs"] if (one["row"], one["arm"]) == (ROW, arm)]
        for arm in ARMS
    }
    labels = FinishedRun.read(folders["control"][0]).labels(dataset)
    names = labels.unannotated_names
    places = {name: place for place, name in enumerate(dataset.names("train"))}
    moved = [motion_px(dataset, name, labels.reference(name)) for name in names]
    hidden = [hidden_share(dataset, name) for name in names]
    found: dict[str, Any] = {"seeds": content["seeds"], "motion": {}, "hidden": {}, "changes": {}}
    for arm in ARMS:
        stored = [json.loads((folder / "scores.json").read_text())["training"] for folder in folders[arm]]
        errors = [{metric: [one[metric][places[name]] for name in names] for metric in METRICS} for one in stored]
        found["motion"][arm] = in_bins(moved, MOTION_PX, errors)
        found["hidden"][arm] = in_bins(hidden, HIDDEN, errors)
    every_third = names[::3]
    for title, changes in CHANGES.items():
        for amount, change in changes.items():
            for arm in ("control", "photometric"):
                cell = found["changes"].setdefault(title, {}).setdefault(amount, {})
                cell[arm] = {metric: [] for metric in METRICS}
                for folder in folders[arm]:
                    checkpoint = load_checkpoint(folder / "weights.safetensors")
                    network = checkpoint.network(dataset.hand)
                    size = checkpoint.picture_size
                    changed: Any = Changed(dataset.at_size(size), change)
                    means = score(predict_few(network, changed, every_third), dataset, every_third).means
                    for metric in METRICS:
                        cell[arm][metric].append(means[metric])
                print(title, amount, arm, {metric: round(statistics.fmean(v), 1) for metric, v in cell[arm].items()})
    return found


def said(values: Sequence[float]) -> str:
    return f"{statistics.fmean(values):.1f}"


def binned(title: str, arms: dict[str, list[dict]], name_of: Callable[[dict], str]) -> list[str]:
    heads = [title, "frames", *(f"{arm}: hand / object px (mm)" for arm in arms)]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for rows in zip(*arms.values(), strict=True):
        cells = [
            f"{said(row[METRICS[0]])} / {said(row[METRICS[1]])} ({said(row[METRICS[2]])} / {said(row[METRICS[3]])})"
            for row in rows
        ]
        lines.append("| " + " | ".join([name_of(rows[0]), str(rows[0]["frames"]), *cells]) + " |")
    return lines


def write() -> None:
    """docs/limits.md, from the stored figures; what is said by hand lies in docs/results/limits-notes.md."""
    found = json.loads(STORED.read_text())

    def span(row: dict, unit: str, times: float = 1) -> str:
        open_end = row["to"] in (MOTION_PX[-1], HIDDEN[-1])
        low, high = times * row["from"], times * row["to"]
        return f"{low:g}{unit} and more" if open_end else f"{low:g} to {high:g}{unit}"

    lines = [
        "# Limits",
        "",
        "Written by `python tools/limits.py`; every figure comes from `docs/results/limits.json`. Networks of "
        f"`reproduce fig8 --data sample` at one label in {SPACING}, seeds {', '.join(map(str, found['seeds']))}, means "
        "over them; "
        "training frames that were never annotated; pixels of 320×240, camera space, no alignment.",
        "",
        "## Motion between a frame and its reference",
        "",
        "The median displacement, in the picture, of the surface points that the reference sees.",
        "",
        *binned("displacement", found["motion"], lambda row: span(row, " px")),
        "",
        "## Occlusion",
        "",
        "The share of the object's silhouette that the hand hides.",
        "",
        *binned("hidden", found["hidden"], lambda row: span(row, " %", 100)),
        "",
        "## Pictures and cameras that differ from those of the training",
        "",
        "One never-annotated frame in three is changed before the network sees it; nothing is trained again.",
        "",
    ]
    for title, changes in found["changes"].items():
        heads = [title, *(f"{arm}: hand / object px (mm)" for arm in next(iter(changes.values())))]
        lines += ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
        for amount, arms in changes.items():
            cells = [
                f"{said(one[METRICS[0]])} / {said(one[METRICS[1]])} ({said(one[METRICS[2]])} / {said(one[METRICS[3]])})"
                for one in arms.values()
            ]
            lines.append("| " + " | ".join([amount, *cells]) + " |")
        lines.append("")
    notes = Path("docs/results/limits-notes.md")
    PAGE.write_text("\n".join([*lines, *([notes.read_text().strip()] if notes.is_file() else [])]).rstrip() + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("record", type=Path, nargs="?")
    parser.add_argument("--only-write", action="store_true")
    options = parser.parse_args()
    if not options.only_write:
        write_json(STORED, measure(options.record))
    write()


if __name__ == "__main__":
    main()
