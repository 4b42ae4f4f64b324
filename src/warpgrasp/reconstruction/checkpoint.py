"""Checkpoints: safetensors files that know the network's shape, its hand and its objects.

On the command line weights are named by a run's folder, by a checkpoint's file, or as `best`, the shipped ones.
"""

import hashlib
import json
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.resources import as_file, files
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from warpgrasp.bounded import shown
from warpgrasp.errors import DataError, UserError
from warpgrasp.files import replacing, stated_fields
from warpgrasp.frame import ObjectModel
from warpgrasp.hand import HandModel, same_hand
from warpgrasp.reconstruction.checkpoint_header import PREFIX, KnownObject, check_numbers, read_header
from warpgrasp.reconstruction.network import HandObjectNetwork, NetworkConfig

FORMAT = "warpgrasp-checkpoint-1"
BEST = "best"
SHIPPED_BEST = files("warpgrasp.reconstruction") / "assets" / "best.safetensors"  # docs/model_card.md
RUN_WEIGHTS = "weights.safetensors"  # in a run's folder


class CheckpointError(UserError):
    """A checkpoint cannot be read, or does not fit its use."""


@dataclass(frozen=True)
class Checkpoint:
    """A network as stored."""

    config: NetworkConfig
    hand: str
    objects: tuple[KnownObject, ...]
    step: int
    training: dict[str, str]  # free notes: recipe, seed, fingerprint
    tensors: dict[str, Tensor]

    @property
    def network_tensors(self) -> dict[str, Tensor]:
        """The network's own parameters and buffers, without the state of the optimiser."""
        return {name.removeprefix(PREFIX): value for name, value in self.tensors.items() if name.startswith(PREFIX)}

    @property
    def picture_size(self) -> tuple[int, int]:
        """The (width, height) of the pictures that the network was trained on.

        Raises `CheckpointError` when the checkpoint does not say it.
        """
        if not {"width", "height"} <= self.training.keys():
            raise CheckpointError(
                f"expected the width and the height of the pictures in the checkpoint's notes on its training, found "
                f"{shown(self.training) or 'none'}; train again, or take another checkpoint"
            )
        return int(self.training["width"]), int(self.training["height"])

    @property
    def sha256(self) -> str:
        """A hash of the network's own tensors."""
        digest = hashlib.sha256()
        for name, value in sorted(self.network_tensors.items()):
            digest.update(name.encode() + value.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def network(self, hand: HandModel) -> HandObjectNetwork:
        """Rebuild the network. Raises `CheckpointError` when it was trained with another hand."""
        if not same_hand(hand.template.name, self.hand):
            raise CheckpointError(
                f"expected the hand that the network was trained with ({self.hand}), got {hand.template.name}; "
                f"choose it by --hand"
            )
        network = HandObjectNetwork(self.config, hand, tuple(known.name for known in self.objects))
        try:
            network.load_state_dict(self.network_tensors)
        except RuntimeError as error:
            raise CheckpointError(
                f"expected the tensors of a network of the hand {self.hand}, but: {' '.join(str(error).split())[:300]}"
            ) from error
        return network

    def check_objects(self, models: Sequence[ObjectModel]) -> None:
        """Raise `CheckpointError` unless the network knows each object by this very mesh."""
        objects = {known.name: known for known in self.objects}
        for model in models:
            if model.name not in objects:
                raise CheckpointError(
                    f"expected an object that the network was trained on ({', '.join(sorted(objects))}), got "
                    f"{model.name}; train on sequences that show it"
                )
            if not objects[model.name].has_mesh_of(model):
                raise CheckpointError(
                    f"expected the mesh of {model.name} that the network was trained with "
                    f"(sha256 {objects[model.name].mesh_sha256[:12]}…), got another; use the same mesh file, in metres"
                )


def open_weights(named: Path) -> Checkpoint:
    """The checkpoint of a run's folder or in a file; `best`, where there is no such file, is the shipped one.

    Raises `CheckpointError` when there is none.
    """
    if named == Path(BEST) and not named.exists():
        with as_file(SHIPPED_BEST) as path:
            return load_checkpoint(path)
    return load_checkpoint(named / RUN_WEIGHTS if named.is_dir() else named)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint. Raises `CheckpointError` naming the file when it is missing or not one of ours.

    What it declares is checked before a tensor is read: its configuration, and the tensors that this one needs.
    """
    try:
        header = read_header(path, FORMAT)
        with safe_open(path, framework="pt") as stored:
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (not a dict)
        check_numbers(path, tensors)
    except FileNotFoundError as error:
        raise CheckpointError(f"expected a checkpoint, found no file {path}; train first") from error
    except DataError as error:
        raise CheckpointError(f"expected a checkpoint of this program ({FORMAT}), but: {error}") from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"expected a checkpoint in {path}, but it cannot be read: {error}") from error
    return Checkpoint(header.config, header.hand, header.objects, header.step, header.training, tensors)


def checkpoint_of(
    network: HandObjectNetwork, objects: Sequence[ObjectModel], *, step: int, training: dict[str, str]
) -> Checkpoint:
    """The checkpoint of a network as it is now."""
    tensors = {f"{PREFIX}{name}": value.detach().cpu() for name, value in network.state_dict().items()}
    known = tuple(KnownObject.of(model) for model in objects)
    return Checkpoint(network.config, network.hand.template.name, known, step, training, tensors)


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Replace the file `path` by a checkpoint. Raises `CheckpointError` or `OSError` when it cannot be written."""
    config, stated = asdict(checkpoint.config), stated_fields(checkpoint.config)
    header = {
        "format": FORMAT,
        "config": json.dumps({name: config[name] for name in stated}, sort_keys=True),
        "hand": checkpoint.hand,
        "objects": json.dumps([asdict(known) for known in checkpoint.objects], sort_keys=True),
        "step": str(checkpoint.step),
        "training": json.dumps(checkpoint.training, sort_keys=True),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.contiguous() for name, value in checkpoint.tensors.items()}
    try:
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata=header)
            _sort_notes(temporary)
    except SafetensorError as error:  # on a full disk, for example
        raise CheckpointError(f"expected to write the checkpoint {path}, but: {error}") from error


def _sort_notes(path: Path) -> None:
    """Bring the notes of a safetensors file into one order: the library writes them in another every time."""
    with path.open("r+b") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode().ljust(length)
        assert len(text) == length  # both write JSON in its shortest form
        file.seek(8)
        file.write(text)
