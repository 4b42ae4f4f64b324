"""The time spent on frames, and what a first frame still misses."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("viser", reason="needs the extra `viewer`")

from tests.annotate.conftest import opened, shown
from warpgrasp.annotate.actions import AnnotateActions
from warpgrasp.annotate.page import AnnotatePage
from warpgrasp.annotate.sitting import Sitting, minutes
from warpgrasp.annotate.state import AnnotationState
from warpgrasp.annotate.wording import says_missing
from warpgrasp.hand.model import HandModel


class Clock:
    """A clock that stands until it is put on."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_time_of_each_frame_without_pauses() -> None:
    clock = Clock()
    sitting = Sitting(0, clock)
    for gap in (5.0, 10.0, 3600.0):  # an hour's pause counts as one minute
        clock.now += gap
        sitting.act()
    sitting.turn_to(30)
    clock.now += 20
    sitting.act()
    clock.now += 7
    assert (sitting.spent_s(0), sitting.spent_s(30), sitting.spent_s(4)) == (75.0, 27.0, 0.0)
    assert sitting.says([0, 4, 30]) == "time here: 0:27; labels: 0: 1:15"
    sitting.act()
    sitting.turn_to(0)
    clock.now += 3
    assert sitting.says([0, 30]) == "time here: 1:18; labels: 30: 0:27"
    assert minutes(601.9) == "10:01"


@pytest.fixture
def first(folder: Path, hand: HandModel) -> AnnotationState:
    (folder / "annotations.json").unlink()
    return opened(folder, hand)


@pytest.fixture
def page(first: AnnotationState) -> Iterator[AnnotatePage]:
    with shown(first) as page:
        yield page


def test_a_first_frame_says_what_it_misses(page: AnnotatePage) -> None:
    state, panel = page.state, page.panel
    assert panel.missing.visible
    assert "First frame: 5 of 6 steps missing" in panel.missing.content
    page.change(state.current.moved(object_centre=np.array([0.1, 0.0, 0.5])))
    assert "☑ object placed" in panel.missing.content
    assert "☐ hand placed" in panel.missing.content
    page.change(state.current.moved(wrist=np.array([0.0, 0.0, 0.5]), joint_angles=state.current.joint_angles + 0.1))
    assert "☐ size of the hand" in panel.missing.content
    AnnotateActions(page).set_length(190.0)
    assert "First frame: 1 of 6 steps missing" in panel.missing.content
    AnnotateActions(page).toggle_done()
    assert not panel.missing.visible  # there is a label
    assert re.search(r"time here: \d:\d\d", panel.summary.content)


def test_pairs_that_do_not_fit_are_missing(first: AnnotationState) -> None:
    from tests.annotate.test_pairs import CAMERA, clicked
    from warpgrasp.annotate.pairs import object_pose_from_pairs

    pairs = clicked(6, wrong={1: (70.0, 0.0)})
    first.change(replace(first.current, pairs=pairs))
    said = says_missing(first, object_pose_from_pairs(pairs, CAMERA))
    assert "☐ all pairs fit" in said
