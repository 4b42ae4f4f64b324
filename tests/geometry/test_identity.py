"""A mesh is known again whatever the order of its parts and the rounding of its file, and no other mesh for it."""

import hashlib

import numpy as np
import pytest
import torch
from torch import Tensor

from warpgrasp.geometry import is_mesh_of, mesh_identity, sha256_in_order

# A block of 60 × 40 × 20 mm with a corner drawn out to 90 mm: nothing maps it onto itself.
BLOCK = torch.tensor([[x, y, z] for x in (0.0, 0.06) for y in (0.0, 0.04) for z in (0.0, 0.02)])
BLOCK[7] = torch.tensor([0.09, 0.04, 0.02])
BLOCK -= torch.tensor([0.045, 0.02, 0.01])
QUADS = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
FACES = torch.from_numpy(np.concatenate([QUADS[:, [0, 1, 2]], QUADS[:, [0, 2, 3]]]))


def numbered_anew(vertices: Tensor, faces: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """The same triangles: vertices and faces in another order, each face from another corner on."""
    chance = np.random.default_rng(seed)
    order = torch.from_numpy(chance.permutation(len(vertices)))
    numbers = torch.argsort(order)[faces]
    numbers = torch.stack(
        [face.roll(int(turn)) for face, turn in zip(numbers, chance.integers(3, size=len(faces)), strict=True)]
    )
    return vertices[order], numbers[torch.from_numpy(chance.permutation(len(faces)))]


@pytest.mark.parametrize("seed", range(5))
def test_numbering_changes_nothing(seed: int) -> None:
    identity = mesh_identity(BLOCK, FACES)
    vertices, faces = numbered_anew(BLOCK, FACES, seed)
    assert mesh_identity(vertices, faces) == identity
    assert is_mesh_of(identity, vertices, faces)


def test_the_shape_is_what_can_be_worked_out_by_hand() -> None:
    """A square of 20 × 10 mm in the plane z = 0, its middle at the origin: no odd moments, and x², y² of 1/12."""
    square = torch.tensor([[-0.01, -0.005, 0.0], [0.01, -0.005, 0], [0.01, 0.005, 0], [-0.01, 0.005, 0]])
    _, *numbers = mesh_identity(square, torch.tensor([[0, 1, 2], [0, 2, 3]])).split()
    diagonal = np.hypot(20_000, 10_000)
    area = 20_000 * 10_000 / diagonal
    second = [20_000**2 / 12 / diagonal, 0, 0, 10_000**2 / 12 / diagonal, 0, 0]
    expected = [2, 20_000, 10_000, 0, area, 0, 0, area, 0, 0, 0, 0, *second, *[0] * 10]
    np.testing.assert_allclose(list(map(int, numbers)), expected, atol=0.5)


def test_the_other_diagonal_of_a_flat_face_is_the_same_surface() -> None:
    cut = torch.tensor([[0, 1, 3], [0, 3, 2]])
    faces = torch.cat([FACES[(FACES != 0).any(dim=1)][[i for i in range(12) if i not in (0, 6)]], cut])
    assert is_mesh_of(mesh_identity(BLOCK, FACES), BLOCK, faces)


def bumpy_sphere(seed: int) -> tuple[Tensor, Tensor]:
    """A scan of 5000 triangles, about 80 mm across, its vertices anywhere."""
    u, v = torch.meshgrid(torch.arange(50), torch.arange(50), indexing="ij")
    radius = 0.04 + 0.001 * torch.from_numpy(np.random.default_rng(seed).normal(size=(50, 50)))
    along, across = u * (2 * torch.pi / 50), 0.05 + v * (3.04 / 49)
    circle = torch.stack([along.cos() * across.sin(), along.sin() * across.sin(), across.cos()], dim=-1)
    points = (radius[..., None] * circle).reshape(-1, 3)
    a, b = (50 * u + v)[:, :-1].reshape(-1), (50 * ((u + 1) % 50) + v)[:, :-1].reshape(-1)
    return points, torch.cat([torch.stack([a, b, a + 1], dim=1), torch.stack([b, b + 1, a + 1], dim=1)])


def centred(points: Tensor) -> Tensor:
    return points - (points.amin(dim=0) + points.amax(dim=0)) / 2


@pytest.mark.parametrize("seed", range(5))
def test_six_decimals_change_nothing(seed: int) -> None:
    """In metres, with six decimals, the hash is another, and the mesh is not."""
    points, faces = bumpy_sphere(seed)
    rounded = centred((points * 1e6).round() / 1e6).float()
    identity = mesh_identity(centred(points).float(), faces)
    assert is_mesh_of(identity, rounded, faces)
    assert identity.split()[0] != mesh_identity(rounded, faces).split()[0]
    dented = rounded + 0.005 * (torch.arange(2500) == 1234)[:, None]
    assert not is_mesh_of(identity, dented, faces)


OTHERS = {
    "larger by a thousandth": (1.001 * BLOCK, FACES),
    "inside out": (BLOCK, FACES.flip(-1)),
    "its mirror image": (BLOCK * torch.tensor([1.0, -1, 1]), FACES.flip(-1)),
    "turned by half a turn": (BLOCK * torch.tensor([1.0, -1, -1]), FACES),
    "without a face": (BLOCK, FACES[1:]),
    "with a face twice": (BLOCK, torch.cat([FACES, FACES[:1]])),
    "a corner moved by 0.1 mm": (BLOCK + 1e-4 * (torch.arange(8) == 3)[:, None], FACES),
    "a corner moved within its bounds": (
        BLOCK + 1e-4 * torch.tensor([-1.0, 0, 0]) * (torch.arange(8) == 4)[:, None],
        FACES,
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_mesh_is_another(name: str) -> None:
    assert not is_mesh_of(mesh_identity(BLOCK, FACES), *OTHERS[name])
    assert mesh_identity(*OTHERS[name]) != mesh_identity(BLOCK, FACES)


def test_hashes_of_before_are_known() -> None:
    """They were those of the vertices in tenths of millimetres and the faces, in the file's order."""
    tenths = np.array([[-450, -200, -100], [-450, -200, 100], [-450, 200, -100], [-450, 200, 100]], "<i8")
    before = hashlib.sha256(tenths.tobytes() + np.array([[0, 1, 2], [3, 2, 1]], "<i8").tobytes()).hexdigest()
    vertices, faces = BLOCK[:4], torch.tensor([[0, 1, 2], [3, 2, 1]])
    assert sha256_in_order(vertices, faces) == before
    assert is_mesh_of(before, vertices, faces)
    assert not is_mesh_of(before, vertices, faces.flip(0))
    assert not is_mesh_of("0" * 64, vertices, faces)


@pytest.mark.parametrize("identity", ["", "x 12 a b", "x 12", "x y"])
def test_what_is_no_identity_is_no_mesh(identity: str) -> None:
    assert not is_mesh_of(identity, BLOCK, FACES)
