"""Which hands are read, and what became of the left hand's shape in DexYCB's labels.

In MANO's own left-hand file the shape directions are wrong along x: they are those of the right hand, where they should
be its mirror image (smplx, issue 48). A hand with shape parameters other than 0 is therefore another one on the left
than on the right. DexYCB was annotated with that file (dex-ycb-toolkit, issue 28), so there are two ways to read it:

`as-labelled`: the hand that the annotators fitted to the pictures, with the wrong directions. Its surface and joints
    are those of the labels. Mirrored, it is a right hand whose shape the right model can only approximate: the x parts
    of its shape directions have the opposite sign.
`corrected`: the mirrored hand is the right model with the labels' pose and shape parameters. It lies in the right
    model's space, but it is not the hand that was fitted: it leaves the labels' joints, the more the larger the betas.

Which sign the user's file has is seen from the right hand's, so a file that was corrected already reads the same.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from warpgrasp.data.errors import DataError
from warpgrasp.hand import HandModel, HandTemplate

SideChoice = Literal["right", "left", "both"]
LeftShapedirs = Literal["as-labelled", "corrected"]


@dataclass(frozen=True)
class Sides:
    """Which hands are read; `left_hand` is needed for all but the right ones."""

    choice: SideChoice = "right"
    left_hand: HandModel | None = None
    left_shapedirs: LeftShapedirs = "as-labelled"

    @property
    def are_usual(self) -> bool:
        """Whether nothing but what every layout offers is asked for: right hands."""
        return self.choice == "right" and self.left_shapedirs == "as-labelled"

    def __str__(self) -> str:
        return self.choice if self.choice == "right" else f"{self.choice} {self.left_shapedirs}"


RIGHT_HANDS = Sides()


@dataclass(frozen=True)
class LeftHands:
    """The left hand that labels were made with, and the one that is shown."""

    labelled: HandModel
    shown: HandModel

    @staticmethod
    def of(sides: Sides, right: HandTemplate) -> "LeftHands | None":
        """The left hands beside a right one, or None where only right hands are read.

        Raises `DataError` when there is no left one, or they do not belong together.
        """
        if sides.choice == "right":
            return None
        if sides.left_hand is None:
            raise DataError(f"expected a left hand model beside {right.name} to read {sides.choice} hands, got none")
        left = sides.left_hand.template
        if left.shape_directions.shape != right.shape_directions.shape or left.faces.shape != right.faces.shape:
            raise DataError(
                f"expected a left hand model that mirrors the right one, found {left.name} with "
                f"{len(left.vertices)} vertices and {right.name} with {len(right.vertices)}"
            )
        labelled = HandModel(with_x_sign(left, right, 1))
        shown = labelled if sides.left_shapedirs == "as-labelled" else HandModel(with_x_sign(left, right, -1))
        return LeftHands(labelled, shown)


def with_x_sign(left: HandTemplate, right: HandTemplate, sign: Literal[1, -1]) -> HandTemplate:
    """The left hand whose shape directions along x are those of the right hand (1), or their mirror image (-1)."""
    same = float(np.sum(left.shape_directions[:, 0] * right.shape_directions[:, 0]))
    if same * sign > 0:
        return left
    directions = left.shape_directions * np.array([-1.0, 1.0, 1.0])[:, None]
    return replace(left, shape_directions=directions)
