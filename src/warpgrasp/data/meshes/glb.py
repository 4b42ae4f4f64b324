"""GLB: the triangles of a glTF file's scene, each mesh where its nodes put it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from warpgrasp.data.meshes.gltf import DRACO, GltfDocument, Values, decompressed, indices, open_glb, positions
from warpgrasp.data.meshes.obj import Polygons, fan_triangles, strip_triangles
from warpgrasp.errors import DataError

LINES_AND_POINTS = (0, 1, 2, 3)
TRIANGLES, STRIP, FAN = 4, 5, 6
LARGEST_FACES = 20_000_000  # of all instances of all meshes together
UNIT_TOLERANCE = 1e-2  # of the length of a quaternion, which quantized files state roughly
# Extensions of a node that add or take away what is seen, though a program may pass over them.
REFUSED_OF_NODES = ("EXT_mesh_gpu_instancing", "KHR_node_visibility")


@dataclass(frozen=True)
class _Placed:
    """A node of the scene."""

    node: Values
    scene_from_node: Float[np.ndarray, "4 4"]


def read_glb(content: bytes, path: Path) -> tuple[Float[np.ndarray, "v 3"], Int[np.ndarray, "f 3"]]:
    """The vertices of a GLB file's scene and its triangles, one mesh after the other, outsides outside.

    Read are all meshes of the default scene, or of the only one, in the pose in which the file has them at rest.
    Raises `DataError` naming the file.
    """
    document = open_glb(content, path)
    vertices, faces = [np.zeros((0, 3))], [np.zeros((0, 3), dtype=np.int64)]
    vertex_count = face_count = 0
    for placed in _placed_nodes(document):
        for places, triangles in _surfaces(document, placed):
            vertices.append(places)
            faces.append(triangles + vertex_count)
            vertex_count += len(places)
            face_count += len(triangles)
            if max(vertex_count, face_count) > LARGEST_FACES:
                raise document.error(f"at most {LARGEST_FACES} triangles", "more")
    if not face_count:
        raise DataError(
            f"expected a triangle mesh in {path}, found no triangles in its scene; lines and points are no surface"
        )
    every = np.concatenate(vertices)
    return every, Polygons.of_triangles(np.concatenate(faces)).triangles(every, path)


def _placed_nodes(document: GltfDocument) -> Iterator[_Placed]:
    """The nodes of the scene, parents before children."""
    waiting = [(index, np.eye(4)) for index in reversed(_roots(document))]
    seen = set()
    while waiting:
        index, scene_from_parent = waiting.pop()
        if index in seen:
            raise document.error("nodes with one parent each", f"node {index} twice in the scene")
        seen.add(index)
        node = document.item("nodes", index)
        placed = _Placed(node, scene_from_parent @ _parent_from_node(document, node))
        yield placed
        waiting += [(child, placed.scene_from_node) for child in reversed(document.wholes(node, "children"))]


def _roots(document: GltfDocument) -> list[int]:
    scenes = document.tables(document.values, "scenes")
    if "scene" in document.values or len(scenes) == 1:
        return document.wholes(document.item("scenes", document.whole(document.values, "scene", 0)), "nodes")
    if scenes:
        raise document.error("a default scene", f"{len(scenes)} scenes and none chosen; save the object alone")
    nodes = document.tables(document.values, "nodes")
    children = {child for node in nodes for child in document.wholes(node, "children")}
    return [index for index in range(len(nodes)) if index not in children]


def _parent_from_node(document: GltfDocument, node: Values) -> Float[np.ndarray, "4 4"]:
    matrix = document.numbers(node, "matrix", 16)
    if matrix is not None:
        transform = matrix.reshape(4, 4).T
        if not np.allclose(transform[3], (0, 0, 0, 1)):
            raise document.error("matrices of nodes that end in 0 0 0 1", str(transform[3].tolist()))
        return transform
    translation, rotation, scale = (
        document.numbers(node, key, count) for key, count in (("translation", 3), ("rotation", 4), ("scale", 3))
    )
    transform = np.eye(4)
    if rotation is not None:
        length = float(np.linalg.norm(rotation))
        if abs(length - 1) > UNIT_TOLERANCE:
            raise document.error("rotations of nodes by unit quaternions", f"one {length:g} long")
        transform[:3, :3] = _rotation_matrix(rotation / length)
    if scale is not None:
        transform[:3, :3] *= scale
    if translation is not None:
        transform[:3, 3] = translation
    return transform


def _rotation_matrix(quaternion: Float[np.ndarray, " 4"]) -> Float[np.ndarray, "3 3"]:
    from scipy.spatial.transform import Rotation

    return Rotation.from_quat(quaternion).as_matrix()  # x, y, z, w, as glTF has it


def _surfaces(document: GltfDocument, placed: _Placed) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The surfaces of a node's mesh in the scene: vertices and triangles."""
    node = placed.node
    for name in REFUSED_OF_NODES:
        if name in document.table(node, "extensions"):
            raise document.error("only glTF extensions that are read", f"{name}; save the object without")
    if "mesh" not in node:
        return
    if "skin" in node:
        raise document.error("a rigid mesh", "one with a skeleton (skin); save it without, in the pose that it has")
    mesh = document.item("meshes", document.whole(node, "mesh"))
    weights = document.numbers(node if "weights" in node else mesh, "weights")
    linear = placed.scene_from_node[:3, :3]
    for primitive in document.tables(mesh, "primitives"):
        mode = document.whole(primitive, "mode", TRIANGLES, most=FAN)
        if mode in LINES_AND_POINTS:
            continue
        places, triangles = _primitive(document, primitive, mode)
        places = places + _morphed(document, primitive, weights, places)
        if not np.array_equal(placed.scene_from_node, np.eye(4)):
            places = places @ linear.T + placed.scene_from_node[:3, 3]
        # What mirrors turns the inside out, so that the corners run the other way.
        yield places, triangles[:, ::-1] if np.linalg.det(linear) < 0 else triangles


def _primitive(document: GltfDocument, primitive: Values, mode: int) -> tuple[np.ndarray, np.ndarray]:
    """The vertices of a primitive and its triangles."""
    attributes = document.table(primitive, "attributes")
    if "POSITION" not in attributes:
        raise document.error("positions of every mesh", "a mesh without")
    index = document.whole(attributes, "POSITION")
    accessor = document.item("accessors", index)
    if DRACO in document.table(primitive, "extensions") and "bufferView" not in accessor:
        places, triangles = decompressed(document, primitive, accessor)
    else:
        places = positions(document, index)
        given = "indices" in primitive
        numbers = indices(document, document.whole(primitive, "indices")) if given else np.arange(len(places))
        triangles = _triangles(document, mode, numbers)
    if triangles.size and triangles.max() >= len(places):
        raise document.error(f"triangles of the {len(places)} vertices of a mesh", f"one of vertex {triangles.max()}")
    return places, triangles


def _triangles(document: GltfDocument, mode: int, numbers: Int[np.ndarray, " i"]) -> Int[np.ndarray, "t 3"]:
    if mode == STRIP:
        return strip_triangles(numbers)
    if mode == FAN:
        return fan_triangles(numbers)
    if len(numbers) % 3:
        raise document.error("three corners of each triangle", f"{len(numbers)} corners in a mesh; is it cut off?")
    return numbers.reshape(-1, 3)


def _morphed(
    document: GltfDocument, primitive: Values, weights: Float[np.ndarray, " m"] | None, places: np.ndarray
) -> Float[np.ndarray, "v 3"] | float:
    """What the morph targets add to the vertices at the weights that the file gives them at rest."""
    targets = document.tables(primitive, "targets")
    if weights is None or not targets or not weights.any():
        return 0.0
    if len(weights) != len(targets):
        raise document.error(f"a weight of each of {len(targets)} morph targets", f"{len(weights)}")
    total = np.zeros_like(places)
    for weight, target in zip(weights, targets, strict=True):
        if weight and "POSITION" in target:
            moved = positions(document, document.whole(target, "POSITION"))
            if moved.shape != places.shape:
                raise document.error(f"morph targets of {len(places)} vertices", f"one of {len(moved)}")
            total += weight * moved
    return total
