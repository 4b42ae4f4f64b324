"""What a training needs of a frame again and again, and what never changes in it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.frame import FrameName, Frames
from warpgrasp.geometry import Camera, Mesh
from warpgrasp.photometric import appearance
from warpgrasp.render import Fragments, rasterize

Key = TypeVar("Key")
Kept = TypeVar("Kept")


class FrameConstants:
    """Constants of frames by their names, within a limit of memory; beyond it they are computed each time.

    Each frame is computed alone, so that no bit depends on the batch in which it came first. On a GPU nothing is
    remembered: it computes a whole batch in less time than the host takes to gather what it knows.
    """

    def __init__(self, *, limit_bytes: int = 500_000_000):
        self._seen: dict[FrameName, Fragments] = {}
        self._appearance: dict[tuple[FrameName, float], Tensor] = {}
        self._free_bytes = limit_bytes

    def seen(self, names: Sequence[FrameName], surfaces: Mesh, camera: Camera) -> Fragments:
        """What the frames' cameras see of their annotated surfaces."""
        if surfaces.vertices.is_cuda:
            return Fragments.of(rasterize(surfaces, camera))

        def of(row: int) -> Fragments:
            one = slice(row, row + 1)
            mesh = Mesh(surfaces.vertices[one], surfaces.faces[one], surfaces.auxiliary_faces[one])
            return Fragments.of(rasterize(mesh, replace(camera, intrinsics=camera.intrinsics[one])))

        def tensors(seen: Fragments) -> Sequence[Tensor]:
            return seen.pixels, seen.face_ids, seen.covered

        return _stack([self._remember(self._seen, name, row, of, tensors) for row, name in enumerate(names)])

    def appearance(self, frames: Frames, *, contrast_share: float) -> Float[Tensor, "b c h w"]:
        """What the frames' pictures are compared by."""
        if contrast_share == 0:
            return frames.image
        if frames.image.is_cuda:
            return appearance(frames.image, contrast_share=contrast_share)

        def of(row: int) -> Tensor:
            return appearance(frames.image[row : row + 1], contrast_share=contrast_share)

        keys = [(name, contrast_share) for name in frames.names]
        return torch.cat(
            [self._remember(self._appearance, key, row, of, lambda one: [one]) for row, key in enumerate(keys)]
        )

    def _remember(
        self,
        kept: dict[Key, Kept],
        key: Key,
        row: int,
        of: Callable[[int], Kept],
        tensors: Callable[[Kept], Sequence[Tensor]],
    ) -> Kept:
        if key in kept:
            return kept[key]
        constant = of(row)
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors(constant))
        if size <= self._free_bytes:
            self._free_bytes -= size
            kept[key] = constant
        return constant


def _stack(parts: Sequence[Fragments]) -> Fragments:
    """One batch, padded to the longest."""
    longest = max(part.face_ids.shape[1] for part in parts)

    def padded(tensors: Sequence[Tensor]) -> Tensor:
        stacked = tensors[0].new_zeros((len(tensors), longest, *tensors[0].shape[2:]))
        for row, tensor in enumerate(tensors):
            stacked[row, : tensor.shape[1]] = tensor[0]
        return stacked

    return replace(
        parts[0],
        pixels=padded([part.pixels for part in parts]),
        face_ids=padded([part.face_ids for part in parts]),
        covered=padded([part.covered for part in parts]),
    )
