"""The video: decoded again, what is drawn in it lies where the meshes are seen."""

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation, binary_erosion

from tests.export.predicted_sequences import predictions_by, sequence_of
from tests.oracles.silhouette import covered
from warpgrasp.export.sequence import SequenceError
from warpgrasp.export.video import check_video, drawn_over, write_video
from warpgrasp.frame import FrameName
from warpgrasp.geometry.camera import Camera
from warpgrasp.hand.model import HandModel

PAPER = 255
DRAWN = 228  # what is drawn is darker, half transparent or not
NEXT_PIXELS = np.ones((3, 3), dtype=bool)


def camera(width: int, height: int) -> Camera:
    matrix = [[0.9 * width, 0, width / 2 + 9], [0, 0.85 * width, height / 2 - 7], [0, 0, 1]]
    return Camera(torch.tensor(matrix), width, height)


def on_paper(of: Camera) -> object:
    return lambda name: (np.full((of.height, of.width, 3), PAPER, np.uint8), of)


def brightness(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]


@pytest.mark.parametrize("size", [(320, 240), (321, 241)])
def test_outlines_are_where_they_belong_to_the_pixel(hand: HandModel, tmp_path: Path, size: tuple[int, int]) -> None:
    of = camera(*size)
    sequence = sequence_of(hand, predictions_by(hand), pictures=on_paper(of), camera=of)
    write_video(sequence, tmp_path / "film.mp4")
    frames = brightness(tmp_path / "film.mp4")
    assert len(frames) == 3
    for frame, (_, scene) in zip(frames, sequence.scenes(), strict=True):
        assert frame.shape == (240, 320)
        expected = covered(scene.mesh.vertices[0], scene.mesh.faces[0], of.intrinsics, *size)[:240, :320]
        assert expected.sum() > 1000
        seen = frame < DRAWN
        assert not (seen & ~binary_dilation(expected, NEXT_PIXELS)).any()
        assert not (binary_erosion(expected, NEXT_PIXELS, border_value=1) & ~seen).any()


def test_only_the_covered_part_is_gone_over(hand: HandModel) -> None:
    of = camera(320, 240)
    _, scene = next(sequence_of(hand, predictions_by(hand)).scenes())
    picture = np.random.default_rng(0).integers(0, 255, (240, 320, 3), dtype=np.uint8)
    drawn = drawn_over(picture, scene, of)
    away = ~binary_dilation(covered(scene.mesh.vertices[0], scene.mesh.faces[0], of.intrinsics, 320, 240), NEXT_PIXELS)
    np.testing.assert_array_equal(drawn[away], picture[away])
    assert (drawn != picture).any()
    behind = replace(scene, mesh=scene.mesh.with_vertices(scene.mesh.vertices + torch.tensor([50.0, 0, 0])))
    np.testing.assert_array_equal(drawn_over(picture, behind, of), picture)


def test_doubtful_frames_have_a_red_border(hand: HandModel, tmp_path: Path) -> None:
    of = camera(320, 240)
    predictions = replace(predictions_by(hand), flags=np.array([0, 1, 0], np.uint8))
    write_video(sequence_of(hand, predictions, pictures=on_paper(of), camera=of), tmp_path / "film.mp4")
    with av.open(str(tmp_path / "film.mp4")) as container:
        corners = [frame.to_ndarray(format="rgb24")[1, 1].astype(int) for frame in container.decode(video=0)]
    for number, (red, green, _) in enumerate(corners):
        assert (red - green > 100) == (number == 1)


def test_names_reach_the_pictures(hand: HandModel, tmp_path: Path) -> None:
    asked: list[FrameName] = []
    of = camera(64, 48)

    def pictures(name: FrameName) -> tuple[np.ndarray, Camera]:
        asked.append(name)
        return np.zeros((48, 64, 3), np.uint8), of

    predictions = replace(predictions_by(hand), index=np.array([4, 9, 12]))
    write_video(sequence_of(hand, predictions, pictures=pictures, camera=of), tmp_path / "film.mp4")
    assert asked == [FrameName("A", 4), FrameName("A", 9), FrameName("A", 12)]


def test_a_gap_that_no_video_holds_is_refused(hand: HandModel, tmp_path: Path) -> None:
    of, far = camera(32, 24), np.array([0.0, 1.0, 40_000.0])
    predictions = replace(predictions_by(hand), time_s=far)
    sequence = sequence_of(hand, predictions, pictures=on_paper(of), camera=of)
    with pytest.raises(SequenceError, match="less than 30000 s apart for a video, found 39999"):
        check_video(sequence, tmp_path / "a.mp4")
    check_video(replace(sequence, predictions=replace(predictions, time_s=far / 2)), tmp_path / "a.mp4")
