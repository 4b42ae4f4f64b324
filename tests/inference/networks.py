"""A small network whose batch norm has seen pictures, and whose outputs differ from picture to picture."""

import torch

from warpgrasp.frame import Frames, ObjectModel, Objects
from warpgrasp.geometry.camera import Camera
from warpgrasp.geometry.rotation import matrix_from_axis_angle
from warpgrasp.hand.model import HandModel
from warpgrasp.reconstruction.network import HandObjectNetwork, NetworkConfig

WIDTH, HEIGHT = 64, 48
NAMES = ("box", "bottle")


def small_network(hand: HandModel) -> HandObjectNetwork:
    torch.manual_seed(0)
    network = HandObjectNetwork(NetworkConfig(width=8), hand, NAMES)
    turn = matrix_from_axis_angle(torch.tensor([[0.3, -0.2, 0.9], [1.0, 0.5, -0.4]]))
    network.set_base_rotations(turn[0], {"box": turn[1], "bottle": turn[0]})
    with torch.no_grad():
        for parameter in network.heads.parameters():
            parameter.mul_(3)
        frames = some_frames(6)
        network.train()(frames.image, frames.camera, frames.objects)
    return network.eval()


def models(count: int, *, vertices: int = 40) -> list[ObjectModel]:
    generator = torch.Generator().manual_seed(vertices)
    face = torch.tensor([[0, 1, 2]])
    return [
        ObjectModel.centred(NAMES[number % 2], 0.1 * torch.rand(vertices, 3, generator=generator), face)
        for number in range(count)
    ]


def some_frames(count: int, *, vertices: int = 40) -> Frames:
    generator = torch.Generator().manual_seed(count)
    intrinsics = torch.tensor([[70.0, 0, 31.0], [0, 72.0, 24.0], [0, 0, 1]]).repeat(count, 1, 1)
    intrinsics[:, :2] += torch.rand(count, 2, 1, generator=generator)
    image = torch.rand(count, 3, HEIGHT, WIDTH, generator=generator)
    return Frames((), image, Camera(intrinsics, WIDTH, HEIGHT), Objects.of(models(count, vertices=vertices)), None)
