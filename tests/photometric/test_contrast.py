import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch.testing import assert_close

from tests.photometric.scenes import smooth_image
from warpgrasp.errors import DataError
from warpgrasp.photometric.consistency import PHOTOMETRIC_TERMS, appearance, colours, local_contrast

SIGMA_PX = 2.0


def noise(*, batch: int = 2, height: int = 20, width: int = 30) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(batch, 3, height, width, generator=generator, dtype=torch.float64)


def test_it_is_what_scipys_gaussian_gives():
    image = noise(batch=1)[0].numpy()

    def smoothed(values: np.ndarray) -> np.ndarray:
        return np.stack([gaussian_filter(one, SIGMA_PX, mode="nearest", truncate=2.5) for one in values])

    mean = smoothed(image)
    deviation = np.sqrt((smoothed(image**2) - mean**2).mean(axis=0))
    expected = torch.from_numpy((image - mean) / (deviation + 0.05))
    assert_close(local_contrast(torch.from_numpy(image)[None], sigma_px=SIGMA_PX)[0], expected)


def test_what_is_not_seen_has_no_share_in_any_window():
    """Its colours change nothing elsewhere, where contrasts are those of a mean over what is seen."""
    image, seen = noise(batch=1), torch.ones(1, 20, 30, dtype=torch.bool)
    seen[:, 5:12, 10:22] = False
    other = torch.where(seen[:, None], image, 1 - image)
    found, changed = (local_contrast(one, sigma_px=SIGMA_PX, seen=seen) for one in (image, other))
    where = seen[:, None].expand_as(image)
    assert torch.equal(found[where], changed[where])
    everywhere = local_contrast(image, sigma_px=SIGMA_PX, seen=torch.ones_like(seen))
    assert_close(everywhere, local_contrast(image, sigma_px=SIGMA_PX))

    def smoothed(values: np.ndarray) -> np.ndarray:
        return gaussian_filter(values, SIGMA_PX, mode="nearest", truncate=2.5)

    weight, channels = seen[0].double().numpy(), image[0].numpy()
    means, squares = (
        np.stack([smoothed(weight * one) / smoothed(weight).clip(1e-3) for one in some])
        for some in (channels, channels**2)
    )
    expected = (channels - means) / (np.sqrt((squares - means**2).mean(axis=0).clip(0)) + 0.05)
    assert_close(found[where], torch.from_numpy(expected)[None][where])


def test_more_light_everywhere_changes_nothing():
    assert_close(local_contrast(noise() + 0.3, sigma_px=SIGMA_PX), local_contrast(noise(), sigma_px=SIGMA_PX))


def test_half_the_light_changes_little_where_there_is_texture():
    image = noise()
    contrast = local_contrast(image, sigma_px=SIGMA_PX)
    changed = (local_contrast(image / 2, sigma_px=SIGMA_PX) - contrast).abs().mean() / contrast.abs().mean()
    assert 0.05 < changed < 0.2  # colours change by half
    assert local_contrast(torch.full_like(image, 0.7), sigma_px=SIGMA_PX).abs().max() < 1e-6


def test_each_picture_of_a_batch_for_itself():
    image = noise()
    alone = torch.cat([local_contrast(one[None], sigma_px=SIGMA_PX) for one in image])
    assert_close(local_contrast(image, sigma_px=SIGMA_PX), alone)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_shares_of_a_mean_difference(share: float):
    first, second = noise(), smooth_image(3, batch=2, height=20, width=30)

    def difference(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a - b).abs().mean(dim=1)

    contrasts = [local_contrast(image, sigma_px=SIGMA_PX) for image in (first, second)]
    expected = (1 - share) * difference(first, second) + share * 0.2 * difference(*contrasts)
    found = difference(*(appearance(image, contrast_share=share, sigma_px=SIGMA_PX) for image in (first, second)))
    assert_close(found, expected)


def test_without_a_share_it_is_the_picture_itself():
    image = noise()
    assert appearance(image, contrast_share=0.0) is image
    assert colours(image, contrast_share=0.0) is image


def test_colours_alone_have_no_share_of_contrast():
    with pytest.raises(DataError, match=r"where colours alone are compared, got 0\.5; set --photometric"):
        colours(noise(), contrast_share=0.5)


def test_the_terms_that_recipes_name():
    assert list(PHOTOMETRIC_TERMS) == ["colours+contrast", "colours"]
    image = noise()
    for share in (0.0, 0.4):
        found = PHOTOMETRIC_TERMS["colours+contrast"](image, contrast_share=share)
        assert_close(found, appearance(image, contrast_share=share), atol=0, rtol=0)
