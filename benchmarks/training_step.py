"""One step of each stage, against the control's and against the bare encoder's both ways on the same frames."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchmarks.measure import Case, Work
from benchmarks.scale import Scale
from warpgrasp.data import augment, open_dataset
from warpgrasp.data.sample import unpack_shipped
from warpgrasp.frame import Frames
from warpgrasp.hand import HandModel, open_hand
from warpgrasp.reconstruction import HandObjectNetwork, NetworkConfig
from warpgrasp.reconstruction.encoders import freeze_batch_norm, precision_on
from warpgrasp.training import (
    FrameCache,
    PairBatch,
    PairFrames,
    Recipe,
    StepBatch,
    StepLoss,
    StepWeights,
    Training,
    compare_pairs,
    demo,
    initial_network,
    keep_freed_memory,
)

DEMO_WIDTH = 96  # in pixels: what is larger has the batches of the paper, 8 + 8, in fp32
BOTH_WAYS = 3  # operations of forward and backward together, in those of forward


Loss = Callable[[torch.Generator], torch.Tensor]


@dataclass(frozen=True)
class Stages:
    """A network and the batches of a step."""

    recipe: Recipe
    network: HandObjectNetwork
    optimiser: torch.optim.Optimizer
    frames: Frames
    targets: Frames
    references: Frames

    @staticmethod
    def of(recipe: Recipe, folder: Path) -> "Stages":
        """As `train_stage` makes them of the shipped sample."""
        dataset = open_dataset(folder, HandModel(open_hand()))
        training = Training.prepare(recipe, dataset)
        network = initial_network(training).train()
        network.encoder.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        network.encoder_precision = precision_on(torch.device("cpu"), recipe.precision)
        freeze_batch_norm(network)
        optimiser = torch.optim.Adam(network.parameters(), lr=1e-6, eps=1e-12, fused=True)
        annotated, rest = training.labels.annotated_names, training.labels.unannotated_names
        count = recipe.photometric.pairs
        targets = rest[:: len(rest) // count][:count]
        read = training.source.frames
        references = read([training.labels.reference(name) for name in targets])
        frames = read([annotated[i % len(annotated)] for i in range(recipe.stage2.batch)])
        return Stages(recipe, network, optimiser, frames, read(targets), references)


def cases(scale: Scale) -> Iterator[Case]:
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        root = unpack_shipped(Path(folder) / "data")
        for width, height, channels in scale.training:
            recipe = replace(demo(), width=width, height=height, network=NetworkConfig(width=channels))
            if width > DEMO_WIDTH:
                recipe = replace(
                    recipe,
                    stage1=replace(recipe.stage1, batch=8),
                    photometric=replace(recipe.photometric, pairs=8),
                    precision="fp32",
                )
            yield from _cases(Stages.of(recipe, root))


def _cases(stages: Stages) -> Iterator[Case]:
    recipe, count = stages.recipe, len(stages.frames.names)
    pairs = len(stages.targets.names)
    what = f"{recipe.width}×{recipe.height}, encoder of width {recipe.network.width}"
    precision = stages.network.encoder_precision
    operations = BOTH_WAYS * encoder_operations(stages.network, width=recipe.width, height=recipe.height)
    pictures = torch.cat([stages.frames.image, stages.targets.image])
    yield Case(
        "step of stage 1",
        f"{what}, {count} frames, {precision}",
        "step",
        1,
        {
            "ours": stepped(stages, first_stage(stages)),
            "encoder alone": stepped(stages, lambda _: stages.network.features(stages.frames.image).square().mean()),
        },
        Work(operations=count * operations, precision=precision),
    )
    yield Case(
        "step of stage 2",
        f"{what}, {count} + {pairs} frames, {precision}",
        "step",
        1,
        {
            "ours": stepped(stages, second_stage(stages, recipe)),
            "control": stepped(stages, second_stage(stages, recipe.as_control())),
            "encoder alone": stepped(stages, lambda _: stages.network.features(pictures).square().mean()),
            "term alone": term_alone(stages),
        },
        Work(operations=(count + pairs) * operations, precision=precision),
    )


def stepped(stages: Stages, loss: Loss) -> Callable[[], None]:
    """A step of the optimiser on a loss, as `train_stage` takes it."""

    def run() -> None:
        stages.optimiser.zero_grad(set_to_none=True)
        loss(torch.Generator().manual_seed(0)).backward()
        torch.nn.utils.clip_grad_norm_(stages.network.parameters(), 1.0)
        stages.optimiser.step()

    return run


def first_stage(stages: Stages) -> Loss:
    """The loss of a step of stage 1."""
    recipe = stages.recipe
    loss, batch = StepLoss(stages.network, recipe), StepBatch(stages.frames, None)
    weights = StepWeights.at(recipe, stage=1, step=0)
    return lambda generator: loss(batch, generator, weights)[0]


def second_stage(stages: Stages, recipe: Recipe) -> Loss:
    """The loss of a step of stage 2, after the ramp."""
    loss = StepLoss(stages.network, recipe)
    batch = StepBatch(stages.frames, None, PairFrames(stages.targets, stages.references, None))
    weights = StepWeights.at(recipe, stage=2, step=recipe.photometric.ramp_steps)
    return lambda generator: loss(batch, generator, weights)[0]


def term_alone(stages: Stages) -> Callable[[], None]:
    """The photometric term from the network's outputs on, forward and backward."""
    targets, recipe, cache = stages.targets, stages.recipe, FrameCache()
    view = augment(targets.image, targets.camera, recipe.augment, torch.Generator().manual_seed(0))
    batch = PairBatch(targets, stages.references, view, None)
    with torch.no_grad():
        found = stages.network(view.image, view.camera, targets.objects)
    leaves = [found.hand.vertices.clone().requires_grad_(), found.object.vertices.clone().requires_grad_()]
    leaf = replace(
        found,
        hand=replace(found.hand, vertices=leaves[0]),
        object=replace(found.object, vertices=leaves[1]),
    )

    def run() -> None:
        for one in leaves:
            one.grad = None
        compare_pairs(stages.network.hand, batch, leaf, recipe.photometric, cache=cache).loss.mean().backward()

    return run


def encoder_operations(network: HandObjectNetwork, *, width: int, height: int) -> float:
    """Multiplications and additions of the convolutions in one picture's forward pass."""
    total = 0.0

    def count(layer: torch.nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal total
        assert isinstance(layer, torch.nn.Conv2d)
        total += 2 * output[0].numel() * layer.weight[0].numel()

    layers = [layer for layer in network.encoder.modules() if isinstance(layer, torch.nn.Conv2d)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    with torch.no_grad():
        network.encoder(torch.zeros(1, 3, height, width, device=next(network.parameters()).device))
    for hook in hooks:
        hook.remove()
    return total
