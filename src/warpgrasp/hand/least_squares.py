"""Least squares of placed hands: the 21 joints, their derivatives in closed form, and the method that fits them.

A point that is skinned to the joints k with weights w_k lies at Σ_k w_k y_k, where y_k is its place by joint k alone.
Turning joint j by a small world rotation ω turns everything that descends from it about its position p_j: the point
moves by ω × Σ_{k below j} w_k (y_k - p_j). A change dθ of an axis-angle vector is the rotation J(θ) dθ, J the left
Jacobian of SO(3) (Chirikjian 2012, eq. 10.86).

Levenberg and Marquardt's method finds the least sum, for all frames together: the shape is the only unknown that they
share, so each step eliminates the frames' own unknowns first (the Schur complement, as in bundle adjustment).
"""

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.geometry import matrix_from_axis_angle
from warpgrasp.hand.model import HO3D_JOINTS, JOINTS, HandModel, permutation

# The columns of a frame: a world rotation of the whole hand about its wrist (3), the wrist (3), the pose (45); after
# them, the shape.
TURN, WRIST, POSE, SHAPE = slice(0, 3), slice(3, 6), slice(6, 51), slice(51, None)
OWN_COLUMNS = 51

POSE_FLOOR_RAD = 0.1  # bending that the pose components do not foresee
LARGEST_STEPS = 60
LARGEST_DAMPING = 1e8  # at which a step moves nothing
SMALLEST_GAIN = 1e-5  # relative; further steps would move no joint by a tenth of a millimetre


@dataclass(frozen=True)
class PlacedHand:
    """Hands by rotation of the whole hand, position of the wrist (metres), pose, and the shape that they share."""

    rotation: Float[Tensor, "n 3 3"]
    wrist: Float[Tensor, "n 3"]
    pose: Float[Tensor, "n 45"]
    shape: Float[Tensor, " s"]

    def __len__(self) -> int:
        return len(self.wrist)

    def __getitem__(self, rows: slice) -> "PlacedHand":
        return PlacedHand(self.rotation[rows], self.wrist[rows], self.pose[rows], self.shape)

    def moved(self, own: Float[Tensor, "n 51"], shape: Float[Tensor, " s"]) -> "PlacedHand":
        """The hands after a step along the columns of the Jacobian."""
        turn = matrix_from_axis_angle(own[:, TURN])
        wrist, pose = self.wrist + own[:, WRIST], self.pose + own[:, POSE]
        return PlacedHand(turn @ self.rotation, wrist, pose, self.shape + shape)


@dataclass(frozen=True)
class HandFit:
    """The hand model in the frames of a sequence: `hand(rotation, pose, shape)`, moved by `translation`. Metres."""

    rotation: Float[Tensor, "n 3"]  # axis-angle, of the whole hand
    translation: Float[Tensor, "n 3"]
    pose: Float[Tensor, "n 45"]
    shape: Float[Tensor, " s"]  # one for all frames
    vertices: Float[Tensor, "n v 3"]
    joints: Float[Tensor, "n 21 3"]  # order JOINTS
    residual_m: Float[Tensor, " n"]  # mean distance of a frame's joints from the fit's

    @staticmethod
    def of(
        hand: HandModel,
        joints: Float[Tensor, "n 21 3"],
        *,
        rotation: Float[Tensor, "n 3"],
        wrist: Float[Tensor, "n 3"],
        pose: Float[Tensor, "n 45"],
        shape: Float[Tensor, " s"],
    ) -> "HandFit":
        """The hand of these parameters, its wrist at `wrist`, beside the joints that it was fitted to."""
        with torch.no_grad():
            posed = hand(rotation, pose, shape.expand(len(pose), -1))
        translation = wrist - posed.joints[:, 0]
        vertices, fitted = (points + translation[:, None] for points in (posed.vertices, posed.joints))
        residual = (fitted - joints.to(fitted)).norm(dim=-1).mean(dim=-1)
        return HandFit(rotation, translation, pose, shape, vertices, fitted, residual)


class JointChain:
    """The 21 joints of a hand model, as points that are skinned like its surface."""

    def __init__(self, hand: HandModel, *, like: Tensor):
        self.model = joints_alone(hand).to(like)
        self._order = permutation(JOINTS, from_=HO3D_JOINTS)
        parents = hand.template.parents
        below = torch.eye(len(parents)).to(like)  # below[j, k]: joint k descends from j, or is j
        for joint in range(len(parents) - 1, 0, -1):
            below[parents[joint]] += below[joint]
        self._below = below
        self._parents = list(parents)

    def joints(self, at: PlacedHand) -> Float[Tensor, "n 21 3"]:
        """The joints, in the order of `JOINTS`."""
        unturned, shape = torch.zeros_like(at.wrist), at.shape.expand(len(at), -1)
        rest = self.model(unturned, at.pose, shape).joints
        return (rest - rest[:, :1]) @ at.rotation.transpose(1, 2) + at.wrist[:, None]

    def jacobian(self, at: PlacedHand) -> Float[Tensor, "n 63 p"]:
        """The derivatives of the joints' coordinates by the columns (`TURN`, `WRIST`, `POSE`, `SHAPE`)."""
        model, weights = self.model, self.model.skinning_weights
        points = model.template_vertices + model.shape_directions @ at.shape
        rest_joints = model.joint_regressor @ points
        local = matrix_from_axis_angle(at.pose.unflatten(1, (-1, 3)))
        points = points.expand(len(at), -1, -1)
        if model.pose_directions is not None:
            offsets = (local - torch.eye(3).to(local)).flatten(1)
            points = points + torch.einsum("vkp,np->nvk", model.pose_directions, offsets)
        rotations = torch.cat([at.rotation[:, None], local], dim=1)
        world, positions = model.chain(rotations, rest_joints.expand(len(at), -1, -1))

        # The place of each point by each joint alone, from the wrist.
        alone = torch.einsum("njkl,nvjl->nvjk", world, points[:, :, None] - rest_joints)
        alone = alone + (positions - positions[:, :1])[:, None]
        centres = positions - positions[:, :1]
        carried = torch.einsum("jk,vk,nvkc->nvjc", self._below, weights, alone)
        arms = carried - torch.einsum("jk,vk->vj", self._below, weights)[..., None] * centres[:, None]
        left = left_jacobian(at.pose.unflatten(1, (-1, 3)))
        turns = torch.cat([torch.eye(3).to(world).expand(len(at), 1, 3, 3), world[:, self._parents[1:]] @ left], dim=1)
        by_angle = torch.einsum("nvjkl,njla->nvkja", -cross_matrix(arms), turns)
        blended = torch.einsum("vj,njkl->nvkl", weights, world)
        if model.pose_directions is not None:
            by_angle[:, :, :, 1:] += self._offset_derivative(local, left, blended)
        by_wrist = torch.eye(3).to(world).expand(len(at), len(weights), 3, 3)
        columns = [by_angle[:, :, :, 0], by_wrist, by_angle[:, :, :, 1:].flatten(3), self._by_shape(world, blended)]
        return torch.cat(columns, dim=-1)[:, self._order].flatten(1, 2)

    def _by_shape(
        self, world: Float[Tensor, "n 16 3 3"], blended: Float[Tensor, "n v 3 3"]
    ) -> Float[Tensor, "n v 3 s"]:
        """The derivatives by the shape: bones become longer, points move with them, the wrist stays."""
        weights, directions = self.model.skinning_weights, self.model.shape_directions
        rest = torch.einsum("jv,vks->jks", self.model.joint_regressor, directions)
        moved = [torch.zeros_like(rest[:1]).expand(len(world), -1, -1)]
        for joint, parent in enumerate(self._parents[1:], start=1):
            moved.append(moved[parent] + world[:, parent] @ (rest[joint] - rest[parent]))
        of_joints = torch.stack(moved, dim=1) - world @ rest
        return blended @ directions + torch.einsum("vj,njks->nvks", weights, of_joints)

    def _offset_derivative(
        self, local: Float[Tensor, "n 15 3 3"], left: Float[Tensor, "n 15 3 3"], blended: Float[Tensor, "n v 3 3"]
    ) -> Float[Tensor, "n v 3 15 3"]:
        """The derivatives of pose blend shapes, which are linear in the entries of the joints' rotation matrices."""
        turned = cross_matrix(left.transpose(2, 3)) @ local[:, :, None]  # (n, 15, angle, 3, 3)
        directions = self.model.pose_directions
        assert directions is not None
        by_joint = directions.unflatten(2, (-1, 9))
        return torch.einsum("nvkl,vljp,njap->nvkja", blended, by_joint, turned.flatten(3))


def cross_matrix(vectors: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3 3"]:
    """The matrix of v × ·."""
    x, y, z = vectors.unbind(dim=-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))


def left_jacobian(axis_angle: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3 3"]:
    """J with exp(θ + dθ) = exp(J dθ) exp(θ), to first order."""
    angle = axis_angle.norm(dim=-1)[..., None, None]
    cross = cross_matrix(axis_angle)
    small = angle < 1e-4
    safe = torch.where(small, 1.0, angle)
    first = torch.where(small, 0.5, (1 - torch.cos(safe)) / safe**2)
    second = torch.where(small, 1 / 6, (safe - torch.sin(safe)) / safe**3)
    return torch.eye(3).to(cross) + first * cross + second * (cross @ cross)


def joints_alone(hand: HandModel) -> HandModel:
    """A hand with the same 21 joints and no more vertices than they need: its rest joints, then its fingertips.

    Skinning acts on each vertex alone, so that these vertices move as those of the whole hand do.
    """
    template = hand.template
    tips = list(template.fingertip_vertices)
    regressor, count = template.joint_regressor, len(template.parents)

    def kept(array: np.ndarray, of_joints: np.ndarray) -> np.ndarray:
        return np.concatenate([of_joints, array[tips]])

    shape_directions = np.einsum("jv,vks->jks", regressor, template.shape_directions)
    offsets = template.pose_directions  # the regressor sees the surface without them
    joints = replace(
        template,
        vertices=kept(template.vertices, regressor @ template.vertices),
        faces=np.array([[0, 1, 2]]),  # nothing is drawn
        shape_directions=kept(template.shape_directions, shape_directions),
        pose_directions=None if offsets is None else kept(offsets, np.zeros((count, *offsets.shape[1:]))),
        joint_regressor=np.eye(count, count + len(tips)),
        skinning_weights=kept(template.skinning_weights, np.eye(count)),
        fingertip_vertices=tuple(range(count, count + len(tips))),
    )
    return HandModel(joints)


def pose_precision(hand: HandModel, *, like: Tensor) -> Float[Tensor, "45 45"]:
    """The inverse covariance of poses about the mean pose.

    The covariance is CᵀC + POSE_FLOOR_RAD² I, C the model's own pose components, each times the standard deviation of
    its coefficient.
    """
    components = hand.pose_components.to(like) * hand.pose_deviations.to(like)[:, None]
    return torch.linalg.inv(components.T @ components + POSE_FLOOR_RAD**2 * torch.eye(len(hand.mean_pose)).to(like))


@dataclass(frozen=True)
class Normal:
    """The normal equations of the linearised problem: of the frames' own unknowns, mixed, and of the shape."""

    own: Float[Tensor, "n 51 51"]
    mixed: Float[Tensor, "n 51 s"]
    shape: Float[Tensor, "s s"]
    own_gradient: Float[Tensor, "n 51"]
    shape_gradient: Float[Tensor, " s"]

    def step(self, damping: float) -> tuple[Float[Tensor, "n 51"], Float[Tensor, " s"]]:
        """The damped step downhill; the frames' own unknowns are eliminated first."""
        own = self.own + damping * torch.diag_embed(self.own.diagonal(dim1=1, dim2=2))
        shape = self.shape + damping * torch.diag(self.shape.diagonal())
        factor = torch.linalg.cholesky(own)
        solved = torch.cholesky_solve(torch.cat([self.mixed, self.own_gradient[..., None]], dim=2), factor)
        reduced = shape - torch.einsum("nps,npt->st", self.mixed, solved[..., :-1])
        right = self.shape_gradient - torch.einsum("nps,np->s", self.mixed, solved[..., -1])
        shape_step = -torch.linalg.solve(reduced, right)
        return -solved[..., -1] - torch.einsum("nps,s->np", solved[..., :-1], shape_step), shape_step


@runtime_checkable
class Problem(Protocol):
    """A least-squares problem of placed hands."""

    def cost(self, at: PlacedHand) -> float:
        """Half the sum of squares."""
        ...

    def linearised(self, at: PlacedHand) -> Normal:
        """The normal equations about `at`."""
        ...


def minimise(problem: Problem, at: PlacedHand) -> PlacedHand:
    """Minimise by Levenberg and Marquardt: less damping after a step that lowers the cost, more after any other."""
    damping, cost, normal = 1e-2, problem.cost(at), problem.linearised(at)
    for _ in range(LARGEST_STEPS):
        moved = at.moved(*normal.step(damping))
        moved_cost = problem.cost(moved)
        if not moved_cost < cost:  # also NaN
            damping *= 8
            if damping > LARGEST_DAMPING:
                break
            continue
        gain, at, cost, damping = cost - moved_cost, moved, moved_cost, max(damping / 4, 1e-9)
        if gain < SMALLEST_GAIN * cost:
            break
        normal = problem.linearised(at)
    return at
