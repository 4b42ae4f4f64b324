"""Pictures in rows and columns under heads, as one PNG on white, which suits light and dark pages alike."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from warpgrasp.evaluation.gallery import pixels_of

GAP_PX, HEAD_PX, NOTE_PX = 8, 40, 26
INK, FAINT = "#1c1e22", "#5b5f68"


@dataclass(frozen=True)
class Tile:
    """A picture, and a line below it."""

    image: Float[Tensor, "3 h w"]
    note: str = ""


def save_sheet(
    path: Path, heads: Sequence[str], rows: Sequence[Sequence[Tile]], *, tile_px: tuple[int, int], title: str = ""
) -> None:
    """Save a PNG: `heads` over the columns, each tile resized to `tile_px` (width, height); a row may be short."""
    width, height = tile_px
    noted = NOTE_PX if any(tile.note for row in rows for tile in row) else 0
    top = HEAD_PX * (2 if title else 1)
    size = (len(heads) * (width + GAP_PX) + GAP_PX, top + len(rows) * (height + noted + GAP_PX))
    sheet = Image.new("RGB", size, "white")
    pen, large, small = ImageDraw.Draw(sheet), ImageFont.load_default(size=20), ImageFont.load_default(size=14)
    if title:
        pen.text((GAP_PX, HEAD_PX / 2), title, fill=FAINT, font=large, anchor="lm")
    for column, head in enumerate(heads):
        centre = GAP_PX + column * (width + GAP_PX) + width / 2
        pen.text((centre, top - HEAD_PX / 2), head, fill=INK, font=large, anchor="mm")
    for number, row in enumerate(rows):
        for column, tile in enumerate(row):
            corner = (GAP_PX + column * (width + GAP_PX), top + number * (height + noted + GAP_PX))
            whole = Image.fromarray(np.ascontiguousarray(pixels_of(tile.image)))
            sheet.paste(whole.resize(tile_px, Image.Resampling.LANCZOS), corner)
            below = (corner[0] + width / 2, corner[1] + height + NOTE_PX / 2)
            pen.text(below, tile.note, fill=FAINT, font=small, anchor="mm")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        sheet.save(temporary, "PNG", optimize=True)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
