"""The program `warpgrasp`, also as `python -m warpgrasp`; it can be stopped before the command line is imported."""

import sys

from warpgrasp.signals import exit_status


def _commands() -> int:
    from warpgrasp.cli import main

    return main()


def program() -> None:
    """Run the command line, and end the process with its status."""
    sys.exit(exit_status(_commands))


if __name__ == "__main__":
    program()
