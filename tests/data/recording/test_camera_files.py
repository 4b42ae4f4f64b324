"""`warpgrasp camera --from`: other programs' files, each with a camera worked by hand; and what is refused of them."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.data.recording.camera_texts import (
    FILES,
    KALIBR,
    OPENCV_YAML,
    REALSENSE_TABLE,
    ROS_FILE,
    ROWS,
    CameraFile,
    _colmap,
    _json,
)
from warpgrasp.cli import main
from warpgrasp.data.recording.calibrations import chosen_camera, read_cameras
from warpgrasp.data.recording.camera import read_lens
from warpgrasp.errors import DataError


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_kind(file: CameraFile, tmp_path: Path) -> None:
    """Told from the content: the name says nothing."""
    path = tmp_path / "a file"
    path.write_bytes(file.content)
    kind, cameras = read_cameras(path)
    assert kind.startswith(file.kind)
    (camera,) = cameras
    expected = [[file.focal_px[0], 0, file.centre_px[0]], [0, file.focal_px[1], file.centre_px[1]], [0, 0, 1]]
    np.testing.assert_allclose(camera.intrinsics, expected, rtol=1e-12)
    assert (camera.size, camera.model) == (file.size, file.model)
    np.testing.assert_allclose(camera.distortion, file.distortion, rtol=1e-12)


TWO = KALIBR + KALIBR.replace(b"cam0", b"cam1").replace(b"500.0", b"510.0")
STEREO = re.sub(
    rb"(camera_matrix|distortion_coefficients)",
    lambda match: {b"c": b"M", b"d": b"D"}[match[0][:1]] + b"1",
    OPENCV_YAML,
)


@pytest.mark.parametrize(
    ("content", "name", "focal_px"),
    [
        (TWO, "cam1", 510),
        (TWO, "1", 510),
        (b"1 PINHOLE 64 48 50 51 32 24\n11 PINHOLE 64 48 60 61 32 24\n", "1", 50),
        (
            json.dumps(
                {"frames": [{"file_path": f"{f}.png", "fl_x": f, "cx": 1, "cy": 1} for f in (300, 400)]}
            ).encode(),
            "400.png",
            400,
        ),
        (
            STEREO
            + STEREO.split(b"avg")[0]
            .split(b"flags: 0")[1]
            .replace(b"M1", b"M2")
            .replace(b"D1", b"D2")
            .replace(b"500.", b"530."),
            "2",
            530,
        ),
    ],
)
def test_which_of_several_is_asked(content: bytes, name: str, focal_px: float, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    _, cameras = read_cameras(path)
    with pytest.raises(DataError, match=r"expected one camera in .*file, found 2; say which by --camera-id: "):
        chosen_camera(cameras, None, path)
    with pytest.raises(DataError, match=r"for --camera-id .*got 'nobody'"):
        chosen_camera(cameras, "nobody", path)
    assert chosen_camera(cameras, name, path).intrinsics[0, 0] == focal_px


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"1 FOV 640 480 500 501 320 240 0.9\n", r"that is read \(SIMPLE_PINHOLE, .* for camera 1 in .*found FOV"),
        (_colmap(10, *[1.0] * 12), r"found THIN_PRISM_FISHEYE"),
        (_colmap(77, *[1.0] * 4), r"COLMAP's camera models 0 to 11 in .*found number 77"),
        (_colmap(1, 500, 501, 320), r"a whole cameras\.bin of COLMAP in .*found one cut off"),
        (_colmap(0, 500, 320, 240, 1), r"the end of cameras\.bin after 1 cameras"),
        (b"1 PINHOLE 640 480 500 320 240\n", r"4 parameters of PINHOLE for camera 1 in .*found 3"),
        (KALIBR.replace(b"pinhole", b"omni"), r"the camera model pinhole for cam0\.camera_model in .*found omni"),
        (KALIBR.replace(b"radtan", b"fov"), r"one of radtan, .* for cam0\.distortion_model in .*found fov"),
        (ROS_FILE.replace(b"rational_polynomial", b"thin_prism"), r"one of plumb_bob, .*found thin_prism"),
        (
            ROS_FILE.replace(b"500.0", b"0")
            .replace(b"501.0", b"0")
            .replace(b"320.25", b"0")
            .replace(b"240.5", b"0")
            .replace(b" 1.0]", b" 0]"),
            r"a calibrated camera in .*never calibrated",
        ),
        (OPENCV_YAML.replace(b", 1e-05", b", 1e-05, 0."), r"4, 5, 8, 12, 14 coefficients in OpenCV's order .*found 6"),
        (
            OPENCV_YAML.replace(b"500., 0., 320.25", b"500., 3., 320.25"),
            r"a camera matrix without skew for camera_matrix",
        ),
        (
            OPENCV_YAML.replace(b"0., 0., 1. ]", b"0., 2., 1. ]"),
            r"expected a camera matrix \[fx 0 cx, .* for camera_matrix",
        ),
        (_json(frames=[], fl_x=500.0, cx=1.0, cy=1.0, k1=0.1, k4=0.1), r"k5 and k6 beside k4, .*found k4 = 0\.1 alone"),
        (_json(frames=[], fl_x=500.0, cx=1.0, cy=1.0, camera_model="EQUIRECTANGULAR"), r"found EQUIRECTANGULAR"),
        (_json(frames=[{}], camera_angle_x=0.7), r"expected w and h, the size of the pictures, in .*found neither"),
        (
            _json(ppx=1.0, ppy=1.0, fx=1.0, fy=1.0, model="ftheta", coeffs=[1.0] * 5),
            r"expected the model Brown Conrady, .*found ftheta",
        ),
        (
            _json(mtx=ROWS, radial_distortion=[-0.1, 0.02]),
            r"distortion under one of OpenCV's names in .*found radial_distortion; write it in OpenCV's order",
        ),
        (_json(fx=500.0, fy=501.0, cx=320.0, cy=240.0, skew=3.0), r"a camera without skew for skew in .*a skew of 3$"),
        (_json(fx=5.0, fy=5.0, cx=3.0, cy=2.0, k1=0.1, skew=3.0), r"a camera without skew for skew in .*a skew of 3$"),
        (_json(frames=[], fl_x=500.0, cx=1.0, cy=1.0, sk_x=3.0), r"a camera without skew for camera.sk_x in "),
        (
            _json(frames=[], fl_x=500.0, w=320, h=240, cx=160.0, cy=120.0, camera_angle_x=1.138),
            r"one focal length in .*fl_x = 500 and, by camera_angle_x and w = 320, 250\.\d+: of which size are",
        ),
        (
            REALSENSE_TABLE.replace(b"320.25", b"320,25"),
            r"expected a number for .*ppx in .*found '320,25'",
        ),
        (
            b"<calibration><projection>frame</projection><fx>9</fx><fy>9</fy><cx>4</cx><cy>3</cy></calibration>",
            r"found none of these in this XML file",
        ),
        (_json(K=[1.0] * 9, lens_distortion="AAAA"), r"a camera without distortion in .*found lens_distortion"),
        (_json(fx=1.0, fy="1", cx=1.0, cy=1.0), r"expected a number for fy in .*found '1'"),
        (b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", r"expected XML in .*document type or entity is not read"),
        (b"hello", r"expected a camera as OpenCV, ROS, COLMAP .*found none of these in this text file"),
        (bytes(range(256)), r"found none of these in this binary file"),
        (b"fx: 500\nfy: 501\ncx: 320\ncy: 240\nfx: 250\n", r"expected YAML .*the key 'fx' is given twice"),
        (b'{"a": ', r"expected JSON in "),
        (b"", r"found none of these in this text file"),
    ],
)
def test_what_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_cameras(path)
    assert str(path) in str(caught.value)


def camera(folder: Path, content: bytes, *words: str) -> int:
    folder.mkdir(exist_ok=True)
    file = folder.parent / "calibration"
    file.write_bytes(content)
    return main(["camera", str(folder), "--from", str(file), "--force", *words])


def test_the_file_is_written_with_where_it_comes_from(tmp_path: Path, capsys) -> None:
    assert camera(tmp_path / "mug", OPENCV_YAML) == 0
    content = json.loads((tmp_path / "mug" / "camera.json").read_text())
    assert content["source"] == "OpenCV: calibration"
    assert "model" not in content
    assert read_lens(tmp_path / "mug").distortion == (-0.1, 0.02, 0.001, -0.0005, 1e-05)


def test_a_cropped_and_resized_video(tmp_path: Path, capsys) -> None:
    """(320.25 − 160 + 0.5)/2 − 0.5 = 79.875 across, (240.5 − 120 + 0.5)/2 − 0.5 = 60 down."""
    folder = tmp_path / "mug"
    assert camera(folder, OPENCV_YAML, "--size", "160", "120") == 1
    assert re.search(r"160×120, as the recording's, found one for 640×480 in calibration", capsys.readouterr().err)
    assert not (folder / "camera.json").exists()
    words = ("--crop", "160", "120", "320", "240", "--resize", "160", "120")
    assert camera(folder, OPENCV_YAML, "--size", "160", "120", *words) == 0
    lens = read_lens(folder)
    np.testing.assert_allclose(lens.intrinsics, [[250, 0, 79.875], [0, 250.5, 60], [0, 0, 1]], rtol=1e-12)
    assert lens.source == "OpenCV: calibration; --crop 160 120 320 240 --resize 160 120"


def test_our_own_camera_is_mapped_too(tmp_path: Path) -> None:
    assert camera(tmp_path / "mug", OPENCV_YAML) == 0
    whole = (tmp_path / "mug" / "camera.json").read_bytes()
    assert camera(tmp_path / "part", whole, "--crop", "400", "0", "100", "100") == 0
    assert read_lens(tmp_path / "part").intrinsics[0, 2] == pytest.approx(320.25 - 400)


def test_a_file_without_a_size(tmp_path: Path, capsys) -> None:
    content = _json(mtx=[[500.0, 0, 320], [0, 500.0, 240], [0, 0, 1]], dist=[-0.1, 0.01, 0.0, 0.0])
    folder = tmp_path / "mug"
    assert camera(folder, content) == 1
    assert "does not say; state it by --calibrated-size WIDTH HEIGHT" in capsys.readouterr().err
    assert camera(folder, content, "--size", "640", "480") == 0
    page = " ".join(capsys.readouterr().out.split())
    assert "does not say for which size of pictures: taken to be the recording's" in page
    assert "four coefficients are taken as k1 k2 p1 p2; if they are k1 k2 k3 k4 of cv2.fisheye, say so" in page
    words = ("--size", "320", "240", "--calibrated-size", "640", "480", "--resize", "320", "240")
    assert camera(folder, content, *words, "--distortion-model", "fisheye") == 0
    lens = read_lens(folder)
    assert (lens.model, lens.distortion, lens.intrinsics[0, 2]) == ("fisheye", (-0.1, 0.01, 0.0, 0.0), 159.75)


def test_a_principal_point_of_another_size(tmp_path: Path, capsys) -> None:
    """Refused where nothing states the size, and warned of where something does: it may be a part cut out."""
    matrix, folder = [[500.0, 0, 320], [0, 500.0, 240], [0, 0, 1]], tmp_path / "mug"
    assert camera(folder, _json(mtx=matrix), "--size", "320", "240") == 1
    found = " ".join(capsys.readouterr().err.split())
    assert "found the principal point (320, 240), the middle of 641×481; state its size by --calibrated-size" in found
    assert camera(folder, _json(mtx=matrix, size=[320, 240]), "--size", "320", "240") == 0
    found = " ".join(capsys.readouterr().out.split())
    assert "is far from the middle of pictures of 320×240" in found
    assert "another size, such as 641×481" in found


def test_mapping_without_a_calibration_is_refused(tmp_path: Path, capsys) -> None:
    assert main(["camera", str(tmp_path), "--focal-px", "500", "--size", "640", "480", "--turn", "90"]) == 2
    assert re.search(r"--turn 90 beside --from, --board or --exif, got --focal-px", capsys.readouterr().err)
