"""`camera.json`: both ways of giving K, and undistortion of known dots."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.recording.recording_files import edit
from warpgrasp.cli import main
from warpgrasp.data.recording.camera import read_lens, write_lens
from warpgrasp.data.recording.dataset import Recordings
from warpgrasp.data.recording.lens import Lens
from warpgrasp.errors import DataError
from warpgrasp.frame import FrameName

K = np.array([[260.0, 0, 161.3], [0, 255.0, 117.8], [0, 0, 1]])


def distorted_px(pixels: np.ndarray, distortion: tuple[float, ...]) -> np.ndarray:
    """Brown's model as OpenCV's documentation writes it."""
    k1, k2, p1, p2, k3 = distortion
    x, y = (pixels[:, 0] - K[0, 2]) / K[0, 0], (pixels[:, 1] - K[1, 2]) / K[1, 1]
    r2 = x**2 + y**2
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    bent_x = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x**2)
    bent_y = y * radial + p1 * (r2 + 2 * y**2) + 2 * p2 * x * y
    return np.stack([K[0, 0] * bent_x + K[0, 2], K[1, 1] * bent_y + K[1, 2]], axis=1)


@pytest.mark.parametrize("distortion", [(-0.25, 0.08, 0.003, -0.002, 0.01), (0.2, -0.05, -0.002, 0.003, 0.0)])
def test_dots_land_where_the_pinhole_says(small: Path, hand, distortion: tuple[float, ...]) -> None:
    dots = np.stack(np.meshgrid(np.linspace(40, 280, 7), np.linspace(35, 205, 5)), axis=-1).reshape(-1, 2) + 0.37
    bent = distorted_px(dots, distortion)
    assert np.linalg.norm(bent - dots, axis=1).max() > 5
    v, u = np.mgrid[:240, :320]
    picture = sum(np.exp(-((u - x) ** 2 + (v - y) ** 2) / (2 * 1.5**2)) for x, y in bent)
    (small / "video.mp4").unlink()
    (small / "annotations.json").unlink()
    (small / "frames").mkdir()
    grey = (255 * np.minimum(picture, 1)).round().astype(np.uint8)
    Image.fromarray(np.repeat(grey[..., None], 3, axis=2)).save(small / "frames" / "0.png")
    write_lens(small, Lens(K, 320, 240, distortion))
    frame = Recordings(small, hand).frame(FrameName("small", 0), annotated=False)
    np.testing.assert_allclose(frame.camera.intrinsics.numpy(), K, rtol=1e-6)
    image = frame.image[0].double().numpy()
    for x, y in dots:
        near = (np.abs(u - x) < 8) & (np.abs(v - y) < 8)
        weight = np.where(near, image, 0)
        centre = np.array([(weight * u).sum(), (weight * v).sum()]) / weight.sum()
        assert np.linalg.norm(centre - (x, y)) < 0.1


def test_the_matrix_and_four_numbers_are_the_same(tmp_path: Path) -> None:
    write_lens(tmp_path, Lens(K, 320, 240))
    plain = read_lens(tmp_path)

    def to_matrix(content: dict) -> None:
        for name in ("fx", "fy", "cx", "cy"):
            del content[name]
        content["matrix"] = K.tolist()

    edit(tmp_path / "camera.json", to_matrix)
    np.testing.assert_array_equal(read_lens(tmp_path).intrinsics, plain.intrinsics)
    np.testing.assert_array_equal(plain.intrinsics, K)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"focal": 3}, r"unknown key 'focal'"),
        ({"fx": "500"}, r"a number for fx in .*camera\.json, found '500'"),
        ({"fx": True}, r"a number for fx"),
        ({"fx": float("nan")}, r"finite numbers for fx"),
        ({"fx": 10**400}, r"finite numbers for fx|expected JSON"),
        ({"fx": -260}, r"focal lengths in pixels"),
        ({"fx": 0.8}, r"focal lengths in pixels"),
        ({"cx": 50000}, r"principal point within 16384 pixels of the picture"),
        ({"width": 320.5}, r"a whole number from 1 to \d+ for width"),
        ({"width": 0}, r"a whole number from 1"),
        ({"matrix": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}, r"either matrix or fx, fy, cx, cy in .*found both"),
        ({"distortion": [0.1]}, r"4, 5, 8, 12, 14 coefficients"),
        ({"distortion": [0.1, 0, 0, "0"]}, r"numbers in a list of n for distortion"),
        ({"distortion": [-9.0, 0, 0, 0]}, r"found one that folds it"),
        ({"model": "ftheta"}, r"one of opencv, fisheye, inverse-brown-conrady for model in .*found 'ftheta'"),
        ({"model": "fisheye"}, r"expected the key distortion"),
        ({"model": "fisheye", "distortion": [0.1] * 5}, r"4 coefficients in the order of cv2\.fisheye .*found 5"),
        ({"model": "inverse-brown-conrady", "distortion": [0.1] * 4}, r"5 coefficients in RealSense's order .*found 4"),
        ({"model": "inverse-brown-conrady", "distortion": [-3.0, 0, 0, 0, 0]}, r"folds it; .*RealSense's order"),
        ({"model": "fisheye", "distortion": [-2.0, 0, 0, 0]}, r"folds it; are the coefficients in the order of cv2"),
        ({"model": "fisheye", "distortion": [0] * 4, "fx": 90, "fy": 90}, r"at most 180° across in .*found 204°"),
        ({"source": ""}, r"expected a text for source"),
        ({"format": "warpgrasp-camera-2"}, r'"format": "warpgrasp-camera-1" in .*found .warpgrasp-camera-2'),
    ],
)
def test_what_is_no_camera(tmp_path: Path, change: dict, message: str) -> None:
    write_lens(tmp_path, Lens(K, 320, 240))
    edit(tmp_path / "camera.json", lambda content: content.update(change))
    with pytest.raises(DataError, match=message) as caught:
        read_lens(tmp_path)
    assert "camera.json" in str(caught.value)


@pytest.mark.parametrize(
    "lens",
    [
        Lens(K, 320, 240),
        Lens(K, 320, 240, (-0.1, 0.01, 0.0, 0.0)),
        Lens(K, 320, 240, (0.0, 0.0, 0.0, 0.0), "fisheye", "COLMAP: cameras.txt"),
        Lens(K, 320, 240, (0.1, 0.0, 0.0, 0.0, 0.0), "inverse-brown-conrady"),
        Lens(K - np.array([[0, 0, 400], [0, 0, 0], [0, 0, 0]]), 320, 240, source="a crop"),
    ],
)
def test_what_is_written_is_read(lens: Lens, tmp_path: Path) -> None:
    write_lens(tmp_path, lens)
    found = read_lens(tmp_path)
    np.testing.assert_array_equal(found.intrinsics, lens.intrinsics)
    assert found.content == lens.content
    assert (found.model, found.distortion, found.source) == (lens.model, lens.distortion, lens.source)


def test_a_file_of_before_says_nothing_of_models(tmp_path: Path) -> None:
    write_lens(tmp_path, Lens(K, 320, 240, (-0.1, 0.01, 0.0, 0.0)))
    assert set(json.loads((tmp_path / "camera.json").read_text())) == {
        *("format", "width", "height", "fx", "fy", "cx", "cy", "distortion")
    }
    assert read_lens(tmp_path).model == "opencv"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"model": "fisheye", "distortion": [0.01, 0.0, 0.0, 0.0]},
            "from 4 coefficients of the model fisheye",
        ),
        (
            {"model": "inverse-brown-conrady", "distortion": [0.01, 0, 0, 0, 0]},
            "coefficients of the model inverse-brown",
        ),
        ({"cx": -40.0}, "the axis lies outside the picture, as of a crop"),
    ],
)
def test_doctor_says_what_the_camera_is(small: Path, changes: dict, said: str, capsys) -> None:
    edit(small / "camera.json", lambda content: content.update(changes))
    (small / "annotations.json").unlink()
    assert main(["doctor", "--data", str(small)]) == 0
    assert said in " ".join(capsys.readouterr().out.split())
