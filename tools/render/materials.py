"""Procedural materials. Lengths in node scales are 1/metre, because they use object coordinates."""

import colorsys

import bpy
import numpy as np


class Material:
    """A principled material whose nodes are written as expressions."""

    def __init__(self, name: str, **principled):
        self.data = bpy.data.materials.new(name)
        self.data.use_nodes = True
        self._tree = self.data.node_tree
        self._principled = self._tree.nodes["Principled BSDF"]
        self.set(**{"Specular IOR Level": 0.35, "Roughness": 0.6} | principled)

    def set(self, **principled) -> None:
        for socket, value in principled.items():
            self._connect(self._principled.inputs[socket], value)

    def node(self, kind: str, inputs: dict | None = None, **settings):
        node = self._tree.nodes.new(f"ShaderNode{kind}")
        for name, value in settings.items():
            setattr(node, name, value)
        for socket, value in (inputs or {}).items():
            self._connect(node.inputs[socket], value)
        return node

    def _connect(self, socket, value) -> None:
        if isinstance(value, bpy.types.NodeSocket):
            self._tree.links.new(value, socket)
        else:
            socket.default_value = (*value, 1) if socket.type == "RGBA" and len(value) == 3 else value

    def place(self, scale=(1, 1, 1), turn: float = 0.0, shift=(0, 0, 0)):
        """Object coordinates in metres, moved, turned about z and stretched."""
        coordinates = self.node("TexCoord").outputs["Object"]
        inputs = {"Vector": coordinates, "Scale": scale, "Rotation": (0, 0, turn), "Location": shift}
        return self.node("Mapping", inputs).outputs["Vector"]

    def noise(self, vector, scale: float, *, detail=4.0, roughness=0.55, distortion=0.0):
        inputs = {"Vector": vector, "Scale": scale, "Detail": detail, "Roughness": roughness, "Distortion": distortion}
        return self.node("TexNoise", inputs).outputs["Fac"]

    def ramp(self, factor, colours, *, low: float = 0.3, high: float = 0.7):
        """Spread colours evenly over [low, high] of `factor`."""
        node = self.node("ValToRGB", {"Fac": factor})
        positions = np.linspace(low, high, len(colours))
        for _ in range(len(colours) - 2):
            node.color_ramp.elements.new(0.5)
        for element, position, colour in zip(node.color_ramp.elements, positions, colours, strict=True):
            element.position, element.color = float(position), (*colour, 1)
        return node.outputs["Color"]

    def mix(self, factor, a, b, *, blend: str = "MIX"):
        node = self.node("Mix", data_type="RGBA", blend_type=blend)
        for index, value in ((0, factor), (6, a), (7, b)):  # the colour version's sockets
            self._connect(node.inputs[index], value)
        return node.outputs[2]

    def bump(self, height, *, distance_m: float, strength: float = 1.0) -> None:
        normal = self.node("Bump", {"Height": height, "Distance": distance_m, "Strength": strength})
        self.set(Normal=normal.outputs["Normal"])


def colour(rng, *, hue=(0.0, 1.0), saturation=(0.1, 0.6), value=(0.15, 0.7)) -> np.ndarray:
    return np.array(colorsys.hsv_to_rgb(rng.uniform(*hue) % 1, rng.uniform(*saturation), rng.uniform(*value)))


def wood(rng: np.random.Generator) -> bpy.types.Material:
    base = colour(rng, hue=(0.045, 0.095), saturation=(0.4, 0.7), value=(0.1, 0.5))
    material = Material("wood", Roughness=rng.uniform(0.3, 0.6))
    vector = material.place(turn=rng.uniform(0, np.pi), shift=tuple(rng.uniform(-5, 5, 3)))
    planks = material.node(
        "TexBrick",
        {
            "Vector": vector,
            "Scale": 1.0,
            "Color1": (0.8,) * 3,
            "Color2": (1.15,) * 3,
            "Mortar": (0.25,) * 3,
            "Mortar Size": 0.0012,
            "Brick Width": rng.uniform(0.8, 1.6),
            "Row Height": rng.uniform(0.08, 0.2),
        },
    )
    along = material.node("Mapping", {"Vector": vector, "Scale": (2.5, 32, 1)}).outputs["Vector"]
    grain = material.noise(along, rng.uniform(1.5, 3), detail=8, roughness=0.65, distortion=0.6)
    tone = material.ramp(grain, [base * 0.45, base, base * 1.35])
    material.set(**{"Base Color": material.mix(1.0, tone, planks.outputs["Color"], blend="MULTIPLY")})
    material.bump(grain, distance_m=0.0006)
    return material.data


def cloth(rng: np.random.Generator) -> bpy.types.Material:
    base, other = (colour(rng, saturation=(0.03, 0.55), value=(0.03, 0.5)) for _ in range(2))
    material = Material("cloth", Roughness=0.95, **{"Specular IOR Level": 0.1, "Sheen Weight": 0.2})
    vector = material.place(turn=rng.uniform(0, np.pi))
    fuzz = material.noise(vector, 700, detail=3)
    tone = material.ramp(fuzz, [base * 0.7, base * 1.15])
    pattern = rng.choice(["plain", "stripes", "plaid"])
    for direction in {"plain": [], "stripes": ["X"], "plaid": ["X", "Y"]}[str(pattern)]:
        wave = material.node(
            "TexWave", {"Vector": vector, "Scale": rng.uniform(4, 14), "Distortion": 0.2}, bands_direction=direction
        )
        band = material.node(
            "MapRange", {"Value": wave.outputs["Fac"], "From Min": 0.55, "From Max": 0.65, "To Max": 0.6}
        )
        tone = material.mix(band.outputs["Result"], tone, other)
    creases = material.noise(vector, 9, detail=3, distortion=1.0)
    material.set(**{"Base Color": tone})
    material.bump(material.mix(0.25, creases, fuzz), distance_m=0.006)
    return material.data


def tiles(rng: np.random.Generator) -> bpy.types.Material:
    base = colour(rng, saturation=(0.03, 0.3), value=(0.15, 0.7))
    material = Material("tiles", Roughness=rng.uniform(0.1, 0.35))
    size = rng.uniform(0.06, 0.2)
    vector = material.place(turn=rng.uniform(0, np.pi), shift=tuple(rng.uniform(-1, 1, 3)))
    bricks = material.node(
        "TexBrick",
        {
            "Vector": vector,
            "Scale": 1.0,
            "Color1": tuple(base * 0.85),
            "Color2": tuple(base * 1.1),
            "Mortar": tuple(base * 0.35),
            "Mortar Size": 0.003,
            "Brick Width": size * rng.choice([1.0, 2.0]),
            "Row Height": size,
        },
    )
    bricks.offset = float(rng.choice([0.0, 0.5]))
    stain = material.ramp(material.noise(vector, 14, detail=8), [(0.75,) * 3, (1.05,) * 3])
    material.set(**{"Base Color": material.mix(1.0, bricks.outputs["Color"], stain, blend="MULTIPLY")})
    material.bump(bricks.outputs["Fac"], distance_m=-0.002)
    return material.data


def stone(rng: np.random.Generator) -> bpy.types.Material:
    """Concrete, granite or marble, by the seed's distortion and contrast."""
    base = colour(rng, hue=(0.04, 0.13), saturation=(0.02, 0.25), value=(0.1, 0.6))
    material = Material("stone", Roughness=rng.uniform(0.2, 0.7))
    vector = material.place(shift=tuple(rng.uniform(-5, 5, 3)))
    veins = material.noise(vector, rng.uniform(6, 20), detail=10, roughness=0.6, distortion=rng.uniform(0, 1.5))
    specks = material.noise(vector, rng.uniform(150, 350), detail=3)
    contrast = rng.uniform(0.1, 0.4)
    tone = material.ramp(veins, [base * (1 - contrast), base, base * (1 + contrast)], low=0.35, high=0.65)
    dots = material.ramp(specks, [(0.75,) * 3, (1.0,) * 3, (1.1,) * 3], low=0.35, high=0.65)
    material.set(**{"Base Color": material.mix(1.0, tone, dots, blend="MULTIPLY")})
    return material.data


def plaster(rng: np.random.Generator) -> bpy.types.Material:
    hue = rng.choice([0.09, 0.09, 0.14, 0.33, 0.58])
    base = colour(rng, hue=(hue - 0.03, hue + 0.03), saturation=(0.02, 0.22), value=(0.35, 0.8))
    material = Material("plaster", Roughness=0.9)
    vector = material.place(shift=tuple(rng.uniform(-5, 5, 3)))
    clouds = material.noise(vector, 3, detail=8, roughness=0.65)
    material.set(**{"Base Color": material.ramp(clouds, [base * 0.88, base * 1.04])})
    material.bump(material.noise(vector, 60, detail=6), distance_m=0.003)
    return material.data


def bricks(rng: np.random.Generator) -> bpy.types.Material:
    base = colour(rng, hue=(0.0, 0.07), saturation=(0.3, 0.65), value=(0.2, 0.5))
    material = Material("bricks", Roughness=0.9)
    upright = material.place(turn=0.0, shift=tuple(rng.uniform(-1, 1, 3)))
    wall = material.node(
        "TexBrick",
        {
            "Vector": upright,
            "Scale": 1.0,
            "Color1": tuple(base * 0.6),
            "Color2": tuple(base * 1.3),
            "Mortar": (0.4, 0.38, 0.35, 1),
            "Mortar Size": 0.006,
            "Brick Width": 0.22,
            "Row Height": 0.075,
        },
    )
    dirt = material.ramp(material.noise(upright, 25, detail=8), [(0.6,) * 3, (1.15,) * 3])
    material.set(**{"Base Color": material.mix(1.0, wall.outputs["Color"], dirt, blend="MULTIPLY")})
    material.bump(wall.outputs["Fac"], distance_m=-0.006)
    return material.data


def painting(rng: np.random.Generator) -> bpy.types.Material:
    """Something in a frame or on a cover: washes of a few related colours, lighter towards one side."""
    material = Material("painting", Roughness=rng.uniform(0.25, 0.6))
    vector = material.place(
        scale=(1, rng.uniform(1.5, 5), 1), turn=rng.choice([0, np.pi / 2]), shift=tuple(rng.uniform(-9, 9, 3))
    )
    hue = rng.uniform(0, 1)
    palette = [colour(rng, hue=(hue, hue + 0.15), saturation=(0.15, 0.6), value=(0.04, 0.6)) for _ in range(4)]
    palette.insert(int(rng.integers(5)), colour(rng, saturation=(0.05, 0.7), value=(0.5, 0.8)))
    washes = material.noise(vector, rng.uniform(2, 7), detail=12, roughness=0.6, distortion=0.5)
    material.set(**{"Base Color": material.ramp(washes, palette, low=0.32, high=0.68)})
    return material.data


def page(rng: np.random.Generator) -> bpy.types.Material:
    """Printed text, as one sees it without reading it."""
    paper, ink = np.full(3, rng.uniform(0.6, 0.8)), rng.uniform(0.03, 0.25)
    material = Material("page", Roughness=0.7)
    row = rng.uniform(0.004, 0.008)
    words = material.node(
        "TexBrick",
        {
            "Vector": material.place(shift=(0.003, 0.001, 0)),
            "Scale": 1.0,
            "Color1": (ink,) * 3,
            "Color2": (ink * 1.6,) * 3,
            "Mortar": tuple(paper),
            "Mortar Size": row * 0.25,
            "Brick Width": row * rng.uniform(2.5, 4),
            "Row Height": row,
        },
        offset=0.37,
    )
    uneven = material.ramp(material.noise(material.place(), 25), [(0.5,) * 3, (1.0,) * 3])
    material.set(**{"Base Color": material.mix(uneven, tuple(paper), words.outputs["Color"])})
    return material.data


def paint(rng: np.random.Generator, **hsv) -> bpy.types.Material:
    """A plain, faintly soiled colour: plastic, lacquer, paper, ceramics."""
    base = colour(rng, **hsv)
    material = Material("paint", Roughness=rng.uniform(0.15, 0.6))
    soiled = material.noise(material.place(), 30, detail=6)
    material.set(**{"Base Color": material.ramp(soiled, [base * 0.85, base])})
    return material.data
