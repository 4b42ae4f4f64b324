"""Adapts a detector's joints to ours: where in the hand it sees each joint, and how far its detections scatter.

A detector was trained with another idea of where joints lie: its thumb base lies centimetres from a MANO hand's. Each
joint gets an offset in the frame of the whole hand, fitted on labelled frames: offsets are Gaussian a priori, and
detections scatter about the projected joint by Student t distributions, one for each detection and one for each frame
as a whole, whose heavy tails leave outliers alone: joints that are hidden, and hands that were mistaken altogether. The
scale of each joint's scatter is found with the offsets by expectation maximisation (Lange, Little and Taylor, "Robust
Statistical Modeling Using the t Distribution", 1989). A frame is judged by what the other frames and the prior say, so
that even a single one can be mistaken.

Residuals are measured in metres across the line of sight, so that labels near and far count alike.

So adapted, a detector's joints say where a hand lies: by the reprojection loss, by a fit of the hand model, and by how
far a given hand misses them. None of it is part of the paper.
"""

from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.bounded import parse_json
from warpgrasp.errors import DataError
from warpgrasp.frame import Detections
from warpgrasp.geometry import MIRROR, Camera
from warpgrasp.hand import ExpectedHand, HandFit, HandModel, SeenJoints, Side, fit_hand_to_pixels
from warpgrasp.keypoints.hands import HandKeypoints

PRIOR_OFFSET_M = 0.010  # standard deviation of an offset along each axis, before any label is seen
PRIOR_SCATTER_M = 0.008  # of detections across the line of sight, along each axis
PRIOR_DETECTIONS = 4.0  # how many detections the prior scatter counts as
TAIL = 4.0  # degrees of freedom of the Student t distributions
# Squared scale of such a distribution, fitted to a normal one of variance 1, in two dimensions.
GAUSSIAN_SHARE = 0.72675
ROUNDS = 50
# The joints that a detector sees in one picture err together: each counts as if it scattered so many times as much.
ERRING_TOGETHER = 2.0


@dataclass(frozen=True)
class JointOffsets:
    """Where a detector sees the joints of a hand, and how surely."""

    offsets_m: Float[Tensor, "21 3"]
    """From our joint to the detector's, in the frame of the hand in its rest pose."""
    scatter_m2: Float[Tensor, "21 2 2"]
    """Covariance of the detections about the shifted joints, across the line of sight, along the picture's axes, and of
    what the labels leave open. Outliers hardly count."""

    def apply(self, joints: Float[Tensor, "*b 21 3"], rotation: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 21 3"]:
        """The joints where the detector sees them, in camera space (metres), for hands of these rotations."""
        return joints + self.offsets_m.to(joints) @ rotation.transpose(-1, -2)

    def scatter_px2(self, joints: Float[Tensor, "*b 21 3"], camera: Camera) -> Float[Tensor, "*b 21 2 2"]:
        """The covariance in pixels for joints at these depths: the inverse weighs a reprojection error."""
        pixels_per_metre = camera.focal_px[..., None, :] / joints[..., 2:]
        scale = pixels_per_metre[..., :, None] * pixels_per_metre[..., None, :]
        return self.scatter_m2.to(joints) * scale


@dataclass(frozen=True)
class _Labels:
    """Labelled frames with detections."""

    joints: Float[Tensor, "n 21 3"]
    rotations: Float[Tensor, "n 3 3"]
    rays: Float[Tensor, "n 21 2"]  # through the detections, at depth 1
    confidence: Float[Tensor, "n 21"]

    def residuals(self, offsets: Float[Tensor, "21 3"]) -> Float[Tensor, "n 21 2"]:
        """From the shifted joints to the lines of sight of the detections (metres)."""
        points = self.joints + offsets @ self.rotations.transpose(-1, -2)
        return self.rays * points[..., 2:] - points[..., :2]

    @property
    def slopes(self) -> Float[Tensor, "n 21 2 3"]:
        """How the residuals fall as the offsets grow: they are linear in them."""
        across = torch.zeros(*self.rays.shape, 3).to(self.rays)
        across[..., 0, 0] = across[..., 1, 1] = 1
        across[..., 2] = -self.rays
        return across @ self.rotations[:, None]


@cache
def usual_offsets(side: Side = "right") -> JointOffsets:
    """Where the shipped detector sees the joints of a hand of which no frame is labelled.

    Measured on generated hands (tools/hand_detector/offsets.py): 3 to 31 mm, the thumb's the largest. The left hand's
    are the right one's mirror image.
    """
    stored = parse_json((files("warpgrasp.keypoints") / "assets/mediapipe_offsets.json").read_text())
    offsets, scatter = torch.tensor(stored["offsets_m"]), torch.tensor(stored["scatter_m2"])
    if side == "right":
        return JointOffsets(offsets, scatter)
    across = torch.tensor(MIRROR).to(scatter)[:2]
    return JointOffsets(offsets * torch.tensor(MIRROR).to(offsets), scatter * across[:, None] * across)


def no_offsets() -> JointOffsets:
    """Of joints that are taken to be ours, seen as surely as the shipped detector's."""
    usual = usual_offsets()
    return replace(usual, offsets_m=torch.zeros_like(usual.offsets_m))


def fit_offsets(
    joints: Float[Tensor, "n 21 3"],
    rotations: Float[Tensor, "n 3 3"],
    camera: Camera,
    detections_px: Float[Tensor, "n 21 2"],
    confidence: Float[Tensor, "n 21"],
    *,
    prior_m: Float[Tensor, "21 3"] | None = None,
) -> JointOffsets:
    """Fit the offsets of a detector's joints on labelled frames.

    `joints` and `rotations` of the whole hand are annotated, in camera space and metres; `camera` is that of the n
    frames. `prior_m` is where the offsets are expected before any label is seen, zero unless it is given: joints whose
    detections have no confidence, and directions along the line of sight, stay there. Raises `DataError` when a joint
    is not in front of the camera, a number is not finite or a confidence is negative.
    """
    given = (joints, rotations, camera.intrinsics, detections_px, confidence)
    if not all(bool(torch.isfinite(values).all()) for values in given):
        raise DataError("expected finite joints, rotations, cameras, detections and confidences of labelled frames")
    if not bool(camera.sees(joints).all()) or bool((confidence < 0).any()):
        raise DataError("expected labelled joints in front of the camera, and confidences of at least 0")
    double = Camera(camera.intrinsics.double(), camera.width, camera.height)
    rays = double.rays(detections_px.double())[..., :2]
    labels = _Labels(joints.double(), rotations.double(), rays, confidence.double())
    prior = labels.joints.new_zeros(21, 3) if prior_m is None else prior_m.to(labels.joints)
    weights, variance = _Weights(labels.confidence, labels.confidence), torch.full_like(prior[:, 0], PRIOR_SCATTER_M**2)
    posterior = _posterior(labels, weights, variance, prior)
    for _ in range(ROUNDS):
        weights = _weights(labels.confidence, posterior.surprise(labels, variance))
        variance = _scatter(labels, weights, posterior.offsets).diagonal(dim1=-2, dim2=-1).mean(dim=-1)
        posterior = _posterior(labels, weights, variance, prior)
    unsure = torch.linalg.inv(posterior.information).diagonal(dim1=-2, dim2=-1).mean(dim=-1)
    scatter = _scatter(labels, weights, posterior.offsets, share=GAUSSIAN_SHARE)
    scatter = scatter + unsure[:, None, None] * torch.eye(2).to(unsure)
    return JointOffsets(posterior.offsets.to(joints), scatter.to(joints))


@dataclass(frozen=True)
class _Weights:
    """How much detections count."""

    detections: Float[Tensor, "n 21"]  # their confidence, and how well they fit
    frames: Float[Tensor, "n 21"]  # their confidence, and how well their frame fits


def _weights(confidence: Float[Tensor, "n 21"], surprise: Float[Tensor, "n 21"]) -> _Weights:
    """Detections and frames count less the farther they lie from what the others say."""
    degrees = 2 * surprise.shape[1]
    frames = ((TAIL + degrees) / (TAIL + surprise.sum(dim=1, keepdim=True))).clamp_max(1) * confidence
    return _Weights(frames * (TAIL + 2) / (TAIL + surprise), frames)


@dataclass(frozen=True)
class _Posterior:
    """What is known of the offsets for given weights: a normal distribution of each."""

    prior: Float[Tensor, "21 3"]
    frame_information: Float[Tensor, "n 21 3 3"]
    frame_gradient: Float[Tensor, "n 21 3"]

    @property
    def information(self) -> Float[Tensor, "21 3 3"]:
        """The inverse of the covariance."""
        return self.frame_information.sum(dim=0) + torch.eye(3).to(self.prior) / PRIOR_OFFSET_M**2

    @property
    def offsets(self) -> Float[Tensor, "21 3"]:
        """The mean."""
        return self.prior + torch.linalg.solve(self.information, self.frame_gradient.sum(dim=0))

    def surprise(self, labels: _Labels, variance: Float[Tensor, " 21"]) -> Float[Tensor, "n 21"]:
        """The squared distance of each detection from what the other frames say, by its expected variance."""
        others = torch.linalg.inv(self.information - self.frame_information)
        offsets = torch.einsum("njik,njk->nji", others, self.frame_gradient.sum(dim=0) - self.frame_gradient)
        slopes = labels.slopes
        residuals = labels.residuals(self.prior) - torch.einsum("njai,nji->nja", slopes, offsets)
        unsure = torch.einsum("njai,njik,njak->nj", slopes, others, slopes) / 2
        return residuals.square().sum(dim=-1) / (variance + unsure)


def _posterior(
    labels: _Labels, weights: _Weights, variance: Float[Tensor, " 21"], prior: Float[Tensor, "21 3"]
) -> _Posterior:
    slopes, precision = labels.slopes, weights.detections / variance
    information = torch.einsum("nj,njai,njak->njik", precision, slopes, slopes)
    gradient = torch.einsum("nj,njai,nja->nji", precision, slopes, labels.residuals(prior))
    return _Posterior(prior, information, gradient)


def _scatter(
    labels: _Labels, weights: _Weights, offsets: Float[Tensor, "21 3"], share: float = 1.0
) -> Float[Tensor, "21 2 2"]:
    """The squared scale of the detections' scatter, with the prior's; by `GAUSSIAN_SHARE` it is a covariance."""
    residuals = labels.residuals(offsets)
    squares = torch.einsum("nj,nja,njb->jab", weights.detections, residuals, residuals)
    expected = PRIOR_DETECTIONS * PRIOR_SCATTER_M**2 * torch.eye(2).to(residuals)
    return (squares / share + expected) / (PRIOR_DETECTIONS + weights.frames.sum(dim=0))[:, None, None]


def reprojection_loss(
    joints: Float[Tensor, "n 21 3"],
    rotation: Float[Tensor, "n 3 3"],
    camera: Camera,
    detections: Detections,
    offsets: JointOffsets,
) -> Float[Tensor, " n"]:
    """The loss of each hand: the mean over its joints of their negative log-likelihood, 0 where nothing is detected.

    `joints` (metres) and `rotation` of the whole hand are in camera space, `camera` is the n pictures'. A distance of
    one standard deviation, as the detector scatters (`JointOffsets.scatter_m2`), costs about a half; far away the cost
    grows as the logarithm does (a Student t distribution), so that a joint that is mistaken altogether hardly pulls.
    """
    seen = offsets.apply(joints, rotation)
    # The scatter is that of the detector in these pictures, not a way to fit better by moving away.
    precision = torch.linalg.inv(offsets.scatter_px2(seen.detach(), camera))
    error_px = camera.project(seen) - detections.joints_px.to(seen)
    squared = torch.einsum("nji,njik,njk->nj", error_px, precision, error_px)
    cost = (TAIL + 2) / 2 * torch.log1p(squared / TAIL)
    return (detections.confidence.to(seen) * cost).mean(dim=1)


def hand_from_keypoints(
    hand: HandModel,
    keypoints: HandKeypoints,
    *,
    camera: Camera,
    offsets: JointOffsets,
    expected: ExpectedHand | None = None,
) -> HandFit:
    """Fit the hand model to the joints that a detector sees, in camera space; `camera` is that of one picture.

    `offsets` says where the detector sees our joints: `usual_offsets`, or `fit_offsets` on labelled frames. Without an
    expected shape size and depth are a guess: 7 % of the depth, typically.
    Raises `FitError` for fewer than six joints in the picture, and when no hand in front of the camera fits.
    """
    scatter_m = offsets.scatter_m2.diagonal(dim1=-2, dim2=-1).mean(dim=-1).sqrt()
    errors_m = ERRING_TOGETHER * scatter_m / keypoints.confidence.clamp_min(1e-6).sqrt()
    seen = SeenJoints(keypoints.joints_px, keypoints.confidence > 0, offsets.offsets_m, errors_m)
    return fit_hand_to_pixels(hand, seen, camera=camera, expected=expected)


def joint_misses_m(
    joints: Float[Tensor, "n 21 3"],
    rotation: Float[Tensor, "n 3 3"],
    keypoints: HandKeypoints,
    *,
    camera: Camera,
    offsets: JointOffsets,
) -> Float[Tensor, " n"]:
    """How far hands lie from the joints that a detector sees: the mean over those in the picture, metres.

    It is measured across the line of sight; `joints` and `rotation` of the whole hand are in camera space. Infinite for
    hands that are not in front of the camera, and when no joint is in the picture.
    """
    points = offsets.apply(joints, rotation)
    misses_px = (camera.project(points) - keypoints.joints_px.to(points)).norm(dim=-1)
    misses_m = misses_px * points[..., 2] / camera.focal_px.mean().to(points)
    seen = keypoints.confidence > 0
    if not seen.any():
        return torch.full_like(misses_m[:, 0], torch.inf)
    mean = misses_m[:, seen].mean(dim=1)
    return torch.where(camera.sees(points).all(dim=1), mean, torch.inf)
