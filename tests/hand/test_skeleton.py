import pytest

from warpgrasp.hand.model import FINGERTIPS, HO3D_JOINTS, JOINTS, MANO_JOINTS, PLACEMENT_JOINT, permutation


def test_orders_hold_the_same_21_names():
    assert len(JOINTS) == len(set(JOINTS)) == 21
    assert sorted(JOINTS) == sorted(HO3D_JOINTS)
    assert (*MANO_JOINTS, *FINGERTIPS) == HO3D_JOINTS
    assert len(MANO_JOINTS) == 16


def test_the_internal_order_is_wrist_then_fingers_from_base_to_tip():
    assert JOINTS[:5] == ("wrist", "thumb_1", "thumb_2", "thumb_3", "thumb_tip")
    assert [JOINTS[1 + 4 * finger] for finger in range(5)] == ["thumb_1", "index_1", "middle_1", "ring_1", "little_1"]


def test_manos_order_puts_the_little_finger_before_the_ring():
    assert MANO_JOINTS[::3] == ("wrist", "index_3", "middle_3", "little_3", "ring_3", "thumb_3")


def test_placement_is_by_the_base_of_the_middle_finger():
    assert JOINTS[PLACEMENT_JOINT] == "middle_1"


def test_permutations_invert_each_other():
    there, back = permutation(JOINTS, from_=HO3D_JOINTS), permutation(HO3D_JOINTS, from_=JOINTS)
    assert [there[index] for index in back] == list(range(21))


def test_permutation_of_an_unknown_name_names_it():
    with pytest.raises(ValueError, match="missing sixth_tip"):
        permutation(("wrist", "sixth_tip"), from_=JOINTS)
