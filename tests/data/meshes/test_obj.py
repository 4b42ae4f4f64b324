"""OBJ files in all their dialects."""

from pathlib import Path

import numpy as np
import pytest

from tests.data.meshes.mesh_files import (
    BOX_FACES,
    BOX_M,
    BOX_QUADS,
    area_m2,
    is_box,
    obj_text,
    surface_of,
    triangles_of,
)
from warpgrasp.errors import DataError

TEXT = obj_text()
VERTICES = TEXT[: TEXT.index("f ")]
FACES = TEXT[TEXT.index("f ") :]


def each(text: str, change) -> str:
    return "".join(change(line) + "\n" for line in text.splitlines())


DIALECTS = {
    "plain": TEXT,
    "no last newline": TEXT.rstrip("\n"),
    "crlf": TEXT.replace("\n", "\r\n"),
    "cr": TEXT.replace("\n", "\r"),
    "tabs": TEXT.replace(" ", "\t"),
    "indented": each(TEXT, lambda line: " \t " + line + "  "),
    "comments": each(TEXT, lambda line: line + " # a corner, 1 2 3"),
    "comments that end in a backslash": each(TEXT, lambda line: line + " # C:\\models\\"),
    "continued": VERTICES + each(FACES, lambda line: line.replace(" ", " \\\n ", 2)),
    "continued crlf": (VERTICES + each(FACES, lambda line: line.replace(" ", " \\\n", 1))).replace("\n", "\r\n"),
    "continued without a space": each(VERTICES, lambda line: line.replace(" ", "\\\n")) + FACES,
    "continued after blanks": VERTICES + each(FACES, lambda line: line.replace(" ", " \\ \t\n ", 1)),
    "triangles as quads": VERTICES + each(FACES, lambda line: f"{line} {line.split()[-1]}"),
    "bom": "\ufeff" + TEXT,
    "no utf-8": b"# Gr\xf6\xdfe\nmtllib gr\xfcn.mtl\n" + TEXT.encode(),
    "faces first": FACES + VERTICES,
    "colours": each(VERTICES, lambda line: line + " 0.5 0.25 1") + FACES,
    "colours of some": VERTICES.replace("\n", " 1 0 0\n", 3) + FACES,
    "colours with opacity": each(VERTICES, lambda line: line + " 0.5 0.25 1 1") + FACES,
    "weights": each(VERTICES, lambda line: line + " 1.0") + FACES,
    "exponents": VERTICES.replace("0.05", "5.0E-02").replace(" 0.03", " +.3e-1") + FACES,
    "texture": "vt 0 0\n" + VERTICES + each(FACES, lambda line: line.replace(" ", "/1 ") + "/1").replace("f/1", "f"),
    "normals": VERTICES + each(FACES, lambda line: line.replace(" ", "//1 ") + "//1").replace("f//1", "f"),
    "slashes": VERTICES + each(FACES, lambda line: line.replace(" ", "/ ") + "/").replace("f/", "f"),
    "old faces": TEXT.replace("f ", "fo "),
    "quads": obj_text(faces=BOX_QUADS),
    "negative": VERTICES + each(FACES, lambda line: "f " + " ".join(str(int(i) - 9) for i in line.split()[1:])),
    "names": "mtllib my file.mtl\no a thing\ng\ng f 1 2\ns off\nusemtl red v\n" + TEXT + "l 1 2 3\np 1\n",
    "curves": TEXT + "vp 0.1 0.2\ncstype bezier\ndeg 3\ncurv 0 1 1 2 3 4\nparm u 0 1\nend\n",
    "a vertex of no face": "v 0 0 0.4\n" + obj_text(faces=BOX_FACES + 1),
    "a NaN of no face": VERTICES + "v nan nan nan\n" + FACES,
    "each corner by itself": "".join(obj_text(BOX_M[face], []) + "f -3 -2 -1\n" for face in BOX_FACES),
}  # fmt: skip


@pytest.mark.parametrize("name", DIALECTS)
def test_a_box_is_a_box_however_it_is_written(tmp_path: Path, name: str) -> None:
    assert is_box(surface_of(tmp_path, "box.obj", DIALECTS[name]))


def test_faces_count_back_from_where_they_stand(tmp_path: Path) -> None:
    """Two boxes, each written as its vertices and then its faces by negative numbers."""
    moved = BOX_M + np.array([0.2, 0, 0])
    negative = each(FACES, lambda line: "f " + " ".join(str(int(i) - 9) for i in line.split()[1:]))
    vertices, faces = surface_of(tmp_path, "two.obj", VERTICES + negative + obj_text(moved, []) + negative)
    expected = triangles_of(BOX_M, BOX_FACES) + triangles_of(moved, BOX_FACES)
    assert triangles_of(vertices, faces) == sorted(expected)


def test_what_is_used_is_sorted_and_faces_keep_their_order(tmp_path: Path) -> None:
    vertices, faces = surface_of(tmp_path, "a.obj", "v 3 0 0\nv 9 9 9\nv 1 0 0\nv 2 5 0\nv 1 0 0\nf 1 4 3\nf 5 4 1\n")
    np.testing.assert_array_equal(vertices, [[1, 0, 0], [2, 5, 0], [3, 0, 0]])
    np.testing.assert_array_equal(faces, [[2, 1, 0], [0, 1, 2]])


def test_polygons_and_triangles_together(tmp_path: Path) -> None:
    """A pentagon 2 × 3 under a triangle: by the shoelace formula 5, and 1."""
    corners = "v 0 0 0\nv 2 0 0\nv 2 2 0\nv 1 3 0\nv 0 2 0\nv 3 0 0\n"
    vertices, faces = surface_of(tmp_path, "a.obj", corners + "f 1 2 3 4 5\nf 2 6 3\n")
    assert (len(faces), area_m2(vertices, faces)) == (4, 6.0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (TEXT.replace(".", ","), r"found v '-0,05 -0,03 -0,02', with decimal commas; write decimal points"),
        (TEXT.replace("v 0.05", "v 0.o5"), r"expected numbers in .*, found v '0\.o5"),
        (TEXT.replace("v 0.05", "v 0_0.05"), "expected numbers in"),
        (TEXT.replace("-0.02\n", "-1.#IND00\n"), r"expected numbers in .*, found v '-0\.05 -0\.03 -1\.#IND00'"),
        (TEXT.replace("v 0.05", "v"), "expected 3 coordinates, or 3 and a colour, of each vertex"),
        (TEXT.replace("-0.02\n", "-0.02 0.5\n"), "vertices of weight 1 .* a rational surface"),
        (TEXT + "f 1 2\n", r"faces of at least 3 corners in .*, found one of 2"),
        (TEXT + "f\n", r"faces of at least 3 corners in .*, found one of 0"),
        (TEXT + "f 1 2 9\n", r"triangles of the 8 vertices of .*, found one of vertex 8"),
        (TEXT + "f 0 1 2\n", r"count vertices from 1, or from -1 backwards, found vertex 0"),
        ("f -1 -2 -3\n" + TEXT, r"count back to vertices before them, found -\d after 0 vertices"),
        (TEXT + "f 1 2 x\n", r"numbers of vertices in .*, found f '1 2 x'"),
        (TEXT + f"f 1 2 {10**30}\n", r"numbers of vertices in .*, found f '1 2 1000"),
        (TEXT + "surf 0 1 0 1 1 2 3 4\n", r"found a free-form surface \(surf\); export it as polygons"),
        (TEXT + "call other.obj\n", r"lines of an OBJ file in .*, found 'call other\.obj'"),
        (TEXT.encode("utf-16"), "ASCII or UTF-8 text in .*, found UTF-16; save it as UTF-8"),
        (TEXT.encode() + b"\0", "found bytes that are no text"),
        (VERTICES, "expected a triangle mesh in .*, found no triangles"),
        ("", "expected a triangle mesh in .*, found no triangles"),
        (TEXT.replace("-0.05", "nan"), "finite vertices"),
        (TEXT.replace("-0.05", "1e39"), "finite vertices"),
        ("ply\nformat ascii 1.0\n", "lines of an OBJ file in .*, found 'ply'"),
    ],
)  # fmt: skip
def test_what_is_not_read_is_named(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        surface_of(tmp_path, "box.obj", content)
    assert str(tmp_path / "box.obj") in str(caught.value)


def test_no_other_file_is_opened(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected a mesh file \(\.obj, \.ply, \.glb\), found .*box\.stl"):
        surface_of(tmp_path, "box.stl", "solid\n")
