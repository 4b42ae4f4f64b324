"""Pictures for surfaces: wood, cloth, plaster, bricks, tiles, paintings, pages, and the printed labels of objects.

Every picture is (height, width, 3) in uint8, sRGB, and decided by its generator alone.
"""

import colorsys
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter, zoom

Picture = UInt8[np.ndarray, "h w 3"]
Colour = tuple[int, int, int]
Generator = np.random.Generator

WORDS = tuple(
    [
        "ARUNA",
        "VELTO",
        "MILDA",
        "KORVI",
        "SOLENA",
        "TAVRO",
        "PINELLO",
        "ORBISA",
        "LUMETA",
        "GRANDI",
        "FRESCA",
        "NORDLI",
        "BELMO",
        "CASTELLA",
        "RIVOLI",
        "SUNDAR",
        "ETERNO",
        "QUELLA",
        "VIVANT",
        "MERIDIO",
        "HALVAR",
        "TORINA",
    ]
)
SMALL_PRINT = tuple(
    [
        "store",
        "cool",
        "and",
        "dry",
        "shake",
        "well",
        "before",
        "use",
        "best",
        "before",
        "see",
        "lid",
        "net",
        "content",
        "made",
        "from",
        "selected",
        "crops",
    ]
)
PANEL_PX = 256  # a side of a printed box


def paint(
    generator: Generator,
    *,
    hue: tuple[float, float] = (0.0, 1.0),
    saturation: tuple[float, float] = (0.1, 0.7),
    value: tuple[float, float] = (0.2, 0.9),
) -> Colour:
    """A colour within bounds."""
    red, green, blue = colorsys.hsv_to_rgb(*(float(generator.uniform(*bounds)) for bounds in (hue, saturation, value)))
    return int(255 * red), int(255 * green), int(255 * blue)


def noise(generator: Generator, shape: tuple[int, int], cells: int, octaves: int = 3) -> Float[np.ndarray, "h w"]:
    """Smooth noise in about [-1, 1] of as many cells across, with finer ones on top."""
    total = np.zeros(shape)
    for octave in range(octaves):
        count = max(2, cells * 2**octave)
        rows = max(2, count * shape[0] // shape[1])
        coarse = generator.uniform(-1, 1, (rows + 1, count + 1))
        fine = zoom(coarse, (shape[0] / (rows + 1), shape[1] / (count + 1)), order=3, mode="grid-wrap", grid_mode=True)
        total += fine[: shape[0], : shape[1]] / 2**octave
    return total / 1.5


def tinted(colour: Sequence[float | int] | np.ndarray, brightness: Float[np.ndarray, "h w"]) -> Picture:
    """A colour that is lighter and darker from place to place, by factors."""
    return np.clip(np.asarray(colour) * brightness[..., None], 0, 255).astype(np.uint8)


def plain(generator: Generator, colour: Colour, *, grain: float = 0.04, size: int = 128) -> Picture:
    """Paint, skin or glaze: one colour, hardly uneven."""
    return tinted(colour, 1 + grain * noise(generator, (size, size), 6))


def wood(generator: Generator, *, size: int = 512) -> Picture:
    """Boards with grain."""
    tone = np.array(paint(generator, hue=(0.05, 0.11), saturation=(0.25, 0.6), value=(0.3, 0.85)))
    boards = int(generator.integers(3, 8))
    row, column = np.mgrid[:size, :size] / size
    board = np.floor(column * boards)
    warp = 0.35 * noise(generator, (size, size), 2, 2)
    rings = np.sin(2 * np.pi * ((column * boards + 3.7 * board) * generator.uniform(2.5, 5) + warp * 3 + row * 0.6))
    streaks = gaussian_filter(generator.normal(size=(size, size)), (14, 0.6)) * 3
    brightness = 1 + 0.07 * rings + 0.13 * streaks + 0.08 * generator.uniform(-1, 1, boards + 1)[board.astype(int)]
    seam = np.abs(column * boards - np.round(column * boards)) < 0.012
    return tinted(tone, np.where(seam, 0.55, brightness))


def cloth(generator: Generator, *, size: int = 256) -> Picture:
    """A weave: plain, striped or checked."""
    row, column = np.mgrid[:size, :size]
    first, second = (np.array(paint(generator, saturation=(0.05, 0.6), value=(0.15, 0.9)), float) for _ in range(2))
    stripes = float(generator.integers(3, 10))
    bands = (np.sin(2 * np.pi * stripes * column / size) > generator.uniform(-0.5, 0.8)).astype(float)
    across = (np.sin(2 * np.pi * stripes * row / size) > 0.2).astype(float)
    share = {0: 0 * bands, 1: bands, 2: (bands + across) / 2, 3: 0 * bands}[int(generator.integers(4))]
    colour = first + share[..., None] * (second - first)
    weave = 1 + 0.09 * np.sin(row * 2.1) * np.sin(column * 2.1) + 0.05 * generator.normal(size=(size, size))
    return np.clip(colour * (weave + 0.06 * noise(generator, (size, size), 4))[..., None], 0, 255).astype(np.uint8)


def plaster(generator: Generator, *, size: int = 512) -> Picture:
    """A painted wall."""
    colour = paint(generator, saturation=(0.02, 0.2), value=(0.5, 0.92))
    fine = gaussian_filter(generator.normal(size=(size, size)), 1.0)
    return tinted(colour, 1 + 0.05 * noise(generator, (size, size), 5) + 0.03 * fine)


def bricks(generator: Generator, *, size: int = 512) -> Picture:
    """Bricks in mortar, each row shifted by half of one."""
    colour = paint(generator, hue=(0.0, 0.07), saturation=(0.35, 0.65), value=(0.35, 0.7))
    return _blocks(generator, colour, (16, 6), uneven=0.16, shift=0.5, size=size)


def tiles(generator: Generator, *, size: int = 512) -> Picture:
    """Square tiles."""
    colour = paint(generator, saturation=(0.02, 0.25), value=(0.45, 0.9))
    return _blocks(generator, colour, (8, 8), uneven=0.05, shift=0.0, size=size)


def _blocks(
    generator: Generator, colour: Colour, counts: tuple[int, int], *, uneven: float, shift: float, size: int
) -> Picture:
    rows, columns = counts
    mortar = np.full(3, generator.uniform(110, 190))
    v, u = np.mgrid[:size, :size] / size
    row = np.floor(v * rows)
    place = u * columns + shift * (row % 2)
    column = np.floor(place) % columns
    tone = 1 + uneven * generator.uniform(-1, 1, counts)[row.astype(int), column.astype(int)]
    tone = tone + 0.06 * noise(generator, (size, size), 30, 2)
    edge = np.minimum(np.abs(v * rows - np.round(v * rows)) / rows, np.abs(place - np.round(place)) / columns) * size
    share = np.clip((edge - 1.5) / 2, 0, 1)[..., None]
    return np.clip(share * np.array(colour) * tone[..., None] + (1 - share) * mortar, 0, 255).astype(np.uint8)


def painting(generator: Generator, *, size: int = 256) -> Picture:
    """Something that hangs on a wall: bands, discs and strokes under a frame."""
    image = Image.new("RGB", (size, size), paint(generator))
    draw = ImageDraw.Draw(image)
    for _ in range(int(generator.integers(6, 22))):
        x, y = generator.uniform(0, size, 2)
        w, h = generator.uniform(0.05, 0.5, 2) * size
        colour = paint(generator, saturation=(0.1, 0.9))
        match int(generator.integers(3)):
            case 0:
                draw.ellipse((x - w / 2, y - w / 2, x + w / 2, y + w / 2), fill=colour)
            case 1:
                draw.rectangle((x - w / 2, y - h / 2, x + w / 2, y + h / 2), fill=colour)
            case _:
                draw.line((x, y, *generator.uniform(0, size, 2)), fill=colour, width=int(generator.integers(2, 14)))
    frame = int(generator.integers(6, 14))
    draw.rectangle((0, 0, size - 1, size - 1), outline=paint(generator, saturation=(0.0, 0.4)), width=frame)
    return np.asarray(image)


def page(generator: Generator, *, size: int = 256) -> Picture:
    """A printed sheet of paper."""
    image = Image.new("RGB", (size, size), (236, 235, 228))
    draw = ImageDraw.Draw(image)
    top = 16
    while top < size - 20:
        if generator.random() < 0.12:
            draw.rectangle((20, top, int(generator.uniform(90, 220)), top + 26), fill=paint(generator))
            top += 34
            continue
        end = size - 20 if generator.random() < 0.8 else int(generator.uniform(80, 200))
        for start in range(20, end - 8, 12):
            draw.line((start, top, start + int(generator.integers(5, 11)), top), fill=(70, 70, 75), width=2)
        top += 8
    return np.asarray(image)


def spines(generator: Generator, *, size: int = 512) -> Picture:
    """A row of books, seen from their backs."""
    image = Image.new("RGB", (size, size), (40, 32, 28))
    draw, left = ImageDraw.Draw(image), 0
    while left < size:
        width, top = int(generator.integers(14, 52)), int(generator.uniform(0, 0.28) * size)
        colour = paint(generator, saturation=(0.1, 0.85), value=(0.15, 0.85))
        draw.rectangle((left, top, left + width - 2, size), fill=colour)
        light = tuple(min(255, channel + 70) for channel in colour)
        for at in generator.uniform(0.35, 0.9, 2):
            draw.rectangle((left + 3, int(at * size), left + width - 5, int(at * size) + 8), fill=light)
        draw.line((left + width - 2, top, left + width - 2, size), fill=(15, 12, 10), width=2)
        left += width
    return np.asarray(image)


def label(
    generator: Generator, *, width: int, height: int, ground: Colour, ink: Colour, accent: Colour, word: str
) -> Picture:
    """A printed label that repeats nothing: front with a name and an emblem, back with a table and bars."""
    image = Image.new("RGB", (width, height), ground)
    draw = ImageDraw.Draw(image)
    for at in (0.0, 0.9):
        draw.rectangle((0, int(at * height), width, int((at + 0.1) * height)), fill=accent)
    _emblem(draw, generator, (0.25 * width, 0.62 * height), 0.2 * min(width, height), accent)
    text = ImageFont.load_default(size=max(10, min(int(0.24 * height), int(0.72 * width / len(word)))))
    draw.text((0.25 * width, 0.28 * height), word, fill=ink, font=text, anchor="mm")
    small = ImageFont.load_default(size=max(8, int(0.07 * height)))
    draw.text((0.25 * width, 0.44 * height), str(generator.choice(WORDS)).lower(), fill=accent, font=small, anchor="mm")
    left = int(0.56 * width)
    for line in range(6):
        text_line = " ".join(map(str, generator.choice(SMALL_PRINT, 3)))
        draw.text((left, (0.16 + 0.075 * line) * height), text_line, fill=ink, font=small)
    x = left
    while x < 0.78 * width:
        bar = int(generator.integers(1, 4))
        draw.rectangle((x, 0.66 * height, x + bar - 1, 0.84 * height), fill=(15, 15, 15))
        x += bar + int(generator.integers(1, 4))
    stripe = int(0.86 * width)
    draw.polygon([(stripe, 0.1 * height), (stripe + 0.1 * width, 0.1 * height), (stripe, 0.9 * height)], fill=accent)
    worn = 1 + 0.03 * noise(generator, (height, width), 8)
    return np.clip(np.asarray(image) * worn[..., None], 0, 255).astype(np.uint8)


def _emblem(
    draw: ImageDraw.ImageDraw, generator: Generator, at: tuple[float, float], radius: float, fill: Colour
) -> None:
    """A flower of leaves about a disc."""
    petals = int(generator.integers(5, 9))
    for turn in 2 * np.pi * np.arange(petals) / petals:
        x, y = at[0] + radius * np.cos(turn) * 0.62, at[1] + radius * np.sin(turn) * 0.62
        draw.ellipse((x - radius * 0.4, y - radius * 0.4, x + radius * 0.4, y + radius * 0.4), fill=fill)
    inner = 0.45 * radius
    draw.ellipse((at[0] - inner, at[1] - inner, at[0] + inner, at[1] + inner), fill=paint(generator, value=(0.7, 1.0)))


def box_print(generator: Generator, *, ground: Colour, ink: Colour, accent: Colour, word: str) -> Picture:
    """The six sides of a printed box, three columns and two rows, as `shapes.box` has them."""
    front, side, back, top = (
        label(generator, width=width, height=PANEL_PX, ground=ground, ink=ink, accent=accent, word=name)
        for width, name in ((2 * PANEL_PX, word), (2 * PANEL_PX, word), (2 * PANEL_PX, word), (2 * PANEL_PX, word[:4]))
    )
    halves = [front[:, :PANEL_PX], side[:, PANEL_PX:], back[:, :PANEL_PX], top[:, PANEL_PX:]]
    lids = [tinted(accent, np.ones((PANEL_PX, PANEL_PX))), tinted(ground, np.ones((PANEL_PX, PANEL_PX)))]
    lower = np.concatenate([halves[0], halves[1], halves[2]], axis=1)
    upper = np.concatenate([halves[3], lids[0], lids[1]], axis=1)
    return np.concatenate([upper, lower], axis=0)  # v runs up
