"""A simulated detector with a known idea of where joints are, noise and outliers."""

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.errors import DataError
from warpgrasp.geometry import Camera, matrix_from_axis_angle
from warpgrasp.keypoints import fit_offsets, usual_offsets
from warpgrasp.keypoints.adaptation import PRIOR_OFFSET_M, PRIOR_SCATTER_M

INTRINSICS = torch.tensor([[310.0, 0, 160], [0, 300, 120], [0, 0, 1]], dtype=torch.float64)
Labels = tuple[Float[Tensor, "n 21 3"], Float[Tensor, "n 3 3"], Camera, Float[Tensor, "n 21 2"], Float[Tensor, "n 21"]]


def simulated(
    count: int, bias: Float[Tensor, "21 3"], *, noise_px: float = 0.0, outlier_share: float = 0.0, seed: int = 0
) -> Labels:
    """Labelled frames of hands that are turned every way, half a metre away, and their detections."""
    random = torch.Generator().manual_seed(seed)
    normal = {"generator": random, "dtype": torch.float64}
    rotations = matrix_from_axis_angle(2 * torch.randn(count, 3, **normal))
    rest = 0.05 * torch.randn(21, 3, **normal)
    wrist = torch.tensor([0, 0, 0.5], dtype=torch.float64) + 0.03 * torch.randn(count, 1, 3, **normal)
    joints = rest @ rotations.transpose(1, 2) + wrist
    camera = Camera(INTRINSICS.expand(count, 3, 3), 320, 240)
    detections = camera.project(joints + bias @ rotations.transpose(1, 2))
    detections = detections + noise_px * torch.randn(count, 21, 2, **normal)
    outlying = torch.rand(count, 21, **normal) < outlier_share
    detections = torch.where(outlying[..., None], detections + 60, detections)
    return joints, rotations, camera, detections, torch.ones(count, 21, dtype=torch.float64)


def known_bias() -> Float[Tensor, "21 3"]:
    return 0.012 * torch.randn(21, 3, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


def test_a_known_bias_is_recovered_from_many_labels() -> None:
    labels = simulated(400, known_bias())
    offsets = fit_offsets(*labels)
    assert float((offsets.offsets_m - known_bias()).norm(dim=1).max()) < 5e-5
    shifted = labels[2].project(offsets.apply(labels[0], labels[1]))
    assert float((shifted - labels[3]).norm(dim=-1).max()) < 0.05


def test_outliers_hardly_move_it() -> None:
    """One detection in six is 85 px off: a mean of 14 px, 24 mm, for least squares."""
    offsets = fit_offsets(*simulated(60, known_bias(), noise_px=1.0, outlier_share=1 / 6))
    assert float((offsets.offsets_m - known_bias()).norm(dim=1).mean()) < 2e-3


def test_offsets_are_the_closed_form_of_a_single_observed_direction() -> None:
    """A hand on the optical axis, detections without outliers: a Gaussian prior and a known scatter.

    Across the line of sight the offset is the detection's, shrunk; along it nothing is known, and the prior stays.
    """
    joints = torch.zeros(1, 21, 3, dtype=torch.float64)
    joints[..., 2] = 0.6
    camera = Camera(INTRINSICS[None], 320, 240)
    detections = camera.project(joints) + torch.tensor([1.0, 0], dtype=torch.float64)  # 1 px: 1.94 mm
    rotation = torch.eye(3, dtype=torch.float64)[None]
    confidence = torch.ones(1, 21, dtype=torch.float64)
    offsets = fit_offsets(joints, rotation, camera, detections, confidence).offsets_m
    seen = 0.6 / 310
    assert 0.5 * seen < float(offsets[0, 0]) < 0.999 * seen
    assert float(offsets[:, 1:].abs().max()) < 1e-5  # the line of sight leans by 1 px in 310


def test_one_label_shrinks_to_the_prior() -> None:
    """A detection far beyond what the prior allows moves an offset less than it lies off; none moves it nowhere."""
    prior = known_bias()
    joints, rotations, camera, detections, confidence = simulated(1, prior)
    far = detections + torch.tensor([0.0, 80.0], dtype=torch.float64)  # 13 cm
    confidence[0, 5] = 0
    fitted = fit_offsets(joints, rotations, camera, far, confidence, prior_m=prior)
    moved = (fitted.offsets_m - prior).norm(dim=1)
    assert float(moved.max()) < PRIOR_OFFSET_M
    assert float(moved[5]) == 0
    exact = fit_offsets(joints, rotations, camera, detections, confidence, prior_m=prior)
    torch.testing.assert_close(exact.offsets_m, prior, atol=1e-9, rtol=0)


def test_a_frame_that_was_mistaken_altogether_hardly_counts() -> None:
    """One frame of eight is 80 px off, 13 cm, in every joint: the seven others decide."""
    joints, rotations, camera, detections, confidence = simulated(8, known_bias(), noise_px=1.0)
    without = fit_offsets(
        joints[1:], rotations[1:], Camera(camera.intrinsics[1:], 320, 240), detections[1:], confidence[1:]
    )
    detections[0] += torch.tensor([80.0, 0.0], dtype=torch.float64)
    fitted = fit_offsets(joints, rotations, camera, detections, confidence)
    assert float((fitted.offsets_m - without.offsets_m).norm(dim=1).max()) < 1e-3


def test_no_labels_leave_the_prior() -> None:
    labels = simulated(0, known_bias())
    offsets = fit_offsets(*labels)
    torch.testing.assert_close(offsets.offsets_m, torch.zeros(21, 3, dtype=torch.float64))
    expected = (PRIOR_SCATTER_M**2 + PRIOR_OFFSET_M**2) * torch.eye(2, dtype=torch.float64)
    torch.testing.assert_close(offsets.scatter_m2, expected.expand(21, 2, 2))


def test_the_scatter_is_that_of_the_detections() -> None:
    joints, rotations, camera, detections, confidence = simulated(600, known_bias(), noise_px=2.0)
    offsets = fit_offsets(joints, rotations, camera, detections, confidence)
    pixels = offsets.scatter_px2(joints, camera).mean(dim=(0, 1))
    torch.testing.assert_close(pixels.diagonal(), torch.full((2,), 4.0).double(), rtol=0.12, atol=0)  # depths vary
    assert abs(float(pixels[0, 1])) < 0.1
    outlying = fit_offsets(*simulated(600, known_bias(), noise_px=2.0, outlier_share=0.1))
    assert float((outlying.scatter_m2 / offsets.scatter_m2).diagonal(dim1=1, dim2=2).mean()) < 2.5  # the plain one: 60


def test_apply_turns_with_the_hand_and_passes_gradients() -> None:
    joints, rotations, camera, detections, confidence = simulated(3, known_bias())
    offsets = fit_offsets(joints, rotations, camera, detections, confidence)
    moving = joints.clone().requires_grad_()
    offsets.apply(moving, rotations).sum().backward()
    torch.testing.assert_close(moving.grad, torch.ones_like(joints))
    for frame in range(3):
        by_hand = joints[frame, 7] + rotations[frame] @ offsets.offsets_m[7]
        torch.testing.assert_close(offsets.apply(joints, rotations)[frame, 7], by_hand)


@pytest.mark.parametrize("spoilt", ["behind", "nan", "negative"])
def test_spoilt_labels_are_refused(spoilt: str) -> None:
    joints, rotations, camera, detections, confidence = simulated(2, known_bias())
    if spoilt == "behind":
        joints[0, 3, 2] = -0.5
    elif spoilt == "nan":
        detections[1, 0, 0] = float("nan")
    else:
        confidence[0, 0] = -1
    with pytest.raises(DataError, match="expected"):
        fit_offsets(joints, rotations, camera, detections, confidence)


def test_the_usual_offsets_of_a_left_hand_are_mirrored() -> None:
    right, left = usual_offsets("right"), usual_offsets("left")
    assert torch.equal(left.offsets_m, right.offsets_m * torch.tensor([-1.0, 1, 1]))
    assert torch.equal(left.scatter_m2[:, 0, 1], -right.scatter_m2[:, 0, 1])
    assert torch.equal(left.scatter_m2[:, 0, 0], right.scatter_m2[:, 0, 0])
    assert 0.02 < float(right.offsets_m[4].norm()) < 0.04  # the tip of the thumb
