"""Keypoints of a row of pictures in one file, and the cache of them in the user's cache folder.

A keypoints file is a compressed `.npz` of the arrays of `ARRAYS`, one row for each hand, and `header`, JSON with the
format, the detector's identity and the number of pictures. The cache's files are named by a hash of the detector's
identity and of the pictures' content; nothing is ever written beside the pictures.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Shaped

from warpgrasp.archive import Archive, array_in_file
from warpgrasp.bounded import parse_json
from warpgrasp.errors import DataError
from warpgrasp.files import cache_folder, replacing
from warpgrasp.keypoints.hands import HandBox, HandKeypoints, KeypointDetector, Picture

FORMAT = "warpgrasp-keypoints-1"
LARGEST_BYTES = 2**28  # of the arrays of a file, together
MOST_PICTURES = 5_000_000  # two days of video
LARGEST_NUMBER = 1e30
ARRAYS = {  # of each hand: the shape of a row
    "joints_px": (21, 2),
    "confidence": (21,),
    "relative_depth_px": (21,),
    "presence": (),
    "right_probability": (),
    "box": (4,),  # centre (pixels), side (pixels), turn (radians; NaN where it is not known)
}

Mode = Literal["detect", "track"]


@dataclass(frozen=True)
class KeypointsFile:
    """What a keypoints file holds."""

    identity: str
    hands: list[list[HandKeypoints]]


def write_keypoints(path: Path, hands: Sequence[Sequence[HandKeypoints]], identity: str) -> None:
    """Replace a file by the hands of each picture, and who says so."""
    rows = [hand for picture_hands in hands for hand in picture_hands]
    header = {"format": FORMAT, "identity": identity, "pictures": len(hands)}
    picture = [number for number, picture_hands in enumerate(hands) for _ in picture_hands]
    arrays = {
        name: np.array([_row(hand, name) for hand in rows], np.float64 if name == "box" else np.float32)
        for name in ARRAYS
    }
    shaped = {name: array.reshape(len(rows), *ARRAYS[name]) for name, array in arrays.items()}
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file, header=np.array(json.dumps(header)), picture=np.array(picture, np.int64), allow_pickle=False, **shaped
        )


def _row(hand: HandKeypoints, name: str) -> Any:
    if name == "box":
        return [*hand.box.centre_px, hand.box.side_px, math.nan if hand.box.turn is None else hand.box.turn]
    value = getattr(hand, name)
    return value.tolist() if isinstance(value, torch.Tensor) else value


def read_keypoints_file(path: Path) -> KeypointsFile:
    """The hands of each picture of a keypoints file. Raises `DataError` naming the file when it is not a whole one."""
    return keypoints_of_arrays(path, read_arrays(path))


def keypoints_of_arrays(path: Path, arrays: Mapping[str, Shaped[np.ndarray, "..."]]) -> KeypointsFile:
    """The same from the file's arrays."""
    try:
        header = parse_json(str(arrays["header"]))
        identity, count = header["identity"], header["pictures"]
        whole = header["format"] == FORMAT and isinstance(identity, str) and type(count) is int
    except (ValueError, LookupError, TypeError) as error:
        raise DataError(f"expected a keypoints file ({FORMAT}) in {path}, but its header cannot be read") from error
    if not whole or not 0 <= count <= MOST_PICTURES:
        raise DataError(f"expected a keypoints file ({FORMAT}) in {path}, found another header: {str(header)[:200]}")
    picture = arrays.get("picture", np.zeros(0))
    rows = picture.shape[0] if picture.ndim == 1 else 0
    if picture.dtype != np.int64 or picture.ndim != 1 or (rows and not 0 <= picture.min() <= picture.max() < count):
        raise DataError(f"expected the number of a picture below {count} for each hand in `picture` of {path}")
    for name, shape in ARRAYS.items():
        _check_rows(path, name, arrays.get(name, np.zeros(0)), (rows, *shape))
    hands: list[list[HandKeypoints]] = [[] for _ in range(count)]
    for row, number in enumerate(picture.tolist()):
        hands[number].append(_hand({name: arrays[name][row] for name in ARRAYS}))
    return KeypointsFile(identity, hands)


def _check_rows(path: Path, name: str, array: Shaped[np.ndarray, "..."], shape: tuple[int, ...]) -> None:
    if array.shape != shape or array.dtype.kind != "f":
        raise DataError(f"expected numbers of shape {shape} in {name} of {path}, found {array.dtype} {array.shape}")
    finite = array[:, :3] if name == "box" else array
    if not np.isfinite(finite).all():
        raise DataError(f"expected finite numbers in {name} of {path}, found NaN or infinity")
    if name in ("confidence", "presence", "right_probability") and ((array < 0) | (array > 1)).any():
        raise DataError(f"expected numbers from 0 to 1 in {name} of {path}")


def _hand(row: Mapping[str, Shaped[np.ndarray, "..."]]) -> HandKeypoints:
    x, y, side, turn = (float(value) for value in row["box"])
    joints, confidence, depth = (
        torch.from_numpy(np.array(row[name], np.float32)) for name in ("joints_px", "confidence", "relative_depth_px")
    )
    box = HandBox((x, y), side, None if math.isnan(turn) else turn)
    return HandKeypoints(joints, confidence, float(row["presence"]), float(row["right_probability"]), depth, box)


def read_arrays(path: Path) -> dict[str, Shaped[np.ndarray, "..."]]:
    """The arrays of an `.npz` or `.npy`, the latter's by the name `array`, of at most 256 MiB; no Python objects.

    Raises `DataError` naming the file when it cannot be read.
    """
    try:
        if path.suffix == ".npy":
            return {"array": array_in_file(path, LARGEST_BYTES)}
        with Archive.opened(path) as archive:
            if sum(map(archive.bytes_of, archive.names)) > LARGEST_BYTES:
                raise DataError(f"expected arrays of keypoints of at most 256 MiB in {path}, found larger ones")
            return {name: archive.read(name) for name in archive.names}
    except FileNotFoundError as error:
        raise DataError(f"expected a file of keypoints, found no file {path}") from error


def cached_keypoints(
    detector: KeypointDetector, pictures: Iterable[Picture], *, mode: Mode = "track", folder: Path | None = None
) -> list[list[HandKeypoints]]:
    """The hands of each picture: from the cache where these pictures were seen by this detector, else detected.

    `pictures` is iterated once for their hash, and again when they are not in the cache, so it is no generator.
    `folder` is the user's cache unless it is given. Raises `DataError` when the cache's file is spoilt.
    """
    if iter(pictures) is pictures:
        raise DataError("expected pictures that can be gone through twice, got an iterator; pass a list of them")
    path = (folder or cache_folder() / "keypoints") / f"{_digest(detector.identity, mode, pictures)}.npz"
    if path.is_file():
        try:
            return read_keypoints_file(path).hands
        except DataError as error:
            raise DataError(f"{error}; this file of the cache is spoilt: remove it") from error
    if mode == "track":
        hands = list(detector.track(pictures))
    else:
        hands = [picture_hands for picture in pictures for picture_hands in detector.detect(picture[None])]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_keypoints(path, hands, detector.identity)
    return hands


def _digest(identity: str, mode: Mode, pictures: Iterable[Picture]) -> str:
    digest = hashlib.sha256(json.dumps([FORMAT, identity, mode]).encode())
    for picture in pictures:
        digest.update(f"{picture.shape}".encode() + np.ascontiguousarray(picture).tobytes())
    return digest.hexdigest()[:32]


def floats(
    path: Path, arrays: Mapping[str, Shaped[np.ndarray, "..."]], key: str, shape: tuple[int, ...]
) -> Float[np.ndarray, "..."]:
    """Numbers of a shape; an axis of length 1 behind the first may be there or not. NaN stands for what is not seen.

    Raises `DataError` naming the file for another array.
    """
    array = arrays.get(key)
    if array is None:
        raise DataError(f"expected the array {key} in {path}, found {', '.join(sorted(arrays))[:200] or 'none'}")
    lengths, tail = ([length for length in axes if length != 1] for axes in (array.shape, shape[1:]))
    count = lengths[0] if len(lengths) > len(tail) else 1
    if array.dtype.kind not in "iuf" or lengths not in (tail, [count, *tail]) or shape[0] not in (-1, count):
        raise DataError(f"expected numbers of shape {shape} in {key} of {path}, found {array.dtype} {array.shape}")
    numbers = array.astype(np.float64).reshape(count, *shape[1:])
    if (np.abs(numbers[np.isfinite(numbers)]) > LARGEST_NUMBER).any():
        raise DataError(f"expected numbers of at most {LARGEST_NUMBER:g} in {key} of {path}, found larger ones")
    return numbers
