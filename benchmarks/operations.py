"""How many operations each part of a training step hands to the device: what a GPU's host needs time for.

Counted are PyTorch's operations as they are dispatched, forward and backward. A view computes nothing and is left out.
A *copy* moves or converts numbers; a *synchronisation* makes the host wait for a number of the device.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.measure import Run
from benchmarks.scale import TINY, Scale
from benchmarks.table import Operations, operations_table
from benchmarks.training_step import Stages, first_stage, second_stage, stepped, term_alone
from warpgrasp.data import augment
from warpgrasp.data.sample import unpack_shipped
from warpgrasp.geometry import matrix_from_axis_angle
from warpgrasp.reconstruction import NetworkConfig
from warpgrasp.training import demo

COPIES = {"aten::copy_", "aten::_to_copy", "aten::clone"}
SYNCHRONISATIONS = {"aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero", "aten::equal"}


class Counting(TorchDispatchMode):
    """Counts what is dispatched while it is active, by name, without views."""

    def __init__(self) -> None:
        super().__init__()
        self.names: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not _is_view(func):
            self.names[func._schema.name] += 1
        return func(*args, **(kwargs or {}))


def _is_view(operation: Any) -> bool:
    """Whether an operation only names numbers anew."""
    returned = [value.alias_info for value in operation._schema.returns]
    is_detached = operation._schema.name == "aten::detach"
    return is_detached or any(alias is not None and not alias.is_write for alias in returned)


def counted(run: Run) -> Operations:
    """The operations of one call, after one that fills caches."""
    run()
    with Counting() as counting:
        run()
    names = counting.names
    copies, waits = (sum(names[name] for name in chosen) for chosen in (COPIES, SYNCHRONISATIONS))
    return Operations(names.total(), copies, waits)


def counts() -> dict[str, Operations]:
    """Of each part of a step of the demo, on tiny pictures: neither their size nor their number changes a count."""
    width, height, channels = TINY.training[0]
    recipe = replace(demo(), width=width, height=height, network=NetworkConfig(width=channels))
    with tempfile.TemporaryDirectory() as folder:
        stages = Stages.of(recipe, unpack_shipped(Path(folder) / "data"))
        return {name: counted(run) for name, run in parts(stages).items()}


def main(scale: Scale) -> int:
    """Count, and print the table."""
    print(operations_table(counts()))
    return 0


def parts(stages: Stages) -> Mapping[str, Run]:
    """Whole steps, and what they are made of, each forward and backward."""
    recipe, network, frames = stages.recipe, stages.network, stages.frames
    pictures = torch.cat([frames.image, stages.targets.image])
    features = network.features(frames.image).detach()
    raw = network.heads(features)
    numbers = (raw.hand_rotation, raw.hand_placement, raw.hand_pose, raw.hand_shape)

    def hand() -> torch.Tensor:
        leaves = [number.detach().requires_grad_() for number in numbers]
        posed = network.posed_hand(matrix_from_axis_angle(leaves[0]), leaves[1], pose=leaves[2], shape=leaves[3])
        return posed.vertices.sum() + posed.joints.sum()

    def heads() -> torch.Tensor:
        found = network.heads(features.clone().requires_grad_())
        return sum((getattr(found, name).sum() for name in vars(found)), torch.zeros(()))

    generator = torch.Generator().manual_seed(0)
    return {
        "step of stage 1": stepped(stages, first_stage(stages)),
        "step of stage 2": stepped(stages, second_stage(stages, recipe)),
        "step of stage 2, control": stepped(stages, second_stage(stages, recipe.as_control())),
        "augmentation of a batch": lambda: augment(frames.image, frames.camera, recipe.augment, generator),
        "encoder of both batches": both_ways(lambda: network.features(pictures).square().mean()),
        "heads of a batch": both_ways(heads),
        "hand model of a batch": both_ways(hand),
        "photometric term": term_alone(stages),
        "gradients' norm and optimiser": optimised(stages),
    }


def both_ways(loss: Callable[[], torch.Tensor]) -> Run:
    """A loss and its derivative."""
    return lambda: loss().backward()


def optimised(stages: Stages) -> Run:
    """What a step does with its gradients."""
    for parameter in stages.network.parameters():
        parameter.grad = torch.zeros_like(parameter)

    def run() -> None:
        torch.nn.utils.clip_grad_norm_(stages.network.parameters(), 1.0)
        stages.optimiser.step()

    return run
