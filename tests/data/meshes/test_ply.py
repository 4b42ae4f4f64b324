"""PLY files, text and binary, whatever they hold besides vertices and faces."""

import struct
from pathlib import Path

import numpy as np
import pytest

from tests.data.meshes.mesh_files import (
    BOX_FACES,
    BOX_M,
    BOX_QUADS,
    INDICES,
    XYZ,
    is_box,
    ply_header,
    ply_text,
    surface_of,
    triangles_of,
)
from warpgrasp.errors import DataError

LITTLE, BIG = "binary_little_endian", "binary_big_endian"
MIXED = [
    *BOX_QUADS[:4].tolist(),
    *(BOX_QUADS[face][corners].tolist() for face in (4, 5) for corners in ([0, 1, 2], [0, 2, 3])),
]


def rows(order: str, layout: str, table) -> bytes:
    return b"".join(struct.pack(order + layout, *row) for row in table)


def lists(order: str, faces, *, count: str = "B", index: str = "i", after: bytes = b"") -> bytes:
    return b"".join(struct.pack(f"{order}{count}{len(f)}{index}", len(f), *map(int, f)) + after for f in faces)


def binary(order: str = "<", faces=BOX_FACES, **types: str) -> bytes:
    names = {"B": "uchar", "b": "int8", "h": "int16", "H": "ushort", "i": "int32", "I": "uint"}
    list_of = f"list {names[types.get('count', 'B')]} {names[types.get('index', 'i')]} vertex_index"
    header = ply_header(LITTLE if order == "<" else BIG, ("vertex", 8, XYZ), ("face", len(faces), (list_of,)))
    return header + rows(order, "3f", BOX_M) + lists(order, faces, **types)


def among_others(order: str) -> bytes:
    """Columns between those that count, a list of each vertex, a table before and one between, lists of many sizes."""
    vertex = ("double z", "uchar red", "list uint8 float weights", "double x", "short flag", "double y")
    face = ("float quality", "list uchar float texcoord", "list int uint vertex_indices", "int label")
    camera, edge = ("camera", 1, ("float focal", "list uchar double pose")), ("edge", 2, ("int vertex1", "int vertex2"))
    content = ply_header(LITTLE if order == "<" else BIG, camera, ("vertex", 8, vertex), edge, ("face", 8, face))
    content += struct.pack(order + "fB2d", 1.5, 2, 0.0, 1.0)
    for number, (x, y, z) in enumerate(BOX_M):
        content += struct.pack(f"{order}dBB{number}fdhd", z, 9, number, *range(number), x, -1, y)
    content += struct.pack(order + "4i", 0, 1, 1, 2)
    for face_corners in MIXED:
        n = len(face_corners)
        content += struct.pack(f"{order}fB{2 * n}fi{n}Ii", 0.5, 2 * n, *[0.1] * 2 * n, n, *face_corners, 7)
    return content


STRIP = [0, 1, 2, 3, 6, 7, 4, 5, 0, 1, -1, 0, 2, 4, 6, -1, 1, 5, 3, 7, -1]  # the same sides as the quads
FILES = {
    "text": ply_text(),
    "text crlf": ply_text().replace(b"\n", b"\r\n"),
    "text with a byte order mark": b"\xef\xbb\xbf" + ply_text(),
    "text cr": ply_text().replace(b"\n", b"\r"),
    "text, mixed": ply_text(faces=MIXED),
    "text, a stray vertex": ply_text(vertices=np.concatenate([BOX_M, [[0, 0, 0.4]]])),
    "text, face colours": ply_header("ascii", ("vertex", 8, XYZ), ("face", 12, (*INDICES, "uchar red")))
    + ply_text().partition(b"end_header\n")[2].replace(b"\n3", b" 255\n3", 12).replace(b" 255\n3", b"\n3", 1)
    + b" 255\n",
    "little": binary("<"),
    "big": binary(">"),
    "counts of 4 bytes": binary("<", count="I", index="I"),
    "shorts": binary(">", count="b", index="h"),
    "quads": binary("<", BOX_QUADS),
    "mixed": binary("<", MIXED),
    "mixed, big": binary(">", MIXED, count="H", index="H"),
    "bytes at the end": binary("<") + b"\n\0tail",
    "crlf header": ply_header(LITTLE, ("vertex", 8, XYZ), ("face", 12, INDICES), newline="\r\n")
    + rows("<", "3f", BOX_M)
    + lists("<", BOX_FACES),
    "no strips": binary("<").replace(
        b"end_header", b"element tristrips 0\nproperty list int int vertex_indices\nend_header"
    ),
    "crlf after end_header": binary("<").replace(b"end_header\n", b"end_header\r\n"),
    "among others, little": among_others("<"),
    "among others, big": among_others(">"),
    "faces before vertices": ply_header(LITTLE, ("face", 12, INDICES), ("vertex", 8, XYZ))
    + lists("<", BOX_FACES)
    + rows("<", "3f", BOX_M),
    "strips": ply_header("ascii", ("vertex", 8, XYZ), ("tristrips", 1, ("list int int vertex_indices",)))
    + ply_text(faces=[STRIP]).partition(b"end_header\n")[2],
    "strips, binary": ply_header(BIG, ("vertex", 8, XYZ), ("tristrips", 1, ("list int int vertex_indices",)))
    + rows(">", "3f", BOX_M)
    + lists(">", [STRIP], count="i"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_box_is_a_box_however_it_is_written(tmp_path: Path, name: str) -> None:
    assert is_box(surface_of(tmp_path, "box.ply", FILES[name]))


def test_strips_turn_every_second_triangle_round(tmp_path: Path) -> None:
    """0 1 2 3 4 are the triangles 012, 132, 234; a strip in another list begins anew."""
    places = np.array([[0.0, 0, 0], [0, 1, 0], [1, 0, 0], [1, 1, 0], [2, 0, 0]])
    header = ply_header("ascii", ("vertex", 5, XYZ), ("tristrips", 2, ("list int int vertex_indices",)))
    body = ply_text(places, [[0, 1, 2, 3, 4], [0, 2, 1]]).partition(b"end_header\n")[2]
    found = surface_of(tmp_path, "strip.ply", header + body)
    assert triangles_of(*found) == triangles_of(places, np.array([[0, 1, 2], [1, 3, 2], [2, 3, 4], [0, 2, 1]]))


def test_whole_numbers_and_names_of_columns_decide(tmp_path: Path) -> None:
    header = ply_header("ascii", ("vertex", 3, ("short y", "uchar x", "char z")), ("face", 1, INDICES))
    vertices, faces = surface_of(tmp_path, "a.ply", header + b"300 1 -5\n0 2 0\n0 0 0\n3 0 1 2\n")
    np.testing.assert_array_equal(vertices[faces[0]], [[1, 300, -5], [2, 0, 0], [0, 0, 0]])


HEADER = ply_header("ascii", ("vertex", 8, XYZ), ("face", 12, INDICES))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"solid", "does not begin with the line ply"),
        (ply_text().replace(b"end_header", b"end"), "ends in end_header in .*; is it cut off"),
        (ply_text().replace(b"format ascii", b"format ebcdic"), "PLY header in .*, found 'format ebcdic 1.0'"),
        (ply_text().replace(b"format ascii 1.0\n", b""), r"expected the line format ascii\|binary_little_endian"),
        (ply_text().replace(b"float x", b"quad x"), "PLY header in .*, found 'property quad x'"),
        (ply_text().replace(b"float x", b"float u"), "properties x, y and z of the element vertex in .*, found 2"),
        (ply_text().replace(b"uchar int", b"float int"), "found 'property list float int vertex_indices'"),
        (ply_text().replace(b"vertex_indices", b"corners"), "list vertex_indices of whole numbers of the element face"),
        (ply_text().replace(b"uchar int", b"uchar float"), "list vertex_indices of whole numbers"),
        (ply_text().replace(b"0.", b"0,"), r"property x in .*, found '-0,05', with a decimal comma; write decimal p"),
        (ply_text() + b"3 0 1 2\n", "as many numbers in .* as its header says, found 4 more"),
        (ply_text()[:-6], r"expected 12 faces in .*, found 11; is it cut off"),
        (binary()[:-3], r"expected 12 faces in .*, found 11; is it cut off"),
        (binary("<", MIXED)[:-3], r"expected 8 faces in .*, found 7; is it cut off"),
        (binary()[:-170], r"expected 8 rows of vertex in .*, found 6; is it cut off"),
        (binary("<", [[0, 1], *BOX_FACES]), r"faces of at least 3 corners in .*, found one of 2"),
        (binary("<", [[0, 1, 8], *BOX_FACES]), r"triangles of the 8 vertices of .*, found one of vertex 8"),
        (binary("<", [[0, 1, -1], *BOX_FACES]), r"triangles of the 8 vertices of .*, found one of vertex -1"),
        (ply_text(faces=[]), r"no triangles but 8 vertex, 0 face; is it a point cloud"),
        (ply_header(LITTLE, ("vertex", 10**11, XYZ)) + bytes(50), "rows of vertex in .*, found 4; is it cut off"),
        (ply_text().replace(b"float y", b"float x"), "each property once in .*, found x twice"),
        (ply_header("ascii", ("vertex", 0, ()), ("vertex", 0, ())), "each element once in .*, found vertex twice"),
    ],
)  # fmt: skip
def test_what_is_not_read_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        surface_of(tmp_path, "box.ply", content)
    assert str(tmp_path / "box.ply") in str(caught.value)


def test_a_list_of_negative_length_is_refused(tmp_path: Path) -> None:
    content = binary("<", count="b")
    place = len(content) - 12 * 13
    with pytest.raises(DataError, match=r"lists of face in .*, found one -3 long"):
        surface_of(tmp_path, "box.ply", content[:place] + b"\xfd" + content[place + 1 :])
