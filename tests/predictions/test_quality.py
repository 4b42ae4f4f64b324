"""Signs of trouble, by hand-worked cases."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.predictions.test_file import predictions
from warpgrasp.geometry.camera import Camera
from warpgrasp.predictions.file import Predictions
from warpgrasp.predictions.postprocessing import Flag, share_in_view, summary, with_quality

CAMERA = Camera(torch.tensor([[[100.0, 0, 49.5], [0, 100, 39.5], [0, 0, 1]]]), 100, 80)


def moving(count: int = 7, *, step_m: float = 0.005) -> Predictions:
    """A hand and an object that move steadily sideways."""
    made = predictions(count)
    x = step_m * np.arange(count)[:, None, None] * np.array([1.0, 0, 0])
    share = np.ones(count, np.float32)
    return replace(
        made,
        hand_joints=(made.hand_joints[:1] + x).astype(np.float32),
        object_translation=(made.object_translation[:1] + x[:, 0]).astype(np.float32),
        hand_in_view=share,
        object_in_view=share.copy(),
    )


def judged(one: Predictions, *, interval_s: float = 1 / 30) -> Predictions:
    corners = np.zeros((len(one), 8, 3)) + one.object_translation[:, None]
    return with_quality(one, corners, one.index * interval_s)


def test_steady_motion_is_no_jump() -> None:
    found = judged(moving(step_m=0.05))  # 1.5 m/s
    np.testing.assert_allclose(found.hand_jump[1:-1], 0, atol=1e-7)
    np.testing.assert_allclose(found.object_jump[1:-1], 0, atol=1e-7)
    assert np.isnan(found.hand_jump[[0, -1]]).all()
    assert not found.flags.any()


def test_one_frame_beside_the_way_is_flagged_by_its_distance() -> None:
    one = moving()
    one.hand_joints[3] += [0, 0.06, 0]
    one.object_translation[4] += [0, 0, 0.1]
    found = judged(one)
    np.testing.assert_allclose(found.hand_jump[1:-1], [0, 0.03, 0.06, 0.03, 0], atol=1e-6)
    np.testing.assert_allclose(found.object_jump[1:-1], [0, 0, 0.05, 0.1, 0.05], atol=1e-6)
    # 20 mm and ½ · 20 m/s² · (1/30 s)² = 11 mm are allowed.
    hand, thing = int(Flag.HAND_JUMPS), int(Flag.OBJECT_JUMPS)
    assert found.flags.tolist() == [0, 0, 0, hand | thing, thing, thing, 0]


def test_slow_cameras_let_things_go_farther() -> None:
    one = moving()
    one.hand_joints[3] += [0, 0.06, 0]
    assert not judged(one, interval_s=0.1).flags.any()  # 20 + ½ · 20 · 0.01 · 1000 = 120 mm
    waits = one.index * (1 / 30) + np.where(one.index > 3, 0.2, 0)
    found = with_quality(one, np.zeros((7, 8, 3)), waits)
    # From the frame before to the one after it takes 8/30 s, of which 1/30 s to the frame itself: an eighth of 10 mm,
    # where steady steps put it at a half.
    np.testing.assert_allclose(found.hand_jump[3], np.hypot(0.06, 0.01 * (1 / 2 - 1 / 8)), atol=1e-6)


def test_sequences_are_not_neighbours() -> None:
    one = moving(6)
    one = replace(one, sequence=np.array(["A"] * 3 + ["B"] * 3), index=np.array([0, 1, 2, 0, 1, 2]))
    one.hand_joints[3:] += 1
    found = judged(one)
    assert np.isnan(found.hand_jump[[0, 2, 3, 5]]).all()
    assert not found.flags.any()


def test_what_is_out_of_the_picture_and_what_is_no_number() -> None:
    one = moving()
    one.hand_in_view[1], one.object_in_view[2], one.hand_joints[5, 2, 1] = 0.49, 0.1, np.nan
    found = judged(one)
    assert found.flags.tolist() == [0, 4, 8, 0, 0, 16, 0]
    text = "3 of 7 frames are flagged as doubtful (hand out of view: 1, object out of view: 1, not finite: 1)"
    assert summary(found.flags) == text
    assert summary(found.flags[3:5]) == "none of 2 frames is flagged"


def test_the_share_in_view() -> None:
    # At 1 m a pixel is 1 cm: the picture's borders, half a pixel beyond the outer pixels' centres, are at ±0.5, ±0.4 m.
    points = [[-0.499, 0, 1], [0.499, 0.399, 1], [-0.501, 0, 1], [0, 0.401, 1], [0, 0, -1], [0, 0, 0.0]]
    seen = share_in_view(torch.tensor([points]), CAMERA)
    assert seen.item() == pytest.approx(2 / 6)
    real = torch.tensor([[True, False, True, False, False, False]])
    assert share_in_view(torch.tensor([points]), CAMERA, real).item() == pytest.approx(1 / 2)
    assert share_in_view(torch.full((1, 4, 3), torch.nan), CAMERA).item() == 0


def test_frames_that_are_expected_to_be_far_off_are_doubtful() -> None:
    expected = np.array([2, 14.9, 15.1, np.nan, 80, 3, 3], np.float32)
    found = judged(replace(moving(), expected_error_mm=expected))
    assert found.flags.tolist() == [0, 0, int(Flag.DOUBTFUL), 0, int(Flag.DOUBTFUL), 0, 0]
    assert summary(found.flags) == "2 of 7 frames are flagged as doubtful (doubtful: 2)"
