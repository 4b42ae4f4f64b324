"""Pictures in the page: a frame's comparison as a grid whose columns are the arms and the truth."""

import base64
import io
from collections.abc import Mapping
from html import escape

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from PIL import Image
from torch import Tensor

from warpgrasp.evaluation.comparison import RESIDUAL_COLOURS, RESIDUAL_LIMIT, TRUTH, Comparison
from warpgrasp.evaluation.metrics import Scores
from warpgrasp.frame import FrameName

JPEG_QUALITY = 86
TURNED_NOTE = (
    '<div class="side"><b>Turned by 90°</b> about the vertical line through the true object’s centre: nearer to the '
    "camera is left, farther is right. The thin line is the true silhouette.</div>"
)
RESIDUAL_NOTE = (
    '<div class="side"><b>Photometric residual</b>: absolute colour difference between the warped frame and the '
    "reference, mean over channels. Grey, dimmed: not compared.SCALE</div>"
)


def pixels_of(image: Float[Tensor, "3 h w"]) -> np.ndarray:
    """Colours in [0, 1] as bytes, (h, w, 3)."""
    return (image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)


def picture(image: Float[Tensor, "3 h w"], description: str) -> str:
    """A picture that carries its own data."""
    buffer = io.BytesIO()
    Image.fromarray(pixels_of(image)).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0, optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    height, width = image.shape[1:]
    return f'<img src="data:image/jpeg;base64,{data}" width="{width}" height="{height}" alt="{escape(description)}">'


def comparison_section(comparison: Comparison, scores: Mapping[str, Mapping[str, Scores]]) -> str:
    """One frame: the arms and the truth in columns; overlay, turned view, warped frame and residual in rows.

    `scores` is by arm and group of frames.
    """
    cells = [_cell(picture(comparison.picture, f"input {title(comparison.name)}"), head="input")]
    for arm, image in comparison.overlays.items():
        note = "" if arm == TRUTH else frame_errors(scores[arm], comparison.name)
        cells.append(_cell(picture(image, f"{arm}, overlaid"), head=arm, note=note))
    cells.append(TURNED_NOTE)
    cells += [_cell(picture(image, f"{arm}, turned by 90°")) for arm, image in comparison.turned.items()]
    if comparison.reference is not None and comparison.reference_picture is not None:
        reference = f"annotated reference {title(comparison.reference)}"
        cells.append(_cell(picture(comparison.reference_picture, reference), note=reference))
        for arm, one in comparison.compared.items():
            note = f"input, warped: {100 * one.share:.0f} % of the surface"
            cells.append(_cell(picture(one.warped, f"{arm}: warped"), note=note))
        cells.append(RESIDUAL_NOTE.replace("SCALE", _scale()))
        for arm, one in comparison.compared.items():
            cells.append(
                _cell(picture(one.residual, f"{arm}: residual"), note=f"mean residual {one.mean_residual:.3f}")
            )
    return f'<section class="frame"><h3>{_heading(comparison)}</h3><div class="grid">{"".join(cells)}</div></section>'


def title(name: FrameName) -> str:
    """How a frame is called."""
    return f"{name.sequence}/{name.index:04d}"


def frame_errors(scores: Mapping[str, Scores], name: FrameName) -> str:
    """A frame's errors, if it was scored."""
    for one in scores.values():
        if name in one.names:
            row = one.names.index(name)
            parts = [
                f"{part} {one.per_frame[f'{part}_{points}_error_px'][row]:.1f} px, "
                f"{one.per_frame[f'{part}_{points}_error_mm'][row]:.0f} mm"
                for part, points in (("hand", "joint"), ("object", "vertex"))
            ]
            return "<br>".join(parts)
    return ""


def _heading(comparison: Comparison) -> str:
    name = f"<code>{escape(title(comparison.name))}</code>"
    if comparison.reference is None:
        return f"{name} <span>evaluation sequence, without any annotated frame</span>"
    distance = abs(comparison.reference.index - comparison.name.index)
    frames = "frame" if distance == 1 else "frames"
    return f"{name} <span>training sequence, {distance} {frames} from its nearest label</span>"


def _cell(image: str, *, head: str = "", note: str = "") -> str:
    head = f'<b class="arm {head}">{head}</b>' if head else ""
    note = f'<span class="note">{note}</span>' if note else ""
    return f"<figure>{image}{f'<figcaption>{head}{note}</figcaption>' if head or note else ''}</figure>"


def _scale() -> str:
    """The residual's colours, with their values."""
    stops = ", ".join(
        f"rgb({', '.join(str(round(255 * float(channel))) for channel in colormaps[RESIDUAL_COLOURS](k / 12)[:3])})"
        for k in range(13)
    )
    ticks = "".join(f"<span>{RESIDUAL_LIMIT * k / 3:.1f}</span>" for k in range(3)) + f"<span>≥ {RESIDUAL_LIMIT}</span>"
    return f'<div class="scale"><div style="background:linear-gradient(90deg, {stops})"></div><p>{ticks}</p></div>'
