"""Says what is in a data set's folder, and what is missing."""

from collections.abc import Iterator
from pathlib import Path

from warpgrasp.data.ho3d import Ho3d
from warpgrasp.data.ho3d_doctor import examine_ho3d
from warpgrasp.data.layouts import Layout, layout_of
from warpgrasp.hand import HandModel


def examine(root: Path, hand: HandModel, *, layout: Layout | None = None, protocol: str | None = None) -> Iterator[str]:
    """Lines about a data set. Raises `DataError` with a count of everything missing, each kind named once."""
    match layout or layout_of(root):
        case "ho3d":
            yield from examine_ho3d(Ho3d(root, hand, protocol=protocol or "ho3d/official"))
