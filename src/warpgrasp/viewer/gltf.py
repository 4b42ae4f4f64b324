"""Builds a binary glTF 2.0 file (GLB): accessors over one buffer, and the JSON that names them.

https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html
"""

import json
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Shaped

COMPONENTS = {"f4": 5126, "u1": 5121, "u2": 5123, "u4": 5125}
TYPES: dict[tuple[int, ...], str] = {(): "SCALAR", (2,): "VEC2", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}
VERTICES, INDICES = 34962, 34963  # buffer targets
MAGIC, VERSION = b"glTF", 2
JSON_CHUNK, BINARY_CHUNK = b"JSON", b"BIN\0"
ALIGNMENT = 4


@dataclass
class GltfBuilder:
    """A file that grows."""

    content: dict[str, Any] = field(default_factory=dict)
    _binary: bytearray = field(default_factory=bytearray, repr=False)

    def add(self, kind: str, entry: dict[str, Any]) -> int:
        """Add to one of the lists (nodes, meshes, …); its number."""
        entries = self.content.setdefault(kind, [])
        entries.append(entry)
        return len(entries) - 1

    def accessor(self, array: Shaped[np.ndarray, "n *k"], *, target: int | None = None, bounds: bool = False) -> int:
        """Add numbers; `target` says what a buffer of a mesh holds, `bounds` are required of positions and times.

        Matrices are given as rows and columns, and stored column by column as glTF has them.
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
        """The file."""
        self._binary.extend(b"\0" * (-len(self._binary) % ALIGNMENT))
        whole = {"asset": {"version": "2.0", "generator": "warpgrasp"}, **self.content}
        whole["buffers"] = [{"byteLength": len(self._binary)}]
        text = json.dumps(whole, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % ALIGNMENT)
        chunks = [
            struct.pack("<I4s", len(data), kind) + data
            for data, kind in ((text, JSON_CHUNK), (bytes(self._binary), BINARY_CHUNK))
        ]
        total = 12 + sum(map(len, chunks))
        return struct.pack("<4sII", MAGIC, VERSION, total) + b"".join(chunks)
