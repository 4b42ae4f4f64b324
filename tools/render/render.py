"""Path-trace a sequence file (README.md) to DIR/0000.jpg, 0001.jpg, ...  Existing pictures are kept.

.venv/bin/python render.py work/scenes/train_00.npz --out work/frames/train_00 [--start A --stop B]
"""

import argparse
import os
import time
from pathlib import Path

import bpy
import numpy as np
import room
import sequence as sequences
import studio
from person import Person
from sequence import HEIGHT, Sequence

HDRI = Path(__file__).resolve().parent / "work/hdri"
SAMPLES = 8  # denoised; 16 take twice as long and look the same
KEY = 0.22  # mean luminance before the view transform


def luminance(rgb: np.ndarray) -> np.ndarray:
    return rgb @ np.array([0.2126, 0.7152, 0.0722])


def mean_luminance(path: Path) -> float:
    """Average over the sphere, so that every photograph lights the room alike, and the lamp beside it."""
    picture = bpy.data.images.load(str(path))
    pixels = np.array(picture.pixels[:]).reshape(picture.size[1], picture.size[0], -1)[:, :, :3]
    bpy.data.images.remove(picture)
    weight = np.sin((np.arange(len(pixels)) + 0.5) / len(pixels) * np.pi)
    return float((np.minimum(luminance(pixels), 50).mean(axis=1) * weight).sum() / weight.sum())


def light(scene: bpy.types.Scene, sequence: Sequence, rng: np.random.Generator) -> None:
    path = HDRI / f"{sequence.hdri}.exr"
    if not path.exists():
        names = sorted(photograph.stem for photograph in HDRI.glob("*.exr"))
        raise SystemExit(f"no {path}: run fetch_assets.py, or use one of {names}")
    studio.light_from_photograph(scene, path, rotation=sequence.hdri_rotation, strength=1 / mean_luminance(path))
    around, above, distance = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.2), rng.uniform(1.0, 1.6)
    direction = np.array([np.cos(around) * np.cos(above), np.sin(around) * np.cos(above), np.sin(above)])
    watt = 10 * distance**2 * rng.uniform(0.2, 1.5)
    position = sequence.target + distance * direction
    studio.add_lamp(scene, position=position, target=sequence.target, watt=watt, size=rng.uniform(0.1, 0.6))


class Picture:
    """The scene of a sequence, ready to render any of its frames."""

    def __init__(self, sequence: Sequence):
        self.sequence, rng = sequence, np.random.default_rng([sequence.seed, sequence.background])
        self.scene = studio.empty_scene(samples=SAMPLES)
        self.thing = studio.import_obj(sequence.object_mesh)
        self._finish_object()
        vertices = np.array([vertex.co for vertex in self.thing.data.vertices])
        stage = room.Stage.of(sequence, vertices, rng)
        room.build(self.scene, stage, np.random.default_rng(sequence.background))
        self.person = Person(self.scene, sequence, table_z=stage.table_z)
        light(self.scene, sequence, rng)
        self.camera = studio.add_camera(self.scene, sequence.intrinsics)
        self.scene.view_settings.exposure = self._exposure()

    def _finish_object(self) -> None:
        principled = self.thing.data.materials[0].node_tree.nodes["Principled BSDF"]
        principled.inputs["Roughness"].default_value = 0.4
        principled.inputs["Specular IOR Level"].default_value = 0.35

    def pose(self, frame: int) -> None:
        sequence = self.sequence
        self.person.move(frame)
        self.thing.matrix_world = studio.matrix(sequence.world_from_object[frame])
        studio.place_camera(self.camera, sequence.world_from_camera_cv[frame])
        bpy.context.view_layer.update()
        studio.focus_camera(self.camera, self._action(frame).mean(axis=0))
        self.scene.cycles.seed = sequence.seed * 1000 + frame

    def _action(self, frame: int) -> np.ndarray:
        thing = self.sequence.world_from_object[frame, None, :3, 3]
        return np.concatenate([self.sequence.hand_vertices[frame], thing])

    def _exposure(self) -> float:
        """Stops that bring the picture, half of it the action, to KEY: one value for the whole sequence."""
        metered = []
        for frame in np.linspace(0, self.sequence.n_frames - 1, 3).astype(int):
            self.pose(int(frame))
            picture = luminance(studio.radiance(self.scene))
            pose = self.sequence.world_from_camera_cv[frame]
            points = (self._action(frame) - pose[:3, 3]) @ pose[:3, :3] @ self.sequence.intrinsics.T
            x, y = (points[:, :2] / points[:, 2:]).T * len(picture) / HEIGHT
            rows = np.clip([y.min(), y.max() + 1], 0, picture.shape[0] - 1).astype(int)
            columns = np.clip([x.min(), x.max() + 1], 0, picture.shape[1] - 1).astype(int)
            action = picture[rows[0] : rows[1] + 1, columns[0] : columns[1] + 1]
            metered += [np.log2(action + 1e-4).mean(), np.log2(picture + 1e-4).mean()]
        return float(np.log2(KEY * self.sequence.hdri_strength) - np.mean(metered))

    def render(self, frame: int, path: Path) -> None:
        """Write under another name first: a picture that exists is whole."""
        self.pose(frame)
        unfinished = path.with_name(f".{os.getpid()}_{path.name}")
        self.scene.render.filepath = str(unfinished)
        bpy.ops.render.render(write_still=True)
        unfinished.rename(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--stop", type=int)
    parser.add_argument("--step", type=int, default=1)
    options = parser.parse_args()
    sequence = sequences.read(options.scene)
    options.out.mkdir(parents=True, exist_ok=True)
    frames = range(sequence.n_frames)[options.start : options.stop : options.step]
    paths = {frame: options.out / f"{frame:04d}.jpg" for frame in frames}
    missing = {frame: path for frame, path in paths.items() if not path.exists()}
    if not missing:
        return
    picture = Picture(sequence)
    for frame, path in missing.items():
        started = time.perf_counter()
        picture.render(frame, path)
        print(f"{path}  {time.perf_counter() - started:.2f} s  {path.stat().st_size} bytes", flush=True)


if __name__ == "__main__":
    main()
