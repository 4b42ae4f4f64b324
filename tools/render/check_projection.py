"""Path-trace a chequerboard with render.py's own camera; tests/data gets the picture and the corners.

python check_projection.py         # writes tests/data/chequerboard_path_traced.{png,json}
"""

import json
import math

import bpy
import numpy as np
import studio
from sequence import HEIGHT, REPOSITORY, WIDTH

OUT = REPOSITORY / "tests/data"
SQUARES, SQUARE_M = (11, 8), 0.03  # columns, rows; metres
FOCAL_PX = 330.0
OFF_PX = np.array([0.4, -0.3])  # the search starts beside the corner
WINDOW_PX = 4  # half-width of the patch in which a corner is sought


def camera_pose() -> np.ndarray:
    """`world_from_camera_cv`: the board oblique to the camera in both directions, and rolled."""
    position, target, roll = np.array([0.17, -0.2, 0.36]), np.array([0.006, 0.004, 0.0]), 0.15
    forward = (target - position) / np.linalg.norm(target - position)
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    pose = np.eye(4)
    pose[:3, 0] = math.cos(roll) * right + math.sin(roll) * down
    pose[:3, 1] = math.cos(roll) * down - math.sin(roll) * right
    pose[:3, 2], pose[:3, 3] = forward, position
    return pose


def board() -> tuple[np.ndarray, list[tuple[int, ...]], np.ndarray, np.ndarray]:
    """Vertices of the grid, its squares, whether each is black, and the indices of the inner corners."""
    columns, rows = SQUARES
    x, y = np.meshgrid(np.arange(columns + 1) - columns / 2, np.arange(rows + 1) - rows / 2)
    vertices = np.stack([x.reshape(-1), y.reshape(-1), np.zeros(x.size)], axis=1) * SQUARE_M
    index = np.arange(x.size).reshape(x.shape)
    faces = np.stack([index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]], axis=-1).reshape(-1, 4)
    black = np.add.outer(np.arange(rows), np.arange(columns)).reshape(-1) % 2
    return vertices, faces.tolist(), black, index[1:-1, 1:-1].reshape(-1)


def matte(name: str, grey: float) -> bpy.types.Material:
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    material.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = (grey, grey, grey, 1)
    material.node_tree.nodes["Principled BSDF"].inputs["Specular IOR Level"].default_value = 0.0
    return material


def project(points: np.ndarray, intrinsics: np.ndarray, world_from_camera_cv: np.ndarray) -> np.ndarray:
    in_camera = (points - world_from_camera_cv[:3, 3]) @ world_from_camera_cv[:3, :3]
    on_image = in_camera @ intrinsics.T
    return on_image[:, :2] / on_image[:, 2:]


def saddle_point(grey: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The corner near `start`: gradients are orthogonal to the lines to it (Förstner; OpenCV's cornerSubPix)."""
    corner, gy_gx = start.copy(), np.gradient(grey)
    for _ in range(20):
        x0, y0 = np.round(corner).astype(int)
        window = np.s_[y0 - WINDOW_PX : y0 + WINDOW_PX + 1, x0 - WINDOW_PX : x0 + WINDOW_PX + 1]
        y, x = np.mgrid[window]
        gradient = np.stack([gy_gx[1][window], gy_gx[0][window]], axis=-1).reshape(-1, 2)
        points = np.stack([x, y], axis=-1).reshape(-1, 2)
        weight = np.exp(-((points - corner) ** 2).sum(axis=1) / (2 * (WINDOW_PX / 2) ** 2))
        outer = weight[:, None, None] * gradient[:, :, None] * gradient[:, None, :]
        corner = np.linalg.solve(outer.sum(axis=0), np.einsum("nij,nj->i", outer, points))
    return corner


def render() -> tuple[np.ndarray, dict]:
    scene = studio.empty_scene(samples=400)
    scene.cycles.use_denoising = False
    scene.view_settings.view_transform, scene.view_settings.look = "Standard", "None"
    scene.render.image_settings.file_format, scene.render.image_settings.color_mode = "PNG", "BW"
    intrinsics = np.array([[FOCAL_PX, 0, (WIDTH - 1) / 2], [0, FOCAL_PX, (HEIGHT - 1) / 2], [0, 0, 1]])
    pose = camera_pose()
    studio.place_camera(studio.add_camera(scene, intrinsics), pose)
    vertices, faces, black, inner = board()
    thing = studio.add_mesh(scene, "board", vertices=vertices, faces=faces, material=matte("white", 0.6))
    thing.data.materials.append(matte("black", 0.05))
    thing.data.polygons.foreach_set("material_index", black.astype(np.int32))
    scene.world = bpy.data.worlds.new("world")
    scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = (0.8, 0.8, 0.8, 1)
    scene.render.filepath = str(OUT / "chequerboard_path_traced.png")
    bpy.ops.render.render(write_still=True)
    truth = {
        "source": "tools/render/check_projection.py; metres; pixel (0, 0) is centred on the top-left pixel",
        "intrinsics": intrinsics.tolist(),
        "world_from_camera_cv": pose.tolist(),
        "corners_world": vertices[inner].tolist(),
    }
    picture = bpy.data.images.load(scene.render.filepath)
    picture.colorspace_settings.name = "Non-Color"
    pixels = np.array(picture.pixels[:]).reshape(HEIGHT, WIDTH, -1)[::-1, :, 0]
    return pixels, truth


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    grey, truth = render()
    (OUT / "chequerboard_path_traced.json").write_text(json.dumps(truth, indent=1) + "\n")
    arrays = (np.array(truth[key]) for key in ("corners_world", "intrinsics", "world_from_camera_cv"))
    projected = project(*arrays)
    margin = WINDOW_PX + 2
    inside = ((projected > margin) & (projected < np.array([WIDTH, HEIGHT]) - 1 - margin)).all(axis=1)
    found = np.array([saddle_point(grey, corner + OFF_PX) for corner in projected[inside]])
    error = found - projected[inside]
    distance = np.linalg.norm(error, axis=1)
    rms = np.sqrt((distance**2).mean())
    print(f"{len(found)} corners: mean {error.mean(axis=0).round(4)} px, rms {rms:.4f}, max {distance.max():.4f} px")
    assert len(found) > 40
    assert distance.max() < 0.1


if __name__ == "__main__":
    main()
