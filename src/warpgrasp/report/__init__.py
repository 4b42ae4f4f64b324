"""Pictures of results: overlays, charts, pages and the paper's figures."""

from warpgrasp.report.charts import ARM_COLOURS, TrainingCurve
from warpgrasp.report.comparison import (
    FADED,
    RESIDUAL_COLOURS,
    RESIDUAL_LIMIT,
    choose_frames,
    compare_pair,
    pixels_of,
    residual_colours,
)
from warpgrasp.report.overlay import (
    HAND_COLOUR,
    OBJECT_COLOUR,
    OTHER_HAND_COLOUR,
    Window,
    labels_of,
    overlay,
    predicted_scene,
)
from warpgrasp.report.page import Report, ReportedArm, ReportedProtocol, write_report
from warpgrasp.report.paper_figures import save_overlays, save_refinement, save_shapes

__all__ = [
    "ARM_COLOURS",
    "FADED",
    "HAND_COLOUR",
    "OBJECT_COLOUR",
    "OTHER_HAND_COLOUR",
    "RESIDUAL_COLOURS",
    "RESIDUAL_LIMIT",
    "Report",
    "ReportedArm",
    "ReportedProtocol",
    "TrainingCurve",
    "Window",
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
    "write_report",
]
