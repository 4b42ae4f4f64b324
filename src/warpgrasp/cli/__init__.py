"""The command line: a module for each command, with its heavy imports inside, so that `--help` answers at once."""

import sys
from collections.abc import Callable, Sequence

import tyro

from warpgrasp.cli.camera import camera
from warpgrasp.cli.demo import demo, doctor, sample
from warpgrasp.cli.evaluate import evaluate
from warpgrasp.cli.network import export_onnx, import_released, predict, quantize
from warpgrasp.cli.options import UsageError, console
from warpgrasp.cli.paper import figure, reproduce
from warpgrasp.cli.recording import annotate, densify, suggest
from warpgrasp.cli.show import export, view
from warpgrasp.cli.train import train
from warpgrasp.errors import UserError

__all__ = ["COMMANDS", "main", "usage"]

COMMANDS: dict[str, Callable[..., None]] = {
    "sample": sample,
    "demo": demo,
    "train": train,
    "predict": predict,
    "evaluate": evaluate,
    "reproduce": reproduce,
    "figure": figure,
    "export-onnx": export_onnx,
    "import-released": import_released,
    "quantize": quantize,
    "export": export,
    "view": view,
    "doctor": doctor,
    "camera": camera,
    "annotate": annotate,
    "suggest": suggest,
    "densify": densify,
}


def usage() -> str:
    """What `--help` prints."""
    widest = max(map(len, COMMANDS))
    lines = [
        f"  {name:{widest}} {(command.__doc__ or '').strip().splitlines()[0]}" for name, command in COMMANDS.items()
    ]
    return (
        "usage: warpgrasp COMMAND [OPTIONS] [--debug]\n\n"
        + "\n".join(lines)
        + "\n\n`warpgrasp COMMAND --help` says more."
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Exit status 0: done; 1: failed, with one sentence; 2: bad usage."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    if not words or words[0] in ("-h", "--help"):
        console.print(usage(), highlight=False, soft_wrap=True)
        return 0 if words else 2
    try:
        if words[0] not in COMMANDS:
            raise UsageError(f"expected a command ({', '.join(COMMANDS)}), got {words[0]!r}")
        if words[0] == "train":
            train(words[1:])
        else:
            tyro.cli(COMMANDS[words[0]], prog=f"warpgrasp {words[0]}", args=words[1:])
    except SystemExit as stop:  # tyro has printed what is wrong
        return int(stop.code or 0)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from the last saved state", file=sys.stderr)  # noqa: T201
        return 1
    except (UserError, OSError) as error:
        if debug:
            raise
        print(f"warpgrasp: {' '.join(str(error).split())}", file=sys.stderr)  # noqa: T201
        return 2 if isinstance(error, UsageError) else 1
    return 0
