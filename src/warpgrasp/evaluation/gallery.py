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
    """One frame: the arms and the truth in columns; overlay, turned view, warped frame and residual in rows."""
    name, arms = comparison.name, list(comparison.overlays)
    cells = [_cell(picture(comparison.picture, f"input {title(name)}"), "input", "")]
    for arm in arms:
        note = "" if arm == TRUTH else frame_errors(scores[arm], name)
        cells.append(_cell(picture(comparison.overlays[arm], f"{arm}, overlaid"), arm, note))
    cells.append(
        '<div class="side"><b>Turned by 90°</b> about the vertical line through the true object’s centre: '
        "nearer to the camera is left, farther is right. The thin line is the true silhouette.</div>"
    )
    cells += [_cell(picture(comparison.turned[arm], f"{arm}, turned by 90°"), "", "") for arm in arms]
    if comparison.reference is not None and comparison.reference_picture is not None:
        cells.append(
            _cell(
                picture(comparison.reference_picture, "annotated reference"),
                f"annotated reference, {comparison.reference.index:04d}",
                "",
            )
        )
        for arm in arms:
            one = comparison.compared[arm]
            cells.append(
                _cell(
                    picture(one.warped, f"{arm}: warped"),
                    "input, warped into the reference",
                    f"compared: {100 * one.share:.0f} % of the surface",
                )
            )
        cells.append(
            f'<div class="side"><b>Photometric residual</b>: absolute colour difference between the warped '
            f"frame and the reference, mean over channels; dimmed where nothing is compared.{_scale()}</div>"
        )
        for arm in arms:
            one = comparison.compared[arm]
            cells.append(_cell(picture(one.residual, f"{arm}: residual"), "", f"mean {one.mean_residual:.3f}"))
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
            return " · ".join(parts)
    return ""


def _heading(comparison: Comparison) -> str:
    name = f"<code>{escape(title(comparison.name))}</code>"
    if comparison.reference is None:
        return f"{name} <span>evaluation sequence, without any annotated frame</span>"
    distance = abs(comparison.reference.index - comparison.name.index)
    frames = "frame" if distance == 1 else "frames"
    return f"{name} <span>training sequence, {distance} {frames} from its nearest label</span>"


def _cell(image: str, label: str, note: str) -> str:
    head = f'<span class="arm {label.split()[0]}">{escape(label)}</span>' if label else ""
    caption = f"<figcaption>{head}{f'<span class=note>{escape(note)}</span>' if note else ''}</figcaption>"
    return f"<figure>{image}{caption if head or note else ''}</figure>"


def _scale() -> str:
    """The residual's colours, with their values."""
    stops = ", ".join(
        f"rgb({', '.join(str(round(255 * float(channel))) for channel in colormaps[RESIDUAL_COLOURS](k / 12)[:3])})"
        for k in range(13)
    )
    ticks = "".join(f"<span>{RESIDUAL_LIMIT * k / 3:.1f}</span>" for k in range(3)) + f"<span>≥ {RESIDUAL_LIMIT}</span>"
    return f'<div class="scale"><div style="background:linear-gradient(90deg, {stops})"></div><p>{ticks}</p></div>'
