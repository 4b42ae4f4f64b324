"""Turns a sequence of any data set into a recording with a few labels, for experiments and tests."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
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
from warpgrasp.data.recording.video_picture import BT_601
from warpgrasp.errors import DataError
from warpgrasp.frame import Frame, FrameName, ObjectModel
from warpgrasp.geometry import MIRROR, axis_angle_from_matrix
from warpgrasp.hand import Side, left_hand

CLOCK_HZ = 60_000  # of the times in a written video: every usual frame rate divides it
NEARLY_LOSSLESS_CRF = 10
MESH_FILE = "object.ply"
LIMITED_RANGE = 1  # FFmpeg's number for luma from 16 to 235


@dataclass(frozen=True)
class Export:
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


def export_recording(dataset: Dataset, split: Split, sequence: str, folder: Path, export: Export) -> None:
    """Write a sequence's pictures, camera, object and chosen labels to a new folder, which appears when it is whole.

    The pictures' positions in the sequence become the frames' numbers. Raises `DataError` when the folder is there
    already, or when a frame that is to be labelled has no annotation.
    """
    if folder.exists():
        raise DataError(f"expected to write a new recording, but {folder} exists already; choose another name")
    names = [name for name in dataset.names(split) if name.sequence == sequence]
    if not names:
        raise DataError(f"expected a sequence of {split} of {dataset.root}, found none called {sequence!r}")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        _write_files(dataset, names, partial, export)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_files(dataset: Dataset, names: list[FrameName], folder: Path, export: Export) -> None:
    def read(name: FrameName) -> Frame:
        frame = dataset.frame(name, annotated=False)
        return mirrored_frame(frame) if export.side == "left" else frame

    first = read(names[0])
    intrinsics = first.camera.intrinsics.double().numpy()
    write_lens(folder, Lens(intrinsics, first.camera.width, first.camera.height))
    write_mesh(folder / MESH_FILE, first.object)
    write_object(folder, first.object.name, MESH_FILE)
    chosen = sorted({*export.train, *export.evaluation})
    labels = [_label(dataset, names, number, export) for number in chosen]
    hand = left_hand(dataset.hand) if export.side == "left" else dataset.hand
    write_annotations(folder, labels, hand_model=hand.template.name if export.hands else None, side=export.side)

    def pixels(name: FrameName) -> UInt8[np.ndarray, "h w 3"]:
        image = read(name).image
        return (255 * image).round().byte().permute(1, 2, 0).contiguous().numpy()

    if export.pictures == "frames":
        (folder / FRAMES_FOLDER).mkdir()
        for number, name in enumerate(names):
            Image.fromarray(pixels(name)).save(folder / FRAMES_FOLDER / f"{number:06d}.png")
    else:
        size = (first.camera.width, first.camera.height)
        with VideoWriter(folder / f"{VIDEO_STEM}.mp4", size) as video:
            for number, name in enumerate(names):
                video.add(pixels(name), time_s=number / export.rate_hz)


def _label(dataset: Dataset, names: list[FrameName], number: int, export: Export) -> Label:
    if not 0 <= number < len(names) or not dataset.is_annotated(names[number]):
        raise DataError(f"expected an annotated frame of 0 to {len(names) - 1} to label, got {number}")
    annotation, hand = dataset.truth(names[number]).annotation, export.hands.get(number)
    if export.side == "left":
        annotation, hand = mirrored_annotation(annotation), None if hand is None else _mirrored(hand)
    return Label(
        number,
        hand or HandJoints(annotation.hand_joints.double().numpy()),
        axis_angle_from_matrix(annotation.object_rotation.double()).numpy(),
        annotation.object_translation.double().numpy(),
        "evaluation" if number in export.evaluation else "train",
    )


def _mirrored(right: HandParameters) -> HandParameters:
    """The left hand's parameters. A rotation R becomes M R M: of an axis-angle vector y and z change their signs."""
    pose = (right.pose.reshape(-1, 3) * [1.0, -1.0, -1.0]).ravel()
    return HandParameters(pose, right.shape, right.translation * MIRROR)


def write_mesh(path: Path, model: ObjectModel) -> None:
    """Write an object as a PLY file, in metres about the centre of its bounding box."""
    header = ["ply", "format ascii 1.0", f"element vertex {len(model.vertices)}"]
    header += [f"property double {axis}" for axis in "xyz"]
    header += [f"element face {len(model.faces)}", "property list uchar int vertex_indices", "end_header"]
    vertices = [" ".join(map(repr, row)) for row in model.vertices.double().tolist()]
    faces = [" ".join(map(str, (3, *row))) for row in model.faces.tolist()]
    path.write_text("\n".join([*header, *vertices, *faces]) + "\n")


class VideoWriter:
    """Writes an MP4 frame by frame: H.264, nearly lossless, or any codec of the installed FFmpeg."""

    def __init__(self, path: Path, size: tuple[int, int], *, codec: str = "libx264", turned_deg: int = 0):
        """`size` is (width, height). `turned_deg` asks players to turn the pictures counter-clockwise."""
        self._container = av.open(str(path), "w")
        stream = self._container.add_stream(codec, rate=Fraction(30))
        if not isinstance(stream, av.VideoStream):
            raise DataError(f"expected a video codec to write {path}, got {codec}")
        self._stream = stream
        self._stream.width, self._stream.height = size
        even = size[0] % 2 == 0 and size[1] % 2 == 0
        self._stream.pix_fmt = "yuv420p" if even else "yuv444p"  # 4:2:0 halves both sides
        self._stream.codec_context.time_base = Fraction(1, CLOCK_HZ)
        # What FFmpeg's scaler makes of RGB, said in the file: of wide pictures players would guess another matrix.
        self._stream.codec_context.colorspace, self._stream.codec_context.color_range = BT_601, LIMITED_RANGE
        if codec == "libx264":
            self._stream.options = {"crf": str(NEARLY_LOSSLESS_CRF), "preset": "fast"}
        if turned_deg:
            self._stream.set_display_rotation(turned_deg)

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self._container.mux(self._stream.encode(None))
        self._container.close()

    def add(self, picture: UInt8[np.ndarray, "h w 3"], *, time_s: float) -> None:
        """Add a picture that is shown from a time on."""
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = round(time_s * CLOCK_HZ), Fraction(1, CLOCK_HZ)
        self._container.mux(self._stream.encode(frame))
