"""A network that is told where the hand is seen, at work: by a detector, by another program, and for left hands."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.footage_files import BOX_FACES, BOX_M, SEEN_SIZE, SIZE, Brought, bring, lens, picture, write_pictures
from tests.keypoints.hands_at import hand_at
from tests.sample_set import Sample
from warpgrasp.cli import main
from warpgrasp.data import open_dataset
from warpgrasp.files import write_document
from warpgrasp.frame import Detections, FrameName, ObjectModel, Objects
from warpgrasp.geometry import Camera
from warpgrasp.hand import HandModel, open_hand
from warpgrasp.inference import predict_few
from warpgrasp.inference.hand_check import Sight
from warpgrasp.inference.hand_search import HandSearch
from warpgrasp.keypoints import HandBox, HandKeypoints
from warpgrasp.predictions import Predictions, read_predictions
from warpgrasp.reconstruction import HandObjectNetwork, NetworkConfig, checkpoint_of, save_checkpoint

BOX = ObjectModel.centred("box", torch.tensor(BOX_M).float(), torch.tensor(BOX_FACES))
COUNT = 5


class MiddleDetector:
    """Sees a hand a quarter of the picture's size from its top left corner, but in black pictures."""

    identity = "middle"

    def __init__(self) -> None:
        self.followed: list[list[np.ndarray]] = []

    def detect(
        self, pictures: np.ndarray, boxes: Sequence[Sequence[HandBox]] | None = None
    ) -> list[list[HandKeypoints]]:
        raise NotImplementedError

    def track(self, pictures: Iterable[np.ndarray], start: Sequence[HandBox] = ()) -> Iterator[list[HandKeypoints]]:
        self.followed.append([])
        for pixels in pictures:
            self.followed[-1].append(pixels)
            height, width = pixels.shape[:2]
            yield [hand_at(width / 4 - 0.5, height / 4 - 0.5)] if pixels.any() else []


def test_pictures_of_any_size_are_searched_in_their_order() -> None:
    camera = Camera(torch.eye(3), 640, 480)
    pictures = [np.full((height, width, 3), bright, np.uint8) for width, height, bright in ((64, 48, 9), (32, 24, 0))]
    sights = [Sight(picture, camera) for picture in (pictures[0], pictures[1], pictures[0])]
    names = [FrameName("clip", number) for number in range(3)]
    told = HandSearch(MiddleDetector()).begun().told(names, sights, (96, 72))
    assert (told.confidence > 0).all(dim=1).tolist() == [True, False, True]
    of_one = hand_at(64 / 4 - 0.5, 48 / 4 - 0.5).joints_px
    for row in (0, 2):
        torch.testing.assert_close(told.joints_px[row], (of_one + 0.5) * 1.5 - 0.5)


def test_each_sequence_is_followed_from_its_start() -> None:
    """Through batches, until another sequence comes or the frames go back."""
    detector, sight = MiddleDetector(), Sight(np.full((24, 32, 3), 9, np.uint8), Camera(torch.eye(3), 32, 24))
    followed = HandSearch(detector).begun()
    for batch in ("a0 a1", "a2 b0", "b1", "b0"):
        names = [FrameName(word[0], int(word[1])) for word in batch.split()]
        followed.told(names, [sight] * len(names), (32, 24))
    assert [len(pictures) for pictures in detector.followed] == [3, 2, 1]


def told_network() -> HandObjectNetwork:
    """Untrained, but what it is told counts as much as the picture."""
    torch.manual_seed(1)
    network = HandObjectNetwork(NetworkConfig(width=4, joint_input=True), HandModel(open_hand()), ("box",))
    with torch.no_grad():
        for name, parameter in network.heads.named_parameters():
            if name.endswith("weight"):
                parameter.mul_(2)
    return network.eval()


@pytest.fixture
def brought(tmp_path: Path) -> Brought:
    """Pictures, and a network that is told."""
    own = bring(tmp_path / "own")
    notes = {"recipe": "none", "width": str(SEEN_SIZE[0]), "height": str(SEEN_SIZE[1])}
    save_checkpoint(own.weights, checkpoint_of(told_network(), [BOX], step=0, training=notes))
    return own


def joints_px() -> np.ndarray:
    """Of each picture, in its own pixels; in one of them nothing is seen."""
    found = np.random.default_rng(3).uniform(5, 40, (COUNT, 21, 2)).astype(np.float32)
    found[2] = np.nan
    return found


def predicted(brought: Brought, folder: Path, joints: np.ndarray, *more: str) -> Predictions:
    np.save(folder / "joints.npy", joints)
    words = ["--keypoints", str(folder / "joints.npy"), *more]
    assert main(brought.words(*words, input=folder / "shots", out=folder / "p.npz")) == 0
    return read_predictions(folder / "p.npz")[0]


def test_another_programs_joints_reach_the_network(brought: Brought, tmp_path: Path) -> None:
    write_pictures(tmp_path / "shots", range(COUNT))
    found = predicted(brought, tmp_path, joints_px())
    images = torch.stack([torch.from_numpy(small(picture(number))) for number in range(COUNT)])
    detections = Detections(torch.from_numpy(np.nan_to_num(joints_px())), torch.ones(COUNT, 21)).resized(
        SIZE, SEEN_SIZE
    )
    detections.confidence[2] = 0
    camera = lens().camera.resized(*SEEN_SIZE)
    cameras = Camera(camera.intrinsics.expand(COUNT, 3, 3), *SEEN_SIZE)
    with torch.no_grad():
        expected = told_network()(images, cameras, Objects.of([BOX] * COUNT), detections)
        untold = told_network()(images, cameras, Objects.of([BOX] * COUNT))
    np.testing.assert_allclose(found.hand_vertices, expected.hand.vertices.numpy(), atol=2e-4)  # halves are rounded
    assert float((expected.hand.vertices - untold.hand.vertices)[[0, 1, 3, 4]].norm(dim=2).amin()) > 0.01


def small(pixels: np.ndarray) -> np.ndarray:
    """As the network sees it: means of two by two pixels."""
    return pixels.reshape(SEEN_SIZE[1], 2, SEEN_SIZE[0], 2, 3).mean(axis=(1, 3)).round().transpose(2, 0, 1).astype(
        np.float32
    ) / np.float32(255)


def test_a_left_hand_is_told_as_its_mirror_image(brought: Brought, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("right", "left")]
    for folder, mirrored in zip(folders, (False, True), strict=True):
        folder.mkdir()
        write_pictures(folder / "shots", range(COUNT), mirrored=mirrored)
    mirrored_px = joints_px()
    mirrored_px[..., 0] = SIZE[0] - 1 - mirrored_px[..., 0]
    write_document(brought.camera, lens(centre_px=(28, 25)).content)
    right = predicted(brought, folders[0], joints_px())
    write_document(brought.camera, lens(centre_px=(63 - 28, 25)).content)
    left = predicted(brought, folders[1], mirrored_px, "--side", "left")
    np.testing.assert_allclose(left.hand_vertices, right.hand_vertices * [-1, 1, 1], atol=1e-5)


def test_frames_of_a_data_set_are_searched(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the pictures as they are stored, whatever the size that the network sees."""
    detector = MiddleDetector()
    search = HandSearch(detector)
    monkeypatch.setattr("warpgrasp.inference.prediction.usual_search", lambda device: search)
    dataset = open_dataset(sample.root, HandModel(open_hand()))
    names = dataset.names("train")[:3]
    known = tuple(sorted({dataset.frame(name, annotated=False).object.name for name in names}))
    torch.manual_seed(0)
    network = HandObjectNetwork(NetworkConfig(width=4, joint_input=True), dataset.hand, known)
    found = predict_few(network, dataset.at_size((32, 24)), names, batch=2)
    stored = [dataset.frame(name, annotated=False).picture.permute(1, 2, 0).numpy() for name in names]
    looked_at = [pixels for pictures in detector.followed for pixels in pictures]
    assert all(np.array_equal(one, other) for one, other in zip(looked_at, stored, strict=True))
    size = stored[0].shape[1], stored[0].shape[0]
    wanted_px = torch.stack([hand_at(size[0] / 4 - 0.5, size[1] / 4 - 0.5).joints_px.mean(dim=0)] * 3)
    camera = dataset.frame(names[0], annotated=False).camera
    placed = camera.project(torch.from_numpy(found.hand_translation)[:, None])[:, 0]
    assert float((placed - wanted_px).norm(dim=1).max()) < 0.1 * size[0]
