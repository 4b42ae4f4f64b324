"""Text from elsewhere (names, paths, errors) as it is shown: one line of plain characters, on a terminal or on a page.

A file's name may hold a terminal's escape sequences, Markdown, HTML, halves of characters or letters that turn the
line around; whoever made the file chose it. Nothing of that is obeyed: it is shown.
"""

import re

__all__ = ["line", "markdown"]

LONGEST_LINE = 2000  # characters; of longer texts beginning and end are shown
LINK = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?<=@)", re.IGNORECASE)
WORD_JOINER = "\N{WORD JOINER}"  # has no width; a link that holds it is none


def line(text: object) -> str:
    """A text as one line for a terminal: what is no printable character is shown as Python's escape of it.

    Those are line breaks, escape sequences, halves of characters (of names that are not UTF-8) and letters that change
    the direction of the text.
    """
    content = str(text)
    if len(content) > LONGEST_LINE:
        half = LONGEST_LINE // 2 - 2
        content = f"{content[:half]} … {content[-half:]}"
    if content.isprintable():
        return content
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in content)


def markdown(text: object) -> str:
    """A text for a page that reads Markdown and HTML: the line as it is, whatever it says, and no link."""
    unlinked = LINK.sub(WORD_JOINER, line(text))
    return "".join(f"&#{ord(c)};" if c.isascii() and not c.isalnum() and c != " " else c for c in unlinked)
