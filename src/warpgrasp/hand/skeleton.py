"""Joint names. Every permutation between joint orders is derived from two lists of names."""

from collections.abc import Sequence

FINGERS = ("thumb", "index", "middle", "ring", "little")

# The order used everywhere inside: wrist, then each finger from its base to its tip.
JOINTS = ("wrist", *(f"{finger}_{part}" for finger in FINGERS for part in ("1", "2", "3", "tip")))

# The 16 articulated joints of a MANO file, and the 21 of HO-3D's files: the same, then the tips.
MANO_JOINTS = (
    "wrist",
    *(f"{finger}_{part}" for finger in ("index", "middle", "little", "ring", "thumb") for part in "123"),
)
FINGERTIPS = tuple(f"{finger}_tip" for finger in FINGERS)
HO3D_JOINTS = (*MANO_JOINTS, *FINGERTIPS)

PLACEMENT_JOINT = JOINTS.index("middle_1")  # the hand is placed by the base of its middle finger

# The segments of a drawn skeleton, as pairs of positions in JOINTS.
BONES = tuple(
    (0 if part == 0 else 1 + 4 * finger + part - 1, 1 + 4 * finger + part) for finger in range(5) for part in range(4)
)


def permutation(destination: Sequence[str], *, from_: Sequence[str]) -> list[int]:
    """Positions in `from_` of the names of `destination`: `source[permutation(a, from_=b)]` is in order `a`.

    Raises `ValueError` when a name of `destination` is not in `from_`.
    """
    missing = [name for name in destination if name not in from_]
    if missing:
        raise ValueError(f"expected every joint of the destination in the source, missing {', '.join(missing)}")
    return [list(from_).index(name) for name in destination]
