"""A short training that nothing disturbed."""

from pathlib import Path

import pytest

from tests.training.runs import prepare, short_recipe, train_both


@pytest.fixture(scope="package")
def undisturbed(sample_root: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The hash of the weights that the short recipe ends with."""
    return train_both(prepare(sample_root, short_recipe()), tmp_path_factory.mktemp("undisturbed")).sha256
