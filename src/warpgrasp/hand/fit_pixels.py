"""Fits the hand model to joints in one picture: a first guess for the person who annotates it.

The most probable hand, as in `fit.py`, with the errors of the joints counted in the picture. One view does not tell a
small hand nearby from a large one far away: the prior of the shape decides, or a known shape. Nor does it tell, for
points nearly in a plane, to which side that plane is tilted: both are tried.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from warpgrasp.geometry import Camera, axis_angle_from_matrix
from warpgrasp.hand.fit import JOINT_ERROR_M, FitError, HandFit, Normal, minimise, pose_precision
from warpgrasp.hand.joint_jacobian import OWN_COLUMNS, POSE, SHAPE, JointChain, PlacedHand
from warpgrasp.hand.model import HandModel

FEWEST_JOINTS = 6
HELD_SHAPE = 1e-3  # standard deviations that a known shape may change by


def fit_hand_to_pixels(
    hand: HandModel,
    joints_px: Float[Tensor, "21 2"],
    seen: Bool[Tensor, " 21"],
    *,
    camera: Camera,
    shape: Float[Tensor, " s"] | None = None,
) -> HandFit:
    """Fit one hand to the pixels of the joints that are seen (order: `JOINTS`); `camera` is that of one picture.

    A given `shape` is kept. Raises `FitError` for fewer than `FEWEST_JOINTS` joints, and when no hand in front of the
    camera fits.
    """
    count = int(seen.sum())
    if count < FEWEST_JOINTS:
        raise FitError(f"expected at least {FEWEST_JOINTS} joints of the hand in the picture, got {count}")
    if not torch.isfinite(joints_px[seen]).all():
        raise FitError("expected finite pixels of the hand's joints, found NaN or infinity")
    target_px = joints_px.detach().double()
    chain = JointChain(hand, like=target_px)
    with torch.no_grad():
        starts = _starts(chain, target_px, seen, camera)
        fits = [_fitted(chain, target_px, seen, camera, shape, start) for start in starts]
        in_front = [(cost, at) for cost, at in fits if at.wrist[0, 2] > 0]
        if not in_front:
            raise FitError(
                "expected joints of a hand in front of the camera, found none that fits; are they named right?"
            )
        _, at = min(in_front, key=lambda fit: fit[0])
        parts = (axis_angle_from_matrix(at.rotation), at.wrist, at.pose, at.shape)
        rotation, wrist, pose, fitted_shape = (part.to(hand.mean_pose) for part in parts)
        joints = chain.joints(at)
        return HandFit.of(hand, joints, rotation=rotation, wrist=wrist, pose=pose, shape=fitted_shape)


def _starts(
    chain: JointChain, target_px: Float[Tensor, "21 2"], seen: Bool[Tensor, " 21"], camera: Camera
) -> Iterator[PlacedHand]:
    """The mean hand where its joints are seen (perspective-n-point), and tilted to the other side."""
    pose, shape = chain.model.mean_pose[None], target_px.new_zeros(chain.model.shape_count)
    upright = PlacedHand(torch.eye(3).to(target_px)[None], target_px.new_zeros(1, 3), pose, shape)
    rest = chain.joints(upright)[0][seen].numpy()
    matrix = camera.intrinsics.double().numpy()
    solved, turns, places, _ = cv2.solvePnPGeneric(
        rest, target_px[seen].numpy(), matrix, None, flags=cv2.SOLVEPNP_SQPNP
    )
    for turn, place in zip(turns[:solved], places[:solved], strict=False):
        rotation = cv2.Rodrigues(turn)[0]
        # Seen from afar, points in a plane look alike when the plane's normal n is mirrored in the line of sight.
        normal = np.linalg.svd(rest - rest.mean(axis=0))[2][2]
        sight = place[:, 0] / np.linalg.norm(place)
        across, through = np.eye(3) - 2 * np.outer(sight, sight), np.eye(3) - 2 * np.outer(normal, normal)
        for candidate in (rotation, across @ rotation @ through):
            yield PlacedHand(torch.from_numpy(candidate)[None], torch.from_numpy(place[:, 0])[None], pose, shape)


def _fitted(
    chain: JointChain,
    target_px: Float[Tensor, "21 2"],
    seen: Bool[Tensor, " 21"],
    camera: Camera,
    shape: Float[Tensor, " s"] | None,
    start: PlacedHand,
) -> tuple[float, PlacedHand]:
    mean = torch.zeros_like(start.shape) if shape is None else shape.to(start.shape)
    problem = _PixelProblem(
        chain,
        target_px,
        seen,
        Camera(camera.intrinsics.double(), camera.width, camera.height),
        error_px=JOINT_ERROR_M * float(camera.focal_px.mean()) / max(float(start.wrist[0, 2]), 0.05),
        pose_precision=pose_precision(chain.model, like=target_px),
        shape_mean=mean,
        shape_deviation=1.0 if shape is None else HELD_SHAPE,
    )
    at = minimise(problem, PlacedHand(start.rotation, start.wrist, start.pose, mean))
    return problem.cost(at), at


@dataclass(frozen=True)
class _PixelProblem:
    """The objective: half the sum of squares of the weighted residuals, in pixels of one picture."""

    chain: JointChain
    target_px: Float[Tensor, "21 2"]
    seen: Bool[Tensor, " 21"]
    camera: Camera
    error_px: float
    pose_precision: Float[Tensor, "45 45"]
    shape_mean: Float[Tensor, " s"]
    shape_deviation: float

    def cost(self, at: PlacedHand) -> float:
        """Half the sum of squares; infinite for a hand that is not in front of the camera."""
        joints = self.chain.joints(at)[0]
        if not self.camera.sees(joints).all():
            return float("inf")
        misses = (self.camera.project(joints) - self.target_px)[self.seen].square().sum() / self.error_px**2
        bent = at.pose - self.chain.model.mean_pose
        grown = (at.shape - self.shape_mean) / self.shape_deviation
        return 0.5 * float(misses + (bent @ self.pose_precision * bent).sum() + grown.square().sum())

    def linearised(self, at: PlacedHand) -> Normal:
        """The normal equations about `at`."""
        joints = self.chain.joints(at)[0]
        jacobian = self._by_pixel(joints) @ self.chain.jacobian(at)[0].unflatten(0, (21, 3))[self.seen] / self.error_px
        jacobian = jacobian.flatten(0, 1)
        residual = (self.camera.project(joints) - self.target_px)[self.seen].flatten() / self.error_px
        normal, gradient = jacobian.T @ jacobian, jacobian.T @ residual
        normal[POSE, POSE] += self.pose_precision
        gradient[POSE] += self.pose_precision @ (at.pose - self.chain.model.mean_pose)[0]
        precision = self.shape_deviation**-2
        own = slice(0, OWN_COLUMNS)
        return Normal(
            normal[None, own, own],
            normal[None, own, SHAPE],
            normal[SHAPE, SHAPE] + precision * torch.eye(len(at.shape)).to(at.shape),
            gradient[None, own],
            gradient[SHAPE] + precision * (at.shape - self.shape_mean),
        )

    def _by_pixel(self, joints: Float[Tensor, "21 3"]) -> Float[Tensor, "n 2 3"]:
        """The derivatives of the seen joints' pixels by their coordinates."""
        x, y, z = joints[self.seen].unbind(-1)
        zero, inverse = torch.zeros_like(z), 1 / z
        by_ratio = torch.stack([inverse, zero, -x / z**2, zero, inverse, -y / z**2], dim=-1).unflatten(-1, (2, 3))
        return self.camera.intrinsics[:2, :2] @ by_ratio
