"""From a few labels of a recording to hand and object in every frame, without a network."""

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.data.recording import Recording, write_annotations
from warpgrasp.errors import UserError
from warpgrasp.geometry import Camera
from warpgrasp.hand import PLACEMENT_JOINT, HandModel, same_hand
from warpgrasp.predictions import Finish, Predictions, ShardWriter, known_hashes, read_predictions, share_in_view
from warpgrasp.progress import frames_done
from warpgrasp.refinement.refine import STAGES, Agreement, Shots, agreement, refine
from warpgrasp.refinement.trajectory import Trajectory, between_labels, label_of, of_label

PREDICTIONS, QUALITY = "predictions.npz", "quality.csv"
LONGEST_STRETCH = 2000  # frames between two labels, whose pictures lie in memory together


class DensifyError(UserError):
    """A recording's labels cannot be carried to its other frames."""


@dataclass(frozen=True)
class Stretch:
    """Frames that are refined together, by their positions: from one label to the next, or to an end."""

    first: int
    last: int
    ends: bool  # with the recording: else the next stretch stores the label that both share

    @property
    def kept(self) -> slice:
        """Those that are stored from this stretch, counted within it."""
        return slice(0, self.last - self.first + int(self.ends))

    @property
    def beyond(self) -> slice:
        """Those that the next stretch stores, counted within this one."""
        return slice(self.last - self.first + int(self.ends), None)


@dataclass(frozen=True)
class Densified:
    """Hand and object in every frame, and how well they agree with the nearest label, before and after."""

    predictions: Predictions
    known: list[int]  # the labelled positions
    before: Agreement
    after: Agreement

    def acceleration_mm(self) -> Float[np.ndarray, " n"]:
        """The mean second difference of hand joints and object centre from frame to frame; NaN at the ends."""
        points = np.concatenate(
            [self.predictions.hand_joints, self.predictions.object_translation[:, None]], axis=1
        ).astype(np.float64)
        found = np.full(len(points), np.nan)
        found[1:-1] = 1000 * np.linalg.norm(points[2:] - 2 * points[1:-1] + points[:-2], axis=-1).mean(axis=1)
        return found


def densify(
    recording: Recording,
    hand: HandModel,
    out: Path,
    *,
    program: str,
    start: Predictions | None = None,
    show_progress: bool = True,
) -> Densified:
    """Write predictions, labels and quality of every frame into the folder `out`; an interrupted one goes on.

    Poses start between the labels, or at those of `start`, a network's. The recording's labels of use `train` stay as
    they are; those held out are not looked at. `hand` is the right hand's model, also where they are of a left hand.
    Raises `DensifyError` when there are none, when two are too far apart, or when `start` lacks a frame.
    """
    right, hand = hand, recording.hand(hand)
    known = _known(recording, hand)
    numbers, model = list(recording.footage.numbers), recording.object.model
    begun = between_labels(known, len(numbers)) if start is None else _begun(start, known, numbers, hand)
    stretches = _stretches(sorted(known), len(numbers))
    sequence = recording.folder.resolve().name
    header: dict[str, Any] = {
        "protocol": "recording",
        "split": "all",
        "hand": right.template.name,
        "side": recording.side,
        "method": "densify",
        "labels": [numbers[place] for place in sorted(known)],
        "start": "labels" if start is None else "predictions",
        "objects": known_hashes([model]),
        "cameras": {sequence: recording.lens.content},
        "commit": program,
    }
    out.mkdir(parents=True, exist_ok=True)
    writer = ShardWriter(out / PREDICTIONS, header)
    steps, before, after = sum(stage.steps for stage in STAGES), [], []
    with frames_done(f"densify {sequence}", steps * len(stretches), shown=show_progress) as advance:
        for number, stretch in enumerate(stretches):
            rows = slice(stretch.first, stretch.last + 1)
            shots, first = _shots(recording, numbers[rows], known, stretch), begun.rows(rows)
            if writer.has(number):
                advance(steps)
            else:
                whole = refine(first, shots, hand=hand, model=model, stages=STAGES, on_step=lambda: advance(1))
                part = whole.rows(stretch.kept)
                writer.write(number, _predictions(part, numbers[rows][stretch.kept], recording, hand))
            # As it is stored, so that an interrupted run measures what an undisturbed one does.
            stored = _of_predictions(writer.read(number), hand)
            found = Trajectory.joined([stored, first.rows(stretch.beyond)])
            width_px = STAGES[-1].width_px
            before.append(_rows(agreement(first, shots, hand=hand, model=model, width_px=width_px), stretch.kept))
            after.append(_rows(agreement(found, shots, hand=hand, model=model, width_px=width_px), stretch.kept))
    finish = Finish(lambda _: model, lambda _: recording.clip.interval_s, lambda *_: (torch.zeros(0), torch.zeros(0)))
    writer.finish(len(stretches), finish)
    predictions, _ = read_predictions(out / PREDICTIONS)
    frames = _of_predictions(predictions, hand)
    labels = [
        recording.labels[number]
        if place in known
        else label_of(number, frames.rows(slice(place, place + 1)), hand, model)
        for place, number in enumerate(numbers)
    ]
    write_annotations(out, labels, hand_model=hand.template.name, side=recording.side)
    found = Densified(predictions, sorted(known), _joined(before), _joined(after))
    _write_quality(out / QUALITY, found)
    return found


def _known(recording: Recording, hand: HandModel) -> dict[int, Trajectory]:
    """The labelled frames that may be used, by their positions."""
    model, labels = recording.object.model, recording.labels
    stated = recording.annotations.hand_model
    usable = [
        (place, labels[number])
        for place, number in enumerate(recording.footage.numbers)
        if number in labels and labels[number].use == "train"
    ]
    if not usable:
        raise DensifyError(
            f"expected labels to start from in {recording.folder}, found none; label a few frames by "
            f"`warpgrasp annotate {recording.folder}`"
        )
    if stated is not None and not same_hand(stated, hand.template.name):
        raise DensifyError(
            f"expected the hand model that the labels name ({stated}), got {hand.template.name}; choose it by --hand"
        )
    return {place: of_label(label, hand, model) for place, label in usable}


def _begun(start: Predictions, known: Mapping[int, Trajectory], numbers: Sequence[int], hand: HandModel) -> Trajectory:
    """The poses of predictions, in the recording's order, but for the labelled frames.

    The hand has one shape in all frames that are not known: the mean of the labels', which say more of it.
    """
    row_of = {int(index): row for row, index in enumerate(start.index)}
    missing = [number for number in numbers if number not in row_of]
    if missing:
        raise DensifyError(
            f"expected predictions of every frame to start from, missing {len(missing)}, the first frame {missing[0]}; "
            f"predict them by `warpgrasp predict --split all`"
        )
    found = _of_predictions(start.rows(np.array([row_of[number] for number in numbers])), hand)
    found.shape[:] = torch.cat([label.shape for label in known.values()]).mean(dim=0)
    for place, label in known.items():
        for name, values in found.arrays.items():
            values[place] = getattr(label, name)[0]
    return found


def _stretches(known: Sequence[int], count: int) -> list[Stretch]:
    """The frames before the first label, between each two, and after the last. Each label is stored once."""
    ends = sorted({0, *known, count - 1})
    pairs = list(pairwise(ends)) or [(0, 0)]
    longest = max(last - first for first, last in pairs)
    if longest > LONGEST_STRETCH:
        raise DensifyError(
            f"expected at most {LONGEST_STRETCH} frames between two labels, found {longest}; label a frame between them"
        )
    return [Stretch(first, last, last == count - 1) for first, last in pairs]


def _shots(recording: Recording, numbers: Sequence[int], known: Mapping[int, Trajectory], stretch: Stretch) -> Shots:
    pictures = [torch.from_numpy(recording.picture(number)).permute(2, 0, 1) for number in numbers]
    labelled = torch.tensor([place in known for place in range(stretch.first, stretch.last + 1)])
    return Shots(torch.stack(pictures), recording.lens.camera, labelled)


def _predictions(part: Trajectory, numbers: Sequence[int], recording: Recording, hand: HandModel) -> Predictions:
    model, camera = recording.object.model, recording.lens.camera
    batched = Camera(camera.intrinsics.float().expand(len(part), 3, 3), camera.width, camera.height)
    with torch.no_grad():
        vertices, joints = part.hand(hand)
        thing = part.object(model)
    # The inverse of `pose_from_coefficients`, of all components.
    coefficients = (part.angles - hand.mean_pose).double() @ torch.linalg.pinv(hand.pose_components.double())
    times_s = np.array([recording.clip.time_s(number) for number in numbers])

    def array(values: Tensor) -> np.ndarray:
        return values.float().numpy()

    return Predictions(
        sequence=np.array([recording.folder.resolve().name] * len(part)),
        index=np.array(numbers),
        object_name=np.array([model.name] * len(part)),
        hand_vertices=array(vertices),
        hand_joints=array(joints),
        hand_rotation=array(part.hand_rotation),
        hand_translation=array(joints[:, PLACEMENT_JOINT]),
        hand_pose=array(coefficients),
        hand_shape=array(part.shape),
        object_rotation=array(part.object_rotation),
        object_translation=array(part.object_centre),
        time_s=times_s,
        hand_in_view=array(share_in_view(vertices, batched)),
        object_in_view=array(share_in_view(thing, batched)),
    )


def _of_predictions(stored: Predictions, hand: HandModel) -> Trajectory:
    def tensor(values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.array(values)).float()

    return Trajectory(
        tensor(stored.object_rotation),
        tensor(stored.object_translation),
        tensor(stored.hand_rotation),
        tensor(stored.hand_joints[:, 0]),
        hand.pose_from_coefficients(tensor(stored.hand_pose)),
        tensor(stored.hand_shape),
    )


def _rows(one: Agreement, rows: slice) -> Agreement:
    return Agreement(one.difference[rows], one.compared_share[rows])


def _joined(parts: Sequence[Agreement]) -> Agreement:
    return Agreement(torch.cat([part.difference for part in parts]), torch.cat([part.compared_share for part in parts]))


def _write_quality(path: Path, found: Densified) -> None:
    """A line for each frame; what was not measured stays empty."""
    rows = []
    accelerations = found.acceleration_mm()
    for place, number in enumerate(found.predictions.index.tolist()):
        cells = {
            "frame": number,
            "labelled": int(place in found.known),
            "frames_to_label": min(abs(place - one) for one in found.known),
            "difference_before": float(found.before.difference[place]),
            "difference_after": float(found.after.difference[place]),
            "compared_share": float(found.after.compared_share[place]),
            "acceleration_mm_per_frame2": float(accelerations[place]),
        }
        rows.append({name: "" if isinstance(cell, float) and np.isnan(cell) else cell for name, cell in cells.items()})
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            table.writerows(rows)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
