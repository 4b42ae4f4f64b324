"""The cameras of FPHAB's recordings, as published with the data set.

Skeletons and object poses are in the frame of the depth camera ("world"), in millimetres; pictures are of the colour
camera, OpenCV axes.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.geometry import Camera

FULL_SIZE = (1920, 1080)  # width, height, at which the intrinsics are given
REDUCED_SIZE = (480, 270)  # of the copies in Video_files_480
M_PER_MM = 1e-3
COLOUR_INTRINSICS = ((1395.749023, 0.0, 935.732544), (0.0, 1395.749268, 540.681030), (0.0, 0.0, 1.0))  # px
COLOUR_FROM_WORLD_MM = (
    (0.999988496304, -0.00468848412856, 0.000982563360594, 25.7),
    (0.00469115935266, 0.999985218048, -0.00273845880292, 1.22),
    (-0.000969709653873, 0.00274303671904, 0.99999576807, 3.902),
    (0.0, 0.0, 0.0, 1.0),
)


def colour_camera() -> Camera:
    """The camera of a full-size picture."""
    return Camera(torch.tensor(COLOUR_INTRINSICS), *FULL_SIZE)


def colour_from_world(pose_mm: Float[Tensor, "*n 4 4"]) -> Float[Tensor, "*n 4 4"]:
    """Rigid transforms into the world (translation in mm) carried on to the colour camera (translation in m)."""
    pose = torch.tensor(COLOUR_FROM_WORLD_MM, dtype=torch.float64).to(pose_mm) @ pose_mm
    metres = torch.tensor([1.0, 1.0, 1.0, M_PER_MM], dtype=torch.float64).to(pose_mm)
    return torch.cat([pose[..., :3, :] * metres, pose[..., 3:, :]], dim=-2)


def colour_points_m(world_mm: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """Points of the world, in mm, as points of the colour camera, in m."""
    extrinsic = torch.tensor(COLOUR_FROM_WORLD_MM, dtype=torch.float64).to(world_mm)
    return M_PER_MM * (world_mm @ extrinsic[:3, :3].T + extrinsic[:3, 3])
