"""Hundreds of damaged files: each is refused by a `DataError` that names it, or is read; nothing else ever happens."""

import json
import random
import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from tests.data.damage import CORPUS_SHARES
from tests.data.meshes.mesh_files import INDICES, XYZ, Gltf, glb_of_text, obj_text, ply_header, ply_text
from tests.data.recording.camera_texts import FILES, CameraFile
from tests.data.recording.recording_files import WEDGE_FACES, WEDGE_M, edit, simple_label, write_video
from tests.data.recording.video_kinds import REORDERED, Coding, even_frames, with_edits, write_coded
from warpgrasp.data.recording.annotations import HandJoints, Label, write_annotations
from warpgrasp.data.recording.calibrations import read_cameras
from warpgrasp.data.recording.camera import check_lens
from warpgrasp.data.recording.dataset import Recordings
from warpgrasp.errors import DataError
from warpgrasp.hand.model import HandModel

WEDGE, FACES = np.array(WEDGE_M), np.array(WEDGE_FACES)
STRANGE_VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    10**40,
    1e308,
    -1e308,
    float("nan"),
    float("inf"),
    "",
    "1",
    "../../../etc/passwd",
    "/etc/passwd",
    "\0",
    [],
    {},
    [[[]]],
    {"a": {"b": []}},
    "x" * 3000,
)


def read_everything(folder: Path, hand: HandModel) -> bool:
    """Read all that there is; whether it was read, and not refused."""
    try:
        dataset = Recordings(folder, hand)
        for split in ("train", "evaluation"):
            for name in dataset.names(split):
                frame = dataset.frame(name, annotated=dataset.is_annotated(name))
                assert frame.image.isfinite().all()
                assert frame.camera.intrinsics.isfinite().all()
                assert frame.object.vertices.isfinite().all()
                if frame.annotation is not None:
                    assert frame.annotation.hand_vertices.isfinite().all()
                    assert frame.annotation.object_translation.isfinite().all()
    except DataError as error:
        message = str(error)
    else:
        return True
    assert str(folder) in message, message
    assert len(message) < 1000
    return False


def nodes(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all values of a JSON document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*path, key)
        yield from nodes(one, (*path, key))


def changed_json(text: str, chance: random.Random) -> str:
    """A JSON document with one value replaced, removed, or added to."""
    content = json.loads(text)
    *before, last = chance.choice(list(nodes(content)))
    holder = content
    for key in before:
        holder = holder[key]
    match chance.randrange(4):
        case 0:
            del holder[last]
        case 1 if isinstance(holder, dict):
            holder["unheard-of"] = chance.choice(STRANGE_VALUES)
        case 1:
            holder.insert(last, holder[last])
        case _:
            holder[last] = chance.choice(STRANGE_VALUES)
    return json.dumps(content)


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Bytes with some bits turned, a stretch replaced or lost, or cut off."""
    damaged = bytearray(content)
    place = chance.randrange(len(damaged))
    match chance.randrange(4):
        case 0:
            return bytes(damaged[:place])
        case 1:
            for _ in range(chance.choice((1, 3, 20))):
                damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        case 2:
            damaged[place : place + chance.randrange(1, 30)] = chance.randbytes(chance.randrange(30))
        case _:
            damaged[place : place + 4] = chance.choice((b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0"))
    return bytes(damaged)


def tried(count: int, share: float) -> int:
    """How many versions of a file a part of a corpus has."""
    return max(8, ceil(share * count))


def refused_share(path: Path, hand: HandModel, count: int, change: Callable[[bytes, random.Random], bytes]) -> float:
    """Which share of `count` versions of a file is refused; everything else in its folder is whole."""
    chance, content, refused = random.Random(path.name), path.read_bytes(), 0
    for _ in range(count):
        path.write_bytes(change(content, chance))
        refused += not read_everything(path.parent, hand)
    path.write_bytes(content)
    assert read_everything(path.parent, hand)
    return refused / count


@CORPUS_SHARES
@pytest.mark.parametrize("name", ["camera.json", "object.json", "annotations.json"])
def test_changed_json(small: Path, hand: HandModel, name: str, share: float) -> None:
    def change(content: bytes, chance: random.Random) -> bytes:
        return changed_json(content.decode(), chance).encode()

    assert refused_share(small / name, hand, tried(70, share), change) > 0.57


@CORPUS_SHARES
def test_changed_joints(small: Path, hand: HandModel, share: float) -> None:
    with torch.no_grad():
        joints = hand(torch.zeros(1, 3), hand.mean_pose[None], torch.zeros(1, 10)).joints[0] + torch.tensor([0, 0, 0.5])
    label = simple_label(0)
    by_joints = HandJoints(joints.double().numpy())
    write_annotations(small, [Label(0, by_joints, label.object_rotation, label.object_translation)], hand_model=None)

    def change(content: bytes, chance: random.Random) -> bytes:
        return changed_json(content.decode(), chance).encode()

    assert refused_share(small / "annotations.json", hand, tried(30, share), change) > 0.67


@CORPUS_SHARES
@pytest.mark.parametrize("name", ["camera.json", "object.json", "annotations.json"])
def test_damaged_json(small: Path, hand: HandModel, name: str, share: float) -> None:
    assert refused_share(small / name, hand, tried(40, share), damaged) > 0.5


def sparse_wedge() -> Gltf:
    """A wedge one of whose vertices is told by a sparse accessor; two nodes, one mirrored, in a scene."""
    gltf = Gltf(WEDGE, FACES, mode=4)
    places = {"bufferView": gltf.view(np.array([1], "<u2")), "componentType": 5123}
    values = {"bufferView": gltf.view(WEDGE[1:2].astype("<f4"))}
    gltf.document["accessors"][0]["sparse"] = {"count": 1, "indices": places, "values": values}
    gltf.document["nodes"] = [{"mesh": 0, "children": [1]}, {"mesh": 0, "scale": [-1, 1, 1], "rotation": [0, 0, 0, 1]}]
    return gltf


def quantized_wedge() -> Gltf:
    """A wedge in bytes, 4 for each vertex, with a morph target and a node that has a matrix."""
    gltf = Gltf(WEDGE, FACES, mode=4)
    rows = np.zeros((4, 4), "u1")
    rows[:, :3] = np.round(WEDGE / 0.1 * 255)
    gltf.document["accessors"][0] |= {"bufferView": gltf.view(rows, byteStride=4), "componentType": 5121}
    gltf.document["accessors"][0] |= {"normalized": True, "min": [0, 0, 0], "max": [255, 128, 51]}
    gltf.primitive["targets"] = [{"POSITION": gltf.positions(WEDGE.astype("<f4"))}]
    gltf.document["meshes"][0]["weights"] = [0.01]
    gltf.document["extensionsRequired"] = ["KHR_mesh_quantization"]
    gltf.document["nodes"] = [{"mesh": 0, "matrix": [0.1, 0, 0, 0, 0, 0.1, 0, 0, 0, 0, 0.1, 0, 0, 0, 0, 1]}]
    return gltf


@CORPUS_SHARES
@pytest.mark.parametrize("ending", ["obj", "ply", "glb"])
def test_damaged_meshes(small: Path, hand: HandModel, ending: str, share: float) -> None:
    path = small / f"mesh.{ending}"
    trimesh.Trimesh(np.array(WEDGE_M), np.array(WEDGE_FACES), process=False).export(str(path))
    edit(small / "object.json", lambda content: content.update(mesh=path.name))
    assert refused_share(path, hand, tried(60, share), damaged) > 0.083


QUADS = [[0, 1, 2], [3, 1, 0], [0, 3, 1, 2]]
MESHES = {
    "relative.obj": "".join(obj_text(WEDGE[face], []) + "f -3//1 -2//1 \\\n\t-1//1 # a face\n" for face in FACES),
    "colours.obj": "o a\n" + obj_text(WEDGE, []).replace("\n", " 1 0 0.5\n") + "l 1 2\ns 1\nf 1 2 3 4\nf 4 3 2\n",
    "text.ply": ply_text(WEDGE, QUADS),
    "mixed.ply": ply_header("binary_big_endian", ("vertex", 4, XYZ), ("face", 3, INDICES))
    + WEDGE.astype(">f4").tobytes()
    + b"".join(struct.pack(f">B{len(corners)}i", len(corners), *corners) for corners in QUADS),
    "strips.ply": ply_header("ascii", ("vertex", 4, XYZ), ("tristrips", 1, ("list int int vertex_indices",)))
    + ply_text(WEDGE, [[0, 1, 2, 3, -1, 3, 1, 0]]).partition(b"end_header\n")[2],
    "plain.glb": Gltf(WEDGE, FACES).content(),
    "sparse.glb": sparse_wedge().content(),
    "quantized.glb": quantized_wedge().content(),
}


@CORPUS_SHARES
@pytest.mark.parametrize("name", MESHES)
def test_damaged_meshes_of_all_kinds(small: Path, hand: HandModel, name: str, share: float) -> None:
    content = MESHES[name]
    (small / name).write_bytes(content.encode() if isinstance(content, str) else content)
    edit(small / "object.json", lambda declared: declared.update(mesh=name))
    assert refused_share(small / name, hand, tried(60, share), damaged) > 0.083


@CORPUS_SHARES
@pytest.mark.parametrize("name", ["sparse.glb", "quantized.glb"])
def test_changed_gltf(small: Path, hand: HandModel, name: str, share: float) -> None:
    """The JSON of a GLB with values changed, its lengths as they must be."""
    (small / name).write_bytes(MESHES[name])
    edit(small / "object.json", lambda declared: declared.update(mesh=name))

    def change(content: bytes, chance: random.Random) -> bytes:
        length = int.from_bytes(content[12:16], "little")
        text = changed_json(content[20 : 20 + length].decode(), chance).encode()
        return glb_of_text(text, content[28 + length :])

    assert refused_share(small / name, hand, tried(150, share), change) > 0.4


@CORPUS_SHARES
@pytest.mark.parametrize(
    ("name", "codec", "count"),
    [("video.mp4", "libx264", 40), ("video.mkv", "ffv1", 20), ("video.webm", "libvpx", 20)],
)
def test_damaged_videos(small: Path, hand: HandModel, name: str, codec: str, count: int, share: float) -> None:
    (small / "video.mp4").unlink()
    write_video(small / name, [number / 30 for number in range(5)], codec=codec)
    assert refused_share(small / name, hand, tried(count, share), damaged) > 0.1


def read_or_refused(path: Path) -> bool:
    """Whether the cameras of a file are read; a lens that is written must be one that can be read again."""
    try:
        _, cameras = read_cameras(path)
        for camera in cameras:
            lens = camera.lens(camera.size or (640, 480), "a file")
            check_lens(lens, path)
            assert np.isfinite(lens.intrinsics).all()
            assert np.isfinite(lens.distortion).all()
    except DataError as error:
        message = str(error)
    else:
        return True
    assert str(path) in message
    assert len(message) < 1000
    return False


@CORPUS_SHARES
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_damaged_camera_files(tmp_path: Path, file: CameraFile, share: float) -> None:
    """Other programs' cameras: bits turned, stretches lost, values replaced."""
    path, chance, refused = tmp_path / file.name, random.Random(file.name), 0
    path.write_bytes(file.content)
    assert read_or_refused(path)
    count = tried(60, share)
    for number in range(count):
        if file.content.startswith(b"{") and number % 2:
            path.write_bytes(changed_json(file.content.decode(), chance).encode())
        else:
            path.write_bytes(damaged(file.content, chance))
        refused += not read_or_refused(path)
    assert refused > 0.05 * count


@CORPUS_SHARES
@pytest.mark.parametrize(
    ("name", "coding"),
    [
        ("video.mp4", Coding(options=REORDERED)),
        ("video.mov", Coding(options=REORDERED, pixel_aspect=Fraction(4, 3))),
        ("video.m4v", Coding(options=REORDERED, container_options={"movflags": "frag_keyframe+empty_moov"})),
        ("video.avi", Coding("mpeg4", options={})),
        ("video.mkv", Coding("ffv1", "yuv420p10le", {}, tags={"color_trc": 16})),
    ],
)
def test_damaged_videos_of_other_kinds(small: Path, hand: HandModel, name: str, coding: Coding, share: float) -> None:
    (small / "video.mp4").unlink()
    content = write_coded(small / name, even_frames(8), coding).read_bytes()
    if name == "video.mp4":
        (small / name).write_bytes(with_edits(content, [(2, None), (6, 2)]))
    if coding.pixel_aspect is not None:
        edit(small / "camera.json", lambda camera: camera.update(width=85))
    assert refused_share(small / name, hand, tried(20, share), damaged) > 0.1


@CORPUS_SHARES
@pytest.mark.parametrize(
    "name", ["0.jpg", "1.png", "2.tif", "3.webp", "1403636579763555584.bmp", "PXL_20230405_123456789.jpeg"]
)
def test_damaged_pictures(small: Path, hand: HandModel, name: str, share: float) -> None:
    (small / "video.mp4").unlink()
    (small / "annotations.json").unlink()
    (small / "frames").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 3
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    deep = name.endswith((".png", ".tif"))
    picture = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257 if deep else pixels)
    path = small / "frames" / name
    picture.save(path, **({} if name.endswith("bmp") else {"exif": exif}))
    chance, content, refused = random.Random(name), path.read_bytes(), 0
    count = tried(60, share)
    for _ in range(count):
        path.write_bytes(damaged(content, chance))
        refused += not read_everything(small, hand)
    assert refused > 0.08 * count
