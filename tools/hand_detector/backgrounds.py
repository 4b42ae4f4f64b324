"""Pictures without a hand, to count how often one is seen where there is none.

Drawn from a seed: plain colours, noise, rooms of soft blobs as the sample generator has them, things lying about in
such rooms (boxes, balls, rods, some in the colours of skin), and the sample's own objects alone. Photographs: crops of
those in the packages scikit-image and scikit-learn, and views of photographed places (tools/render/fetch_assets.py).
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from warpgrasp.data.sample import OBJECT_NAMES, object_surface
from warpgrasp.data.sample.files import Appearance, object_texture
from warpgrasp.geometry import Camera, Mesh
from warpgrasp.render import Texture, rasterize, shade

WIDTH, HEIGHT = 320, 240
MATRIX = np.array([[330.0, 0, (WIDTH - 1) / 2], [0, 330.0, (HEIGHT - 1) / 2], [0, 0, 1]])
SKIN = ((0.85, 0.65, 0.54), (0.72, 0.50, 0.38), (0.45, 0.29, 0.21))
# Photographs in scikit-image and scikit-learn in colour and of things that are no hands.
PHOTOGRAPHS = (
    *("chelsea", "coffee", "rocket", "motorcycle_left", "astronaut", "china", "flower", "brick", "grass", "gravel"),
)
Picture = UInt8[np.ndarray, "h w 3"]
Kind = Callable[[np.random.Generator], Picture]


def pixels(image: torch.Tensor) -> Picture:
    return (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()


def plain(random: np.random.Generator) -> Picture:
    """One colour, or two that pass into each other; a third of them those of skin."""
    colours = [random.choice(SKIN) if random.random() < 1 / 3 else random.uniform(0, 1, 3) for _ in range(2)]
    share = np.linspace(0, 1, WIDTH if random.random() < 0.5 else HEIGHT) * (random.random() < 0.5)
    ramp = share[None, :, None] if len(share) == WIDTH else share[:, None, None]
    colour = np.broadcast_to(np.array(colours[0]) * (1 - ramp) + np.array(colours[1]) * ramp, (HEIGHT, WIDTH, 3))
    return (255 * colour).round().astype(np.uint8)


def noise(random: np.random.Generator) -> Picture:
    """Independent colours, in cells of 1 to 60 pixels."""
    cell = int(random.choice([1, 4, 12, 30, 60]))
    cells = random.integers(0, 256, (-(-HEIGHT // cell), -(-WIDTH // cell), 3), dtype=np.uint8)
    way = Image.Resampling.BICUBIC if random.random() < 0.5 else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(cells).resize((WIDTH, HEIGHT), way))


def room(random: np.random.Generator) -> Picture:
    """The sample generator's background."""
    return pixels(Appearance.random(random).background)


def things(random: np.random.Generator) -> Picture:
    """One to five things in a room of soft blobs."""
    look = Appearance.random(random)
    vertices, faces, textures, first = [], [], [], 0
    for _ in range(int(random.integers(1, 6))):
        corners, triangles = thing(random)
        turn = np.linalg.qr(random.normal(size=(3, 3)))[0]
        place = np.array([random.uniform(-0.2, 0.2), random.uniform(-0.15, 0.15), random.uniform(0.4, 0.8)])
        colour = random.choice(SKIN) if random.random() < 1 / 3 else random.uniform(0, 1, 3)
        vertices.append(corners @ turn.T + place)
        faces.append(triangles + first)
        first += len(corners)
        textures.append(Texture.plain(tuple(colour.tolist()), len(triangles)))
    mesh = Mesh.of(torch.from_numpy(np.concatenate(vertices)).float()[None], torch.from_numpy(np.concatenate(faces)))
    return drawn(mesh, textures, look)


def drawn(mesh: Mesh, textures: list[Texture], look: Appearance) -> Picture:
    camera = Camera(torch.from_numpy(MATRIX).float()[None], WIDTH, HEIGHT)
    shown = shade(mesh, textures, camera, rasterizer=rasterize, light=look.light, background=look.background)
    return pixels(shown.image)


def known_object(random: np.random.Generator) -> Picture:
    """One of the sample's objects as a sequence has it, without the hand."""
    look, name = Appearance.random(random), str(random.choice(OBJECT_NAMES))
    surface, turn = object_surface(name), np.linalg.qr(random.normal(size=(3, 3)))[0]
    place = np.array([random.uniform(-0.1, 0.1), random.uniform(-0.08, 0.08), random.uniform(0.4, 0.7)])
    vertices = torch.from_numpy(surface.vertices @ turn.T + place).float()[None]
    mesh = Mesh.of(vertices, torch.from_numpy(surface.faces).long())
    return drawn(mesh, [object_texture(name)], look)


def thing(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A ball, a box or a rod of 2 to 20 cm: a grid wrapped round an axis."""
    around, along = int(random.choice([4, 24])), 12
    angle, height = np.meshgrid(np.arange(around) * 2 * np.pi / around, np.linspace(-1, 1, along), indexing="ij")
    round_ends = random.random() < 0.5
    radius = np.sqrt(1 - np.minimum(height**2, 0.9999)) if round_ends else np.where(np.abs(height) < 1, 1.0, 1e-3)
    size = random.uniform(0.01, 0.1, 3)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=-1).reshape(-1, 3) * size
    i, j = np.meshgrid(np.arange(around), np.arange(along - 1), indexing="ij")
    a, b = i * along + j, (i + 1) % around * along + j
    faces = np.concatenate([np.stack([a, b, b + 1], -1).reshape(-1, 3), np.stack([a, b + 1, a + 1], -1).reshape(-1, 3)])
    return points, faces


DRAWN: dict[str, Kind] = {
    "plain colours": plain,
    "noise": noise,
    "drawn rooms": room,
    "things in drawn rooms": things,
    "a known object alone": known_object,
}


def crops(folder: Path, count: int, random: np.random.Generator) -> Iterator[Picture]:
    """Crops of the photographs, each a third of its height or more."""
    files = [path for path in sorted(folder.iterdir()) if path.stem in PHOTOGRAPHS]
    for number in range(count):
        with Image.open(files[number % len(files)]) as opened:
            photograph = opened.convert("RGB")
        height = min(photograph.height, photograph.width * 3 / 4) * random.uniform(0.35, 1)
        width = height * 4 / 3
        left, top = random.uniform(0, photograph.width - width), random.uniform(0, photograph.height - height)
        box = (left, top, left + width, top + height)
        yield np.asarray(photograph.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR, box))


def views(folder: Path, count: int, random: np.random.Generator) -> Iterator[Picture]:
    """Views of the photographed surroundings in a folder of EXR files, exposed by their own median.

    They need `pip install OpenEXR`, and are soft: a picture's width is a hundred pixels of the file.
    """
    import OpenEXR  # pyright: ignore[reportMissingImports]

    files = sorted(folder.glob("*.exr"))
    x, y = np.meshgrid(np.arange(WIDTH) - (WIDTH - 1) / 2, np.arange(HEIGHT) - (HEIGHT - 1) / 2)
    for number in range(count):
        with OpenEXR.File(str(files[number % len(files)])) as file:
            light = file.channels()["RGB"].pixels.astype(np.float32)
        rays = np.stack([x, y, np.full_like(x, 260.0)], axis=-1)
        rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
        pitch, yaw = random.uniform(-0.9, 0.3), random.uniform(0, 2 * np.pi)
        tilt = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
        rays = rays @ tilt
        longitude = (np.arctan2(rays[..., 0], rays[..., 2]) + yaw) % (2 * np.pi)
        latitude = np.arcsin(rays[..., 1].clip(-1, 1))
        rows, columns = light.shape[:2]
        places = longitude / (2 * np.pi) * columns, (latitude / np.pi + 0.5) * rows
        x_from, y_from = (place.astype(np.float32) for place in places)
        seen = cv2.remap(light, x_from, y_from, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        exposed = seen / max(float(np.median(seen)), 1e-6) * 0.35
        yield (255 * (exposed.clip(0, 1) ** (1 / 2.2))).astype(np.uint8)
