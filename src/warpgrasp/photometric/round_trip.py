"""Mutual visibility by one compiled loop over pixels, for CPUs: as `visibility.mutually_visible` by tensors.

Some thirty tensor operations over short lists take longer to start than to compute. Points are computed in float64.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from warpgrasp.geometry import NEAR_M, Camera, Mesh
from warpgrasp.photometric.visibility import Visibility
from warpgrasp.render import pixels_to_rays
from warpgrasp.render.compiled import compiled, share_out
from warpgrasp.render.cpu_values import weights_of


def returning(
    candidates: Bool[Tensor, "b n"],
    started_px: Int[Tensor, "b n 2"],
    landing_px: Float[Tensor, "b n 2"],
    reference: Mesh,
    target: Mesh,
    *,
    reference_camera: Camera,
    target_camera: Camera,
    tolerance_px: float,
    target_face_ids: Int[Tensor, "b h w"],
) -> Visibility:
    """Which candidates land on the target's surface, and which of them its flow leads back to where they started."""
    found = Visibility(torch.zeros_like(candidates), torch.zeros_like(candidates))
    batch = len(candidates)
    tensors = (
        candidates,
        started_px,
        landing_px,
        target.vertices,
        reference.vertices,
        target.faces,
        target.auxiliary_faces,
        pixels_to_rays(target_camera).expand(batch, 3, 3),
        reference_camera.intrinsics.double().expand(batch, 3, 3),
        target_face_ids,
        torch.full((batch,), tolerance_px, dtype=torch.float64),
        found.mutual,
        found.astray,
    )
    share_out(_returning, tuple(tensor.detach().contiguous().numpy() for tensor in tensors))
    return found


def returning_kernel(
    candidates: Bool[np.ndarray, "b n"],
    started_px: Int[np.ndarray, "b n 2"],
    landing_px: Float[np.ndarray, "b n 2"],
    target: Float[np.ndarray, "b v 3"],
    reference: Float[np.ndarray, "b v 3"],
    faces: Int[np.ndarray, "b f 3"],
    auxiliary: Bool[np.ndarray, "b f"],
    directions: Float[np.ndarray, "b 3 3"],
    intrinsics: Float[np.ndarray, "b 3 3"],
    face_ids: Int[np.ndarray, "b h w"],
    tolerance_px: Float[np.ndarray, " b"],
    mutual: Bool[np.ndarray, "b n"],
    astray: Bool[np.ndarray, "b n"],
) -> None:
    """Set `mutual` and `astray`, False everywhere. `directions` are the target camera's inverse intrinsics."""
    height, width = face_ids.shape[1:]
    for image in range(len(candidates)):
        matrix = intrinsics[image]
        for place in range(candidates.shape[1]):
            u, v = landing_px[image, place, 0], landing_px[image, place, 1]
            if not (candidates[image, place] and 0 <= u <= width - 1 and 0 <= v <= height - 1):
                continue
            column, row = int(np.rint(u)), int(np.rint(v))
            face = face_ids[image, row, column]
            if face < 0 or auxiliary[image, face]:
                continue
            astray[image, place] = True
            i0, i1, i2 = faces[image, face, 0], faces[image, face, 1], faces[image, face, 2]
            _, _, _, w0, w1, w2, total = weights_of(target[image], i0, i1, i2, directions[image], column, row)
            if total == 0:  # seen edge-on
                continue
            a, b, c = reference[image, i0], reference[image, i1], reference[image, i2]
            x = (w0 * a[0] + w1 * b[0] + w2 * c[0]) / total
            y = (w0 * a[1] + w1 * b[1] + w2 * c[1]) / total
            z = (w0 * a[2] + w1 * b[2] + w2 * c[2]) / total
            if not z > NEAR_M:
                continue
            # The flow back starts at the pixel's centre; by as much as that lies beside the landing, so does its end.
            back_u = (matrix[0, 0] * x + matrix[0, 1] * y) / z + matrix[0, 2] + (u - column)
            back_v = (matrix[1, 0] * x + matrix[1, 1] * y) / z + matrix[1, 2] + (v - row)
            apart = np.hypot(back_u - started_px[image, place, 0], back_v - started_px[image, place, 1])
            mutual[image, place] = apart <= tolerance_px[image]
            astray[image, place] = not mutual[image, place]


_returning = compiled(returning_kernel)
