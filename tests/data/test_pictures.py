"""Pictures: read whole or refused, as they are stored, and shrunk as the camera says."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from warpgrasp.data.pictures import read_picture
from warpgrasp.errors import DataError
from warpgrasp.frame import colours
from warpgrasp.geometry.camera import Camera


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(height: int, width: int) -> np.ndarray:
    v, u = np.mgrid[:height, :width] / 9.0
    return (127 + 60 * np.stack([np.sin(u), np.cos(v), np.sin(u + v)], axis=-1)).astype(np.uint8)


def by_pillow(path: Path) -> torch.Tensor:
    with Image.open(path) as opened:
        return torch.from_numpy(np.array(opened.convert("RGB"))).permute(2, 0, 1)


def saved(picture: np.ndarray, path: Path, **options) -> Path:
    Image.fromarray(picture).save(path, **options)
    return path


@pytest.mark.parametrize("ending", ["jpg", "png"])
@pytest.mark.parametrize("size", [(64, 48), (61, 47), (8, 8), (1, 1)])
def test_every_pixel_is_the_one_that_pillow_reads(tmp_path: Path, ending: str, size: tuple[int, int]) -> None:
    path = saved(noise(size[1], size[0]), tmp_path / f"a.{ending}")
    picture, on_disk = read_picture(path, None)
    assert on_disk == size
    assert torch.equal(picture, by_pillow(path))
    assert picture.is_contiguous()


@pytest.mark.parametrize("options", [{"progressive": True}, {"quality": 30, "subsampling": 2}, {"subsampling": 0}])
def test_every_kind_of_jpeg(tmp_path: Path, options: dict) -> None:
    path = saved(smooth(50, 70), tmp_path / "a.jpg", **options)
    assert torch.equal(read_picture(path, None)[0], by_pillow(path))


@pytest.mark.parametrize(
    ("mode", "ending"), [("L", "jpg"), ("CMYK", "jpg"), ("L", "png"), ("P", "png"), ("RGBA", "png")]
)
def test_other_kinds_of_colour_become_rgb(tmp_path: Path, mode: str, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    Image.fromarray(smooth(40, 50)).convert(mode).save(path)
    assert torch.equal(read_picture(path, None)[0], by_pillow(path))


def test_colours_are_divided_by_255_exactly() -> None:
    values = torch.arange(256, dtype=torch.uint8).view(1, 16, 16).expand(3, -1, -1)
    assert torch.equal(colours(values), values.float() / 255)


@pytest.mark.parametrize("ending", ["jpg", "png"])
@pytest.mark.parametrize("size", [None, (32, 24)])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_note_on_orientation_turns_nothing(
    tmp_path: Path, ending: str, size: tuple[int, int] | None, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    plain = saved(smooth(48, 64), tmp_path / f"plain.{ending}")
    noted = saved(smooth(48, 64), tmp_path / f"noted.{ending}", exif=exif)
    assert plain.read_bytes() != noted.read_bytes()
    with Image.open(noted) as opened:
        assert opened.getexif()[0x0112] == orientation
    assert torch.equal(read_picture(noted, size)[0], read_picture(plain, size)[0])
    assert read_picture(noted, size)[1] == (64, 48)


def dot(width: int, height: int, place: tuple[float, float], radius: float) -> np.ndarray:
    v, u = np.mgrid[:height, :width]
    blob = np.exp(-((u - place[0]) ** 2 + (v - place[1]) ** 2) / (2 * radius**2))
    return (255 * np.repeat(blob[..., None], 3, axis=2)).round().astype(np.uint8)


def centre_of(picture: torch.Tensor) -> torch.Tensor:
    image = picture.double().mean(dim=0)
    image = (image - 4).clamp_min(0)  # JPEG ripples about black
    v, u = torch.meshgrid(*(torch.arange(count).double() for count in image.shape), indexing="ij")
    return torch.stack([(u * image).sum(), (v * image).sum()]) / image.sum()


# Exactly 1/4, 1/2 and 1/8; a draft and a rest (1/5, 1/3); sizes that the draft's reduction does not divide, where it
# reaches beyond the picture; a stretch; an enlargement.
SIZES = [
    ((1920, 1080), (480, 270)),
    ((640, 480), (320, 240)),
    ((1024, 768), (128, 96)),
    ((640, 480), (128, 96)),
    ((639, 477), (213, 159)),
    ((637, 475), (157, 117)),
    ((643, 485), (200, 150)),
    ((320, 240), (100, 110)),
    ((160, 120), (320, 240)),
]


@pytest.mark.parametrize("ending", ["jpg", "png"])
@pytest.mark.parametrize(("on_disk", "size"), SIZES)
def test_a_dot_lands_where_the_camera_says(
    tmp_path: Path, ending: str, on_disk: tuple[int, int], size: tuple[int, int]
) -> None:
    camera = Camera(torch.tensor([[500.0, 0, 300], [0, 500, 200], [0, 0, 1]]), *on_disk)
    place = (0.83 * on_disk[0] + 0.3, 0.78 * on_disk[1] + 0.2)  # far from the corner: a wrong scale shows
    options = {"quality": 95} if ending == "jpg" else {"compress_level": 1}
    path = saved(dot(*on_disk, place, on_disk[0] / 40), tmp_path / f"a.{ending}", **options)
    picture, original = read_picture(path, size)
    assert original == on_disk
    assert picture.shape == (3, size[1], size[0])
    ray = camera.rays(torch.tensor([place]))
    expected = camera.resized(*size).project(ray)[0].double()
    assert_close(centre_of(picture), expected, rtol=0, atol=0.05)


@pytest.mark.parametrize("size", [None, (32, 24)])
def test_the_decoders_agree(tmp_path: Path, monkeypatch, size: tuple[int, int] | None) -> None:
    paths = [saved(noise(96, 128), tmp_path / f"a.{ending}") for ending in ("jpg", "png")]
    before = [read_picture(path, size)[0] for path in paths]
    monkeypatch.setattr(cv2, "imdecode", lambda *_: None)
    for path, picture in zip(paths, before, strict=True):
        assert torch.equal(read_picture(path, size)[0], picture)


@pytest.mark.parametrize("size", [None, (32, 24)])
@pytest.mark.parametrize("ending", ["jpg", "png"])
@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.97])
def test_truncated_files_are_refused(tmp_path: Path, ending: str, kept: float, size: tuple[int, int] | None) -> None:
    path = saved(noise(96, 128), tmp_path / f"broken.{ending}")
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(DataError, match=rf"expected a whole picture in .*broken\.{ending}: \w+"):
        read_picture(path, size)


@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_a_decoder_that_takes_half_a_file_is_not_asked(tmp_path: Path, monkeypatch, ending: str) -> None:
    path = saved(noise(96, 128), tmp_path / f"broken.{ending}")
    path.write_bytes(path.read_bytes()[:3000])
    monkeypatch.setattr(cv2, "imdecode", lambda *_: np.full((96, 128, 3), 128, np.uint8))  # as some versions do
    with pytest.raises(DataError, match=rf"expected a whole picture in .*broken\.{ending}: \w+"):
        read_picture(path, None)


def test_half_a_file_that_ends_like_a_whole_one_is_refused(tmp_path: Path) -> None:
    path = saved(noise(96, 128), tmp_path / "broken.png")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + data[-12:])
    with pytest.raises(DataError, match=r"expected a whole picture in .*broken\.png: "):
        read_picture(path, None)


@pytest.mark.parametrize("size", [None, (32, 24)])
def test_a_png_is_believed_only_with_its_checksums(tmp_path: Path, monkeypatch, size: tuple[int, int] | None) -> None:
    """A changed pixel, which inflates and which Pillow would read; a changed length, for which OpenCV asks memory."""
    path = saved(noise(96, 128), tmp_path / "broken.png", compress_level=0)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("asked"))
    with pytest.raises(DataError, match=r"broken\.png: wrong checksum of the \d+ bytes from byte 41 on"):
        read_picture(path, size)
    data[len(data) // 2] ^= 1
    data[33] = 0x7F  # the first byte of the length of the pixels
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"broken\.png: it ends after \d+ bytes, \d+ too early"):
        read_picture(path, size)


def test_a_decoder_that_gives_nothing_is_no_picture(tmp_path: Path, monkeypatch) -> None:
    path = saved(noise(20, 30), tmp_path / "a.jpg")
    monkeypatch.setattr(cv2, "imdecode", lambda *_: None)
    assert torch.equal(read_picture(path, None)[0], by_pillow(path))


@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_bytes_after_the_end_are_ignored(tmp_path: Path, ending: str) -> None:
    path = saved(noise(20, 30), tmp_path / f"a.{ending}")
    expected = by_pillow(path)
    path.write_bytes(path.read_bytes() + b"\0\0")
    assert torch.equal(read_picture(path, None)[0], expected)


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\xd8\xff\xd9", b"\x89PNG\r\n\x1a\n"])
def test_files_that_are_no_pictures_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "text.jpg").write_bytes(content)
    with pytest.raises(DataError, match=r"expected a whole picture in .*text\.jpg"):
        read_picture(tmp_path / "text.jpg", None)


def test_a_picture_too_large_to_be_one_is_refused(tmp_path: Path, monkeypatch) -> None:
    path = saved(noise(48, 64), tmp_path / "huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match=r"expected a whole picture in .*huge\.png"):
        read_picture(path, None)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected the picture .*none\.jpg, found no such file"):
        read_picture(tmp_path / "none.jpg", None)
    with pytest.raises(DataError, match=str(tmp_path.name)):
        read_picture(tmp_path, None)
