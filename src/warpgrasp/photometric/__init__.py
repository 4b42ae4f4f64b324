"""Photometric consistency between frames (paper Sec. 3.1)."""

from warpgrasp.photometric.consistency import (
    MINIMAL_SHARE,
    PHOTOMETRIC_TERMS,
    PhotometricConsistency,
    PhotometricTerm,
    appearance,
    colours,
    local_contrast,
    photometric_consistency,
)
from warpgrasp.photometric.flow import RenderedFlow, Warped, render_flow, sample, warp
from warpgrasp.photometric.visibility import Visibility, mutually_visible

__all__ = [
    "MINIMAL_SHARE",
    "PHOTOMETRIC_TERMS",
    "PhotometricConsistency",
    "PhotometricTerm",
    "RenderedFlow",
    "Visibility",
    "Warped",
    "appearance",
    "colours",
    "local_contrast",
    "mutually_visible",
    "photometric_consistency",
    "render_flow",
    "sample",
    "warp",
]
