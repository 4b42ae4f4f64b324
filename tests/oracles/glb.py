"""Reads a GLB file and skins it by the specification, in NumPy, with nothing of the project."""

import json
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

DTYPES = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
COUNTS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


@dataclass
class GlbFile:
    """The JSON and the binary chunk."""

    content: dict
    binary: bytes

    @staticmethod
    def read(path: Path) -> "GlbFile":
        data = path.read_bytes()
        magic, version, length = struct.unpack("<4sII", data[:12])
        assert (magic, version, length) == (b"glTF", 2, len(data))
        chunks, place = {}, 12
        while place < len(data):
            size, kind = struct.unpack("<I4s", data[place : place + 8])
            chunks[kind] = data[place + 8 : place + 8 + size]
            place += 8 + size
        return GlbFile(json.loads(chunks[b"JSON"]), chunks[b"BIN\0"])

    def array(self, accessor: int) -> np.ndarray:
        entry = self.content["accessors"][accessor]
        view = self.content["bufferViews"][entry["bufferView"]]
        count = COUNTS[entry["type"]]
        start = view.get("byteOffset", 0) + entry.get("byteOffset", 0)
        flat = np.frombuffer(self.binary, DTYPES[entry["componentType"]], entry["count"] * count, start)
        return flat.reshape(-1, count) if count > 1 else flat

    def node(self, name: str) -> int:
        return next(n for n, one in enumerate(self.content["nodes"]) if one["name"] == name)

    def times(self) -> np.ndarray:
        animation = self.content["animations"][0]
        return self.array(animation["samplers"][0]["input"])

    def animated(self, node: int, path: str, time: float) -> np.ndarray | None:
        """A node's value at a time, interpolated as the specification says."""
        animation = self.content["animations"][0]
        for channel in animation["channels"]:
            if channel["target"] == {"node": node, "path": path}:
                sampler = animation["samplers"][channel["sampler"]]
                times = self.array(sampler["input"]).astype(np.float64)
                values = self.array(sampler["output"]).astype(np.float64).reshape(len(times), -1)
                time = min(max(time, times[0]), times[-1])
                if path == "rotation" and len(times) > 1:
                    return Slerp(times, Rotation.from_quat(values))([time]).as_quat()[0]
                return np.array([np.interp(time, times, column) for column in values.T])
        return None

    def local(self, node: int, time: float) -> np.ndarray:
        entry, matrix = self.content["nodes"][node], np.eye(4)
        rotation, translation = self.animated(node, "rotation", time), self.animated(node, "translation", time)
        rotation = entry.get("rotation", [0, 0, 0, 1]) if rotation is None else rotation
        matrix[:3, :3] = Rotation.from_quat(rotation).as_matrix()
        matrix[:3, 3] = entry.get("translation", [0, 0, 0]) if translation is None else translation
        return matrix

    def world(self, node: int, time: float) -> np.ndarray:
        parents = {child: n for n, one in enumerate(self.content["nodes"]) for child in one.get("children", [])}
        matrix = self.local(node, time)
        while node in parents:
            node = parents[node]
            matrix = self.local(node, time) @ matrix
        return matrix

    def vertices(self, node: int, time: float) -> np.ndarray:
        """A mesh's vertices in the file's world at a time: blended, then skinned, or moved."""
        entry = self.content["nodes"][node]
        primitive = self.content["meshes"][entry["mesh"]]["primitives"][0]
        points = self.array(primitive["attributes"]["POSITION"]).astype(np.float64)
        weights = self.animated(node, "weights", time)
        if weights is not None:
            for weight, target in zip(weights, primitive["targets"], strict=True):
                points = points + weight * self.array(target["POSITION"])
        homogeneous = np.concatenate([points, np.ones((len(points), 1))], axis=1)
        if "skin" not in entry:
            return (homogeneous @ self.world(node, time).T)[:, :3]
        skin = self.content["skins"][entry["skin"]]
        binds = self.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).swapaxes(1, 2).astype(np.float64)
        moves = np.stack([self.world(joint, time) @ bind for joint, bind in zip(skin["joints"], binds, strict=True)])
        total = np.zeros((len(points), 4))
        for number in range(8):
            if f"JOINTS_{number}" in primitive["attributes"]:
                joints = self.array(primitive["attributes"][f"JOINTS_{number}"])
                shares = self.array(primitive["attributes"][f"WEIGHTS_{number}"]).astype(np.float64)
                total += np.einsum("vk,vkij,vj->vi", shares, moves[joints], homogeneous)
        return total[:, :3]
