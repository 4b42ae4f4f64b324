"""The compiled rasteriser against the reference, at 480×270, batch 8, on a hand with an object of 6000 faces and more.

Both run in one process, in turns, so that a busy machine slows both; the median of the turns counts. Then what they
disagree in.
"""

import platform
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
import trimesh

from warpgrasp.data.sample.objects import object_surface
from warpgrasp.frame import pose_points
from warpgrasp.geometry import Camera, Mesh, join, matrix_from_axis_angle
from warpgrasp.hand import HandModel, open_hand
from warpgrasp.render import Fragments, cpu, interpolate, reference, surface_weights

WIDTH, HEIGHT, BATCH, TURNS = 480, 270, 8, 15
HAND_FACES = 1552  # with those that close the wrist
FACES = 8000


def scene() -> tuple[Mesh, Camera]:
    """Eight hands in different poses, each beside an object, with about `FACES` faces."""
    generator = torch.Generator().manual_seed(0)
    model, surface = HandModel(open_hand()), object_surface("006_mustard_bottle")
    vertices, faces = subdivided(surface.vertices, surface.faces, FACES - HAND_FACES)
    vertices = torch.from_numpy(vertices - vertices.mean(axis=0)).float()
    with torch.no_grad():
        posed = model(
            torch.randn(BATCH, 3, generator=generator),
            0.3 * torch.randn(BATCH, 45, generator=generator),
            torch.randn(BATCH, 10, generator=generator),
        )
    hand = posed.vertices - posed.joints[:, 9:10] + torch.tensor([0.03, 0.01, 0.5])
    rotation = matrix_from_axis_angle(torch.randn(BATCH, 3, generator=generator))
    thing = pose_points(rotation, torch.tensor([-0.02, 0.0, 0.55]).expand(BATCH, 3), vertices.expand(BATCH, -1, -1))
    mesh = join(model.closed_mesh(hand), Mesh.of(thing, torch.from_numpy(faces).long()))
    intrinsics = torch.tensor([[[430.0, 0, (WIDTH - 1) / 2], [0, 430.0, (HEIGHT - 1) / 2], [0, 0, 1]]])
    return mesh, Camera(intrinsics.expand(BATCH, 3, 3), WIDTH, HEIGHT)


def subdivided(vertices: np.ndarray, faces: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Split a third of the extra faces' worth of the first faces in four, neighbours included where they must."""
    chosen = np.arange(max(0, count - len(faces)) // 3)
    return trimesh.remesh.subdivide(vertices, faces, face_index=chosen)


def milliseconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return 1e3 * (time.perf_counter() - start)


def main() -> None:
    mesh, camera = scene()
    print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"{WIDTH}×{HEIGHT}, batch {BATCH}, {mesh.faces.shape[1]} faces, float32")
    fast, slow = cpu.rasterize(mesh, camera), reference.rasterize(mesh, camera)  # and compile
    print(f"covered: {(slow.face_ids >= 0).float().mean():.1%} of the pixels")
    timings = [
        (milliseconds(lambda: cpu.rasterize(mesh, camera)), milliseconds(lambda: reference.rasterize(mesh, camera)))
        for _ in range(TURNS)
    ]
    compiled, plain = (statistics.median(column) / BATCH for column in zip(*timings, strict=True))
    print(
        f"compiled: {compiled:.2f} ms per image   reference: {plain:.2f} ms per image   ratio: {plain / compiled:.1f}"
    )

    fragments = Fragments.of(fast)
    image = torch.arange(BATCH)[:, None]
    u, v = fragments.pixels.unbind(-1)
    same = fragments.covered & (fast.face_ids[image, v, u] == slow.face_ids[image, v, u])
    print(f"different faces: {(fast.face_ids != slow.face_ids).sum()} of {(slow.face_ids >= 0).sum()} pixels")
    weights = surface_weights(mesh, camera, fragments.face_ids, fragments.pixels)
    points = interpolate(mesh.vertices, mesh.faces, fragments.face_ids, weights)
    double = mesh.with_vertices(mesh.vertices.double())
    exact_weights = surface_weights(double, camera.to(double.vertices), fragments.face_ids, fragments.pixels)
    exact = interpolate(double.vertices, mesh.faces, fragments.face_ids, exact_weights)
    difference_px = camera.project(points).double() - camera.to(double.vertices).project(exact)
    print(
        f"interpolated points, float32 against float64: {(points - exact)[same].norm(dim=-1).max():.1e} m, "
        f"{difference_px[same].norm(dim=-1).max():.1e} px at most"
    )
    depth_m = (fast.depth - slow.depth)[image, v, u][same].abs().max()
    print(f"depth, compiled against reference: {depth_m:.1e} m at most")


if __name__ == "__main__":
    main()
