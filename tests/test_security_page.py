"""Every number that SECURITY.md states is the code's."""

import inspect
import re
from pathlib import Path

import pytest

from warpgrasp import archive, bounded, checked, guard, pickled, plain_text
from warpgrasp.data import meshes, recording
from warpgrasp.data.meshes import glb, gltf
from warpgrasp.data.recording import label_files, run_lengths
from warpgrasp.data.recording.calibrations import calibrated, structure_from_motion
from warpgrasp.export import video
from warpgrasp.inference import quantized_file
from warpgrasp.keypoints import file as keypoints_file
from warpgrasp.keypoints import programs
from warpgrasp.predictions import poses
from warpgrasp.reconstruction import checkpoint_header

PAGE = Path(__file__).parents[1] / "SECURITY.md"
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def size(count: int) -> str:
    """Bytes as the page writes them: a power of two by binary units, all others by decimal ones."""
    if count % 1000 == 0:
        return f"{count / 1e6:g} MB"
    return f"{count >> 20} MiB" if count % (1 << 20) == 0 else f"{count / 1024:g} KiB"


def millions(count: int) -> str:
    return f"{count / 1e6:g} million"


def stated() -> dict[str, list[str]]:
    """What each row of the tables must say."""
    small = f"above {size(bounded.LARGEST_JSON_BYTES)} in ASCII; {millions(bounded.MOST_MARKS)} values"
    yaml = f"{size(checked.LARGEST_YAML_BYTES)}, {checked.LARGEST_ALIASES} aliases"
    header = f"a header of {size(checkpoint_header.LARGEST_HEADER)}, {checkpoint_header.MOST_TENSORS:,} tensors"
    encoder = f"{size(quantized_file.REST_BYTES)}; {quantized_file.MOST_NODES} of ONNX's own operations"
    sides = f"{checkpoint_header.LARGEST_SIDE_PX} px a side, {checkpoint_header.MOST_PIXELS:,} pixels"
    unpacked = f"{size(archive.UNPACKED_BYTES)} and {archive.UNPACKED_SHARE} times the file together"
    return {
        "names and texts, on the terminal": [f"at most {plain_text.LONGEST_LINE};"],
        "JSON of a recording": [
            f"{size(bounded.LARGEST_JSON_BYTES)}, its labels and drafts {size(recording.LARGEST_LABELS_BYTES)}",
            f"{small}, {bounded.DEEPEST_JSON} deep",
            f"{millions(bounded.MOST_TEXTS)} texts, and {millions(bounded.MOST_LISTS)} lists",
        ],
        "keypoints of other programs": [
            f"JSON {size(programs.LARGEST_JSON_BYTES)} and {millions(programs.MOST_MARKS)} values",
            f"arrays {size(keypoints_file.LARGEST_BYTES)} together",
        ],
        "labels of other programs": [
            f"{size(label_files.LARGEST_BYTES)}; JSON {millions(bounded.MOST_MARKS)} values",
            f"XML {millions(bounded.MOST_TAGS)} tags, {bounded.DEEPEST_XML} deep",
        ],
        "masks": [
            f"JSON {size(run_lengths.LARGEST_BYTES)} and {millions(run_lengths.MOST_MARKS)} values",
            f"{run_lengths.MOST_OF_A_FRAME} masks of a frame, {millions(run_lengths.MOST_RUNS)} runs together",
        ],
        "calibrations of other programs": [
            f"{size(calibrated.LARGEST_BYTES)}, in JSON {millions(calibrated.MOST_JSON_MARKS)} values",
            f"{size(calibrated.LARGEST_TEXT_BYTES)} as XML or another text",
            f"{size(calibrated.LARGEST_YAML_BYTES)} as YAML",
            f"numbers of {calibrated.LONGEST_NUMBER} digits",
            f"{structure_from_motion.LARGEST_COUNT:,} frames or cameras",
        ],
        "weights": [header],
        "quantised encoders": ["at 4 bytes each", encoder],
        "pictures that a checkpoint is for": [sides],
        "predictions that are shown": [f"{poses.FARTHEST_M / 1000:g} km", f"{video.LONGEST_S:,.0f} s"],
        "YAML of a data set": [yaml],
        "a mesh file": [f"{size(meshes.LARGEST_MESH_BYTES)}; in GLB {millions(glb.LARGEST_FACES)} vertices"],
        "texts in such files (names, sources)": [f"{checked.LONGEST_TEXT} characters"],
        "arrays in NPZ files": [unpacked],
        "pickles": [f"{size(pickled.LARGEST_BYTES)}, {millions(pickled.MOST_STEPS)} steps"],
        "lists of a data set, and tables of numbers as text": [size(bounded.LARGEST_TEXT_BYTES)],
        "token": [f"{8 * guard.TOKEN_BYTES} random bits"],
        "connections at once": [f"{guard.MOST_CONNECTIONS};"],
        "line and headers of a request": [size(guard.LARGEST_REQUEST_BYTES)],
        "a message of a WebSocket": [size(guard.LARGEST_MESSAGE_BYTES)],
        "requests or messages of one connection": [f"{guard.MOST_PER_S:g} a second, {guard.BURST:g} at once"],
        "a request that does not come whole": [f"{guard.IDLE_S:g} s"],
        "an answer that is not taken (`view`)": [f"{guard.SENDING_S:g} s"],
        "a browser that no longer answers (`annotate`)": [f"{silence_s():g} s"],
        "Ctrl+C": ["ends within 2 s"],  # held by test_it_ends_in_two_seconds_with_clients_attached
    }


def silence_s() -> float:
    """After which a WebSocket ends: viser leaves that to its package."""
    server = pytest.importorskip("websockets.asyncio.server", reason="needs the extra `viewer`")
    defaults = inspect.signature(server.serve.__init__).parameters
    return defaults["ping_interval"].default + defaults["ping_timeout"].default


def test_every_number_of_the_page_is_the_codes() -> None:
    assert glb.LARGEST_FACES == gltf.LARGEST_COUNT
    rows = dict(re.findall(r"^\| ([^|]+?) \| ([^|]+) \|$", PAGE.read_text(), re.MULTILINE))
    rows = {name: re.sub(r"`\\[^`]*`", "", text) for name, text in rows.items()}  # without escapes
    for name, wanted in stated().items():
        missing = [text for text in wanted if text not in rows[name]]
        assert missing == [], (name, rows[name])
        known = {number for text in wanted for number in NUMBER.findall(text)}
        assert set(NUMBER.findall(rows[name])) <= known, (name, "a number of which no constant is known")
    others = {name: text for name, text in rows.items() if name not in stated() and NUMBER.search(text)}
    assert others == {}
