"""What is drawn in the benchmarks: hands in random poses, each beside an object."""

from dataclasses import dataclass

import numpy as np
import torch
import trimesh

from warpgrasp.data.sample import object_surface
from warpgrasp.frame import pose_points
from warpgrasp.geometry import Camera, Mesh, join, matrix_from_axis_angle
from warpgrasp.hand import HandModel, PosedHand, open_hand

FOCAL_BY_WIDTH = 0.9  # of a usual colour camera


@dataclass(frozen=True)
class Scene:
    """A batch of hands, each with an object, before cameras."""

    mesh: Mesh
    camera: Camera


def scene(*, width: int, height: int, batch: int, object_faces: int, seed: int = 0) -> Scene:
    """Hands in different poses, each beside an object of about so many faces, at half a metre."""
    generator = torch.Generator().manual_seed(seed)
    vertices, faces = object_of(object_faces)
    model, posed = posed_hands(batch, generator)
    hand = posed.vertices - posed.joints[:, 9:10] + torch.tensor([0.03, 0.01, 0.5])
    rotation = matrix_from_axis_angle(torch.randn(batch, 3, generator=generator))
    thing = pose_points(rotation, torch.tensor([-0.02, 0.0, 0.55]).expand(batch, 3), vertices.expand(batch, -1, -1))
    return Scene(join(model.closed_mesh(hand), Mesh.of(thing, faces)), usual_camera(width, height, batch))


def usual_camera(width: int, height: int, batch: int) -> Camera:
    """A camera that looks through the centre of its picture."""
    focal = FOCAL_BY_WIDTH * width
    intrinsics = torch.tensor([[[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]]])
    return Camera(intrinsics.expand(batch, 3, 3), width, height)


def posed_hands(batch: int, generator: torch.Generator) -> tuple[HandModel, PosedHand]:
    """The open hand in random poses."""
    model = HandModel(open_hand())
    with torch.no_grad():
        posed = model(
            torch.randn(batch, 3, generator=generator),
            0.3 * torch.randn(batch, 45, generator=generator),
            torch.randn(batch, 10, generator=generator),
        )
    return model, posed


def object_of(faces_wanted: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A shipped object's vertices about their mean, and its faces, split in four until they are about so many."""
    surface = object_surface("006_mustard_bottle")
    vertices, faces = surface.vertices, surface.faces
    while faces_wanted >= 4 * len(faces):
        vertices, faces = trimesh.remesh.subdivide(vertices, faces)
    chosen = np.arange(max(0, faces_wanted - len(faces)) // 3)
    if len(chosen):
        vertices, faces = trimesh.remesh.subdivide(vertices, faces, face_index=chosen)
    return torch.from_numpy(vertices - vertices.mean(axis=0)).float(), torch.from_numpy(faces).long()
