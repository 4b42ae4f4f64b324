"""The web page on which a few frames of a recording are annotated, and labels that other programs made."""

from typing import Any

from warpgrasp.annotate.imported import Imported, import_labels, listed
from warpgrasp.data.recording import Recording
from warpgrasp.hand import HandModel

__all__ = [
    "Imported",
    "import_labels",
    "listed",
    "serve",
]


def serve(recording: Recording, hand: HandModel, **options: Any) -> None:
    """Serve the annotation page of a recording; `session.serve` says more. It alone needs the extra `viewer`."""
    from warpgrasp.annotate.session import serve

    serve(recording, hand, **options)
