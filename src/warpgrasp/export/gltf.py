"""An animated hand and object as a binary glTF 2.0 file (GLB).

https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html

The hand is a skinned mesh: linear blend skinning is exactly what the hand model does. Its shape, which the network
predicts for each frame anew, and MANO's pose correctives are morph targets, blended into the mesh before it is skinned:
the model is linear in them too. So every keyframe is the prediction itself, in some five hundred bytes instead of the
nine thousand of its vertices. The object is a rigid node.

Inside, everything is in the camera's OpenCV axes (x right, y down, z forward, metres). One node above all of it turns
that by half a turn about x into glTF's axes (x right, y up, z towards the viewer): (x, y, z) becomes (x, -y, -z).
"""

import json
import math
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Shaped
from scipy.spatial.transform import Rotation
from torch import Tensor

from warpgrasp.export.sequence import PredictedSequence, check_vertices
from warpgrasp.geometry import NEAR_M, Camera, Mesh, matrix_from_axis_angle
from warpgrasp.hand import MANO_JOINTS, HandModel
from warpgrasp.predictions import Predictions
from warpgrasp.render import vertex_normals
from warpgrasp.report import HAND_COLOUR, OBJECT_COLOUR, OTHER_HAND_COLOUR

HALF_TURN_ABOUT_X = [1.0, 0.0, 0.0, 0.0]  # a quaternion x, y, z, w
WEIGHTS_PER_SET = 4
ROUGHNESS = 0.8
COMPONENTS = {"f4": 5126, "u1": 5121, "u2": 5123, "u4": 5125}
TYPES: dict[tuple[int, ...], str] = {(): "SCALAR", (2,): "VEC2", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}
VERTICES, INDICES = 34962, 34963  # buffer targets
MAGIC, VERSION = b"glTF", 2
JSON_CHUNK, BINARY_CHUNK = b"JSON", b"BIN\0"
ALIGNMENT = 4
Colour = tuple[float, float, float]  # red, green and blue of a screen, 0 to 1


def write_glb(sequence: PredictedSequence, path: Path) -> None:
    """Write a sequence as a GLB file. Raises `SequenceError` when its vertices are not those of its parameters."""
    path.write_bytes(glb_of(sequence))


def glb_of(sequence: PredictedSequence) -> bytes:
    """A sequence as a GLB file. Raises `SequenceError` when its vertices are not those of its parameters."""
    builder = GltfBuilder({"scene": 0})
    animation = _Animation(builder, builder.accessor(sequence.times_s.astype(np.float32), bounds=True))
    wrists, hands = [], []
    for name, one in sequence.hands.items():
        motion = HandMotion.of(one)
        joints = _add_skeleton(builder, one.hand, motion, animation, prefix=name.removesuffix("hand"))
        hand = _add_hand(builder, one.hand, motion, joints, name=name, colour=hand_colour(one, sequence))
        animation.channel(hand, "weights", motion.weights.reshape(-1))
        wrists.append(joints[0])
        hands.append(hand)
    object_node = _add_object(builder, sequence, animation)
    axes = {"name": "camera space", "rotation": HALF_TURN_ABOUT_X, "children": [*wrists, object_node]}
    roots = [builder.add("nodes", axes), *hands]
    if sequence.camera is not None:
        roots.append(_add_camera(builder, sequence.camera))
    builder.add("scenes", {"name": sequence.name, "nodes": roots})
    builder.add("animations", animation.entry)
    return builder.packed()


@dataclass(frozen=True)
class HandMotion:
    """The skinned hand in each of n frames: global transforms of its joints, and how far its mesh is blended.

    A joint's transform moves its place in the mean shape, as `rest` has it, to its place in camera space.
    """

    rest: Float[np.ndarray, "16 3"]
    base: Float[np.ndarray, "v 3"]
    """The mean shape of the frames, unposed."""
    targets: Float[np.ndarray, "t v 3"]
    """What one unit of each blend weight adds to it."""
    weights: Float[np.ndarray, "n t"]
    rotations: Float[np.ndarray, "n 16 3 3"]
    translations: Float[np.ndarray, "n 16 3"]

    @staticmethod
    def of(sequence: PredictedSequence) -> "HandMotion":
        """The motion of a sequence. Raises `SequenceError` when its vertices are not those of its parameters."""
        shapes = sequence.predictions.hand_shape[sequence.rows].astype(np.float64)
        mean = shapes.mean(axis=0)
        hand = HandModel(sequence.hand.template).double()
        base = hand.template_vertices + hand.shape_directions @ torch.from_numpy(mean)
        rest = hand.joint_regressor @ base
        parts = [_posed(hand, part, rest) for part in sequence.chunks()]
        rotations, translations, correctives = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        targets = [hand.shape_directions.permute(2, 0, 1).numpy()]
        if hand.pose_directions is not None:
            targets.append(hand.pose_directions.permute(2, 0, 1).numpy())
        return HandMotion(
            rest.numpy(),
            base.numpy(),
            np.concatenate(targets),
            np.concatenate([shapes - mean, correctives], axis=1),
            rotations,
            translations,
        )


def _posed(
    hand: HandModel, part: Predictions, rest: Float[Tensor, "16 3"]
) -> tuple[Float[np.ndarray, "n 16 3 3"], Float[np.ndarray, "n 16 3"], Float[np.ndarray, "n c"]]:
    """Rotations and translations of the joints in camera space, and the weights of the pose correctives."""
    pose, shape, turn, vertices = (
        torch.from_numpy(array).double()
        for array in (part.hand_pose, part.hand_shape, part.hand_rotation, part.hand_vertices)
    )
    angles = hand.pose_from_coefficients(pose)
    upright = torch.zeros(len(pose), 3).double()
    rotations = matrix_from_axis_angle(torch.cat([upright, angles], dim=1).unflatten(1, (-1, 3)))
    shaped = hand.template_vertices + torch.einsum("vks,bs->bvk", hand.shape_directions, shape)
    own_rest = torch.einsum("jv,bvk->bjk", hand.joint_regressor, shaped)
    composed, places = hand.chain(rotations, own_rest)
    # The hand in camera space is the upright hand turned, then moved; the vertices tell by how much.
    turned = hand(upright, angles, shape).vertices @ turn.mT
    offset = (vertices - turned).mean(dim=1)
    check_vertices(turned + offset[:, None], vertices, hand)
    turned_joints = turn[:, None] @ composed
    moved = places + (composed @ (rest - own_rest)[..., None])[..., 0]
    in_camera = moved @ turn.mT + offset[:, None]
    correctives = (rotations[:, 1:] - torch.eye(3).double()).flatten(1)
    if hand.pose_directions is None:
        correctives = correctives[:, :0]
    return turned_joints.numpy(), in_camera.numpy(), correctives.numpy()


@dataclass
class _Animation:
    """The animation: channels over the same times."""

    builder: "GltfBuilder"
    times: int
    entry: dict[str, Any] = field(default_factory=lambda: {"name": "predictions", "samplers": [], "channels": []})

    def channel(self, node: int, path: str, values: np.ndarray) -> None:
        output = self.builder.accessor(values.astype(np.float32))
        self.entry["samplers"].append({"input": self.times, "output": output, "interpolation": "LINEAR"})
        sampler = len(self.entry["samplers"]) - 1
        self.entry["channels"].append({"sampler": sampler, "target": {"node": node, "path": path}})


def _add_skeleton(
    builder: "GltfBuilder", hand: HandModel, motion: HandMotion, animation: _Animation, *, prefix: str
) -> list[int]:
    """Add a node for each joint, moved relative to its parent; return their numbers."""
    parents = hand.template.parents
    first = len(builder.content.get("nodes", []))
    for joint, name in enumerate(MANO_JOINTS):
        children = [first + child for child, parent in enumerate(parents) if parent == joint]
        builder.add("nodes", {"name": f"{prefix}{name}", **({"children": children} if children else {})})
    for joint, parent in enumerate(parents):
        rotations, translations = motion.rotations[:, joint], motion.translations[:, joint]
        if parent >= 0:
            upwards = motion.rotations[:, parent].swapaxes(1, 2)
            rotations = upwards @ rotations
            translations = (upwards @ (translations - motion.translations[:, parent])[..., None])[..., 0]
        animation.channel(first + joint, "rotation", quaternions(rotations))
        animation.channel(first + joint, "translation", translations)
    return list(range(first, first + len(parents)))


def _add_hand(
    builder: "GltfBuilder", hand: HandModel, motion: HandMotion, joints: list[int], *, name: str, colour: Colour
) -> int:
    """Add the skinned mesh, closed at the wrist; return the number of its node."""
    base = torch.from_numpy(motion.base).float()
    closed = hand.closed_mesh(base[None])
    influences, weights = skinning_sets(hand.template.skinning_weights)
    attributes = {
        "POSITION": builder.accessor(base.numpy(), target=VERTICES, bounds=True),
        "NORMAL": builder.accessor(_normals(closed), target=VERTICES),
    }
    for number, (chosen, shares) in enumerate(zip(influences, weights, strict=True)):
        attributes[f"JOINTS_{number}"] = builder.accessor(chosen, target=VERTICES)
        attributes[f"WEIGHTS_{number}"] = builder.accessor(shares, target=VERTICES)
    primitive = {
        "attributes": attributes,
        "indices": builder.accessor(_indices(closed.faces[0]), target=INDICES),
        "material": builder.add("materials", _material(name, colour)),
        "targets": [
            {"POSITION": builder.accessor(target.astype(np.float32), target=VERTICES, bounds=True)}
            for target in motion.targets
        ],
    }
    mesh = builder.add("meshes", {"name": name, "primitives": [primitive], "weights": [0.0] * len(motion.targets)})
    binds = np.tile(np.eye(4, dtype=np.float32), (len(joints), 1, 1))
    binds[:, :3, 3] = -motion.rest
    skin = {"joints": joints, "inverseBindMatrices": builder.accessor(binds), "skeleton": joints[0]}
    return builder.add("nodes", {"name": name, "mesh": mesh, "skin": builder.add("skins", skin)})


def _add_object(builder: "GltfBuilder", sequence: PredictedSequence, animation: _Animation) -> int:
    """Add the rigid mesh about the centre of its bounding box, without normals: its faces look flat."""
    primitive = {
        "attributes": {"POSITION": builder.accessor(sequence.model.vertices.numpy(), target=VERTICES, bounds=True)},
        "indices": builder.accessor(_indices(sequence.model.faces), target=INDICES),
        "material": builder.add("materials", _material(sequence.model.name, OBJECT_COLOUR)),
    }
    mesh = builder.add("meshes", {"name": sequence.model.name, "primitives": [primitive]})
    node = builder.add("nodes", {"name": sequence.model.name, "mesh": mesh})
    rows = sequence.rows
    animation.channel(node, "rotation", quaternions(sequence.predictions.object_rotation[rows]))
    animation.channel(node, "translation", sequence.predictions.object_translation[rows])
    return node


def _add_camera(builder: "GltfBuilder", camera: Camera) -> int:
    """Add the camera of the pictures; glTF has no place for a principal point off the centre."""
    fx, fy = camera.focal_px.tolist()
    perspective = {
        "yfov": 2 * math.atan(camera.height / 2 / fy),
        "aspectRatio": camera.width / fx * fy / camera.height,
        "znear": NEAR_M,
    }
    number = builder.add("cameras", {"name": "camera", "type": "perspective", "perspective": perspective})
    return builder.add("nodes", {"name": "camera", "camera": number})


def _indices(faces: torch.Tensor) -> np.ndarray:
    flat = faces.numpy().reshape(-1)
    return flat.astype(np.uint16 if flat.max() < np.iinfo(np.uint16).max else np.uint32)


def _normals(mesh: Mesh) -> np.ndarray:
    return torch.nn.functional.normalize(vertex_normals(mesh)[0], dim=-1).numpy()


def hand_colour(hand: PredictedSequence, sequence: PredictedSequence) -> Colour:
    """The colour of one of the hands of a sequence: its own, or the other one."""
    return HAND_COLOUR if hand is sequence else OTHER_HAND_COLOUR


def linear_colour(colour: Colour) -> list[float]:
    """The linear parts of a colour of a screen (sRGB), as glTF and USD have them."""
    return [((value + 0.055) / 1.055) ** 2.4 if value > 0.04045 else value / 12.92 for value in colour]


def _material(name: str, colour: Colour) -> dict[str, Any]:
    factors = {"baseColorFactor": [*linear_colour(colour), 1.0], "metallicFactor": 0.0, "roughnessFactor": ROUGHNESS}
    return {"name": name, "pbrMetallicRoughness": factors, "doubleSided": True}


def quaternions(rotations: Float[np.ndarray, "n 3 3"]) -> Float[np.ndarray, "n 4"]:
    """Quaternions (x, y, z, w), each of the sign that is nearer to the one before: players interpolate between them."""
    nearer = Rotation.from_matrix(rotations).as_quat()
    flips = np.sign((nearer[1:] * nearer[:-1]).sum(axis=1))
    nearer[1:] *= np.cumprod(np.where(flips == 0, 1, flips))[:, None]
    return nearer


def skinning_sets(weights: Float[np.ndarray, "v j"]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Skinning weights in sets of four: joints (bytes) and shares, the largest first; as many sets as are needed."""
    most = int((weights > 0).sum(axis=1).max())
    padded = np.pad(weights.astype(np.float64), [(0, 0), (0, WEIGHTS_PER_SET)])
    order = np.argsort(-padded, axis=1, kind="stable")
    shares = np.take_along_axis(padded, order, axis=1)
    shares /= shares.sum(axis=1, keepdims=True)
    sets = range(0, -(-most // WEIGHTS_PER_SET) * WEIGHTS_PER_SET, WEIGHTS_PER_SET)
    order = np.where(shares > 0, order, 0)  # glTF wants joint 0 where the weight is 0
    joints = [order[:, start : start + WEIGHTS_PER_SET].astype(np.uint8) for start in sets]
    return joints, [shares[:, start : start + WEIGHTS_PER_SET].astype(np.float32) for start in sets]


@dataclass
class GltfBuilder:
    """A GLB file under construction: accessors over one buffer, and the JSON that names them."""

    content: dict[str, Any] = field(default_factory=dict)
    _binary: bytearray = field(default_factory=bytearray, repr=False)

    def add(self, kind: str, entry: dict[str, Any]) -> int:
        """Add an entry to one of the lists (nodes, meshes, …) and return its number."""
        entries = self.content.setdefault(kind, [])
        entries.append(entry)
        return len(entries) - 1

    def accessor(self, array: Shaped[np.ndarray, "n *k"], *, target: int | None = None, bounds: bool = False) -> int:
        """Add numbers and return the accessor's number.

        `target` says what a buffer of a mesh holds; `bounds` are required of positions and times.

        Matrices are given as rows and columns, and stored column by column as in glTF.
        """
        stored = np.ascontiguousarray(array.swapaxes(1, 2) if array.ndim == 3 else array)
        stored = stored.astype(stored.dtype.newbyteorder("<"))
        self._binary.extend(b"\0" * (-len(self._binary) % ALIGNMENT))
        view: dict[str, Any] = {"buffer": 0, "byteOffset": len(self._binary), "byteLength": stored.nbytes}
        if target is not None:
            view["target"] = target
        self._binary.extend(stored.tobytes())
        entry: dict[str, Any] = {
            "bufferView": self.add("bufferViews", view),
            "componentType": COMPONENTS[stored.dtype.str[1:]],
            "count": len(stored),
            "type": TYPES[array.shape[1:]],
        }
        if bounds:
            rows = array.reshape(len(array), -1)
            entry |= {"min": rows.min(axis=0).tolist(), "max": rows.max(axis=0).tolist()}
        return self.add("accessors", entry)

    def packed(self) -> bytes:
        """The bytes of the file."""
        self._binary.extend(b"\0" * (-len(self._binary) % ALIGNMENT))
        document = {"asset": {"version": "2.0", "generator": "warpgrasp"}, **self.content}
        document["buffers"] = [{"byteLength": len(self._binary)}]
        text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % ALIGNMENT)
        chunks = [
            struct.pack("<I4s", len(data), kind) + data
            for data, kind in ((text, JSON_CHUNK), (bytes(self._binary), BINARY_CHUNK))
        ]
        total = 12 + sum(map(len, chunks))
        return struct.pack("<4sII", MAGIC, VERSION, total) + b"".join(chunks)
