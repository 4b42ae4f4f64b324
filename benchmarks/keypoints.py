"""Hands in pictures: from nothing to a fitted hand, and the frames of a video one after the other."""

from collections.abc import Iterator

import cv2
import numpy as np
from PIL import Image

from benchmarks.measure import Case
from benchmarks.scale import Scale
from benchmarks.scenes import usual_camera
from warpgrasp.data.sample import unpack_shipped
from warpgrasp.files import cache_folder
from warpgrasp.geometry import Camera
from warpgrasp.hand import HandModel, open_hand
from warpgrasp.keypoints import MediaPipeDetector, Picture, find_hand, hand_from_keypoints, usual_offsets

SIZE = (640, 480)
SEQUENCES = {"plain": "MB2", "mistaken at first": "CB1"}  # the second is looked at again, its square turned
TRACKED = 20


def cases(scale: Scale) -> Iterator[Case]:
    detector, hand = MediaPipeDetector(), HandModel(open_hand())
    several = usual_camera(*SIZE, 1)
    camera = Camera(several.intrinsics[0], *SIZE)
    size = f"{SIZE[0]}×{SIZE[1]}"
    for what, sequence in SEQUENCES.items():
        picture = shipped_pictures(sequence, 1)[0]

        def found(picture: Picture = picture) -> None:
            seen = find_hand(detector, picture, "right")
            assert seen is not None
            hand_from_keypoints(hand, seen.keypoints, camera=camera, offsets=usual_offsets())

        def searched(picture: Picture = picture) -> None:
            detector.detect(picture[None])

        runs = {"ours": found, "the detector alone": searched}
        yield Case(f"finding the hand, {what}", size, "picture", 1, runs)
    frames = shipped_pictures(SEQUENCES["plain"], TRACKED if scale.name == "paper" else 2)

    def tracked() -> None:
        assert all(detector.track(frames))

    def anew() -> None:
        for frame in frames:
            detector.detect(frame[None])

    yield Case("tracking the hand", size, "frame", len(frames), {"ours": tracked, "each picture searched": anew})


def shipped_pictures(sequence: str, count: int) -> list[Picture]:
    """The first frames of a shipped sequence, enlarged."""
    folder = unpack_shipped(cache_folder() / "sample") / "train" / sequence / "rgb"
    files = sorted(folder.iterdir())[:count]
    read = (np.asarray(Image.open(file).convert("RGB")) for file in files)
    return [np.asarray(cv2.resize(picture, SIZE, interpolation=cv2.INTER_CUBIC)) for picture in read]
