"""A z-buffer and a path-traced picture of one known board show its corners where the camera projects them."""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter, sobel

from warpgrasp.geometry.camera import Camera
from warpgrasp.geometry.mesh import Mesh
from warpgrasp.render import cpu
from warpgrasp.render.shade import Texture, shade

DATA = Path(__file__).parents[1] / "data"
TOLERANCE_PX = 0.1
REACH_PX = 4  # of the window in which a corner is found: less than half a square
SUPERSAMPLING = 8
SQUARE_M = 0.03


def board() -> tuple[dict, np.ndarray, np.ndarray]:
    """The description, and the inner corners in the world and in the camera's frame."""
    described = json.loads((DATA / "chequerboard_path_traced.json").read_text())
    corners = np.array(described["corners_world"])
    camera_from_world = np.linalg.inv(np.array(described["world_from_camera_cv"]))
    return described, corners, corners @ camera_from_world[:3, :3].T + camera_from_world[:3, 3]


def found_corner(image: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The point q to which every gradient g at p near it is perpendicular: Σ g gᵀ (p - q) = 0 (Förstner 1987)."""
    smooth = gaussian_filter(image, 0.7)
    gradients = np.stack([sobel(smooth, axis=1), sobel(smooth, axis=0)], axis=-1)
    corner = start
    for _ in range(20):
        u, v = np.round(corner).astype(int)
        window = np.mgrid[v - REACH_PX : v + REACH_PX + 1, u - REACH_PX : u + REACH_PX + 1]
        points = np.stack([window[1].ravel(), window[0].ravel()], axis=-1)
        g = gradients[points[:, 1], points[:, 0]]
        weight = np.exp(-np.square(points - corner).sum(axis=1) / (0.5 * REACH_PX**2))
        normal = np.einsum("n,ni,nj->nij", weight, g, g)
        corner = np.linalg.solve(normal.sum(axis=0), np.einsum("nij,nj->i", normal, points))
    return corner


def errors_px(image: np.ndarray, projected: np.ndarray) -> np.ndarray:
    """Found minus projected, of the corners that lie well inside. The search starts 1.5 px away from the projection."""
    height, width = image.shape
    inside = ((projected > REACH_PX + 3) & (projected < np.array([width, height]) - REACH_PX - 4)).all(axis=1)
    away = 1.5 * np.array([[np.cos(k), np.sin(k)] for k in range(len(projected))])
    found = [found_corner(image, start) for start in (projected + away)[inside]]
    return np.array(found) - projected[inside]


def test_the_path_traced_board_is_where_the_camera_projects_it():
    described, _, corners = board()
    with Image.open(DATA / "chequerboard_path_traced.png") as opened:
        image = np.array(opened.convert("L"), dtype=np.float64) / 255
    height, width = image.shape
    camera = Camera(torch.tensor(described["intrinsics"], dtype=torch.float64), width, height)
    errors = errors_px(image, camera.project(torch.from_numpy(corners)).numpy())
    assert len(errors) >= 60
    assert np.linalg.norm(errors, axis=1).max() <= TOLERANCE_PX
    assert np.abs(errors.mean(axis=0)).max() < 0.03  # half a pixel's mistake anywhere would show as 0.5


def test_the_z_buffers_board_is_where_the_camera_projects_it():
    """Drawn with eight by eight rays per pixel by the resized camera, then averaged: the law of resizing holds too."""
    described, inner, _ = board()
    small = Camera(torch.tensor([described["intrinsics"]]), 320, 240)
    large = small.resized(320 * SUPERSAMPLING, 240 * SUPERSAMPLING)
    low, high = inner[:, :2].min(axis=0) - SQUARE_M, inner[:, :2].max(axis=0) + SQUARE_M
    columns, rows = np.round((high - low) / SQUARE_M).astype(int)
    grid = np.stack(np.meshgrid(np.arange(columns + 1), np.arange(rows + 1), indexing="xy"), axis=-1).reshape(-1, 2)
    world = np.concatenate([low + grid * SQUARE_M, np.zeros((len(grid), 1))], axis=1)
    camera_from_world = np.linalg.inv(np.array(described["world_from_camera_cv"]))
    vertices = torch.from_numpy(world @ camera_from_world[:3, :3].T + camera_from_world[:3, 3]).float()
    faces: dict[int, list[list[int]]] = {0: [], 1: []}
    for row in range(rows):
        for column in range(columns):
            a = row * (columns + 1) + column
            b, c, d = a + 1, a + columns + 2, a + columns + 1
            faces[(row + column) % 2] += [[a, b, c], [a, c, d]]
    mesh = Mesh.of(vertices[None], torch.tensor(faces[0] + faces[1]))
    textures = [Texture.plain((shade_,) * 3, len(faces[k])) for k, shade_ in enumerate((0.1, 0.9))]
    picture = shade(mesh, textures, large, rasterizer=cpu.rasterize)
    image = picture.image[0].view(240, SUPERSAMPLING, 320, SUPERSAMPLING).mean(dim=(1, 3)).double().numpy()

    corners = torch.from_numpy(inner @ camera_from_world[:3, :3].T + camera_from_world[:3, 3])
    errors = errors_px(image, small.to(corners).project(corners[None])[0].numpy())
    assert len(errors) >= 60
    assert np.linalg.norm(errors, axis=1).max() <= TOLERANCE_PX
    assert np.abs(errors.mean(axis=0)).max() < 0.03
