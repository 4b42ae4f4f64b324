"""The other hand on the annotation page: drawn where its label has it, hidden on demand, and named."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("viser", reason="needs the extra `viewer`")

from tests.annotate.conftest import said_by, shown
from tests.annotate.test_both_hands import labelled_left
from warpgrasp.annotate import refining
from warpgrasp.annotate.actions import AnnotateActions
from warpgrasp.annotate.clicks import ClickActions
from warpgrasp.annotate.page import AnnotatePage
from warpgrasp.annotate.refining import RefineActions
from warpgrasp.annotate.state import AnnotationState
from warpgrasp.hand import HandModel
from warpgrasp.refinement import RefinedFrame


@pytest.fixture
def left(folder: Path, hand: HandModel) -> AnnotationState:
    """The recording, whose right hand is labelled in frames 0 and 3, with the left one labelled in 0."""
    return labelled_left(folder, hand, 0)


@pytest.fixture
def both(left: AnnotationState) -> Iterator[AnnotatePage]:
    """Its page, on which the left hand is edited."""
    with shown(left) as page:
        yield page


def test_the_ghost_is_where_the_label_has_the_hand(both: AnnotatePage) -> None:
    ghost = both.scene._ghost
    assert ghost is not None
    assert ghost.visible
    assert 0 < ghost.opacity < both.panel.opacity.value
    assert both.moved == "hand"
    known = both.state.other_annotation(0)
    assert known is not None
    np.testing.assert_allclose(ghost.vertices, known.hand_vertices.numpy(), atol=1e-7)
    AnnotateActions(both).set_depth("hand", 0.7)  # the edited hand moves, the other stands still
    np.testing.assert_allclose(ghost.vertices, known.hand_vertices.numpy(), atol=1e-7)
    both.show_frame(1)
    assert not ghost.visible
    both.show_frame(3)
    assert ghost.visible


def test_the_ghost_is_hidden(both: AnnotatePage) -> None:
    actions, ghost = AnnotateActions(both), both.scene._ghost
    assert both.panel.ghost.visible
    for hide, show in (
        (actions.toggle_ghost, actions.toggle_ghost),
        (actions.toggle_hidden, actions.toggle_hidden),
        (lambda: ClickActions(both).click_on("joints"), lambda: ClickActions(both).click_on("nothing")),
    ):
        hide()
        assert not ghost.visible
        show()
        assert ghost.visible
    actions.toggle_ghost()
    assert not both.panel.ghost.value


def test_the_panel_says_which_hand_is_edited(both: AnnotatePage) -> None:
    assert "edits the **left** hand · right hand: 2 labels: 0, 3" in both.panel.summary.content
    assert "1 label: 0" in both.panel.summary.content


def test_a_recording_of_one_hand_says_nothing_of_two(page: AnnotatePage) -> None:
    assert "edits the" not in page.panel.summary.content
    assert page.scene._ghost is None
    assert not page.panel.ghost.visible
    assert "frame 0" in page.panel.summary.content
    assert "saved" in said_by(page)


def test_refining_compares_nothing_of_the_other_hand(both: AnnotatePage, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []

    def refined(start, label, pictures, *, occluded, mask, **_) -> RefinedFrame:
        taken.append((occluded, mask))
        return RefinedFrame(start, 0.1, 0.05, 0.75)

    monkeypatch.setattr(refining, "refine_frame", refined)
    both.show_frame(3)
    RefineActions(both).refine()
    (((here, there), mask),) = taken
    for frame, covered in ((3, here), (0, there)):
        annotation = both.state.other_annotation(frame)
        assert annotation is not None
        np.testing.assert_array_equal(covered, both.state.other_hand.pixels(annotation))
        assert covered.any()
    assert mask is None
