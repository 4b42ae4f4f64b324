"""The tiny data set in FPHAB's layout."""

import pytest

from tests.data.fphab.fphab_files import FphabSample, write_fphab
from warpgrasp.hand.model import HandModel


@pytest.fixture(scope="session")
def fphab_sample(hand: HandModel, tmp_path_factory: pytest.TempPathFactory) -> FphabSample:
    """The tiny data set. Read only: copy before changing."""
    return write_fphab(tmp_path_factory.mktemp("fphab") / "data", hand)
