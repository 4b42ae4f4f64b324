"""A stretch refined from both ends: the better end is taken, and what is wrong shows in the signs."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.data.recording.recording_files import hand_parameters
from tests.sample_set import Sample
from warpgrasp.data import open_dataset
from warpgrasp.data.recording.files import Recording
from warpgrasp.data.recording.labels import pose_of_label
from warpgrasp.export.datasets import RecordingOptions, export_recording
from warpgrasp.frame import Pose
from warpgrasp.hand.model import HandModel
from warpgrasp.predictions import DOUBTFUL_MM
from warpgrasp.refinement.doubt import CONTRADICTION_MM
from warpgrasp.refinement.labels import between_labels
from warpgrasp.refinement.offsets import AWAY_SHARE, no_offsets
from warpgrasp.refinement.refine import ALL_FRAMES, Stage
from warpgrasp.refinement.stretch import StretchRefinement

COUNT, WIDTH_PX = 8, 160
SHORT = replace(ALL_FRAMES, stages=(Stage(WIDTH_PX, 6, 0.1),), end_stages=(Stage(80, 16, 0.4), Stage(WIDTH_PX, 6, 0.2)))


@pytest.fixture(scope="module")
def true(sample: Sample, hand: HandModel, tmp_path_factory: pytest.TempPathFactory) -> StretchRefinement:
    """A stretch between labels of its first frame and of its last, that starts at the true poses."""
    folder = tmp_path_factory.mktemp("stretch") / "A1"
    hands = {index: hand_parameters(sample.sequences["train"]["A1"], index) for index in range(COUNT)}
    options = RecordingOptions(train=range(COUNT), hands=hands, pictures="frames")
    export_recording(open_dataset(sample.root, hand), "train", "A1", folder, options)
    recording = Recording.read(folder)
    model = recording.object.model
    poses = Pose.joined([pose_of_label(recording.labels[number], hand, model) for number in range(COUNT)])
    pictures = (torch.from_numpy(recording.picture(number)).permute(2, 0, 1) for number in range(COUNT))
    labelled = torch.tensor([number in (0, COUNT - 1) for number in range(COUNT)])
    kept = SHORT.pictures(pictures, recording.lens.camera, labelled)
    return StretchRefinement(poses, kept, hand, model, SHORT)


def between(true: StretchRefinement) -> StretchRefinement:
    """The same stretch, from even motion between its labels."""
    ends = {number: true.start.rows(slice(number, number + 1)) for number in (0, COUNT - 1)}
    return replace(true, start=between_labels(ends, np.arange(float(COUNT))))


@pytest.mark.slow
def test_it_is_no_worse_than_the_better_of_its_starts(true: StretchRefinement) -> None:
    """Nor than what either end alone makes of them, by more than noise."""
    begun = between(true)
    ends = [begun._moved(offsets) for offsets in begun._from_ends()]
    refined = begun.refined()
    errors = [float(true.apart_mm(pose, true.start).mean()) for pose in (begun.start, *ends)]
    assert float(true.apart_mm(refined.pose, true.start).mean()) < min(errors) + 0.5
    for name, values in refined.pose.arrays.items():
        assert torch.equal(values[[0, -1]], begun.start.arrays[name][[0, -1]]), name


def test_the_end_with_which_the_pictures_agree_is_taken(true: StretchRefinement) -> None:
    """Whichever of the two it is, and though the other label is nearer."""
    right, lost = no_offsets(COUNT), no_offsets(COUNT)
    with torch.no_grad():
        lost["move"] += 6.0
    for ends in ([right, lost], [lost, right]):
        poses = [true._moved(one) for one in ends]
        weight = float(true._joined(ends, poses)["move"][1:-1].detach().abs().max()) / 6
        assert weight < 0.1
        pulled = true._signs(true.start, poses, 0.0).disagreement_mm
        assert bool((pulled < 0.7 * true.apart_mm(*poses))[1:-1].all())  # the pictures decide


def test_depth_that_the_colours_would_have_otherwise_is_seen(true: StretchRefinement) -> None:
    """And nothing of it at the true poses, nor at labels."""
    away = no_offsets(COUNT)
    with torch.no_grad():
        for name in ("move", "hand_move"):
            away[name][:, 2] = 0.03 / AWAY_SHARE
    wrong = true._moved(away)
    pulls = [true._signs(pose, (pose, pose), 0.0).depth_pull_mm for pose in (true.start, wrong)]
    expected = (wrong.object_centre - true.start.object_centre).norm(dim=1)[1:-1] * 1000
    assert float(pulls[0].max()) < 5
    assert bool(((pulls[1][1:-1] - expected).abs() < 5).all())
    assert not pulls[1][[0, -1]].any()


def test_a_lost_frame_is_expected_to_be_far_off(true: StretchRefinement) -> None:
    away = no_offsets(COUNT)
    with torch.no_grad():
        away["move"][3] += 8.0  # 45 mm
    lost = true._moved(away)
    expected = true._signs(lost, (lost, true.start), 0.0).expected_error_mm()
    others = torch.arange(COUNT) != 3
    assert expected[3] > 3 * expected[others].max()


@pytest.mark.slow
def test_a_label_that_lies_elsewhere_than_it_is_carried_to_is_seen(true: StretchRefinement) -> None:
    """Carried from one label to the other the poses arrive, unless one of the two is wrong."""
    begun = between(true)
    assert begun._closure_mm(list(begun._from_ends())) < 5
    last = torch.arange(COUNT) == COUNT - 1
    wrong = replace(true.start, object_centre=true.start.object_centre + 0.06 * last[:, None])
    ends = {number: wrong.rows(slice(number, number + 1)) for number in (0, COUNT - 1)}
    signs = replace(true, start=between_labels(ends, np.arange(float(COUNT)))).refined().signs
    assert len(signs.closure_mm.unique()) == 1
    assert CONTRADICTION_MM < float(signs.closure_mm[0]) < 120  # it is 104 mm away
    assert bool((signs.expected_error_mm() > DOUBTFUL_MM).all())


def test_one_label_has_nothing_to_contradict_it(true: StretchRefinement) -> None:
    alone = replace(true, pictures=true.pictures.compared_with(0))
    assert np.isnan(alone._closure_mm([no_offsets(COUNT)] * 2))


def test_the_less_of_the_two_directions_counts(true: StretchRefinement) -> None:
    """A track that is lost in one direction says nothing of the labels."""
    right, lost = no_offsets(COUNT), no_offsets(COUNT)
    with torch.no_grad():
        lost["move"] += 6.0
    assert true._closure_mm([lost, right]) == true._closure_mm([right, lost]) == 0
    assert true._closure_mm([lost, lost]) > 20
