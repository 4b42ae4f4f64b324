"""What signs make of a frame's expected error, by hand-worked cases."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from warpgrasp.refinement.doubt import CONTRADICTION_MM, FLOOR_MM, HELPED, Signs, most_helpful, runs


def signs(count: int = 3) -> Signs:
    """Frames of which no sign says anything."""
    none = torch.zeros(count)
    return Signs(none, none, none, none + 1, none, none, none)


def test_frames_without_a_sign_are_as_good_as_any() -> None:
    assert torch.equal(signs().expected_error_mm(), torch.full((3,), FLOOR_MM))


@pytest.mark.parametrize("name", [field.name for field in fields(Signs)])
def test_the_expected_error_grows_with_every_sign_alone(name: str) -> None:
    worse = {"difference": [0.02, 0.05, 0.2], "compared_share": [0.9, 0.6, 0.0], "unseen_hand": [0.1, 0.5, 1.0]}
    worse["closure_mm"] = [CONTRADICTION_MM + 1, 50.0, 90.0]
    values = torch.tensor(worse.get(name, [4.0, 10.0, 50.0]))
    expected = replace(signs(), **{name: values}).expected_error_mm()
    assert bool((expected.diff() > 0).all())
    assert expected[0] > FLOOR_MM


@pytest.mark.parametrize("name", ["keypoints_mm", "closure_mm"])
def test_a_sign_that_was_not_measured_says_nothing(name: str) -> None:
    unknown = replace(signs(), **{name: torch.full((3,), torch.nan)})
    assert torch.equal(unknown.expected_error_mm(), signs().expected_error_mm())


def test_a_label_helps_most_among_the_worst_frames() -> None:
    expected = np.full(30, 3.0)
    expected[4] = 40.0  # alone: 1600 + …
    expected[18:25] = 30.0  # seven in a row: more altogether, the most from their middle
    assert most_helpful(expected, [0, 29]) == 21
    assert most_helpful(expected, [0, 21, 29]) in (20, 22)
    assert most_helpful(expected, range(30)) is None
    assert HELPED > 2


def test_frames_in_a_row_are_named_as_one() -> None:
    flagged = np.array([1, 0, 1, 1, 1, 0, 0, 1]).astype(bool)
    assert runs(flagged, [0, 1, 2, 3, 4, 5, 6, 9]) == "0, 2-4, 9"
    assert runs(~flagged, [0, 1, 2, 3, 4, 5, 6, 9]) == "1, 5-6"
    assert runs(flagged & False, list(range(8))) == ""
