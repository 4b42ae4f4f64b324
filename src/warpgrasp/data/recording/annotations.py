"""`annotations.json`: hand and object in a few frames of a recording; read with every number checked, and written.

Everything is in OpenCV camera axes, metres and radians. A label's hand is either the parameters of the named hand model
(X = model(pose, shape) + translation; the wrist stays where the shape puts it, as in MANO) or its 21 joints by name.
The object's rotation (axis-angle) and translation act on the mesh file's own coordinates in metres: X = R·x + t.
All labels are of one hand, the right one unless the file's `side` says `left`; or its `hands` says `both`, and each
frame has either or both of them beside the one object.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float

from warpgrasp.checked import Entry, read_json_object
from warpgrasp.errors import DataError
from warpgrasp.files import write_document
from warpgrasp.hand import JOINTS, Side, other_side

FORMAT = "warpgrasp-annotations-1"
ANNOTATIONS_FILE = "annotations.json"
Use = Literal["train", "evaluation"]
USES: tuple[Use, ...] = get_args(Use)
SIDES: tuple[Side, ...] = get_args(Side)
BOTH = "both"
POSE_COUNT = 48  # the whole hand's rotation, then the 15 joints', in the order of MANO_JOINTS
OF_JOINTS = " of the whole hand, then of each of its 15 joints: no coefficients of principal components"
LARGEST_LABELS_BYTES = 128_000_000  # a label takes about 2 kB: sixty thousand of them
LARGEST_FRAME = 10_000_000
LARGEST_TURN = 2.001 * np.pi  # radians; a vector that turns farther than a whole turn is probably in degrees
LARGEST_SHAPE = 20.0  # standard deviations
LARGEST_DISTANCE_M = 10.0  # of hand and object from the camera
LIKELY_DISTANCES_M = 0.1, 3.0


@dataclass(frozen=True)
class HandParameters:
    """A hand by the parameters of the model that the file names."""

    pose: Float[np.ndarray, " 48"]
    shape: Float[np.ndarray, " s"]
    translation: Float[np.ndarray, " 3"]


@dataclass(frozen=True)
class HandJoints:
    """A hand by its joints in camera space, in the order of `JOINTS`."""

    joints: Float[np.ndarray, "21 3"]


@dataclass(frozen=True)
class Label:
    """Hand and object in one frame, as the file states them."""

    frame: int
    hand: HandParameters | HandJoints
    object_rotation: Float[np.ndarray, " 3"]
    object_translation: Float[np.ndarray, " 3"]
    use: Use = "train"


@dataclass(frozen=True)
class AnnotationFile:
    """The labels of a recording, by ascending frame, whose hand they are, and the hand model of their parameters."""

    hand_model: str | None  # None when every hand is given by its joints
    labels: tuple[Label, ...]
    side: Side = "right"
    other: "AnnotationFile | None" = None
    """The labels of the other hand, where the file is of both; in frames of both the object's pose is the same."""

    @property
    def sides(self) -> tuple[Side, ...]:
        """The hands that it is of."""
        return (self.side,) if self.other is None else SIDES

    def of_side(self, side: Side) -> "AnnotationFile":
        """The same with the labels of that hand first. Raises `ValueError` when it is not of that hand."""
        if side == self.side:
            return self
        if self.other is None:
            raise ValueError(f"expected labels of the {side} hand, found those of the {self.side} one alone")
        return replace(self.other, other=replace(self, other=None))

    def of_both(self, side: Side) -> "AnnotationFile":
        """The same as labels of both hands, those of `side` first; of a hand there may be none."""
        other = self.other or AnnotationFile(None, (), other_side(self.side))
        return replace(self, other=other).of_side(side)


def read_annotations(folder: Path) -> AnnotationFile:
    """Read a recording's `annotations.json`, or no labels where there is no such file; of both hands the right first.

    Raises `DataError` naming the file, the label and the fact.
    """
    path = folder / ANNOTATIONS_FILE
    if not path.exists() and not path.is_symlink():
        return AnnotationFile(None, ())
    entry = read_json_object(path, FORMAT, largest_bytes=LARGEST_LABELS_BYTES)
    if not entry.has("hands"):
        entry.only("format", "hand_model", "side", "frames")
        side = entry.choice("side", SIDES) if entry.has("side") else "right"
        return _of_side(
            side, entry, "hand_model", _each_once(path, [_label(frame) for frame in entry.entries("frames")])
        )
    entry.only("format", "hands", "hand_models", "frames")
    entry.choice("hands", (BOTH,))
    models = entry.entry("hand_models") if entry.has("hand_models") else Entry({}, path, "hand_models")
    models.only(*SIDES)
    frames = [_labels_of_both(frame) for frame in entry.entries("frames")]
    _each_once(path, [next(iter(labels.values())) for labels in frames])
    right, left = (
        _of_side(side, models, side, [labels[side] for labels in frames if side in labels]) for side in SIDES
    )
    return replace(right, other=left)


def _each_once(path: Path, labels: list[Label]) -> list[Label]:
    """The labels, if each is of another frame."""
    for first, second in pairwise(sorted(label.frame for label in labels)):
        if first == second:
            raise DataError(f"expected each frame once in {path}, found frame {first} twice")
    return labels


def _of_side(side: Side, models: Entry, model: str, labels: Sequence[Label]) -> AnnotationFile:
    """One hand's labels, in order; `models` names its model under the key `model`."""
    by_parameters = any(isinstance(label.hand, HandParameters) for label in labels)
    ordered = sorted(labels, key=lambda label: label.frame)
    return AnnotationFile(models.text(model) if by_parameters or models.has(model) else None, tuple(ordered), side)


def _label(entry: Entry) -> Label:
    entry.only("frame", "hand", "object", "use")
    return _label_with(entry.entry("hand"), entry)


def _labels_of_both(entry: Entry) -> dict[Side, Label]:
    """The labels of a frame by their hands: of one, or of both."""
    entry.only("frame", "hands", "object", "use")
    hands = entry.entry("hands")
    hands.only(*SIDES)
    labels: dict[Side, Label] = {side: _label_with(hands.entry(side), entry) for side in SIDES if hands.has(side)}
    if not labels:
        raise DataError(f"expected right, left or both for {entry.where('hands')}, found neither")
    return labels


def _label_with(hand: Entry, entry: Entry) -> Label:
    """The label of one hand in a frame's entry."""
    target = entry.entry("object")
    target.only("rotation", "translation")
    return Label(
        entry.whole("frame", least=0, most=LARGEST_FRAME),
        _joints(hand) if hand.has("joints") else _parameters(hand),
        _angles(target, "rotation", 3),
        _translation(target),
        entry.choice("use", USES) if entry.has("use") else "train",
    )


def _parameters(entry: Entry) -> HandParameters:
    entry.only("pose", "shape", "translation")
    shape = entry.numbers("shape", (-1,))
    if (np.abs(shape) > LARGEST_SHAPE).any():
        raise DataError(
            f"expected shape parameters within ±{LARGEST_SHAPE:g} for {entry.where('shape')}, "
            f"found {shape[np.abs(shape).argmax()]:g}"
        )
    return HandParameters(_angles(entry, "pose", POSE_COUNT), shape, _translation(entry))


def _joints(entry: Entry) -> HandJoints:
    entry.only("joints")
    if isinstance(entry.value("joints"), list):
        raise DataError(
            f'expected joints by name for {entry.where("joints")}, {{"wrist": [x, y, z], "thumb_1": …}}, found a list'
        )
    named = entry.entry("joints")
    named.only(*JOINTS)
    joints = np.stack([named.numbers(joint, (3,)) for joint in JOINTS])
    depths = joints[:, 2]
    if not ((depths > 0).all() and (np.abs(joints) < LARGEST_DISTANCE_M).all()):
        raise DataError(
            f"expected joints in metres, in front of the camera, for {entry.where('joints')}, found depths from "
            f"{depths.min():g} to {depths.max():g}{_likely_units(float(np.median(depths)))}"
        )
    return HandJoints(joints)


def _angles(entry: Entry, key: str, count: int) -> np.ndarray:
    """Axis-angle vectors, one after the other."""
    try:
        angles = entry.numbers(key, (count,))
    except DataError as error:
        raise DataError(f"{error}; wanted is an axis-angle vector in radians{OF_JOINTS * (count > 3)}") from error
    turn = np.linalg.norm(np.clip(angles, -1e6, 1e6).reshape(-1, 3), axis=1).max()  # without overflow
    if turn > LARGEST_TURN:
        raise DataError(
            f"expected axis-angle vectors in radians for {entry.where(key)}, found one that turns by {turn:g}, more "
            f"than a whole turn; are these degrees?"
        )
    return angles


def _translation(entry: Entry) -> np.ndarray:
    translation = entry.numbers("translation", (3,))
    if (np.abs(translation) > LARGEST_DISTANCE_M).any():
        raise DataError(
            f"expected metres for {entry.where('translation')}, found {translation.tolist()}"
            f"{_likely_units(float(np.abs(translation).max()))}"
        )
    return translation


def _likely_units(distance: float) -> str:
    """A question whether a distance is in millimetres or centimetres, if that makes it plausible; otherwise nothing."""
    for name, metres in (("millimetres", 0.001), ("centimetres", 0.01)):
        if LIKELY_DISTANCES_M[0] < distance * metres < LIKELY_DISTANCES_M[1]:
            return f"; are these {name} ({distance * metres:.2f} m)?"
    return ""


def write_annotations(
    folder: Path,
    labels: Sequence[Label],
    *,
    hand_model: str | None,
    side: Side = "right",
    other: AnnotationFile | None = None,
) -> None:
    """Write a recording's `annotations.json`, whole or not at all.

    `hand_model` names the model of the labels' parameters, `side` says whose hand it is. With `other`, the labels of
    the other hand, the file is of both. Raises `DataError` for numbers that are not finite, and for frames that are
    labelled in both with different poses of the object, or for different uses.
    """
    if other is None:
        frames = [_written(label, {"hand": _written_hand(label)}) for label in labels]
        named = {} if hand_model is None else {"hand_model": hand_model}
        named |= {} if side == "right" else {"side": side}
    else:
        frames = _written_both(folder, {side: labels, other.side: other.labels})
        models = {side: hand_model, other.side: other.hand_model}
        named = {"hands": BOTH, "hand_models": {key: models[key] for key in SIDES if models[key] is not None}}
    ordered = sorted(frames, key=lambda frame: frame["frame"])
    write_document(folder / ANNOTATIONS_FILE, {"format": FORMAT, **named, "frames": ordered})


def _written_both(folder: Path, labels: Mapping[Side, Sequence[Label]]) -> list[dict[str, Any]]:
    """The frames that have a label of either hand, each once."""
    frames: dict[int, dict[str, Any]] = {}
    for side in SIDES:
        for label in labels[side]:
            frame = frames.setdefault(label.frame, _written(label, {"hands": {}}))
            if frame != _written(label, {"hands": frame["hands"]}):
                raise DataError(
                    f"expected one pose of the object, and one use, of frame {label.frame} for both hands to write to "
                    f"{folder / ANNOTATIONS_FILE}, got two"
                )
            frame["hands"][side] = _written_hand(label)
    return list(frames.values())


def _written(label: Label, hands: Mapping[str, Any]) -> dict[str, Any]:
    target = {"rotation": label.object_rotation.tolist(), "translation": label.object_translation.tolist()}
    return {"frame": label.frame, "use": label.use, **hands, "object": target}


def _written_hand(label: Label) -> dict[str, Any]:
    match label.hand:
        case HandParameters(pose, shape, translation):
            return {"pose": pose.tolist(), "shape": shape.tolist(), "translation": translation.tolist()}
        case HandJoints(joints):
            return {"joints": dict(zip(JOINTS, joints.tolist(), strict=True))}
