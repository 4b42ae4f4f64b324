"""GLB files: primitives, accessors, nodes and scenes as the glTF specification has them."""

import base64
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.meshes.mesh_files import (
    BOX_FACES,
    BOX_M,
    BOX_QUADS,
    BOX_VOLUME_M3,
    Gltf,
    glb,
    is_box,
    surface_of,
    triangles_of,
    volume_m3,
)
from warpgrasp.errors import DataError

STRIP = np.array([0, 1, 2, 3, 6, 7, 4, 5, 0, 1, 1, 0, 0, 2, 4, 6, 6, 1, 1, 5, 3, 7])  # joined by corners that repeat
FAN_ROUNDS = ([0, 4, 5, 1, 3, 2, 6, 4], [7, 6, 2, 3, 1, 5, 4, 6])  # all faces at corner 0, all at corner 7


def with_nodes(gltf: Gltf, *nodes: dict[str, Any], roots: list[int] | None = None) -> Gltf:
    gltf.document |= {"nodes": list(nodes), "scenes": [{"nodes": roots or [0]}]}
    return gltf


def strip() -> Gltf:
    return Gltf(faces=STRIP, mode=5)


def fans() -> Gltf:
    gltf = Gltf(faces=np.array(FAN_ROUNDS[0]), mode=6)
    second = gltf.accessor(np.array(FAN_ROUNDS[1], "<u1"), "SCALAR", 5121)
    gltf.document["meshes"][0]["primitives"].append(gltf.primitive | {"indices": second})
    return gltf


def without_indices() -> Gltf:
    return Gltf(BOX_M[BOX_FACES].reshape(-1, 3), None)


def long_indices() -> Gltf:
    gltf = Gltf()
    gltf.primitive["indices"] = gltf.accessor(BOX_FACES.reshape(-1).astype("<u4"), "SCALAR", 5125)
    return gltf


def interleaved() -> Gltf:
    """Positions among normals: 24 bytes apart, 12 from the beginning of the view."""
    gltf = Gltf()
    rows = np.concatenate([np.zeros((8, 3)), BOX_M], axis=1).astype("<f4")
    position = gltf.document["accessors"][gltf.primitive["attributes"]["POSITION"]]
    position |= {"bufferView": gltf.view(rows, byteStride=24), "byteOffset": 12}
    return gltf


def sparse() -> Gltf:
    """Stored with x = 0 at four corners, which are then said to be elsewhere."""
    gltf = Gltf()
    wrong = BOX_M.astype("<f4")
    wrong[4:, 0] = 0
    changed = {
        "count": 4,
        "indices": {"bufferView": gltf.view(np.array([4, 5, 6, 7], "<u2")), "componentType": 5123},
        "values": {"bufferView": gltf.view(BOX_M[4:].astype("<f4"))},
    }
    gltf.document["accessors"][gltf.primitive["attributes"]["POSITION"]] |= {
        "bufferView": gltf.view(wrong),
        "sparse": changed,
    }
    return gltf


def sparse_alone() -> Gltf:
    """No stored positions: zeros, all of which are said to be elsewhere."""
    gltf = sparse()
    position = gltf.document["accessors"][gltf.primitive["attributes"]["POSITION"]]
    del position["bufferView"]
    position["sparse"] = {
        "count": 8,
        "indices": {"bufferView": gltf.view(np.arange(8, dtype="<u1")), "componentType": 5121},
        "values": {"bufferView": gltf.view(BOX_M.astype("<f4"))},
    }
    return gltf


def quantized(dtype: str, component: int, *, normalized: bool) -> Gltf:
    """Corners as whole numbers, rows padded to four; a node brings them back to their size and place."""
    gltf, numbers = Gltf(), np.zeros((8, 4), dtype)
    most = np.iinfo(dtype).max
    low = -most if dtype.startswith("<i") or dtype == "i1" else 0
    numbers[:, :3] = np.where(BOX_M > 0, most, low)
    unit = (1.0 if low else 0.5) if normalized else (most if low else most / 2)  # half a side
    middle = 0.0 if low else unit
    scale = BOX_M.max(axis=0) / unit
    gltf.primitive["attributes"]["POSITION"] = gltf.accessor(numbers, "VEC3", component, normalized=normalized)
    gltf.document["accessors"][-1] |= {"min": [int(low)] * 3, "max": [int(most)] * 3}
    gltf.document["bufferViews"][-1]["byteStride"] = numbers.itemsize * 4
    gltf.document |= {"extensionsRequired": ["KHR_mesh_quantization"]}
    return with_nodes(gltf, {"mesh": 0, "scale": scale.tolist(), "translation": (-scale * middle).tolist()})


def morphed() -> Gltf:
    """The mesh is at x + 0.02; half of a target of -0.04 brings it back; another target has no weight."""
    gltf = Gltf(BOX_M + np.array([0.02, 0, 0]))
    moves = np.tile(np.array([-0.04, 0, 0], "<f4"), (8, 1))
    gltf.primitive["targets"] = [{"POSITION": gltf.positions(moves)}, {"POSITION": gltf.positions(9 * moves)}]
    gltf.document["meshes"][0]["weights"] = [0.5, 0.0]
    return gltf


def lines_beside() -> Gltf:
    gltf = Gltf()
    far = gltf.positions(np.array([[0, 0, 0], [5, 5, 5]], "<f4"))
    gltf.document["meshes"][0]["primitives"] += [{"attributes": {"POSITION": far}, "mode": mode} for mode in range(4)]
    return gltf


def second_scene() -> Gltf:
    gltf = Gltf()
    gltf.document |= {"nodes": [{"mesh": 0, "scale": [2, 2, 2]}, {"mesh": 0}], "scene": 1}
    gltf.document["scenes"] = [{"nodes": [0]}, {"nodes": [1]}]
    return gltf


def no_scene() -> Gltf:
    gltf = with_nodes(Gltf(), {"children": [1], "translation": [0.1, 0, 0]}, {"mesh": 0, "translation": [-0.1, 0, 0]})
    del gltf.document["scenes"], gltf.document["scene"]
    return gltf


def data_uri() -> Gltf:
    gltf = Gltf()
    text = base64.b64encode(gltf.binary).decode()
    uri = f"data:application/octet-stream;base64,{text}"
    gltf.document["buffers"] = [{"byteLength": len(gltf.binary), "uri": uri}]
    gltf.binary = b""
    return gltf


def by_matrix() -> Gltf:
    """The mesh is turned and moved; the columns of its node's matrix turn it back, (x, y) → (y, -x), z + 0.1."""
    gltf = Gltf(BOX_M[:, [1, 0, 2]] * np.array([-1.0, 1, 1]) - np.array([0, 0, 0.1]))
    matrix = [0, -1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0.1, 1]
    return with_nodes(gltf, {"mesh": 0, "matrix": matrix})


FILES = {
    "triangles": Gltf,
    "strip": strip,
    "fans": fans,
    "no indices": without_indices,
    "indices of 4 bytes": long_indices,
    "interleaved": interleaved,
    "sparse": sparse,
    "sparse alone": sparse_alone,
    "int8": lambda: quantized("i1", 5120, normalized=False),
    "int8 normalized": lambda: quantized("i1", 5120, normalized=True),
    "uint8": lambda: quantized("u1", 5121, normalized=False),
    "uint8 normalized": lambda: quantized("u1", 5121, normalized=True),
    "int16": lambda: quantized("<i2", 5122, normalized=False),
    "int16 normalized": lambda: quantized("<i2", 5122, normalized=True),
    "uint16": lambda: quantized("<u2", 5123, normalized=False),
    "uint16 normalized": lambda: quantized("<u2", 5123, normalized=True),
    "morphed": morphed,
    "lines and points beside": lines_beside,
    "second scene": second_scene,
    "no scene": no_scene,
    "data uri": data_uri,
    "matrix": by_matrix,
}


@pytest.mark.parametrize("name", FILES)
def test_a_box_is_a_box_however_it_is_written(tmp_path: Path, name: str) -> None:
    assert is_box(surface_of(tmp_path, "box.glb", FILES[name]().content()))


def test_the_lowest_whole_number_is_minus_one(tmp_path: Path) -> None:
    """Normalized bytes of -128 and -127 are both -1 (glTF 2.0, section 3.11)."""
    numbers = np.array([[-128, 0, 0], [127, 0, 0], [0, -127, 0]], "i1")
    gltf = Gltf(BOX_M[:3], np.array([[0, 1, 2]]))
    gltf.primitive["attributes"]["POSITION"] = gltf.accessor(numbers, "VEC3", 5120, normalized=True)
    vertices, faces = surface_of(tmp_path, "a.glb", gltf.content())
    np.testing.assert_array_equal(vertices[faces[0]], [[-1, 0, 0], [1, 0, 0], [0, -1, 0]])


def test_nodes_move_turn_and_mirror(tmp_path: Path) -> None:
    """A child of a mirroring node, and the same mesh a quarter turn about z away; both keep their outsides outside."""
    half = np.sqrt(0.5)
    gltf = with_nodes(
        Gltf(BOX_M + np.array([0.07, 0, 0])),
        {"children": [1], "scale": [-1, 1, 1], "translation": [-0.1, 0, 0]},
        {"mesh": 0, "translation": [0.02, 0, 0]},
        {"mesh": 0, "rotation": [0, 0, half, half], "translation": [0, 0.3, 0]},
        roots=[0, 2],
    )
    vertices, faces = surface_of(tmp_path, "two.glb", gltf.content())
    mirrored = np.array([-1, 1, 1]) * (BOX_M + np.array([0.09, 0, 0])) - np.array([0.1, 0, 0])
    moved = BOX_M + np.array([0.07, 0, 0])
    turned = np.stack([-moved[:, 1], moved[:, 0] + 0.3, moved[:, 2]], axis=1)
    expected = triangles_of(mirrored, BOX_FACES[:, ::-1]) + triangles_of(turned, BOX_FACES)
    assert triangles_of(vertices, faces) == sorted(expected)
    np.testing.assert_allclose(volume_m3(vertices, faces), 2 * BOX_VOLUME_M3, rtol=1e-5)


def test_draco_is_read(tmp_path: Path) -> None:
    """The library's own compression of the box, in 2^14 steps of 0.1 m."""
    library = pytest.importorskip("DracoPy")
    content = compressed(library.encode(BOX_M, BOX_FACES)).content()
    assert is_box(surface_of(tmp_path, "box.glb", content), within_m=0.1 / 2**14)
    wrong = compressed(library.encode(2 * BOX_M, BOX_FACES))
    with pytest.raises(DataError, match=r"positions between their stated bounds \(-0\.05"):
        surface_of(tmp_path, "box.glb", wrong.content())
    broken = compressed(b"DRACO\2\2\1\1" + bytes(55))
    with pytest.raises(DataError, match=r"expected a mesh compressed by Draco in .*box\.glb, found one that cannot be"):
        surface_of(tmp_path, "box.glb", broken.content())


def test_draco_is_named_where_its_library_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "DracoPy", None)
    with pytest.raises(DataError, match=r"compressed by Draco .*; install warpgrasp\[draco\], or save it without"):
        surface_of(tmp_path, "box.glb", compressed(b"DRACO").content())


def compressed(content: bytes) -> Gltf:
    gltf = Gltf()
    view = gltf.view(np.frombuffer(content, np.uint8))
    for accessor in gltf.document["accessors"]:
        del accessor["bufferView"]
    draco = {"bufferView": view, "attributes": {"POSITION": 0}}
    gltf.primitive["extensions"] = {"KHR_draco_mesh_compression": draco}
    gltf.document["extensionsRequired"] = ["KHR_draco_mesh_compression"]
    return gltf


def changed(where: str, **values: Any) -> bytes:
    """The box with other values of its document's first node, mesh, primitive, accessor, buffer view, or of itself."""
    gltf = Gltf()
    places = {
        "document": gltf.document,
        "node": gltf.document["nodes"][0],
        "mesh": gltf.document["meshes"][0],
        "primitive": gltf.primitive,
        "position": gltf.document["accessors"][0],
        "index": gltf.document["accessors"][1],
        "view": gltf.document["bufferViews"][0],
    }
    places[where].update(values)
    return gltf.content()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"glTF", "does not begin with glTF"),
        (b"solid" + bytes(50), "does not begin with glTF"),
        (glb({}, version=1), "glTF of version 2 in .*, found version 1; export it as glTF 2.0"),
        (Gltf().content()[:-4], r"expected \d+ bytes in .*, found \d+; is it cut off"),
        (glb({}), "found no triangles in its scene"),
        (changed("document", extensionsRequired=["EXT_meshopt_compression"]), "not compressed in .*EXT_meshopt"),
        (changed("document", extensionsRequired=["ACME_voxels"]), "extensions that are read in .*'ACME_voxels'"),
        (changed("document", buffers=[{"uri": "../secret.bin", "byteLength": 9}]), r"in another file \('\.\./secret"),
        (changed("document", buffers=[{"uri": "https://a.b/c", "byteLength": 9}]), "a buffer in another file"),
        (changed("document", buffers=[{"byteLength": 10**6}]), r"1000000 bytes of buffer 0 in .*; is it cut off"),
        (changed("document", buffers=[{"uri": "data:;base64,#", "byteLength": 1}]), "data in base64"),
        (changed("document", scenes=[{"nodes": [0, 0]}]), "nodes with one parent each in .*, found node 0 twice"),
        (changed("node", children=[0]), "nodes with one parent each in .*, found node 0 twice"),
        (changed("document", scenes=[{"nodes": [7]}]), "the entry 7 of nodes in .*, found none"),
        (changed("node", skin=0), r"a rigid mesh in .*, found one with a skeleton \(skin\)"),
        (changed("node", extensions={"EXT_mesh_gpu_instancing": {}}), "EXT_mesh_gpu_instancing; save the object"),
        (changed("node", rotation=[0, 0, 0, 2]), "unit quaternions in .*, found one 2 long"),
        (changed("node", scale=[1, 1]), r"expected 3 numbers for scale"),
        (changed("node", scale=[1, 1, "x"]), r"expected 3 numbers for scale"),
        (changed("node", matrix=[1.0] * 16), "matrices of nodes that end in 0 0 0 1"),
        (changed("mesh", weights=[1]), None),  # of no morph targets: nothing moves
        (changed("primitive", targets=[{}], mode=4), None),
        (changed("primitive", mode=7), "a whole number from 0 to 6 for mode in .*, found 7"),
        (changed("primitive", mode=1), "found no triangles in its scene"),
        (changed("primitive", attributes={}), "positions of every mesh in .*, found a mesh without"),
        (changed("position", max=[0.05, 0.03, 0.01]), r"stated bounds \(-0\.05.* and \(0\.05, 0\.03, 0\.01\)"),
        (changed("position", componentType=5125), "positions of at most 16 bits or float"),
        (changed("position", componentType=5130), "a component type of 5120, 5121"),
        (changed("position", type="VEC2"), "an accessor of type VEC3 in .*, found 'VEC2'"),
        (changed("position", count=9), r"expected 9 × 3 numbers in a part of 96 bytes"),
        (changed("position", byteOffset=4), "too few bytes"),
        (changed("view", byteStride=8), "too few bytes"),
        (changed("view", byteLength=10**6), r"a part of 1000000 bytes from 0 on"),
        (changed("index", count=35), "three corners of each triangle in .*, found 35 corners"),
        (changed("index", componentType=5126), "whole numbers of vertices in .*component type 5126"),
    ],
)  # fmt: skip
def test_what_is_not_read_is_named(tmp_path: Path, content: bytes, message: str | None) -> None:
    if message is None:
        assert is_box(surface_of(tmp_path, "box.glb", content))
        return
    with pytest.raises(DataError, match=message) as caught:
        surface_of(tmp_path, "box.glb", content)
    assert str(tmp_path / "box.glb") in str(caught.value)


def test_a_triangle_of_no_vertex_is_refused(tmp_path: Path) -> None:
    """Also where the vertices of the mesh that follows would have that number."""
    gltf = with_nodes(Gltf(faces=np.array([[0, 1, 8]])), {"mesh": 0}, {"mesh": 0}, roots=[0, 1])
    with pytest.raises(DataError, match=r"triangles of the 8 vertices of a mesh in .*, found one of vertex 8"):
        surface_of(tmp_path, "box.glb", gltf.content())


def test_several_scenes_need_a_default(tmp_path: Path) -> None:
    gltf = second_scene()
    del gltf.document["scene"]
    with pytest.raises(DataError, match=r"expected a default scene in .*, found 2 scenes and none chosen"):
        surface_of(tmp_path, "box.glb", gltf.content())


def test_a_quad_of_the_box_is_where_it_was_put() -> None:
    """The box of these tests is closed and looks outwards, worked out corner by corner."""
    for quad, outwards in zip(
        BOX_QUADS, [(-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1)], strict=True
    ):
        a, b, c = BOX_M[quad[:3]]
        normal = np.cross(b - a, c - a)
        np.testing.assert_allclose(normal / np.linalg.norm(normal), outwards, atol=1e-12)
