"""Checkpoints: safetensors files that know the network's shape, its hand and its objects.

On the command line weights are named by a run's folder, by a checkpoint's file, or as `best`, the shipped ones.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from warpgrasp.errors import UserError
from warpgrasp.files import replacing
from warpgrasp.frame import ObjectModel
from warpgrasp.geometry import is_mesh_of, mesh_identity
from warpgrasp.hand import HandModel, same_hand
from warpgrasp.reconstruction.network import HandObjectNetwork, NetworkConfig, OutputScales

FORMAT = "warpgrasp-checkpoint-1"
BEST = "best"
SHIPPED_BEST = files("warpgrasp.reconstruction") / "assets" / "best.safetensors"  # docs/model_card.md
RUN_WEIGHTS = "weights.safetensors"  # in a run's folder
PREFIX = "network."  # of the network's own tensors, beside those of the optimiser


class CheckpointError(UserError):
    """A checkpoint cannot be read, or does not fit its use."""


@dataclass(frozen=True)
class KnownObject:
    """An object that a network was trained on."""

    name: str
    mesh_sha256: str  # and its shape (`geometry.mesh_identity`); in files of before, `sha256_in_order` alone
    units: str = "metres"
    frame: str = "centre of the bounding box, OpenCV axes"

    @staticmethod
    def of(model: ObjectModel) -> "KnownObject":
        """Describe an object."""
        return KnownObject(model.name, mesh_identity(model.vertices, model.faces))

    def has_mesh_of(self, model: ObjectModel) -> bool:
        """Whether an object has the mesh of this one, whatever its name and the order of its vertices and faces."""
        return is_mesh_of(self.mesh_sha256, model.vertices, model.faces)


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
        network.load_state_dict(self.network_tensors)
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
    """Read a checkpoint. Raises `CheckpointError` naming the file when it is missing or not one of ours."""
    try:
        with safe_open(path, framework="pt") as stored:
            header = stored.metadata() or {}
            if header.get("format") != FORMAT:
                raise CheckpointError(f"expected a checkpoint of this program ({FORMAT}) in {path}")
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (not a dict)
    except FileNotFoundError as error:
        raise CheckpointError(f"expected a checkpoint, found no file {path}; train first") from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"expected a checkpoint in {path}, but it cannot be read: {error}") from error
    config = json.loads(header["config"])
    scales = OutputScales(**config.pop("scales"))
    return Checkpoint(
        NetworkConfig(**config, scales=scales),
        header["hand"],
        tuple(KnownObject(**known) for known in json.loads(header["objects"])),
        int(header["step"]),
        json.loads(header["training"]),
        tensors,
    )


def checkpoint_of(
    network: HandObjectNetwork, objects: Sequence[ObjectModel], *, step: int, training: dict[str, str]
) -> Checkpoint:
    """The checkpoint of a network as it is now."""
    tensors = {f"{PREFIX}{name}": value.detach().cpu() for name, value in network.state_dict().items()}
    known = tuple(KnownObject.of(model) for model in objects)
    return Checkpoint(network.config, network.hand.template.name, known, step, training, tensors)


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Replace the file `path` by a checkpoint. Raises `CheckpointError` or `OSError` when it cannot be written."""
    header = {
        "format": FORMAT,
        "config": json.dumps(_stated(checkpoint.config), sort_keys=True),
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
    except SafetensorError as error:  # on a full disk, for example
        raise CheckpointError(f"expected to write the checkpoint {path}, but: {error}") from error


def _stated(config: NetworkConfig) -> dict[str, Any]:
    """The configuration as it is stored: a field that is younger than the format stays out at its default."""
    stated = asdict(config)
    if config.encoder == NetworkConfig.encoder:
        del stated["encoder"]
    return stated
