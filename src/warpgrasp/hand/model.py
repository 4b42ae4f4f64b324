"""The parametric hand: its joints by name, blend shapes, chain, linear blend skinning, and its fingers by their angles.

One model (Romero et al. 2017, Sec. 3) serves the shipped open hand and the user's own MANO file: any `HandTemplate` can
be skinned. Every permutation between orders of joints is derived from two lists of names.

A person who poses a hand thinks of three angles of each finger: it bends at its knuckle, curls at the two joints after
it, and spreads at the knuckle. They are coordinates of the joints' axis-angle vectors along fixed axes, so that setting
one keeps everything else of a pose as it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from warpgrasp.geometry import Mesh, loop_closing_faces, matrix_from_axis_angle

FINGERS = ("thumb", "index", "middle", "ring", "little")

# The order used everywhere inside: wrist, then each finger from its base to its tip.
JOINTS = ("wrist", *(f"{finger}_{part}" for finger in FINGERS for part in ("1", "2", "3", "tip")))

# The 16 articulated joints of a MANO file, and the 21 of HO-3D's files: the same, then the tips.
MANO_JOINTS = (
    "wrist",
    *(f"{finger}_{part}" for finger in ("index", "middle", "little", "ring", "thumb") for part in "123"),
)
FINGERTIPS = tuple(f"{finger}_tip" for finger in FINGERS)
HO3D_JOINTS = (*MANO_JOINTS, *FINGERTIPS)

PLACEMENT_JOINT = JOINTS.index("middle_1")  # the hand is placed by the base of its middle finger

ARTICULATED_JOINTS = len(MANO_JOINTS) - 1
# A model's first pose components are bending: they tell the axis of a hinge better than the rest pose's geometry does,
# above all the thumb's. The last ones may be noise of unit size (MANO's are).
LEADING_COMPONENTS = 10


def permutation(destination: Sequence[str], *, from_: Sequence[str]) -> list[int]:
    """Positions in `from_` of the names of `destination`: `source[permutation(a, from_=b)]` is in order `a`.

    Raises `ValueError` when a name of `destination` is not in `from_`.
    """
    missing = [name for name in destination if name not in from_]
    if missing:
        raise ValueError(f"expected every joint of the destination in the source, missing {', '.join(missing)}")
    return [list(from_).index(name) for name in destination]


@dataclass(frozen=True)
class HandTemplate:
    """The arrays of a hand model in the structure of a MANO file (joint order: `MANO_JOINTS`).

    Lengths are in metres, angles in radians. A pose is `mean_pose + coefficients @ pose_components`.
    """

    name: str  # stored with every result, e.g. "open-hand right"
    vertices: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]
    shape_directions: Float[np.ndarray, "v 3 s"]
    pose_directions: Float[np.ndarray, "v 3 135"] | None
    joint_regressor: Float[np.ndarray, "16 v"]
    skinning_weights: Float[np.ndarray, "v 16"]
    parents: tuple[int, ...]  # the wrist's is -1
    pose_components: Float[np.ndarray, "c 45"]
    mean_pose: Float[np.ndarray, " 45"]
    fingertip_vertices: tuple[int, ...]  # thumb, index, middle, ring, little
    pose_deviations: Float[np.ndarray, " c"] | None = None  # of the coefficients of real poses; None for one each

    def rest_wrist(self, shape: Float[np.ndarray, " s"]) -> Float[np.ndarray, " 3"]:
        """Where a hand of this shape has its wrist, about which it turns, in the model's coordinates; in float64."""
        regressor, directions, vertices = (
            np.asarray(array, dtype=np.float64)
            for array in (self.joint_regressor[0], self.shape_directions, self.vertices)
        )
        return regressor @ (vertices + directions @ shape)

    def mirrored(self, name: str) -> "HandTemplate":
        """The other hand: reflected in the plane x = 0.

        A rotation R becomes M R M with M = diag(-1, 1, 1), so an axis-angle vector keeps x and negates y and z.
        """
        flip = np.array([-1.0, 1.0, 1.0])
        axis_flip = np.tile([1.0, -1.0, -1.0], ARTICULATED_JOINTS)
        pose_directions = self.pose_directions
        if pose_directions is not None:
            matrix_flip = np.tile(np.outer(flip, flip).ravel(), ARTICULATED_JOINTS)
            pose_directions = pose_directions * flip[None, :, None] * matrix_flip
        return replace(
            self,
            name=name,
            vertices=self.vertices * flip,
            faces=np.ascontiguousarray(self.faces[:, ::-1]),
            shape_directions=self.shape_directions * flip[None, :, None],
            pose_directions=pose_directions,
            pose_components=self.pose_components * axis_flip,
            mean_pose=self.mean_pose * axis_flip,
        )


@dataclass(frozen=True)
class _Levels:
    """Joints by how far they are from the wrist: those of a level are composed together, at the cost of one joint."""

    order: list[int]  # the joints, level by level
    sizes: list[int]
    places: list[list[int]]  # after the wrist's level, of each joint's parent in the level before

    @staticmethod
    def of_tree(parents: tuple[int, ...]) -> "_Levels":
        """The levels of a tree whose first joint is the wrist."""
        levels, places = [[0]], []
        while chosen := [joint for joint, parent in enumerate(parents) if parent in levels[-1]]:
            places.append([levels[-1].index(parents[joint]) for joint in chosen])
            levels.append(chosen)
        return _Levels([joint for level in levels for joint in level], [len(level) for level in levels], places)

    def of_level(self, number: int) -> list[int] | None:
        """The parents' places, where they are not simply all of the level before in its order, or its only joint."""
        places, before = self.places[number], self.sizes[number]
        return None if before == 1 or places == list(range(before)) else places


@dataclass(frozen=True)
class PosedHand:
    """The skinned surface and its 21 joints (order: `JOINTS`), in metres."""

    vertices: Float[Tensor, "b v 3"]
    joints: Float[Tensor, "b 21 3"]


class HandModel(nn.Module):
    """Linear blend skinning of a `HandTemplate`."""

    template_vertices: Tensor
    faces: Tensor
    closing_faces: Tensor
    shape_directions: Tensor
    pose_directions: Tensor | None
    joint_regressor: Tensor
    skinning_weights: Tensor
    pose_components: Tensor
    pose_deviations: Tensor
    mean_pose: Tensor
    fingertip_vertices: Tensor
    level_regressor: Tensor
    bone_from_rest: Tensor
    level_order: Tensor
    mano_order: Tensor
    level_weights: Tensor
    joints_from_levels: Tensor
    last_row: Tensor

    def __init__(self, template: HandTemplate):
        super().__init__()
        self.template = template

        def constant(name: str, array: np.ndarray, dtype: torch.dtype = torch.float32) -> None:
            self.register_buffer(name, torch.as_tensor(np.array(array), dtype=dtype), persistent=False)

        constant("template_vertices", template.vertices)
        constant("faces", template.faces, torch.int64)
        constant("closing_faces", loop_closing_faces(template.faces), torch.int64)
        constant("shape_directions", template.shape_directions)
        constant("joint_regressor", template.joint_regressor)
        constant("skinning_weights", template.skinning_weights)
        constant("pose_components", template.pose_components)
        deviations = template.pose_deviations
        constant("pose_deviations", np.ones(len(template.pose_components)) if deviations is None else deviations)
        constant("mean_pose", template.mean_pose)
        constant("fingertip_vertices", np.asarray(template.fingertip_vertices), torch.int64)
        if template.pose_directions is None:
            self.register_buffer("pose_directions", None, persistent=False)
        else:
            constant("pose_directions", template.pose_directions)
        self._prepare_chain(constant)

    def _prepare_chain(self, constant: Callable[..., None]) -> None:
        """What posing needs of the template, joints level by level.

        Indices are buffers: a list would be uploaded to a GPU at each call, and the call would wait for it.
        """
        template = self.template
        levels = _Levels.of_tree(template.parents)
        self._level_sizes = levels.sizes
        constant("level_regressor", np.asarray(template.joint_regressor)[levels.order])
        parents = [template.parents[joint] for joint in levels.order]
        from_parent = np.eye(len(parents)) - (np.asarray(parents)[:, None] == np.asarray(levels.order))
        constant("bone_from_rest", from_parent)  # of each joint, its parent taken away
        constant("level_order", np.asarray(levels.order), torch.int64)
        constant("mano_order", np.argsort(levels.order), torch.int64)
        for number in range(len(levels.places)):
            places = levels.of_level(number)
            self.register_buffer(
                f"level{number}_parents", None if places is None else torch.tensor(places), persistent=False
            )
        constant("level_weights", np.asarray(template.skinning_weights)[:, levels.order])
        from_levels = [*levels.order, *range(len(levels.order), len(HO3D_JOINTS))]
        constant("joints_from_levels", np.argsort(from_levels)[permutation(JOINTS, from_=HO3D_JOINTS)], torch.int64)
        constant("last_row", np.array([0.0, 0, 0, 1]))

    @property
    def shape_count(self) -> int:
        """How many shape parameters there are."""
        return self.shape_directions.shape[-1]

    def pose_from_coefficients(self, coefficients: Float[Tensor, "b c"]) -> Float[Tensor, "b 45"]:
        """The joint angles (axis-angle, radians) of the first `c` coefficients of the pose space."""
        return self.mean_pose + coefficients @ self.pose_components[: coefficients.shape[-1]]

    def forward(
        self, rotation: Float[Tensor, "b 3"], pose: Float[Tensor, "b 45"], shape: Float[Tensor, "b s"]
    ) -> PosedHand:
        """Pose the hand.

        `rotation` (axis-angle) turns the whole hand about its wrist, `pose` holds the axis-angle vectors of the 15
        joints in the order of `MANO_JOINTS`, `shape` the shape parameters. The wrist stays where the shape puts it, as
        in MANO: add a translation for camera space.
        """
        vectors = torch.cat([rotation, pose], dim=-1).unflatten(-1, (-1, 3))
        return self.by_rotations(matrix_from_axis_angle(vectors), shape)

    def by_rotations(self, rotations: Float[Tensor, "b 16 3 3"], shape: Float[Tensor, "b s"]) -> PosedHand:
        """Pose the hand by rotations of the whole hand about its wrist and of the 15 joints, as `forward` does."""
        shaped = torch.addmm(self.template_vertices.flatten(), shape, self.shape_directions.flatten(0, 1).T)
        shaped = shaped.unflatten(1, (-1, 3))
        rest = self.level_regressor @ shaped
        if self.pose_directions is not None:
            offsets = (rotations[:, 1:] - torch.eye(3, device=rotations.device, dtype=rotations.dtype)).flatten(1)
            shaped = shaped + torch.einsum("vkp,bp->bvk", self.pose_directions, offsets)

        hand_from_joint = self._chain(rotations.index_select(1, self.level_order), self.bone_from_rest @ rest)
        turns, joints = hand_from_joint[..., :3], hand_from_joint[..., 3]
        # x -> Σ_j w_j (R_j (x - rest_j) + joint_j): one blended affine map per vertex.
        affine = torch.cat([turns, (joints - (turns @ rest[..., None])[..., 0])[..., None]], dim=-1)
        blended = (self.level_weights @ affine.flatten(2)).unflatten(2, (3, 4))
        vertices = (blended[..., :3] @ shaped[..., None])[..., 0] + blended[..., 3]
        every = torch.cat([joints, vertices.index_select(1, self.fingertip_vertices)], dim=1)
        return PosedHand(vertices, every.index_select(1, self.joints_from_levels))

    def chain(
        self, rotations: Float[Tensor, "b 16 3 3"], rest_joints: Float[Tensor, "b 16 3"]
    ) -> tuple[Float[Tensor, "b 16 3 3"], Float[Tensor, "b 16 3"]]:
        """Compose the joints' rotations from the wrist outwards: hand from joint, and where the joints are."""
        rotations, rest = (one.index_select(1, self.level_order) for one in (rotations, rest_joints))
        composed = self._chain(rotations, self.bone_from_rest @ rest).index_select(1, self.mano_order)
        return composed[..., :3], composed[..., 3]

    def _chain(self, rotations: Float[Tensor, "b 16 3 3"], bones: Float[Tensor, "b 16 3"]) -> Float[Tensor, "b 16 3 4"]:
        """The same level by level, as one map of each joint; `bones` lead from the parents."""
        last_row = self.last_row.expand(*bones.shape[:2], 1, 4)
        local = torch.cat([torch.cat([rotations, bones[..., None]], dim=-1), last_row], dim=-2)
        first, *others = local.split(self._level_sizes, dim=1)
        composed = [first]
        for number, level in enumerate(others):
            parents = self._buffers[f"level{number}_parents"]
            composed.append((composed[-1] if parents is None else composed[-1].index_select(1, parents)) @ level)
        return torch.cat(composed, dim=1)[..., :3, :]

    def closed_mesh(self, vertices: Float[Tensor, "b v 3"]) -> Mesh:
        """The surface, closed at the wrist by auxiliary faces that come after the hand's own."""
        faces = torch.cat([self.faces, self.closing_faces])
        auxiliary = torch.arange(len(faces), device=faces.device) >= len(self.faces)
        batch = len(vertices)
        return Mesh(vertices, faces.expand(batch, -1, -1), auxiliary.expand(batch, -1))


@dataclass(frozen=True)
class FingerAngles:
    """Radians, finger by finger (order: `FINGERS`); 0 is the model's zero pose, positive closes or moves apart."""

    knuckle: Float[np.ndarray, " 5"]  # bending of the base joint
    curl: Float[np.ndarray, " 5"]  # mean bending of the two joints after it
    spread: Float[np.ndarray, " 5"]  # sideways at the base joint, away from the middle finger


@dataclass(frozen=True)
class FingerAxes:
    """The axes about which a hand model's fingers bend and spread, in its rest pose."""

    bend: Float[np.ndarray, "5 3 3"]  # of each finger's three joints, base to tip
    spread: Float[np.ndarray, "5 3"]  # of the base joints

    @staticmethod
    def of(template: HandTemplate) -> "FingerAxes":
        """The axes of a hand model, by its pose components and its rest pose."""
        joints = np.asarray(template.joint_regressor, dtype=np.float64) @ template.vertices
        leading = np.asarray(template.pose_components, dtype=np.float64)[:LEADING_COMPONENTS].reshape(-1, 15, 3)
        mean = np.asarray(template.mean_pose, dtype=np.float64).reshape(15, 3)
        place = {name: joints[MANO_JOINTS.index(name)] for name in MANO_JOINTS}
        bend, spread = np.empty((5, 3, 3)), np.empty((5, 3))
        for number, finger in enumerate(FINGERS):
            for joint in (1, 2):
                index = _rows(finger)[joint]
                _, _, axes = np.linalg.svd(leading[:, index])
                bend[number, joint] = axes[0] * (1 if axes[0] @ mean[index] >= 0 else -1)  # the mean hand is curled
            along = place[f"{finger}_2"] - place[f"{finger}_1"]
            along /= np.linalg.norm(along)
            hinge = bend[number, 1] - (bend[number, 1] @ along) * along
            bend[number, 0] = hinge / np.linalg.norm(hinge)
            sideways = np.cross(along, bend[number, 0])
            # The middle finger spreads in the direction of the index finger.
            start = place["index_1"] if finger == "middle" else place[f"{finger}_1"]
            apart = np.cross(sideways, along) @ (start - place["middle_1"])
            spread[number] = sideways * (1 if apart >= 0 else -1)
        return FingerAxes(bend, spread)

    def angles(self, pose: Float[np.ndarray, " 45"]) -> FingerAngles:
        """The fingers' angles in a pose."""
        vectors = pose.reshape(15, 3)[[_rows(finger) for finger in FINGERS]]
        bends = (vectors * self.bend).sum(axis=-1)
        return FingerAngles(bends[:, 0], bends[:, 1:].mean(axis=1), (vectors[:, 0] * self.spread).sum(axis=-1))

    def with_angles(self, pose: Float[np.ndarray, " 45"], wanted: FingerAngles) -> Float[np.ndarray, " 45"]:
        """The pose whose fingers have these angles and which is otherwise the given one."""
        now = self.angles(pose)
        turned = pose.reshape(15, 3).copy()
        for number, finger in enumerate(FINGERS):
            base, second, third = _rows(finger)
            turned[base] += (wanted.knuckle - now.knuckle)[number] * self.bend[number, 0]
            turned[base] += (wanted.spread - now.spread)[number] * self.spread[number]
            for joint, row in ((1, second), (2, third)):
                turned[row] += (wanted.curl - now.curl)[number] * self.bend[number, joint]
        return turned.reshape(45)


def _rows(finger: str) -> list[int]:
    """The joints of a finger among the 15 of a pose, base to tip."""
    return [MANO_JOINTS.index(f"{finger}_{part}") - 1 for part in "123"]
