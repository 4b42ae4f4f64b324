"""`warpgrasp camera`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from warpgrasp.cli.console import Positional, UsageError, console
from warpgrasp.errors import UserError

if TYPE_CHECKING:
    from warpgrasp.data.recording.camera_file import Lens
    from warpgrasp.data.recording.chequerboard import Calibration

POOR_ERROR_PX = 1.0  # a phone's video of a flat board gives 0.2 to 0.5
POOR_COVERAGE = 0.75
NOT_MEASURED = (
    "this focal length is not measured, and no distortion is known: all depths are proportional to it (10 % too long "
    "puts everything 10 % too far away). An unknown focal length means unknown metric scale; film a chequerboard "
    "(--board) to know it"
)


def camera(
    recording: Positional,
    /,
    *,
    board: Path | None = None,
    corners: tuple[int, int] = (9, 6),
    coefficients: Literal[0, 4, 5, 8] = 4,
    exif: Path | None = None,
    focal_px: float | None = None,
    focal_35mm: float | None = None,
    field_of_view_deg: float | None = None,
    size: tuple[int, int] | None = None,
    force: bool = False,
) -> None:
    """Make a recording's camera.json: from a filmed chequerboard, a photograph's EXIF data or a stated focal length.

    Args:
        recording: The recording's folder.
        board: A video, or a folder of pictures, of a flat chequerboard, taken with the recording's own settings.
        corners: The board's inner corners, along and across: a board of 10×7 squares has 9 6.
        coefficients: How many numbers describe the lens's distortion: 4 for most, 8 for very wide lenses, 0 for none.
        exif: A photograph of the same camera, whose EXIF data tell the focal length.
        focal_px: The focal length in pixels.
        focal_35mm: The focal length as its 35 mm equivalent, in millimetres.
        field_of_view_deg: The horizontal field of view in degrees.
        size: Width and height of the recording's pictures, where the folder holds none yet.
        force: Overwrite an existing camera.json.
    """
    from warpgrasp.data.recording import camera_file

    sources = {"--board": board, "--exif": exif, "--focal-px": focal_px}
    sources |= {"--focal-35mm": focal_35mm, "--field-of-view-deg": field_of_view_deg}
    given = [name for name, value in sources.items() if value is not None]
    if len(given) != 1:
        raise UsageError(
            f"expected one of {', '.join(sources)}, got {' and '.join(given) or 'none'}: nothing else tells the focal "
            f"length, and an unknown focal length means unknown metric scale"
        )
    if not recording.is_dir():
        raise UserError(f"expected the folder of a recording, found no folder {recording}")
    file = recording / camera_file.FILE
    if file.exists() and not force:
        raise UserError(f"expected to write a new file, but {file} exists already; overwrite it by --force")
    picture_size = _picture_size(recording, size)
    if board is not None:
        lens = _calibrated(board, corners, coefficients, picture_size)
    else:
        lens = _stated(exif, focal_px, focal_35mm, field_of_view_deg, size=picture_size)
        console.print(f"[bold]warning:[/bold] {NOT_MEASURED}", highlight=False)
    camera_file.write_lens(recording, lens)
    (fx, _, cx), (_, fy, cy) = lens.intrinsics[:2].tolist()
    console.print(
        f"wrote {file}: {lens.width}×{lens.height}, fx {fx:.1f}, fy {fy:.1f}, centre ({cx:.1f}, {cy:.1f}) px",
        highlight=False,
        soft_wrap=True,
    )


def _picture_size(recording: Path, size: tuple[int, int] | None) -> tuple[int, int] | None:
    """The (width, height) of the recording's pictures, or what is stated where it has none yet."""
    from warpgrasp.data.errors import DataError
    from warpgrasp.data.recording.footage import FRAMES_FOLDER, VIDEO_STEM, open_footage, say_notices

    if not (any(recording.glob(f"{VIDEO_STEM}.*")) or (recording / FRAMES_FOLDER).is_dir()):
        return size
    footage = open_footage(recording)
    say_notices(footage)
    first = footage.picture(footage.numbers[0])
    footage.close()
    found = (first.shape[1], first.shape[0])
    if size not in (None, found):
        raise DataError(f"expected --size {found[0]} {found[1]}, the size of the pictures in {recording}, got {size}")
    return found


def _calibrated(
    board: Path, corners: tuple[int, int], coefficients: Literal[0, 4, 5, 8], size: tuple[int, int] | None
) -> "Lens":
    from rich.progress import track

    from warpgrasp.data.errors import DataError
    from warpgrasp.data.recording.chequerboard import BoardView, board_pictures, calibrate, find_board

    if min(corners) < 3:
        raise UsageError(f"expected at least 3 inner corners along and across for --corners, got {corners}")
    views, looked_at = [], 0
    for name, picture in track(board_pictures(board), description="find the board", transient=True):
        found_size = (picture.shape[1], picture.shape[0])
        size = size or found_size
        if found_size != size:
            raise DataError(
                f"expected pictures of {size[0]}×{size[1]}, as the recording's, in {board}, found {found_size[0]}×"
                f"{found_size[1]} in {name}: film the board with the recording's own settings (resolution, zoom, "
                f"stabilisation), which change the focal length"
            )
        looked_at += 1
        points = find_board(picture, corners)
        if points is not None:
            views.append(BoardView(name, points))
    console.print(f"found the board of {corners[0]}×{corners[1]} inner corners in {len(views)} of {looked_at} pictures")
    assert size is not None  # there was a picture
    calibration = calibrate(views, corners, size=size, coefficients=coefficients)
    for line in calibration_lines(calibration):
        console.print(line, highlight=False)
    return calibration.lens


def calibration_lines(calibration: "Calibration") -> Sequence[str]:
    """What is said of a calibration."""
    focal = calibration.lens.intrinsics[[0, 1], [0, 1]]
    worst = max(zip(calibration.view_errors_px, (view.picture for view in calibration.views), strict=True))
    lines = [
        f"reprojection error {calibration.error_px:.2f} px (root mean square) in {len(calibration.views)} views, "
        f"{worst[0]:.2f} px in the worst ({worst[1]})",
        f"focal length {focal[0]:.1f}, {focal[1]:.1f} px, known to ±{100 * calibration.focal_deviation:.2f} % (one "
        f"standard deviation); boards turned by up to {calibration.largest_turn_deg:.0f}° against each other",
    ]
    if calibration.error_px > POOR_ERROR_PX:
        lines.append(
            f"warning: more than {POOR_ERROR_PX:g} px means that the board is not flat, the pictures are blurred or "
            f"stabilised, or the lens needs more coefficients (--coefficients 8)"
        )
    if calibration.covered < POOR_COVERAGE:
        lines.append(
            f"warning: corners lie in {100 * calibration.covered:.0f} % of the picture: the distortion of the rest is "
            f"guessed; show the board near the edges too"
        )
    return lines


def _stated(
    exif: Path | None,
    focal_px: float | None,
    focal_35mm: float | None,
    field_of_view_deg: float | None,
    *,
    size: tuple[int, int] | None,
) -> "Lens":
    from warpgrasp.data.recording.focal import (
        centred_lens,
        focal_from_equivalent,
        focal_from_exif,
        focal_from_field_of_view,
    )

    if exif is not None:
        found = focal_from_exif(exif)
        size = size or found.size
        console.print(f"{exif.name} says: {found.source}, {found.focal_px:.1f} px at {found.size[0]}×{found.size[1]}")
        focal_px = found.focal_px * max(size) / max(found.size)
        if size != found.size:
            console.print(
                f"[bold]warning:[/bold] the recording's pictures are {size[0]}×{size[1]}: taken to show the "
                f"photograph's whole longer side, which stabilised and zoomed video does not",
                highlight=False,
            )
        return centred_lens(focal_px, size)
    if size is None:
        raise UserError("expected the recording's pictures in its folder, or their size by --size WIDTH HEIGHT")
    if focal_35mm is not None:
        focal_px = focal_from_equivalent(focal_35mm, size)
    if field_of_view_deg is not None:
        if not 1 < field_of_view_deg < 170:
            raise UserError(f"expected a field of view between 1° and 170°, got {field_of_view_deg:g}")
        focal_px = focal_from_field_of_view(field_of_view_deg, size[0])
    assert focal_px is not None  # one of them is given
    return centred_lens(focal_px, size)
