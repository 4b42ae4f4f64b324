"""The container and the JSON of a GLB file (Khronos, glTF 2.0 specification, chapters 3 and 4)."""

import base64
import binascii
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from warpgrasp.errors import DataError

JSON_CHUNK, BINARY_CHUNK = 0x4E4F534A, 0x004E4942
LARGEST_WHOLE = 2**40
# Extensions without which the places of the triangles are the same: looks, lights, texts.
HARMLESS = ("KHR_materials_", "KHR_texture_", "KHR_lights_", "KHR_xmp", "EXT_texture_", "EXT_lights_", "MSFT_texture_")
READ = ("KHR_mesh_quantization", "KHR_draco_mesh_compression")
COMPRESSIONS = ("EXT_meshopt_compression", "KHR_meshopt_compression")

Values = Mapping[str, Any]


@dataclass(frozen=True)
class GltfDocument:
    """A GLB file: its JSON, of which nothing is taken on trust, and its binary chunk."""

    values: Values
    binary: bytes
    path: Path
    _buffers: dict[int, bytes] = field(default_factory=dict)  # those that have been asked for

    def error(self, expected: str, found: str) -> DataError:
        """What every refusal says: what was expected in the file, and what it holds."""
        return DataError(f"expected {expected} in {self.path}, found {found}")

    def item(self, kind: str, index: int) -> Values:
        """An entry of one of the document's lists, such as `nodes`."""
        entries = self.values.get(kind, [])
        if not isinstance(entries, list) or not 0 <= index < len(entries) or not isinstance(entries[index], dict):
            raise self.error(f"the entry {index} of {kind}", "none")
        return entries[index]

    def whole(self, values: Values, key: str, default: int | None = None, *, most: int = LARGEST_WHOLE) -> int:
        """A whole number from 0 on."""
        value = values.get(key, default)
        if isinstance(value, float) and value.is_integer():  # JSON knows one kind of number
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise self.error(f"a whole number from 0 to {most} for {key}", repr(value)[:60])
        return value

    def wholes(self, values: Values, key: str) -> list[int]:
        """A list of whole numbers from 0 on; empty when it is not there."""
        listed = values.get(key, [])
        if not isinstance(listed, list):
            raise self.error(f"a list for {key}", repr(listed)[:60])
        return [self.whole({key: value}, key) for value in listed]

    def numbers(self, values: Values, key: str, count: int | None = None) -> Float[np.ndarray, " n"] | None:
        """A list of finite numbers, `count` of them where that is given; None when it is not there."""
        listed = values.get(key)
        if listed is None:
            return None
        try:
            plain = isinstance(listed, list) and all(type(value) in (int, float) for value in listed)
            array = np.array(listed if plain else [np.nan], dtype=np.float64)
        except OverflowError:
            array = np.array([np.nan])
        if not np.isfinite(array).all() or count not in (None, len(array)):
            raise self.error(f"{count or 'finite'} numbers for {key}", repr(listed)[:60])
        return array

    def table(self, values: Values, key: str) -> Values:
        """An object; empty when it is not there."""
        inner = values.get(key, {})
        if not isinstance(inner, dict):
            raise self.error(f"an object for {key}", repr(inner)[:60])
        return inner

    def tables(self, values: Values, key: str) -> list[Values]:
        """A list of objects; empty when it is not there."""
        listed = values.get(key, [])
        if not isinstance(listed, list) or not all(isinstance(inner, dict) for inner in listed):
            raise self.error(f"a list of objects for {key}", repr(listed)[:60])
        return listed

    def buffer(self, index: int) -> bytes:
        """The bytes of a buffer that lies in the file itself. No other file is opened."""
        if index not in self._buffers:
            self._buffers[index] = self._buffer(index)
        return self._buffers[index]

    def _buffer(self, index: int) -> bytes:
        values = self.item("buffers", index)
        length = self.whole(values, "byteLength")
        uri = values.get("uri")
        if uri is None and index == 0:
            content = self.binary
        elif uri is None:
            raise self.error("data of every buffer", f"none of buffer {index}")
        elif isinstance(uri, str) and uri.startswith("data:") and ";base64," in uri[:200]:
            content = self._decoded(uri.partition(",")[2])
        else:
            raise self.error(
                "all data in the file itself", f"a buffer in another file ({str(uri)[:60]!r}); save it as one GLB file"
            )
        if len(content) < length:
            raise self.error(f"{length} bytes of buffer {index}", f"{len(content)}; is it cut off?")
        return content[:length]

    def _decoded(self, text: str) -> bytes:
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise self.error("data in base64", f"other characters ({error})") from error


def open_glb(content: bytes, path: Path) -> GltfDocument:
    """Take a GLB file apart. Raises `DataError` naming it when it is none, or needs an extension that is not read."""
    if content[:4] != b"glTF" or len(content) < 20:
        raise DataError(f"expected a GLB file in {path}, found one that does not begin with glTF")
    version, length = struct.unpack_from("<II", content, 4)
    if version != 2:
        raise DataError(f"expected glTF of version 2 in {path}, found version {version}; export it as glTF 2.0")
    if length > len(content):
        raise DataError(f"expected {length} bytes in {path}, found {len(content)}; is it cut off?")
    chunks, at = [], 12
    while at + 8 <= length:
        size, kind = struct.unpack_from("<II", content, at)
        if at + 8 + size > length:
            raise DataError(f"expected whole chunks in {path}, found one that ends beyond the file; is it cut off?")
        chunks.append((kind, content[at + 8 : at + 8 + size]))
        at += 8 + size
    if not chunks or chunks[0][0] != JSON_CHUNK:
        raise DataError(f"expected a GLB file that begins with JSON in {path}, found none")
    binary = chunks[1][1] if len(chunks) > 1 and chunks[1][0] == BINARY_CHUNK else b""
    document = GltfDocument(_parsed(chunks[0][1], path), binary, path)
    _check_extensions(document)
    return document


def _parsed(text: bytes, path: Path) -> Values:
    try:
        values = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"expected JSON in {path}: {str(error)[:120]}") from error
    if not isinstance(values, dict):
        raise DataError(f"expected a JSON object in {path}, found {repr(values)[:60]}")
    return values


def _check_extensions(document: GltfDocument) -> None:
    required = document.values.get("extensionsRequired", [])
    if not isinstance(required, list):
        raise document.error("a list for extensionsRequired", repr(required)[:60])
    for name in map(str, required):
        if name in COMPRESSIONS:
            raise document.error("a mesh that is not compressed", f"{name}; save it without compression")
        if name not in READ and not name.startswith(HARMLESS):
            raise document.error(
                "only glTF extensions that are read", f"{ascii(name)[:60]}, without which it cannot be read"
            )
