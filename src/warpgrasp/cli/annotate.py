"""`warpgrasp annotate`."""

from pathlib import Path
from typing import Literal

from warpgrasp.cli.console import Positional, console
from warpgrasp.cli.reading import HandChoice, hand_model
from warpgrasp.errors import UserError


def annotate(
    recording: Positional,
    /,
    *,
    hand: HandChoice = "open",
    mano_folder: Path | None = None,
    side: Literal["right", "left"] | None = None,
    host: str = "127.0.0.1",
    port: int = 8080,
    read_only: bool = False,
    open_browser: bool = True,
) -> None:
    """Annotate a few frames of a recording in the browser.

    Args:
        recording: The recording's folder: pictures, camera.json and object.json.
        hand: The hand model of the labels.
        mano_folder: Where MANO_RIGHT.pkl lies, for `--hand mano`.
        side: Which hand it is; as its labels say, where there are any, or else the right one.
        host: The network interface to listen on; this machine alone can reach the usual one.
        port: The port to listen on, or the next one that is free.
        read_only: Only look; somebody else may write.
        open_browser: Open the page in this machine's browser.
    """
    from warpgrasp.data.recording.folder import Recording, is_recording

    try:
        from warpgrasp.viewer.annotate_session import serve
    except ModuleNotFoundError as error:
        if error.name not in ("viser", "websockets"):
            raise
        raise UserError(
            "expected the package viser, found none; install it: pip install 'warpgrasp[viewer]'"
        ) from error
    if not is_recording(recording):
        raise UserError(f"expected the folder of one recording (camera.json, object.json, a video), found {recording}")
    read = Recording.read(recording).of_side(side)
    serve(
        read,
        read.hand(hand_model(hand, mano_folder)),
        host=host,
        port=port,
        read_only="as asked for by --read-only" if read_only else None,
        open_browser=open_browser,
        say=lambda line: console.print(line, highlight=False, soft_wrap=True, markup=False),
    )
