"""`warpgrasp camera`: chequerboards drawn through known lenses, EXIF data written by hand, stated focal lengths."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from tests.data.recording.chequerboard_scene import CORNERS, FLAT, TILTED, BrownLens
from tests.data.recording.recording_files import write_video
from warpgrasp.cli import main
from warpgrasp.cli.camera import calibration_lines
from warpgrasp.data.recording.camera import focal_from_exif, read_lens
from warpgrasp.data.recording.chequerboard import BoardView, calibrate, find_board
from warpgrasp.errors import DataError
from warpgrasp.export.datasets import VideoWriter

K = np.array([[462.0, 0, 231.0], [0, 455.0, 187.0], [0, 0, 1]])
SIZE = (480, 360)
BENT = BrownLens(K, *SIZE, (-0.21, 0.07, 0.002, -0.0015, 0.0))
STRAIGHT = BrownLens(K, *SIZE)


def views_of(lens: BrownLens, poses: Sequence, *, noise_px: float = 0.05) -> list[BoardView]:
    random = np.random.default_rng(0)
    corners = [lens.corners(turn, place) for turn, place in poses]
    return [
        BoardView(f"picture {number}", one + random.normal(0, noise_px, one.shape))
        for number, one in enumerate(corners)
    ]


@pytest.fixture(scope="module")
def bent_pictures() -> list[np.ndarray]:
    return [BENT.picture(turn, place) for turn, place in TILTED]


def write_pictures(folder: Path, images: Sequence[np.ndarray]) -> Path:
    folder.mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"board {number}.png")
    return folder


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
def test_a_known_lens_is_found_again(bent_pictures: list[np.ndarray], tmp_path: Path, capsys) -> None:
    """K within half a per cent, and every ray within a pixel."""
    board, recording = write_pictures(tmp_path / "board", bent_pictures), tmp_path / "mug"
    recording.mkdir()
    assert main(["camera", str(recording), "--board", str(board), "--corners", "9", "6"]) == 0
    lens = read_lens(recording)
    np.testing.assert_allclose(lens.intrinsics[[0, 1], [0, 1]], K[[0, 1], [0, 1]], rtol=0.005)
    np.testing.assert_allclose(lens.intrinsics[:2, 2], K[:2, 2], atol=0.005 * SIZE[0])
    assert all(number == round(number, 6) for number in lens.intrinsics.ravel())  # equal in every run
    assert (lens.width, lens.height) == SIZE
    assert len(lens.distortion) == 4
    # Where the calibrated lens sees the rays of every pixel of the true one, up to a turn that no board tells.
    found = BrownLens(lens.intrinsics, *SIZE, (*lens.distortion, 0.0))
    rays = BENT.rays[1::3, 1::3]
    away = found.seen_at(rays) - BENT.seen_at(rays)
    assert np.linalg.norm(away - away.mean(axis=(0, 1)), axis=-1).max() < 1
    page = said(capsys)
    assert f"found the board of 9×6 inner corners in {len(TILTED)} of {len(TILTED)} pictures" in page
    error = re.search(r"reprojection error (\d\.\d\d) px", page)
    assert error is not None
    assert float(error[1]) < 0.15
    assert "warning" not in page


@pytest.mark.slow
def test_a_video_of_the_board(bent_pictures: list[np.ndarray], tmp_path: Path, capsys) -> None:
    """A still camera counts once: each picture is shown three times."""
    recording = tmp_path / "mug"
    recording.mkdir()
    with VideoWriter(tmp_path / "board.mp4", SIZE) as video:
        for number in range(3 * len(bent_pictures)):
            video.add(bent_pictures[number // 3], time_s=number / 30)
    assert main(["camera", str(recording), "--board", str(tmp_path / "board.mp4")]) == 0
    np.testing.assert_allclose(read_lens(recording).intrinsics[[0, 1], [0, 1]], K[[0, 1], [0, 1]], rtol=0.005)
    assert f"in {len(TILTED)} views" in said(capsys)


def test_flat_boards_are_refused() -> None:
    views = views_of(STRAIGHT, FLAT)
    assert len(views) == len(FLAT)
    with pytest.raises(DataError, match=r"boards tilted against each other.*found boards .*tilt the board by 30°"):
        calibrate(views, CORNERS, size=SIZE)


@pytest.mark.slow
def test_too_few_views_are_refused(bent_pictures: list[np.ndarray]) -> None:
    points = find_board(bent_pictures[0], CORNERS)
    assert points is not None
    same = [BoardView(str(number), points + 0.1 * number) for number in range(20)]
    with pytest.raises(DataError, match=r"at least 6 different places of the picture, found it in 1; .*10×7 squares"):
        calibrate(same, CORNERS, size=SIZE)
    with pytest.raises(DataError, match=r"found it in 0"):
        calibrate([], CORNERS, size=SIZE)


def test_a_blurred_view_is_left_out() -> None:
    views = views_of(STRAIGHT, TILTED)
    worse = BoardView("blurred", views[2].corners_px + np.random.default_rng(0).normal(0, 8, (54, 2)))
    found = calibrate([*views, worse], CORNERS, size=SIZE, coefficients=0)
    assert "blurred" not in [view.picture for view in found.views]
    np.testing.assert_allclose(found.lens.intrinsics[[0, 1], [0, 1]], K[[0, 1], [0, 1]], rtol=0.005)
    assert found.lens.distortion == ()
    assert found.focal_deviation < 0.005


@dataclass(frozen=True)
class WideLens:
    """A lens of 560 px whose pictures bend as a wide camera's do: by the angle, r = θ(1 + 0.05 θ² − 0.01 θ⁴)."""

    focal_px: float = 560.0
    size: tuple[int, int] = (1280, 720)

    def views(self, count: int) -> list[BoardView]:
        random, views = np.random.default_rng(0), []
        while len(views) < count:
            turn, place = random.uniform(-40, 40, 3), random.uniform((-6, -4, 5), (6, 4, 11))
            straight = STRAIGHT.corners(turn, place) - K[:2, 2]
            straight = straight / K[[0, 1], [0, 1]]
            radius = np.linalg.norm(straight, axis=1, keepdims=True)
            angle = np.arctan(radius)
            bent = straight / radius * angle * (1 + 0.05 * angle**2 - 0.01 * angle**4)
            corners = self.focal_px * bent + np.array(self.size) / 2
            if (corners > 0).all() and (corners < self.size).all():
                views.append(BoardView(str(len(views)), corners + random.normal(0, 0.1, corners.shape)))
        return views


WIDE = WideLens()


@pytest.mark.slow
def test_a_wide_lens_gets_as_many_coefficients_as_it_needs() -> None:
    found = calibrate(WIDE.views(11), CORNERS, size=WIDE.size)
    assert found.coefficients in (8, "fisheye")
    assert found.better is None
    np.testing.assert_allclose(found.lens.intrinsics[[0, 1], [0, 1]], 560, rtol=0.002)
    assert found.focal_deviation < 0.002
    assert found.held_out_px[found.coefficients] < 0.2 < found.held_out_px[4]


def test_too_few_coefficients_are_told_and_the_focal_length_is_not_called_sure() -> None:
    found = calibrate(WIDE.views(11), CORNERS, size=WIDE.size, coefficients=4)
    error = abs(found.lens.intrinsics[[0, 1], [0, 1]].mean() / 560 - 1)
    assert error > 0.002
    assert found.focal_deviation > 0.5 * error
    assert found.better is not None
    lines = calibration_lines(found)
    (warning,) = [line for line in lines if "needs" in line]
    assert re.search(r"^warning: the residuals say that the lens needs .*\(--coefficients (8|fisheye)\)", warning)


def test_a_straight_lens_gets_no_coefficients() -> None:
    found = calibrate(views_of(STRAIGHT, TILTED), CORNERS, size=SIZE)
    assert found.coefficients == 0
    assert found.lens.distortion == ()


@pytest.mark.slow
def test_boards_counted_from_behind_are_turned_round() -> None:
    """Every second view has its rows counted from right to left, as a mirrored board: the camera is the same."""
    views = views_of(BENT, TILTED)
    mirrored = [
        BoardView(view.picture, view.corners_px.reshape(6, 9, 2)[:, :: (-1) ** number].reshape(-1, 2))
        for number, view in enumerate(views)
    ]
    straight, found = (calibrate(way, CORNERS, size=SIZE, coefficients=4) for way in (views, mirrored))
    np.testing.assert_allclose(found.lens.intrinsics, straight.lens.intrinsics, rtol=1e-9)
    assert found.largest_turn_deg == pytest.approx(straight.largest_turn_deg, abs=1e-6)
    flat = [
        BoardView(view.picture, view.corners_px.reshape(6, 9, 2)[:, :: (-1) ** number].reshape(-1, 2))
        for number, view in enumerate(views_of(STRAIGHT, FLAT))
    ]
    with pytest.raises(DataError, match=r"boards tilted against each other"):
        calibrate(flat, CORNERS, size=SIZE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], r"expected one of --board, .*got none: .*unknown focal length means unknown metric scale"),
        (["--focal-px", "500", "--field-of-view-deg", "60"], r"got --focal-px and --field-of-view-deg"),
        (["--focal-px", "500"], r"the recording's pictures in its folder, or their size by --size WIDTH HEIGHT"),
        (["--focal-px", "5", "--size", "640", "480"], r"between 64 and 25600 pixels for a picture 640 wide, got 5"),
        (["--field-of-view-deg", "180", "--size", "640", "480"], r"between 1° and 170°, got 180"),
        (["--board", "nowhere.txt"], r"a video \(\.mp4, .*\) or a folder of pictures of a chequerboard"),
        (["--board", "nowhere.mp4"], r"expected the video nowhere\.mp4, found no such file"),
        (["--board", "nowhere.mp4", "--corners", "2", "6"], r"at least 3 inner corners"),
        (["--exif", "nowhere.jpg"], r"expected the picture nowhere\.jpg, found no such file"),
    ],
)
def test_what_is_refused(arguments: list[str], message: str, tmp_path: Path, capsys) -> None:
    assert main(["camera", str(tmp_path), *arguments]) in (1, 2)
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "camera.json").exists()


def test_pictures_of_another_size_are_refused(
    bent_pictures: list[np.ndarray], small: Path, tmp_path: Path, capsys
) -> None:
    board = write_pictures(tmp_path / "board", bent_pictures[:1])
    before = (small / "camera.json").read_text()
    assert main(["camera", str(small), "--board", str(board)]) == 1
    assert re.search(r"camera\.json exists already; overwrite it by --force", capsys.readouterr().err)
    assert main(["camera", str(small), "--board", str(board), "--force"]) == 1
    assert re.search(r"pictures of 64×48, as the recording's, .*found 480×360 in board 0\.png", capsys.readouterr().err)
    assert (small / "camera.json").read_text() == before


def test_a_picture_without_a_board(tmp_path: Path, capsys) -> None:
    board = write_pictures(tmp_path / "board", [np.zeros((60, 80, 3), np.uint8)])
    assert main(["camera", str(tmp_path), "--board", str(board)]) == 1
    captured = capsys.readouterr()
    assert "in 0 of 1 pictures" in captured.out
    assert "found it in 0; move it about" in captured.err


@pytest.mark.parametrize(
    ("arguments", "focal_px"),
    [
        (["--focal-px", "700"], 700.0),
        (["--focal-35mm", "26"], 26 / np.hypot(36, 24) * 800),  # a diagonal of 800 pixels
        (["--field-of-view-deg", "90"], 320.0),
    ],
)
def test_stated_focal_lengths(arguments: list[str], focal_px: float, tmp_path: Path, capsys) -> None:
    assert main(["camera", str(tmp_path), *arguments, "--size", "640", "480"]) == 0
    lens = read_lens(tmp_path)
    np.testing.assert_allclose(lens.intrinsics, [[focal_px, 0, 319.5], [0, focal_px, 239.5], [0, 0, 1]], rtol=1e-12)
    assert "unknown focal length means unknown metric scale" in said(capsys)


def test_the_size_is_that_of_the_recordings_pictures(tmp_path: Path, capsys) -> None:
    write_video(tmp_path / "video.mp4", [0.0, 0.1], size=(64, 48), turned_deg=90)
    assert main(["camera", str(tmp_path), "--focal-px", "60"]) == 0
    assert (read_lens(tmp_path).width, read_lens(tmp_path).height) == (48, 64)
    assert main(["camera", str(tmp_path), "--focal-px", "60", "--size", "64", "48", "--force"]) == 1
    assert "expected --size 48 64" in capsys.readouterr().err


def photograph(path: Path, tags: dict[int, object], size: tuple[int, int] = (400, 300), *, turned: int = 1) -> Path:
    exif = Image.Exif()
    exif[0x0112] = turned  # Orientation
    exif.get_ifd(0x8769).update(tags)
    Image.new("RGB", size).save(path, exif=exif)
    return path


EQUIVALENT, FOCAL, RESOLUTION, UNIT, STORED_WIDTH = 0xA405, 0x920A, 0xA20E, 0xA210, 0xA002


def rational(value: float) -> IFDRational:
    fraction = Fraction(value).limit_denominator(10000)
    return IFDRational(fraction.numerator, fraction.denominator)


@pytest.mark.parametrize(
    ("tags", "focal_px"),
    [
        ({EQUIVALENT: 24}, 24 / np.hypot(36, 24) * 500),
        # 5 mm at 100 pixels per millimetre, three ways; the photograph was twice as wide when it was taken.
        ({FOCAL: rational(5), RESOLUTION: rational(2540), UNIT: 2, STORED_WIDTH: 800}, 250.0),
        ({FOCAL: rational(5), RESOLUTION: rational(2540), STORED_WIDTH: 800}, 250.0),  # inches where it does not say
        ({FOCAL: rational(5), RESOLUTION: rational(1000), UNIT: 3, STORED_WIDTH: 800, EQUIVALENT: 90}, 250.0),
        ({FOCAL: rational(5), RESOLUTION: rational(100), UNIT: 4}, 500.0),
    ],
)
def test_exif(tags: dict[int, object], focal_px: float, tmp_path: Path, capsys) -> None:
    file = photograph(tmp_path / "photo.jpg", tags)
    assert main(["camera", str(tmp_path), "--exif", str(file)]) == 0
    lens = read_lens(tmp_path)
    np.testing.assert_allclose(lens.intrinsics[[0, 1], [0, 1]], focal_px, rtol=1e-9)
    assert (lens.width, lens.height) == (400, 300)
    page = said(capsys)
    assert "photo.jpg says:" in page
    assert "unknown metric scale" in page


def test_exif_of_an_upright_photograph_for_a_smaller_video(tmp_path: Path, capsys) -> None:
    """Turned by its EXIF data to 300×400; the video's 90×160 show its longer side."""
    file = photograph(tmp_path / "photo.jpg", {EQUIVALENT: 24}, turned=6)
    words = ["camera", str(tmp_path), "--exif", str(file), "--size", "90", "160"]
    assert main(words) == 0
    assert json.loads((tmp_path / "camera.json").read_text())["fx"] == pytest.approx(24 / np.hypot(36, 24) * 500 * 0.4)
    assert "taken to show the photograph's whole longer side" in said(capsys)


WIDTH, HEIGHT, ZOOM = STORED_WIDTH, 0xA003, 0xA404


@pytest.mark.parametrize(
    ("size", "turned", "tags", "focal_px", "said_too"),
    [
        # The sensor's 4000×3000 whichever way the photograph is stored, turned or shown.
        ((300, 400), 1, {WIDTH: 4000, HEIGHT: 3000}, 500 * 24 / np.hypot(36, 24), "resized from 4000×3000"),
        ((400, 300), 6, {WIDTH: 4000, HEIGHT: 3000}, 500 * 24 / np.hypot(36, 24), "resized from 4000×3000"),
        ((400, 300), 8, {WIDTH: 3000, HEIGHT: 4000}, 500 * 24 / np.hypot(36, 24), "resized from 4000×3000"),
        # 4:3 cut to 16:9 at the camera's own scale: the diagonal is that of what was taken.
        ((400, 225), 1, {WIDTH: 400, HEIGHT: 300}, 500 * 24 / np.hypot(36, 24), "cut out of 400×300"),
    ],
)
def test_exif_of_turned_resized_and_cut_photographs(
    size: tuple[int, int], turned: int, tags: dict, focal_px: float, said_too: str, tmp_path: Path, capsys
) -> None:
    file = photograph(tmp_path / "photo.jpg", {EQUIVALENT: 24, **tags}, size, turned=turned)
    assert main(["camera", str(tmp_path), "--exif", str(file)]) == 0
    assert read_lens(tmp_path).intrinsics[0, 0] == pytest.approx(focal_px, rel=1e-9)
    page = said(capsys)
    assert f"photo.jpg was {said_too}" in page
    assert "--resize" not in page


def test_exif_of_a_photograph_cut_and_resized_is_refused(tmp_path: Path, capsys) -> None:
    file = photograph(tmp_path / "photo.jpg", {EQUIVALENT: 24, WIDTH: 4000, HEIGHT: 3000}, (300, 300))
    assert main(["camera", str(tmp_path), "--exif", str(file)]) == 1
    assert re.search(
        r"as the camera took it, 4000×3000, in .*found 300×300: it was cut out and", capsys.readouterr().err
    )


def test_exif_says_how_sure_it_is(tmp_path: Path) -> None:
    """4:3, 24 mm: by the diagonal 277.4 px; rounded 271.6 to 283.1; by the width 261.1 to 272.2."""
    found = focal_from_exif(photograph(tmp_path / "photo.jpg", {EQUIVALENT: 24}))
    assert found.least_px == pytest.approx(23.5 / 36 * 400)
    assert found.most_px == pytest.approx(24.5 * 500 / np.hypot(36, 24))
    assert "true to between -6 and +2 %" in found.sureness


def test_exif_that_contradicts_itself_or_was_zoomed_says_so(tmp_path: Path, capsys) -> None:
    tags = {FOCAL: rational(5), RESOLUTION: rational(100), UNIT: 4, EQUIVALENT: 24, ZOOM: rational(2)}
    file = photograph(tmp_path / "photo.jpg", tags)
    assert main(["camera", str(tmp_path), "--exif", str(file)]) == 0
    page = said(capsys)
    assert "its 35 mm equivalent says 277 px instead: one of both is wrong" in page
    assert "photo.jpg was zoomed 2 times by cutting out" in page
    assert focal_from_exif(file).most_px == pytest.approx(500 * 1.05 * 2)
    found = focal_from_exif(photograph(tmp_path / "photo.jpg", {EQUIVALENT: 24, ZOOM: rational(2)}))
    assert found.most_px == pytest.approx(24.5 * 500 / np.hypot(36, 24) * 2)
    assert found.notes == ("zoomed 2 times by cutting out, which may count or not",)


def test_exif_for_a_cropped_video(tmp_path: Path) -> None:
    """Half of the photograph's 400×300, whose middle is (199.5, 149.5), from (100, 75) on."""
    file = photograph(tmp_path / "photo.jpg", {EQUIVALENT: 24})
    words = ["--size", "200", "150", "--crop", "100", "75", "200", "150"]
    assert main(["camera", str(tmp_path), "--exif", str(file), *words]) == 0
    lens = read_lens(tmp_path)
    assert lens.intrinsics[[0, 0, 1], [0, 2, 2]].tolist() == pytest.approx([500 * 24 / np.hypot(36, 24), 99.5, 74.5])


def test_a_heic_photograph_is_refused_by_name(tmp_path: Path, capsys) -> None:
    (tmp_path / "IMG_1.jpg").write_bytes(b"\0\0\0\x24ftypheic\0\0\0\0mif1heic" + bytes(100))
    assert main(["camera", str(tmp_path), "--exif", str(tmp_path / "IMG_1.jpg")]) == 1
    assert re.search(r"expected .*IMG_1\.jpg.* found a (damaged )?HEIC", capsys.readouterr().err)


def test_exif_that_says_nothing(tmp_path: Path, capsys) -> None:
    file = photograph(tmp_path / "photo.jpg", {FOCAL: rational(4.2)})
    assert main(["camera", str(tmp_path), "--exif", str(file)]) == 1
    assert re.search(r"expected FocalLengthIn35mmFilm, .*photo\.jpg, found neither", capsys.readouterr().err)
