"""`densify` on generated recordings that are hard: where does it fail, and does it say so?

    OMP_NUM_THREADS=1 .venv/bin/python tools/hard_recordings.py                 # an hour, one core
    OMP_NUM_THREADS=1 .venv/bin/python tools/hard_recordings.py --half chosen   # those that constants were chosen on
    OMP_NUM_THREADS=1 .venv/bin/python tools/hard_recordings.py --masks true narrow wide     # with masks, by one label

Nine kinds of recordings, each of 36 frames with two labels, and with one: fast motion that brakes, blur, an object of
one colour, an arm before it, light that changes, turns out of sight of the labels, a way along the line of sight,
pictures that are dark and noisy, and all quiet. Two halves by other seeds, each with the other object: on the `chosen`
half constants may be chosen, the `reported` half is in docs/results.md. Of every frame without a label the true error
and all columns of `quality.csv` are stored, at once, in docs/results/densify_hard.json; with masks, which are the true
ones or those made narrower or wider by `MARGIN_PX`, or of the arm alone, in docs/results/densify_masks.json.
"""

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from scipy.spatial.transform import Rotation, Slerp
from torch import Tensor

from warpgrasp.cli import main as warpgrasp
from warpgrasp.data import open_dataset
from warpgrasp.data.dataset import Split
from warpgrasp.data.sample import write_layout
from warpgrasp.data.sample.files import (
    Appearance,
    PosedSequence,
    save_picture,
    scene_camera,
    scene_mesh,
    scene_textures,
)
from warpgrasp.data.sample.grasp import OBJECT_NAMES, open_gripper
from warpgrasp.data.sample.sequence import FOCAL_PX, HEIGHT_PX, WIDTH_PX, GraspSequence, make_sequence
from warpgrasp.evaluation import score
from warpgrasp.export import RecordingOptions, export_recording
from warpgrasp.files import write_text
from warpgrasp.hand import HandModel, open_hand
from warpgrasp.predictions import read_predictions
from warpgrasp.refinement import QUALITY
from warpgrasp.render import Texture, rasterize, shade

STORED, STORED_MASKS = Path("docs/results/densify_hard.json"), Path("docs/results/densify_masks.json")
MARGIN_PX = {"true": 0, "narrow": -2, "wide": 2}
OCCLUDER = "occluder"  # masks of the arm alone
FRAMES, LABELS = 36, {"two": [8, 28], "one": [18]}
SEED = {"chosen": 4000, "reported": 5000}
Half = Literal["chosen", "reported"]
SUBFRAMES, EXPOSURE = 5, 0.8  # pictures that a blurred one is the mean of, and how long it is exposed, in frames


@dataclass(frozen=True)
class Motion:
    """What hand and object do beside the sequence's own motion, in camera space."""

    shift: Float[np.ndarray, "t 3"]  # metres
    turn: Float[np.ndarray, "t 3"]  # axis-angle about the object's place, radians


def still(generator: np.random.Generator) -> Motion:
    """Nothing beside the sequence's own motion."""
    return Motion(np.zeros((FRAMES, 3)), np.zeros((FRAMES, 3)))


def braking(generator: np.random.Generator) -> Motion:
    """Pushed away from the camera and pulled back, stopping within a frame: 15 to 19 mm/frame²."""
    speed_m, frame = generator.uniform(0.015, 0.019), int(generator.integers(2, 6))
    velocity = np.zeros(FRAMES)
    direction = 1.0
    while frame < FRAMES:
        velocity[frame : frame + 6] = direction * speed_m
        direction, frame = -direction, frame + 6 + int(generator.integers(3, 7))
    along = np.cumsum(velocity)
    return replace(still(generator), shift=along[:, None] * [0.15, -0.1, 1.0])


def shaken(generator: np.random.Generator) -> Motion:
    """To and fro, mostly across the line of sight, by up to 12 mm a frame."""
    phase = generator.uniform(0, 2 * np.pi, 3)
    waves = np.sin(2 * np.pi * np.arange(FRAMES)[:, None] / np.array([15.0, 19.0, 23.0]) + phase)
    shift = waves * [0.025, 0.018, 0.03]
    return replace(still(generator), shift=shift - shift.mean(axis=0) + [0, 0, 0.04])


def turned(generator: np.random.Generator) -> Motion:
    """Turned by 100 degrees and back about the upright axis: the labels do not show all that is seen."""
    swing = np.sin(np.pi * np.arange(FRAMES) / FRAMES * 2 + generator.uniform(0, 2 * np.pi))
    return replace(still(generator), turn=np.radians(50) * swing[:, None] * [0.15, 1.0, 0.1])


def receding(generator: np.random.Generator) -> Motion:
    """Away from the camera by 16 cm, and back."""
    way = (1 - np.cos(2 * np.pi * (np.arange(FRAMES) / FRAMES + generator.uniform(0, 1)))) / 2
    return replace(still(generator), shift=way[:, None] * [0.02, 0.01, 0.16])


@dataclass(frozen=True)
class Kind:
    """What makes a recording hard."""

    motion: Callable[[np.random.Generator], Motion] = still
    blurred: bool = False
    plain: bool = False  # the object has one colour
    arm: bool = False  # one that is not the hand's own moves through the picture
    light: bool = False  # changes its strength and its direction
    dark: bool = False  # and noisy


KINDS = {
    "braking": Kind(braking),
    "blur": Kind(shaken, blurred=True),
    "plain": Kind(plain=True),
    "arm": Kind(arm=True),
    "light": Kind(light=True),
    "turning": Kind(turned),
    "receding": Kind(receding),
    "dark": Kind(dark=True),
    "quiet": Kind(),
}


def moved(sequence: GraspSequence, motion: Motion) -> GraspSequence:
    """The sequence with hand and object moved as one."""
    pivot = sequence.camera_from_object[:, :3, 3]
    turn = Rotation.from_rotvec(motion.turn)
    wrist = open_gripper().rest_joints(sequence.hand_shape[None])[0, 0]
    place = turn.apply(sequence.hand_translation + wrist - pivot) + pivot + motion.shift
    pose = sequence.camera_from_object.copy()
    pose[:, :3, :3] = turn.as_matrix() @ pose[:, :3, :3]
    pose[:, :3, 3] += motion.shift
    return replace(
        sequence,
        hand_rotation=(turn * Rotation.from_rotvec(sequence.hand_rotation)).as_rotvec(),
        hand_translation=place - wrist,
        camera_from_object=pose,
    )


def in_picture(sequence: GraspSequence) -> bool:
    """Whether every joint, and the middle of the object, lies before the camera and in its picture."""
    points = np.concatenate([sequence.hand().joints.numpy(), sequence.camera_from_object[:, None, :3, 3]], axis=1)
    pixels = FOCAL_PX * points[..., :2] / points[..., 2:] + [(WIDTH_PX - 1) / 2, (HEIGHT_PX - 1) / 2]
    return bool(((pixels > 0) & (pixels < [WIDTH_PX, HEIGHT_PX])).all() and points[..., 2].min() > 0.3)


def hard_sequence(kind: str, half: Half) -> GraspSequence:
    """The sequence of a kind, the first of its seeds that stays in the picture."""
    number = list(KINDS).index(kind)
    name = OBJECT_NAMES[(number + (half == "reported")) % len(OBJECT_NAMES)]
    for attempt in range(40):
        seed = SEED[half] + 100 * number + attempt
        own = make_sequence(seed=seed, object_name=name, frames=FRAMES, moving_camera=number % 2 == 1)
        sequence = moved(own, KINDS[kind].motion(np.random.default_rng(seed)))
        if in_picture(sequence):
            return sequence
    raise RuntimeError(f"no {kind} sequence stayed in the picture")


def exposed(sequence: GraspSequence) -> GraspSequence:
    """The sequence at `SUBFRAMES` moments of each frame's exposure, one after the other."""
    frames = np.arange(float(len(sequence)))
    offsets = (np.arange(SUBFRAMES) - (SUBFRAMES - 1) / 2) * EXPOSURE / SUBFRAMES
    times = (frames[:, None] + offsets).clip(0, frames[-1]).ravel()

    def numbers(values: Float[np.ndarray, "t k"]) -> Float[np.ndarray, "s k"]:
        return np.stack([np.interp(times, frames, column) for column in values.T], axis=1)

    pose = np.tile(np.eye(4), (len(times), 1, 1))
    pose[:, :3, :3] = Slerp(frames, Rotation.from_matrix(sequence.camera_from_object[:, :3, :3]))(times).as_matrix()
    pose[:, :3, 3] = numbers(sequence.camera_from_object[:, :3, 3])
    return replace(
        sequence,
        hand_rotation=Slerp(frames, Rotation.from_rotvec(sequence.hand_rotation))(times).as_rotvec(),
        hand_pose=numbers(sequence.hand_pose),
        hand_translation=numbers(sequence.hand_translation),
        camera_from_object=pose,
        world_from_camera=sequence.world_from_camera[np.rint(times).astype(int)],
    )


class Painter:
    """Draws the pictures of a hard sequence."""

    def __init__(self, sequence: GraspSequence, kind: Kind, seed: int):
        self._kind, self._hand, self._generator = kind, HandModel(open_hand()), np.random.default_rng(seed)
        self._fine = exposed(sequence) if kind.blurred else sequence
        self._moments = SUBFRAMES if kind.blurred else 1
        self._posed, self._look = PosedSequence.of(self._fine, self._hand), Appearance.random(self._generator)
        self._textures = scene_textures(sequence, self._hand, self._look.skin)
        if kind.plain:
            colour = tuple(self._textures[-1].image.mean(dim=(1, 2)).tolist())
            self._textures[-1] = Texture.plain(colour, len(self._textures[-1].corner_uv))
        self.hidden: dict[int, np.ndarray] = {}  # the arm's pixels, of the frames that were drawn
        self._arm_colour = torch.tensor([0.62, 0.45, 0.36]) * float(self._generator.uniform(0.5, 1.1))
        self._arm_slope = float(self._generator.uniform(-0.5, 0.5))

    def __call__(self, split: Split, name: str, index: int, path: Path) -> None:
        """Write one picture, as `write_layout` asks for."""
        image = torch.stack([self._drawn(self._moments * index + one, index) for one in range(self._moments)]).mean(0)
        if self._kind.arm:
            image = self._behind_arm(image, index)
        if self._kind.light:
            image = image * (0.75 + 0.45 * np.sin(2 * np.pi * index / 30))
        if self._kind.dark:
            noise = torch.from_numpy(self._generator.normal(scale=0.035, size=image.shape)).float()
            image = 0.3 * image + noise
        save_picture(image.clamp(0, 1), path, quality=60 if self._kind.dark else 92)

    def _drawn(self, moment: int, index: int) -> Float[Tensor, "3 h w"]:
        light = self._look.light
        if self._kind.light:
            angle = torch.tensor([0.0, 1.2 * np.sin(2 * np.pi * index / 40), 0.0], dtype=torch.float64)
            light = torch.from_numpy(Rotation.from_rotvec(angle.numpy()).as_matrix()).float() @ light
        mesh = scene_mesh(self._fine, self._posed, self._hand, moment)
        camera = scene_camera(self._fine)
        background = self._look.background
        return shade(mesh, self._textures, camera, rasterizer=rasterize, light=light, background=background).image

    def _behind_arm(self, image: Float[Tensor, "3 h w"], index: int) -> Float[Tensor, "3 h w"]:
        """A slanted band of skin, round as an arm is, that goes through the picture in 30 frames, and comes again."""
        v, u = torch.meshgrid(torch.arange(float(HEIGHT_PX)), torch.arange(float(WIDTH_PX)), indexing="ij")
        middle = WIDTH_PX * (1.3 - 1.6 * ((index + 6) % 30) / 30) + self._arm_slope * (v - HEIGHT_PX / 2)
        across = (u - middle) / 28
        inside = across.abs() < 1
        self.hidden[index] = inside.numpy()
        colour = self._arm_colour[:, None, None] * (0.5 + 0.5 * (1 - across.clamp(-1, 1) ** 2).sqrt())
        return torch.where(inside, colour, image)


def write_masks(folder: Path, margin: str, sequence: GraspSequence, painter: Painter) -> None:
    """The masks of each frame; hand and object each for itself narrower or wider, as programs draw them.

    Those of the `OCCLUDER` say nothing of them.
    """
    hand = HandModel(open_hand())
    posed, hand_faces = PosedSequence.of(sequence, hand), len(hand.faces) + len(hand.closing_faces)
    margin_px = MARGIN_PX.get(margin, 0)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, [2 * abs(margin_px) + 1] * 2)
    change = cv2.dilate if margin_px > 0 else cv2.erode
    folder.mkdir(parents=True)
    for index in range(len(sequence)):
        raster = rasterize(scene_mesh(sequence, posed, hand, index), scene_camera(sequence))
        face_ids = raster.face_ids[0].numpy()
        hidden = painter.hidden.get(index, np.zeros(face_ids.shape, bool))
        parts = (face_ids >= 0) & (face_ids < hand_faces) & ~hidden, (face_ids >= hand_faces) & ~hidden
        of_hand, of_object = (change(part.astype(np.uint8), kernel).astype(bool) for part in parts)
        labels = np.select([hidden | (of_hand & of_object), of_hand, of_object], [255, 1, 2]).astype(np.uint8)
        labels = np.uint8(3) * hidden if margin == OCCLUDER else labels
        Image.fromarray(labels).save(folder / f"{index:06d}.png")


def measured(folder: Path, half: Half, kind: str, way: str, masks: str | None = None) -> dict[str, Any]:
    """Write the recording, carry its labels on, and compare every other frame with the truth."""
    root, recording, out = (folder / name for name in ("data", kind, "out"))  # recordings are named as sequences
    for old in (recording, out):
        shutil.rmtree(old, ignore_errors=True)
    dataset = open_dataset(root, HandModel(open_hand()))
    export_recording(dataset, "train", kind, recording, RecordingOptions(train=LABELS[way]))
    started = time.process_time()  # others may be at work on this machine
    words = [] if masks is None else ["--masks", str(folder / "masks" / masks)]
    if warpgrasp(["densify", str(recording), "--out", str(out), *words]):
        raise SystemExit(1)
    seconds = time.process_time() - started
    predictions, _ = read_predictions(out / "predictions.npz")
    names = [name for name in predictions.names if name.index not in LABELS[way]]
    found = score(predictions, dataset, names).per_frame
    header, *rows = ((out / QUALITY).read_text()).splitlines()
    lines = [row.split(",") for row in rows]
    others = [line for line in lines if int(line[0]) not in LABELS[way]]
    signs = {
        name: [None if not cell else float(cell) for cell in column]
        for name, column in zip(header.split(","), zip(*others, strict=True), strict=True)
    }
    errors = {name: np.round(found[name], 2).tolist() for name in ERRORS}
    assert predictions.flags is not None
    flags = [int(predictions.flags[name.index]) for name in names]
    return {"labels": LABELS[way], "seconds": round(seconds), "errors": errors, "flags": flags, "signs": signs}


ERRORS = ("hand_joint_error_mm", "hand_joint_error_px", "object_vertex_error_mm", "object_vertex_error_px")


def make(folder: Path, half: Half, kind: str, margins: Sequence[str] = ()) -> None:
    """Write one hard sequence as a data set, and its masks."""
    sequence = hard_sequence(kind, half)
    painter = Painter(sequence, KINDS[kind], SEED[half])
    write_layout(folder / "data", {kind: sequence}, {}, painter)
    for margin in margins:
        write_masks(folder / "masks" / margin, margin, sequence, painter)


def main() -> None:
    """Measure and store; what is not asked for stays as it was."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", default="reported", choices=list(SEED))
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--ways", nargs="+", default=list(LABELS), choices=list(LABELS))
    parser.add_argument("--masks", nargs="+", choices=[*MARGIN_PX, OCCLUDER], help="by one label")
    options = parser.parse_args()
    stored = STORED_MASKS if options.masks else STORED
    ways = [("one", masks) for masks in options.masks] if options.masks else [(way, None) for way in options.ways]
    found: dict[str, Any] = json.loads(stored.read_text()) if stored.is_file() else {}
    for kind in options.kinds:
        with tempfile.TemporaryDirectory() as temporary:
            make(Path(temporary), options.half, kind, options.masks or ())
            for way, masks in ways:
                one = measured(Path(temporary), options.half, kind, way, masks)
                found.setdefault(options.half, {}).setdefault(kind, {})[masks or way] = one
                write_text(stored, json.dumps(found, separators=(",", ":")) + "\n")
                worst = [
                    float(np.max(one["errors"][name])) for name in ("hand_joint_error_mm", "object_vertex_error_mm")
                ]
                print(
                    options.half,
                    kind,
                    masks or way,
                    f"{one['seconds']} s; worst hand {worst[0]:.0f} mm, object {worst[1]:.0f} mm",
                )


if __name__ == "__main__":
    main()
