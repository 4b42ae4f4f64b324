"""The project's own formats, spoilt in thousands of ways: each version is refused in one sentence, or read and sane."""
