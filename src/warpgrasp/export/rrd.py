"""A hand and an object in motion as a recording of Rerun (.rrd), with the pictures where they are at hand.

https://rerun.io/docs. Everything is in the camera's OpenCV axes (x right, y down, z forward), in metres, as the root's
view coordinates say. There are two timelines: `frame`, the frames' numbers, and `time`, seconds after the first.
"""

import errno
import hashlib
import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import torch
from PIL import Image

from warpgrasp.errors import UserError
from warpgrasp.export.gltf import hand_colour, quaternions
from warpgrasp.export.sequence import PredictedSequence
from warpgrasp.frame import FrameName
from warpgrasp.plain_text import line
from warpgrasp.predictions import check_places
from warpgrasp.report import OBJECT_COLOUR

APPLICATION = "warpgrasp"
JPEG_QUALITY = 90
CORNER_PX = 0.5  # the centre of the top-left pixel, from whose corner Rerun counts
DESCRIPTORS = Path("/dev/fd")  # where a program opens its own pipes by a path, on Linux and macOS
BLOCK_BYTES = 1 << 20


def check_rrd(sequence: PredictedSequence, path: Path) -> None:
    """Raise `UserError` when the package is missing."""
    if find_spec("rerun") is None:
        raise UserError("expected the package rerun-sdk, found none; install it: pip install 'warpgrasp[rerun]'")


def write_rrd(sequence: PredictedSequence, path: Path) -> None:
    """Write a sequence as a recording of Rerun.

    Raises `PredictionsError` for vertices that are not finite, and `OSError` when it cannot be written whole.
    """
    import rerun as rr  # pyright: ignore[reportMissingImports]

    strict = rr.strict_mode()
    rr.set_strict_mode(True)  # Rerun leaves out what goes wrong otherwise
    try:
        _write(sequence, path)
    except RuntimeError as error:
        raise OSError(errno.EIO, " ".join(str(error).split())[:200], str(path)) from error
    finally:
        rr.set_strict_mode(strict)


def _write(sequence: PredictedSequence, path: Path) -> None:
    import rerun as rr  # pyright: ignore[reportMissingImports]

    recording = rr.RecordingStream(APPLICATION, recording_id=_identity(sequence))
    with _saved(recording, path) as flush:
        recording.set_log_time_enabled(False)  # the frames' own times are meant, not when the file was written
        recording.set_log_tick_enabled(False)
        recording.log("/", rr.ViewCoordinates.RDF, static=True)
        _log_meshes(recording, sequence)
        if sequence.camera is not None:
            matrix = sequence.camera.intrinsics.double().numpy().copy()
            matrix[:2, 2] += CORNER_PX
            size = [sequence.camera.width, sequence.camera.height]
            pinhole = rr.Pinhole(image_from_camera=matrix, resolution=size, camera_xyz=rr.ViewCoordinates.RDF)
            recording.log("camera", pinhole, static=True)
        _log_frames(recording, sequence, flush)


@contextmanager
def _saved(recording: Any, path: Path) -> Iterator[Callable[[], None]]:
    """Save what the block logs to a file; yields what waits until all so far is on its way.

    The recording writes into a pipe, since it would wait without end for a file on a full disk. Both the yielded
    function and the end of the block raise the `OSError` of a file that cannot be written.
    """
    if not DESCRIPTORS.is_dir():  # Windows
        recording.save(path)
        yield recording.flush
        recording.flush()
        recording.disconnect()
        return
    outlet, inlet = os.pipe()
    errors: list[OSError] = []

    def flush() -> None:
        recording.flush()
        if errors:
            raise errors[0]

    thread = Thread(target=_carry, args=(outlet, path, errors), name="write recording", daemon=True)
    thread.start()
    try:
        try:
            recording.save(DESCRIPTORS / str(inlet))
        finally:
            os.close(inlet)  # the recording has opened it once more
        yield flush
        recording.flush()
    finally:
        recording.disconnect()  # which ends the pipe
        thread.join()
    if errors:
        raise errors[0]


def _carry(outlet: int, path: Path, errors: list[OSError]) -> None:
    """Write to a file what comes out of a pipe. After an error the rest is read all the same, and thrown away."""
    with open(outlet, "rb", buffering=0) as pipe:
        try:
            with path.open("wb") as file:
                shutil.copyfileobj(pipe, file, BLOCK_BYTES)
        except OSError as error:
            errors.append(OSError(error.errno, error.strerror, str(path)))
        while pipe.read(BLOCK_BYTES):
            pass


def _identity(sequence: PredictedSequence) -> str:
    """The recording's name for Rerun, which shows files of one name as one: other poses have another one."""
    poses = np.ascontiguousarray(sequence.predictions.object_translation[sequence.rows])
    return f"{line(sequence.name)} {hashlib.sha256(poses.tobytes()).hexdigest()[:8]}"


def _log_meshes(recording: Any, sequence: PredictedSequence) -> None:
    """Log what is the same in all frames: the faces, the object's vertices, the colours."""
    import rerun as rr  # pyright: ignore[reportMissingImports]

    model = sequence.model
    for name, one in sequence.hands.items():
        faces = torch.cat([one.hand.faces, one.hand.closing_faces]).numpy()
        colour = _bytes_of(hand_colour(one, sequence))
        recording.log(name, rr.Mesh3D.from_fields(triangle_indices=faces, albedo_factor=colour), static=True)
    thing = rr.Mesh3D(
        vertex_positions=model.vertices.numpy(),
        triangle_indices=model.faces.numpy(),
        albedo_factor=_bytes_of(OBJECT_COLOUR),
    )
    recording.log("object", thing, static=True)


def _log_frames(recording: Any, sequence: PredictedSequence, flush: Callable[[], None]) -> None:
    """Log what moves, and flush after each part of the frames."""
    import rerun as rr  # pyright: ignore[reportMissingImports]

    rows = sequence.rows
    turns = quaternions(np.asarray(sequence.predictions.object_rotation[rows], np.float64))
    position = 0
    for parts in zip(*(one.chunks() for one in sequence.hands.values()), strict=True):
        for one in parts:
            check_places(np.asarray(one.hand_vertices))
        part = parts[0]
        check_places(np.asarray(part.object_translation))
        for row, index in enumerate(part.index.tolist()):
            recording.set_time("frame", sequence=index)
            recording.set_time("time", duration=float(sequence.times_s[position]))
            for name, one in zip(sequence.hands, parts, strict=True):
                recording.log(name, rr.Mesh3D.from_fields(vertex_positions=one.hand_vertices[row]))
            pose = rr.Transform3D(translation=part.object_translation[row], quaternion=turns[position])
            recording.log("object", pose)
            recording.log("flags", rr.TextLog(sequence.flag_words(position) or "no flag"))
            if sequence.pictures is not None:
                picture, _ = sequence.pictures(FrameName(sequence.name, index))
                recording.log("camera/picture", _encoded(picture))
            position += 1
        flush()  # else a long recording gathers in memory


def _encoded(picture: np.ndarray) -> Any:
    import rerun as rr  # pyright: ignore[reportMissingImports]

    content = io.BytesIO()
    Image.fromarray(picture).save(content, "JPEG", quality=JPEG_QUALITY)
    return rr.EncodedImage(contents=content.getvalue(), media_type="image/jpeg")


def _bytes_of(colour: tuple[float, float, float]) -> list[int]:
    return [round(255 * value) for value in colour]
