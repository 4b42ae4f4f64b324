"""The web page that shows a sequence of predictions."""

from warpgrasp.view.content import Shown
from warpgrasp.view.page import PageOptions, page_of
from warpgrasp.view.server import FrameServer

__all__ = [
    "FrameServer",
    "PageOptions",
    "Shown",
    "page_of",
]
