"""The registry of hand models, by the name that `--hand` takes."""

from pathlib import Path
from typing import Protocol, runtime_checkable

from warpgrasp.hand.mano import HandFileError, load_mano
from warpgrasp.hand.model import HandModel, HandTemplate
from warpgrasp.hand.open_hand import Side, open_hand
from warpgrasp.registry import Registry


@runtime_checkable
class HandLoader(Protocol):
    """Loads a hand model: a member of `HAND_MODELS`."""

    def __call__(self, folder: Path | None, side: Side) -> HandTemplate:
        """The right or the left hand, from files in `folder` where the model needs any.

        Its name is stored with every result, and decides which results belong together. Raises `HandFileError` when the
        folder or a file is missing.
        """
        ...


def _open(folder: Path | None, side: Side) -> HandTemplate:
    return open_hand(side)


def _mano(folder: Path | None, side: Side) -> HandTemplate:
    if folder is None:
        raise HandFileError(
            "expected --mano-folder DIR, the folder of MANO_RIGHT.pkl, together with --hand mano; see "
            "docs/datasets.md#mano"
        )
    return load_mano(folder, side)


HAND_MODELS: Registry[HandLoader] = Registry("hand model", "warpgrasp.hands", {"open": _open, "mano": _mano})


def load_hand(name: str, folder: Path | None = None, *, side: Side = "right") -> HandModel:
    """The hand model of that name. Raises `RegistryError` when there is none, `HandFileError` without its files."""
    return HandModel(HAND_MODELS[name](folder, side))
