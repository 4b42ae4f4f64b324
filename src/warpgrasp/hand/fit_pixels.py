"""Fits the hand model to joints in one picture: a first guess for the person who annotates it.

The most probable hand, as in `fit.py`, with the errors of the joints counted in the picture. One view does not tell a
small hand nearby from a large one far away: the prior of the shape decides, or a known shape. Nor does it tell, for
points nearly in a plane, to which side that plane is tilted: both are tried.

Whoever saw the joints may have another idea of where they lie: then each point fitted is the joint and an offset that
turns with the whole hand.
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
from warpgrasp.hand.joint_jacobian import OWN_COLUMNS, POSE, SHAPE, TURN, JointChain, PlacedHand, cross_matrix
from warpgrasp.hand.model import HandModel

FEWEST_JOINTS = 6
HELD_SHAPE = 1e-3  # standard deviations that a known shape may change by
NEAREST_START_M = 0.05  # no hand is nearer to a camera


@dataclass(frozen=True)
class SeenJoints:
    """Joints in one picture (order: `JOINTS`)."""

    pixels: Float[Tensor, "21 2"]
    seen: Bool[Tensor, " 21"]  # the others' pixels are not looked at
    offsets_m: Float[Tensor, "21 3"] | None = None
    """From each joint to what its pixel shows, in the frame of the hand in its rest pose; None where that is the joint
    itself."""
    errors_m: Float[Tensor, " 21"] | None = None
    """How far each may lie from its pixel's line of sight: the standard deviation along each axis; `JOINT_ERROR_M`
    where it is None."""

    def checked(self) -> "SeenJoints":
        """In float64, every field given. Raises `FitError` where no hand can be fitted to them."""
        count = int(self.seen.sum())
        if count < FEWEST_JOINTS:
            raise FitError(f"expected at least {FEWEST_JOINTS} joints of the hand in the picture, got {count}")
        if not torch.isfinite(self.pixels[self.seen]).all():
            raise FitError("expected finite pixels of the hand's joints, found NaN or infinity")
        pixels = self.pixels.detach().double()
        offsets = pixels.new_zeros(21, 3) if self.offsets_m is None else self.offsets_m.to(pixels)
        errors = pixels.new_full((21,), JOINT_ERROR_M) if self.errors_m is None else self.errors_m.to(pixels)
        return SeenJoints(pixels, self.seen, offsets, errors)


@dataclass(frozen=True)
class ExpectedHand:
    """What is known of a hand before its joints are seen."""

    shape: Float[Tensor, " s"] | None = None  # kept where it is given; the prior is about the mean hand else
    pose: Float[Tensor, " 45"] | None = None
    """The joint angles that the prior is about, those of the hand in another picture; the model's mean where it is
    None."""


def fit_hand_to_pixels(
    hand: HandModel, joints: SeenJoints, *, camera: Camera, expected: ExpectedHand | None = None
) -> HandFit:
    """Fit one hand to the joints that are seen in one picture, whose `camera` it is.

    Raises `FitError` for fewer than `FEWEST_JOINTS` joints, and when no hand in front of the camera fits.
    """
    joints, expected = joints.checked(), expected or ExpectedHand()
    chain = JointChain(hand, like=joints.pixels)
    pose = (chain.model.mean_pose if expected.pose is None else expected.pose.to(joints.pixels))[None]
    with torch.no_grad():
        starts = _starts(chain, joints, camera, pose)
        fits = [_fitted(chain, joints, camera, expected.shape, start) for start in starts]
        in_front = [(cost, at) for cost, at in fits if at.wrist[0, 2] > 0]
        if not in_front:
            raise FitError(
                "expected joints of a hand in front of the camera, found none that fits; are they named right?"
            )
        _, at = min(in_front, key=lambda fit: fit[0])
        parts = (axis_angle_from_matrix(at.rotation), at.wrist, at.pose, at.shape)
        rotation, wrist, pose, fitted_shape = (part.to(hand.mean_pose) for part in parts)
        return HandFit.of(hand, chain.joints(at), rotation=rotation, wrist=wrist, pose=pose, shape=fitted_shape)


def _starts(chain: JointChain, joints: SeenJoints, camera: Camera, pose: Float[Tensor, "1 45"]) -> Iterator[PlacedHand]:
    """The expected pose where its joints are seen (perspective-n-point), and tilted to the other side."""
    target_px, seen = joints.pixels, joints.seen
    assert joints.offsets_m is not None
    shape = target_px.new_zeros(chain.model.shape_count)
    upright = PlacedHand(torch.eye(3).to(target_px)[None], target_px.new_zeros(1, 3), pose, shape)
    rest = (chain.joints(upright)[0] + joints.offsets_m)[seen].numpy()
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
    chain: JointChain, joints: SeenJoints, camera: Camera, shape: Float[Tensor, " s"] | None, start: PlacedHand
) -> tuple[float, PlacedHand]:
    mean = torch.zeros_like(start.shape) if shape is None else shape.to(start.shape)
    assert joints.offsets_m is not None
    assert joints.errors_m is not None
    problem = _PixelProblem(
        chain,
        joints.pixels,
        joints.seen,
        joints.offsets_m,
        Camera(camera.intrinsics.double(), camera.width, camera.height),
        errors_px=joints.errors_m * float(camera.focal_px.mean()) / max(float(start.wrist[0, 2]), NEAREST_START_M),
        pose_mean=start.pose,
        pose_precision=pose_precision(chain.model, like=joints.pixels),
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
    offsets_m: Float[Tensor, "21 3"]
    camera: Camera
    errors_px: Float[Tensor, " 21"]
    pose_mean: Float[Tensor, "1 45"]
    pose_precision: Float[Tensor, "45 45"]
    shape_mean: Float[Tensor, " s"]
    shape_deviation: float

    def _points(self, at: PlacedHand) -> Float[Tensor, "21 3"]:
        return self.chain.joints(at)[0] + self.offsets_m @ at.rotation[0].T

    def _residual(self, points: Float[Tensor, "21 3"]) -> Float[Tensor, "n 2"]:
        return ((self.camera.project(points) - self.target_px) / self.errors_px[:, None])[self.seen]

    def cost(self, at: PlacedHand) -> float:
        """Half the sum of squares; infinite for a hand that is not in front of the camera."""
        points = self._points(at)
        if not self.camera.sees(points).all():
            return float("inf")
        bent = at.pose - self.pose_mean
        grown = (at.shape - self.shape_mean) / self.shape_deviation
        misses = self._residual(points).square().sum()
        return 0.5 * float(misses + (bent @ self.pose_precision * bent).sum() + grown.square().sum())

    def linearised(self, at: PlacedHand) -> Normal:
        """The normal equations about `at`."""
        points = self._points(at)
        by_column = self.chain.jacobian(at)[0].unflatten(0, (21, 3))
        by_column[..., TURN] -= cross_matrix(self.offsets_m @ at.rotation[0].T)
        weighted = self._by_point(points) / self.errors_px[self.seen, None, None]
        jacobian = (weighted @ by_column[self.seen]).flatten(0, 1)
        residual = self._residual(points).flatten()
        normal, gradient = jacobian.T @ jacobian, jacobian.T @ residual
        normal[POSE, POSE] += self.pose_precision
        gradient[POSE] += self.pose_precision @ (at.pose - self.pose_mean)[0]
        precision = self.shape_deviation**-2
        own = slice(0, OWN_COLUMNS)
        return Normal(
            normal[None, own, own],
            normal[None, own, SHAPE],
            normal[SHAPE, SHAPE] + precision * torch.eye(len(at.shape)).to(at.shape),
            gradient[None, own],
            gradient[SHAPE] + precision * (at.shape - self.shape_mean),
        )

    def _by_point(self, points: Float[Tensor, "21 3"]) -> Float[Tensor, "n 2 3"]:
        """The derivatives of the seen points' pixels by their coordinates."""
        x, y, z = points[self.seen].unbind(-1)
        zero, inverse = torch.zeros_like(z), 1 / z
        by_ratio = torch.stack([inverse, zero, -x / z**2, zero, inverse, -y / z**2], dim=-1).unflatten(-1, (2, 3))
        return self.camera.intrinsics[:2, :2] @ by_ratio
