"""The predictions drawn over the pictures, as a video."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from warpgrasp.export.recording import VideoWriter
from warpgrasp.export.sequence import Take
from warpgrasp.geometry import Camera
from warpgrasp.report import overlay
from warpgrasp.scene import Scene

MARGIN_PX = 4  # about what is drawn: outlines reach one pixel
DOUBTFUL = (220, 30, 30)  # the colour of the border of flagged frames
BORDER_SHARE = 1 / 80  # of the height


def write_film(take: Take, path: Path) -> None:
    """Write an MP4 of the pictures' own size and times; flagged frames have a red border.

    Sizes that H.264 does not take are cut by a column or a row at the right or below. The take has
    pictures.
    """
    assert take.pictures is not None
    film: VideoWriter | None = None
    try:
        for place, (name, scene) in enumerate(take.scenes()):
            picture, camera = take.pictures(name)
            drawn = drawn_over(picture, scene, camera)
            if take.flags[place]:
                drawn = bordered(drawn)
            height, width = (side - side % 2 for side in drawn.shape[:2])
            if film is None:
                film = VideoWriter(path, (width, height))
            film.add(np.ascontiguousarray(drawn[:height, :width]), time_s=float(take.times_s[place]))
    finally:
        if film is not None:
            film.__exit__(None, None, None)


def drawn_over(picture: UInt8[np.ndarray, "h w 3"], scene: Scene, camera: Camera) -> UInt8[np.ndarray, "h w 3"]:
    """The picture with the scene over it. Only the part that the scene covers is gone over."""
    pixels = camera.project(scene.mesh.vertices[0])
    last = torch.tensor([camera.width, camera.height])
    low = (pixels.amin(dim=0).floor().long() - MARGIN_PX).clamp_min(0)
    high = torch.minimum((pixels.amax(dim=0).ceil().long() + MARGIN_PX + 1), last)
    if not bool((high > low).all()):
        return picture
    (left, top), (right, bottom) = low.tolist(), high.tolist()
    shift = torch.eye(3)
    shift[:2, 2] = -low.float()
    part = camera.transformed(shift, width=right - left, height=bottom - top)
    cut = np.ascontiguousarray(picture[top:bottom, left:right].transpose(2, 0, 1))
    drawn = overlay(torch.from_numpy(cut).float() / 255, scene, part, scale=1)
    whole = picture.copy()
    whole[top:bottom, left:right] = (255 * drawn).round().byte().permute(1, 2, 0).numpy()
    return whole


def bordered(picture: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """The picture with a border that says that the frame is doubtful."""
    width, marked = max(2, round(BORDER_SHARE * len(picture))), picture.copy()
    for edge in (np.s_[:width], np.s_[-width:], np.s_[:, :width], np.s_[:, -width:]):
        marked[edge] = DOUBTFUL
    return marked
