"""Pairs from near to far: what is drawn at a step, and that it is a function of the step."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from tests.training.runs import prepare, short_recipe, train_both
from warpgrasp.data.frames import NEAR_FRAMES, Labels, NearToFar
from warpgrasp.frame import FrameName
from warpgrasp.training import loop

LABELS = Labels({"A": (0, 40), "B": (), "C": (30,)}, {"A": tuple(range(1, 40)), "B": (1, 2), "C": tuple(range(30))})


def apart(name: FrameName) -> int:
    return abs(LABELS.reference(name).index - name.index)


def test_frames_join_by_their_distance_until_all_are_there() -> None:
    pairs = NearToFar(LABELS, steps=100)
    found = [pairs.names(step) for step in (0, 25, 50, 99, 100, 5000)]
    assert {apart(name) for name in found[0]} == set(range(1, NEAR_FRAMES + 1))
    for few, more in pairwise(found):
        assert set(few) <= set(more)
    assert len(found[1]) < len(found[2]) < len(found[3])
    assert found[-1] == found[-2] == LABELS.comparable_names  # none of B, which has no label
    assert max(map(apart, found[2])) == NEAR_FRAMES + (30 - NEAR_FRAMES) // 2


def test_without_steps_all_are_there_at_once() -> None:
    assert NearToFar(LABELS, steps=0).names(0) == LABELS.comparable_names


def test_it_does_not_matter_which_step_was_asked_for_before() -> None:
    forwards, backwards = NearToFar(LABELS, steps=30), NearToFar(LABELS, steps=30)
    expected = [forwards.names(step) for step in range(31)]
    assert [backwards.names(step) for step in reversed(range(31))][::-1] == expected


def test_where_no_frame_is_near_all_are_taken() -> None:
    far = Labels({"A": (0,)}, {"A": (20, 21)})
    assert NearToFar(far, steps=10).names(0) == far.comparable_names


def test_a_training_draws_by_it(sample_root: Path, tmp_path: Path, undisturbed: str, monkeypatch) -> None:
    recipe = short_recipe()
    changed = replace(recipe, photometric=replace(recipe.photometric, near_to_far_steps=recipe.stage2.steps))
    monkeypatch.setattr("warpgrasp.data.frames.NEAR_FRAMES", 1)
    training, seen = prepare(sample_root, changed), []
    draw = loop.draw

    def watched(items, **where):
        if where["seed"][1:] == [2, 1]:
            seen.append(max(abs(training.labels.reference(name).index - name.index) for name in items))
        return draw(items, **where)

    monkeypatch.setattr(loop, "draw", watched)
    assert train_both(training, tmp_path).sha256 != undisturbed
    assert seen[0] == 1
    assert seen == sorted(seen)
    assert seen[-1] > 1
