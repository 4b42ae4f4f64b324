"""`densify` on generated recordings of both hands around one object: how far off are the hands, and the object?

    OMP_NUM_THREADS=1 .venv/bin/python tools/both_hands.py            # a quarter of an hour, one core

A right hand holds the object throughout; a left one, the mirror image of another grasp, leaves it and comes back. Each
recording has 36 frames, three of them labelled. The errors are those of all other frames; docs/own_video.md has them.
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from scipy.spatial.transform import Rotation
from torch import Tensor

from warpgrasp.cli import main as warpgrasp
from warpgrasp.data.recording import AnnotationFile, Lens, label_of_pose, write_annotations, write_lens, write_object
from warpgrasp.data.sample import HEIGHT_PX, WIDTH_PX, GraspSequence, make_sequence, object_surface
from warpgrasp.data.sample.files import Appearance, scene_camera, scene_textures
from warpgrasp.export.datasets import write_mesh
from warpgrasp.frame import ObjectModel, Pose
from warpgrasp.geometry import Mesh, join, mirrored_axis_angle
from warpgrasp.hand import HandModel, Side, left_hand, open_hand
from warpgrasp.predictions import doubtful, pose_of_predictions, read_predictions
from warpgrasp.render import Texture, rasterize, shade
from warpgrasp.scene import posed_hand, posed_object

FRAMES, LABELS = 36, (3, 18, 32)
AXES = {"003_cracker_box": 1, "006_mustard_bottle": 0}  # of the mirror, so that the left hand is beside the right one
AWAY_M = 0.05  # from the object, where the left hand is farthest from it
MIRROR_X = torch.diag(torch.tensor([-1.0, 1.0, 1.0]))


@dataclass(frozen=True)
class TwoHands:
    """Both hands and one object in every frame, as they are, and how they look."""

    sequence: GraspSequence
    model: ObjectModel
    hands: Mapping[Side, HandModel]
    poses: Mapping[Side, Pose]
    look: Appearance

    @staticmethod
    def of(sequence: GraspSequence, other: GraspSequence, *, axis: int, away_m: float, seed: int) -> "TwoHands":
        """The right hand of a sequence, and the mirror image of another's right hand along an axis of the object.

        In the middle of the sequence that is away from the object's centre by `away_m`.
        """
        right, surface = HandModel(open_hand()), object_surface(sequence.object_name)
        vertices, faces = torch.from_numpy(surface.vertices).float(), torch.from_numpy(surface.faces).long()
        model = ObjectModel.centred(sequence.object_name, vertices, faces)
        own = pose_of_sequence(sequence, right, model)
        mirrored = mirrored_hand(pose_of_sequence(other, right, model), own, axis=axis)
        away = torch.nn.functional.normalize(mirrored.wrist - own.object_centre, dim=1)
        bump = torch.sin(torch.linspace(0, np.pi, len(sequence)))[:, None] ** 2
        left = replace(mirrored, wrist=mirrored.wrist + away_m * bump * away)
        look = Appearance.random(np.random.default_rng(seed))
        written = replace(model, centre_m=torch.zeros(3))  # as `write_mesh` has it
        return TwoHands(
            sequence, written, {"right": right, "left": left_hand(right)}, {"right": own, "left": left}, look
        )

    def picture(self, frame: int) -> Float[Tensor, "3 h w"]:
        """A frame as a camera sees it."""
        meshes, textures = [], []
        skin, closing, thing = scene_textures(self.sequence, self.hands["right"], self.look.skin)
        for side, hand in self.hands.items():
            vertices = posed_hand(self.poses[side].rows(slice(frame, frame + 1)), hand)[0]
            meshes.append(hand.closed_mesh(vertices))
            flipped = Texture(skin.image, skin.corner_uv[:, [0, 2, 1]])  # faces of the mirror image run the other way
            textures += [skin if side == "right" else flipped, closing]
        pose = self.poses["right"].rows(slice(frame, frame + 1))
        meshes.append(Mesh.of(posed_object(pose, self.model), self.model.faces))
        mesh = join(join(meshes[0], meshes[1]), meshes[2])
        look = {"light": self.look.light, "background": self.look.background}
        return shade(mesh, [*textures, thing], scene_camera(self.sequence), rasterizer=rasterize, **look).image

    def write(self, folder: Path, labels: Mapping[Side, Sequence[int]]) -> None:
        """Write the recording with labels of these frames."""
        (folder / "frames").mkdir(parents=True)
        for frame in range(len(self.sequence)):
            pixels = (self.picture(frame).permute(1, 2, 0) * 255).round().byte().numpy()
            Image.fromarray(pixels).save(folder / "frames" / f"{frame:06d}.png")
        write_lens(folder, Lens(self.sequence.intrinsics, WIDTH_PX, HEIGHT_PX))
        write_mesh(folder / "object.ply", self.model)
        write_object(folder, self.model.name, "object.ply")
        files = {side: self._labels(side, frames) for side, frames in labels.items()}
        right, left = files["right"], files["left"]
        write_annotations(folder, right.labels, hand_model=right.hand_model, other=left)

    def _labels(self, side: Side, frames: Sequence[int]) -> AnnotationFile:
        hand, poses = self.hands[side], self.poses[side]
        labels = [label_of_pose(frame, poses.rows(slice(frame, frame + 1)), hand, self.model) for frame in frames]
        return AnnotationFile(hand.template.name, tuple(labels), side)

    def errors_mm(self, side: Side, pose: Pose) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
        """The mean distances of the hand's joints, and of the object's vertices, from where they are."""
        hand, truth = self.hands[side], self.poses[side]
        pairs = [
            [posed_hand(one, hand)[1] for one in (pose, truth)],
            [posed_object(one, self.model) for one in (pose, truth)],
        ]
        of_hand, of_object = (1000 * (one - other).norm(dim=-1).mean(dim=1) for one, other in pairs)
        return of_hand, of_object


def pose_of_sequence(sequence: GraspSequence, hand: HandModel, model: ObjectModel) -> Pose:
    """The poses of a generated sequence."""
    camera_from_object = torch.from_numpy(sequence.camera_from_object).float()
    rotation = camera_from_object[:, :3, :3]
    wrist = hand.template.rest_wrist(sequence.hand_shape) + sequence.hand_translation
    return Pose(
        rotation,
        rotation @ model.centre_m + camera_from_object[:, :3, 3],
        torch.from_numpy(Rotation.from_rotvec(sequence.hand_rotation).as_matrix()).float(),
        torch.from_numpy(wrist).float(),
        torch.from_numpy(sequence.hand_pose).float(),
        torch.from_numpy(sequence.hand_shape).float().expand(len(sequence), -1).clone(),
    )


def mirrored_hand(other: Pose, there: Pose, *, axis: int) -> Pose:
    """The left hand that is to the object of `there` what the right one is to that of `other`, in the mirror."""
    mirror = torch.eye(3)
    mirror[axis, axis] = -1.0
    object_from_camera = other.object_rotation.mT
    rotation = mirror @ object_from_camera @ other.hand_rotation @ MIRROR_X
    wrist = mirror @ (object_from_camera @ (other.wrist - other.object_centre)[..., None])
    return replace(
        there,
        hand_rotation=there.object_rotation @ rotation,
        wrist=there.object_centre + (there.object_rotation @ wrist)[..., 0],
        joint_angles=mirrored_axis_angle(other.joint_angles.unflatten(1, (15, 3))).flatten(1),
        shape=other.shape,
    )


def measured(folder: Path, seed: int) -> None:
    """Write a recording, densify it, and print the errors of both hands and of the object."""
    name = list(AXES)[seed % 2]
    own, other = (make_sequence(seed=seed + part, object_name=name, frames=FRAMES) for part in (0, 500))
    scene = TwoHands.of(own, other, axis=AXES[name], away_m=AWAY_M, seed=seed)
    scene.write(folder / "both", {"right": LABELS, "left": LABELS})
    if warpgrasp(["densify", str(folder / "both"), "--out", str(folder / "out")]):
        raise SystemExit(1)
    others = [frame for frame in range(FRAMES) if frame not in LABELS]
    for side, hand in scene.hands.items():
        predictions, _ = read_predictions(folder / "out" / side / "predictions.npz")
        found = scene.errors_mm(side, pose_of_predictions(predictions, hand))
        said = [f"mean {float(errors[others].mean()):.1f}, worst {float(errors[others].max()):.1f}" for errors in found]
        doubts = int(doubtful(predictions).sum())
        print(f"{name} {seed}, {side} hand: joints {said[0]} mm; object {said[1]} mm; {doubts} frames doubtful")


def main() -> None:
    """Measure some recordings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[6000, 6001, 6002, 6003])
    for seed in parser.parse_args().seeds:
        with tempfile.TemporaryDirectory() as temporary:
            measured(Path(temporary), seed)


if __name__ == "__main__":
    main()
