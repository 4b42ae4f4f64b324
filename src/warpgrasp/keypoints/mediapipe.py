"""The shipped detector: MediaPipe's palm and hand-landmark networks, run by PyTorch.

The networks are those of Zhang et al., "MediaPipe Hands: On-device Real-time Hand Tracking", 2020 (arXiv:2006.10214),
with the thresholds and box sizes of their published configuration. A palm is searched in the whole picture, 21
landmarks in the turned square around it; in a video, the next square comes from the last landmarks. Squares can also
come from elsewhere: the user, a projected prediction.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import as_file, files

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from warpgrasp.errors import DataError
from warpgrasp.keypoints.graph import Network
from warpgrasp.keypoints.hands import EIGHT_TURNS, OURS_FROM_DETECTORS, WRIST, HandBox, HandKeypoints, Picture
from warpgrasp.registry import Registry

ASSETS = files("warpgrasp.keypoints") / "assets"
PALM_FILE = "palm_detection_full.tflite", "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54"
LANDMARK_FILE = "hand_landmark_full.tflite", "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3"
VERSION = "0.10.21"  # of the package that the networks were published in

PALM_SIZE, LANDMARK_SIZE = 192, 224  # pixels along each side of what the networks see
LARGEST_SIDE_PX = 32_766  # of what OpenCV samples
PALM_LEAST_SCORE, LEAST_PRESENCE = 0.5, 0.5
SAME_PALM_OVERLAP = 0.3  # intersection over union
BOX_PER_PALM, BOX_SHIFT = 2.6, 0.5  # the hand's square by the palm's, and its shift towards the fingers, in palms
WRIST_POINT, MIDDLE_POINT = 0, 2  # of the palm's seven points
DEPTH_SCALE = 0.4  # by which the network's depths are larger than its pixels
SAME_HAND = 0.15  # mean distance of joints by the box's side
NEAR_CENTRES = 0.25  # distance of the centres of a hand's box and of a palm's, by the side


@dataclass(frozen=True)
class DetectorSettings:
    """What a keypoint detector is asked for."""

    most_hands: int = 2
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    batch_size: int | None = None
    """How many crops go through a network at once: one on a CPU, whose cache holds no more, and 32 on others."""
    search_period: int = 10
    """In a video with fewer hands than `most_hands`, the whole picture is searched again every so many frames."""


class MediaPipeDetector:
    """Palm detection, landmarks in a turned crop, and tracking."""

    def __init__(self, settings: DetectorSettings | None = None):
        self.settings = settings = settings or DetectorSettings()
        self._batch_size = settings.batch_size or (1 if settings.device.type == "cpu" else 32)
        self._palms, self._landmarks = (
            _network(name, sha256, settings.device) for name, sha256 in (PALM_FILE, LANDMARK_FILE)
        )

    @property
    def identity(self) -> str:
        """Name, version, networks and settings: everything but the pictures that results depend on."""
        settings = self.settings
        networks = "-".join(sha256[:8] for _, sha256 in (PALM_FILE, LANDMARK_FILE))
        return f"mediapipe-{VERSION}-{networks}-hands{settings.most_hands}-search{settings.search_period}"

    def detect(
        self, pictures: UInt8[np.ndarray, "n h w 3"], boxes: Sequence[Sequence[HandBox]] | None = None
    ) -> list[list[HandKeypoints]]:
        """The hands of each picture, the surest first, each picture on its own.

        `boxes` says where each picture's hands are, nothing is searched then; of a box whose turn is not known, eight
        turns are tried. Hands whose presence is below 0.5 are left out. Raises `DataError` when there is not one list
        of boxes for each picture.
        """
        if boxes is not None and len(boxes) != len(pictures):
            raise DataError(f"expected boxes for each of {len(pictures)} pictures, got {len(boxes)} lists of them")
        searched = boxes is None
        squares = self.palm_boxes(pictures) if boxes is None else boxes
        hands = self._hands(pictures, squares)
        most = self.settings.most_hands if searched else None
        return [_distinct(picture_hands)[:most] for picture_hands in hands]

    def track(self, pictures: Iterable[Picture], start: Sequence[HandBox] = ()) -> Iterator[list[HandKeypoints]]:
        """The hands of each picture of a video, in the order in which the pictures come. The memory is constant.

        `start` says where hands are in the first picture. A hand keeps its place in the list while it is seen; its side
        is averaged over the frames so far. The whole picture is searched at the start, when a hand is lost, and now and
        then while there are fewer than `most_hands`.
        """
        tracks: list[_Track] = []
        searched_before = 0
        for number, picture in enumerate(pictures):
            batch = picture[None]
            if number == 0:
                kept = [_Track.begun(hand) for hand in _distinct(self._hands(batch, [start])[0])]
            else:
                followed = [track.followed(batch, self) for track in tracks]
                kept = _distinct_tracks([track for track in followed if track is not None])
            searched_before += 1
            missing = len(kept) < self.settings.most_hands
            if not kept or len(kept) < len(tracks) or (missing and searched_before >= self.settings.search_period):
                kept = self._with_new_hands(batch, kept)
                searched_before = 0
            tracks = kept
            yield [track.hand for track in tracks]

    def _with_new_hands(self, batch: UInt8[np.ndarray, "1 h w 3"], tracks: list["_Track"]) -> list["_Track"]:
        """The tracks, and those of hands that the palm network sees elsewhere in the picture."""
        known = [track.hand.box for track in tracks]
        new = [box for box in self.palm_boxes(batch)[0] if not any(_near(box, other) for other in known)]
        begun = [_Track.begun(hand) for hand in _distinct(self._hands(batch, [new])[0])]
        return _distinct_tracks([*tracks, *begun])[: self.settings.most_hands]

    def palm_boxes(self, pictures: UInt8[np.ndarray, "n h w 3"]) -> list[list[HandBox]]:
        """The squares around the hands of each picture, by the palm network, the surest first."""
        _, height, width, _ = pictures.shape
        whole = HandBox(((width - 1) / 2, (height - 1) / 2), float(max(width, height)), 0.0)
        boxes = []
        for start in range(0, len(pictures), self._batch_size):
            crops = [_crop(picture, whole, PALM_SIZE) for picture in pictures[start : start + self._batch_size]]
            values, scores = self._palms(np.stack(crops))
            for picture_values, picture_scores in zip(values.double().numpy(), scores.double().numpy(), strict=True):
                palms = _distinct_palms(*_decoded_palms(picture_values, picture_scores[:, 0]))
                boxes.append([_box_of_palm(palm, whole) for palm in palms])
        return boxes

    def _hands(
        self, pictures: UInt8[np.ndarray, "n h w 3"], boxes: Sequence[Sequence[HandBox]]
    ) -> list[list[HandKeypoints]]:
        """The hand in each box, where the network sees one."""
        given = [(row, box) for row, picture_boxes in enumerate(boxes) for box in picture_boxes]
        crops, owners = [], []
        for owner, (row, box) in enumerate(given):
            turns = EIGHT_TURNS if box.turn is None else (box.turn,)
            crops += [(row, box.turned(turn)) for turn in turns]
            owners += [owner] * len(turns)
        surest: dict[int, HandKeypoints] = {}
        for owner, hand in zip(owners, self._landmarks_in(pictures, crops), strict=True):
            if owner not in surest or hand.presence > surest[owner].presence:
                surest[owner] = hand
        guessed = [owner for owner, (_, box) in enumerate(given) if box.turn is None]
        again = [(given[owner][0], HandBox.around(surest[owner].joints_px)) for owner in guessed]
        for owner, hand in zip(guessed, self._landmarks_in(pictures, again), strict=True):
            surest[owner] = max(surest[owner], hand, key=lambda candidate: candidate.presence)
        answers: list[list[HandKeypoints]] = [[] for _ in boxes]
        for owner, hand in surest.items():
            if hand.presence >= LEAST_PRESENCE:
                answers[given[owner][0]].append(hand)
        return answers

    def _landmarks_in(
        self, pictures: UInt8[np.ndarray, "n h w 3"], crops: Sequence[tuple[int, HandBox]]
    ) -> Iterator[HandKeypoints]:
        """What the landmark network says of each crop: the number of a picture, and a box in it."""
        for start in range(0, len(crops), self._batch_size):
            batch = crops[start : start + self._batch_size]
            seen = np.stack([_crop(pictures[row], box, LANDMARK_SIZE) for row, box in batch])
            landmarks, presence, side, _ = self._landmarks(seen)
            for (_, box), *values in zip(batch, landmarks, presence, side, strict=True):
                yield _keypoints(box, pictures.shape[1:3], *values)


@dataclass(frozen=True)
class _Track:
    """A hand followed through a video."""

    hand: HandKeypoints
    sides_seen: tuple[float, int]  # the sum of right_probability, and over how many frames

    @staticmethod
    def begun(hand: HandKeypoints) -> "_Track":
        return _Track(hand, (hand.right_probability, 1))

    def followed(self, batch: UInt8[np.ndarray, "1 h w 3"], detector: MediaPipeDetector) -> "_Track | None":
        """The hand in the next picture, where the network sees one at its last place."""
        hands = detector.detect(batch, [[HandBox.around(self.hand.joints_px)]])[0]
        if not hands:
            return None
        total, count = self.sides_seen[0] + hands[0].right_probability, self.sides_seen[1] + 1
        return _Track(replace(hands[0], right_probability=total / count), (total, count))


def _network(name: str, sha256: str, device: torch.device) -> Network:
    with as_file(ASSETS / name) as path:
        return Network(path, sha256, device)


def _crop(picture: Picture, box: HandBox, size: int) -> Float[np.ndarray, "{size} {size} 3"]:
    """The colours in a turned square, in [0, 1]; black outside of the picture."""
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or max(picture.shape) > LARGEST_SIDE_PX:
        raise DataError(
            f"expected pictures of three bytes a pixel, of at most {LARGEST_SIDE_PX} pixels a side, got "
            f"{picture.dtype} of shape {picture.shape}"
        )
    # OpenCV counts pixels by their centres: position i of the crop is (i + 0.5) / size of the box.
    linear = box.picture_from_box[:, :2] / size
    offset = box.picture_from_box[:, 2] + linear @ [0.5, 0.5]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crop = cv2.warpAffine(np.ascontiguousarray(picture), np.column_stack([linear, offset]), (size, size), flags=flags)
    return crop.astype(np.float32) / 255


def _keypoints(
    box: HandBox,
    size: tuple[int, int],
    landmarks: Float[Tensor, " 63"],
    presence: Float[Tensor, " 1"],
    side: Float[Tensor, " 1"],
) -> HandKeypoints:
    """A hand from the network's numbers; `size` is the picture's (height, width)."""
    points = landmarks.double().numpy().reshape(21, 3)[OURS_FROM_DETECTORS] / LANDMARK_SIZE
    joints = points[:, :2] @ box.picture_from_box[:, :2].T + box.picture_from_box[:, 2]
    inside = ((joints >= -0.5) & (joints <= np.array(size[::-1]) - 0.5)).all(axis=1)
    depth = (points[:, 2] - points[WRIST, 2]) * box.side_px / DEPTH_SCALE
    confidence = np.where(inside, float(presence), 0.0)
    joints_px, relative_depth, joint_confidence = (
        torch.from_numpy(values).float() for values in (joints, depth, confidence)
    )
    return HandKeypoints(joints_px, joint_confidence, float(presence), float(side), relative_depth, box)


def _anchors() -> Float[np.ndarray, "2016 2"]:
    """The places that the palm network speaks of: two for each cell of 8 pixels, six for each of 16; in [0, 1]."""
    grids = []
    for stride, repeats in ((8, 2), (16, 6)):
        cells = PALM_SIZE // stride
        centres = (np.arange(cells) + 0.5) / cells
        x, y = np.meshgrid(centres, centres)
        grids.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), repeats, axis=0))
    return np.concatenate(grids)


ANCHORS = _anchors()


def _decoded_palms(
    values: Float[np.ndarray, "2016 18"], logits: Float[np.ndarray, " 2016"]
) -> tuple[Float[np.ndarray, "m 9 2"], Float[np.ndarray, " m"]]:
    """Corners and seven points of the palms, in [0, 1] of the square, and their scores, the surest first."""
    scores = 1 / (1 + np.exp(-logits.clip(-100, 100)))
    sure = np.flatnonzero(scores >= PALM_LEAST_SCORE)
    sure = sure[np.argsort(-scores[sure], kind="stable")]
    pairs = values[sure].reshape(-1, 9, 2) / PALM_SIZE
    centre, half_size, points = pairs[:, :1], pairs[:, 1:2] / 2, pairs[:, 2:]
    corners = np.concatenate([centre - half_size, centre + half_size], axis=1)
    return np.concatenate([corners, points], axis=1) + ANCHORS[sure, None], scores[sure]


def _distinct_palms(
    palms: Float[np.ndarray, "m 9 2"], scores: Float[np.ndarray, " m"]
) -> list[Float[np.ndarray, "9 2"]]:
    """Palms that overlap become their mean, weighted by their scores."""
    distinct = []
    while len(palms):
        same = _overlap(palms[0], palms) > SAME_PALM_OVERLAP
        same[0] = True
        distinct.append(np.average(palms[same], axis=0, weights=scores[same]))
        palms, scores = palms[~same], scores[~same]
    return distinct


def _overlap(palm: Float[np.ndarray, "9 2"], palms: Float[np.ndarray, "m 9 2"]) -> Float[np.ndarray, " m"]:
    """Intersection over union of upright boxes, by their first two points."""
    low, high = np.maximum(palm[0], palms[:, 0]), np.minimum(palm[1], palms[:, 1])
    common = (high - low).clip(0).prod(axis=1)
    own, others = (palm[1] - palm[0]).prod(), (palms[:, 1] - palms[:, 0]).prod(axis=1)
    return common / (own + others - common).clip(1e-12)


def _box_of_palm(palm: Float[np.ndarray, "9 2"], whole: HandBox) -> HandBox:
    """The square around the hand that belongs to a palm."""
    corners, points = palm[:2] * whole.side_px, palm[2:]
    x, y = points[MIDDLE_POINT] - points[WRIST_POINT]
    turn = math.atan2(x, -y)
    width, height = corners[1] - corners[0]
    centre = corners.mean(axis=0) + BOX_SHIFT * height * np.array([math.sin(turn), -math.cos(turn)])
    centre_px = centre + whole.picture_from_box[:, 2]
    return HandBox((float(centre_px[0]), float(centre_px[1])), max(BOX_PER_PALM * float(max(width, height)), 1.0), turn)


def _near(box: HandBox, other: HandBox) -> bool:
    return math.dist(box.centre_px, other.centre_px) < NEAR_CENTRES * max(box.side_px, other.side_px)


def _same(hand: HandKeypoints, other: HandKeypoints) -> bool:
    distance = (hand.joints_px - other.joints_px).norm(dim=1).mean()
    return float(distance) < SAME_HAND * max(hand.box.side_px, other.box.side_px)


def _distinct(hands: Sequence[HandKeypoints]) -> list[HandKeypoints]:
    """The hands, the surest first, without those that are a surer one again."""
    distinct: list[HandKeypoints] = []
    for hand in sorted(hands, key=lambda hand: -hand.presence):
        if not any(_same(hand, other) for other in distinct):
            distinct.append(hand)
    return distinct


def _distinct_tracks(tracks: Sequence[_Track]) -> list[_Track]:
    """The tracks in their order, without those that have come to follow the hand of an earlier one."""
    distinct: list[_Track] = []
    for track in tracks:
        if not any(_same(track.hand, other.hand) for other in distinct):
            distinct.append(track)
    return distinct


DETECTORS = Registry("keypoint detector", "warpgrasp.keypoint_detectors", {"mediapipe": MediaPipeDetector})
