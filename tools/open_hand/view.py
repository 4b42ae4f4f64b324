"""Look at the hand: a small shaded z-buffer and a contact sheet of poses and shapes."""

import numpy as np
from PIL import Image, ImageDraw

LIGHT = np.array([0.3, 0.5, 0.8]) / np.linalg.norm([0.3, 0.5, 0.8])


def shade(vertices: np.ndarray, faces: np.ndarray, view_from_hand: np.ndarray, *, size: int = 300,
          span: float = 0.24, colours: np.ndarray | None = None) -> np.ndarray:  # fmt: skip
    """Draw an orthographic picture seen along -z of the view; back faces are blue, so that holes show."""
    v = vertices @ view_from_hand.T
    v = v - (v.max(0) + v.min(0)) / 2
    xy = np.stack([v[:, 0], -v[:, 1]], 1) * size / span + size / 2
    normals = vertex_normals(v, faces)
    image, depth = np.full((size, size, 3), 255.0), np.full((size, size), -np.inf)
    for index, face in enumerate(faces):
        a, b, c = xy[face]
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        low, high = np.floor(xy[face].min(0)).astype(int), np.ceil(xy[face].max(0)).astype(int) + 1
        low, high = np.clip(low, 0, size), np.clip(high, 0, size)
        if abs(area) < 1e-9 or (high <= low).any():
            continue
        x, y = np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]))
        w1 = ((x - a[0]) * (c[1] - a[1]) - (y - a[1]) * (c[0] - a[0])) / area
        w2 = ((b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])) / area
        weights = np.stack([1 - w1 - w2, w1, w2], -1)
        z = weights @ v[face, 2]
        window = (slice(low[1], high[1]), slice(low[0], high[0]))
        hit = (weights >= -1e-6).all(-1) & (z > depth[window])
        base = np.array([224.0, 172, 148]) if colours is None else colours(index, weights)
        base = np.array([90.0, 110, 220]) if area > 0 else base
        light = 0.35 + 0.65 * np.clip((weights @ normals[face]) @ LIGHT, 0, 1)[..., None]
        image[window] = np.where(hit[..., None], base * light, image[window])
        depth[window] = np.where(hit, z, depth[window])
    return image.clip(0, 255).astype(np.uint8)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    normals = np.zeros_like(vertices)
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    for i in range(3):
        np.add.at(normals, faces[:, i], np.cross(b - a, c - a))
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


BACK = np.array([[0.0, 0, -1], [-1, 0, 0], [0, 1, 0]])  # seen from the back of the hand, fingers up
PALM = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])  # seen from the palm, fingers up
SIDE = np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])  # seen from the thumb, fingers up


def contact_sheet(rows: list[list[tuple[str, np.ndarray]]], path: str) -> None:
    """Write rows of (caption, picture) as one PNG."""
    height, width = rows[0][0][1].shape[:2]
    sheet = Image.new("RGB", (width * max(map(len, rows)), height * len(rows)), "white")
    pen = ImageDraw.Draw(sheet)
    for r, row in enumerate(rows):
        for c, (caption, picture) in enumerate(row):
            sheet.paste(Image.fromarray(picture), (c * width, r * height))
            pen.text((c * width + 4, r * height + 2), caption, fill="black")
    sheet.save(path)
