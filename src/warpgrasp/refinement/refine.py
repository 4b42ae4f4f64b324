"""A trajectory moved until its surfaces have the colours that labelled frames show on them, all frames together.

The photometric term of the paper (Eq. 1, in both directions, half of it on local contrast), not over the weights of a
network but over the poses themselves; and motion that is smooth. Coarse pictures come first, in which far is near.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from warpgrasp.frame import FramePair, ObjectModel, colours
from warpgrasp.geometry import Camera, Mesh, join, matrix_from_axis_angle
from warpgrasp.hand import HandModel
from warpgrasp.photometric import PhotometricConsistency, appearance, photometric_consistency
from warpgrasp.refinement.trajectory import Trajectory

CONTRAST_SHARE = 0.5
# What one unit of an offset is: Adam moves all of them alike.
TURN_RAD, MOVE_M, BEND_RAD = 0.02, 0.004, 0.03
SMOOTH_COST = 3e-3  # of a change of velocity by one unit from frame to frame
BEND_COST, BENT_RAD = 5e-3, 0.15  # colours say little of single joints: a bend of so much in all of them costs so much
AT_ONCE = 32  # pairs


@dataclass(frozen=True)
class Stage:
    """A part of the descent: at which width, how many steps, at which rate of Adam."""

    width_px: int
    steps: int
    rate: float


STAGES = (Stage(80, 80, 0.4), Stage(160, 80, 0.2), Stage(320, 40, 0.08))


@dataclass(frozen=True)
class Shots:
    """The pictures of consecutive frames, and which of them are labelled."""

    pictures: UInt8[Tensor, "n 3 h w"]
    camera: Camera  # of one picture
    labelled: Bool[Tensor, " n"]

    def nearest_label(self) -> Int[Tensor, " n"]:
        """For each frame the position of its nearest label; of two as near the earlier."""
        known = torch.nonzero(self.labelled)[:, 0]
        apart = (torch.arange(len(self.labelled))[:, None] - known).abs()
        return known[apart.argmin(dim=1)]


@dataclass(frozen=True)
class Agreement:
    """How well a frame's surfaces agree with its nearest label's: Eq. 1 in both directions."""

    difference: Float[Tensor, " n"]  # mean absolute difference of what is compared; NaN where nothing was
    compared_share: Float[Tensor, " n"]  # of the surface that the label shows


def refine(
    start: Trajectory,
    shots: Shots,
    *,
    hand: HandModel,
    model: ObjectModel,
    stages: Sequence[Stage],
    on_step: Callable[[], None] = lambda: None,
) -> Trajectory:
    """Refine all frames but the labelled ones, which stay as they are and which the others are compared with."""
    sizes = {"turn": 3, "move": 3, "hand_turn": 3, "hand_move": 3, "bend": 45}
    offsets = {name: torch.zeros(len(start), size, requires_grad=True) for name, size in sizes.items()}
    free = torch.nonzero(~shots.labelled)[:, 0]
    if not len(free):
        return start
    fitting = [stage for stage in stages if stage.width_px <= shots.camera.width]
    for stage in fitting or [replace(stages[0], width_px=shots.camera.width)]:
        scale = _Scale.of(start, shots, stage.width_px, hand=hand, model=model)
        optimiser = torch.optim.Adam(list(offsets.values()), lr=stage.rate)
        for _ in range(stage.steps):
            optimiser.zero_grad()
            for few in free.split(AT_ONCE):
                moved = _moved(start.rows(few), {name: value[few] for name, value in offsets.items()})
                (scale.compare(moved, few)[0].sum() + _bend_cost(offsets["bend"][few])).backward()
            _smooth_cost(_moved(start, offsets)).backward()
            for value in offsets.values():
                assert value.grad is not None
                value.grad[shots.labelled] = 0
            optimiser.step()
            on_step()
    with torch.no_grad():
        return _moved(start, offsets)


@torch.no_grad()
def agreement(found: Trajectory, shots: Shots, *, hand: HandModel, model: ObjectModel, width_px: int) -> Agreement:
    """Compare every frame with its nearest label; a label agrees with itself."""
    scale = _Scale.of(found, shots, min(width_px, shots.camera.width), hand=hand, model=model)
    parts = [scale.compare(found.rows(few), few) for few in torch.arange(len(found)).split(AT_ONCE)]
    difference, share = (torch.cat(values) for values in zip(*parts, strict=True))
    return Agreement(torch.where(share > 0, difference, torch.nan), share)


@dataclass(frozen=True)
class _Scale:
    """Pictures at one width as they are compared, and the labelled surfaces."""

    images: Float[Tensor, "n c h w"]
    camera: Camera
    labels: Mesh  # of every frame's nearest label
    nearest: Int[Tensor, " n"]
    hand: HandModel
    model: ObjectModel

    @staticmethod
    @torch.no_grad()
    def of(start: Trajectory, shots: Shots, width_px: int, *, hand: HandModel, model: ObjectModel) -> "_Scale":
        full = shots.camera
        camera = full.resized(width_px, max(1, round(full.height * width_px / full.width)))
        size = [camera.height, camera.width]
        images = [
            appearance(
                F.interpolate(colours(few), size=size, mode="bilinear", antialias=True), contrast_share=CONTRAST_SHARE
            )
            for few in shots.pictures.split(AT_ONCE)
        ]
        nearest = shots.nearest_label()
        return _Scale(torch.cat(images), camera, _surface(start.rows(nearest), hand, model), nearest, hand, model)

    def compare(self, moved: Trajectory, rows: Int[Tensor, " m"]) -> tuple[Float[Tensor, " m"], Float[Tensor, " m"]]:
        """Eq. 1 between these frames and their labels, and the share that was compared: means over both directions."""
        camera = Camera(self.camera.intrinsics.expand(len(rows), 3, 3), self.camera.width, self.camera.height)
        known = Mesh(self.labels.vertices[rows], self.labels.faces[rows], self.labels.auxiliary_faces[rows])
        target = known.with_vertices(_surface(moved, self.hand, self.model).vertices)
        pair = FramePair(self.images[rows], camera, self.images[self.nearest[rows]], camera, known)
        there: PhotometricConsistency = photometric_consistency(pair, target)
        back = photometric_consistency(pair.reversed(target), known)
        return (there.loss + back.loss) / 2, (there.compared_share + back.compared_share) / 2


def _surface(one: Trajectory, hand: HandModel, model: ObjectModel) -> Mesh:
    vertices, _ = one.hand(hand)
    return join(hand.closed_mesh(vertices), Mesh.of(one.object(model), model.faces))


def _moved(start: Trajectory, offsets: dict[str, Tensor]) -> Trajectory:
    return Trajectory(
        matrix_from_axis_angle(TURN_RAD * offsets["turn"]) @ start.object_rotation,
        start.object_centre + MOVE_M * offsets["move"],
        matrix_from_axis_angle(TURN_RAD * offsets["hand_turn"]) @ start.hand_rotation,
        start.wrist + MOVE_M * offsets["hand_move"],
        start.angles + BEND_RAD * offsets["bend"],
        start.shape,
    )


def _bend_cost(bend: Float[Tensor, "m 45"]) -> Float[Tensor, ""]:
    return BEND_COST * (BEND_RAD * bend / BENT_RAD).square().mean(dim=1).sum()


def _smooth_cost(moved: Trajectory) -> Float[Tensor, ""]:
    """Squared second differences over time, each part in units of its offsets."""

    def changes(values: Tensor, unit: float, share: float = 1.0) -> Tensor:
        flat = values.flatten(1)
        return share * ((flat[2:] - 2 * flat[1:-1] + flat[:-2]) / unit).square().sum()

    return SMOOTH_COST * (
        changes(moved.object_centre, MOVE_M)
        + changes(moved.wrist, MOVE_M)
        # A small turn shows twice in the nine numbers of its matrix.
        + changes(moved.object_rotation, TURN_RAD, 1 / 2)
        + changes(moved.hand_rotation, TURN_RAD, 1 / 2)
        + changes(moved.angles, BEND_RAD, 1 / 15)
    )
