"""`warpgrasp camera`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from warpgrasp.cli.options import Positional, UsageError, check_new, console, say, warn
from warpgrasp.errors import UserError

if TYPE_CHECKING:
    from warpgrasp.data.recording import BoardView, Calibration, Coefficients, Lens, LensMapping

POOR_ERROR_PX = 1.0  # a phone's video of a flat board gives 0.2 to 0.5
POOR_COVERAGE = 0.75
NOT_MEASURED = (
    "this focal length is not measured, and no distortion is known: all depths are proportional to it (10 % too long "
    "puts everything 10 % too far away). An unknown focal length means unknown metric scale; film a chequerboard "
    "(--board) to know it"
)


@dataclass(frozen=True)
class FileOptions:
    """Which camera of `--from` is meant, and what that file does not say."""

    camera_id: str | None = None
    """Which camera of the file is meant, where it holds several."""
    distortion_model: Literal["opencv", "fisheye", "inverse-brown-conrady"] | None = None
    """What the file's distortion coefficients are of, where it does not say it."""
    calibrated_size: tuple[int, int] | None = None
    """Width and height of the pictures that the file's camera is for, where it does not say it."""


@dataclass(frozen=True)
class MappingOptions:
    """How the recording's pictures came from those of the calibration."""

    turn: Literal[0, 90, 180, 270] = 0
    """By how many degrees they were turned clockwise."""
    crop: tuple[int, int, int, int] | None = None
    """X Y WIDTH HEIGHT of the part that was then cut out."""
    resize: tuple[int, int] | None = None
    """WIDTH HEIGHT to which that was then resized."""


def camera(
    recording: Positional,
    /,
    *,
    board: Path | None = None,
    corners: tuple[int, int] = (9, 6),
    coefficients: Literal["auto", 0, 4, 5, 8, "fisheye"] = "auto",
    file: Annotated[Path | None, tyro.conf.arg(name="from")] = None,
    file_options: Annotated[FileOptions, tyro.conf.arg(name="")] = FileOptions(),
    mapping_options: Annotated[MappingOptions, tyro.conf.arg(name="")] = MappingOptions(),
    exif: Path | None = None,
    focal_px: float | None = None,
    focal_35mm: float | None = None,
    field_of_view_deg: float | None = None,
    size: tuple[int, int] | None = None,
    force: bool = False,
) -> None:
    """Make a recording's camera.json: from a filmed chequerboard, another program's file, EXIF data or a focal length.

    Args:
        recording: The recording's folder.
        board: A video, or a folder of pictures, of a flat chequerboard, taken with the recording's own settings.
        corners: The board's inner corners, along and across: a board of 10×7 squares has 9 6.
        coefficients: How many numbers describe the lens's distortion; as many as the pictures ask for by themselves.
        file: A camera as OpenCV, ROS, COLMAP, Kalibr, ARKit, Polycam, Record3D, RealSense or a transforms.json has it.
        file_options: Which camera of the file.
        mapping_options: From the calibration's pictures to the recording's.
        exif: A photograph of the same camera, whose EXIF data tell the focal length.
        focal_px: The focal length in pixels.
        focal_35mm: The focal length as its 35 mm equivalent, in millimetres.
        field_of_view_deg: The horizontal field of view in degrees.
        size: Width and height of the recording's pictures, where the folder holds none yet.
        force: Overwrite an existing camera.json.
    """
    from warpgrasp.data.recording import CAMERA_FILE, LensMapping, check_lens, write_lens

    stated = {"--focal-px": focal_px, "--focal-35mm": focal_35mm, "--field-of-view-deg": field_of_view_deg}
    mapping = LensMapping(mapping_options.turn, mapping_options.crop, mapping_options.resize)
    _require_one({"--board": board, "--from": file, "--exif": exif, **stated}, mapping)
    if not recording.is_dir():
        raise UserError(f"expected the folder of a recording, found no folder {recording}")
    target = recording / CAMERA_FILE
    check_new(target, force=force)
    picture_size = _picture_size(recording, size)
    if board is not None:
        lens = _calibrated(board, corners, None if coefficients == "auto" else coefficients, picture_size, mapping)
    elif file is not None:
        lens = _of_file(file, file_options, picture_size, mapping)
    elif exif is not None:
        lens = _of_photograph(exif, picture_size, mapping)
    else:
        lens = _stated(focal_px, focal_35mm, field_of_view_deg, size=picture_size)
        warn(NOT_MEASURED)
    check_lens(lens, board or file or exif or target)
    write_lens(recording, lens)
    (fx, _, cx), (_, fy, cy) = lens.intrinsics[:2].tolist()
    say(f"wrote {target}: {lens.width}×{lens.height}, fx {fx:.1f}, fy {fy:.1f}, centre ({cx:.1f}, {cy:.1f}) px")


def _require_one(sources: dict[str, object], mapping: "LensMapping") -> None:
    """One source, and a mapping only where there are pictures of a calibration. Raises `UsageError` otherwise."""
    given = [name for name, value in sources.items() if value is not None]
    if len(given) != 1:
        raise UsageError(
            f"expected one of {', '.join(sources)}, got {' and '.join(given) or 'none'}: nothing else tells the focal "
            f"length, and an unknown focal length means unknown metric scale"
        )
    if mapping.stated and given[0] not in ("--from", "--board", "--exif"):
        raise UsageError(
            f"expected {mapping.words} beside --from, --board or --exif, got {given[0]}, which is of the "
            f"recording's own pictures"
        )


def _picture_size(recording: Path, size: tuple[int, int] | None) -> tuple[int, int] | None:
    """The (width, height) of the recording's pictures, or what is stated where it has none yet."""
    from warpgrasp.data.recording import FRAMES_FOLDER, VIDEO_STEM, open_footage, say_notices
    from warpgrasp.errors import DataError

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


def _of_file(file: Path, options: FileOptions, size: tuple[int, int] | None, mapping: "LensMapping") -> "Lens":
    """The camera of another program's file, for the recording's pictures."""
    from warpgrasp.data.recording.calibrations import chosen_camera, read_cameras

    kind, cameras = read_cameras(file, model=options.distortion_model)
    camera = chosen_camera(cameras, options.camera_id, file)
    if camera.size and options.calibrated_size not in (None, camera.size):
        raise UserError(
            f"expected --calibrated-size {camera.size[0]} {camera.size[1]}, as {file} says, got "
            f"{options.calibrated_size}"
        )
    calibrated_size = camera.size or options.calibrated_size or (None if mapping.stated else size)
    if calibrated_size is None:
        raise UserError(
            f"expected the size of the pictures that the camera is for, which {file} does not say; state it by "
            f"--calibrated-size WIDTH HEIGHT"
        )
    named = f" ({camera.name})" if len(cameras) > 1 else ""
    say(f"{file.name} is a camera of {kind}{named}, for pictures of {calibrated_size[0]}×{calibrated_size[1]}")
    if not (camera.size or options.calibrated_size):
        warn("the file does not say for which size of pictures: taken to be the recording's")
    for note in camera.notes:
        warn(note)
    lens = camera.lens(calibrated_size, f"{kind}: {file.name}{named}")
    _check_centre(lens, file, stated=bool(camera.size or options.calibrated_size))
    return _mapped(lens, mapping, size, file.name)


def _check_centre(lens: "Lens", file: Path, *, stated: bool) -> None:
    """Warn of a camera that seems to be of another size. Raises `UserError` where nobody states its size."""
    other = lens.size_by_centre
    if other is None:
        return
    place = ", ".join(f"{number:g}" for number in lens.intrinsics[:2, 2])
    if not stated:
        raise UserError(
            f"expected a camera of pictures of {lens.width}×{lens.height}, as the recording's, in {file}, which does "
            f"not say for which size it is, found the principal point ({place}), the middle of {other[0]}×{other[1]}; "
            f"state its size by --calibrated-size WIDTH HEIGHT"
        )
    warn(
        f"the principal point ({place}) is far from the middle of pictures of {lens.width}×{lens.height}: unless they "
        f"were cut out, the camera is of another size, such as {other[0]}×{other[1]}"
    )


def _mapped(lens: "Lens", mapping: "LensMapping", size: tuple[int, int] | None, named: str) -> "Lens":
    """The lens of the recording's pictures. Raises `DataError` when that is of another size than they are."""
    from warpgrasp.data.recording import require_size

    stretch = mapping.stretch(lens)
    if stretch:
        warn(stretch)
    mapped = mapping.apply(lens)
    require_size(mapped, size, f"{named}{f' by {mapping.words}' if mapping.stated else ''}")
    return replace(mapped, source=f"{mapped.source}; {mapping.words}") if mapping.stated else mapped


def _calibrated(
    board: Path,
    corners: tuple[int, int],
    coefficients: "Coefficients | None",
    size: tuple[int, int] | None,
    mapping: "LensMapping",
) -> "Lens":
    from warpgrasp.data.recording import calibrate

    if min(corners) < 3:
        raise UsageError(f"expected at least 3 inner corners along and across for --corners, got {corners}")
    views, board_size = _board_views(board, corners, None if mapping.stated else size)
    with console.status("fit the lens"):
        calibration = calibrate(views, corners, size=board_size, coefficients=coefficients)
    for row in calibration_lines(calibration):
        console.print(row, highlight=False)
    lens = replace(calibration.lens, source=f"chequerboard: {board.name}, {len(calibration.views)} views")
    return _mapped(lens, mapping, size, board.name)


def _board_views(
    board: Path, corners: tuple[int, int], size: tuple[int, int] | None
) -> tuple[list["BoardView"], tuple[int, int]]:
    """The views of the board, and the size of its pictures. Raises `DataError` when that is not the one expected."""
    from warpgrasp.data.recording import BoardView, board_pictures, find_board
    from warpgrasp.errors import DataError
    from warpgrasp.progress import track

    views, looked_at, expected = [], 0, "the recording's" if size else "the first's"
    for name, picture in track(board_pictures(board), description="find the board", transient=True):
        found_size = (picture.shape[1], picture.shape[0])
        size = size or found_size
        if found_size != size:
            raise DataError(
                f"expected pictures of {size[0]}×{size[1]}, as {expected}, in {board}, found {found_size[0]}×"
                f"{found_size[1]} in {name}: film the board with the recording's own settings (resolution, zoom, "
                f"stabilisation), which change the focal length; or, where the video was cropped or resized since, say "
                f"how by --crop X Y WIDTH HEIGHT and --resize WIDTH HEIGHT"
            )
        looked_at += 1
        points = find_board(picture, corners)
        if points is not None:
            views.append(BoardView(name, points))
    console.print(f"found the board of {corners[0]}×{corners[1]} inner corners in {len(views)} of {looked_at} pictures")
    assert size is not None  # there was a picture
    return views, size


def calibration_lines(calibration: "Calibration") -> Sequence[str]:
    """What is said of a calibration."""
    focal = calibration.lens.intrinsics[[0, 1], [0, 1]]
    worst = max(zip(calibration.view_errors_px, (view.picture for view in calibration.views), strict=True))
    judged = ", ".join(f"{error:.2f} with {name}" for name, error in calibration.held_out_px.items())
    lines = [
        f"reprojection error {calibration.error_px:.2f} px (root mean square) in {len(calibration.views)} views, "
        f"{worst[0]:.2f} px in the worst ({worst[1]})",
        f"distortion: {named_coefficients(calibration.coefficients)}; in views not fitted to (px): {judged}",
        f"focal length {focal[0]:.1f}, {focal[1]:.1f} px, known to ±{100 * calibration.focal_deviation:.2f} % (one "
        f"standard deviation); boards turned by up to {calibration.largest_turn_deg:.0f}° against each other",
    ]
    if calibration.better is not None:
        better = calibration.better
        lines.append(
            f"warning: the residuals say that the lens needs {named_coefficients(better.coefficients)}: "
            f"{better.error_px:.2f} instead of {calibration.held_out_px[calibration.coefficients]:.2f} px in views not "
            f"fitted to, and a focal length of {better.focal_px:.1f} px (--coefficients {better.coefficients})"
        )
    if calibration.error_px > POOR_ERROR_PX:
        lines.append(
            f"warning: more than {POOR_ERROR_PX:g} px means that the board is not flat, or that the pictures are "
            f"blurred or stabilised"
        )
    if calibration.covered < POOR_COVERAGE:
        lines.append(
            f"warning: corners lie in {100 * calibration.covered:.0f} % of the picture: the distortion of the rest is "
            f"guessed; show the board near the edges too"
        )
    return lines


def named_coefficients(coefficients: "Coefficients") -> str:
    """A model in words."""
    return "the fisheye's 4 coefficients" if coefficients == "fisheye" else f"{coefficients} coefficients"


def _of_photograph(exif: Path, size: tuple[int, int] | None, mapping: "LensMapping") -> "Lens":
    from warpgrasp.data.recording import centred_lens, focal_from_exif

    found = focal_from_exif(exif)
    size_of_photograph = f"{found.size[0]}×{found.size[1]}"
    say(f"{exif.name} says: {found.source}, {found.focal_px:.1f} px at {size_of_photograph}, {found.sureness}")
    for note in found.notes:
        warn(f"{exif.name} was {note}" if note.startswith(("cut", "resized", "zoomed")) else note)
    source = f"EXIF: {exif.name}, {found.source}"
    if mapping.stated or size in (None, found.size):
        lens = _mapped(centred_lens(found.focal_px, found.size, source), mapping, size, exif.name)
    else:
        assert size is not None
        warn(
            f"the recording's pictures are {size[0]}×{size[1]}: taken to show the photograph's whole longer side, "
            f"which stabilised and zoomed video does not; say how they came from its {size_of_photograph} by --crop X "
            f"Y WIDTH HEIGHT and --resize WIDTH HEIGHT"
        )
        lens = centred_lens(found.focal_px * max(size) / max(found.size), size, source)
    warn(NOT_MEASURED)
    return lens


def _stated(
    focal_px: float | None,
    focal_35mm: float | None,
    field_of_view_deg: float | None,
    *,
    size: tuple[int, int] | None,
) -> "Lens":
    from warpgrasp.data.recording import centred_lens, focal_from_equivalent, focal_from_field_of_view

    if size is None:
        raise UserError("expected the recording's pictures in its folder, or their size by --size WIDTH HEIGHT")
    if focal_35mm is not None:
        return centred_lens(focal_from_equivalent(focal_35mm, size), size, f"stated: {focal_35mm:g} mm equivalent")
    if field_of_view_deg is not None:
        if not 1 < field_of_view_deg < 170:
            raise UserError(f"expected a field of view between 1° and 170°, got {field_of_view_deg:g}")
        focal = focal_from_field_of_view(field_of_view_deg, size[0])
        return centred_lens(focal, size, f"stated: a horizontal field of view of {field_of_view_deg:g}°")
    assert focal_px is not None  # one of them is given
    return centred_lens(focal_px, size, f"stated: {focal_px:g} px")
