"""The command line: a function for each command, with its heavy imports inside, so that `--help` answers at once."""

import os
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches

import warpgrasp
from warpgrasp.cli.camera import camera
from warpgrasp.cli.data import annotate, doctor, sample, suggest, symmetry
from warpgrasp.cli.densify import densify
from warpgrasp.cli.experiments import demo, figure, reproduce
from warpgrasp.cli.labels import labels
from warpgrasp.cli.network import export_onnx, import_released, quantize
from warpgrasp.cli.options import UsageError, console, deferred, parsed
from warpgrasp.cli.predict import predict
from warpgrasp.cli.predictions import evaluate, export, view
from warpgrasp.cli.train import train
from warpgrasp.cli.trouble import lacks_memory, trouble_of
from warpgrasp.errors import UserError
from warpgrasp.plain_text import line
from warpgrasp.signals import INTERRUPTED, SENTENCE
from warpgrasp.terminal import adapt_streams, wide_enough

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
    "symmetry": symmetry,
    "camera": camera,
    "annotate": annotate,
    "labels": labels,
    "suggest": suggest,
    "densify": densify,
}

SERVING = (["view"], ["annotate"])  # until Ctrl+C


def usage() -> str:
    """What `--help` prints."""
    widest = max(map(len, COMMANDS))
    lines = [
        f"  {name:{widest}} {(command.__doc__ or '').strip().splitlines()[0]}" for name, command in COMMANDS.items()
    ]
    return (
        "usage: warpgrasp COMMAND [OPTIONS] [--debug]\n\n"
        + "\n".join(lines)
        + "\n\n`warpgrasp COMMAND --help` says more, `warpgrasp --version` which version this is."
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Exit status 0: done; 1: failed, with one sentence; 2: bad usage; 130: interrupted."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    adapt_streams()
    with wide_enough():
        status = _run([word for word in words if word != "--debug"], debug=debug, alone=arguments is None)
    status = _flushed(status)
    if status == 0 and arguments is None and words[:1] in SERVING:
        os._exit(status)  # all is written; libraries take seconds to wind down, and whoever pressed Ctrl+C waits
    return status


def _run(words: Sequence[str], *, debug: bool, alone: bool) -> int:
    """Run a command, and say what went wrong. `alone` tells that the process is for this command."""
    try:
        if not words or words[0] in ("-h", "--help"):
            for row in usage().splitlines():
                console.print(row, highlight=False, soft_wrap=True)
            return 0 if words else 2
        if words[0] in ("-V", "--version"):
            console.print(f"warpgrasp {warpgrasp.__version__}", highlight=False)
            return 0
        if words[0] not in COMMANDS:
            near = get_close_matches(words[0], COMMANDS, n=1)
            meant = f"; {near[0]} is one" if near else ""
            raise UsageError(f"expected a command ({', '.join(COMMANDS)}), got {words[0]!r}{meant}")
        if words[0] == "train":
            train(words[1:])
        else:
            parsed(deferred(COMMANDS[words[0]]), prog=f"warpgrasp {words[0]}", arguments=words[1:])()
    except SystemExit as stop:  # tyro has printed what is wrong, or whoever read the output has gone
        return int(stop.code or 0)
    except KeyboardInterrupt:
        _say(SENTENCE)
        return INTERRUPTED
    except BrokenPipeError:
        return 1
    except (UserError, OSError, MemoryError, RuntimeError, ImportError, SystemError, UnicodeEncodeError) as error:
        told = error if isinstance(error, UserError) else trouble_of(error)
        if debug or told is None:
            raise
        _say(f"warpgrasp: {' '.join(str(told).split())}")
        if alone and lacks_memory(error):
            os._exit(_flushed(1))  # libraries whose threads could not begin or end would be waited for, for ever
        return 2 if isinstance(error, UsageError) else 1
    return 0


def _say(text: str) -> None:
    print(line(text), file=sys.stderr)  # noqa: T201


def _flushed(status: int) -> int:
    """The exit status once all output has gone where it should; what cannot be written is not tried again."""
    output = sys.stdout
    if output is None:  # the program has none
        return status
    try:
        output.flush()
    except OSError as error:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, output.fileno())
        os.close(nowhere)
        if not isinstance(error, BrokenPipeError):  # such as `| head -1`
            _say(f"warpgrasp: expected to write the output: {error.strerror}")
        return status or 1
    return status
