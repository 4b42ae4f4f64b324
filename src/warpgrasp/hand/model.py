"""The parametric hand: blend shapes, kinematic chain and linear blend skinning (Romero et al. 2017, Sec. 3).

One model serves the shipped open hand and the user's own MANO file: any `HandTemplate` can be skinned.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from warpgrasp.geometry import Mesh, loop_closing_faces, matrix_from_axis_angle
from warpgrasp.hand.skeleton import HO3D_JOINTS, JOINTS, MANO_JOINTS, permutation

ARTICULATED_JOINTS = len(MANO_JOINTS) - 1


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
class _Level:
    """Joints equally far from the wrist, one of each finger: they are composed together, at the cost of one joint."""

    joints: list[int]
    parents: list[int]
    places: list[int]  # of the parents, in the level before

    @staticmethod
    def of_tree(parents: tuple[int, ...]) -> "list[_Level]":
        """The levels after the wrist's."""
        levels, before = [], [0]
        while chosen := [joint for joint, parent in enumerate(parents) if parent in before]:
            up = [parents[joint] for joint in chosen]
            levels.append(_Level(chosen, up, [before.index(parent) for parent in up]))
            before = chosen
        return levels


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
    joints_from_mano: Tensor
    by_joint: Tensor

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
        # Indices are buffers: a list would be uploaded to a GPU at each call, and the call would wait for it.
        constant("joints_from_mano", np.asarray(permutation(JOINTS, from_=HO3D_JOINTS)), torch.int64)
        levels = _Level.of_tree(template.parents)
        self._depth = len(levels)
        for number, level in enumerate(levels):
            for name, index in vars(level).items():
                constant(f"level{number}_{name}", np.asarray(index), torch.int64)
        order = [0, *(joint for level in levels for joint in level.joints)]
        constant("by_joint", np.argsort(order), torch.int64)

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
        shaped = self.template_vertices + torch.einsum("vks,bs->bvk", self.shape_directions, shape)
        rest_joints = torch.einsum("jv,bvk->bjk", self.joint_regressor, shaped)
        rotations = matrix_from_axis_angle(torch.cat([rotation, pose], dim=-1).unflatten(-1, (-1, 3)))
        if self.pose_directions is not None:
            offsets = (rotations[:, 1:] - torch.eye(3, device=rotations.device, dtype=rotations.dtype)).flatten(1)
            shaped = shaped + torch.einsum("vkp,bp->bvk", self.pose_directions, offsets)

        hand_from_joint_rotations, joints = self.chain(rotations, rest_joints)
        # x -> Σ_j w_j (R_j (x - rest_j) + joint_j): one blended affine map per vertex.
        offsets = joints - torch.einsum("bjkl,bjl->bjk", hand_from_joint_rotations, rest_joints)
        affine = torch.cat([hand_from_joint_rotations, offsets[..., None]], dim=-1)
        blended = torch.einsum("vj,bjkl->bvkl", self.skinning_weights, affine)
        vertices = torch.einsum("bvkl,bvl->bvk", blended[..., :3], shaped) + blended[..., 3]
        return PosedHand(vertices, self.all_joints(joints, vertices))

    def chain(
        self, rotations: Float[Tensor, "b 16 3 3"], rest_joints: Float[Tensor, "b 16 3"]
    ) -> tuple[Float[Tensor, "b 16 3 3"], Float[Tensor, "b 16 3"]]:
        """Compose the joints' rotations from the wrist outwards: hand from joint, and where the joints are."""
        composed, positions = [rotations[:, :1]], [rest_joints[:, :1]]
        for number in range(self._depth):
            named = (f"level{number}_{name}" for name in ("joints", "parents", "places"))
            joints, parents, places = (self.get_buffer(name) for name in named)
            bones = rest_joints.index_select(1, joints) - rest_joints.index_select(1, parents)
            frames = composed[-1].index_select(1, places)
            positions.append(positions[-1].index_select(1, places) + (frames @ bones[..., None])[..., 0])
            composed.append(frames @ rotations.index_select(1, joints))
        return (
            torch.cat(composed, dim=1).index_select(1, self.by_joint),
            torch.cat(positions, dim=1).index_select(1, self.by_joint),
        )

    def all_joints(
        self, articulated: Float[Tensor, "b 16 3"], vertices: Float[Tensor, "b v 3"]
    ) -> Float[Tensor, "b 21 3"]:
        """The 21 joints (order: `JOINTS`) from the 16 articulated ones (order: `MANO_JOINTS`) and the surface."""
        tips = vertices.index_select(1, self.fingertip_vertices)
        return torch.cat([articulated, tips], dim=1).index_select(1, self.joints_from_mano)

    def closed_mesh(self, vertices: Float[Tensor, "b v 3"]) -> Mesh:
        """The surface, closed at the wrist by auxiliary faces that come after the hand's own."""
        faces = torch.cat([self.faces, self.closing_faces])
        auxiliary = torch.arange(len(faces), device=faces.device) >= len(self.faces)
        batch = len(vertices)
        return Mesh(vertices, faces.expand(batch, -1, -1), auxiliary.expand(batch, -1))
