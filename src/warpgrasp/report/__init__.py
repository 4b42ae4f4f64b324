"""Pictures of results: overlays, charts, pages and the paper's figures."""

from warpgrasp.report.charts import ARM_COLOURS, Curve
from warpgrasp.report.comparison import (
    FADED,
    RESIDUAL_COLOURS,
    RESIDUAL_LIMIT,
    batched,
    choose_frames,
    compare_pair,
    pixels_of,
    residual_colours,
    title,
)
from warpgrasp.report.overlay import HAND_COLOUR, OBJECT_COLOUR, Window, labels_of, overlay, predicted_scene
from warpgrasp.report.page import Protocol, Report, ReportedArm, write_report
from warpgrasp.report.paper_figures import save_overlays, save_refinement, save_shapes

__all__ = [
    "ARM_COLOURS",
    "FADED",
    "HAND_COLOUR",
    "OBJECT_COLOUR",
    "RESIDUAL_COLOURS",
    "RESIDUAL_LIMIT",
    "Curve",
    "Protocol",
    "Report",
    "ReportedArm",
    "Window",
    "batched",
    "choose_frames",
    "compare_pair",
    "labels_of",
    "overlay",
    "pixels_of",
    "predicted_scene",
    "residual_colours",
    "save_overlays",
    "save_refinement",
    "save_shapes",
    "title",
    "write_report",
]
