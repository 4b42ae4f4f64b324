"""Names that ask for more than to be shown: by markup, a terminal's escapes, halves of characters, turned letters.

Any of them can be the name of a file, of a folder, or a text in a file.
"""

import re
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from tests.data.recording.recording_files import simple_label, write_obj
from warpgrasp.data.recording import Lens, write_annotations, write_lens, write_object

SCRIPT = "<img src=x onerror=document.title='owned'>"
MARKUP = f"{SCRIPT}[red]**b** `c` :smile: $x_^{{ "
TERMINAL = "\x1b]0;owned\x07\x1b[2J\r\n\x9b31m"
UNDECODED = "\udcff" if sys.platform == "linux" else ""  # a byte that is not UTF-8, as names on Linux may have
NAMES = {
    "markup": MARKUP,
    "terminal": TERMINAL,
    "undecoded": f"half {UNDECODED}",
    "turned": "gnp\u202e\u2066",
    "links": "www.evil.example me@evil.example",
}
HOSTILE = "".join(NAMES.values())
FOLDERS = Path(f"{HOSTILE}[", "b]")  # whose path closes a tag of rich's that was never opened
OBEYED = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def lines_of(printed: str) -> list[str]:
    """The lines that a terminal gets, none of which holds anything that it would obey."""
    assert OBEYED.search(printed) is None, ascii(printed)
    return printed.splitlines()


def hostile_recording(folder: Path, *, broken: bool = True) -> Path:
    """Four pictures, the last one broken, and labels of two; every name and text is hostile."""
    (folder / "frames").mkdir(parents=True)
    for frame in range(4):
        picture = Image.fromarray(np.full((48, 64, 3), 40 * frame, np.uint8))
        picture.save(folder / "frames" / f"{frame:04d}{MARKUP}.png")
    if broken:
        (folder / "frames" / f"0003{MARKUP}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    write_lens(folder, Lens(np.array([[60.0, 0, 31.5], [0, 60.0, 23.5], [0, 0, 1]]), 64, 48, source=MARKUP))
    write_obj(folder / f"{MARKUP}.obj")
    write_object(folder, MARKUP, f"{MARKUP}.obj", units="m")
    write_annotations(folder, [simple_label(0), simple_label(2)], hand_model="open-hand right")
    return folder
