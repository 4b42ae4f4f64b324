"""A sequence of any data set written as a recording with a few labels, for experiments and tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from warpgrasp.data import Dataset, Split, mirrored_annotation, mirrored_frame
from warpgrasp.data.recording import (
    FRAMES_FOLDER,
    VIDEO_STEM,
    HandJoints,
    HandParameters,
    Label,
    Lens,
    write_annotations,
    write_lens,
    write_object,
)
from warpgrasp.errors import DataError
from warpgrasp.export.meshes import write_mesh
from warpgrasp.export.video import VideoWriter
from warpgrasp.files import replacing_folder
from warpgrasp.frame import Frame, FrameName
from warpgrasp.geometry import axis_angle_from_matrix, mirrored_axis_angle, mirrored_points
from warpgrasp.hand import Side, left_hand

MESH_FILE = "object.ply"


@dataclass(frozen=True)
class RecordingOptions:
    """What is written of a sequence."""

    train: Sequence[int] = ()
    """Frames whose labels are for training."""
    evaluation: Sequence[int] = ()
    """Frames whose labels are held out."""
    hands: Mapping[int, HandParameters] = field(default_factory=dict)
    """Parameters of the (right) hand in camera space; a frame without them is labelled by its 21 joints."""
    pictures: Literal["video", "frames"] = "video"
    """One video, in which colours are not quite the same, or a folder of lossless pictures."""
    rate_hz: float = 30.0
    """Frames of the video per second."""
    side: Side = "right"
    """`left`: the mirror image of everything is written, which shows a left hand."""


def export_recording(dataset: Dataset, split: Split, sequence: str, folder: Path, options: RecordingOptions) -> None:
    """Write a sequence's pictures, camera, object and chosen labels to a new folder, which appears when it is whole.

    The pictures' positions in the sequence become the frames' numbers. Raises `DataError` when the folder is there
    already, or when a frame that is to be labelled has no annotation.
    """
    if folder.exists():
        raise DataError(f"expected to write a new recording, but {folder} exists already; choose another name")
    names = [name for name in dataset.names(split) if name.sequence == sequence]
    if not names:
        raise DataError(f"expected a sequence of {split} of {dataset.root}, found none called {sequence!r}")
    with replacing_folder(folder) as temporary:
        _write_declarations(dataset, names, temporary, options)
        _write_pictures(dataset, names, temporary, options)


def _write_declarations(dataset: Dataset, names: list[FrameName], folder: Path, options: RecordingOptions) -> None:
    """Write camera, object and labels."""
    first = _frame(dataset, names[0], options.side)
    intrinsics = first.camera.intrinsics.double().numpy()
    write_lens(folder, Lens(intrinsics, first.camera.width, first.camera.height))
    write_mesh(folder / MESH_FILE, first.object)
    write_object(folder, first.object.name, MESH_FILE)
    labels = [_label(dataset, names, number, options) for number in sorted({*options.train, *options.evaluation})]
    hand = left_hand(dataset.hand) if options.side == "left" else dataset.hand
    write_annotations(folder, labels, hand_model=hand.template.name if options.hands else None, side=options.side)


def _write_pictures(dataset: Dataset, names: list[FrameName], folder: Path, options: RecordingOptions) -> None:
    pictures = (_picture(_frame(dataset, name, options.side)) for name in names)
    if options.pictures == "frames":
        (folder / FRAMES_FOLDER).mkdir()
        for number, picture in enumerate(pictures):
            Image.fromarray(picture).save(folder / FRAMES_FOLDER / f"{number:06d}.png")
        return
    camera = _frame(dataset, names[0], options.side).camera
    with VideoWriter(folder / f"{VIDEO_STEM}.mp4", (camera.width, camera.height)) as video:
        for number, picture in enumerate(pictures):
            video.add(picture, time_s=number / options.rate_hz)


def _frame(dataset: Dataset, name: FrameName, side: Side) -> Frame:
    frame = dataset.frame(name, annotated=False)
    return mirrored_frame(frame) if side == "left" else frame


def _picture(frame: Frame) -> UInt8[np.ndarray, "h w 3"]:
    return (255 * frame.image).round().byte().permute(1, 2, 0).contiguous().numpy()


def _label(dataset: Dataset, names: list[FrameName], number: int, options: RecordingOptions) -> Label:
    if not 0 <= number < len(names) or not dataset.is_annotated(names[number]):
        raise DataError(f"expected an annotated frame of 0 to {len(names) - 1} to label, got {number}")
    annotation, hand = dataset.truth(names[number]).annotation, options.hands.get(number)
    if options.side == "left":
        annotation, hand = mirrored_annotation(annotation), None if hand is None else _mirrored(hand)
    return Label(
        number,
        hand or HandJoints(annotation.hand_joints.double().numpy()),
        axis_angle_from_matrix(annotation.object_rotation.double()).numpy(),
        annotation.object_translation.double().numpy(),
        "evaluation" if number in options.evaluation else "train",
    )


def _mirrored(right: HandParameters) -> HandParameters:
    """The parameters of the left hand that is the mirror image of a right one."""
    pose, translation = (torch.from_numpy(values) for values in (right.pose, right.translation))
    mirrored_pose = mirrored_axis_angle(pose.unflatten(0, (-1, 3))).flatten()
    return HandParameters(mirrored_pose.numpy(), right.shape, mirrored_points(translation).numpy())
