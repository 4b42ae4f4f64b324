"""Write the shipped sequences: for Blender (scenes/NAME.npz) and for the data set's writer (grasps/NAME.npz).

    .venv/bin/python tools/render/scenes.py        # the package's environment, from the repository's root

Evaluation sequences have other skins, hand shapes, lights, rooms, grasps' details and motions than the training ones,
but lie within the same ranges: their views are inside those of the training sequences.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from warpgrasp.data.sample import (
    DEEPEST_M,
    TOUCHING_FINGERS,
    GraspSequence,
    exact_contact,
    make_sequence,
    object_distance,
    surface_motion_px,
)
from warpgrasp.hand import open_hand_arrays

WORK = Path(__file__).resolve().parent / "work"
OBJECT_FOLDER = "src/warpgrasp/data/sample/objects"
SKIN_FOLDER = "src/warpgrasp/hand/assets"
TRAIN_FRAMES, EVALUATION_FRAMES = 60, 40
MUSTARD, CRACKER = "006_mustard_bottle", "003_cracker_box"


@dataclass(frozen=True)
class Scene:
    """What distinguishes one sequence."""

    name: str
    object_name: str
    frames: int
    seed: int
    grasp: int
    view: tuple[float, float, float]  # see make_sequence
    moving_camera: bool
    skin: str
    hdri: str
    hdri_strength: float = 1.0


# The training views are four corners of the cube of views, no two of them adjacent; the others lie between them.
SCENES = (
    Scene("MB1", MUSTARD, TRAIN_FRAMES, 101, 0, (0.8, 0.8, 0.8), False, "skin_01", "apartment"),
    Scene("MB2", MUSTARD, TRAIN_FRAMES, 102, 1, (0.8, -0.8, -0.8), True, "skin_02", "lobby"),
    Scene("MB3", MUSTARD, TRAIN_FRAMES, 103, 3, (-0.8, 0.8, -0.8), False, "skin_03", "park"),
    Scene("MB4", MUSTARD, TRAIN_FRAMES, 104, 5, (-0.8, -0.8, 0.8), True, "skin_04", "studio"),
    Scene("CB1", CRACKER, TRAIN_FRAMES, 201, 0, (0.8, 0.8, 0.8), True, "skin_02", "city"),
    Scene("CB2", CRACKER, TRAIN_FRAMES, 202, 1, (0.8, -0.8, -0.8), False, "skin_03", "workshop"),
    Scene("CB3", CRACKER, TRAIN_FRAMES, 203, 3, (-0.8, 0.8, -0.8), True, "skin_04", "hall"),
    Scene("CB4", CRACKER, TRAIN_FRAMES, 244, 5, (-0.8, -0.8, 0.8), False, "skin_01", "dawn"),
    Scene("MBE1", MUSTARD, EVALUATION_FRAMES, 301, 2, (0.4, -0.2, 0.3), False, "skin_05", "lab"),
    Scene("MBE2", MUSTARD, EVALUATION_FRAMES, 302, 4, (-0.4, 0.4, 0.1), True, "skin_06", "forest"),
    Scene("MBE3", MUSTARD, EVALUATION_FRAMES, 303, 0, (0.0, -0.1, -0.5), False, "skin_05", "venice"),
    Scene("CBE1", CRACKER, EVALUATION_FRAMES, 401, 2, (-0.3, 0.3, 0.4), True, "skin_06", "bridge"),
    Scene("CBE2", CRACKER, EVALUATION_FRAMES, 402, 4, (0.4, -0.4, 0.0), False, "skin_05", "esplanade"),
    Scene("CBE3", CRACKER, EVALUATION_FRAMES, 403, 1, (-0.1, 0.1, -0.4), True, "skin_06", "warehouse"),
)


def sequence_of(scene: Scene) -> GraspSequence:
    """The hand, object and camera of a scene."""
    return make_sequence(
        seed=scene.seed,
        object_name=scene.object_name,
        frames=scene.frames,
        moving_camera=scene.moving_camera,
        grasp=scene.grasp,
        view=scene.view,
    )


def write(scene: Scene, sequence: GraspSequence) -> None:
    """Write what Blender renders, and beside it what the annotations are made of."""
    generator, asset = np.random.default_rng(scene.seed), open_hand_arrays()
    rotation, translation = sequence.world_from_camera[:, :3, :3], sequence.world_from_camera[:, None, :3, 3]
    vertices = sequence.hand().vertices.double().numpy() @ rotation.transpose(0, 2, 1) + translation
    for folder in ("scenes", "grasps"):
        (WORK / folder).mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        WORK / "scenes" / f"{scene.name}.npz",
        hand_vertices=vertices.astype(np.float32),
        hand_faces=asset["f"],
        hand_uv=asset["uv"],
        hand_uv_faces=asset["uv_faces"],
        skin_texture=f"{SKIN_FOLDER}/{scene.skin}.jpg",
        object_mesh=f"{OBJECT_FOLDER}/{scene.object_name}/textured_simple.obj",
        world_from_object=sequence.world_from_object,
        world_from_camera_cv=sequence.world_from_camera,
        intrinsics=sequence.intrinsics,
        hdri=scene.hdri,
        hdri_rotation=generator.uniform(0, 2 * np.pi),
        hdri_strength=scene.hdri_strength * generator.uniform(0.8, 1.25),
        background=scene.seed,
        seed=scene.seed,
    )
    sequence.save(WORK / "grasps" / f"{scene.name}.npz")


def measured(scene: Scene, sequence: GraspSequence) -> str:
    """The rules, by the exact distance, and the motion; refuses a sequence that breaks them."""
    touch, motion = exact_contact(sequence), surface_motion_px(sequence)
    fingers, deepest_mm = touch.touching().sum(axis=1), -1e3 * touch.hand.min()
    if fingers.min() < TOUCHING_FINGERS or deepest_mm > 1e3 * DEEPEST_M:
        raise SystemExit(f"{scene.name} breaks the rules: {fingers.min()} fingers, {deepest_mm:.2f} mm deep")
    median, high = np.median(motion), np.percentile(motion, 95)
    text = f"fingers {fingers.min()}..{fingers.max()}, deepest {deepest_mm:.2f} mm, moves {median:.1f} / {high:.1f} px"
    return f"{scene.name:5} {text} (median / 95 %)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="default: all")
    names = parser.parse_args().names
    for scene in SCENES:
        if not names or scene.name in names:
            object_distance(scene.object_name)
            sequence = sequence_of(scene)
            print(measured(scene, sequence), flush=True)
            write(scene, sequence)


if __name__ == "__main__":
    main()
