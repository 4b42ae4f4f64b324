"""`wg.reconstruct`: the same as the command, without files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import warpgrasp as wg
from tests.footage_files import SIZE, Brought, bring, lens, write_pictures
from warpgrasp.cli import main
from warpgrasp.errors import UserError
from warpgrasp.predictions.file import read_predictions


@pytest.fixture(scope="module")
def brought(tmp_path_factory: pytest.TempPathFactory) -> Brought:
    return bring(tmp_path_factory.mktemp("brought"))


@pytest.mark.slow
@pytest.mark.parametrize("side", ["right", "left"])
def test_the_same_as_the_command(brought: Brought, tmp_path: Path, side: str) -> None:
    folder = write_pictures(tmp_path / "shots", range(5))
    assert main(brought.words("--side", side, input=folder, out=tmp_path / "p.npz")) == 0
    expected, _ = read_predictions(tmp_path / "p.npz")
    images = [Image.open(path) for path in sorted(folder.iterdir())]
    given = {"object": brought.mesh, "weights": brought.weights, "side": side}
    for camera in (brought.camera, str(brought.camera), lens().intrinsics):
        found = wg.reconstruct(images, camera=camera, **given)
        assert len(found) == 5
        for name, array in found.arrays.items():
            if array.dtype.kind == "f":
                np.testing.assert_array_equal(array, getattr(expected, name), err_msg=name)


def grey(width: int = SIZE[0], height: int = SIZE[1]) -> np.ndarray:
    return np.full((height, width, 3), 90, np.uint8)


@pytest.mark.parametrize(
    ("images", "camera", "pattern"),
    [
        ([], lens().intrinsics, r"expected at least one picture in images, found none"),
        ([grey(), grey() / 255], lens().intrinsics, r"bytes of shape .* in images\[1\], found float64 of shape"),
        ([grey()[..., 0]], lens().intrinsics, r"found uint8 of shape \(48, 64\)"),
        ([grey(), grey(60)], lens().intrinsics, r"expected pictures of the camera's size, 64×48, in images\[1\]"),
        ([grey()], np.eye(3), r"expected focal lengths in pixels .* in camera, found 1 and 1"),
        ([grey()], "nowhere.json", r"expected nowhere\.json in \., found no such file"),
    ],
)
def test_what_does_not_fit(brought: Brought, images: list, camera: object, pattern: str) -> None:
    with pytest.raises(UserError, match=pattern):
        wg.reconstruct(images, camera=camera, object=brought.mesh, weights=brought.weights)  # type: ignore[arg-type]
