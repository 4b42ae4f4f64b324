"""Meshes on which rasterisers break, before a small camera, and a realistic hand with an object."""

from functools import cache

import numpy as np
import torch

from warpgrasp.data.sample.grasp import object_surface
from warpgrasp.frame import pose_points
from warpgrasp.geometry.camera import Camera
from warpgrasp.geometry.mesh import Mesh, join
from warpgrasp.geometry.rotation import matrix_from_axis_angle
from warpgrasp.hand.model import HandModel
from warpgrasp.hand.templates import open_hand

WIDTH, HEIGHT = 40, 30
INTRINSICS = torch.tensor([[50.0, 0, 19.3], [0, 46.0, 15.1], [0, 0, 1]], dtype=torch.float64)
CAMERA = Camera(INTRINSICS[None], WIDTH, HEIGHT)


def mesh_of(vertices, faces) -> Mesh:
    return Mesh.of(torch.tensor(vertices, dtype=torch.float64)[None], torch.tensor(faces).view(1, -1, 3))


def soup(seed: int, *, faces: int = 40, size: float = 0.25, nearest: float = 0.3) -> Mesh:
    """Loose triangles, some of them partly outside the image."""
    generator = torch.Generator().manual_seed(seed)
    centre = torch.rand(faces, 1, 3, generator=generator, dtype=torch.float64) - 0.5
    centre = centre * torch.tensor([1.2, 1.0, 1.0], dtype=torch.float64) + torch.tensor([0, 0, 0.5 + nearest])
    corners = centre + size * torch.randn(faces, 3, 3, generator=generator, dtype=torch.float64)
    return Mesh.of(corners.reshape(1, -1, 3), torch.arange(3 * faces).view(1, faces, 3))


SCENES = {
    "behind the camera": mesh_of([[-1, -1, -1], [1, -1, -1.2], [0, 1, -0.7]], [0, 1, 2]),
    "between the camera and its near plane": mesh_of(
        [[-0.1, -0.1, 0.005], [0.1, -0.1, 0.005], [0, 0.1, 0.005]], [0, 1, 2]
    ),
    "crosses the camera's plane with one corner": mesh_of(
        [[-0.3, 0.1, 1], [0.4, 0.2, 0.8], [0.1, -0.3, -0.5]], [0, 1, 2]
    ),
    "crosses the camera's plane with two corners": mesh_of(
        [[0.05, 0.1, 1.5], [0.4, 0.2, -0.8], [-0.4, -0.3, -0.5]], [0, 1, 2]
    ),
    "has a corner in the camera": mesh_of([[0, 0, 0], [0.4, 0.2, 0.8], [0.1, -0.3, 1.0]], [0, 1, 2]),
    "outside the image": mesh_of([[2, 0, 1], [3, 0, 1], [2, 1, 1.0]], [0, 1, 2]),
    "edge-on": mesh_of([[0, 0, 1], [0.1, 0.1, 2], [-0.1, -0.1, 0.5], [0, 0, 3.0]], [[0, 1, 2], [0, 3, 1]]),
    "almost edge-on": mesh_of([[0.001, 0, 1], [0.2, 0.2, 2], [-0.2, -0.1, 0.5]], [0, 1, 2]),
    "degenerate": mesh_of(
        [[-0.3, -0.3, 1], [0.3, 0.3, 1], [0, 0, 1], [0.2, -0.1, 1]],
        [[0, 0, 0], [0, 0, 1], [0, 1, 1], [0, 1, 2], [3, 3, 3]],
    ),
    "far larger than the image": mesh_of(
        [[-1e5, -1e5, 700], [1e5, -1e5, 800], [0, 2e5, 900], [-9e8, -9e8, 1e3], [9e8, -9e8, 1e3], [0, 9e8, 1e3]],
        [[3, 4, 5], [0, 1, 2]],
    ),
    "two that meet": mesh_of(
        [[-0.3, -0.3, 0.9], [0.3, -0.3, 1.1], [0, 0.3, 1], [-0.3, 0.3, 1.1], [0.3, 0.3, 0.9], [0, -0.3, 1.02]],
        [[0, 1, 2], [3, 4, 5]],
    ),
    "smaller than a pixel": mesh_of([[0.1, 0.1, 1], [0.104, 0.1, 1], [0.1, 0.104, 1]], [0, 1, 2]),
    "from one side": mesh_of([[-0.3, -0.2, 1], [0.3, -0.2, 1.2], [0, 0.3, 0.8]], [0, 1, 2]),
    "from the other side": mesh_of([[-0.3, -0.2, 1], [0.3, -0.2, 1.2], [0, 0.3, 0.8]], [0, 2, 1]),
    **{f"soup {seed}": soup(seed) for seed in range(4)},
    "soup through the camera": soup(9, faces=25, size=0.8, nearest=-0.4),
}

# Which scenes draw nothing at all.
EMPTY = {"behind the camera", "between the camera and its near plane", "outside the image", "edge-on", "degenerate",
         "smaller than a pixel", "has a corner in the camera"}  # fmt: skip


@cache
def hand_and_object(name: str = "006_mustard_bottle", *, seed: int = 0) -> tuple[Mesh, Camera]:
    """The open hand around one of the sample objects, in float32, before a camera of 480×270."""
    generator = torch.Generator().manual_seed(seed)
    model, surface = HandModel(open_hand()), object_surface(name)
    turn = torch.randn(1, 3, generator=generator)
    with torch.no_grad():
        posed = model(turn, 0.3 * torch.randn(1, 45, generator=generator), torch.randn(1, 10, generator=generator))
    hand = posed.vertices - posed.joints[:, 9:10] + torch.tensor([0.03, 0.01, 0.5])
    rotation = matrix_from_axis_angle(torch.randn(1, 3, generator=generator))
    centred = torch.from_numpy(surface.vertices - surface.vertices.mean(axis=0)).float()
    thing = pose_points(rotation, torch.tensor([[-0.02, 0.0, 0.55]]), centred[None])
    mesh = join(model.closed_mesh(hand), Mesh.of(thing, torch.from_numpy(surface.faces).long()))
    intrinsics = torch.tensor([[[430.0, 0, 239.5], [0, 430.0, 134.5], [0, 0, 1]]])
    return mesh, Camera(intrinsics, 480, 270)


def arrays(mesh: Mesh, row: int = 0) -> tuple[np.ndarray, np.ndarray]:
    return mesh.vertices[row].double().numpy(), mesh.faces[row].numpy()
