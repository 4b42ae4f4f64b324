"""The photometric term: flow, warp, masks and loss, forward and backward, against the bare rasterisations in it."""

from collections.abc import Callable, Iterator

import torch

from benchmarks.measure import Case, Work
from benchmarks.rasterize import RASTER_BYTES
from benchmarks.scale import Scale
from benchmarks.scenes import Scene, scene
from warpgrasp.frame import FramePair
from warpgrasp.photometric import photometric_consistency
from warpgrasp.render import Fragments, rasterize

SHIFT_M = 0.004  # between the frames of a pair
COLOUR_BYTES = 24  # of a compared pixel: three colours of either picture


def cases(scale: Scale) -> Iterator[Case]:
    for width, height in scale.pictures:
        for object_faces in scale.object_faces:
            for batch in scale.batches:
                yield _case(width=width, height=height, batch=batch, object_faces=object_faces)


def photometric_term(
    *, width: int, height: int, batch: int, object_faces: int
) -> tuple[Scene, Callable[[Fragments | None], None]]:
    """A scene, and the term of pairs of it, forward and backward, with what is seen of the reference if it is known."""
    drawn = scene(width=width, height=height, batch=batch, object_faces=object_faces)
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(2, batch, 3, height, width, generator=generator)
    pair = FramePair(images[0], drawn.camera, images[1], drawn.camera, drawn.mesh)
    vertices = (drawn.mesh.vertices + SHIFT_M * torch.randn(batch, 1, 3, generator=generator)).requires_grad_()

    def term(seen: Fragments | None) -> None:
        vertices.grad = None
        photometric_consistency(pair, drawn.mesh.with_vertices(vertices), seen=seen).loss.mean().backward()

    return drawn, term


def _case(*, width: int, height: int, batch: int, object_faces: int) -> Case:
    drawn, term = photometric_term(width=width, height=height, batch=batch, object_faces=object_faces)
    known = Fragments.of(rasterize(drawn.mesh, drawn.camera))
    covered = int(known.covered.sum())
    pixels = batch * width * height
    work = Work(bytes=pixels * RASTER_BYTES + covered * COLOUR_BYTES + 2 * drawn.mesh.vertices.numel() * 4)
    size = f"{width}×{height}, {drawn.mesh.faces.shape[1]} faces, batch {batch}"
    runs = {
        "ours, the reference seen before": lambda: term(known),
        "both rasterised": lambda: term(None),
        "one rasterisation alone": lambda: rasterize(drawn.mesh, drawn.camera),
    }
    return Case("flow, warp, masks, loss; both ways", size, "pair", batch, runs, work)
