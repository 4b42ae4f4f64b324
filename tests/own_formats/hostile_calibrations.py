"""Other programs' cameras that once took a gigabyte, or minutes: texts that grow, and patterns tried everywhere."""

import struct
from collections.abc import Callable

ROS = (
    "distortion_model: plumb_bob\nK: [500, 0, 320, 0, 500, 240, 0, 0, 1]\nD: [0, 0, 0, 0, 0]\nwidth: 640\nheight: 480\n"
)
TEXT = "x: &a0 [y, y, y, y, y, y, y, y, y, y]\n"
GROWING = TEXT + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
PRINTED = "[1x1 p[1 1] f[1 1] "  # begins as pyrealsense2 prints it
TABLE = 'Intrinsic of "Color" /  640x480\n'  # as rs-enumerate-devices does

CALIBRATIONS: dict[str, Callable[[], str | bytes]] = {
    "aliases in a coefficient": lambda: f"{GROWING}frames: []\nfl_x: 1\nk1: *a9\n",
    "aliases in a name": lambda: f"{GROWING}{ROS}camera_name: *a9\n",
    "aliases in a model": lambda: f"{GROWING}cam0:\n  camera_model: *a9\n  intrinsics: [1, 2, 3, 4]\n",
    "a value in itself": lambda: "cam0: &a\n  camera_model: *a\n  intrinsics: [1, 2, 3, 4]\n",
    "a list in itself": lambda: "K: &a [*a, *a]\ndistortion_model: x\n",
    "a long number": lambda: f"cam0:\n  camera_model: 0x{'f' * 20_000}\n  intrinsics: [1, 2, 3, 4]\n",
    "a long name of a number": lambda: f"a: 1\n? 0x{'f' * 20_000}\n: {{camera_model: 1, intrinsics: 2}}\n",
    "a number to the base of 60": lambda: f"a: {'1:' * 400_000}1\n",
    "the largest list": lambda: f"a: [{'1,' * 400_000}1]\n" * 2,
    "the largest objects": lambda: "".join(f"key{n}: 1\n" for n in range(75_000)),
    "objects in each other": lambda: "a: 1\n" + "? " * 400_000,
    "open objects": lambda: "a: 1\nb: " + "{" * 400_000,
    "merged again and again": lambda: "a: &a {b: 1}\n" + "c: {<<: [*a, *a, *a, *a]}\n" * 30_000,
    "many elements": lambda: f"<a>{'<b/>' * 900_000}</a>",
    "elements in each other": lambda: "<a>" * 500_000 + "</a>" * 500_000,
    "open elements": lambda: "<a>" * 1_300_000,
    "many numbers in an element": lambda: f"<a><data>{'1 ' * 1_900_000}</data></a>",
    "many lines": lambda: "ab\n" * 1_300_000,
    "more lines than are read": lambda: "ab\n" * 5_000_000,
    "empty lines after a table's head": lambda: TABLE + "\n" * 3_000_000,
    "blanks in a table": lambda: f"{TABLE}Width: a{' ' * 3_000_000}a",
    "heads of tables": lambda: TABLE * 100_000,
    "blanks after a printed camera": lambda: f"{PRINTED}a{' ' * 3_000_000}",
    "digits in a printed camera": lambda: f"{PRINTED}A [{'1' * 3_000_000}..]]",
    "printed cameras that never end": lambda: f"{PRINTED}A [" * 100_000,
    "brackets": lambda: "[1x" + "[" * 3_000_000,
    "many frames": lambda: '{"frames": [' + ",".join(f'{{"fl_x":{n}}}' for n in range(300_000)) + "]}",
    "many cameras": lambda: "{" + ",".join(f'"{n}":{{"ppx":1,"ppy":1,"fx":1,"fy":1}}' for n in range(150_000)) + "}",
    "long keys": lambda: "{" + ",".join(f'"{"k" * 9000}{n}":1' for n in range(1700)) + "}",
    "many cameras of COLMAP": lambda: "1 PINHOLE 4 4 1 1 1 1\n" * 170_000 + "x",
    "more cameras than are read": lambda: (
        struct.pack("<Q", 300_000) + struct.pack("<iiQQ3d", 1, 0, 4, 4, 1, 2, 2) * 300_000
    ),
    "a part beyond the picture": lambda: f"{ROS}roi: {{x_offset: 1.0e+30, y_offset: -5, width: 3, height: 9}}\n",
    "pixels without end": lambda: f"{ROS}binning_x: 1.0e+30\nbinning_y: 1.0e+30\n",
    "halves of characters": lambda: b'{"ppx": 1, "ppy": 1, "\\ud800": 2}',
}
