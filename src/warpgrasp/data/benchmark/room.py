"""A made-up room: a table under the action, walls behind it, and things that stand about; and what passes in front."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from warpgrasp.data.benchmark import prints
from warpgrasp.data.benchmark.objects import NAMES, held_object
from warpgrasp.data.benchmark.shapes import Shape, box, joined, panel, tube, turned
from warpgrasp.render import Lights, Material

TABLE_M = 0.74  # above the floor
CEILING_M = 1.8  # above the table
CLEARANCE_M = 0.03  # between things and whatever moves
SHADOW_RADIUS_M = 0.62
SKY_POINTS = 8


@dataclass
class Room:
    """Shapes and their materials as they are put in; a shape's `texture` numbers its material."""

    generator: np.random.Generator
    shapes: list[Shape] = field(default_factory=list)
    casting: list[bool] = field(default_factory=list)
    materials: list[Material] = field(default_factory=list)

    def material(self, material: Material) -> int:
        """The number of a new material."""
        self.materials.append(material)
        return len(self.materials) - 1

    def put(self, shape: Shape, material: int, *, casts: bool = True) -> None:
        """Add a shape in one material."""
        self.shapes.append(shape.painted(material))
        self.casting.append(casts)

    @property
    def shape(self) -> Shape:
        """All of it as one surface."""
        return joined(self.shapes)

    @property
    def faces_cast(self) -> np.ndarray:
        """Whether each face casts shadows."""
        return np.repeat(self.casting, [len(shape.faces) for shape in self.shapes])


def yaw(angle: float) -> Float[np.ndarray, "3 3"]:
    """A turn about +Z."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])


def _up(height: float) -> np.ndarray:
    return np.array([0.0, 0.0, height])


def repeated(shape: Shape, u: float, v: float) -> Shape:
    """The picture repeated over the shape's sides."""
    return Shape(shape.vertices, shape.faces, shape.corner_uv * [u, v], shape.texture)


def build(
    generator: np.random.Generator,
    moving: Float[np.ndarray, "n 3"],
    cameras: Float[np.ndarray, "t 3"],
    held: str,
) -> Room:
    """A room about what moves in it and is seen by the cameras."""
    room = Room(generator)
    _shell(room)
    _table(room)
    free = _Free(moving, cameras)
    for _ in range(int(generator.integers(6, 14))):
        _place_thing(room, free, held)
    return room


def _shell(room: Room) -> None:
    """Floor, ceiling, three walls, and what hangs on them."""
    g = room.generator
    floor = room.material(Material((prints.wood, prints.cloth, prints.tiles)[int(g.integers(3))](g), gloss=0.05))
    lying = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    room.put(repeated(panel(8.0, 8.0, cuts=10), 8.0, 8.0).moved(lying, np.array([0, 0, -TABLE_M])), floor, casts=False)
    wall = room.material(Material((prints.plaster, prints.plaster, prints.bricks, prints.tiles)[int(g.integers(4))](g)))
    white = room.material(Material(prints.plain(g, (225, 224, 220)), glow=0.1))
    room.put(panel(8.0, 8.0, cuts=10).moved(lying, np.array([0, 0, CEILING_M])), white, casts=False)
    turn, far = g.uniform(-0.3, 0.3), g.uniform(0.9, 1.9)
    for angle, distance in (
        (turn, far),
        (turn + np.pi / 2, g.uniform(1.2, 2.4)),
        (turn - np.pi / 2, g.uniform(1.2, 2.4)),
    ):
        rotation = yaw(angle)
        whole = repeated(panel(6.0, 3.4, cuts=8), 4.0, 2.4)
        room.put(whole.moved(rotation, rotation @ [0, distance, 0.5]), wall, casts=False)
        _hang(room, rotation, distance - 0.03)


def _hang(room: Room, rotation: np.ndarray, distance: float) -> None:
    """Paintings, a shelf of books, a window or a cupboard on a wall."""
    g = room.generator
    left = -1.6
    while left < 1.5:
        width = float(g.uniform(0.3, 0.9))
        place, up = left + width / 2, float(g.uniform(0.15, 0.7))
        match int(g.integers(5)):
            case 0 | 1:
                material = room.material(Material(prints.painting(g), gloss=0.05))
                _on_wall(
                    room, rotation, (width, 0.03, width * g.uniform(0.6, 1.3)), (place, distance - 0.02, up), material
                )
            case 2:
                board = room.material(Material(prints.wood(g, size=256)))
                books = room.material(Material(prints.spines(g)))
                for level in range(int(g.integers(1, 4))):
                    height = up - 0.25 + 0.34 * level
                    _on_wall(room, rotation, (width, 0.24, 0.02), (place, distance - 0.12, height), board)
                    _on_wall(room, rotation, (width * 0.92, 0.17, 0.27), (place, distance - 0.1, height + 0.145), books)
            case 3:
                sky = room.material(
                    Material(
                        prints.plain(
                            g, prints.paint(g, hue=(0.5, 0.62), saturation=(0.05, 0.4), value=(0.8, 1.0)), grain=0.2
                        ),
                        glow=1.0,
                    )
                )
                frame = room.material(Material(prints.plain(g, (210, 208, 202))))
                height = width * g.uniform(1.0, 1.5)
                _on_wall(room, rotation, (width, 0.02, height), (place, distance, up + 0.2), sky)
                for offset in (-0.5, 0.0, 0.5):
                    _on_wall(
                        room,
                        rotation,
                        (0.045, 0.05, height),
                        (place + offset * width, distance - 0.01, up + 0.2),
                        frame,
                    )
                for offset in (-0.5, 0.5):
                    _on_wall(
                        room,
                        rotation,
                        (width, 0.05, 0.045),
                        (place, distance - 0.01, up + 0.2 + offset * height),
                        frame,
                    )
            case _:
                front = room.material(Material(prints.plain(g, prints.paint(g, saturation=(0.02, 0.25))), gloss=0.08))
                _on_wall(room, rotation, (width, 0.42, 1.1), (place, distance - 0.2, -0.15), front)
        left += width + float(g.uniform(0.05, 0.5))


def _on_wall(
    room: Room, rotation: np.ndarray, size: tuple[float, ...], place: tuple[float, ...], material: int
) -> None:
    room.put(box(size, whole_picture=True).moved(rotation, rotation @ np.array(place)), material, casts=False)


def _table(room: Room) -> None:
    g = room.generator
    pictures = (prints.wood, prints.wood, prints.plaster, prints.cloth, prints.tiles)
    top = room.material(Material(pictures[int(g.integers(5))](g), gloss=float(g.uniform(0.0, 0.12)), hardness=20.0))
    size = (g.uniform(1.3, 2.2), g.uniform(0.9, 1.3), 0.035)
    turn = yaw(g.uniform(-0.25, 0.25))
    slab = repeated(box(size, cuts=4, whole_picture=True), size[0] / 0.7, size[1] / 0.7)
    room.put(slab.moved(turn, np.array([g.uniform(-0.2, 0.2), g.uniform(0.05, 0.25), -size[2] / 2])), top, casts=False)


@dataclass
class _Free:
    """Where nothing stands and nothing moves."""

    moving: Float[np.ndarray, "n 3"]
    cameras: Float[np.ndarray, "t 3"]
    taken: list[tuple[float, float, float]] = field(default_factory=list)

    def place(self, generator: np.random.Generator, radius: float, height: float) -> np.ndarray | None:
        """A free place on the table, rarely before the pair; None when none was found."""
        low = self.moving[self.moving[:, 2] < height + CLEARANCE_M][:, :2]
        for _ in range(12):
            x, y = generator.uniform(-0.62, 0.62), generator.uniform(-0.12, 0.55)
            apart = all(np.hypot(x - a, y - b) > radius + other for a, b, other in self.taken)
            near_lens = np.hypot(*(self.cameras[:, :2] - [x, y]).T).min() < radius + 0.22
            if apart and not near_lens and np.linalg.norm(low - [x, y], axis=1).min(initial=9.0) > radius + CLEARANCE_M:
                self.taken.append((x, y, radius))
                return np.array([x, y, 0.0])
        return None


def _place_thing(room: Room, free: _Free, held: str) -> None:
    """One thing on the table, if there is room for it."""
    g = room.generator
    kind = str(g.choice(["books", "box", "pot", "fruit", "paper", "object", "object"]))
    radius, height = {"books": (0.14, 0.12), "paper": (0.17, 0.01), "fruit": (0.04, 0.08)}.get(kind, (0.08, 0.16))
    at = free.place(g, radius, height)
    if at is None:
        return
    turn = yaw(g.uniform(0, 2 * np.pi))
    THINGS[kind](room, at, turn, held)


def _books(room: Room, at: np.ndarray, turn: np.ndarray, held: str) -> None:
    g = room.generator
    for height in g.uniform(0.012, 0.04, int(g.integers(1, 4))):
        cover = prints.painting(g) if g.random() < 0.5 else prints.plain(g, prints.paint(g))
        size = (g.uniform(0.12, 0.17), g.uniform(0.17, 0.23), height)
        own = turn @ yaw(g.normal(0, 0.15))
        room.put(
            box(size, whole_picture=True).moved(own, at + _up(height / 2)),
            room.material(Material(cover, gloss=0.06)),
        )
        at = at + _up(height)


def _box(room: Room, at: np.ndarray, turn: np.ndarray, held: str) -> None:
    g = room.generator
    size = (g.uniform(0.05, 0.11), g.uniform(0.04, 0.08), g.uniform(0.05, 0.16))
    word = str(g.choice(prints.WORDS))
    picture = prints.box_print(
        g, ground=prints.paint(g), ink=(20, 20, 24), accent=prints.paint(g, saturation=(0.4, 0.9)), word=word
    )
    room.put(box(size).moved(turn, at + _up(size[2] / 2)), room.material(Material(picture, gloss=0.1)))


def _pot(room: Room, at: np.ndarray, turn: np.ndarray, held: str) -> None:
    g = room.generator
    wide, high = g.uniform(0.03, 0.06), g.uniform(0.05, 0.15)
    lip = wide * g.uniform(0.7, 1.25)
    profile = [
        (0, 0),
        (wide * 0.8, 0),
        (wide, high * 0.3),
        (lip, high),
        (lip - 0.003, high),
        (wide - 0.004, high * 0.3),
        (0, 0.006),
    ]
    glaze = prints.plain(g, prints.paint(g, value=(0.3, 0.9)))
    room.put(turned(profile, around=28).moved(turn, at), room.material(Material(glaze, gloss=0.3)))


def _fruit(room: Room, at: np.ndarray, turn: np.ndarray, held: str) -> None:
    g = room.generator
    radius, angles = g.uniform(0.028, 0.038), np.linspace(-np.pi / 2, np.pi / 2, 12)
    profile = [(max(0.0, radius * np.cos(a)), radius * (1 + 0.94 * np.sin(a))) for a in angles]
    profile[0], profile[-1] = (0.0, profile[0][1]), (0.0, profile[-1][1])
    peel = prints.plain(g, prints.paint(g, hue=(0.0, 0.24), saturation=(0.7, 0.95), value=(0.5, 0.85)), grain=0.15)
    room.put(turned(profile, around=24).moved(turn, at), room.material(Material(peel, gloss=0.15)))


def _paper(room: Room, at: np.ndarray, turn: np.ndarray, held: str) -> None:
    g = room.generator
    sheet = box((0.21, 0.29, 0.001), whole_picture=True).moved(turn, at + _up(0.0012))
    room.put(sheet, room.material(Material(prints.page(g))), casts=False)


def _object(room: Room, at: np.ndarray, turn: np.ndarray, held: str) -> None:
    """One of the held objects that is not held now."""
    g = room.generator
    names = [name for name in NAMES if name != held and held_object(name).stands] + ["bowl"] * (held != "bowl")
    thing = held_object(str(g.choice(names)))
    low, high = thing.shape.vertices.min(axis=0), thing.shape.vertices.max(axis=0)
    middle = (low + high) / 2 * [1, 1, 0] + [0, 0, low[2]]
    room.put(thing.shape.moved(turn, at - turn @ middle), room.material(Material(thing.picture, gloss=thing.gloss)))


Thing = Callable[[Room, np.ndarray, np.ndarray, str], None]
THINGS: dict[str, Thing] = {
    "books": _books,
    "box": _box,
    "pot": _pot,
    "fruit": _fruit,
    "paper": _paper,
    "object": _object,
}


def lights(generator: np.random.Generator) -> Lights:
    """One or two lamps or windows, each of several points, and the light of the room from all of its sides."""
    g = generator
    middle = np.array([0.0, 0.05, 0.06])
    places, colours = [], []
    lamps = int(g.integers(1, 4))
    for lamp in range(lamps):
        turn, up = g.uniform(0, 2 * np.pi), g.uniform(0.6, 1.3)
        toward = np.array([np.cos(turn) * np.cos(up), np.sin(turn) * np.cos(up), np.sin(up)])
        size, distance = g.uniform(0.05, 0.3), g.uniform(1.1, 1.9)
        warmth = g.uniform(-0.16, 0.2)
        colour = np.array([1 + warmth, 1.0, 1 - warmth]) * g.uniform(0.5, 1.0) / (1 + 0.7 * lamp)
        count = 4 if lamp == 0 else 2
        spread = size * np.sqrt((np.arange(count) + 0.5) / count)[:, None]
        angle = np.arange(count) * 2.4 + g.uniform(0, 6)
        side = np.cross(toward, [0.0, 0.0, 1.0])
        side /= np.linalg.norm(side)
        disc = spread * (np.cos(angle)[:, None] * side + np.sin(angle)[:, None] * np.cross(side, toward))
        places.append(middle + distance * toward + disc)
        colours.append(np.tile(colour / count, (count, 1)))
    number = np.arange(SKY_POINTS)
    height = (number + 0.5) / SKY_POINTS
    turn = number * 2.39996 + g.uniform(0, 6)
    flat = np.sqrt(1 - height**2)
    sky = np.stack([flat * np.cos(turn), flat * np.sin(turn), height], axis=1)
    window = g.normal(size=3)
    bright = np.clip(1 + 0.5 * sky @ (window / np.linalg.norm(window)), 0.3, None)
    tint = 1 + g.uniform(-0.06, 0.06, 3)
    places.append(middle + 1.6 * sky)
    colours.append(g.uniform(0.5, 1.2) * bright[:, None] * tint / SKY_POINTS)
    place, colour = np.concatenate(places), np.concatenate(colours)
    up = np.maximum((place - middle)[:, 2] / np.linalg.norm(place - middle, axis=1), 0)
    ambient = np.array([[0.16, 0.15, 0.14], [0.1, 0.1, 0.1]]) * g.uniform(0.8, 1.4)
    level = g.uniform(0.8, 1.15) / ((colour * up[:, None]).sum(axis=0).mean() + ambient[1].mean())
    return Lights(place, colour * level, middle, SHADOW_RADIUS_M, ambient * level)


def passing(
    generator: np.random.Generator,
    eyes: Float[np.ndarray, "t 3"],
    targets: Float[np.ndarray, "t 3"],
    right: Float[np.ndarray, " 3"],
) -> tuple[Shape, Float[np.ndarray, "t 3"], Material]:
    """Something that passes between the camera and the pair: a rod, a sleeved arm, or a box; and its path."""
    g, frames = generator, len(eyes)
    middle = int(g.integers(frames))
    sweep = g.choice([-1, 1]) * g.uniform(0.5, 1.1) * (np.arange(frames) - middle) / max(frames, 40)
    share = g.uniform(0.4, 0.62)
    base = eyes[middle] + share * (targets[middle] - eyes[middle])
    path = base + sweep[:, None] * right
    match int(g.integers(3)):
        case 0:
            lean = np.array([g.uniform(-0.5, 0.5), g.uniform(-0.3, 0.3), 1.0])
            ends = np.array([-0.5, 0.5])[:, None] * lean * 0.9
            line = np.linspace(ends[0], ends[1], 6)
            shape = tube(line, np.full((6, 2), g.uniform(0.004, 0.01)), across=np.array([1.0, 0, 0]))
            return shape, path, Material(prints.wood(g, size=128), gloss=0.1)
        case 1:
            along = np.linspace(-1, 1, 14)[:, None]
            bend = along * np.array([0.0, 0.0, -0.45]) + along**2 * right * g.uniform(-0.3, 0.3)
            radii = np.linspace(0.03, 0.05, 14)[:, None] * [1.0, 0.85]
            return tube(bend, radii, across=right, around=24), path, Material(prints.cloth(g))
        case _:
            size = (g.uniform(0.04, 0.07), g.uniform(0.03, 0.05), g.uniform(0.08, 0.13))
            picture = prints.box_print(
                g, ground=prints.paint(g), ink=(20, 20, 24), accent=prints.paint(g), word="QUELLA"
            )
            lowered = path - [0, 0, 0.03]
            return box(size).moved(yaw(g.uniform(0, 6)), np.zeros(3)), lowered, Material(picture, gloss=0.1)
