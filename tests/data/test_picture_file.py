"""Picture files of every kind that people have: the colours that are shown, or a refusal by name."""

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from warpgrasp.data.pictures import read_picture, read_upright
from warpgrasp.errors import DataError

ORIENTATION = 0x0112


def patches() -> np.ndarray:
    """Six squares of 16 pixels, each of another colour: no turn or mirroring leaves them as they are."""
    colours = np.array([[[250, 10, 20], [30, 220, 40], [50, 60, 230]], [[200, 180, 20], [128, 128, 128], [10, 5, 0]]])
    return colours.astype(np.uint8).repeat(16, axis=0).repeat(16, axis=1)


def read_both_ways(path: Path) -> np.ndarray:
    """A picture by both readers, which must agree."""
    upright = read_upright(path)
    assert np.array_equal(read_picture(path, None)[0].permute(1, 2, 0).numpy(), upright)
    return upright


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_grey_of_16_bits_is_scaled(tmp_path: Path, ending: str) -> None:
    levels = np.array([[0, 128, 129, 257 * 100, 40_000, 65_535]], np.uint16)
    Image.fromarray(levels).save(tmp_path / f"a.{ending}")
    found = read_both_ways(tmp_path / f"a.{ending}")
    assert np.array_equal(found[0, :, 0], [0, 0, 1, 100, 156, 255])  # 40000 / 257 = 155.6
    assert np.array_equal(found[..., 0], found[..., 2])


def test_grey_of_16_bits_whose_white_is_zero(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 5), 257 * 30, np.uint16)).save(tmp_path / "a.tif", tiffinfo={262: 0})
    assert (read_both_ways(tmp_path / "a.tif") == 225).all()


@pytest.mark.parametrize("ending", ["png", "tiff"])
def test_colours_of_16_bits_are_scaled(tmp_path: Path, ending: str) -> None:
    deep = patches().astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / f"a.{ending}"), np.ascontiguousarray(deep[..., ::-1]))
    assert np.array_equal(read_both_ways(tmp_path / f"a.{ending}"), patches())


def test_numbers_that_are_no_colours_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 5), 0.5, np.float32)).save(tmp_path / "depth.tif")
    Image.fromarray(np.full((4, 5), 70_000, np.int32)).save(tmp_path / "count.tif")
    with pytest.raises(DataError, match=r"8 or 16 bits in .*depth\.tif, found floating-point numbers; convert it"):
        read_upright(tmp_path / "depth.tif")
    with pytest.raises(DataError, match=r"8 or 16 bits in .*count\.tif, found numbers of 32 bits; convert it"):
        read_upright(tmp_path / "count.tif")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["png", "tif", "webp"])
def test_every_orientation_shows_the_same_picture(tmp_path: Path, ending: str, orientation: int) -> None:
    """Stored by the inverse of what each tag asks (Exif 2.32, 4.6.4), worked out by NumPy."""
    shown = patches()
    stored = {
        1: shown,
        2: shown[:, ::-1],
        3: shown[::-1, ::-1],
        4: shown[::-1],
        5: shown.transpose(1, 0, 2),
        6: np.rot90(shown, 1),
        7: shown[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(shown, -1),
    }[orientation]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options = {"lossless": True} if ending == "webp" else {}
    path = tmp_path / f"a.{ending}"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, **options)
    assert np.array_equal(read_upright(path), shown)


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK"])
def test_other_kinds_of_colour(tmp_path: Path, mode: str) -> None:
    ending = "tif" if mode == "CMYK" else "png"
    Image.fromarray(patches()).convert(mode).save(tmp_path / f"a.{ending}")
    expected = np.asarray(Image.fromarray(patches()).convert(mode).convert("RGB"))
    assert np.array_equal(read_both_ways(tmp_path / f"a.{ending}"), expected)


def test_transparency_is_refused_and_an_opaque_channel_is_not(tmp_path: Path) -> None:
    pixels = np.dstack([patches(), np.full((32, 48), 255, np.uint8)])
    Image.fromarray(pixels).save(tmp_path / "opaque.png")
    assert np.array_equal(read_both_ways(tmp_path / "opaque.png"), patches())
    pixels[3, 4, 3] = 254
    Image.fromarray(pixels).save(tmp_path / "a.png")
    palette = Image.fromarray(patches()).quantize(8)
    palette.save(tmp_path / "b.png", transparency=palette.getpixel((0, 0)))
    for name in ("a.png", "b.png"):
        for read in (read_upright, lambda path: read_picture(path, None)):
            with pytest.raises(DataError, match=rf"an opaque picture in .*{name}, found a partly transparent one"):
                read(tmp_path / name)


@pytest.mark.parametrize("ending", ["png", "webp", "tif"])
def test_animations_are_refused(tmp_path: Path, ending: str) -> None:
    first, second = Image.fromarray(patches()), Image.fromarray(255 - patches())
    first.save(tmp_path / f"a.{ending}", save_all=True, append_images=[second])
    for read in (read_upright, lambda path: read_picture(path, None)):
        with pytest.raises(DataError, match=rf"expected one picture in .*a\.{ending}, found 2, an animation or pages"):
            read(tmp_path / f"a.{ending}")


def test_a_jpeg_with_a_second_picture_beside_the_first(tmp_path: Path) -> None:
    """As phones write it: a gain map or a preview follows (MPO)."""
    pixels = io.BytesIO()
    Image.fromarray(patches()).save(pixels, "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))])
    (tmp_path / "a.jpg").write_bytes(pixels.getvalue())
    assert np.abs(read_upright(tmp_path / "a.jpg")[4::16, 4::16].astype(int) - patches()[4::16, 4::16]).max() < 20


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"exif": True}])
@pytest.mark.parametrize("kept", [0.3, 0.7, 0.97])
@pytest.mark.parametrize("filled", [False, True])
def test_a_jpeg_that_is_cut_off_or_filled_up_with_zeros(
    tmp_path: Path, options: dict, kept: float, filled: bool
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    path = tmp_path / "a.jpg"
    Image.fromarray(noise).save(path, **({"exif": Image.Exif()} if "exif" in options else options))
    data = path.read_bytes()
    part = data[: int(kept * len(data))]
    path.write_bytes(part + bytes(len(data) - len(part)) if filled else part)
    for read in (read_upright, lambda file: read_picture(file, None)):
        with pytest.raises(DataError, match=r"expected a whole picture in .*a\.jpg: it has no end: it is cut off"):
            read(path)


def png_with_pixels_of(width: int, height: int) -> bytes:
    """A PNG whose note (pHYs) says how many pixels make the same length across and down."""
    content = io.BytesIO()
    Image.fromarray(patches()).save(content, "PNG")
    data, note = content.getvalue(), b"pHYs" + struct.pack(">IIB", width, height, 0)
    return data[:33] + struct.pack(">I", 9) + note + struct.pack(">I", zlib.crc32(note)) + data[33:]


def test_pixels_that_are_not_square_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png_with_pixels_of(4, 3))
    with pytest.raises(DataError, match=r"square pixels in .*a\.png, but its note on resolution says 4:3; write it"):
        read_upright(tmp_path / "a.png")
    Image.fromarray(patches()).save(tmp_path / "b.jpg", dpi=(72, 96))
    with pytest.raises(DataError, match=r"square pixels in .*b\.jpg, but its note on resolution says 72:96"):
        read_upright(tmp_path / "b.jpg")
    for note in ((72, 72), (2835, 2834), (0, 0)):
        (tmp_path / "c.png").write_bytes(png_with_pixels_of(*note))
        assert np.array_equal(read_upright(tmp_path / "c.png"), patches())


def test_a_heic_picture_says_what_it_needs(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    for name in ("a.HEIC", "sent.jpg"):
        (tmp_path / name).write_bytes(b"\0\0\0\x24ftypheic\0\0\0\0mif1heic" + bytes(100))
        with pytest.raises(DataError, match=rf"JPEG or PNG picture in .*{name}, found a HEIC one.*warpgrasp\[heic\]"):
            read_upright(tmp_path / name)


def test_a_heic_picture_is_read_by_the_extra(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason="needs the extra heic")
    pillow_heif.from_pillow(Image.fromarray(patches())).save(tmp_path / "a.heic", quality=-1, chroma=444)
    found = read_upright(tmp_path / "a.heic")
    assert found.shape == (32, 48, 3)
    assert np.abs(found[8::16, 8::16].astype(int) - patches()[8::16, 8::16]).max() <= 4
    (tmp_path / "a.heic").write_bytes((tmp_path / "a.heic").read_bytes()[:300])
    with pytest.raises(DataError, match=r"expected a whole picture in .*a\.heic: found a damaged HEIC picture"):
        read_upright(tmp_path / "a.heic")


def test_the_orientation_is_pillows(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 7
    Image.fromarray(patches()).save(tmp_path / "a.jpg", exif=exif)
    with Image.open(tmp_path / "a.jpg") as opened:
        assert np.array_equal(read_upright(tmp_path / "a.jpg"), np.asarray(ImageOps.exif_transpose(opened)))
