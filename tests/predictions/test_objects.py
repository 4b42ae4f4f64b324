"""Objects are known again by their meshes, from whichever file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from tests.data.meshes.mesh_files import obj_text, ply_text
from warpgrasp.data.meshes import load_object
from warpgrasp.frame import ObjectModel
from warpgrasp.geometry import sha256_in_order
from warpgrasp.predictions.objects import ObjectError, identified_object, mesh_hashes
from warpgrasp.reconstruction.checkpoint import KnownObject

# A tetrahedron of which nothing is a mirror image; a fifth vertex is part of no face.
CORNERS = np.array([[0.1, 0, 0], [0, 0.05, 0], [0, 0, 0.02], [0, 0, 0], [0.03, 0.03, 0.4]])
FACES = np.array([[0, 1, 2], [0, 3, 1], [1, 3, 2], [2, 3, 0]])
ORDER = np.array([4, 2, 0, 3, 1])


def renumbered_ply(scale: float = 1.0) -> bytes:
    """The same faces, last first and each from its second corner on, of the same vertices in another order."""
    numbers = np.argsort(ORDER)[FACES][::-1][:, [1, 2, 0]]
    return ply_text(scale * CORNERS[ORDER], numbers)


@pytest.fixture
def model(tmp_path: Path) -> ObjectModel:
    path = tmp_path / "scan.obj"
    path.write_text(obj_text(CORNERS, FACES))
    return load_object(path, "scan")


def test_a_vertex_of_no_face_is_no_part_of_the_object(model: ObjectModel) -> None:
    assert_close(model.centre_m, torch.tensor([0.05, 0.025, 0.01]))
    assert len(model.vertices) == 4


@pytest.mark.parametrize("scale", [1.0, 1000.0, 100.0, 1 / 0.0254])
def test_the_ply_of_a_scan_is_the_obj_of_it(model: ObjectModel, tmp_path: Path, scale: float) -> None:
    (tmp_path / "scan.ply").write_bytes(renumbered_ply(scale))
    again = identified_object(tmp_path / "scan.ply", [KnownObject("other", "0" * 64), KnownObject.of(model)])
    assert again.name == "scan"
    assert_close(again.vertices, model.vertices, rtol=0, atol=1e-7)
    assert_close(again.centre_m, model.centre_m, rtol=0, atol=1e-7)


def test_one_scan_has_one_hash(model: ObjectModel, tmp_path: Path) -> None:
    (tmp_path / "scan.ply").write_bytes(renumbered_ply())
    assert mesh_hashes([load_object(tmp_path / "scan.ply", "scan")]) == mesh_hashes([model])


def test_files_of_before_know_the_mesh_by_its_order(model: ObjectModel, tmp_path: Path) -> None:
    before = [KnownObject("scan", sha256_in_order(model.vertices, model.faces))]
    assert identified_object(tmp_path / "scan.obj", before).name == "scan"
    (tmp_path / "scan.ply").write_bytes(renumbered_ply())
    with pytest.raises(ObjectError, match=r"an object that the network knows \(scan\), found another in .*scan\.ply"):
        identified_object(tmp_path / "scan.ply", before)


def test_another_mesh_is_another(model: ObjectModel, tmp_path: Path) -> None:
    (tmp_path / "scan.ply").write_bytes(ply_text(CORNERS * np.array([1, 1, 1.02]), FACES))
    with pytest.raises(ObjectError, match=r"found another in .*scan\.ply, 100 mm"):
        identified_object(tmp_path / "scan.ply", [KnownObject.of(model)])
    assert not KnownObject.of(model).has_mesh_of(replace(model, faces=model.faces.flip(-1)))
