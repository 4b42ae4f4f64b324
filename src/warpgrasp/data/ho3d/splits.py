"""The protocols of HO-3D: which sequences are for training, validation and evaluation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from warpgrasp.data.dataset import Split

TRAINVAL_TRAINING_LINES = 60_000  # of train.txt; the rest is for validation (Hasson)

Lists = Literal["official", "trainval"]  # splits that the lists of the data set give, instead of names of sequences


@dataclass(frozen=True)
class SplitPlan:
    """The splits of a protocol: the sequences of each, or the lists that name its frames."""

    protocol: str  # as it is stored with results
    source: str
    splits: Lists | Mapping[Split, tuple[str, ...]]


def _numbered(prefix: str, *numbers: int) -> tuple[str, ...]:
    return tuple(f"{prefix}{number}" for number in numbers)


OBJECTS_VALIDATION = ("ABF11", "BB12", "GPMF13", "GSF14")
OBJECTS_EVALUATION = (
    *("ABF10", "MC1", "MDF14", "BB11", "GPMF12", "GSF13"),
    *("SB14", "ShSu10", "SM3", "SMu1", "SiBF11", "SS2"),
)
OBJECTS_TRAIN = (
    *_numbered("ABF", 11, 12, 13, 14),
    *_numbered("BB", 10, 12, 13, 14),
    *_numbered("GPMF", 10, 11, 13, 14),
    *_numbered("GSF", 10, 11, 12, 14),
    *_numbered("MC", 2, 4, 5, 6),
    *_numbered("MDF", 10, 11, 12, 13),
    *_numbered("SB", 10, 12),
    *_numbered("ShSu", 12, 13, 14),
    *_numbered("SiBF", 10, 12, 13, 14),
    *_numbered("SM", 2, 4, 5),
    *_numbered("SMu", 40, 41, 42),
    *_numbered("SS", 1, 3),
)
# Appendix B lists twelve names, SM2 and MC5 twice; three are of the sugar box, although the text says mustard and
# cracker only (docs/paper.md).
APPENDIX_B_TRAIN = ("SM2", "SM3", "SM4", "SM5", "MC5", "MC6", "SS1", "SS2", "SS3", "MC1")
LIKE_V1_TRAIN = ("SM5", "MC6", "MC4", "SM3", "SM4", "SS3", "SS2", "SM2", "SS1", "MC5", "MC1")

_PLANS = (
    SplitPlan("ho3d/official", "train.txt and evaluation.txt as released", "official"),
    SplitPlan(
        "ho3d/trainval",
        f"the first {TRAINVAL_TRAINING_LINES:,} lines of train.txt, the rest for validation; evaluation.txt",
        "trainval",
    ),
    SplitPlan(
        "ho3d/objects",
        "handobjectconsist's split by objects; its training sequences hold those for validation, by design",
        {"train": OBJECTS_TRAIN, "validation": OBJECTS_VALIDATION, "evaluation": OBJECTS_EVALUATION},
    ),
    SplitPlan(
        "ho3d/objects-trainval",
        "the same without the sequences for validation among those for training",
        {
            "train": tuple(sequence for sequence in OBJECTS_TRAIN if sequence not in OBJECTS_VALIDATION),
            "validation": OBJECTS_VALIDATION,
            "evaluation": OBJECTS_EVALUATION,
        },
    ),
    SplitPlan(
        "ho3d/paper-appendix-b",
        "the paper's Appendix B: 10 distinct sequences, tests SM1 and MC2",
        {"train": APPENDIX_B_TRAIN, "validation": (), "evaluation": ("SM1", "MC2")},
    ),
    SplitPlan(
        "ho3d/paper-appendix-b-mc2",
        "the same, test MC2 alone (the paper's comparison with HO-3D's authors)",
        {"train": APPENDIX_B_TRAIN, "validation": (), "evaluation": ("MC2",)},
    ),
    SplitPlan(
        "ho3d/like-v1",
        "handobjectconsist's `--version 1`: 11 sequences, test MC2",
        {"train": LIKE_V1_TRAIN, "validation": (), "evaluation": ("MC2",)},
    ),
)
PLANS = {plan.protocol: plan for plan in _PLANS}
PROTOCOLS = tuple(PLANS)

# Frames of train.txt and evaluation.txt, by the ending of the pictures (v2: png, v3: jpg); HO-3D's evaluation script.
RELEASED_FRAMES: dict[str, dict[Split, int]] = {
    "v2": {"train": 66_034, "evaluation": 11_524},
    "v3": {"train": 78_297, "evaluation": 20_137},
}
