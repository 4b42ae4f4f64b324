"""The names in DexYCB, its four setups (the sequences and cameras of each split), and whose hands are read.

In MANO's own left-hand file the shape directions are wrong along x: they are those of the right hand, where they should
be its mirror image (smplx, issue 48). A hand with shape parameters other than 0 is therefore another one on the left
than on the right. DexYCB was annotated with that file (dex-ycb-toolkit, issue 28), so there are two ways to read it:

`as-labelled`: the hand that the annotators fitted to the pictures, with the wrong directions. Its surface and joints
    are those of the labels. Mirrored, it is a right hand whose shape the right model can only approximate: the x parts
    of its shape directions have the opposite sign.
`corrected`: the mirrored hand is the right model with the labels' pose and shape parameters. It lies in the right
    model's space, but it is not the hand that was fitted: it leaves the labels' joints, the more the larger the betas.

The right hand's file tells which sign the user's file has, so a file that was corrected already reads the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

import numpy as np

from warpgrasp.data.dataset import Split
from warpgrasp.errors import DataError
from warpgrasp.hand import HandModel, HandTemplate

SUBJECTS = (
    "20200709-subject-01",
    "20200813-subject-02",
    "20200820-subject-03",
    "20200903-subject-04",
    "20200908-subject-05",
    "20200918-subject-06",
    "20200928-subject-07",
    "20201002-subject-08",
    "20201015-subject-09",
    "20201022-subject-10",
)
SERIALS = (
    "836212060125",
    "839512060362",
    "840412060917",
    "841412060263",
    "932122060857",
    "932122060861",
    "932122061900",
    "932122062010",
)
# Class k of the files (`ycb_ids`) is OBJECTS[k - 1].
OBJECTS = (
    "002_master_chef_can",
    "003_cracker_box",
    "004_sugar_box",
    "005_tomato_soup_can",
    "006_mustard_bottle",
    "007_tuna_fish_can",
    "008_pudding_box",
    "009_gelatin_box",
    "010_potted_meat_can",
    "011_banana",
    "019_pitcher_base",
    "021_bleach_cleanser",
    "024_bowl",
    "025_mug",
    "035_power_drill",
    "036_wood_block",
    "037_scissors",
    "040_large_marker",
    "051_large_clamp",
    "052_extra_large_clamp",
    "061_foam_brick",
)
SEQUENCES_PER_SUBJECT = 100

S0_TRAIN_FRAMES = 465_504  # both hands; the one size that the data set's own tools print


@dataclass(frozen=True)
class Part:
    """A split of a setup: positions in SUBJECTS, in the sorted sequences of a subject, and in SERIALS."""

    subjects: tuple[int, ...]
    sequences: tuple[int, ...]
    serials: tuple[int, ...]

    @property
    def view_count(self) -> int:
        """How many (subject, sequence, camera) views there are in a complete data set."""
        return len(self.subjects) * len(self.sequences) * len(self.serials)

    def views(self) -> Iterator[tuple[int, int, int]]:
        """Every (subject, sequence, serial), in the official order: the camera changes fastest."""
        return product(self.subjects, self.sequences, self.serials)


EVERY_SUBJECT, EVERY_SERIAL = tuple(range(len(SUBJECTS))), tuple(range(len(SERIALS)))
EVERY_SEQUENCE = tuple(range(SEQUENCES_PER_SUBJECT))
# A subject grasps the same object in five sequences running, one after another of the 20 objects.
FIFTH = tuple(i for i in EVERY_SEQUENCE if i % 5 == 4)
OTHERS = tuple(i for i in EVERY_SEQUENCE if i % 5 != 4)
UNSEEN_OBJECTS = {"validation": (3, 19), "evaluation": (7, 11, 15)}  # of the 20, in setup s3


def _grasping(objects: tuple[int, ...]) -> tuple[int, ...]:
    """The sequences that grasp some of the 20 objects."""
    return tuple(i for i in EVERY_SEQUENCE if i // 5 in objects)


SEEN_OBJECTS = tuple(i for i in range(20) if i not in (*UNSEEN_OBJECTS["validation"], *UNSEEN_OBJECTS["evaluation"]))

# The splits of each setup (Chao et al. 2021, Sec. 4.1).
PARTS: dict[str, dict[Split, Part]] = {
    "dexycb/s0": {  # everything is seen in training
        "train": Part(EVERY_SUBJECT, OTHERS, EVERY_SERIAL),
        "validation": Part((0, 1), FIFTH, EVERY_SERIAL),
        "evaluation": Part((2, 3, 4, 5, 6, 7, 8, 9), FIFTH, EVERY_SERIAL),
    },
    "dexycb/s1": {  # unseen subjects
        "train": Part((0, 1, 2, 3, 4, 5, 9), EVERY_SEQUENCE, EVERY_SERIAL),
        "validation": Part((6,), EVERY_SEQUENCE, EVERY_SERIAL),
        "evaluation": Part((7, 8), EVERY_SEQUENCE, EVERY_SERIAL),
    },
    "dexycb/s2": {  # unseen views
        "train": Part(EVERY_SUBJECT, EVERY_SEQUENCE, (0, 1, 2, 3, 4, 5)),
        "validation": Part(EVERY_SUBJECT, EVERY_SEQUENCE, (6,)),
        "evaluation": Part(EVERY_SUBJECT, EVERY_SEQUENCE, (7,)),
    },
    "dexycb/s3": {  # unseen grasped objects
        "train": Part(EVERY_SUBJECT, _grasping(SEEN_OBJECTS), EVERY_SERIAL),
        "validation": Part(EVERY_SUBJECT, _grasping(UNSEEN_OBJECTS["validation"]), EVERY_SERIAL),
        "evaluation": Part(EVERY_SUBJECT, _grasping(UNSEEN_OBJECTS["evaluation"]), EVERY_SERIAL),
    },
}
PROTOCOLS = tuple(PARTS)


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
