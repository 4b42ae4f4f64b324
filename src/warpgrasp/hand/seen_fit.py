"""Fits the hand model to those of its 21 joints that are seen in one picture.

A fit is a first guess for the person who annotates it: the most probable hand as in fit.py, with the errors counted in
the picture. One view does not tell a small hand nearby from a large one far away: the prior of the shape decides, or a
known shape. Nor does it tell, for points nearly in a plane, to which side that plane is tilted: both are tried. Whoever
saw the joints may have another idea of where they lie: then each point fitted is the joint and an offset that turns
with the whole hand. A hand that is known to be somewhere nearby stays there in what the joints do not say.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from warpgrasp.geometry import Camera, axis_angle_from_matrix
from warpgrasp.hand.fit import JOINT_ERROR_M, FitError
from warpgrasp.hand.least_squares import (
    OWN_COLUMNS,
    POSE,
    SHAPE,
    TURN,
    WRIST,
    HandFit,
    JointChain,
    Normal,
    PlacedHand,
    cross_matrix,
    minimise,
    pose_precision,
)
from warpgrasp.hand.model import JOINTS, MANO_JOINTS, HandModel

FEWEST_JOINTS = 6
HELD_SHAPE = 1e-3  # standard deviations that a known shape may change by
HELD_ANGLE_RAD = 1e-5  # that a known angle may change by
NEAREST_START_M = 0.05  # no hand is nearer to a camera
# How far a hand may be from where it is thought to be: the standard deviations along and about each axis.
PLACE_DEVIATION_M, TURN_DEVIATION_RAD = 0.05, 0.3
# A fit near the expected place is preferred to one elsewhere that misses the joints by up to so many times less, or by
# less than is expected of joints anyway.
STILL_AS_NEAR, MISSED_AS_USUAL = 1.5, 1.0


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
class HandPlace:
    """Where a hand is, in camera space."""

    rotation: Float[Tensor, "3 3"]  # about the wrist
    wrist: Float[Tensor, " 3"]


@dataclass(frozen=True)
class ExpectedHand:
    """What is known of a hand before its joints are seen."""

    shape: Float[Tensor, " s"] | None = None  # kept where it is given; the prior is about the mean hand else
    pose: Float[Tensor, " 45"] | None = None
    """The joint angles that the prior is about, those of the hand in another picture; the model's mean where it is
    None."""
    held: Bool[Tensor, " 45"] | None = None  # the angles that stay as `pose` has them
    place: HandPlace | None = None
    """Where the hand is thought to be: the fit starts there and stays near in what the joints do not say, unless only a
    hand elsewhere is seen as they are."""


def fit_hand_to_pixels(
    hand: HandModel, joints: SeenJoints, *, camera: Camera, expected: ExpectedHand | None = None
) -> HandFit:
    """Fit one hand to the joints that are seen in one picture, whose `camera` it is.

    Raises `FitError` for fewer than `FEWEST_JOINTS` joints, and when no hand in front of the camera fits.
    """
    joints, expected = joints.checked(), expected or ExpectedHand()
    fitting = _Fitting(JointChain(hand, like=joints.pixels), joints, camera, expected)
    with torch.no_grad():
        at = fitting.best()
        parts = (axis_angle_from_matrix(at.rotation), at.wrist, at.pose, at.shape)
        rotation, wrist, pose, fitted_shape = (part.to(hand.mean_pose) for part in parts)
        joints_there = fitting.chain.joints(at)
        return HandFit.of(hand, joints_there, rotation=rotation, wrist=wrist, pose=pose, shape=fitted_shape)


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


@dataclass(frozen=True)
class _Fitting:
    """The fits of one hand from several starts."""

    chain: JointChain
    joints: SeenJoints  # checked
    camera: Camera
    expected: ExpectedHand

    def best(self) -> PlacedHand:
        """The fit near the expected place, where it misses hardly more than one from anywhere else; else that one.

        Raises `FitError` when there is none in front of the camera.
        """
        starts = _starts(self.chain, self.joints, self.camera, self._pose)
        tried = [self._fitted(start, None) for start in starts]
        fits = [fit for fit in tried if fit is not None]
        elsewhere = None if not fits else min(fits, key=lambda fit: fit.cost)
        place = self.expected.place
        near = None if place is None else self._fitted(self._start_at(place), place)
        if near is not None and (
            elsewhere is None or near.missed <= max(elsewhere.missed, MISSED_AS_USUAL) * STILL_AS_NEAR
        ):
            return near.at
        if elsewhere is None:
            raise FitError(
                "expected joints of a hand in front of the camera, found none that fits; are they named right?"
            )
        return elsewhere.at

    @property
    def _pose(self) -> Float[Tensor, "1 45"]:
        pose = self.expected.pose
        return (self.chain.model.mean_pose if pose is None else pose.to(self.joints.pixels))[None]

    def _start_at(self, place: HandPlace) -> PlacedHand:
        like = self.joints.pixels
        shape = like.new_zeros(self.chain.model.shape_count)
        return PlacedHand(place.rotation.to(like)[None], place.wrist.to(like)[None], self._pose, shape)

    def _precision(self) -> Float[Tensor, "45 45"]:
        precision = pose_precision(self.chain.model, like=self.joints.pixels)
        held = self.expected.held
        return precision if held is None else precision + torch.diag(held.to(precision) / HELD_ANGLE_RAD**2)

    def _fitted(self, start: PlacedHand, place: HandPlace | None) -> "_Fitted | None":
        """The fit from a start, near a place where it is given; None for a hand that is not in front of the camera."""
        shape, joints, camera = self.expected.shape, self.joints, self.camera
        mean = torch.zeros_like(start.shape) if shape is None else shape.to(start.shape)
        assert joints.offsets_m is not None
        assert joints.errors_m is not None
        problem = _PixelProblem(
            self.chain,
            joints.pixels,
            joints.seen,
            joints.offsets_m,
            Camera(camera.intrinsics.double(), camera.width, camera.height),
            errors_px=joints.errors_m * float(camera.focal_px.mean()) / max(float(start.wrist[0, 2]), NEAREST_START_M),
            pose_mean=start.pose,
            pose_precision=self._precision(),
            shape_mean=mean,
            shape_deviation=1.0 if shape is None else HELD_SHAPE,
            place=None if place is None else start,
        )
        at = minimise(problem, PlacedHand(start.rotation, start.wrist, start.pose, mean))
        return _Fitted(problem.cost(at), problem.missed(at), at) if at.wrist[0, 2] > 0 else None


@dataclass(frozen=True)
class _Fitted:
    cost: float
    missed: float  # root of the mean square of the joints' misses, in their expected errors
    at: PlacedHand


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
    place: PlacedHand | None  # near which the hand is to stay

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
        moved = sum(((away / deviation).square().sum() for away, deviation in self._away(at)), misses.new_zeros(()))
        return 0.5 * float(misses + (bent @ self.pose_precision * bent).sum() + grown.square().sum() + moved)

    def missed(self, at: PlacedHand) -> float:
        """The root of the mean square of the joints' misses, in their expected errors."""
        return float(self._residual(self._points(at)).square().mean().sqrt())

    def _away(self, at: PlacedHand) -> list[tuple[Float[Tensor, " 3"], float]]:
        """How the hand is turned and moved from its place, where there is one, each with its standard deviation."""
        if self.place is None:
            return []
        turn = axis_angle_from_matrix(at.rotation @ self.place.rotation.transpose(1, 2))[0]
        return [(turn, TURN_DEVIATION_RAD), ((at.wrist - self.place.wrist)[0], PLACE_DEVIATION_M)]

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
        for columns, (away, deviation) in zip((TURN, WRIST), self._away(at), strict=False):
            normal[columns, columns] += torch.eye(3).to(normal) / deviation**2
            gradient[columns] += away / deviation**2
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


def angles_not_said(seen: Bool[Tensor, " 21"]) -> Bool[Tensor, " 45"]:
    """The joint angles of which seen joints (order: `JOINTS`) say nothing: those with no seen joint beyond them."""
    named = {name for name, there in zip(JOINTS, seen.tolist(), strict=True) if there}
    not_said = torch.ones(len(MANO_JOINTS) - 1, 3, dtype=torch.bool)
    for row, name in enumerate(MANO_JOINTS[1:]):
        finger, part = name.split("_")
        beyond = {f"{finger}_{further}" for further in (*range(int(part) + 1, 4), "tip")}
        not_said[row] = not (beyond & named)
    return not_said.flatten()
