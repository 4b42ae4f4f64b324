"""Clicks on the annotation page, without a browser: what is taken, what is refused aloud, what is taken back alone."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("viser", reason="needs the extra `viewer`")

from tests.annotate.conftest import said_by
from tests.annotate.test_pairs import clicked
from warpgrasp.annotate.clicks import ClickActions
from warpgrasp.annotate.edited_frame import PointPair
from warpgrasp.annotate.page import AnnotatePage
from warpgrasp.errors import UserError
from warpgrasp.hand import JOINTS

CAMERA_PLACE = np.zeros(3)


@pytest.fixture
def clicks(page: AnnotatePage) -> ClickActions:
    return ClickActions(page)


def test_a_click_beside_the_mesh_says_so_and_pairs_nothing(clicks: ClickActions) -> None:
    page = clicks.page
    clicks.click_on("points")
    centre = page.state.current.object_centre
    beside = centre + np.array([0.2, 0.0, 0.0])
    page.act(lambda: clicks.clicked(CAMERA_PLACE, beside / np.linalg.norm(beside)))
    assert "nothing was taken: beside the object's mesh. Pair 1 still begins on the mesh" in said_by(page)
    assert "That was beside the mesh" in said_by(page)
    assert page.missed == pytest.approx(60 * beside[:2] / beside[2] + [31.5, 23.5])
    assert page.asked is None
    page.act(lambda: clicks.clicked(CAMERA_PLACE, centre / np.linalg.norm(centre)))  # begins the pair
    assert (page.asked is not None, page.missed) == (True, None)
    assert "Pair 1, second click: the same point in the **picture**" in said_by(page)
    away = np.array([9.0, 0.0, 1.0])
    page.act(lambda: clicks.clicked(CAMERA_PLACE, away))
    assert "nothing was taken: beside the picture" in said_by(page)
    assert page.state.current.pairs == ()
    page.act(lambda: clicks.clicked(CAMERA_PLACE, np.array([0.05, 0.1, 1.0])))
    (pair,) = page.state.current.pairs
    np.testing.assert_allclose(pair.pixel, [34.5, 29.5])


def test_a_pair_that_does_not_fit_is_named_chosen_and_taken_back_alone(clicks: ClickActions) -> None:
    page = clicks.page
    pairs = tuple(PointPair(pair.point, pair.pixel / 10) for pair in clicked(6, wrong={2: (80, 0)}))  # of 64 px
    page.change(replace(page.state.current, pairs=pairs))
    assert "pair 3 (" in page.panel.clicked.content
    assert "does not fit the others" in page.panel.clicked.content
    assert page.panel.pair.value.startswith("3: ")
    assert page.panel.pair.value.endswith("does not fit")
    clicks.place_object()
    assert "the object is placed by its points" in said_by(page)
    assert "pair 3 (" in said_by(page)
    placed = page.state.current.pose
    clicks.take_back_chosen_pair()
    assert page.state.current.pairs == pairs[:2] + pairs[3:]
    assert "does not fit" not in page.panel.clicked.content
    page.state.undo()
    assert page.state.current.pairs == pairs
    page.state.redo()
    clicks.place_object()
    np.testing.assert_allclose(page.state.current.object_centre, placed.object_centre[0].numpy(), atol=1e-9)
    clicks.clear("points")
    with pytest.raises(UserError, match="expected a pair to take back, there is none"):
        clicks.take_back_chosen_pair()


def test_a_single_joint_is_taken_back(clicks: ClickActions) -> None:
    page = clicks.page
    clicks.click_on("joints")
    for x in (0.0, 0.1, 0.2):
        page.act(lambda x=x: clicks.clicked(CAMERA_PLACE, np.array([x, 0.0, 1.0])))
    page.panel.joint.value = "thumb_1"
    clicks.take_back_chosen_joint()
    assert [name for name, _ in page.state.current.joints_px] == ["wrist", "thumb_2"]
    with pytest.raises(UserError, match="thumb_1 was not"):
        clicks.take_back_chosen_joint()


def test_with_all_joints_known_a_click_moves_the_nearest_dot_or_the_chosen_joint(clicks: ClickActions) -> None:
    page = clicks.page
    places = {name: np.array([2.0 + 3 * number, 20.0]) for number, name in enumerate(JOINTS)}
    page.state.change(replace(page.state.current, joints_px=tuple(places.items())))
    clicks.click_on("joints")
    assert "Click where **a joint** is seen: the nearest dot moves there" in said_by(page)
    page.act(lambda: clicks.clicked(CAMERA_PLACE, ray_of(places["thumb_2"] + [0.5, 4.0])))
    page.panel.joint.value = "little_tip"
    clicks.choose_joint()
    assert "Click on **little_tip** in the picture" in said_by(page)
    page.act(lambda: clicks.clicked(CAMERA_PLACE, ray_of(places["wrist"])))
    assert "the nearest dot moves there" in said_by(page)
    moved = {name: pixel for name, pixel in page.state.current.joints_px if (pixel != places[name]).any()}
    assert moved == {
        "thumb_2": pytest.approx(places["thumb_2"] + [0.5, 4.0]),
        "little_tip": pytest.approx(places["wrist"]),
    }


def test_enter_places_the_object_or_fits_the_hand(clicks: ClickActions) -> None:
    page = clicks.page
    before = page.state.current.pose
    clicks.settle()  # nothing is clicked on
    assert page.state.current.pose is before
    clicks.click_on("points")
    with pytest.raises(UserError, match="at least 4 points"):
        clicks.settle()
    pairs = tuple(PointPair(pair.point, pair.pixel / 10) for pair in clicked(6))
    page.state.change(replace(page.state.current, pairs=pairs))
    clicks.settle()
    assert "the object is placed by its points" in said_by(page)
    assert page.clicking == "nothing"
    clicks.click_on("joints")
    with pytest.raises(UserError, match="joints"):
        clicks.settle()


def ray_of(pixel: np.ndarray) -> np.ndarray:
    """The direction in which the camera of the small recording sees a pixel."""
    return np.array([*(pixel - [31.5, 23.5]) / 60, 1.0])
