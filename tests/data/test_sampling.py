"""Which frames are annotated, and what each other frame is compared with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warpgrasp.data.frames import Labels, Share, choose_labels
from warpgrasp.errors import DataError
from warpgrasp.frame import FrameName


def test_the_paper_counts_from_the_first_frame() -> None:
    labels = choose_labels({"a": range(10), "b": range(100, 107)}, fraction=1 / 4, sampling="paper")
    assert labels.annotated == {"a": (0, 4, 8), "b": (100, 104)}
    assert labels.unannotated["b"] == (101, 102, 103, 105, 106)
    assert labels.effective_fraction == 5 / 17


def test_shares_by_hand() -> None:
    labels = choose_labels({"a": range(10), "b": range(7), "c": range(0)}, fraction=1 / 4, sampling="paper")
    assert labels.shares == {"a": Share(3, 10), "b": Share(2, 7), "c": Share(0, 0)}
    assert labels.share == Share(5, 17)
    assert [one.fraction for one in labels.shares.values()] == [0.3, 2 / 7, 0]


def test_the_released_code_adds_the_last_frame() -> None:
    labels = choose_labels({"a": range(10)}, fraction=1 / 4, sampling="released")
    assert labels.annotated == {"a": (0, 4, 8, 9)}


def test_effective_fraction_by_hand() -> None:
    # 0.625 % is one frame in 160: of 84 frames the first, and as released the last: 2 of 84 = 2.38 %.
    labels = choose_labels({"put_salt": range(84)}, fraction=0.00625, sampling="released")
    assert labels.annotated == {"put_salt": (0, 83)}
    assert round(100 * labels.effective_fraction, 2) == 2.38
    paper = choose_labels({"put_salt": range(84)}, fraction=0.00625, sampling="paper")
    assert round(100 * paper.effective_fraction, 2) == 1.19


def test_gaps_are_counted_over_the_frames_that_exist() -> None:
    labels = choose_labels({"a": [9, 3, 5, 20, 21]}, fraction=1 / 2, sampling="paper")
    assert labels.annotated == {"a": (3, 9, 21)}


@pytest.mark.parametrize("period", range(1, 200))
def test_one_in_n_is_one_in_n(period: int) -> None:
    labels = choose_labels({"a": range(400)}, fraction=1 / period, sampling="paper")
    assert labels.annotated["a"] == tuple(range(0, 400, period))


def test_the_nearest_reference_and_ties_to_the_earlier() -> None:
    labels = choose_labels({"a": range(9)}, fraction=1 / 4, sampling="paper")
    nearest = {index: labels.reference(FrameName("a", index)).index for index in (1, 2, 3, 5, 6, 7)}
    assert nearest == {1: 0, 2: 0, 3: 4, 5: 4, 6: 4, 7: 8}


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    period=st.integers(1, 30),
    sampling=st.sampled_from(["paper", "released"]),
)
def test_every_frame_is_either_annotated_or_not(lengths: list[int], period: int, sampling) -> None:
    sequences = {str(number): range(length) for number, length in enumerate(lengths)}
    labels = choose_labels(sequences, fraction=1 / period, sampling=sampling)
    for name, frames in sequences.items():
        assert sorted(labels.annotated[name] + labels.unannotated[name]) == list(frames)
    for name in labels.unannotated_names:
        distances = [abs(index - name.index) for index in labels.annotated[name.sequence]]
        assert abs(labels.reference(name).index - name.index) == min(distances)


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.1])
def test_impossible_fractions_are_refused(fraction: float) -> None:
    with pytest.raises(DataError, match="above 0 and at most 1"):
        choose_labels({"a": range(3)}, fraction=fraction, sampling="paper")


def test_the_reference_is_the_nearest_of_all() -> None:
    annotated = (3, 4, 10, 11, 30)
    labels = Labels({"s": annotated}, {"s": tuple(set(range(-2, 40)) - set(annotated))})
    for index in range(-2, 40):
        nearest = min(annotated, key=lambda other: (abs(other - index), other))  # every one looked at
        assert labels.reference(FrameName("s", index)) == FrameName("s", nearest)
