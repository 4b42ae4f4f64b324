"""`object.json` and the mesh that it names."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from torch.testing import assert_close

from tests.data.recording.recording_files import WEDGE_FACES, WEDGE_M, edit, write_obj
from warpgrasp.data.meshes import load_object
from warpgrasp.data.recording.files import Symmetry, read_object, write_object
from warpgrasp.errors import DataError
from warpgrasp.export.datasets import write_mesh


@pytest.mark.parametrize(("units", "scale"), [("mm", 1000), ("cm", 100), ("inch", 1 / 0.0254), ("m", 1)])
def test_units_make_no_difference(small: Path, units: str, scale: float) -> None:
    metres = load_object(small / "wedge.obj", "wedge")
    write_obj(small / "wedge.obj", scale=scale)
    edit(small / "object.json", lambda content: content.update(units=units))
    found = read_object(small).model
    assert_close(found.vertices, metres.vertices, rtol=0, atol=1e-8)
    assert_close(found.centre_m, torch.tensor([0.05, 0.025, 0.01]), rtol=0, atol=1e-8)
    assert torch.equal(found.faces, metres.faces)


@pytest.mark.parametrize("ending", ["ply", "glb", "obj", "PLY"])
def test_formats_make_no_difference(small: Path, ending: str) -> None:
    mesh = trimesh.Trimesh(np.array(WEDGE_M), np.array(WEDGE_FACES), process=False)
    mesh.export(str(small / f"mesh.{ending}"), file_type=ending.lower())
    before = read_object(small).model
    edit(small / "object.json", lambda content: content.update(mesh=f"mesh.{ending}"))
    found = read_object(small).model
    assert_close(found.vertices, before.vertices, rtol=0, atol=1e-8)
    assert {tuple(sorted(face)) for face in found.faces.tolist()} == {
        tuple(sorted(face)) for face in before.faces.tolist()
    }


def test_opengl_axes_are_those_of_ho3d(small: Path) -> None:
    expected = load_object(small / "wedge.obj", "wedge", axes=(1.0, -1.0, -1.0))
    edit(small / "object.json", lambda content: content.update(axes="opengl"))
    found = read_object(small).model
    assert torch.equal(found.vertices, expected.vertices)
    assert torch.equal(found.faces, expected.faces)


@pytest.mark.parametrize(
    ("scale", "units", "advice"),
    [
        (1000, "m", r'found one of 100 m \(100 in the declared units, m\); is it .*"units": "mm" \(100 mm\)'),
        (1, "mm", r'found one of 0\.0001 m .* is it "units": "m" \(100 mm\)'),
        (1e6, "m", r"found one of 100000 m .*no unit that is known fits it"),
    ],
)
def test_wrong_units_are_refused_with_the_likely_ones(small: Path, scale: float, units: str, advice: str) -> None:
    write_obj(small / "wedge.obj", scale=scale)
    edit(small / "object.json", lambda content: content.update(units=units))
    with pytest.raises(DataError, match=r"wedge\.obj, " + advice):
        read_object(small)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"units": "feet"}, r"expected one of m, cm, mm, inch for units in .*object\.json, found 'feet'"),
        ({"units": ["m"]}, "one of m, cm"),
        ({"mesh": "../wedge.obj"}, r"inside the recording's folder for mesh .*found '\.\./wedge\.obj'"),
        ({"mesh": "/etc/passwd"}, "inside the recording's folder"),
        ({"mesh": "none.obj"}, r"expected the file 'none\.obj'"),
        ({"mesh": "object.json"}, r"expected a mesh file \(\.obj, \.ply, \.glb\)"),
        ({"mesh": "a\0b"}, "expected the name of a file for mesh"),
        ({"mesh": "x" * 5000}, "for mesh"),
        ({"name": ""}, "expected a text for name"),
        ({"colour": "red"}, "unknown key 'colour'"),
        ({"axes": "blender"}, "one of opencv, opengl"),
        ({"symmetry": "round"}, r'expected "none" or an object of axis and fold'),
        ({"symmetry": {"axis": "w", "fold": 2}}, r"one of x, y, z for symmetry\.axis"),
        ({"symmetry": {"axis": "x", "fold": 1}}, r"whole number from 2 to 360 for symmetry\.fold"),
        ({"symmetry": {"axis": "x", "fold": 2, "off": 1}}, r"of symmetry in .*unknown key 'off'"),
    ],
)
def test_what_is_no_object(small: Path, change: dict, message: str) -> None:
    write_obj(small.parent / "wedge.obj")
    edit(small / "object.json", lambda content: content.update(change))
    with pytest.raises(DataError, match=message) as caught:
        read_object(small)
    assert "small" in str(caught.value)


@pytest.mark.parametrize("corners", ["v 0 0 0\nv .1 0 0\nv .2 0 0\n", "v 0 0 0\nv .1 0 0\nv .1 0 0\n"])
def test_a_mesh_without_any_area_is_refused(small: Path, corners: str) -> None:
    (small / "wedge.obj").write_text(f"{corners}f 1 2 3\n")
    with pytest.raises(DataError, match=r"an object with a surface in .*wedge\.obj"):
        read_object(small)


def test_a_link_out_of_the_folder_is_refused(small: Path) -> None:
    write_obj(small.parent / "outside.obj")
    (small / "inside.obj").symlink_to(small.parent / "outside.obj")
    edit(small / "object.json", lambda content: content.update(mesh="inside.obj"))
    with pytest.raises(DataError, match="inside the recording's folder"):
        read_object(small)


def test_a_mesh_opens_no_other_file(small: Path) -> None:
    """A GLB whose points lie in a file beside it, and an OBJ whose materials do, open neither."""
    write_obj(small / "wedge.obj")
    (small / "wedge.obj").write_text("mtllib ../secret.mtl\nusemtl a\n" + (small / "wedge.obj").read_text())
    assert len(read_object(small).model.faces) == 4
    content = {"asset": {"version": "2.0"}, "buffers": [{"uri": "../secret.bin", "byteLength": 36}]}
    content |= {"bufferViews": [{"buffer": 0, "byteLength": 36}], "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}]}
    content["accessors"] = [{"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"}]
    content["meshes"] = [{"primitives": [{"attributes": {"POSITION": 0}}]}]
    (small.parent / "secret.bin").write_bytes(np.array([[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0]], "<f4").tobytes())
    text = json.dumps(content).encode()
    text += b" " * (-len(text) % 4)
    header = b"glTF" + (2).to_bytes(4, "little") + (20 + len(text)).to_bytes(4, "little")
    (small / "wedge.glb").write_bytes(header + len(text).to_bytes(4, "little") + b"JSON" + text)
    edit(small / "object.json", lambda declared: declared.update(mesh="wedge.glb"))
    with pytest.raises(DataError, match=r"wedge\.glb"):
        read_object(small)


def test_symmetry_and_mesh_are_written_as_they_are_read(small: Path) -> None:
    for symmetry in (None, Symmetry("z", 2), Symmetry("y", None)):
        write_object(small, "cup", "wedge.obj", units="m", symmetry=symmetry)
        assert read_object(small).symmetry == symmetry
    before = read_object(small).model
    write_mesh(small / "copy.ply", before)
    write_object(small, "cup", "copy.ply")
    assert_close(read_object(small).model.vertices, before.vertices, rtol=0, atol=1e-8)
