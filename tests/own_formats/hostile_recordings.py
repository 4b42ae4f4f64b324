"""Recordings, and keypoints of their pictures, that ask for trouble in whole commands."""

import copy
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.data.recording.recording_files import write_recording
from tests.footage_files import Brought
from tests.keypoints.hands_at import hand_at
from tests.own_formats.hostile_files import Case, Commands, predict_words
from warpgrasp.hand import JOINTS
from warpgrasp.keypoints import write_keypoints

FRAMES = 8  # of the video whose keypoints these are
POINTS = [{"x": 0.5 + 0.01 * number, "y": 0.5, "z": 0} for number in range(21)]
RIGHT = [{"classification": [{"label": "Right", "score": 0.9}]}]


def keypoints_cases(brought: Brought, folder: Path) -> Iterator[Case]:
    write_keypoints(folder / "whole.npz", [[hand_at(30, 20)] for _ in range(FRAMES)], "eagle-1")
    with np.load(folder / "whole.npz") as stored:
        arrays = {name: stored[name] for name in stored.files}
    for name, some in spoilt_keypoints(arrays).items():
        yield of_keypoints(brought, f"{name}.npz", lambda path, some=some: np.savez(path, **some))
    for name, content in texts_of_programs().items():
        yield of_keypoints(brought, f"{name}.json", lambda path, content=content: path.write_bytes(content()))
    for size in (200_000_000, 2_000_000_000):
        yield of_keypoints(brought, f"{size} zeros.npy", lambda path, size=size: zeros(path, size))


def of_keypoints(brought: Brought, name: str, write_file: Callable[[Path], object]) -> Case:
    def write(folder: Path) -> Commands:
        file, weights = folder / name, folder / "w.safetensors"
        write_file(file)
        weights.symlink_to(brought.weights)
        return {"predict": predict_words(brought, weights, "--refine", "--keypoints", str(file))}

    return Case(f"keypoints, {name}", write)


def zeros(path: Path, size: int) -> None:
    """A file with holes, which takes no room."""
    rows = size // (21 * 2 * 4)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (rows, 21, 2)})
        file.truncate(file.tell() + rows * 21 * 2 * 4)


def spoilt_keypoints(arrays: dict[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    box, joints, flat = arrays["box"], arrays["joints_px"], np.zeros((FRAMES, 21, 3), np.float32)
    ours = {
        "a huge box": {"box": np.full_like(box, 1e30)},
        "a box of nothing": {"box": 0 * box},
        "a box turned inside out": {"box": -box},
        "joints far away": {"joints_px": np.full_like(joints, 1e30)},
        "joints in one place": {"joints_px": 0 * joints},
        "depths beyond": {"relative_depth_px": np.full_like(arrays["relative_depth_px"], 3e38)},
        "nothing is sure": {"confidence": 0 * arrays["confidence"]},
    }
    changed = {name: {**arrays, **some} for name, some in ours.items()}
    many = {name: array if name == "header" else np.repeat(array, 1000, 0) for name, array in arrays.items()}
    changed["a thousand hands in each"] = many
    one = {"pred_cam_t_full": np.ones((FRAMES, 3), np.float32), "scaled_focal_length": np.array(100.0)}
    changed |= {
        "a focal length beyond": {**one, "pred_keypoints_3d": flat, "scaled_focal_length": np.array(1e30)},
        "no number in 3D": {**one, "pred_keypoints_3d": flat + np.float32(np.nan)},
        "at the camera": {**one, "pred_keypoints_3d": flat, "pred_cam_t_full": 1e-38 * one["pred_cam_t_full"]},
        "whole numbers": {"array": np.zeros((FRAMES, 21, 2), np.int8)},
        "complex numbers": {"array": np.zeros((FRAMES, 21, 2), np.complex64)},
        "other names": {"array": flat[..., :2] + 7, "names": np.array(["../x"] * FRAMES)},
        "numbers twice": {"array": flat[..., :2] + 7, "names": np.arange(FRAMES) % 2},
    }
    return changed


def texts_of_programs() -> dict[str, Callable[[], bytes]]:
    def mediapipe(points: Any = POINTS, side: Any = RIGHT, hands: int = 1) -> Callable[[], bytes]:
        result = {"landmarks": [points] * hands, "handedness": side * hands}
        return lambda: json.dumps([result] * FRAMES).encode()

    def coco(right: Any, images: Any = None) -> Callable[[], bytes]:
        left = [1.0, 2, 1] * 21
        entries = [{"image_id": number, "lefthand_kpts": left, "righthand_kpts": right} for number in range(FRAMES)]
        return lambda: json.dumps({"annotations": entries, **({} if images is None else {"images": images})}).encode()

    def plain(value: Any) -> Callable[[], bytes]:
        return lambda: json.dumps(value).encode()

    entry, whole_body = {"image_id": 0}, [1.0] * 399
    hand, far = {"lefthand_kpts": [1.0] * 63}, {"x": 1e300, "y": 1, "z": 0}
    return {
        "of MediaPipe": mediapipe(),
        "far away": mediapipe([far] * 21),
        "in one place": mediapipe([{"x": 0.5, "y": 0.5, "z": 0}] * 21),
        "deep away": mediapipe([{"x": 9e3, "y": 9e3, "z": 1e300}] * 21),
        "a list as side": mediapipe(side=[[{"label": ["Right"]}]]),
        "lists as side": mediapipe(side=[[[[[]]]]]),
        "two thousand hands": mediapipe(hands=2000),
        "of COCO": coco([5.0, 6.0, 1.0] * 21),
        "of COCO without numbers": coco([float("nan")] * 63),
        "images of text": coco([0] * 63, "abc"),
        "images without names": coco([0] * 63, [{"id": [1], "file_name": "x"}]),
        "images of objects": coco([0] * 63, [{"id": number, "file_name": {"a": 1}} for number in range(FRAMES)]),
        "a list as number": plain([{"image_id": [1]}] * FRAMES),
        "a number beyond": plain([{"image_id": 10**400, **hand}]),
        "true as number": plain([{"image_id": True, **hand}]),
        "texts as numbers": plain({"people": [{"hand_left_keypoints_2d": ["1"] * 63}]}),
        "many keypoints": plain([{**entry, "keypoints": whole_body * 5000}] * FRAMES),
        "a whole body without numbers": plain([{**entry, "keypoints": [None] * 399}] * FRAMES),
        "a number of many digits": lambda: b'[{"image_id": ' + b"9" * 4000 + b', "keypoints": []}]',
        "an endless number": lambda: b'[{"image_id": ' + b"9" * 100_000 + b"}]",
        "a name of a million": lambda: b'[{"image_id": "' + b"9" * 1_000_000 + b'", "lefthand_kpts": []}]',
        "half a name": lambda: b'[{"image_id": "\\ud800", "lefthand_kpts": []}]',
        "names twice": lambda: b'{"images": [], "annotations": [], "images": []}',
        "a file name of lists": coco([0] * 63, [{"id": 0, "file_name": [[]]}]),
        "an object of people": plain({"people": {"a": 1}}),
        "an object of numbers": plain({"people": [{"hand_left_keypoints_2d": {"a": 1}}]}),
        "millions of lists": lambda: b"[" + b"[]," * 19_000_000 + b"[]]",
        "millions of objects": lambda: b"[" + b"{}," * 7_000_000 + b"{}]",
        "wide characters": lambda: '{"a": "\U0001f600'.encode() + b"x" * 120_000_000 + b'"}',
        "wide characters as escapes": lambda: b'{"a": "\\ud83d\\ude00' + b"x" * 120_000_000 + b'"}',
    }


# --- recordings


def recording_cases() -> Iterator[Case]:
    for name, (file, change) in changed_files().items():
        yield Case(f"recording, {name}", recording_commands(lambda folder, f=file, c=change: edited(folder / f, c)))
    for name, text in MESHES.items():
        yield Case(f"mesh, {name}", recording_commands(lambda folder, t=text: (folder / "wedge.obj").write_text(t)))
    for name, change in LINKS.items():
        yield Case(f"recording, {name}", recording_commands(change))


def recording_commands(change: Callable[[Path], object]) -> Callable[[Path], Commands]:
    def write(folder: Path) -> Commands:
        recording = str(write_recording(folder / "recording"))
        change(Path(recording))
        return {
            "doctor": ["doctor", "--data", recording],
            "suggest": ["suggest", recording],
            "densify": ["densify", recording, "--out", str(folder / "dense"), "--keypoints", "none"],
            "camera": ["camera", recording, "--focal-px", "60", "--force"],
        }

    return write


def edited(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def labels(*places: str, to: Any) -> Callable[[dict[str, Any]], None]:
    """The value of a place in each label becomes another."""

    def change(content: dict[str, Any]) -> None:
        for label in content["frames"]:
            holder = label
            for place in places[:-1]:
                holder = holder[place]
            holder[places[-1]] = to

    return change


def every_frame(content: dict[str, Any]) -> None:
    content["frames"] = [{**copy.deepcopy(content["frames"][0]), "frame": frame} for frame in range(5)]


def changed_files() -> dict[str, tuple[str, Callable[[dict[str, Any]], object]]]:
    joints = {"joints": {joint: [0, 0, 0.5] for joint in JOINTS}}
    of_labels = {
        **{f"object at {place}": labels("object", "translation", to=place) for place in PLACES},
        **{f"hand at {place}": labels("hand", "translation", to=place) for place in PLACES},
        **{f"shape of {len(shape)}": labels("hand", "shape", to=shape) for shape in ([], [0.0] * 11, [20.0] * 10)},
        "a hand turned about": labels("hand", "pose", to=[3.6] * 48),
        "joints in one place": labels("hand", to=joints),
        "every frame labelled": every_frame,
        "one label": lambda content: content["frames"].pop(),
        "no label": lambda content: content["frames"].clear(),
        "labels to score alone": labels("use", to="evaluation"),
        "true as number": labels("frame", to=True),
        "another hand": lambda content: content.update(hand_model="mano right"),
        "a left hand": lambda content: content.update(side="left"),
    }
    of_camera: dict[str, dict[str, Any]] = {
        "a pixel": {"width": 1, "height": 1},
        "large pictures": {"width": 16384, "height": 16384},
        "long and short": {"fx": 2559.0, "fy": 6.5},
        "a lens that folds": {"distortion": [0.3, -2.0, 0, 0, 5.0]},
        "a fisheye": {"model": "fisheye", "distortion": [0, 0, 0, 0.0]},
        "a centre far off": {"cx": 16384, "cy": -16384},
    }
    of_object: dict[str, dict[str, Any]] = {
        "any turn": {"symmetry": {"axis": "z", "fold": "any"}},
        "many turns": {"symmetry": {"axis": "x", "fold": 360}},
        "inches": {"units": "inch"},
    }
    return {
        **{name: ("annotations.json", change) for name, change in of_labels.items()},
        **{n: ("camera.json", lambda content, some=some: content.update(some)) for n, some in of_camera.items()},
        **{n: ("object.json", lambda content, some=some: content.update(some)) for n, some in of_object.items()},
    }


PLACES = ([0, 0, -1], [0, 0, 0], [0, 0, 9.9], [9, 9, 0.01])
CORNERS = "v 0 0 0\nv .1 0 0\nv 0 .1 0\nv 0 0 .1\n"
MESHES = {
    "flat": "v 0 0 0\nv .1 0 0\nv 0 .1 0\nv .1 .1 0\nf 1 2 3\nf 2 3 4\n",
    "a line": "v 0 0 0\nv .1 0 0\nv .2 0 0\nf 1 2 3\n",
    "a face": f"{CORNERS}f 1 2 3\n",
    "one face again and again": CORNERS + "f 1 2 3\n" * 1000,
    "a point": "v 0 0 0\n" * 3 + "f 1 2 3\n",
    "far away": "v 1e6 1e6 1e6\nv 1000000.1 1e6 1e6\nv 1e6 1000000.1 1e6\nf 1 2 3\n",
    "faces of nothing": f"{CORNERS}f 1 1 1\nf 1 2 2\nf 1 2 3\n",
    "two parts": f"{CORNERS}v .3 .3 .3\nv .31 .3 .3\nv .3 .31 .3\nf 1 2 3\nf 5 6 7\n",
}


def instead(name: str, make: Callable[[Path], object]) -> Callable[[Path], None]:
    """Something else in a file's place."""

    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        make(folder / name)

    return change


def picture(name: str, make: Callable[[Path], object]) -> Callable[[Path], None]:
    """Pictures instead of the video."""

    def change(folder: Path) -> None:
        (folder / "video.mp4").unlink()
        (folder / "frames").mkdir()
        make(folder / "frames" / name)

    return change


LINKS: dict[str, Callable[[Path], object]] = {
    **{f"a pipe as {name}": instead(name, os.mkfifo) for name in ("video.mp4", "wedge.obj", "annotation_drafts.json")},
    **{f"a folder as {name}": instead(name, Path.mkdir) for name in ("video.mp4", "camera.json", ".annotate.lock")},
    **{
        f"a link from {name} to {target}": instead(name, lambda path, to=target: path.symlink_to(to))
        for name in ("camera.json", "wedge.obj", "video.mp4")
        for target in ("/etc/passwd", "/dev/zero", "/nowhere")
    },
    "two videos": lambda folder: shutil.copy(folder / "video.mp4", folder / "video.mkv"),
    "a pipe as a picture": picture("0000.png", os.mkfifo),
    "a picture that is itself": picture("0000.png", lambda path: path.symlink_to(path.name)),
    "a picture of a long number": picture("9" * 200 + ".png", lambda path: path.write_bytes(b"x")),
}
