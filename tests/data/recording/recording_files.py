"""Writes small recordings for the tests."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from warpgrasp.cli import main
from warpgrasp.data.recording.annotations import HandParameters, Label, write_annotations
from warpgrasp.data.recording.camera import write_lens
from warpgrasp.data.recording.files import write_object
from warpgrasp.data.recording.lens import Lens
from warpgrasp.data.sample.sequence import GraspSequence
from warpgrasp.export.datasets import VideoWriter

WEDGE_M = ((0.1, 0.0, 0.0), (0.0, 0.05, 0.0), (0.0, 0.0, 0.02), (0.0, 0.0, 0.0))
WEDGE_FACES = ((0, 1, 2), (0, 3, 1), (1, 3, 2), (2, 3, 0))
SMALL = (64, 48)


def hand_parameters(sequence: GraspSequence, index: int) -> HandParameters:
    """What the sample's generator posed the hand by: the model's own parameters, in OpenCV's camera axes."""
    pose = np.concatenate([sequence.hand_rotation[index], sequence.hand_pose[index]])
    return HandParameters(pose, np.asarray(sequence.hand_shape), sequence.hand_translation[index])


def write_obj(path: Path, *, scale: float = 1.0, corners: Sequence[Sequence[float]] = WEDGE_M) -> None:
    """A tetrahedron, in metres times `scale`."""
    rows = [" ".join(["v", *(repr(scale * value) for value in corner)]) for corner in corners]
    rows += [" ".join(["f", *(str(corner + 1) for corner in face)]) for face in WEDGE_FACES]
    path.write_text("\n".join(rows) + "\n")


def simple_label(frame: int, *, pose: np.ndarray | None = None) -> Label:
    """The open hand in its flat pose, and the wedge, half a metre before the camera."""
    hand = HandParameters(np.zeros(48) if pose is None else pose, np.zeros(10), np.array([0.0, 0.0, 0.5]))
    return Label(frame, hand, np.array([0.0, 0.0, np.pi / 2]), np.array([0.06, 0.04, 0.5]))


def level(frame: int) -> int:
    """The brightness by which a frame of `write_video` is known."""
    return 20 + 25 * frame


def write_video(
    path: Path, times_s: Sequence[float], *, size: tuple[int, int] = SMALL, codec: str = "libx264", turned_deg: int = 0
) -> None:
    """Frames of even brightness, brighter and brighter, the top-left quarter of each black."""
    with VideoWriter(path, size, codec=codec, turned_deg=turned_deg) as video:
        for frame, time_s in enumerate(times_s):
            picture = np.full((size[1], size[0], 3), level(frame), dtype=np.uint8)
            picture[: size[1] // 2, : size[0] // 2] = 0
            video.add(picture, time_s=time_s)


def frame_seen(picture: np.ndarray) -> int:
    """Which frame of `write_video` a picture is."""
    brightness = float(picture[-8:, -8:].mean())
    return round((brightness - level(0)) / 25)


def write_recording(folder: Path, *, frames: int = 5, labels: Sequence[int] = (0, 3)) -> Path:
    """A recording with a tiny video, the wedge, and labels of the open hand."""
    folder.mkdir(parents=True)
    write_video(folder / "video.mp4", [number / 30 for number in range(frames)])
    write_lens(folder, Lens(np.array([[60.0, 0, 31.5], [0, 60.0, 23.5], [0, 0, 1]]), *SMALL))
    write_obj(folder / "wedge.obj")
    write_object(folder, "wedge", "wedge.obj", units="m")
    write_annotations(folder, [simple_label(frame) for frame in labels], hand_model="open-hand right")
    return folder


def train_toy(root: Path, out: Path, *, steps: int = 3) -> Path:
    """The folder of a training of some steps in each stage, with every label of some recordings."""
    words = ["train", "toy", "--data", str(root), "--out", str(out), "--fraction", "1"]
    assert main([*words, "--stage1.steps", str(steps), "--stage2.steps", str(steps)]) == 0
    return out


def edit(path: Path, change: Callable[[dict], object]) -> None:
    """Change a JSON file."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
