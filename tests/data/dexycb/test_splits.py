"""The four setups against a brute-force count written from the published table."""

import pytest

from warpgrasp.data.dexycb.splits import OBJECTS, PARTS, PROTOCOLS, SERIALS, SUBJECTS


def table(setup: str, subject: int, sequence: int, camera: int) -> str | None:
    """Which split a view is in: FORMATS A.3, row by row, each view asked alone."""
    if setup == "dexycb/s0":
        if sequence % 5 != 4:
            return "train"
        return "validation" if subject in (0, 1) else "evaluation"
    if setup == "dexycb/s1":
        if subject in (0, 1, 2, 3, 4, 5, 9):
            return "train"
        return "validation" if subject == 6 else "evaluation"
    if setup == "dexycb/s2":
        if camera <= 5:
            return "train"
        return "validation" if camera == 6 else "evaluation"
    if sequence // 5 not in (3, 7, 11, 15, 19):
        return "train"
    return "validation" if sequence // 5 in (3, 19) else "evaluation"


@pytest.mark.parametrize("setup", PROTOCOLS)
def test_every_view_is_in_the_split_of_the_table(setup: str) -> None:
    parts = PARTS[setup]
    every = [(s, q, c) for s in range(10) for q in range(100) for c in range(8)]
    for split in ("train", "validation", "evaluation"):
        expected = [view for view in every if table(setup, *view) == split]
        assert list(parts[split].views()) == expected  # the official order too
        assert parts[split].view_count == len(expected)


def test_sizes_of_complete_setups() -> None:
    assert [part.view_count for part in PARTS["dexycb/s0"].values()] == [6400, 320, 1280]
    assert [part.view_count for part in PARTS["dexycb/s1"].values()] == [5600, 800, 1600]
    assert [part.view_count for part in PARTS["dexycb/s2"].values()] == [6000, 1000, 1000]
    assert [part.view_count for part in PARTS["dexycb/s3"].values()] == [6000, 800, 1200]


def test_names_are_in_the_documented_order() -> None:
    assert (len(SUBJECTS), len(SERIALS), len(OBJECTS)) == (10, 8, 21)
    assert list(SUBJECTS) == sorted(SUBJECTS)
    assert list(SERIALS) == sorted(SERIALS)
    assert list(OBJECTS) == sorted(OBJECTS)
    # Class numbers that the documentation of the format names.
    assert OBJECTS[1 - 1] == "002_master_chef_can"
    assert OBJECTS[12 - 1] == "021_bleach_cleanser"
    assert OBJECTS[21 - 1] == "061_foam_brick"
