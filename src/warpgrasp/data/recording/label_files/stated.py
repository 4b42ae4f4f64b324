"""What labelling programs state of frames, in our terms: joints by name, in pixels; poses of the object, in metres.

Names of joints are told from their words: `thumb_1`, `THUMB_CMC`, `right_thumb1`, `forefinger 4`, `PINKY_TIP` are all
known. Pictures are told by their names, or by the number at the end of them.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from warpgrasp.bounded import shown
from warpgrasp.data.recording.files import Recording
from warpgrasp.data.recording.picture_names import number_at_end
from warpgrasp.data.recording.video import FORMAT_OF
from warpgrasp.errors import DataError
from warpgrasp.hand import FINGERS, JOINTS, Side

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
WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
# Label Studio puts eight characters before the name of a picture that was uploaded.
UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")


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

    def add(self, picture: str | int, place: str, joints: Sequence[PlacedJoint], size: tuple[int, int] | None) -> None:
        """Take the joints of one hand in a picture of a name or number; `size` is (width, height) as the file says.

        Raises `DataError` when no frame, or another hand's, is meant, or a joint stands twice.
        """
        joints = [joint for joint in joints if joint.name.side in (None, self.recording.side)]
        if not joints:
            self._others = True
            return
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
        straight = self.recording.lens.straight_px(bent)
        unseen = [name for name, pixel in zip(names, straight, strict=True) if not np.isfinite(pixel).all()]
        if unseen:
            raise DataError(f"expected joints where the lens sees in {place} of {self.path}, found {unseen[0]} beyond")
        return SeenPixels(tuple(zip(names, straight, strict=True)))

    def stated(self, kind: str) -> StatedLabels:
        """All of them. Raises `DataError` when there is none."""
        if not self._hands:
            other = "left" if self.recording.side == "right" else "right"
            found = f"those of {other} hands alone; say --side {other}" if self._others else "none"
            raise DataError(f"expected joints of a {self.recording.side} hand in {self.path}, found {found}")
        return StatedLabels(self.path, kind, hands=dict(sorted(self._hands.items())))

    @cached_property
    def _pictures(self) -> "PictureFrames":
        return PictureFrames.of(self.recording, self.path)


@dataclass(frozen=True)
class PictureFrames:
    """Which frame of a recording a picture in a file is: by its name, its name's stem, or the number that ends it."""

    folder: Path
    path: Path
    numbers: Sequence[int]
    names: dict[str, list[int]]  # of picture files and their stems; none of a video's frames
    numbered: bool  # whether a number in another name is a frame's: not where pictures are named by times

    @staticmethod
    def of(recording: Recording, path: Path) -> "PictureFrames":
        """The pictures of a recording, for the file at `path`."""
        footage, names = recording.footage, {}
        for number in () if is_video(recording) else footage.numbers:
            name = footage.file_of(number).name
            for key in {name, Path(name).stem}:
                names.setdefault(key, []).append(number)
        return PictureFrames(recording.folder, path, footage.numbers, names, not names or footage.times_s is None)

    def frame(self, picture: str | int, place: str) -> int:
        """The frame's number. Raises `DataError` when none, or more than one, is meant."""
        found = [picture] if isinstance(picture, int) else list(self._meant(picture))
        found = [number for number in found if number in self._known]
        if len(found) != 1:
            stated = str(picture) if isinstance(picture, int) else shown([picture])
            raise DataError(
                f"expected the name or number of one picture of {self.folder} (frames {self.numbers[0]} to "
                f"{self.numbers[-1]}) for {place} of {self.path}, found {stated}, which is "
                f"{'none of them' if not found else 'any of the frames ' + ', '.join(map(str, found[:8]))}"
            )
        return found[0]

    @cached_property
    def _known(self) -> frozenset[int]:
        return frozenset(self.numbers)

    def _meant(self, picture: str) -> Iterator[int]:
        before, *query = picture.split("?", 1)  # of an address: the picture's name is before it, or its last value
        last = re.split(r"[/\\]", before if query and Path(before).suffix else picture)[-1]
        names = [last, re.split(r"[=?&]", last)[-1]]
        names += [UPLOADED.sub("", name) for name in names]
        for name in names:
            for key in (name, Path(name).stem):
                if key in self.names:
                    return iter(self.names[key])
        number = number_at_end(Path(names[-1]).stem)
        return iter([] if number is None or not self.numbered else [number])


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
