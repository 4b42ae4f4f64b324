"""The names in DexYCB, and its four setups: the sequences and cameras of each split."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from warpgrasp.data.dataset import Split

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
