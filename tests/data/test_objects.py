"""Object models from mesh files."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from warpgrasp.data.meshes import load_object
from warpgrasp.errors import DataError

CUBE = """v 0 0 0\nv 0.2 0 0\nv 0 0.1 0\nv 0 0 0.4\nv 0 0 0\nf 1 2 3\nf 5 3 4\n"""


def test_distinct_vertices_centred_on_the_bounding_box(tmp_path: Path) -> None:
    path = tmp_path / "thing.obj"
    path.write_text(CUBE)
    model = load_object(path, "thing", axes=(1.0, -1.0, -1.0))
    assert model.vertices.shape == (4, 3)  # the fifth vertex is the first again
    assert_close(model.centre_m, torch.tensor([0.1, -0.05, -0.2]))
    assert_close(model.vertices.amin(0), torch.tensor([-0.1, -0.05, -0.2]))
    assert_close(model.vertices.amax(0), torch.tensor([0.1, 0.05, 0.2]))
    corners = (model.vertices + model.centre_m)[model.faces]
    assert_close(corners[0], torch.tensor([[0, 0, 0], [0.2, 0, 0], [0, -0.1, 0]]), rtol=0, atol=1e-7)
    assert_close(corners[1], torch.tensor([[0, 0, 0], [0, -0.1, 0], [0, 0, -0.4]]), rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"expected a (triangle )?mesh in"),
        ("v 0 0 0\nv 1 1 1\n", r"expected a (triangle )?mesh in"),
        ("v 0 0 0\nv nan 0 0\nv 0 0.1 0\nf 1 2 3\n", "finite vertices"),
        ("v 0 0 0\nv 200 0 0\nv 0 100 0\nf 1 2 3\n", "in metres .* found one 200 long; convert its units"),
        ("v 0 0 0\nv 0.0002 0 0\nv 0 0.0001 0\nf 1 2 3\n", "in metres"),
    ],
)
def test_what_is_no_metric_mesh_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "thing.obj"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        load_object(path, "thing")


PLY = """ply
format ascii 1.0
comment TextureFile secret.jpg
element vertex 4
property float x
property float y
property float z
property float s
property float t
element face 4
property list uchar int vertex_indices
end_header
0.1 0 0 0 0
0 0.1 0 0 1
0 0 0.1 1 0
0 0 0 1 1
3 0 1 2
3 0 3 1
3 1 3 2
3 2 3 0
"""


def test_textures_are_not_opened(tmp_path: Path, monkeypatch) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "secret.jpg")
    (tmp_path / "thing.ply").write_text(PLY)
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("opened a picture"))
    model = load_object(tmp_path / "thing.ply", "thing")
    assert (len(model.vertices), len(model.faces)) == (4, 4)


@pytest.mark.parametrize("lines", [1, 2, 3])
def test_a_mesh_that_ends_early_is_refused(tmp_path: Path, lines: int) -> None:
    (tmp_path / "thing.ply").write_text("\n".join(PLY.splitlines()[:-lines]) + "\n")
    with pytest.raises(DataError, match=rf"expected 4 faces in .*thing\.ply, found {4 - lines}; is it cut off"):
        load_object(tmp_path / "thing.ply", "thing")


def test_a_missing_mesh_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"mesh of thing at .*none\.obj"):
        load_object(tmp_path / "none.obj", "thing")
