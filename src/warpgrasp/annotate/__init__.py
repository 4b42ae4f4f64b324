"""The web page on which a few frames of a recording are annotated."""

from warpgrasp.annotate.session import serve

__all__ = [
    "serve",
]
