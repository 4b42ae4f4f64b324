"""What labelling programs state of frames, in our terms: joints by name, in pixels; poses of the object, in metres.

Names of joints are told from their words: `thumb_1`, `THUMB_CMC`, `right_thumb1`, `forefinger 4`, `PINKY_TIP` are all
known. Pictures are told by their names, or by the number at the end of them.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from warpgrasp.bounded import shown
from warpgrasp.checked import LARGEST_SHARE, are_shares, far_outside
from warpgrasp.data.recording.files import Recording
from warpgrasp.data.recording.video import FORMAT_OF
from warpgrasp.errors import DataError
from warpgrasp.hand import FEWEST_JOINTS, FINGERS, JOINTS, Side, other_side
from warpgrasp.named_pictures import PictureFrames, folder_of

LARGEST_PX = 1e6
CORNER_PX = 0.5  # the centre of the top-left pixel, where places count from its corner
# Words of a joint's name, in small letters. Numbers count from the finger's base, the fourth is the tip.
FINGER_WORDS = {finger: finger for finger in FINGERS}
FINGER_WORDS |= {"forefinger": "index", "pointer": "index", "pinky": "little", "pinkie": "little", "small": "little"}
PARTS = {"1": "1", "2": "2", "3": "3", "4": "tip", "tip": "tip"}
THUMB_PARTS = {**PARTS, "cmc": "1", "mcp": "2", "ip": "3"}
FINGER_PARTS = {**PARTS, "mcp": "1", "pip": "2", "dip": "3"}
SIDE_WORDS: dict[str, Side] = {"left": "left", "l": "left", "right": "right", "r": "right"}
MEANINGLESS = {"finger", "hand", "joint"}
SIDE_KEYS = {"side", "hand", "handedness", "laterality", "chirality"}  # words of the names of attributes
WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


@dataclass(frozen=True)
class JointName:
    """A joint of ours, and the hand that its name in a file says it is of, where it says one."""

    joint: str
    side: Side | None


def joint_of(name: str, *, of: str = "") -> JointName | None:
    """The joint that a name in a file means; None where it means none. `of` is the name of the whole hand, if any."""
    words = [word.lower() for word in WORDS.findall(name[:100])]
    stated: set[Side] = {SIDE_WORDS[word] for word in words if word in SIDE_WORDS}
    stated = stated or {SIDE_WORDS[word.lower()] for word in WORDS.findall(of[:100]) if word.lower() in SIDE_WORDS}
    meaning = [word for word in words if word not in SIDE_WORDS and word not in MEANINGLESS]
    fingers = {FINGER_WORDS[word] for word in meaning if word in FINGER_WORDS}
    rest = [word for word in meaning if word not in FINGER_WORDS]
    if len(stated) > 1 or len(fingers) > 1 or len(rest) != 1:
        return None
    side: Side | None = next(iter(stated), None)
    if not fingers:
        return JointName("wrist", side) if rest == ["wrist"] else None
    (finger,) = fingers
    part = (THUMB_PARTS if finger == "thumb" else FINGER_PARTS).get(rest[0])
    return None if part is None else JointName(f"{finger}_{part}", side)


def sides_of(attributes: Iterable[tuple[str, Any]]) -> str:
    """The sides that the attributes of a hand say, as words: `side` is left, or `left_hand` is true."""
    sides = []
    for name, value in attributes:
        words, text = {word.lower() for word in WORDS.findall(name[:100])}, str(value)[:20].strip().lower()
        if text in SIDE_WORDS and words & SIDE_KEYS:
            sides.append(text)
        elif text in ("true", "1"):
            sides += words & SIDE_WORDS.keys()
    return " ".join(sides)


def known_names() -> str:
    """The names of joints for a sentence."""
    return f"{', '.join(JOINTS[:6])} … {JOINTS[-1]}, or MediaPipe's or COCO-WholeBody's names of the same"


@dataclass(frozen=True)
class SeenPixels:
    """The joints of the hand in one frame, by names in the order of `JOINTS`, in the pinhole picture's pixels."""

    joints_px: tuple[tuple[str, Float[np.ndarray, " 2"]], ...]


@dataclass(frozen=True)
class FilePose:
    """The pose of the mesh file's own coordinates in one frame: X = R·x + t, camera space, metres."""

    rotation: Float[np.ndarray, "3 3"]
    translation: Float[np.ndarray, " 3"]


@dataclass(frozen=True)
class StatedLabels:
    """What one file states, by the numbers of the frames."""

    path: Path
    kind: str
    hands: dict[int, SeenPixels] = field(default_factory=dict)
    objects: dict[int, FilePose] = field(default_factory=dict)


@dataclass(frozen=True)
class PlacedJoint:
    """One joint as a file has it: in its own pixels, brought to our count of them, and where it stands."""

    name: JointName
    pixel: Float[np.ndarray, " 2"]


@dataclass
class HandsOfFile:
    """Collects the hands of a file, frame by frame, and checks that each is of one frame and of the right hand."""

    recording: Recording
    path: Path
    _hands: dict[int, SeenPixels] = field(default_factory=dict)
    _places: dict[int, str] = field(default_factory=dict)
    _others: bool = False  # whether some are said to be of the other hand
    _source: str | None = None  # the folder, and the task, of the pictures

    def add(
        self,
        picture: str | int,
        place: str,
        joints: Sequence[PlacedJoint],
        size: tuple[int, int] | None,
        *,
        task: str = "",
    ) -> None:
        """Take the joints of one hand in a picture of a name or number; `size` is (width, height) as the file says.

        Raises `DataError` when no frame, or another hand's, is meant, a joint stands twice, or the pictures are of
        several folders or tasks, in which names and numbers begin anew.
        """
        joints = [joint for joint in joints if joint.name.side in (None, self.recording.side)]
        if not joints:
            self._others = True
            return
        source = f"folder {folder_of(picture) or '-'}, task {task or '-'}"
        if self._source not in (None, source):
            raise DataError(
                f"expected pictures of one recording in {self.path}, found {shown([self._source])} and, for {place}, "
                f"{shown([source])}; keep those of this recording"
            )
        self._source = source
        frame = self._pictures.frame(picture, place)
        lens = self.recording.lens
        if size not in (None, (lens.width, lens.height)):
            raise DataError(
                f"expected joints in pictures of {lens.width}×{lens.height}, as the recording's, for {place} of "
                f"{self.path}, found {size[0]}×{size[1]}"
            )
        if frame in self._hands:
            raise DataError(
                f"expected one {self.recording.side} hand for each frame in {self.path}, found two of frame {frame}: "
                f"{self._places[frame]} and {place}"
            )
        self._hands[frame], self._places[frame] = self._seen(joints, place), place

    def _seen(self, joints: Sequence[PlacedJoint], place: str) -> SeenPixels:
        pixels: dict[str, np.ndarray] = {}
        for joint in joints:
            if joint.name.joint in pixels:
                raise DataError(f"expected each joint once in {place} of {self.path}, found {joint.name.joint} twice")
            pixels[joint.name.joint] = joint.pixel
        names = [name for name in JOINTS if name in pixels]
        bent = np.array([pixels[name] for name in names])
        if not (np.isfinite(bent).all() and (np.abs(bent) <= LARGEST_PX).all()):
            raise DataError(f"expected pixels for the joints in {place} of {self.path}, found {np.abs(bent).max():g}")
        if len(names) >= FEWEST_JOINTS and are_shares(bent):
            raise DataError(
                f"expected pixels for the joints in {place} of {self.path}, found numbers that are all below "
                f"{LARGEST_SHARE}, as shares of a picture are; multiply them by its size"
            )
        size = self.recording.lens.width, self.recording.lens.height
        beyond = far_outside(bent, size)
        if beyond.any():
            raise DataError(
                f"expected joints in a picture of {size[0]}×{size[1]}, or near it, in {place} of {self.path}, found "
                f"{names[beyond.argmax()]} at {bent[beyond.argmax()].tolist()}; are they of pictures of another size?"
            )
        straight = self.recording.lens.straight_px(bent)
        unseen = [name for name, pixel in zip(names, straight, strict=True) if not np.isfinite(pixel).all()]
        if unseen:
            raise DataError(f"expected joints where the lens sees in {place} of {self.path}, found {unseen[0]} beyond")
        return SeenPixels(tuple(zip(names, straight, strict=True)))

    def stated(self, kind: str) -> StatedLabels:
        """All of them. Raises `DataError` when there is none."""
        if not self._hands:
            other = other_side(self.recording.side)
            found = f"those of {other} hands alone; say --side {other}" if self._others else "none"
            raise DataError(f"expected joints of a {self.recording.side} hand in {self.path}, found {found}")
        return StatedLabels(self.path, kind, hands=dict(sorted(self._hands.items())))

    @cached_property
    def _pictures(self) -> PictureFrames:
        return picture_frames(self.recording, self.path)


def picture_frames(recording: Recording, path: Path) -> PictureFrames:
    """The pictures of a recording, for the file at `path`."""
    footage, video = recording.footage, is_video(recording)
    return PictureFrames.of(
        path,
        f"{recording.folder} (frames {footage.numbers[0]} to {footage.numbers[-1]})",
        [] if video else [(footage.file_of(number).name, number) for number in footage.numbers],
        [(number, number) for number in footage.numbers],
        numbered=video or footage.times_s is None,
    )


def is_video(recording: Recording) -> bool:
    """Whether the pictures are the frames of a video."""
    footage = recording.footage
    return footage.file_of(footage.numbers[0]).suffix.lower() in FORMAT_OF


def picture_name(recording: Recording, frame: int) -> str:
    """The name of a frame's picture for other programs: the file's; a video's frame has one that ends by its number."""
    return f"frame_{frame:06d}.png" if is_video(recording) else recording.footage.file_of(frame).name


def unknown_joint(name: Any, place: str, path: Path) -> DataError:
    """The error about a name that is no joint's."""
    return DataError(
        f"expected names of joints ({known_names()}) for {place} in {path}, found {shown([str(name)]) or 'none'}"
    )
