"""Posing the hand, forward, and forward and backward."""

from collections.abc import Iterator

import torch

from benchmarks.measure import Case, Work
from benchmarks.scale import Scale
from warpgrasp.hand import HandModel, open_hand


def cases(scale: Scale) -> Iterator[Case]:
    model = HandModel(open_hand())
    vertices = len(model.template_vertices)
    # Ten blend shapes, sixteen joints of them, the blend of sixteen affine maps, and one map per vertex.
    operations = 2 * vertices * (3 * model.shape_count + 3 * 16 + 16 * 12 + 12)
    for batch in scale.batches:
        generator = torch.Generator().manual_seed(0)
        rotation, pose, shape = (torch.randn(batch, n, generator=generator).requires_grad_() for n in (3, 45, 10))

        def forward(inputs: tuple[torch.Tensor, ...] = (rotation, pose, shape)) -> torch.Tensor:
            with torch.no_grad():
                return model(*inputs).vertices

        def both(inputs: tuple[torch.Tensor, ...] = (rotation, pose, shape)) -> None:
            for one in inputs:
                one.grad = None
            model(*inputs).vertices.square().sum().backward()

        size = f"{vertices} vertices, batch {batch}"
        written = Work(bytes=batch * vertices * 12, operations=batch * operations)
        yield Case("hand, forward", size, "hand", batch, {"ours": forward}, written)
        twice = Work(bytes=2 * batch * vertices * 12, operations=3 * batch * operations)
        yield Case("hand, both ways", size, "hand", batch, {"ours": both}, twice)
