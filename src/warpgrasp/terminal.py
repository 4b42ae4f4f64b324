"""The terminal that commands and notices print to, whatever it can show and whatever the texts hold.

Every string is one line of plain text: neither rich's markup nor a terminal's escape sequences in a file's name are
obeyed. Characters that the terminal lacks are shown by the nearest ones that it has.
"""

import codecs
import io
import os
import shutil
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, ConsoleDimensions
from rich.text import Text

from warpgrasp.plain_text import line

__all__ = ["Terminal", "adapt_streams", "wide_enough"]

NARROWEST = 40  # columns; in less no table can be read, and some layouts never end
NEAREST = {
    **{"·": "-", "–": "-", "—": "-", "−": "-", "•": "*", "…": "...", "→": "->", "←": "<-", "×": "x", "±": "+-"},
    **{"≤": "<=", "≥": ">=", "°": " deg", "’": "'", "‘": "'", "“": '"', "”": '"', "─": "-", "━": "-"},
    **dict.fromkeys("│┃", "|"),
    **dict.fromkeys("╭╮╰╯┌┐└┘├┤┬┴┼┏┓┗┛┡┩┣┫╇╋╈┳┻", "+"),
}
ERRORS = "warpgrasp-nearest"  # of streams, where a character cannot be encoded


class Terminal(Console):
    """rich's console for text from elsewhere."""

    def __init__(self, *, stderr: bool = False):
        super().__init__(stderr=stderr, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """A string as it is printed, alone or in a table: one line, without markup."""
        return super().render_str(line(text), **{**options, "markup": False, "emoji": False})

    @property
    def size(self) -> ConsoleDimensions:  # type: ignore[override]  # nothing here sets it
        """Columns and rows; never so few columns that nothing can be laid out in them."""
        width, height = super().size
        return ConsoleDimensions(max(width, NARROWEST), height)


def _nearest(error: UnicodeError) -> tuple[str, int]:
    """What is printed instead of characters that a stream cannot encode."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(map(_nearest_to, lacking)), error.end


def _nearest_to(character: str) -> str:
    if character in NEAREST:
        return NEAREST[character]
    name = unicodedata.name(character, "")
    if name.startswith(("GREEK SMALL LETTER ", "GREEK CAPITAL LETTER ")):
        return name.rpartition(" LETTER ")[2].lower()
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return plain or character.encode("unicode_escape").decode()


codecs.register_error(ERRORS, _nearest)


def adapt_streams() -> None:
    """Let output and error stream take every character, by the nearest that they have."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ERRORS)


@contextmanager
def wide_enough() -> Iterator[None]:
    """While it lasts, programs that ask for the terminal's width hear of one in which text can be laid out."""
    before = os.environ.get("COLUMNS")
    if shutil.get_terminal_size().columns >= NARROWEST:
        yield
        return
    os.environ["COLUMNS"] = str(NARROWEST)
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
