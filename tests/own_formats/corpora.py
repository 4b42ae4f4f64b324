"""Spoilt versions of files of arrays, JSON, tensors and pickles, made by what the formats consist of."""

import io
import json
import pickletools
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from tests.data.damage import mutated

Change = Callable[[Any, np.random.Generator], Any]

STRANGE: tuple[Any, ...] = (
    *(None, True, -1, 0, 7, 10**40, 1e308, float("nan"), float("-inf"), "", "1", "../../etc/passwd", "\0", "\ud800"),
    *([], {}, [[[]]], {"a": {"b": []}}, "x" * 3000, [1] * 3000, [10**4000] * 3, ["a"], {"a": 1}, "/dev/zero"),
)
STRANGE_TEXTS = (
    *('{"a": 1, "a": 2}', "[" * 100_000, '{"a":' * 2000, "", "null", "[]", "3", '"text"', "{", "\ufeff{}", "NaN"),
    *("9" * 5000, '{"a": "\\ud800"}', '{"' + "k" * 100_000 + '": 1}', json.dumps([{}] * 2000)),
)
HEADERS = (  # of `.npy` files
    *("{'descr': '|O', 'fortran_order': False, 'shape': (3,), }", "{'descr': [('a', '<f4')], 'fortran_order': False}"),
    *("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", "{'descr': '<f4', 'shape': (3,)}", "{}", ""),
    *(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({10**17},), }}", "(" * 9000, "__import__('os')", "\0" * 40),
    *("{'descr': '<f4', 'fortran_order': False, 'shape': (%s,), }" % ("9" * 5000), "[" * 200 + "]" * 200),
    *("{'descr': '<U999999', 'fortran_order': False, 'shape': (3,), }", "{'descr': '<f4', 'fortran_order': 7, 'shape'"),
    *("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3, 4, 5, 6, 7, 8, 9, 10), }", "{'shape': 3.5}"),
    *(f"{{'descr': '<U0', 'fortran_order': False, 'shape': (0, {10**17}), }}", "{'descr': '>f4', 'fortran_order'"),
)


def chosen(random: np.random.Generator, options: Any) -> Any:
    return options[int(random.integers(len(options)))]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all values of a JSON document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*path, key)
        yield from places(one, (*path, key))


def changed_values(content: Any, random: np.random.Generator) -> Any:
    """A JSON document with a value replaced, removed, or added."""
    content = json.loads(json.dumps(content))
    *before, last = chosen(random, list(places(content)))
    holder = content
    for key in before:
        holder = holder[key]
    match int(random.integers(5)):
        case 0:
            del holder[last]
        case 1 if isinstance(holder, dict):
            holder[chosen(random, ("unheard-of", "x" * 3000, "\n\x1b[31m", "\ud800"))] = chosen(random, STRANGE)
        case 1:
            holder.insert(last, holder[last])
        case _:
            holder[last] = chosen(random, STRANGE)
    return content


def changed_text(text: str, random: np.random.Generator) -> str:
    """A text of JSON, changed as values or as a text."""
    match int(random.integers(8)):
        case 0:
            return chosen(random, STRANGE_TEXTS)
        case 1:
            at = int(random.integers(len(text)))
            return text[:at] + chosen(random, STRANGE_TEXTS)[:200] + text[at:]
    return json.dumps(changed_values(json.loads(text), random))


def changed_array(array: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """An array of another type, shape, or with other values."""
    match int(random.integers(12)):
        case 0:
            codes = ("<f8", "<f2", ">f4", "<i4", "<i8", "|u1", "|b1", "<c8", "<U5", "|S3")
            with np.errstate(all="ignore"):
                return np.resize(np.arange(array.size), array.shape).astype(chosen(random, codes))
        case 1:
            return array[..., None]
        case 2:
            return array[:-1] if array.ndim else np.array([array.item()])
        case 3:
            return array.reshape(-1)
        case 4:
            return np.asfortranarray(array.T)
        case 5:
            return array[..., :0] if array.ndim else array
        case 6:
            return np.concatenate([array, array]) if array.ndim else np.stack([array, array])
        case 7:
            return np.array(chosen(random, (0, "text", 3.5, True)))
    if array.dtype.kind == "U":
        flat = np.array(array, dtype=f"<U{max(1, array.dtype.itemsize // 4)}").reshape(-1)
        codes = flat.view(np.uint32)
        codes[int(random.integers(len(codes)))] = chosen(random, (0xD800, 0x110000, 0xFFFFFFFF, 0xDCFF, 10, 0))
        return flat.reshape(array.shape)
    flat = array.copy().reshape(-1)
    kinds = "f" if array.dtype.kind == "f" else "i"
    values = {"f": (np.nan, np.inf, -np.inf, 1e30, -1.0, 5.0, 0.0), "i": (-1, 0, 127, 1)}[kinds]
    rows = slice(None) if random.integers(2) else random.integers(max(1, len(flat)), size=min(3, len(flat)))
    with np.errstate(all="ignore"):
        flat[rows] = np.array(chosen(random, values)).astype(array.dtype)
    return flat.reshape(array.shape)


def npy(array: np.ndarray, random: np.random.Generator | None = None) -> bytes:
    """A `.npy` file; with `random`, one whose header lies."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version=(1, 0))
    content = stream.getvalue()
    if random is None:
        return content
    (length,) = struct.unpack("<H", content[8:10])
    body = content[10 + length :]
    match int(random.integers(6)):
        case 0:
            text = chosen(random, HEADERS).encode()[:65000]
            return content[:8] + struct.pack("<H", len(text)) + text + body
        case 1:
            return content[:6] + bytes(random.integers(0, 5, 2).tolist()) + content[8:]
        case 2:
            return content[:8] + struct.pack("<H", int(random.integers(65536))) + content[10:]
        case 3:
            return content[: int(random.integers(len(content)))]
        case 4:
            return content + random.bytes(int(random.integers(1, 100)))
    head = content[10 : 10 + length]
    digits = [at for at, code in enumerate(head) if chr(code).isdigit()]
    at = chosen(random, digits) if digits else 0
    return content[:10] + head[:at] + bytes([int(random.integers(48, 58))]) + head[at + 1 :] + body


def zipped(members: Mapping[str, bytes], *, stored: bool = False) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), content, archive.compression)
    return stream.getvalue()


def lying_zip(content: bytes, random: np.random.Generator) -> bytes:
    """A zip file with a field of one of its records overwritten: versions, flags, methods, sizes, offsets, lengths."""
    data = bytearray(content)
    mark, length = chosen(random, ((b"PK\1\2", 46), (b"PK\3\4", 30), (b"PK\5\6", 22)))
    starts = [at for at in range(len(data)) if data.startswith(mark, at)]
    at = chosen(random, starts) + 4 + 2 * int(random.integers((length - 4) // 2))
    value = chosen(random, (0, 1, 8, 12, 14, 93, 99, 0xFFFF, 0x7FFF, int(random.integers(65536))))
    data[at : at + 2] = struct.pack("<H", value)
    return bytes(data)


def archives(arrays: Mapping[str, np.ndarray], random: np.random.Generator) -> Iterator[bytes]:
    """Endless versions of an `.npz` file; its `header` is a text of JSON."""
    while True:
        members = {name: npy(array) for name, array in arrays.items()}
        name, stored = chosen(random, list(arrays)), bool(random.integers(2))
        match int(random.integers(10)):
            case 0 | 1 | 2:
                members[name] = npy(changed_array(arrays[name], random))
            case 3 | 4:
                members["header"] = npy(np.array(changed_text(str(arrays["header"]), random)))
            case 5 | 6:
                members[name] = npy(arrays[name], random)
            case 7:
                del members[name]
                members[chosen(random, ("unknown", "../up", "a\nb", "x" * 300))] = b"no array"
            case 8:
                yield lying_zip(zipped(members, stored=stored), random)
                continue
            case _:
                yield mutated(zipped(members, stored=stored), random)
                continue
        yield zipped(members, stored=stored)


def checkpoints(content: bytes, random: np.random.Generator) -> Iterator[bytes]:
    """Endless versions of a safetensors file with notes of which some are texts of JSON."""
    (length,) = struct.unpack("<Q", content[:8])
    header, body = json.loads(content[8 : 8 + length]), content[8 + length :]
    names = [name for name in header if name != "__metadata__"]
    notes = header["__metadata__"]
    while True:
        changed, data = json.loads(json.dumps(header)), bytearray(body)
        match int(random.integers(9)):
            case 0 | 1 | 2:
                key = chosen(random, [key for key in notes if notes[key].startswith(("{", "["))])
                changed["__metadata__"][key] = changed_text(notes[key], random)
            case 3:
                changed["__metadata__"] = changed_values(notes, random)
            case 4 | 5:
                name = chosen(random, names)
                changed[name] = changed_values(changed[name], random)
            case 6:
                name = chosen(random, names)
                changed[chosen(random, ("network.x", "optimiser", f"optimiser.step.{name}", *names))] = changed.pop(
                    name
                )
            case 7:
                at = 4 * int(random.integers(len(data) // 4))
                value = chosen(random, (float("nan"), float("inf"), 1e30, -5.0, 3.0))
                data[at : at + 4] = struct.pack("<f", value)
            case _:
                yield mutated(content, random) if random.integers(2) else mutated(content[: 8 + length], random) + body
                continue
        text = json.dumps(changed).encode()
        yield struct.pack("<Q", len(text)) + text + bytes(data)


OPCODES = b"(.012FIJKLMNPQRSTUVX}]etus)abcdghijlopqrtBCGH\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e"


def pickles(content: bytes, random: np.random.Generator) -> Iterator[bytes]:
    """Endless versions of a pickle: steps left out, repeated, put elsewhere, made of noise, and bytes changed."""
    starts = [position for _, _, position in pickletools.genops(content) if position is not None]
    steps = [content[first:last] for first, last in zip(starts, [*starts[1:], len(content)], strict=True)]
    while True:
        changed = list(steps)
        for _ in range(int(random.integers(1, 4))):
            at = int(random.integers(len(changed)))
            match int(random.integers(6)):
                case 0:
                    del changed[at]
                case 1:
                    changed.insert(at, chosen(random, steps))
                case 2:
                    changed[at] = chosen(random, steps)
                case 3:
                    changed.insert(at, bytes([chosen(random, OPCODES)]))
                case 4:
                    changed.insert(at, bytes([chosen(random, OPCODES)]) + random.bytes(int(random.integers(9))))
                case _ if changed[at]:
                    changed[at] = mutated(changed[at], random)
        yield b"".join(changed)
