"""Outlines and masks: what it costs that they differ, what says nothing, and a depth that no colour tells."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from warpgrasp.data.recording import BACKGROUND, HAND, OBJECT, OCCLUDER, UNKNOWN
from warpgrasp.frame import ObjectModel, Pose
from warpgrasp.geometry import Camera, matrix_from_axis_angle, pixel_grid
from warpgrasp.hand import PLACEMENT_JOINT
from warpgrasp.hand.model import HandModel
from warpgrasp.hand.templates import open_hand
from warpgrasp.refinement.cues import Cues
from warpgrasp.refinement.mask_margins import margins_px, without_margins
from warpgrasp.refinement.offsets import AWAY_SHARE, no_offsets
from warpgrasp.refinement.outlines import resized_labels
from warpgrasp.refinement.refine import ALL_FRAMES, Stage, refined_offsets
from warpgrasp.refinement.silhouettes import Silhouettes
from warpgrasp.render.reference import rasterize
from warpgrasp.scene import posed_hand, posed_surface

CORNERS = torch.tensor([[0.0, 0.0, 0.0], [0.08, 0.0, 0.0], [0.0, 0.11, 0.0], [0.02, 0.03, 0.05]])
MODEL = ObjectModel.centred("wedge", CORNERS, torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]))
WIDTH, HEIGHT = 160, 120
CAMERA = Camera(torch.tensor([[180.0, 0, 79.5], [0, 180, 59.5], [0, 0, 1]]), WIDTH, HEIGHT)


def posed(*centres: Sequence[float]) -> Pose:
    """An open hand before the camera, and the wedge at each of some places beside it."""
    count = len(centres)
    upright = matrix_from_axis_angle(torch.tensor([[0.1, -0.2, 0.4]])).expand(count, 3, 3)
    turned = matrix_from_axis_angle(torch.tensor([[1.2, 0.3, 0.2]])).expand(count, 3, 3)
    wrist = torch.tensor([[-0.06, 0.0, 0.5]]).expand(count, 3)
    return Pose(upright, torch.tensor(centres), turned, wrist, torch.zeros(count, 45), torch.zeros(count, 10))


BESIDE, BEHIND = (0.11, 0.03, 0.5), (0.02, 0.0, 0.6)


def true_labels(pose: Pose, hand: HandModel) -> list[np.ndarray]:
    """What each pixel sees, by the reference rasteriser."""
    camera = Camera(CAMERA.intrinsics.expand(len(pose), 3, 3), WIDTH, HEIGHT)
    face_ids = rasterize(posed_surface(pose, hand, MODEL), camera).face_ids.numpy()
    hand_faces = len(hand.faces) + len(hand.closing_faces)
    return list(np.select([face_ids < 0, face_ids < hand_faces], [BACKGROUND, HAND], OBJECT).astype(np.uint8))


def silhouettes(labels: Sequence[np.ndarray | None], hand: HandModel, *widths_px: int) -> Silhouettes:
    return Silhouettes.of(labels, CAMERA, widths_px=widths_px or (WIDTH,), hand=hand, model=MODEL)


def cost_of(labels: Sequence[np.ndarray | None], pose: Pose, hand: HandModel) -> Tensor:
    return silhouettes(labels, hand).cost(pose, torch.arange(len(pose)), WIDTH)


@pytest.mark.parametrize("name", ["object_centre", "wrist", "object_rotation", "joint_angles"])
def test_its_slope_is_that_of_finite_differences(hand: HandModel, name: str) -> None:
    """With the points that are matched held, as the faces that pixels see are elsewhere."""
    true = posed(BESIDE, BEHIND)
    given = silhouettes(true_labels(true, hand), hand)
    off = replace(true, object_centre=true.object_centre * 1.03, wrist=true.wrist + torch.tensor([0.004, 0.006, 0.01]))
    matches = given.matched(off, torch.arange(2), WIDTH)
    direction = torch.from_numpy(np.random.default_rng(0).normal(size=off.arrays[name].shape))
    exact, exact_hand = off.to(torch.float64), HandModel(open_hand()).double()
    exact_given = replace(given, hand=exact_hand, model=replace(MODEL, vertices=MODEL.vertices.double()))

    def moved(step: Tensor) -> Tensor:
        pose = replace(exact, **{name: exact.arrays[name] + step * direction})
        return replace(matches, camera=matches.camera.to(step)).cost(exact_given.posed(pose)[0]).sum()

    step = torch.zeros((), dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(moved(step), step)
    small = 1e-5
    differences = (moved(torch.tensor(small).double()) - moved(torch.tensor(-small).double())) / (2 * small)
    assert abs(float(slope)) > 0.1
    torch.testing.assert_close(slope, differences, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("part", ["object_centre", "wrist"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_it_falls_towards_the_truth_from_either_side(hand: HandModel, part: str, axis: int) -> None:
    """Across the line of sight and along it; and so does its slope say, from one pixel on."""
    true = posed(BESIDE)
    labels = true_labels(true, hand)
    unit_m = 0.5 / 180 * (1 if axis < 2 else 8)  # a pixel, or what is about one of size
    costs = {}
    for pixels in (-4, -2, -1, 0, 1, 2, 4):
        shift = torch.zeros(1, 3)
        shift[0, axis] = pixels * unit_m
        place = (true.arrays[part] + shift).requires_grad_()
        cost = cost_of(labels, replace(true, **{part: place}), hand).sum()
        costs[pixels] = float(cost.detach())
        if abs(pixels) > 1:
            (slope,) = torch.autograd.grad(cost, place)
            assert float(slope[0, axis]) * pixels > 0
    assert costs[-4] > costs[-2] > costs[-1] > costs[0] < costs[1] < costs[2] < costs[4]
    assert costs[0] < 0.02


def with_unknown(labels: np.ndarray) -> np.ndarray:
    """Behind a bar that nobody has looked behind."""
    found = labels.copy()
    found[:, 95:110] = UNKNOWN
    return found


def with_occluder(labels: np.ndarray) -> np.ndarray:
    """Behind a bar."""
    return np.where(with_unknown(labels) == UNKNOWN, OCCLUDER, labels).astype(np.uint8)


def with_forearm(labels: np.ndarray) -> np.ndarray:
    """With an arm that goes on from the wrist to the picture's border."""
    wrist, knuckle = CAMERA.project(posed_hand(posed(BEHIND), HandModel(open_hand()))[1][0])[[0, PLACEMENT_JOINT]]
    along = torch.nn.functional.normalize(knuckle - wrist, dim=0)
    from_wrist = pixel_grid(HEIGHT, WIDTH, like=wrist) - wrist
    aside = from_wrist[..., 0] * along[1] - from_wrist[..., 1] * along[0]
    return np.where((from_wrist @ along < 1) & (aside.abs() < 9), HAND, labels).astype(np.uint8)


def without_hand(labels: np.ndarray) -> np.ndarray:
    """Of the object alone."""
    return np.where(labels == HAND, BACKGROUND, labels).astype(np.uint8)


def without_object(labels: np.ndarray) -> np.ndarray:
    return np.where(labels == OBJECT, BACKGROUND, labels).astype(np.uint8)


@pytest.mark.parametrize("change", [with_unknown, with_occluder, with_forearm, without_hand, without_object])
def test_where_a_mask_ends_by_others_it_says_nothing(
    hand: HandModel, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    """The object is half behind the hand: at the true poses such masks cost hardly more, and are no less true."""
    true = posed(BEHIND)
    (labels,) = true_labels(true, hand)
    assert (labels == OBJECT).sum() > 200
    changed = change(labels)
    assert (changed != labels).sum() > 100
    off = replace(true, object_centre=true.object_centre * 1.15, wrist=true.wrist * 0.9)
    at_truth, away = (float(cost_of([changed], pose, hand)) for pose in (true, off))
    assert at_truth < 0.06
    assert away > 0.15


def test_frames_without_masks_cost_nothing(hand: HandModel) -> None:
    poses = posed(BESIDE, BESIDE, (0.12, 0.03, 0.5))
    labels = true_labels(poses.rows(slice(0, 1)), hand)
    cost = cost_of([labels[0], None, labels[0]], poses, hand)
    assert cost[1] == 0
    assert cost[2] > cost[0]
    some = silhouettes([labels[0], None, labels[0]], hand).rows(slice(1, 3))
    assert torch.equal(some.cost(poses.rows(slice(1, 3)), torch.arange(2), WIDTH), cost[1:])


def test_a_part_outside_the_picture_costs_no_number_that_is_none(hand: HandModel) -> None:
    true, lost = posed(BESIDE), posed((3.0, 0.0, 0.5))
    far = replace(lost, wrist=lost.wrist - torch.tensor([3.0, 0, 0]))
    place = far.object_centre.requires_grad_()
    cost = cost_of(true_labels(true, hand), replace(far, object_centre=place), hand)
    assert torch.isfinite(cost).all()


def test_a_depth_that_no_colour_tells_comes_back(hand: HandModel) -> None:
    """In grey pictures, of a plain object that starts 4 % too far."""
    true = posed(BESIDE, BESIDE, BESIDE)
    grey = torch.full((3, HEIGHT, WIDTH), 128, dtype=torch.uint8)
    stages = (Stage(WIDTH, 20, 0.2), Stage(WIDTH, 15, 0.05))
    descent = replace(ALL_FRAMES, stages=stages, smooth_cost=0.0, outline_cost=1e-2)
    pictures = descent.pictures([grey] * 3, CAMERA, torch.tensor([True, False, False]))
    begun = no_offsets(3)
    with torch.no_grad():
        begun["move"][1:, 2] = 0.04 / AWAY_SHARE

    def away_share(cues: Cues) -> float:
        offsets = refined_offsets(true, pictures, begun, hand=hand, model=MODEL, descent=descent, cues=cues)
        assert offsets is not None
        return float(offsets["move"][1:, 2].abs().max()) * AWAY_SHARE

    assert away_share(Cues()) > 0.035
    given = silhouettes(true_labels(true, hand), hand, *descent.widths(WIDTH))
    assert away_share(Cues(silhouettes=given)) < 0.01


def grown(labels: np.ndarray, by_px: int) -> np.ndarray:
    """Hand and object each for itself wider or narrower; where they then overlap it is unknown."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, [2 * abs(by_px) + 1] * 2)
    change = cv2.dilate if by_px > 0 else cv2.erode
    hand, other = (change((labels == part).astype(np.uint8), kernel).astype(bool) for part in (HAND, OBJECT))
    return np.select([hand & other, hand, other], [UNKNOWN, HAND, OBJECT]).astype(np.uint8)


@pytest.mark.parametrize("by_px", [-2, -1, 0, 1, 2])
def test_labels_tell_by_how_much_masks_are_too_wide(hand: HandModel, by_px: int) -> None:
    true = posed(BESIDE, BEHIND)
    labels = true_labels(true, hand)
    wide = [grown(one, by_px) for one in labels] if by_px else labels
    margins = margins_px([(silhouettes(wide, hand), true)])
    assert margins == {HAND: by_px, OBJECT: by_px}
    for one, expected in zip(wide, labels, strict=True):
        found = without_margins(one, margins)
        known = (found != UNKNOWN) & (expected != BACKGROUND)
        assert (found == expected)[known].mean() > 0.9


def test_the_overlap_is_that_of_counted_pixels(hand: HandModel) -> None:
    true = posed(BESIDE, BESIDE, BESIDE)
    (labels,) = true_labels(true.rows(slice(0, 1)), hand)
    shifted = np.roll(labels, 5, axis=1)
    unknown = np.where(np.arange(HEIGHT)[:, None] < 70, shifted, UNKNOWN).astype(np.uint8)
    found = silhouettes([labels, unknown, None], hand).overlap(true, WIDTH)
    occluded = np.where(unknown == UNKNOWN, OCCLUDER, unknown).astype(np.uint8)
    assert torch.equal(silhouettes([occluded], hand).overlap(true.rows(slice(1, 2)), WIDTH), found[1:2])
    assert found[0].tolist() == [1, 1]
    drawn, given = (one[:70] == OBJECT for one in (labels, shifted))
    assert float(found[1, 1]) == pytest.approx((drawn & given).sum() / (drawn | given).sum())
    assert 0.3 < float(found[1, 1]) < 0.9
    assert bool(found[2].isnan().all())


def test_a_smaller_picture_shows_what_most_of_a_pixel_shows() -> None:
    labels = torch.zeros(6, 9, dtype=torch.uint8)
    labels[:3, :3], labels[3:, 3:6], labels[:, 6:] = HAND, OBJECT, UNKNOWN
    labels[0, 0] = OBJECT
    expected = torch.tensor([[HAND, BACKGROUND, UNKNOWN], [BACKGROUND, OBJECT, UNKNOWN]], dtype=torch.uint8)
    assert torch.equal(resized_labels(labels, 2, 3), expected)
