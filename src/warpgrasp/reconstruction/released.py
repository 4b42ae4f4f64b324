"""The checkpoints that the paper's code released, as networks of ours.

The differences, and how they are carried over:

* The parameters have other names (`KEYS`); the classifier of the encoder is dropped.
* Their image is centred on (W / 2, H / 2), ours on ((W - 1) / 2, (H - 1) / 2): half a pixel more in the biases of both
  translations.
* Sideways they divide by the horizontal focal length alone, we by that of each axis: the same where pixels are square.
* With skeleton adaptation they regress all 21 joints; wrist and fingertips, whose rows were held at the hand model's
  own, stay the model's here, and the others are taken relative to the wrist, which is the same where rows sum to 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from warpgrasp.errors import DataError
from warpgrasp.frame import ObjectModel
from warpgrasp.hand import HandModel
from warpgrasp.reconstruction.checkpoint import Checkpoint, CheckpointError, checkpoint_of
from warpgrasp.reconstruction.encoders import read_parameters
from warpgrasp.reconstruction.network import HandObjectNetwork, NetworkConfig, OutputScales

POSE_COEFFICIENTS = 15
HALF_PIXEL = 0.5
# Our names and theirs, of layers that have a weight and a bias each.
KEYS = {
    "heads.object_pose.0": "scaletrans_branch_obj.decoder.0",
    "heads.object_pose.2": "scaletrans_branch_obj.final_layer",
    "heads.hand_translation.0": "scaletrans_branch.decoder.0",
    "heads.hand_translation.2": "scaletrans_branch.final_layer",
    "heads.hand_pose_shape.0": "mano_branch.base_layer.0",
    "heads.hand_pose_shape.2": "mano_branch.base_layer.2",
}
POSE, SHAPE = "mano_branch.pose_reg", "mano_branch.shape_reg.0"  # together the last layer of ours
ADAPTOR, OUR_ADAPTOR = "adaptor.adaptor.weight", "adaptation.regressor"
ENCODER = "base_net."  # before the names of its parameters
# Arrays of the hand that lie in their checkpoints, by which ours is known to be the same.
HAND_BUFFERS = {
    "th_v_template": "template_vertices",
    "th_hands_mean": "mean_pose",
    "th_selected_comps": "pose_components",
}
SAME_HAND = 1e-4  # metres or radians
LONGEST_HAND_M = 0.25  # from the wrist to the farthest vertex
TRANSLATIONS = ("heads.object_pose.2.bias", "heads.hand_translation.2.bias")


@dataclass(frozen=True)
class Released:
    """A released checkpoint as one of ours, and by how much its adapted joints may differ."""

    checkpoint: Checkpoint
    adaptation_error_m: float  # at most, for a hand of which no vertex lies farther than 0.25 m from its wrist


def read_released(path: Path, hand: HandModel, objects: Sequence[ObjectModel], *, width: int, height: int) -> Released:
    """Convert a `checkpoint_*.pth.tar` of the paper's code, which sees pictures of this size.

    `hand` must be the MANO that it was trained with. Raises `CheckpointError` when the file is none or of another hand.
    """
    state = _state(path)
    _check_hand(path, state, hand)
    network = HandObjectNetwork(
        NetworkConfig(
            pose_coefficients=POSE_COEFFICIENTS,
            skeleton_adaptation=ADAPTOR in state,
            scales=OutputScales(kind="paper"),
        ),
        hand,
        tuple(model.name for model in objects),
    )
    parameters = _parameters(state, network)
    unnamed = ("rotation", "rotations", "num_batches_tracked")  # old checkpoints lack the last
    kept = {name: value for name, value in network.state_dict().items() if name.endswith(unnamed)}
    try:
        network.load_state_dict({**kept, **parameters})
    except RuntimeError as error:
        raise CheckpointError(
            f"expected a ResNet-18 with the paper's branches in {path}, but: {' '.join(str(error).split())[:300]}"
        ) from error
    rows = parameters.get(OUR_ADAPTOR)
    error_m = 0.0 if rows is None else LONGEST_HAND_M * float((rows.sum(dim=1) - 1).abs().max())
    notes = {"recipe": "released", "width": str(width), "height": str(height)}
    return Released(checkpoint_of(network, objects, step=0, training=notes), error_m)


def _parameters(state: Mapping[str, Tensor], network: HandObjectNetwork) -> dict[str, Tensor]:
    """Their parameters under our names."""
    of_encoder = {name.removeprefix(ENCODER): value for name, value in state.items() if name.startswith(ENCODER)}
    ours = {f"encoder.{name}": value for name, value in of_encoder.items() if not name.startswith("fc.")}
    for own_name, their_name in KEYS.items():
        ours |= {f"{own_name}.{kind}": state[f"{their_name}.{kind}"] for kind in ("weight", "bias")}
    for kind in ("weight", "bias"):
        pose = state[f"{POSE}.{kind}"]
        shape = state.get(f"{SHAPE}.{kind}", pose.new_zeros((network.hand.shape_count, *pose.shape[1:])))
        ours[f"heads.hand_pose_shape.4.{kind}"] = torch.cat([pose, shape])
    for name in TRANSLATIONS:
        shifted = ours[name].clone()
        shifted[1:3] += HALF_PIXEL / network.config.scales.translation_scale_px
        ours[name] = shifted
    if network.adaptation is not None:
        ours[OUR_ADAPTOR] = state[ADAPTOR][network.adaptation.learned_joints]
    return ours


def _state(path: Path) -> dict[str, Tensor]:
    """The parameters by their own names. Nothing but tensors and plain values is unpickled."""
    try:
        content: Any = read_parameters(path)
    except FileNotFoundError as error:
        raise CheckpointError(f"expected a checkpoint of the paper's code, found no file {path}") from error
    except (OSError, DataError) as error:
        raise CheckpointError(f"expected a checkpoint of the paper's code in {path}, but: {error}") from error
    state = content.get("state_dict") if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping):
        raise CheckpointError(f"expected a checkpoint of the paper's code in {path}, found no `state_dict` in it")
    state = {str(name).removeprefix("module."): value for name, value in state.items()}
    wanted = ["base_net.conv1.weight", f"{POSE}.weight", *(f"{theirs}.weight" for theirs in KEYS.values())]
    missing = [name for name in wanted if name not in state]
    if missing:
        raise CheckpointError(
            f"expected a checkpoint of the paper's code in {path}, found none of its {', '.join(missing)}"
        )
    return state


def _check_hand(path: Path, state: Mapping[str, Tensor], hand: HandModel) -> None:
    for theirs, ours in HAND_BUFFERS.items():
        stored = state.get(f"mano_branch.mano_layer_right.{theirs}")
        if stored is None:
            continue
        mine = getattr(hand, ours)
        stored = stored.reshape(-1, mine.shape[-1]) if mine.dim() > 1 else stored.flatten()
        mine = mine[: len(stored)]
        if stored.shape != mine.shape or (stored - mine).abs().max() > SAME_HAND:
            raise CheckpointError(
                f"expected the hand that {path} was trained with, got {hand.template.name}, whose {ours} are others; "
                f"give the same MANO by --hand mano --mano-folder"
            )
