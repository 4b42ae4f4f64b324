"""Initial weights of an encoder from a published file: read without running its code, names and shapes checked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from warpgrasp.bounded import open_regular
from warpgrasp.errors import DataError, UserError


class EncoderWeightsError(UserError):
    """The initial weights of an encoder cannot be had, or do not fit it."""


def load_published(
    encoder: nn.Module, source: str, *, imagenet: Callable[[], Any], network: str, publisher: str, classifier: str
) -> None:
    """Load `imagenet`, by the function of that name, or a file of the publisher's parameters.

    Parameters that begin with `classifier` are ignored. Raises `EncoderWeightsError` when weights cannot be had or do
    not fit.
    """
    try:
        state = imagenet() if source == "imagenet" else read_parameters(Path(source))
    except (ImportError, OSError, RuntimeError, DataError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise EncoderWeightsError(
            f"expected the ImageNet weights of {network} from {source}, but: {reason}. Give a file that you have as "
            f"--encoder-weights PATH, or train from scratch by --encoder-weights none."
        ) from error
    if not isinstance(state, dict):
        raise EncoderWeightsError(f"expected the parameters of {network} in {source}, found a {type(state).__name__}")
    try:
        encoder.load_state_dict({name: value for name, value in state.items() if not name.startswith(classifier)})
    except RuntimeError as error:
        raise EncoderWeightsError(
            f"expected the parameters of {publisher}'s {network} (width 64) in {source}: {str(error).splitlines()[0]}"
        ) from error


def read_parameters(path: Path) -> Any:
    """What a file of PyTorch's holds; no code of it is run.

    Raises `FileNotFoundError` when there is none, and `DataError` saying why when it cannot be read.
    """
    try:
        with open_regular(path) as file:
            return torch.load(file, map_location="cpu", weights_only=True)
    except (DataError, FileNotFoundError):
        raise
    except Exception as error:  # nobody says what a broken file makes PyTorch raise
        raise DataError(str(error).partition("\n")[0] or type(error).__name__) from error
