"""The web page that shows a sequence of predictions."""

from warpgrasp.view.content import ViewContent
from warpgrasp.view.page import PageOptions, saved_page
from warpgrasp.view.server import FrameServer

__all__ = [
    "FrameServer",
    "PageOptions",
    "ViewContent",
    "saved_page",
]
