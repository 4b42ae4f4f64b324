"""A frame refined with a mask: a depth that its outline tells, a margin that labels tell, and what is refused."""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from tests.refinement.test_silhouettes import BESIDE, CAMERA, HEIGHT, MODEL, WIDTH, posed, true_labels
from warpgrasp.data.recording import HAND, OBJECT
from warpgrasp.errors import UserError
from warpgrasp.frame import Pose
from warpgrasp.hand import HandModel
from warpgrasp.refinement import GivenMask, RefinedFrame, refine_frame
from warpgrasp.refinement.one_frame import ONE_FRAME
from warpgrasp.refinement.refine import Stage

SHORT = replace(ONE_FRAME, stages=(Stage(WIDTH, 30, 0.3),))
TRUE, LABEL = posed(BESIDE), posed((0.10, 0.03, 0.5))
NEARER = replace(TRUE, object_centre=0.95 * TRUE.object_centre)  # seen at the same place, by a twentieth too large
GREY = torch.full((2, 3, HEIGHT, WIDTH), 127, dtype=torch.uint8)  # colours say nothing


def refined(
    hand: HandModel, mask: GivenMask | None, *, start: Pose = NEARER, pictures: Tensor = GREY, **more: Any
) -> RefinedFrame:
    return refine_frame(start, LABEL, pictures, camera=CAMERA, hand=hand, model=MODEL, descent=SHORT, mask=mask, **more)


def depth_error_m(pose: Pose) -> float:
    return abs(float((pose.object_centre - TRUE.object_centre)[0, 2]))


def test_the_outline_tells_a_depth_that_no_colour_tells(hand: HandModel) -> None:
    (labels,) = true_labels(TRUE, hand)
    found = refined(hand, GivenMask(labels))
    assert depth_error_m(NEARER) == pytest.approx(0.025)
    assert depth_error_m(found.pose) < 0.008
    assert found.overlaps is not None
    (_, before), (hand_after, after) = found.overlaps.tolist()
    assert before < 0.93 < after
    assert hand_after > 0.95
    with pytest.raises(
        UserError, match=r"expected poses nearby whose colours are more like the nearest label's, found"
    ):
        refined(hand, None)  # grey on grey


@pytest.mark.slow
def test_a_part_without_a_mask_has_no_overlap(hand: HandModel) -> None:
    (labels,) = true_labels(TRUE, hand)
    found = refined(hand, GivenMask(np.where(labels == HAND, 0, labels).astype(np.uint8)))
    assert found.overlaps is not None
    assert torch.isnan(found.overlaps[:, 0]).all()
    assert depth_error_m(found.pose) < 0.008


@pytest.mark.slow
def test_a_margin_that_labels_tell_is_taken_away(hand: HandModel) -> None:
    """Masks that are two pixels too wide all around bring the object nearer, unless a label has such a mask, too."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    labels, of_label = (cv2.dilate(true_labels(pose, hand)[0], kernel) for pose in (TRUE, LABEL))
    alone, beside_label = (GivenMask(labels, of_labels) for of_labels in ((), ((of_label, LABEL),)))
    without, known = (depth_error_m(refined(hand, mask, start=TRUE).pose) for mask in (alone, beside_label))
    assert without > 0.02
    assert known < 0.6 * without


@pytest.mark.slow
def test_what_an_occluder_covers_is_not_compared(hand: HandModel) -> None:
    (labels,) = true_labels(TRUE, hand)
    rows, columns = np.nonzero(labels == OBJECT)
    covered = np.zeros((HEIGHT, WIDTH), bool)
    covered[rows.min() : int(rows.mean()), columns.min() : int(columns.mean())] = True
    other = GREY.clone()
    other[0, :, torch.from_numpy(covered)] = torch.tensor([[250], [10], [90]], dtype=torch.uint8)
    ways = [(GREY, (covered, None)), (other, (covered, None)), (other, (None, None))]
    grey, same, different = (
        refined(hand, GivenMask(labels), pictures=pictures, occluded=occluded).pose.object_centre
        for pictures, occluded in ways
    )
    assert torch.equal(grey, same)
    assert not torch.equal(grey, different)


def test_what_the_mask_contradicts_is_refused(hand: HandModel) -> None:
    (labels,) = true_labels(TRUE, hand)
    with pytest.raises(UserError, match=r"nearest label's, and whose outlines are more like the mask's, found none"):
        refine_frame(
            TRUE,
            LABEL,
            GREY,
            camera=CAMERA,
            hand=hand,
            model=MODEL,
            descent=replace(SHORT, stages=(Stage(WIDTH, 1, 50.0),)),
            mask=GivenMask(labels),
        )
