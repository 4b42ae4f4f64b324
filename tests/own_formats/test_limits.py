"""Files that once hung, filled the memory or ended the process: refused in one sentence, in little time and memory."""

import io
import json
import os
import pickle
import socket
import struct
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.forked import Forks, forks
from tests.own_formats.corpora import npy, zipped
from tests.own_formats.hostile_calibrations import CALIBRATIONS
from tests.predictions.test_file import predictions
from warpgrasp.bounded import parse_json
from warpgrasp.predictions.file import write_predictions

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="limits of processes are Linux's"),
]

LARGEST_MB = 400  # of memory, beyond what the imports take
MOST_MB = 1000  # that the process gets at all
MOST_S = 20  # of the processor, that a file takes
# Each file is read by its reader, within limits of memory, of seconds that it computes, and that it waits.
SETUP = f"""
import resource, signal, time
from pathlib import Path
from warpgrasp.data.recording import annotations, calibrations, camera, files, label_files, run_lengths
from warpgrasp.errors import UserError
from warpgrasp.hand import HandModel, open_hand
from warpgrasp.keypoints import read_keypoints, read_keypoints_file
from warpgrasp.pickled import PickleError, load_pickle, plain_set, NUMPY_NAMES
from warpgrasp.predictions import read_predictions
from warpgrasp.reconstruction import load_checkpoint
hand = HandModel(open_hand())
FRAMES = run_lengths.FrameNames({{0: None, 1: None}}, {{}}, True)
READERS = {{
    "predictions": read_predictions,
    "weights": lambda path: load_checkpoint(path).network(hand),
    "camera": camera.read_lens,
    "labels": lambda path: annotations.read_annotations(path.parent),
    "object": lambda path: files.read_object(path.parent),
    "keypoints": read_keypoints_file,
    "calibration": lambda path: calibrations.chosen_camera(calibrations.read_cameras(path)[1], "no such", path),
    "programs": lambda path: read_keypoints(path, ["a.png"], (64, 48)),
    "label file": lambda path: label_files.read_labels(path, None),
    "masks": lambda path: run_lengths.read_run_lengths(path, FRAMES, (64, 48)),
    "pickle": lambda path: load_pickle(path, {{**NUMPY_NAMES, ("builtins", "set"): plain_set}}),
}}
def run(words):
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + {MOST_MB} * 1_000_000,) * 2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for reader, path in zip(words[::2], words[1::2]):
        print(path, end="\t", flush=True)
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + {MOST_S}, resource.RLIM_INFINITY))
        signal.alarm(200)
        try:
            READERS[reader](Path(path))
            print("read")
        except (UserError, PickleError) as error:
            used_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1000
            print(used_mb, error, sep="\t", flush=True)
    return 0
"""
FILES = {
    "predictions": "p.npz",
    "weights": "w.safetensors",
    "camera": "camera.json",
    "labels": "annotations.json",
    "object": "object.json",
    "keypoints": "k.npz",
    "programs": "k.json",
    "label file": "labels.json",
    "masks": "masks.json",
    "pickle": "a.pkl",
    "calibration": "calibration",
}


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    with forks(tmp_path_factory.mktemp("printed"), SETUP) as readers:
        yield readers


def refused(reading: Forks, *files: tuple[str, Path]) -> None:
    """Each file, read by its reader, in one process."""
    ended = reading.run([str(word) for file in files for word in file])
    lines = ended.out.splitlines()
    assert ended.status == 0, (ended.status, lines[-1:], ended.error[-500:])
    assert len(lines) == len(files), lines
    for (_, path), line in zip(files, lines, strict=True):
        named, used_mb, said = line.split("\t")
        assert named == str(path)
        assert str(path) in said or str(path.parent) in said
        assert len(said) < 1500
        assert int(used_mb) < LARGEST_MB, line


def test_what_is_no_file(reading: Forks, tmp_path: Path, monkeypatch) -> None:
    files = []
    for kind in ("pipe", "device", "terminal", "socket", "folder"):
        for reader, name in FILES.items():
            if kind == "folder" and reader in ("camera", "programs"):  # which look into it
                continue
            path = tmp_path / kind / reader / name
            path.parent.mkdir(parents=True)
            match kind:
                case "pipe":
                    os.mkfifo(path)
                case "folder":
                    path.mkdir()
                case "socket":
                    monkeypatch.chdir(path.parent)  # names of sockets are short
                    with socket.socket(socket.AF_UNIX) as listener:
                        listener.bind(path.name)
                case _:
                    path.symlink_to("/dev/tty" if kind == "terminal" else "/dev/zero")
            files.append((reader, path))
    refused(reading, *files)


JSON: dict[str, Callable[[], bytes]] = {
    "one key again and again": lambda: b'{"format": "x", ' + b", ".join([b'"a": 1'] * 50_000) + b"}",
    "a key again": lambda: b"{" + b", ".join(b'"%d": 1' % number for number in range(50_000)) + b', "7": 2}',
    "a long text": lambda: b'{"format": "' + b"x" * 1_000_000 + b'"}',
    "long keys": lambda: b'{"' + b"k" * 1_000_000 + b'": [1], "' + b"\\n" * 100_000 + b'": 2}',
    "deep": lambda: b'{"format": ' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}",
    "deep and open": lambda: b'{"a":' * 200_000,
    "many lists": lambda: b'{"frames": [' + b"[]," * 4_000_000 + b"[]]}",
    "many objects": lambda: b'{"frames": [' + b"{}," * 4_000_000 + b"{}]}",
    "empty objects": lambda: b'{"annotations": [' + b"{}," * 1_600_000 + b"{}]}",
    "objects of a value": lambda: b"[" + b'{"a":1},' * 1_600_000 + b"{}]",
    "many keys": lambda: b"{" + b",".join(b'"%07d":{}' % number for number in range(1_600_000)) + b"}",
    "many texts": lambda: b"[" + b'"ab",' * 2_600_000 + b"1]",
    "an open text": lambda: b'"' + b'\\"' * 5_000_000,
    "half a character": lambda: b'{"name": "\\ud800", "format": "warpgrasp-object-1", "mesh": "a.obj", "units": "m"}',
    "digits": lambda: b'{"a": ' + b"9" * 1_000_000 + b"}",
    "wide characters": lambda: '{"a": "\U0001f600'.encode() + b"x" * 10_000_000 + b'"}',
    "zeros": lambda: bytes(15_000_000),
}


@pytest.mark.parametrize(
    "reader",
    [
        "labels",
        *(pytest.param(one, marks=pytest.mark.slow) for one in ("camera", "object", "programs", "label file", "masks")),
    ],
)
def test_json(reading: Forks, tmp_path: Path, reader: str) -> None:
    files = []
    for name, content in JSON.items():
        path = tmp_path / name / FILES[reader]
        path.parent.mkdir()
        path.write_bytes(content())
        files.append((reader, path))
    refused(reading, *files)


def test_calibrations(reading: Forks, tmp_path: Path) -> None:
    files = []
    for name, content in CALIBRATIONS.items():
        path, made = tmp_path / name, content()
        path.write_bytes(made if isinstance(made, bytes) else made.encode())
        files.append(("calibration", path))
    refused(reading, *files)


BOMB_BYTES = 600_000_000


def bomb(name: str) -> bytes:
    """A predictions file in which one array unpacks to a thousand times its size."""
    rows = BOMB_BYTES // 12
    stream, header = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (1, rows, 3)})
    with (
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(f"{name}.npy", "w", force_zip64=True) as member,
    ):
        member.write(header.getvalue())
        for _ in range(rows // 500_000):
            member.write(bytes(6_000_000))
    return stream.getvalue()


def test_archives_that_unpack_to_more_than_there_is(reading: Forks, tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    write_predictions(path, predictions(1), {})
    with zipfile.ZipFile(path) as whole:
        members = {name.removesuffix(".npy"): whole.read(name) for name in whole.namelist()}
    packed = io.BytesIO(bomb("hand_vertices"))
    del members["hand_vertices"]
    with zipfile.ZipFile(packed, "a") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    path.write_bytes(packed.getvalue())
    refused(reading, ("predictions", path), ("keypoints", path))


def test_archives_with_long_lists(reading: Forks, tmp_path: Path) -> None:
    path, count = tmp_path / "p.npz", 300_000
    entry = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 33, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"x"
    directory = entry * count
    path.write_bytes(directory + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 65535, 65535, len(directory), 0, 0))
    refused(reading, ("predictions", path), ("keypoints", path))


def test_checkpoints_that_declare_too_much(reading: Forks, tmp_path: Path) -> None:
    whole = (Path(__file__).parents[1] / "golden/before/run/weights.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    header, body = json.loads(whole[8 : 8 + length]), whole[8 + length :]
    notes = header["__metadata__"]
    wide = {**json.loads(notes["config"]), "width": 4000}
    texts = [
        json.dumps({**header, "__metadata__": {**notes, "config": json.dumps(wide)}}).encode(),
        json.dumps({**header, "__metadata__": {**notes, "step": "9" * 4000}}).encode(),
        json.dumps({**header, "__metadata__": {**notes, "objects": "[" * 100_000}}).encode(),
        b'{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
        + b"".join(b',"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}' % n for n in range(130_000))
        + b"}",
        b"[" * 1_000_000,
    ]
    contents = [struct.pack("<Q", len(text)) + text + body for text in texts]
    contents += [struct.pack("<Q", length) + bytes(9_000_000) for length in (2**63, 2**40, 8_000_001)]
    files = [("weights", tmp_path / f"{number}.safetensors") for number in range(len(contents))]
    for (_, path), content in zip(files, contents, strict=True):
        path.write_bytes(content)
    refused(reading, *files)


SHARED = b"K\x01" + b"2\x86" * 60  # a tuple of a tuple of …, each twice
DEEP = b"K\x01" + b"\x85" * 300_000
FUNCTION = b"cnumpy.core.multiarray\n_reconstruct\n"
OBJECTS = FUNCTION + b"cnumpy\nndarray\n(K\x00tU\x01b\x87R"
END = b"J\xff\xff\xff\xff" * 2 + b"K\x00tb"  # of the state of a data type
ONE_HASH = (pickle.dumps(number * (2**61 - 1), protocol=2)[2:-1] + b"K\x00" for number in range(2, 60_000))
PICKLES: dict[str, bytes] = {
    "deep key": b"}" + DEEP + b"K\x01s.",
    "deep keys": b"}(" + DEEP + b"K\x01u.",
    "deep dictionary": b"(" + DEEP + b"K\x01d.",
    "deep member": b"\x80\x04\x8f(" + DEEP + b"\x90.",
    "deep frozen set": b"\x80\x04(" + DEEP + b"\x91.",
    "deep member of a set that is called": b"cbuiltins\nset\n(" + DEEP + b"ltR.",
    "shared key": b"}" + SHARED + b"K\x01s.",
    "shared frozen set": b"\x80\x04(" + SHARED + b"\x91.",
    "shared type": b"cnumpy\ndtype\n" + SHARED + b"\x85R.",
    "shared byte order": b"cnumpy\ndtype\n(U\x02f4K\x00K\x01tR(K\x03"
    + SHARED
    + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb.",
    "shared encoding": b"c_codecs\nencode\n(X\x01\x00\x00\x00a" + SHARED + b"tR.",
    "shared shape": OBJECTS + b"(K\x01(" + SHARED + b"tcnumpy\ndtype\n(U\x02f4K\x00K\x01tRK\x00U\x00tb.",
    "a state for a function": FUNCTION + b"(N}U\x0c__defaults__(tstb.",
    "a state for a class": b"cnumpy\nndarray\n(N}U\x08__init__(tstb.",
    "bytes that are not there": b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"a.",
    "text that is not there": b"\x80\x04\x8d" + struct.pack("<Q", 2**40) + b"a.",
    "a frame that is not there": b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"a.",
    "a number of a million digits": b"I" + b"9" * 1_000_000 + b"\n.",
    "too many steps": b"(" + b"}" * 1_500_000 + b"l.",
    "numbers of one hash": b"\x80\x02}(" + b"".join(ONE_HASH) + b"u.",
    "a character that is none": pickle.dumps(np.array("a"), protocol=2).replace(b"a\x00\x00\x00", b"\xff\xff\xff\x7f"),
    "a number that is no number": pickle.dumps(np.str_("a"), protocol=2).replace(b"a\x00\x00\x00", b"\xff\xff\xff\x7f"),
    "larger than any": bytes(16_000_001),
    "a hoard": b"K\x01r\xff\xff\xff\x7f" * 10 + b"000000000",
}


def test_pickles(reading: Forks, tmp_path: Path) -> None:
    files = []
    for name, content in {**PICKLES, "arrays of objects in each other": objects_in_objects()}.items():
        path = tmp_path / f"{name}.pkl"
        path.write_bytes(content)
        files.append(("pickle", path))
    refused(reading, *files)


def objects_in_objects() -> bytes:
    """Thousands of arrays, whose end would take more of the stack than there is."""
    kind = b"cnumpy\ndtype\n(U\x01OK\x00K\x01tR(K\x03U\x01|NNN" + END
    start = FUNCTION + b"(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01(K\x01t" + kind + b"K\x00(l"
    return start * 3000 + b"K\x01" + b"atb" * 3000 + b"."


def test_members_by_their_headers(tmp_path: Path, reading: Forks) -> None:
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (%s,), }\n"
    files, content = [], npy(np.zeros(3, np.float32))
    for number, text in enumerate((header % "3" * 200, header % ("(" * 9000), header % 10**18)):
        path = tmp_path / f"{number}.npz"
        lying = content[:8] + struct.pack("<H", len(text)) + text.encode() + content[-12:]
        path.write_bytes(zipped({"header": npy(np.array("{}")), "index": lying}))
        files.append(("predictions", path))
    refused(reading, *files)


def test_large_texts_are_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """One wide character makes four bytes of each other; halves are found whichever way they are written."""
    monkeypatch.setattr("warpgrasp.bounded.LARGEST_JSON_BYTES", 20)
    assert parse_json('{"a": "\u624b"}') == {"a": "\u624b"}
    assert parse_json('{"a": "' + "x" * 20 + '"}') == {"a": "x" * 20}
    with pytest.raises(ValueError, match="characters beyond ASCII"):
        parse_json('{"a": "\u624b' + "x" * 20 + '"}')
    whole = '{"\\ud83d\\ude00": ["\\udcff"]}'
    assert parse_json(whole) == {"\U0001f600": ["\udcff"]}
    for half in ('["\\ud83d"]', '{"\\uD83D": 1}', '{"a": [{"b": "x\\udeff"}]}'):
        with pytest.raises(ValueError, match="surrogate"):
            parse_json(half)
