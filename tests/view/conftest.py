"""The predictions of a small video that the exports are tested on, too."""

from tests.export.conftest import predicted

__all__ = ["predicted"]
