"""What is held: the two scanned objects of the sample and six made here, with their textures and their grasps.

An object's frame is metres with +Z up; those that can stand do so on the plane of their lowest vertices.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache, cached_property
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
from PIL import Image

from warpgrasp.data.benchmark import prints
from warpgrasp.data.benchmark.shapes import Shape, box, joined, tube, turned
from warpgrasp.data.sample import OBJECT_NAMES as SCANNED
from warpgrasp.data.sample import Grip, object_distance, object_surface, object_texture, scanned_files, stored_grips
from warpgrasp.geometry import SignedDistance, Surface

GRASPS = files("warpgrasp.data.benchmark") / "grasps"
TEXTURE_PX = 512
FRONT_PX = 185  # labels are turned by this, so that cameras in front of the holding hand see them
OBJ_DIGITS = 7  # a tenth of a micrometre


@dataclass(frozen=True)
class Made:
    """How an object of our own is made."""

    parts: Callable[[], Sequence[Shape]]  # closed each; they may overlap
    print: Callable[[np.random.Generator], prints.Picture]
    stands: bool = True
    gloss: float = 0.15


def _add_label(
    picture: prints.Picture,
    top: int,
    bottom: int,
    generator: np.random.Generator,
    *,
    ground: prints.Colour,
    ink: prints.Colour,
    accent: prints.Colour,
    word: str,
) -> None:
    """Print a label around an object, into some rows of its texture."""
    band = prints.label(
        generator, width=TEXTURE_PX, height=bottom - top, ground=ground, ink=ink, accent=accent, word=word
    )
    picture[top:bottom] = np.roll(band, FRONT_PX, axis=1)


def _mug() -> Sequence[Shape]:
    wall = turned(
        [
            (0, 0),
            (0.034, 0),
            (0.0385, 0.004),
            (0.0405, 0.02),
            (0.0405, 0.094),
            (0.039, 0.096),
            (0.0375, 0.094),
            (0.0375, 0.008),
            (0.034, 0.005),
            (0, 0.005),
        ]
    )
    turn = np.linspace(-1.15, 1.15, 13)
    path = np.stack([0.0355 + 0.031 * np.cos(turn), 0 * turn, 0.048 + 0.034 * np.sin(turn)], axis=1)
    radii = np.tile([0.006, 0.0045], (len(turn), 1))
    handle = tube(path, radii, across=np.array([0.0, 1.0, 0.0]), around=12)
    return wall, replace(handle, corner_uv=handle.corner_uv * [1, 0.01] + [0, 0.985])


def _mug_print(generator: np.random.Generator) -> prints.Picture:
    """Glaze of one colour, and a printed band on the outer wall: a third of the profile's length."""
    glaze = (228, 226, 214)
    picture = prints.plain(generator, glaze, size=TEXTURE_PX).copy()
    _add_label(picture, 262, 392, generator, ground=glaze, ink=(30, 60, 120), accent=(196, 70, 48), word="MILDA")
    return picture


def _bottle() -> Sequence[Shape]:
    return (
        turned(
            [
                (0, 0.004),
                (0.018, 0.0),
                (0.031, 0.001),
                (0.034, 0.006),
                (0.034, 0.062),
                (0.0315, 0.075),
                (0.0315, 0.095),
                (0.034, 0.108),
                (0.034, 0.145),
                (0.031, 0.163),
                (0.02, 0.182),
                (0.0135, 0.19),
                (0.0135, 0.194),
                (0.0165, 0.195),
                (0.0165, 0.212),
                (0.015, 0.214),
                (0, 0.214),
            ]
        ),
    )


def _bottle_print(generator: np.random.Generator) -> prints.Picture:
    picture = prints.plain(generator, (64, 142, 168), size=TEXTURE_PX).copy()
    picture[:75] = prints.plain(generator, (236, 240, 242), size=TEXTURE_PX)[:75]
    _add_label(
        picture, 225, 410, generator, ground=(244, 246, 240), ink=(14, 52, 120), accent=(24, 130, 70), word="FRESCA"
    )
    return picture


def _can() -> Sequence[Shape]:
    return (
        turned(
            [
                (0, 0.002),
                (0.03, 0.002),
                (0.0325, 0.0),
                (0.0345, 0.002),
                (0.0335, 0.005),
                (0.0335, 0.102),
                (0.0345, 0.105),
                (0.0325, 0.107),
                (0.03, 0.104),
                (0, 0.104),
            ]
        ),
    )


def _can_print(generator: np.random.Generator) -> prints.Picture:
    picture = prints.plain(generator, (176, 178, 182), size=TEXTURE_PX).copy()
    _add_label(
        picture, 113, 397, generator, ground=(186, 30, 36), ink=(250, 240, 220), accent=(240, 190, 60), word="TORINA"
    )
    return picture


def _carton() -> Sequence[Shape]:
    body = box((0.064, 0.064, 0.15), cuts=5).moved(np.eye(3), np.array([0, 0, 0.075]))
    cap = turned([(0, 0.15), (0.013, 0.15), (0.013, 0.161), (0.012, 0.162), (0, 0.162)], around=24)
    cap = cap.moved(np.eye(3), np.array([0.012, 0.012, -0.001]))
    return body, replace(cap, corner_uv=cap.corner_uv * 0.02 + [0.4, 0.9])


def _carton_print(generator: np.random.Generator) -> prints.Picture:
    return prints.box_print(generator, ground=(246, 244, 236), ink=(20, 90, 60), accent=(242, 140, 20), word="SUNDAR")


def _bowl() -> Sequence[Shape]:
    return (
        turned(
            [
                (0, 0.003),
                (0.026, 0.003),
                (0.028, 0.0),
                (0.031, 0.0),
                (0.033, 0.006),
                (0.052, 0.022),
                (0.066, 0.048),
                (0.069, 0.062),
                (0.0675, 0.0635),
                (0.0655, 0.062),
                (0.0625, 0.049),
                (0.049, 0.0255),
                (0.03, 0.0105),
                (0, 0.0085),
            ],
            around=48,
        ),
    )


def _bowl_print(generator: np.random.Generator) -> prints.Picture:
    """Blue bands and leaves on white glaze."""
    row, column = np.mgrid[:TEXTURE_PX, :TEXTURE_PX] / TEXTURE_PX
    picture = prints.plain(generator, (232, 232, 226), size=TEXTURE_PX).astype(float)
    wave = np.abs(row - 0.66 - 0.03 * np.sin(2 * np.pi * 7 * column)) < 0.012
    dots = (np.sin(2 * np.pi * 14 * column) > 0.3) & (np.abs(row - 0.57) < 0.02)
    patch = (np.abs(column - 0.3) < 0.05) & (np.abs(row - 0.74) < 0.05)
    rim = (np.abs(row - 0.47) < 0.02) | (np.abs(row - 0.2) < 0.012)
    picture[wave | dots | rim] = (38, 66, 140)
    picture[patch] = (190, 60, 50)
    return picture.astype(np.uint8)


def _hammer() -> Sequence[Shape]:
    handle = turned(
        [
            (0, -0.135),
            (0.014, -0.134),
            (0.0165, -0.125),
            (0.0165, -0.06),
            (0.0145, -0.01),
            (0.0125, 0.05),
            (0.011, 0.10),
            (0.011, 0.148),
            (0, 0.149),
        ],
        around=24,
    )
    handle = replace(handle, vertices=handle.vertices * [1.15, 0.9, 1.0], corner_uv=handle.corner_uv * [1, 0.6])
    lying = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])  # +Z along +X
    head = turned(
        [
            (0, -0.06),
            (0.006, -0.058),
            (0.013, -0.035),
            (0.0145, -0.012),
            (0.0145, 0.012),
            (0.012, 0.022),
            (0.012, 0.03),
            (0.0165, 0.034),
            (0.0165, 0.05),
            (0.0145, 0.053),
            (0, 0.053),
        ],
        around=24,
    ).moved(lying, np.array([0, 0, 0.13]))
    return handle, replace(head, corner_uv=head.corner_uv * [1, 0.3] + [0, 0.68])


def _hammer_print(generator: np.random.Generator) -> prints.Picture:
    """Below a rubber grip with rings, then a lacquered handle with a name; the head's steel above."""
    picture = prints.plain(generator, (118, 122, 128), grain=0.12, size=TEXTURE_PX).copy()
    wood = prints.wood(generator, size=TEXTURE_PX)
    picture[205:] = (0.55 * wood[205:] + 0.45 * np.array([205, 150, 80])).astype(np.uint8)
    picture[360:] = prints.plain(generator, (38, 40, 44), size=TEXTURE_PX)[360:]
    for top in range(372, 500, 18):
        picture[top : top + 8] = (206, 62, 28)
    picture[290:350] = prints.label(
        generator,
        width=TEXTURE_PX,
        height=60,
        ground=(206, 62, 28),
        ink=(250, 250, 245),
        accent=(30, 30, 32),
        word="HALVAR",
    )
    return picture


MADE: Mapping[str, Made] = {
    "mug": Made(_mug, _mug_print, gloss=0.35),
    "water_bottle": Made(_bottle, _bottle_print, gloss=0.3),
    "soup_can": Made(_can, _can_print, gloss=0.25),
    "juice_carton": Made(_carton, _carton_print, gloss=0.12),
    "bowl": Made(_bowl, _bowl_print, stands=False, gloss=0.35),
    "hammer": Made(_hammer, _hammer_print, stands=False, gloss=0.2),
}
NAMES = (*SCANNED, *MADE)


@dataclass(frozen=True)
class HeldObject:
    """An object with everything that a sequence needs of it."""

    name: str
    shape: Shape  # distinct vertices
    picture: prints.Picture
    stands: bool
    gloss: float

    @property
    def surface(self) -> Surface:
        """Its triangle mesh."""
        return Surface(self.shape.vertices, self.shape.faces)

    @cached_property
    def distance(self) -> SignedDistance:
        """The grid of distances to it."""
        if self.name in SCANNED:
            return object_distance(self.name)
        parts = [SignedDistance.of(Surface(part.vertices, part.faces)) for part in MADE[self.name].parts()]
        return parts[0] if len(parts) == 1 else SignedDistance.to_nearest(parts)

    @cached_property
    def grips(self) -> Grip:
        """Its stored grasps, found by tools/grasps/search.py."""
        if self.name in SCANNED:
            return stored_grips(self.name)
        with as_file(GRASPS / f"{self.name}.npz") as path, np.load(path, allow_pickle=False) as file:
            return Grip(*(file[field.name] for field in fields(Grip)))

    def write(self, folder: Path) -> None:
        """Write its mesh and texture as HO-3D's `models` has them."""
        if self.name in SCANNED:
            for name, content in scanned_files(self.name).items():
                (folder / name).write_bytes(content)
            return
        Image.fromarray(self.picture).save(folder / "texture.png")
        (folder / "textured_simple.obj.mtl").write_text("newmtl texture\nmap_Kd texture.png\n")
        lines = ["mtllib textured_simple.obj.mtl", "usemtl texture"]
        lines += [f"v {x:.{OBJ_DIGITS}f} {y:.{OBJ_DIGITS}f} {z:.{OBJ_DIGITS}f}" for x, y, z in self.shape.vertices]
        lines += [f"vt {u:.5f} {v:.5f}" for u, v in self.shape.corner_uv.reshape(-1, 2)]
        for number, (a, b, c) in enumerate(self.shape.faces + 1):
            first = 3 * number + 1
            lines.append(f"f {a}/{first} {b}/{first + 1} {c}/{first + 2}")
        (folder / "textured_simple.obj").write_text("\n".join(lines) + "\n")


@cache
def held_object(name: str) -> HeldObject:
    """The object of that name, one of `NAMES`."""
    if name in SCANNED:
        texture, surface = object_texture(name), object_surface(name)
        picture = (texture.image.permute(1, 2, 0) * 255).round().byte().numpy()
        shape = Shape(
            surface.vertices, surface.faces, texture.corner_uv.double().numpy(), np.zeros(len(surface.faces), np.int64)
        )
        return HeldObject(name, shape, picture, stands=True, gloss=0.12)
    made = MADE[name]
    whole = joined(made.parts())
    rounded = replace(whole, vertices=np.round(whole.vertices, OBJ_DIGITS))
    picture = made.print(np.random.default_rng(sum(map(ord, name))))
    return HeldObject(name, rounded, picture, made.stands, made.gloss)
