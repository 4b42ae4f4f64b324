"""Files of our own formats that a reader alone may take, and that ask for trouble further on, in whole commands.

Each case is written into a folder of its own, together with the commands that are given it.
"""

import json
import os
import shutil
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.footage_files import Brought
from tests.hostile import MARKUP, TERMINAL
from warpgrasp.predictions.file import read_predictions, write_npz

Commands = dict[str, Sequence[str]]
HUGE = 3e38


@dataclass(frozen=True)
class Case:
    """A hostile file: written into a folder, it gives the commands that read it."""

    name: str
    write: Callable[[Path], Commands]


# --- predictions


def predictions_cases(brought: Brought) -> Iterator[Case]:
    found, header = read_predictions(brought.out)
    arrays = found.arrays
    for name, changed in spoilt_arrays(arrays).items():
        yield Case(f"predictions, {name}", predictions_commands(brought, changed, header))
    for name, changed in spoilt_headers(header).items():
        yield Case(f"predictions, {name}", predictions_commands(brought, arrays, changed))


def predictions_commands(
    brought: Brought, arrays: Mapping[str, np.ndarray], header: Mapping[str, Any]
) -> Callable[[Path], Commands]:
    def write(folder: Path) -> Commands:
        file, mesh = folder / "p.npz", ["--object", str(brought.mesh)]
        write_npz(file, {"header": np.array(json.dumps(header)), **arrays})
        if "companions" in header:
            os.mkfifo(folder / "quality.csv")
        video, out = ["--data", str(brought.video), *mesh], str(folder / "out")
        tables = ["--csv", f"{out}.csv", "--json", f"{out}.json", "--bop", f"{out}.bop"]
        meshes = ["--glb", f"{out}.glb", "--obj", f"{out}.obj", "--ply", f"{out}.ply"]
        page = ["--frames", "3", "--save", f"{out}.html"]
        return {
            "tables": ["export", str(file), *mesh, *tables],
            "meshes": ["export", str(file), *mesh, *meshes],
            "video": ["export", str(file), *video, "--mp4", f"{out}.mp4"],
            "data set": ["export", str(file), *video, "--ho3d", f"{out}.ho3d"],
            "page": ["view", str(file), *video, *page, "--compare", "--control", str(brought.out)],
            "page without pictures": ["view", str(file), *mesh, *page, "--force"],
        }

    return write


def spoilt_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Arrays of the right types that say what cannot be."""
    count, changed = len(arrays["index"]), {}

    def filled(name: str, value: float, rows: slice | int = slice(None)) -> np.ndarray:
        array = arrays[name].copy()
        array[rows] = value
        return array

    numbers = [name for name, array in arrays.items() if name.startswith(("hand_", "object_")) and array.ndim > 1]
    for name in numbers:
        changed[f"NaN in {name} of a frame"] = {name: filled(name, np.nan, 2)}
        changed[f"{name} infinite"] = {name: filled(name, np.inf), "flags": np.zeros(count, np.uint8)}
        if not name.endswith("rotation"):
            changed |= {f"{name} of {value:g}": {name: filled(name, value)} for value in (HUGE, 1e20, 0.0)}
    for name, size in {"hand_vertices": 1, "hand_pose": 46, "hand_shape": 11}.items():
        more = np.zeros((count, size, *arrays[name].shape[2:]), np.float32)
        changed |= {f"{size} in {name}": {name: more}, f"nothing in {name}": {name: more[:, :0]}}
    places = ("hand_vertices", "hand_joints", "hand_translation", "object_translation")
    changed["all behind the camera"] = {name: -arrays[name] for name in places}
    changed |= {f"{rows} frames": {name: array[:rows] for name, array in arrays.items()} for rows in (0, 1)}
    index = arrays["index"]
    indices = {"huge": index + 2**62, "sparse": index * 10**9, "backwards": index[::-1].copy()}
    changed |= {f"numbers, {kind}": {"index": values} for kind, values in indices.items()}
    changed["numbers, int8"] = {"index": index.astype(np.int8)}
    steps = np.arange(float(count))
    times = {
        "equal": 0 * steps,
        "backwards": -steps,
        "far": 1e8 * steps,
        "near": 1e-12 * steps,
        "unknown": np.nan * steps,
    }
    times |= {"one far": np.where(steps < count - 1, steps, 9e8), "one unknown": np.where(steps == 2, np.nan, steps)}
    changed |= {f"times, {kind}": {"time_s": values} for kind, values in times.items()}
    for value in (255, 128):
        changed[f"flags of {value}"] = {"flags": np.full(count, value, np.uint8)}
    for kind in ("f2", ">f4", "f8"):
        changed[f"numbers of {kind}"] = {name: arrays[name].astype(kind) for name in numbers}
    texts = ("../../x", "..", "x" * 200, MARKUP, TERMINAL, "\udcff", '=cmd|" /C calc"!A0', " ", "a\0b")
    for text in texts:
        changed[f"sequence {text[:20]!a}"] = {"sequence": np.array([text] * count)}
        changed[f"object {text[:20]!a}"] = {"object_name": np.array([text] * count)}
    changed["two sequences"] = {"sequence": np.array(["a", "b"] * (count // 2))}
    changed["two objects"] = {"object_name": np.array(["box", "tin"] * (count // 2))}
    return {name: {**arrays, **some} if len(some) < len(arrays) else some for name, some in changed.items()}


def spoilt_headers(header: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Headers whose entries are of the right kinds, and say what cannot be."""
    mesh, camera = header["objects"]["box"], header["cameras"]["clip"]
    entries: dict[str, Any] = {
        **{f"mesh {text[:12]!r}": {"objects": {"box": text}} for text in ("x", "1 " * 99, " ", "\x1b[2J")},
        **{f"mesh with {new}": {"objects": {"box": mesh.replace("60000", new)}} for new in ("9" * 60, "-1", "nan")},
        **{f"protocol {value!r}": {"protocol": value} for value in (["footage"], 7, "ho3d/none", "../../x")},
        **{f"split {value}": {"split": value} for value in ("train", "everything", MARKUP)},
        **{f"hand {value[:9]!r}": {"hand": value} for value in ("x", MARKUP, TERMINAL, "open-hand left")},
        "the other side": {"side": "left"},
        "labels that are none": {"labels": [2**70, -1]},
        "many labels": {"labels": list(range(10_000))},
        "a pipe beside it": {"companions": {"quality.csv": "0"}, "labels": [1]},
        "many keys": {f"key {number}": number for number in range(20_000)},
        "a long commit": {"commit": "x" * 100_000, "recipe": [[1] * 1000]},
    }
    cameras: dict[str, dict[str, Any]] = {
        "of a pixel": {"width": 1, "height": 1, "cx": 0, "cy": 0},
        "of no pixel": {"width": 0},
        "of a million": {"width": 10**6, "height": 10**6},
        "as large as may be": {"width": 16384, "height": 16384, "cx": 8191.5, "cy": 8191.5, "fx": 9e3, "fy": 9e3},
        "of odd sides": {"width": 63, "height": 47},
        "near": {"fx": 1e-30, "fy": 1e-30},
        "far": {"fx": 1e30, "fy": 1e30},
        "beside": {"cx": 1e12},
        "distorted": {"distortion": [1e10] * 5},
        "distorted by texts": {"distortion": ["nan"] * 5},
        "of fourteen coefficients": {"distortion": [0.1] * 14},
        "of a fisheye": {"model": "fisheye", "distortion": [1.0, 2, 3, 4]},
        "of other keys": {"evil": 1},
    }
    entries |= {f"camera {name}": {"cameras": {"clip": {**camera, **some}}} for name, some in cameras.items()}
    entries |= {"an empty camera": {"cameras": {"clip": {}}}, "a list as camera": {"cameras": {"clip": []}}}
    changed = {name: {**header, **some} for name, some in entries.items()}
    for key in ("side", "cameras", "objects", "hand"):
        changed[f"without {key}"] = {name: value for name, value in header.items() if name != key}
    return {**changed, "nothing": {}}


# --- checkpoints


def checkpoint_cases(brought: Brought) -> Iterator[Case]:
    whole = brought.weights.read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    header, body = json.loads(whole[8 : 8 + length]), whole[8 + length :]
    notes = header["__metadata__"]
    training, config, objects = (json.loads(notes[name]) for name in ("training", "config", "objects"))
    widths = ("-3", "0", "wide", "999999999", "\u0663\u0662", " 32", "+32", "32.0", "", "3_2", "4097", "1", "2")
    changed = {f"width {width!a}": {"training": json.dumps({**training, "width": width})} for width in widths}
    changed |= {f"training {text}": {"training": text} for text in ("{}", "[]", '{"height": "24"}')}
    changed["too many pixels"] = {"training": json.dumps({**training, "width": "4096", "height": "4096"})}
    changed |= {f"hand {hand[:9]!a}": {"hand": hand} for hand in ("x", TERMINAL, "open-hand left", "")}
    for key, value in {"name": "../x", "units": "parsec", "mesh_sha256": "0 " + "1e309 " * 30}.items():
        changed[f"object's {key}"] = {"objects": json.dumps([{**one, key: value} for one in objects])}
    changed["no object"] = {"objects": "[]"}
    settings = {"encoder": "../x", "width": 5, "pose_coefficients": 0, "skeleton_adaptation": True}
    settings |= {"image_mean": 1e6, "image_std": 1e-38}
    changed |= {f"config's {key}": {"config": json.dumps({**config, key: value})} for key, value in settings.items()}
    for key in ("depth_scale", "translation_scale_px", "unit_m"):
        for value in (1e6, 1e-40):
            scales = {**config["scales"], key: value}
            changed[f"{key} of {value:g}"] = {"config": json.dumps({**config, "scales": scales})}
    changed |= {"step in other digits": {"step": "\u0663"}, "another format": {"format": "warpgrasp-checkpoint-\uff11"}}
    contents = {}
    for name, some in changed.items():
        text = json.dumps({**header, "__metadata__": {**notes, **some}}).encode()
        contents[name] = struct.pack("<Q", len(text)) + text + body
    for value in (HUGE, 1e30, 0.0):
        floats = np.frombuffer(body, np.float32).copy()
        floats[: len(floats) // 2] = value
        contents[f"tensors of {value:g}"] = whole[: 8 + length] + floats.tobytes()
    for name, content in contents.items():
        yield Case(f"weights, {name}", checkpoint_commands(brought, content))
    for name, run in {
        **RUNS,
        "elsewhere": json.dumps({"data": {"root": str(brought.folder), "protocol": TERMINAL}}),
    }.items():
        yield Case(f"run.json, {name}", run_commands(brought, run))


def predict_words(brought: Brought, weights: Path, *more: str) -> list[str]:
    named = ["--weights", weights, "--object", brought.mesh, "--camera", brought.camera]
    return ["predict", str(brought.video), *map(str, named), "--out", str(weights.parent / "predicted.npz"), *more]


def checkpoint_commands(brought: Brought, content: bytes) -> Callable[[Path], Commands]:
    def write(folder: Path) -> Commands:
        (folder / "w.safetensors").write_bytes(content)
        return {"predict": predict_words(brought, folder / "w.safetensors", "--check-hands", "0")}

    return write


RUNS: dict[str, str | None] = {
    "a pipe": None,
    "a list": "[]",
    "deep": "[" * 100_000,
    "a number": '{"data": 3}',
    "numbers": '{"data": {"root": 3, "protocol": []}}',
    "a zero": '{"data": {"root": "\\u0000", "protocol": "x"}}',
    "long": json.dumps({"data": {"root": "x" * 100_000, "protocol": "y"}}),
}


def run_commands(brought: Brought, content: str | None) -> Callable[[Path], Commands]:
    def write(folder: Path) -> Commands:
        run = folder / "run"
        run.mkdir()
        shutil.copyfile(brought.weights, run / "weights.safetensors")
        os.mkfifo(run / "run.json") if content is None else (run / "run.json").write_text(content)
        figure = ["figure", "6", "--run", str(run), "--data", str(folder), "--out", str(folder / "f.png")]
        return {"predict": predict_words(brought, run, "--check-hands", "0"), "figure": figure}

    return write
