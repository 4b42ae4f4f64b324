"""The package's types and shapes are checked at every call, also where the check is the cheap one."""

from collections.abc import Callable

import numpy as np
import pytest
from beartype import beartype
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import Float, TypeCheckError

from tests.type_checks import checked, names_axes
from warpgrasp.geometry.solid import Surface
from warpgrasp.registry import Registry

Vector = Float[np.ndarray, " n"]


def test_the_package_is_checked() -> None:
    with pytest.raises(BeartypeCallHintViolation):
        Registry("data set", 3, {})
    with pytest.raises(TypeCheckError):
        Surface(np.zeros((4, 2)), np.zeros((1, 3), dtype=np.int64))


def test_a_wrong_type_is_refused_going_in_and_coming_out() -> None:
    @checked(typechecker=beartype)
    def doubled(number: int) -> int:
        return 2.0 if number == 1 else 2 * number

    assert doubled(3) == 6
    for number in ("3", 1):
        with pytest.raises(BeartypeCallHintViolation):
            doubled(number)


def test_axes_of_one_name_are_of_one_length() -> None:
    @checked(typechecker=beartype)
    def added(one: Vector, other: Vector | None) -> Vector:
        return one if other is None else one + other[:1]

    assert added(np.ones(3), np.ones(3)).tolist() == [2, 2, 2]
    with pytest.raises(TypeCheckError):
        added(np.ones(3), np.ones(2))


@pytest.mark.parametrize(
    ("annotation", "named"),
    [
        (int, False),
        (dict[str, tuple[int, ...] | None], False),
        (Callable[[int], str], False),
        (np.ndarray, False),
        (Vector, True),
        (Vector | None, True),
        (dict[str, list[Vector]], True),
        (Callable[[Vector], int], True),
        ("Vector", True),
    ],
)
def test_axes_are_found_at_any_depth(annotation: object, named: bool) -> None:
    assert names_axes(annotation) is named
