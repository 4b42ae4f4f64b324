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
    FrameConstants,
    PairBatch,
    Recipe,
    Training,
    compare_pairs,
    demo,
    initial_network,
    keep_freed_memory,
    on_pairs,
    supervised,
)

DEMO_WIDTH = 96  # in pixels: what is larger has the batches of the paper, 8 + 8, in fp32
BOTH_WAYS = 3  # operations of forward and backward together, in those of forward


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
        network.encoder.to(memory_format=torch.channels_last)
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
    constants = FrameConstants()
    yield Case(
        "step of stage 1",
        f"{what}, {count} frames, {precision}",
        "step",
        1,
        {
            "ours": stepped(stages, lambda generator: first_stage(stages, generator)),
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
            "ours": stepped(stages, lambda generator: second_stage(stages, generator, constants)),
            "control": stepped(stages, lambda generator: second_stage(stages, generator, None)),
            "encoder alone": stepped(stages, lambda _: stages.network.features(pictures).square().mean()),
            "term alone": term_alone(stages, constants),
        },
        Work(operations=(count + pairs) * operations, precision=precision),
    )


def stepped(stages: Stages, loss: Callable[[torch.Generator], torch.Tensor]) -> Callable[[], None]:
    """A step of the optimiser on a loss, as `train_stage` takes it."""

    def run() -> None:
        stages.optimiser.zero_grad(set_to_none=True)
        loss(torch.Generator().manual_seed(0)).backward()
        torch.nn.utils.clip_grad_norm_(stages.network.parameters(), 1.0)
        stages.optimiser.step()

    return run


def first_stage(stages: Stages, generator: torch.Generator) -> torch.Tensor:
    """The loss of a step of stage 1."""
    network, frames, recipe = stages.network, stages.frames, stages.recipe
    view = augment(frames.image, frames.camera, recipe.augment, generator)
    return supervised(network, frames, view, recipe.loss, features=network.features(view.image)).loss


def second_stage(stages: Stages, generator: torch.Generator, constants: FrameConstants | None) -> torch.Tensor:
    """The loss of a step of stage 2; the control's without `seen`."""
    network, frames, targets, recipe = stages.network, stages.frames, stages.targets, stages.recipe
    view = augment(frames.image, frames.camera, recipe.augment, generator)
    target_view = augment(targets.image, targets.camera, recipe.augment, generator)
    batch = PairBatch(targets, stages.references, target_view, None)
    features = network.features(torch.cat([view.image, target_view.image]))
    of_frames, of_targets = features.split([len(frames.names), len(targets.names)])
    loss = supervised(network, frames, view, recipe.loss, features=of_frames).loss
    objective, term = on_pairs(
        network,
        batch,
        recipe.loss,
        recipe.photometric,
        features=of_targets,
        compare=constants is not None,
        constants=constants,
    )
    loss = loss + objective.loss
    return loss if term is None else loss + recipe.photometric.weight * term.loss.mean()


def term_alone(stages: Stages, constants: FrameConstants) -> Callable[[], None]:
    """The photometric term from the network's outputs on, forward and backward."""
    targets, recipe = stages.targets, stages.recipe
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
        compare_pairs(stages.network, batch, leaf, recipe.photometric, constants=constants).loss.mean().backward()

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
