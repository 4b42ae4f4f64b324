"""docs/datasets.md has the exact sentence for what is refused of meshes."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.data.meshes.mesh_files import BOX_M, XYZ, obj_text, ply_header, ply_text, surface_of
from tests.data.meshes.test_glb import changed, compressed, second_scene
from warpgrasp.data.recording.files import load_mesh_in
from warpgrasp.errors import DataError

PAGE = (Path(__file__).parents[3] / "docs" / "datasets.md").read_text()
TEXT = obj_text()
BOW_TIE = obj_text(np.array([[0, 0, 0], [0.1, 0.1, 0], [0.1, 0, 0], [0, 0.1, 0.0]]), [[0, 1, 2, 3]])
REFUSED: dict[str, Callable[[], str | bytes]] = {
    "commas.obj": lambda: TEXT.replace(".", ","),
    "utf16.obj": lambda: TEXT.encode("utf-16"),
    "number.obj": lambda: TEXT + "f 1 2 9\n",
    "back.obj": lambda: TEXT + "f -1 -2 -9\n",
    "crossed.obj": lambda: BOW_TIE,
    "surface.obj": lambda: TEXT + "surf 0 1 0 1 1 2 3 4\n",
    "weight.obj": lambda: TEXT.replace("-0.02\n", "-0.02 0.5\n"),
    "commas.ply": lambda: ply_text().replace(b"0.", b"0,"),
    "points.ply": lambda: ply_text(faces=[]),
    "cut.ply": lambda: ply_text()[:-6],
    "more.ply": lambda: ply_text() + b"3 0 1 2\n",
    "unheard.ply": lambda: ply_header("ascii", ("vertex", 8, (*XYZ, "half w"))),
    "draco.glb": lambda: compressed(b"DRACO").content(),
    "meshopt.glb": lambda: changed("document", extensionsRequired=["EXT_meshopt_compression"]),
    "required.glb": lambda: changed("document", extensionsRequired=["ACME_voxels"]),
    "instances.glb": lambda: changed("node", extensions={"EXT_mesh_gpu_instancing": {}}),
    "outside.glb": lambda: changed("document", buffers=[{"uri": "mug.bin", "byteLength": 9}]),
    "skin.glb": lambda: changed("node", skin=0),
    "lines.glb": lambda: changed("primitive", mode=1),
    "scenes.glb": lambda: without_default(),
    "bounds.glb": lambda: changed("position", max=[0.05, 0.03, 0.01]),
}


def without_default() -> bytes:
    gltf = second_scene()
    del gltf.document["scene"]
    return gltf.content()


@pytest.mark.parametrize("name", REFUSED)
def test_each_refusal_stands_in_the_documentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(sys.modules, "DracoPy", None)
    with pytest.raises(DataError) as caught:
        surface_of(tmp_path, name, REFUSED[name]())
    sentence = str(caught.value).replace(str(tmp_path / name), name)
    assert f"`{sentence}`" in PAGE, sentence


def test_each_documented_refusal_is_tried() -> None:
    table = PAGE.partition("##### Meshes that are refused")[2].partition("\n#### ")[0].partition("\n### ")[0]
    named = set(re.findall(r"\b[a-z0-9]+\.(?:obj|ply|glb)\b", table))
    assert named - {"mug.bin"} == set(REFUSED)


def test_the_advice_on_units_stands_in_the_documentation(tmp_path: Path) -> None:
    path = tmp_path / "mug.obj"
    path.write_text(obj_text(1000 * BOX_M))
    with pytest.raises(DataError) as caught:
        load_mesh_in(path, "mug", "m")
    page = (Path(__file__).parents[3] / "docs" / "own_video.md").read_text()
    assert f"`{str(caught.value).replace(str(path), 'mug.obj')}`" in page
