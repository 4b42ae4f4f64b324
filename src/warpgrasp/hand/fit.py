"""Fits the hand model to 21 joints in space (to those in a picture: seen_fit.py).

A fit gives a surface to frames that are annotated by their joints alone. It is the most probable
hand, under independent normal errors of the joints (`JOINT_ERROR_M` per coordinate) and normal priors: poses about the
model's mean pose (`pose_precision`), and shapes about zero with unit variance. Joints say nothing of some angles (a
finger's twist): the prior keeps these at the mean. One shape is shared by all frames of a call. Its prior is weighed
against the mean of the frames, not their sum: a data set's joints are never quite the model's, and this difference,
which all frames share, would otherwise drive the shape the farther the more frames there are (to 22 standard deviations
with 84 frames of a sensor's skeleton).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.errors import UserError
from warpgrasp.geometry import axis_angle_from_matrix, matrix_from_axis_angle, nearest_rotation
from warpgrasp.hand.least_squares import (
    OWN_COLUMNS,
    POSE,
    SHAPE,
    HandFit,
    JointChain,
    Normal,
    PlacedHand,
    minimise,
    pose_precision,
)
from warpgrasp.hand.model import JOINTS, HandModel

# The error expected of annotated joints. Measured gloves and clicked points are good to some millimetres, and no data
# set's joints are quite the hand model's.
JOINT_ERROR_M = 0.003
# A frame whose joints lie farther from the fit, on average, is not this hand in these units and this order. Measured
# with the open hand: joints that each lie 10 mm beside the model's by another definition leave 7 to 8 mm, fingers that
# run from tip to base 12.5 mm and more, the order of HO-3D's files 21 mm, metres taken for millimetres a metre. It does
# not reveal a left hand or two exchanged fingers, which leave only 2 to 6 mm (a strangely bent hand fits them).
LARGEST_RESIDUAL_M = 0.012
# Of a shape parameter, in standard deviations. The open hand scaled as a whole passes from 0.6 to 1.4 times its size:
# every human hand does, and joints that collapse to a few centimetres do not.
LARGEST_SHAPE = 6.0

FRAMES_AT_ONCE = 256  # bounds memory
PALM = [JOINTS.index(joint) for joint in ("wrist", "index_1", "middle_1", "ring_1", "little_1")]


class FitError(UserError):
    """Joints that no hand can be fitted to."""


def refusal(residual_m: Tensor, shape: Float[Tensor, " s"] | None = None) -> str | None:
    """Why a frame's fit cannot be trusted, as the end of a sentence, or None. The shape tells wrong units."""
    if not residual_m <= LARGEST_RESIDUAL_M:
        return f"joints that the fitted hand misses by {1000 * residual_m:.0f} mm on average"
    if shape is not None and not shape.abs().max() <= LARGEST_SHAPE:
        return f"joints that only a hand {shape.abs().max():.0f} standard deviations from the mean shape would have"
    return None


def fit_hand(hand: HandModel, joints: Float[Tensor, "n 21 3"]) -> HandFit:
    """Fit rotation, translation and pose of every frame, and one shape, to 21 joints.

    `joints` are in the order of `JOINTS`, in metres, in any one Cartesian frame that is not mirrored (usually camera
    space): the fit is in the same. The result is a function of the arguments alone. Every frame gets a fit; `refusal`
    tells whether it is to be trusted. Raises `FitError` when there is no frame, or a joint is not finite.
    """
    if not len(joints):
        raise FitError("expected the joints of at least one frame to fit a hand to, got none")
    if not torch.isfinite(joints).all():
        bad = int((~torch.isfinite(joints)).flatten(1).any(dim=1).nonzero()[0])
        raise FitError(
            f"expected finite joints to fit a hand to, found NaN or infinity in frame {bad} of {len(joints)}"
        )
    problem = _Problem.of(hand, joints.detach().double())
    with torch.no_grad():
        fitted = minimise(problem, problem.start())
        rotation = axis_angle_from_matrix(fitted.rotation)
        rotation, wrist, pose, shape = (
            part.to(hand.mean_pose) for part in (rotation, fitted.wrist, fitted.pose, fitted.shape)
        )
        return HandFit.of(hand, joints, rotation=rotation, wrist=wrist, pose=pose, shape=shape)


def fit_cost(hand: HandModel, fit: HandFit, joints: Float[Tensor, "n 21 3"]) -> float:
    """The improbability of a fit to these joints: half the sum of squares that `fit_hand` minimises."""
    rotation, wrist, pose, shape = (
        part.double() for part in (matrix_from_axis_angle(fit.rotation), fit.joints[:, 0], fit.pose, fit.shape)
    )
    return _Problem.of(hand, joints.detach().double()).cost(PlacedHand(rotation, wrist, pose, shape))


def pose_cost(hand: HandModel, pose: Float[Tensor, " 45"]) -> float:
    """The improbability of joint angles, whatever joints are given: half a sum of squares, 0 for the mean pose."""
    bent = pose - hand.mean_pose.to(pose)
    return 0.5 * float(bent @ pose_precision(hand, like=pose) @ bent)


@dataclass(frozen=True)
class _Problem:
    """The objective: half the sum of squares of the weighted residuals."""

    chain: JointChain
    target: Float[Tensor, "n 21 3"]
    pose_precision: Float[Tensor, "45 45"]

    @staticmethod
    def of(hand: HandModel, target: Float[Tensor, "n 21 3"]) -> "_Problem":
        return _Problem(JointChain(hand, like=target), target, pose_precision(hand, like=target))

    def start(self) -> PlacedHand:
        """The hand of mean pose and shape, its palm laid on that of the given joints."""
        count, model = len(self.target), self.chain.model
        rotation = torch.eye(3).to(self.target).expand(count, -1, -1)
        pose, shape = model.mean_pose.expand(count, -1), self.target.new_zeros(model.shape_count)
        rest = self.chain.joints(PlacedHand(rotation, self.target[:, 0], pose, shape))
        # The rotation that turns palm onto palm, about the wrist.
        spread = (self.target[:, PALM] - self.target[:, :1]).transpose(1, 2) @ (rest[:, PALM] - rest[:, :1])
        return PlacedHand(nearest_rotation(spread), self.target[:, 0], pose, shape)

    def cost(self, at: PlacedHand) -> float:
        """Half the sum of squares."""
        misses = (self.chain.joints(at) - self.target).square().sum() / JOINT_ERROR_M**2
        bent = at.pose - self.chain.model.mean_pose
        return 0.5 * float(misses + (bent @ self.pose_precision * bent).sum() + len(at) * at.shape.square().sum())

    def linearised(self, at: PlacedHand) -> Normal:
        """The normal equations about `at`, computed for `FRAMES_AT_ONCE` frames at a time."""
        starts = range(0, len(at), FRAMES_AT_ONCE)
        parts = [self._linearised(at, slice(start, start + FRAMES_AT_ONCE)) for start in starts]
        return Normal(
            torch.cat([part.own for part in parts]),
            torch.cat([part.mixed for part in parts]),
            torch.stack([part.shape for part in parts]).sum(dim=0) + len(at) * torch.eye(len(at.shape)).to(at.shape),
            torch.cat([part.own_gradient for part in parts]),
            torch.stack([part.shape_gradient for part in parts]).sum(dim=0) + len(at) * at.shape,
        )

    def _linearised(self, at: PlacedHand, rows: slice) -> Normal:
        here = at[rows]
        jacobian = self.chain.jacobian(here) / JOINT_ERROR_M
        residual = (self.chain.joints(here) - self.target[rows]).flatten(1) / JOINT_ERROR_M
        normal = jacobian.transpose(1, 2) @ jacobian
        gradient = torch.einsum("nrp,nr->np", jacobian, residual)
        normal[:, POSE, POSE] += self.pose_precision
        gradient[:, POSE] += (here.pose - self.chain.model.mean_pose) @ self.pose_precision
        own = slice(0, OWN_COLUMNS)
        return Normal(
            normal[:, own, own],
            normal[:, own, SHAPE],
            normal[:, SHAPE, SHAPE].sum(dim=0),
            gradient[:, own],
            gradient[:, SHAPE].sum(dim=0),
        )
