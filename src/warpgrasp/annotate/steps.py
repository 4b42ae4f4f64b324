"""Hand or object moved by keys, in small steps along and about the camera's axes.

viser keeps W, A, S, D, Q, E and the arrows for the view, whatever else is held, and every other letter has its meaning:
so steps are a mode, in which some letters mean steps, as clicking is.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from warpgrasp.annotate.edited_frame import Part
from warpgrasp.annotate.page import AnnotatePage

SHIFT_M, TURN_DEG = 0.002, 2.0
FINE = 0.25  # of a step, with Shift


@dataclass(frozen=True)
class Step:
    """What a key does."""

    says: str
    kind: Literal["shift", "turn"]
    along: tuple[int, int, int]  # along or about these axes of the camera: right, down, forward

    @property
    def axis(self) -> Float[np.ndarray, " 3"]:
        """The direction, or the axis of the turn."""
        return np.array(self.along, dtype=np.float64)


STEPS = {
    "J": Step("left", "shift", (-1, 0, 0)),
    "L": Step("right", "shift", (1, 0, 0)),
    "I": Step("up", "shift", (0, -1, 0)),
    "K": Step("down", "shift", (0, 1, 0)),
    # The side that is seen goes there.
    "F": Step("turn left", "turn", (0, 1, 0)),
    "H": Step("turn right", "turn", (0, -1, 0)),
    "R": Step("turn up", "turn", (-1, 0, 0)),
    "V": Step("turn down", "turn", (1, 0, 0)),
    "N": Step("turn counterclockwise", "turn", (0, 0, -1)),
    "M": Step("turn clockwise", "turn", (0, 0, 1)),
}


class StepActions:
    """The actions on one page, all of them short."""

    def __init__(self, page: AnnotatePage):
        self.page = page

    def begin(self, part: Part) -> None:
        """Let the keys of `STEPS` move a part, until clicking or moving by handles begins or Escape is pressed."""
        page = self.page
        page.state.require_writable()
        page.moved, page.clicking = part, "nothing"
        page.await_nothing()
        page.stepping = True
        page.show()

    def step(self, key: str, *, fine: bool) -> None:
        """Move the part by one step."""
        page, part, step = self.page, self.page.moved, STEPS[key]
        if part == "nothing":
            return
        current, size = page.state.current, FINE if fine else 1.0
        rotation, place = current.placed(part)
        if step.kind == "shift":
            place = place + size * SHIFT_M * step.axis
        else:
            rotation = Rotation.from_rotvec(np.radians(size * TURN_DEG) * step.axis).as_matrix() @ rotation
        page.change(current.carried(part, rotation, place, coupled=page.coupled), by=f"{part} steps")
