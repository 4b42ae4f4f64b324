"""The tiny data set in DexYCB's layout."""

import pytest

from tests.data.dexycb.dexycb_files import DexYcbFiles, write_dexycb


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> DexYcbFiles:
    """The tiny data set. Read only: copy before changing."""
    return write_dexycb(tmp_path_factory.mktemp("dexycb") / "data")
