"""The compiled rasteriser against the reference and, where they can be imported, PyTorch3D and nvdiffrast."""

from collections.abc import Iterator

import torch

from benchmarks.measure import Case, Run, Work
from benchmarks.other_rasterizers import other_rasterizers
from benchmarks.scale import Scale
from benchmarks.scenes import Scene, scene
from warpgrasp.render import Fragments, cpu, reference, seen_values

RASTER_BYTES = 12  # of a pixel: the face's number and the depth
REFERENCE_PIXELS = 2_000_000  # of a batch: the reference takes seconds for more


def cases(scale: Scale) -> Iterator[Case]:
    for width, height in scale.pictures:
        for object_faces in scale.object_faces:
            for batch in scale.batches:
                drawn = scene(width=width, height=height, batch=batch, object_faces=object_faces)
                yield _case(drawn, f"{width}×{height}, {drawn.mesh.faces.shape[1]} faces, batch {batch}")


def _case(drawn: Scene, size: str) -> Case:
    mesh, camera = drawn.mesh, drawn.camera
    batch, pixels = len(mesh.vertices), len(mesh.vertices) * camera.width * camera.height
    runs: dict[str, Run] = {"ours": lambda: cpu.rasterize(mesh, camera)}
    note = ""
    if pixels <= REFERENCE_PIXELS:
        runs["PyTorch reference"] = lambda: reference.rasterize(mesh, camera)
        note = agreement(drawn)
    runs |= other_rasterizers(drawn)
    read = mesh.vertices.numel() * 4 + mesh.faces.shape[1] * 24
    return Case("rasterise", size, "image", batch, runs, Work(bytes=pixels * RASTER_BYTES + read), note)


def agreement(drawn: Scene) -> str:
    """What the compiled rasteriser and the reference disagree in, and how exact float32 is."""
    mesh, camera = drawn.mesh, drawn.camera
    fast, slow = cpu.rasterize(mesh, camera), reference.rasterize(mesh, camera)
    fragments = Fragments.of(fast)
    u, v = fragments.pixels.unbind(-1)
    image = torch.arange(len(u))[:, None]
    same = fragments.covered & (fast.face_ids[image, v, u] == slow.face_ids[image, v, u])
    points = seen_values(mesh, camera, fragments.face_ids, fragments.pixels, mesh.vertices)
    double = mesh.with_vertices(mesh.vertices.double())
    exact = seen_values(double, camera.to(double.vertices), fragments.face_ids, fragments.pixels, double.vertices)
    covered = slow.face_ids >= 0
    return (
        f"{covered.float().mean():.1%} covered; other faces than the reference's in "
        f"{int((fast.face_ids != slow.face_ids).sum())} of {int(covered.sum())} covered pixels; interpolated points "
        f"in float32 within {(points - exact)[same].norm(dim=-1).max():.1e} m of float64"
    )
