"""Small steps by keys: where they move hand and object, and what undo takes back."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

pytest.importorskip("viser", reason="needs the extra `viewer`")

from tests.annotate.conftest import said_by
from warpgrasp.annotate.actions import AnnotateActions
from warpgrasp.annotate.clicks import ClickActions
from warpgrasp.annotate.page import AnnotatePage
from warpgrasp.annotate.steps import STEPS, StepActions


@pytest.mark.parametrize(
    ("key", "fine", "shift_mm"),
    [("J", False, (-2, 0, 0)), ("L", True, (0.5, 0, 0)), ("I", False, (0, -2, 0)), ("K", True, (0, 0.5, 0))],
)
def test_the_object_is_shifted(page: AnnotatePage, key: str, fine: bool, shift_mm: tuple[float, ...]) -> None:
    steps, start = StepActions(page), page.state.current
    steps.begin("object")
    steps.step(key, fine=fine)
    np.testing.assert_allclose(page.state.current.object_centre - start.object_centre, np.array(shift_mm) / 1000)
    assert page.state.current.pose.wrist is start.pose.wrist
    np.testing.assert_allclose(page.scene.object_handle.position, page.state.current.object_centre, atol=1e-6)


@pytest.mark.parametrize(
    ("key", "goes"), [("F", (-1, 0)), ("H", (1, 0)), ("R", (0, -1)), ("V", (0, 1)), ("N", (0, 0)), ("M", (0, 0))]
)
def test_the_side_that_is_seen_turns_as_the_key_says(page: AnnotatePage, key: str, goes: tuple[int, int]) -> None:
    steps, start = StepActions(page), page.state.current
    steps.begin("object")
    steps.step(key, fine=False)
    turn = page.state.current.object_rotation @ start.object_rotation.T
    assert np.degrees(Rotation.from_matrix(turn).magnitude()) == pytest.approx(2)
    nearest = np.array([0.0, 0.0, -1.0])
    np.testing.assert_allclose((turn @ nearest)[:2] / np.sin(np.radians(2)), goes, atol=1e-9)
    np.testing.assert_array_equal(page.state.current.object_centre, start.object_centre)
    if goes == (0, 0):  # a point on the right goes up, or down
        assert np.sign((turn @ [1.0, 0.0, 0.0])[1]) == {"N": -1, "M": 1}[key]
    steps.step(key, fine=True)
    whole = page.state.current.object_rotation @ start.object_rotation.T
    assert np.degrees(Rotation.from_matrix(whole).magnitude()) == pytest.approx(2.5)


def test_steps_without_a_pause_are_one_change_and_take_what_is_coupled_along(page: AnnotatePage) -> None:
    steps, start = StepActions(page), page.state.current
    steps.begin("hand")
    assert "Keys move the hand" in said_by(page)
    AnnotateActions(page).couple(True)
    for key in ("J", "J", "F"):
        steps.step(key, fine=False)
    assert page.state.current.wrist[0] == pytest.approx(start.wrist[0] - 0.004)
    apart = (np.linalg.norm(frame.wrist - frame.object_centre) for frame in (page.state.current, start))
    assert next(apart) == pytest.approx(next(apart))
    page.state.undo()
    assert page.state.current is start


def test_clicking_and_handles_end_the_steps(page: AnnotatePage) -> None:
    steps = StepActions(page)
    for end in (lambda: ClickActions(page).click_on("nothing"), lambda: AnnotateActions(page).move("object")):
        steps.begin("object")
        assert page.stepping
        end()
        assert not page.stepping
        assert "Keys move" not in said_by(page)


def test_the_letters_of_steps_are_none_that_the_view_takes() -> None:
    assert not set(STEPS) & set("WASDQETGUZ")  # depth and undo stay what they are
