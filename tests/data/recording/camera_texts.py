"""One small file of every kind that `warpgrasp camera --from` reads, and the camera that it says, worked by hand."""

import json
import struct
from dataclasses import dataclass

SIZE = (640, 480)


@dataclass(frozen=True)
class CameraFile:
    """A file, and what must come out of it."""

    name: str
    content: bytes
    kind: str
    focal_px: tuple[float, float] = (500.0, 501.0)
    centre_px: tuple[float, float] = (320.25, 240.5)
    size: tuple[int, int] | None = SIZE
    model: str = "opencv"
    distortion: tuple[float, ...] = ()


def _json(**content: object) -> bytes:
    return json.dumps(content).encode()


BROWN = (-0.1, 0.02, 0.001, -0.0005, 1e-05)
ROWS = [[500.0, 0.0, 320.25], [0.0, 501.0, 240.5], [0.0, 0.0, 1.0]]
FLAT = [*ROWS[0], *ROWS[1], *ROWS[2]]
COLUMNS = [500.0, 0.0, 0.0, 0.0, 501.0, 0.0, 320.25, 240.5, 1.0]

OPENCV_YAML = b"""%YAML:1.0
---
calibration_time: "Mon 1 Jan 2024"
image_width: 640
image_height: 480
flags: 0
fisheye_model: 0
camera_matrix: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [ 500., 0., 320.25, 0., 501., 240.5, 0., 0., 1. ]
distortion_coefficients: !!opencv-matrix
   rows: 5
   cols: 1
   dt: d
   data: [ -1.0000000000000001e-01, 2.0000000000000000e-02, 1e-03,
       -5e-04, 1e-05 ]
avg_reprojection_error: 2.1e-01
"""
OPENCV_XML = b"""<?xml version="1.0"?>
<opencv_storage>
<image_width>640</image_width><image_height>480</image_height>
<camera_matrix type_id="opencv-matrix"><rows>3</rows><cols>3</cols><dt>d</dt><data>
  500. 0. 320.25 0. 501. 240.5 0. 0. 1.</data></camera_matrix>
<distortion_coefficients type_id="opencv-matrix"><rows>1</rows><cols>5</cols><dt>d</dt><data>
  -0.1 0.02 0.001 -5e-04 1e-05</data></distortion_coefficients>
</opencv_storage>
"""
ROS_FILE = b"""image_width: 640
image_height: 480
camera_name: narrow
camera_matrix:
  rows: 3
  cols: 3
  data: [500.0, 0.0, 320.25, 0.0, 501.0, 240.5, 0.0, 0.0, 1.0]
distortion_model: rational_polynomial
distortion_coefficients:
  rows: 1
  cols: 8
  data: [0.5, -2.5, 0.001, -0.0002, 1.4, 0.35, -2.3, 1.36]
rectification_matrix:
  rows: 3
  cols: 3
  data: [1, 0, 0, 0, 1, 0, 0, 0, 1]
"""
ROS_MESSAGE = b"""header:
  stamp:
    sec: 12
  frame_id: camera
height: 960
width: 1280
distortion_model: plumb_bob
d: [-0.1, 0.02, 0.001, -0.0005, 1e-05]
k: [1000.0, 0.0, 651.0, 0.0, 1002.0, 501.5, 0.0, 0.0, 1.0]
r: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
binning_x: 2
binning_y: 2
roi:
  x_offset: 10
  y_offset: 20
  height: 900
  width: 1200
  do_rectify: false
---
"""
KALIBR = b"""cam0:
  camera_model: pinhole
  distortion_coeffs: [-0.1, 0.02, 0.001, -5e-04]
  distortion_model: radtan
  intrinsics: [500.0, 501.0, 320.25, 240.5]
  resolution: [640, 480]
  rostopic: /cam0/image_raw
"""
KALIBR_EQUI = KALIBR.replace(b"radtan", b"equi")
REALSENSE_TABLE = b""" Intrinsic of "Color" / 640x480 / {YUYV/RGB8/BGR8}
  Width:      \t640
  Height:     \t480
  PPX:        \t320.25
  PPY:        \t240.5
  Fx:         \t500
  Fy:         \t501
  Distortion: \tBrown Conrady
  Coeffs:     \t-0.1  \t0.02  \t0.001  \t-0.0005  \t1e-05
  FOV (deg):  \t65.2 x 51.2
"""


def _realsense(model: object) -> bytes:
    numbers = {"width": 640, "height": 480, "ppx": 320.25, "ppy": 240.5, "fx": 500.0, "fy": 501.0}
    return _json(color={**numbers, "model": model, "coeffs": list(BROWN)})


def _colmap(model: int, *parameters: float) -> bytes:
    return struct.pack("<QiiQQ", 1, 7, model, *SIZE) + struct.pack(f"<{len(parameters)}d", *parameters)


# COLMAP and the transforms.json say 320.75, 241 of what we call 320.25, 240.5.
FILES = (
    CameraFile("calibration.yml", OPENCV_YAML, "OpenCV", distortion=BROWN),
    CameraFile("calibration.xml", OPENCV_XML, "OpenCV", distortion=BROWN),
    CameraFile(
        "calibration.json",
        _json(camera_matrix={"type_id": "opencv-matrix", "rows": 3, "cols": 3, "dt": "d", "data": FLAT}),
        "OpenCV",
        size=None,
    ),
    CameraFile("own.json", _json(mtx=ROWS, dist=[list(BROWN)], image_size=[640, 480]), "OpenCV", distortion=BROWN),
    CameraFile(
        "named.json",
        _json(fx=500.0, fy=501.0, cx=320.25, cy=240.5, w=640, h=480, k1=-0.1, k2=0.02, p1=0.001, p2=-0.0005),
        "OpenCV",
        distortion=BROWN[:4],
    ),
    # What stands beside an inner object belongs to its camera.
    CameraFile(
        "outside.json", _json(calibration={"mtx": ROWS}, dist=list(BROWN), size=SIZE), "OpenCV", distortion=BROWN
    ),
    CameraFile(
        "outside.yaml",
        b"width: 640\nheight: 480\nmodel: fisheye\nintrinsics: {fx: 500, fy: 501, cx: 320.25, cy: 240.5}\n"
        b"distortion: [-.1, .02, 1e-3, -.5e-3]\n",
        "OpenCV",
        model="fisheye",
        distortion=BROWN[:4],
    ),
    CameraFile(
        "fisheye.yml",
        OPENCV_YAML.replace(b"fisheye_model: 0", b"fisheye_model: 1").replace(b",\n       -5e-04, 1e-05", b", -5e-04"),
        "OpenCV",
        model="fisheye",
        distortion=BROWN[:4],
    ),
    CameraFile("head.yaml", ROS_FILE, "ROS", distortion=(0.5, -2.5, 0.001, -0.0002, 1.4, 0.35, -2.3, 1.36)),
    # (651 − 10 + 0.5)/2 − 0.5 = 320.25; (501.5 − 20 + 0.5)/2 − 0.5 = 240.5
    CameraFile("info.txt", ROS_MESSAGE, "ROS", size=(600, 450), distortion=BROWN),
    CameraFile("chain.yaml", KALIBR, "Kalibr", distortion=BROWN[:4]),
    CameraFile("equi.yaml", KALIBR_EQUI, "Kalibr", model="fisheye", distortion=BROWN[:4]),
    CameraFile(
        "cameras.txt",
        b"# Camera list\n1 OPENCV 640 480 500 501 320.75 241 -0.1 0.02 0.001 -0.0005\n",
        "COLMAP",
        distortion=BROWN[:4],
    ),
    CameraFile(
        "simple.txt",
        b"3 SIMPLE_RADIAL 640 480 500 320.75 241 -0.1\n",
        "COLMAP",
        focal_px=(500, 500),
        distortion=(-0.1, 0, 0, 0),
    ),
    CameraFile(
        "radial.bin",
        _colmap(3, 500, 320.75, 241, -0.1, 0.02),
        "COLMAP",
        focal_px=(500, 500),
        distortion=(-0.1, 0.02, 0, 0),
    ),
    CameraFile("pinhole.bin", _colmap(1, 500, 501, 320.75, 241), "COLMAP"),
    CameraFile(
        "fisheye.bin",
        _colmap(5, 500, 501, 320.75, 241, 0.1, 0.02, 0.003, 0.004),
        "COLMAP",
        model="fisheye",
        distortion=(0.1, 0.02, 0.003, 0.004),
    ),
    CameraFile(
        "one.bin",
        _colmap(8, 500, 320.75, 241, 0.1),
        "COLMAP",
        focal_px=(500, 500),
        model="fisheye",
        distortion=(0.1, 0, 0, 0),
    ),
    CameraFile(
        "full.bin",
        _colmap(6, 500, 501, 320.75, 241, 0.5, -2.5, 0.001, -0.0002, 1.4, 0.35, -2.3, 1.36),
        "COLMAP",
        distortion=(0.5, -2.5, 0.001, -0.0002, 1.4, 0.35, -2.3, 1.36),
    ),
    CameraFile(
        "arkit.json", _json(intrinsics=[COLUMNS[:3], COLUMNS[3:6], COLUMNS[6:]], imageResolution=[640, 480]), "ARKit"
    ),
    CameraFile("metadata", _json(K=COLUMNS, w=640, h=480, fps=60, poses=[[0, 0, 0, 1, 0, 0, 0]]), "ARKit"),
    CameraFile("rows.json", _json(intrinsics=FLAT, width=640, height=480), "ARKit"),
    CameraFile(
        "polycam.json",
        _json(fx=500.0, fy=501.0, cx=320.25, cy=240.5, width=640, height=480, blur_score=5.0, t_00=1.0),
        "ARKit",
    ),
    CameraFile("0001.pincam", b"640 480 500 501 320.25 240.5", "ARKit"),
    CameraFile(
        "transforms.json",
        _json(
            fl_x=500.0,
            fl_y=501.0,
            cx=320.75,
            cy=241.0,
            w=640.0,
            h=480,
            k1=-0.1,
            k2=0.02,
            p1=0.001,
            p2=-0.0005,
            frames=[{"file_path": "0.png", "transform_matrix": []}],
        ),
        "transforms.json",
        distortion=BROWN[:4],
    ),
    CameraFile(
        "params.json",
        _json(
            camera_model="OPENCV",
            frames=[
                {"fl_x": 500.0, "fl_y": 501.0, "cx": 320.75, "cy": 241.0, "w": 640, "h": 480}
                | {"distortion_params": [-0.1, 0.02, 0.0, 0.0, 0.001, -0.0005]}
            ],
        ),
        "transforms.json",
        distortion=BROWN[:4],
    ),
    CameraFile(
        "angle.json",  # 90°: half the width; the middle is 319.5, 239.5
        _json(camera_angle_x=1.5707963267948966, w=640, h=480, frames=[{"file_path": "0"}]),
        "transforms.json",
        focal_px=(320, 320),
        centre_px=(319.5, 239.5),
    ),
    CameraFile(
        "frames.json",
        _json(
            camera_model="OPENCV_FISHEYE",
            k1=0.1,
            k2=0.02,
            k3=0.003,
            k4=0.004,
            frames=[
                {"file_path": name, "fl_x": 500.0, "fl_y": 501.0, "cx": 320.75, "cy": 241.0, "w": 640, "h": 480}
                for name in "ab"
            ],
        ),
        "transforms.json",
        model="fisheye",
        distortion=(0.1, 0.02, 0.003, 0.004),
    ),
    CameraFile(
        "rs.json", _realsense("Inverse Brown Conrady"), "RealSense", model="inverse-brown-conrady", distortion=BROWN
    ),
    CameraFile("rs4.json", _realsense(4), "RealSense", distortion=BROWN),
    CameraFile("rs.log", REALSENSE_TABLE, "RealSense", distortion=BROWN),
    CameraFile(
        "rs.txt",
        b"[ 640x480  p[320.25 240.5]  f[500 501]  Brown Conrady [-0.1 0.02 0.001 -0.0005 1e-05] ]",
        "RealSense",
        distortion=BROWN,
    ),
)
