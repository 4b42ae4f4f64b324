"""Frames of a training: the choice of labels, the draws, the cache, and that only chosen annotations are looked at."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from warpgrasp.data import pictures
from warpgrasp.data.frames import FrameSource, Labels, Share, choose_labels, draw
from warpgrasp.data.ho3d.dataset import Ho3d
from warpgrasp.errors import DataError
from warpgrasp.frame import FrameName
from warpgrasp.hand.model import HandModel


def test_each_epoch_is_a_permutation_whatever_the_batch() -> None:
    items = list("abcdefg")
    stream = [item for step in range(21) for item in draw(items, batch=3, step=step, seed=[5])]
    epochs = [stream[start : start + 7] for start in range(0, 63, 7)]
    assert all(sorted(epoch) == items for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 5


def test_a_draw_depends_on_the_step_and_the_seed_alone() -> None:
    items = list(range(11))
    forwards = [draw(items, batch=4, step=step, seed=[1, 2]) for step in range(6)]
    backwards = [draw(items, batch=4, step=step, seed=[1, 2]) for step in reversed(range(6))]
    assert forwards == backwards[::-1]
    assert draw(items, batch=4, step=0, seed=[1, 3]) != forwards[0]


def test_a_batch_larger_than_the_set_repeats_it() -> None:
    assert Counter(draw("ab", batch=6, step=0, seed=[0])) == {"a": 3, "b": 3}


def test_only_chosen_annotations_are_read_and_pictures_once(sample_root: Path, hand: HandModel, monkeypatch) -> None:
    asked: list[tuple[FrameName, bool]] = []
    read = Ho3d.frame

    def frame(self, name: FrameName, *, annotated: bool):
        asked.append((name, annotated))
        return read(self, name, annotated=annotated)

    monkeypatch.setattr(Ho3d, "frame", frame)
    first, second = FrameName("A1", 0), FrameName("A1", 1)
    source = FrameSource(Ho3d(sample_root, hand, size=(64, 48)), annotated=[first])
    batch = source.frames([first, second, first])
    assert asked == [(first, True), (second, False)]
    assert batch.annotation is None  # not all of them are annotated
    assert torch.equal(batch.image[0], batch.image[2])
    assert source.frames([first]).annotation is not None


def test_a_full_cache_reads_again(sample_root: Path, hand: HandModel, monkeypatch) -> None:
    dataset = Ho3d(sample_root, hand, size=(64, 48))
    one_picture = 3 * 48 * 64
    source = FrameSource(dataset, annotated=[], cache_bytes=one_picture)
    names = [FrameName("A1", 0), FrameName("A1", 1)]
    first = [source.frame(name) for name in names]
    assert source.frame(names[0]) is first[0]
    again = source.frame(names[1])
    assert again is not first[1]
    assert torch.equal(again.image, first[1].image)


def test_what_is_read_ahead_is_the_same(sample_root: Path, hand: HandModel, monkeypatch) -> None:
    names = [FrameName("A1", index) for index in range(6)]
    dataset = Ho3d(sample_root, hand, size=(64, 48))
    expected = FrameSource(dataset, annotated=[]).frames(names).image
    source = FrameSource(dataset, annotated=[])
    source.ahead([*names, names[0]])
    read_here = []
    monkeypatch.setattr(pictures, "_pixels", lambda *asked: read_here.append(asked))
    assert torch.equal(source.frames(names).image, expected)
    source.ahead(names)  # all of them are kept
    assert not read_here
    assert not pictures._asked


def test_what_is_wrong_with_a_picture_is_said_when_it_is_asked_for(copied_root: Path, hand: HandModel) -> None:
    name = FrameName("A1", 2)
    source = FrameSource(Ho3d(copied_root, hand, size=(64, 48)), annotated=[])
    path = source.dataset.picture_file(name)
    path.write_bytes(path.read_bytes()[:300])
    source.ahead([name])
    with pytest.raises(DataError, match=r"expected a whole picture in .*0002\.jpg"):
        source.frame(name)


def test_pictures_that_nobody_asks_for_are_given_up(sample_root: Path, hand: HandModel, monkeypatch) -> None:
    monkeypatch.setattr(pictures, "MOST_AHEAD", 3)
    source = FrameSource(Ho3d(sample_root, hand, size=(64, 48)), annotated=[])
    source.ahead([FrameName("A1", index) for index in range(8)])
    assert len(pictures._asked) == 3
    assert source.frame(FrameName("A1", 0)).picture.shape == (3, 48, 64)
    pictures._asked.clear()


def test_objects_of_different_size_share_a_batch(sample_root: Path, hand: HandModel) -> None:
    source = FrameSource(Ho3d(sample_root, hand, size=(64, 48)), annotated=[])
    objects = source.frames([FrameName("A1", 0), FrameName("B1", 0)]).objects
    assert objects.names == ("006_mustard_bottle", "003_cracker_box")
    counts = objects.real.sum(1)
    assert counts.max() == objects.vertices.shape[1]
    for row in range(2):
        real = objects.vertices[row, : counts[row]]
        assert torch.equal(real.amax(0), objects.corners[row].amax(0))
        assert int(objects.faces[row].max()) < int(counts[row])


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


def released_strong_frames(lengths: list[int], fraction: float) -> set[tuple[int, int]]:
    """The released code's `get_seq_map`, as far as it decides which frames are strongly supervised.

    It goes through the frames of all sequences; where a sequence has ended, it takes the last weak one back.
    """
    spacing, strong, weak = int(1 / fraction), set(), []
    samples = [(sequence, frame) for sequence, length in enumerate(lengths) for frame in range(length)]
    for number, (sequence, frame) in enumerate(samples):
        if frame == 0 and weak and fraction != 1:
            strong.add(weak.pop())
        if frame % spacing == 0 or number == len(samples) - 1 or fraction == 1:
            strong.add((sequence, frame))
        else:
            weak.append((sequence, frame))
    return strong


def labelled_as_released(lengths: list[int], fraction: float) -> set[tuple[int, int]]:
    sequences = {str(number): range(length) for number, length in enumerate(lengths)}
    labels = choose_labels(sequences, fraction=fraction, sampling="released")
    return {(int(name.sequence), name.index) for name in labels.annotated_names}


def test_the_released_code_adds_the_last_of_the_other_frames() -> None:
    labels = choose_labels({"a": range(10), "b": range(9), "c": range(9)}, fraction=1 / 4, sampling="released")
    assert labels.annotated == {"a": (0, 4, 8, 9), "b": (0, 4, 7, 8), "c": (0, 4, 8)}


@given(
    st.lists(st.integers(2, 200), min_size=1, max_size=12), st.sampled_from([1.0, 1 / 2, 0.2, 0.05, 0.0125, 0.00625])
)
def test_the_released_rule_against_the_released_code(lengths: list[int], fraction: float) -> None:
    assert labelled_as_released(lengths, fraction) == released_strong_frames(lengths, fraction)


def test_the_released_rule_on_lengths_like_fphab_s() -> None:
    """As many sequences and frames as FPHAB's training split by actions, one of more than 160, give its counts."""
    twenties = [8] + [4] * 42 + [3] * 91
    fives = [1] * 12 + [3] * 49 + [2] * 24 + [0] * 49
    rest = [0] * 12 + [4] * 122
    lengths = [20 * twenty + 5 * five + more for twenty, five, more in zip(twenties, fives, rest, strict=True)]
    assert (len(lengths), sum(lengths)) == (134, 10_503)
    counts = [len(labelled_as_released(lengths, fraction)) for fraction in (0.00625, 0.05, 0.2)]
    assert counts == [269, 717, 2259]


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
