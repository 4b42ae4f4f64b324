"""Hand and object of a frame, moved until their surfaces have the colours that an annotated frame shows on them.

The photometric term of the paper (Eq. 1), from the annotated frame to this one, over the poses themselves: coarse
pictures first, in which far is near. A start that is off by more than some hundredths of the picture's width is not
brought home: place hand and object by eye, or by clicks, before.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from warpgrasp.annotate.poses import FrameState
from warpgrasp.errors import UserError
from warpgrasp.frame import Annotation, FramePair, ObjectModel, colours, pose_points
from warpgrasp.geometry import Camera, Mesh, axis_angle_from_matrix, join, matrix_from_axis_angle
from warpgrasp.hand import HandModel
from warpgrasp.photometric import PhotometricConsistency, photometric_consistency
from warpgrasp.render import Fragments, rasterize

WIDTHS_PX = (160, 320, 640)
STEPS = 60  # at each width
RATES = (0.3, 0.15, 0.08)  # of Adam, in the units below
TURN_RAD, MOVE_M, BEND_RAD = 0.02, 0.004, 0.03
# Colours say little of single joints, and of depth: bends of 0.15 rad in every joint, and moves by 2 cm, cost this much
# mean colour difference.
BEND_COST, BENT_RAD = 0.005, 0.15
MOVE_COST, MOVED_M = 0.003, 0.02
SMALLEST_SHARE = 0.7  # of the pixels compared at the start: fewer would be a way to hide instead of to fit


@dataclass(frozen=True)
class View:
    """A picture and what is known of hand and object in it."""

    picture: UInt8[np.ndarray, "h w 3"]
    annotation: Annotation


@dataclass(frozen=True)
class Refinement:
    """The refined frame, and the mean colour difference (of 1) before and after, at the finest width."""

    state: FrameState
    before: float
    after: float
    compared_share: float  # of the annotated frame's surface that was compared


def refine(
    state: FrameState, here: View, reference: View, *, camera: Camera, model: ObjectModel, hand: HandModel
) -> Refinement:
    """Refine a frame whose poses are `state` (and `here`'s annotation) by an annotated frame of the same camera.

    Raises `UserError` when too little of the annotated surface is seen, or when the colours do not become more alike.
    """
    problem = _Problem(state, here.annotation, model, hand)
    offsets = torch.zeros(12 + 45, requires_grad=True)
    widths = [width for width in WIDTHS_PX if width <= camera.width] or [camera.width]
    scales = [_Scale.of(here, reference, camera, width=width, model=model, hand=hand) for width in widths]
    start = scales[-1].compare(problem.surface(torch.zeros(len(offsets))))
    if not start.enough.all():
        raise UserError(
            "expected hand and object to show some of the surface that the nearest label shows, found nearly nothing "
            "to compare; annotate by hand, or label a frame nearer to this one first"
        )
    for scale, rate in zip(scales, RATES, strict=False):
        _descend(problem, scale, offsets, rate)
    with torch.no_grad():
        end = scales[-1].compare(problem.surface(offsets))
    before, after = float(start.loss), float(end.loss)
    if not after < before or not float(end.compared_share) > SMALLEST_SHARE * float(start.compared_share):
        raise UserError(
            f"expected poses nearby whose colours are more like the nearest label's, found none (difference "
            f"{before:.3f}, then {after:.3f}); nothing was changed"
        )
    return Refinement(problem.state(offsets.detach()), before, after, float(end.compared_share))


def _descend(problem: "_Problem", scale: "_Scale", offsets: Float[Tensor, " 57"], rate: float) -> None:
    """Adam; the offsets of the least cost are kept."""
    optimiser = torch.optim.Adam([offsets], lr=rate)
    best, least, share = offsets.detach().clone(), float("inf"), None
    for _ in range(STEPS):
        optimiser.zero_grad()
        compared = scale.compare(problem.surface(offsets))
        share = float(compared.compared_share) if share is None else share
        cost = compared.loss.sum() + problem.cost(offsets)
        if float(compared.compared_share) > SMALLEST_SHARE * share and cost.item() < least:
            best, least = offsets.detach().clone(), cost.item()
        cost.backward()
        optimiser.step()
    with torch.no_grad():
        offsets.copy_(best)


@dataclass(frozen=True)
class _Scale:
    """Both pictures at one width, and the annotated surface as its camera sees it."""

    pair: FramePair
    seen: Fragments

    @staticmethod
    def of(here: View, reference: View, camera: Camera, *, width: int, model: ObjectModel, hand: HandModel) -> "_Scale":
        small = camera.resized(width, max(1, round(camera.height * width / camera.width)))
        batched = Camera(small.intrinsics[None], small.width, small.height)
        known = reference.annotation
        thing = pose_points(known.object_rotation, known.object_translation, model.vertices)
        surface = join(hand.closed_mesh(known.hand_vertices[None]), Mesh.of(thing[None], model.faces))
        images = [_resized(view.picture, small) for view in (here, reference)]
        pair = FramePair(images[0], batched, images[1], batched, surface)
        return _Scale(pair, Fragments.of(rasterize(surface, batched)))

    def compare(self, surface: Float[Tensor, "1 v 3"]) -> PhotometricConsistency:
        """The photometric term of hand and object at these vertices."""
        return photometric_consistency(self.pair, self.pair.reference_surface.with_vertices(surface), seen=self.seen)


def _resized(picture: UInt8[np.ndarray, "h w 3"], camera: Camera) -> Float[Tensor, "1 3 sh sw"]:
    image = colours(torch.from_numpy(picture).permute(2, 0, 1))[None]
    return F.interpolate(image, size=[camera.height, camera.width], mode="bilinear", antialias=True)


class _Problem:
    """The poses as functions of offsets: of the object's turn and place, the hand's, and its joints' angles."""

    def __init__(self, state: FrameState, annotation: Annotation, model: ObjectModel, hand: HandModel):
        self._state, self._annotation, self._model, self._hand = state, annotation, model, hand
        self._shape = torch.from_numpy(state.hand.shape).float()[None]
        self._joints = torch.from_numpy(state.hand.joints).float()[None]
        self._turn = matrix_from_axis_angle(torch.from_numpy(state.hand.rotation).float())
        self._wrist = torch.from_numpy(state.hand.wrist).float()

    def surface(self, offsets: Float[Tensor, " 57"]) -> Float[Tensor, "1 v 3"]:
        """Vertices of hand and object."""
        turn, move, hand_turn, hand_move, bend = offsets.split([3, 3, 3, 3, 45])
        rotation = matrix_from_axis_angle(TURN_RAD * turn) @ self._annotation.object_rotation
        thing = pose_points(rotation, self._annotation.object_translation + MOVE_M * move, self._model.vertices)
        posed = self._hand(torch.zeros(1, 3), self._joints + BEND_RAD * bend, self._shape)
        about_wrist = posed.vertices[0] - posed.joints[0, :1]
        hand = pose_points(
            matrix_from_axis_angle(TURN_RAD * hand_turn) @ self._turn, self._wrist + MOVE_M * hand_move, about_wrist
        )
        return torch.cat([hand, thing])[None]

    def cost(self, offsets: Float[Tensor, " 57"]) -> Tensor:
        """What leaving the start costs."""
        bent = (BEND_RAD * offsets[12:] / BENT_RAD).square().mean()
        moved = (MOVE_M * torch.cat([offsets[3:6], offsets[9:12]]) / MOVED_M).square().sum() / 2
        return BEND_COST * bent + MOVE_COST * moved

    def state(self, offsets: Float[Tensor, " 57"]) -> FrameState:
        """The frame at these offsets."""
        turn, move, hand_turn, hand_move, bend = offsets.double().split([3, 3, 3, 3, 45])
        before = self._state

        def turned(by: Tensor, rotation: Float[np.ndarray, " 3"]) -> Float[np.ndarray, " 3"]:
            start = matrix_from_axis_angle(torch.from_numpy(rotation))
            return axis_angle_from_matrix(matrix_from_axis_angle(TURN_RAD * by) @ start).numpy()

        thing = before.object
        moved = before.with_object(rotation=turned(turn, thing.rotation), centre=thing.centre + MOVE_M * move.numpy())
        hand = before.hand
        return moved.with_hand(
            rotation=turned(hand_turn, hand.rotation),
            wrist=hand.wrist + MOVE_M * hand_move.numpy(),
            joints=hand.joints + BEND_RAD * bend.numpy(),
        )
