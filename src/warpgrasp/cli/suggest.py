"""`warpgrasp suggest`."""

from warpgrasp.cli.console import Positional, UsageError, console
from warpgrasp.errors import UserError


def suggest(recording: Positional, /, *, count: int = 3) -> None:
    """Name the frames of a recording whose labels would help most: each brings all others nearest, in motion, to one.

    Args:
        recording: The folder of one recording, with labels or without.
        count: How many frames.
    """
    from warpgrasp.data.recording.folder import Recording, is_recording
    from warpgrasp.viewer.suggestion import suggested_frames

    if count < 1:
        raise UsageError(f"expected --count of at least 1, got {count}")
    if not is_recording(recording):
        raise UserError(f"expected the folder of one recording (camera.json, object.json, a video), found {recording}")
    frames = suggested_frames(Recording.read(recording), count)
    if not frames:
        console.print("every frame has a label")
        return
    console.print(" ".join(map(str, frames)), highlight=False)
