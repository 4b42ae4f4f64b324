"""Hands that a detector finds in the annotation page, without a browser: where they lie, and what the page says."""

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("viser", reason="needs the extra `viewer`")

from PIL import Image

from tests.annotate.conftest import opened, said_by
from tests.annotate.shipped_recording import shipped_dataset, shipped_recording, true_centre, true_joints
from warpgrasp.annotate import panel
from warpgrasp.annotate.actions import AnnotateActions
from warpgrasp.annotate.clicks import ClickActions
from warpgrasp.annotate.finding import FindActions, HandFinder, ScanStoppedError, hand_scores
from warpgrasp.annotate.page import AnnotatePage
from warpgrasp.annotate.panel import says_where_not, score_strip
from warpgrasp.annotate.session import GuardedServer
from warpgrasp.annotate.state import AnnotationState
from warpgrasp.data import Dataset
from warpgrasp.data.recording.annotations import read_annotations, write_annotations
from warpgrasp.hand import JOINTS, HandModel
from warpgrasp.keypoints import MediaPipeDetector
from warpgrasp.refinement import carried


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, hand: HandModel) -> Dataset:
    return shipped_dataset(tmp_path_factory.mktemp("shipped") / "sample", hand)


@pytest.fixture(scope="module")
def often_labelled(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of 60 frames with six labels. Read only."""
    return shipped_recording(dataset, tmp_path_factory.mktemp("recording") / "often", labels=(0, 2, 4, 6, 8, 10))


@pytest.fixture(scope="module")
def labelled(often_labelled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a label at 0 alone. Read only."""
    folder = Path(shutil.copytree(often_labelled, tmp_path_factory.mktemp("recording") / "labelled"))
    write_annotations(folder, list(read_annotations(folder).labels[:1]), hand_model=None)
    return folder


@pytest.fixture(scope="module")
def bare(labelled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same without labels. Read only."""
    folder = Path(shutil.copytree(labelled, tmp_path_factory.mktemp("recording") / "bare"))
    (folder / "annotations.json").unlink()
    return folder


@pytest.fixture
def finding(hand: HandModel, tmp_path: Path) -> Iterator[Callable[[Path], FindActions]]:
    """The actions on the page of a copy of a recording."""
    begun: list[tuple[AnnotatePage, GuardedServer]] = []

    def begin(source: Path) -> FindActions:
        server = GuardedServer(port=0)
        folder = Path(shutil.copytree(source, tmp_path / f"copy{len(begun)}"))
        page = AnnotatePage(server, opened(folder, hand))
        begun.append((page, server))
        return FindActions(page)

    yield begin
    for page, server in begun:
        page.close()
        server.stop()


def errors(state: AnnotationState, dataset: Dataset, number: int) -> tuple[float, float]:
    """How far the shown hand's joints lie from the true ones: pixels and millimetres."""
    shown, true = state.annotation(number).hand_joints, true_joints(dataset, number)
    pixels = [state.camera.project(joints).numpy() for joints in (shown, shown.new_tensor(true))]
    distance = np.linalg.norm(shown.numpy() - true, axis=1).mean()
    return float(np.linalg.norm(pixels[0] - pixels[1], axis=1).mean()), float(1000 * distance)


def test_from_nothing_to_a_hand(finding: Callable[[Path], FindActions], bare: Path, dataset: Dataset) -> None:
    actions = finding(bare)
    page, state = actions.page, actions.page.state
    before = state.current
    actions.find()
    px, mm = errors(state, dataset, 0)
    assert px < 5
    assert mm < 25
    assert state.drafted == [0]
    assert state.labelled == []
    np.testing.assert_array_equal(state.current.object_centre, before.object_centre)
    said = said_by(page)
    assert "hand found, score 0.99, right; its size, and with it its depth, is a guess until a label tells" in said
    assert "**frame 0** · draft" in page.panel.summary.content
    # Its joints can be corrected by clicks, as if they had been clicked on.
    assert [name for name, _ in state.current.joints_px] == list(JOINTS)
    projected = state.camera.project(state.annotation(0).hand_joints).numpy()
    np.testing.assert_allclose([pixel for _, pixel in state.current.joints_px], projected, atol=1e-3)
    wrist = state.current.wrist
    ClickActions(page).fit_hand()
    assert np.linalg.norm(state.current.wrist - wrist) < 0.01
    state.undo()
    state.undo()
    assert state.current.pose is before.pose


def test_a_label_tells_size_and_grasp(finding: Callable[[Path], FindActions], labelled: Path, dataset: Dataset) -> None:
    """Thirty frames after a label the object is carried along; both lie nearer than the label's own poses."""
    actions = finding(labelled)
    page, state = actions.page, actions.page.state
    page.panel.find_in_new.value = False
    page.show_frame(30)
    _, copied_mm = errors(state, dataset, 30)
    object_mm = [1000 * np.linalg.norm(state.current.object_centre - true_centre(dataset, 30))]
    assert copied_mm > 30
    actions.find()
    px, mm = errors(state, dataset, 30)
    object_mm.append(1000 * np.linalg.norm(state.current.object_centre - true_centre(dataset, 30)))
    assert px < 6
    assert mm < 0.6 * copied_mm
    assert object_mm[1] < 0.7 * object_mm[0]
    np.testing.assert_array_equal(state.current.shape, state.pose(0).shape[0].numpy())
    said = said_by(page)
    assert "of the size in frame 0; the object moved with it, held as in frame 0" in said


def test_an_object_that_somebody_placed_stays(finding: Callable[[Path], FindActions], labelled: Path) -> None:
    actions = finding(labelled)
    page, state = actions.page, actions.page.state
    page.panel.find_in_new.value = False
    page.show_frame(30)
    AnnotateActions(page).set_depth("object", 0.6)
    placed = state.current
    actions.find()
    np.testing.assert_array_equal(state.current.object_centre, placed.object_centre)
    np.testing.assert_array_equal(state.current.object_rotation, placed.object_rotation)
    assert "the object moved" not in said_by(page)


def test_a_found_hand_makes_a_draft_of_a_label(finding: Callable[[Path], FindActions], labelled: Path) -> None:
    actions = finding(labelled)
    page = actions.page
    actions.find()
    assert (page.state.labelled, page.state.drafted) == ([], [0])
    AnnotateActions(page).toggle_done()
    page.save()
    (label,) = read_annotations(page.state.recording.folder).labels
    assert label.hand.pose.shape == (48,)  # what the file holds is as ever


@pytest.mark.slow
def test_frames_that_are_turned_to(finding: Callable[[Path], FindActions], labelled: Path, dataset: Dataset) -> None:
    """Far from the label the found hand is offered, and is no draft; near it the copy is as good, and stays."""
    actions = finding(labelled)
    page, state = actions.page, actions.page.state
    page.show_frame(1)
    assert state.current.pose is state.pose(0)
    page.show_frame(30)
    assert state.current.pose is not state.pose(0)
    assert errors(state, dataset, 30)[0] < 6
    assert state.drafted == []
    assert "a copy would miss it by" in said_by(page)
    AnnotateActions(page).copy()
    assert state.current.pose is state.pose(0)
    state.undo()
    assert errors(state, dataset, 30)[0] < 6
    page.show_frame(31)
    assert state.edited(30).pose is not state.pose(0)  # undone to, so it is a draft


def test_nothing_is_offered_that_was_turned_away_from(
    finding: Callable[[Path], FindActions], labelled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    actions = finding(labelled)
    page, state = actions.page, actions.page.state
    find = actions.finder.find

    def slow(number: int, read, **words):
        draft = find(number, read, **words)
        page.after_turning = None
        page.show_frame(45)
        return draft

    monkeypatch.setattr(actions.finder, "find", slow)
    page.show_frame(30)
    assert state.frame == 45
    assert state.current.pose is state.pose(0)


def ray_of(state: AnnotationState, pixel: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(3), np.linalg.inv(state.recording.lens.intrinsics) @ np.array([*pixel, 1.0])


def test_no_hand_asks_for_a_box(finding: Callable[[Path], FindActions], folder: Path) -> None:
    """Grey pictures: what is said, in which order, and that nothing is changed."""
    actions = finding(folder)
    page, state = actions.page, actions.page.state
    actions.find()
    assert page.clicking == "box"
    said = said_by(page)
    assert "⚠️ no hand is found in this picture" in said
    assert "Click on one corner of a **box** around the hand" in said
    actions.clicked(*ray_of(state, (10.0, 10.0)))
    assert "Click on the opposite corner" in said_by(page)
    actions.clicked(*ray_of(state, (12.0, 14.0)))
    assert "expected a box of at least 8 px, got one of 4 px" in said_by(page)
    actions.clicked(*ray_of(state, (200.0, 10.0)))  # beside the picture
    actions.clicked(*ray_of(state, (10.0, 10.0)))
    actions.clicked(*ray_of(state, (40.0, 40.0)))
    said = said_by(page)
    assert "no hand is found in this box either; draw another one, or click its joints (I)" in said
    assert page.clicking == "box"
    assert state.drafted == []
    ClickActions(page).click_on("nothing")
    assert said_by(page).count("Click") == 0


def test_a_drawn_box_finds_the_hand(finding: Callable[[Path], FindActions], bare: Path, dataset: Dataset) -> None:
    """A box drawn tightly around the joints, from corner to opposite corner."""
    actions = finding(bare)
    page, state = actions.page, actions.page.state
    pixels = state.camera.project(state.camera.intrinsics.new_tensor(true_joints(dataset, 0))).numpy()
    ClickActions(page).click_on("box")
    for corner in (pixels.max(axis=0), pixels.min(axis=0)):
        actions.clicked(*ray_of(state, tuple(corner.tolist())))
    assert page.clicking == "nothing"
    assert errors(state, dataset, 0)[0] < 6


def test_who_may_only_look_finds_nothing(folder: Path, hand: HandModel) -> None:
    server = GuardedServer(port=0)
    page = AnnotatePage(server, opened(folder, hand, read_only="because"))
    FindActions(page).find()
    assert "open for reading only: because" in said_by(page)
    assert not page.busy
    page.close()
    server.stop()


@pytest.mark.slow
def test_labels_are_looked_at_a_few_at_a_time(often_labelled: Path, hand: HandModel) -> None:
    """The nearest four first, then the others; none twice."""
    state = opened(often_labelled, hand)
    finder, read = HandFinder(state), []

    def picture(number: int) -> np.ndarray:
        read.append(number)
        return state.recording.picture(number)

    looked_at = []
    for _ in range(3):
        read.clear()
        assert finder.find(11, picture) is not None
        looked_at.append(read[1:])
    assert looked_at == [[10, 8, 6, 4], [2, 0], []]


def test_a_carried_object_lies_in_the_hand_as_before(state: AnnotationState) -> None:
    held, other = state.pose(0), state.pose(3)
    moved = carried(held, other)
    for pose in (held, moved):
        arm = pose.hand_rotation.transpose(1, 2) @ (pose.object_centre - pose.wrist)[..., None]
        turn = pose.hand_rotation.transpose(1, 2) @ pose.object_rotation
        np.testing.assert_allclose(arm[0, :, 0], _arm(held), atol=1e-12)
        np.testing.assert_allclose(turn, held.hand_rotation.transpose(1, 2) @ held.object_rotation, atol=1e-12)


def _arm(pose) -> np.ndarray:
    return (pose.hand_rotation[0].T @ (pose.object_centre - pose.wrist)[0]).numpy()


@pytest.fixture
def short(labelled: Path, tmp_path: Path) -> Path:
    """Eight frames, the last two of them grey; one label."""
    folder = Path(shutil.copytree(labelled, tmp_path / "short"))
    for number in range(6, 60):
        path = folder / "frames" / f"{number:06d}.png"
        if number < 8:
            Image.new("RGB", (320, 240), (128, 128, 128)).save(path)
        else:
            path.unlink()
    return folder


@pytest.mark.slow
def test_every_frame(finding: Callable[[Path], FindActions], short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores of a short video; the second time they come from the cache, and the page shows them."""
    told: list[float] = []
    scores = hand_scores(short, "right", told.append, threading.Event())
    assert (scores[:6] > 0.9).all()
    assert (scores[6:] == 0).all()
    assert told == sorted(told)
    assert told[-1] == 1
    monkeypatch.setattr(MediaPipeDetector, "track", lambda *_: pytest.fail("the cache holds these pictures"))
    assert (hand_scores(short, "left", told.append, threading.Event()) == 0).all()
    actions = finding(short)
    page = actions.page
    actions.find_everywhere()
    for thread in threading.enumerate():
        if thread.name == "find everywhere":
            thread.join()
    assert page.panel.strip.visible
    assert page.panel.strip_says.content == "no hand is seen in 2 of 8 frames: 6 to 7"
    np.testing.assert_array_equal(page.panel.strip.image, score_strip(scores, [0], 0))
    AnnotateActions(page).step(7)
    np.testing.assert_array_equal(page.panel.strip.image, score_strip(scores, [0], 7))
    assert not page.scanning
    assert not page.panel.progress.visible


def test_a_scan_stops_with_the_page_and_says_what_is_broken(
    finding: Callable[[Path], FindActions], short: Path
) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(ScanStoppedError):
        hand_scores(short, "right", lambda share: None, stop)
    actions = finding(short)
    page = actions.page
    (page.state.recording.folder / "frames" / "000003.png").write_bytes(b"no picture")
    actions._scan()
    assert "000003.png" in said_by(page)
    assert not page.panel.strip.visible


def test_the_strip_shows_the_worst_of_each_column() -> None:
    width, height = panel.STRIP_PX
    scores = np.ones(10 * width)
    scores[3005] = 0.0  # of the column that shows frames 3000 to 3009
    scores[1000] = 0.6
    strip = score_strip(scores, [2000], 4000)
    assert strip.shape == (height, width, 3)
    assert strip[0, 300].tolist() == list(panel.NOT_SEEN)
    assert strip[0, 100].tolist() == list(panel.HARDLY_SEEN)
    assert strip[0, 200].tolist() == list(panel.LABELLED)
    assert strip[-1, 200].tolist() == list(panel.SEEN)
    assert strip[-1, 400].tolist() == list(panel.HERE)
    two = score_strip(np.array([1.0, 0.0]), [], 0)
    assert two[0, width // 2 - 1].tolist() == list(panel.SEEN)
    assert two[0, width // 2].tolist() == list(panel.NOT_SEEN)


@pytest.mark.parametrize(
    ("unseen", "said"),
    [
        ([], "the hand is seen in every frame"),
        ([3, 4, 5, 9], "no hand is seen in 4 of 10 frames: 13 to 15, 19"),
    ],
)
def test_where_no_hand_is_seen_in_words(unseen: list[int], said: str) -> None:
    scores = np.ones(10)
    scores[unseen] = 0.2
    assert says_where_not(range(10, 20), scores) == said


def test_many_stretches_are_cut_off() -> None:
    scores = np.tile([1.0, 0.0], 20)
    assert says_where_not(range(40), scores).endswith("1, 3, 5, 7, 9, 11, 13, 15 …")
