"""Examines recordings: reads everything, lists it, and warns of motion and symmetry that pictures cannot show."""

import hashlib
from collections.abc import Iterator

import cv2
import numpy as np
from jaxtyping import UInt8
from rich.progress import track

from warpgrasp.data.recording.annotations import HandJoints
from warpgrasp.data.recording.dataset import Recordings
from warpgrasp.data.recording.evidence import (
    FAINT_TEXTURE_LEVELS,
    LARGEST_SHARE_OF_WIDTH,
    GapFollower,
    LabelledSurface,
    near_symmetries,
    surface_motion_px,
    texture_levels,
)
from warpgrasp.data.recording.files import Recording
from warpgrasp.data.recording.footage import count_as_said
from warpgrasp.data.recording.labels import EXAMINED, doubts, fitted_hand
from warpgrasp.frame import FrameName
from warpgrasp.geometry import Camera

LOOKED_AT_WIDTH_PX = 320  # of the pictures in which texture and motion are measured: what training sees is of this size


def examine_recording(dataset: Recordings) -> Iterator[str]:
    """Lines about recordings; every frame and label is read. Raises `DataError` at the first that is broken."""
    dataset = dataset.as_shown()
    for name, recording in dataset.recordings.items():
        yield from (f"{name}: {line}" for line in _facts(recording))
        yield from (f"{name}: {line}" for line in _labels(dataset, name, recording))
        yield from (f"{name}: {line}" for line in _shape(recording))
        yield from (f"{name}: {line}" for line in _pictures(dataset, name, recording))
    annotated = sum(len(recording.labels) for recording in dataset.recordings.values())
    yield (
        "nothing is missing"
        if annotated
        else "nothing is missing but labels (annotations.json), to train or to evaluate"
    )


def _facts(recording: Recording) -> Iterator[str]:
    footage, lens, model = recording.footage, recording.lens, recording.object.model
    numbers, times = footage.numbers, footage.times_s
    rate = ""
    if times is not None and len(times) > 1:
        steps = np.diff(times)
        steady = steps.max() - steps.min() < 0.5 * np.median(steps)
        rate = f", {times[-1]:.1f} s, {1 / np.median(steps):.2f} per second" + ("" if steady else " (varying)")
    yield f"{len(numbers)} frames, {numbers[0]} to {numbers[-1]}{rate}, in {footage.file_of(numbers[0]).name}"
    count_as_said(footage)
    yield from (f"warning: {notice}" for notice in footage.notices)
    fx, fy, cx, cy = (lens.intrinsics[row, column] for row, column in ((0, 0), (1, 1), (0, 2), (1, 2)))
    named = "" if lens.model == "opencv" else f" of the model {lens.model}"
    bent = f"; undistorted from {len(lens.distortion)} coefficients{named}" if lens.distorted else ""
    bent += "" if lens.principal_point_inside else "; the axis lies outside the picture, as of a crop"
    yield f"camera {lens.width}×{lens.height}, fx {fx:.1f}, fy {fy:.1f}, centre ({cx:.1f}, {cy:.1f}) px{bent}"
    size = " × ".join(f"{1000 * float(side):.0f}" for side in model.vertices.amax(dim=0) - model.vertices.amin(dim=0))
    yield f"object {model.name}, {size} mm, {len(model.vertices)} vertices, {len(model.faces)} faces"


def _labels(dataset: Recordings, name: str, recording: Recording) -> Iterator[str]:
    labels = recording.annotations.labels
    held_out = [label.frame for label in labels if label.use == "evaluation"]
    shown = ", ".join(str(label.frame) for label in labels[:20]) + (", …" if len(labels) > 20 else "")
    of_left = " of a left hand" if recording.side == "left" else ""
    yield f"{len(labels)} labels{of_left}, {len(held_out)} of them for evaluation" + (
        f": frames {shown}" if labels else ""
    )
    dataset.examined[name] = EXAMINED  # all of them are, below
    truths = [dataset.truth(FrameName(name, label.frame)) for label in labels]
    hand = dataset.hand_of(name)
    residuals = [
        (1000 * float(fitted_hand(label.hand, hand).residual_m), label.frame)
        for label in labels
        if isinstance(label.hand, HandJoints)
    ]
    if residuals:
        worst, frame = max(residuals)
        mean = sum(residual for residual, _ in residuals) / len(residuals)
        yield (
            f"{len(residuals)} hands fitted to 21 joints, {mean:.1f} mm away on average, "
            f"{worst:.1f} mm at most (frame {frame})"
        )
    in_camera = [dataset.in_camera(name, label, truth.annotation) for label, truth in zip(labels, truths, strict=True)]
    yield from (f"warning: {line}" for line in doubts(in_camera))


def _shape(recording: Recording) -> Iterator[str]:
    symmetry = recording.object.symmetry
    if symmetry is not None:
        fold = "any angle" if symmetry.fold is None else f"1/{symmetry.fold} of a turn"
        yield (
            f"warning: the object looks the same turned by {fold} about its {symmetry.axis} axis (object.json): "
            f"neither pictures nor labels tell these turns apart, and errors of rotation mean little"
        )
    for like in near_symmetries(recording.object.model):
        if symmetry is None or symmetry.axis != like.axis:
            turn = "at any angle" if like.turn_deg is None else f"turned by {like.turn_deg:.0f}°"
            yield (
                f"warning: the object's shape is nearly the same {turn} about its {like.axis} axis: only its texture "
                f"tells these turns apart; declare the symmetry in object.json if it does not"
            )


def _pictures(dataset: Recordings, name: str, recording: Recording) -> Iterator[str]:
    """Read every picture once, in order; look at the labelled ones, and follow their surfaces through the others."""
    width = min(LOOKED_AT_WIDTH_PX, recording.lens.width)
    height = max(1, round(recording.lens.height * width / recording.lens.width))
    camera, scale = recording.lens.camera.resized(width, height), recording.lens.width / width
    follower, textures = GapFollower(), []
    before: tuple[int, LabelledSurface] | None = None
    moves: list[tuple[float, int, int]] = []
    pictures: dict[bytes, int] = {}
    repeated: list[tuple[int, int]] = []
    for number in track(recording.footage.numbers, description=f"read {name}", transient=True):
        picture = recording.picture(number)
        same = pictures.setdefault(hashlib.blake2b(picture.tobytes(), digest_size=16).digest(), number)
        repeated += [(same, number)] if same != number else []
        grey = _grey(picture, width, height)
        label = None
        if number in recording.labels:
            truth = dataset.truth(FrameName(name, number))
            label = LabelledSurface.of(truth.annotation, truth.object, dataset.hand_of(name), camera)
            textures.append((texture_levels(grey, label.shows_object), number))
            if before is not None:
                moves.append((scale * surface_motion_px(before[1], label, camera), before[0], number))
            before = (number, label)
        follower.add(number, grey, label)
    follower.finish()
    if repeated and recording.footage.times_s is None:
        yield (
            f"warning: copies of other pictures: {len(repeated)}, the first frame {repeated[0][1]}, a copy of "
            f"{repeated[0][0]}; if frames were repeated to keep a rate, remove the copies and keep the other numbers, "
            f"which tell the time"
        )
    if recording.labels:
        yield from _texture_lines(textures)
        yield from _motion_lines(follower, moves, camera, scale)


def _grey(picture: UInt8[np.ndarray, "h w 3"], width: int, height: int) -> UInt8[np.ndarray, "h w"]:
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))


def _texture_lines(textures: list[tuple[float | None, int]]) -> Iterator[str]:
    hidden = [frame for levels, frame in textures if levels is None]
    seen = [levels for levels, _ in textures if levels is not None]
    if hidden:
        yield f"warning: nearly nothing of the object is seen in {len(hidden)} labelled frames, the first {hidden[0]}"
    if seen:
        typical = float(np.median(seen))
        yield f"texture on the object: brightness changes by {typical:.1f} of 255 levels from pixel to pixel"
        if typical < FAINT_TEXTURE_LEVELS:
            yield (
                f"warning: the object has hardly any texture (below {FAINT_TEXTURE_LEVELS:g} levels): photometry does "
                f"not see it move; stick a pattern on it, or label more frames"
            )


def _motion_lines(
    follower: GapFollower, moves: list[tuple[float, int, int]], camera: Camera, scale: float
) -> Iterator[str]:
    limit_px = LARGEST_SHARE_OF_WIDTH * camera.width * scale
    if moves:
        farthest, first, second = max(moves)
        typical = float(np.median([move for move, _, _ in moves]))
        yield (
            f"between neighbouring labels surfaces move by {typical:.0f} px (median), "
            f"{farthest:.0f} px at most (frames {first} to {second})"
        )
    gaps = [(scale * gap.farthest_px, gap) for gap in follower.gaps]
    if gaps:
        longest = max(gap.frames for _, gap in gaps)
        yield (
            f"gaps between labels: {len(gaps)}, at most {longest} frames; followed by optical flow, surfaces "
            f"go at most {max(distance for distance, _ in gaps):.0f} px from the nearer label"
        )
    for distance, gap in gaps:
        if distance > limit_px:
            place = (
                f"before frame {gap.after}"
                if gap.before is None
                else f"after frame {gap.before}"
                if gap.after is None
                else f"between frames {gap.before} and {gap.after}"
            )
            yield (
                f"warning: {place} surfaces go about {distance:.0f} px from the nearer label, more than photometry "
                f"bridges well ({limit_px:.0f} px, a tenth of the width): label a frame there"
            )
