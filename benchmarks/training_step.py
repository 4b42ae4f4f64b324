"""What the photometric term costs: a step of the demo's stage 2 with and without it, and the term's own parts.

python -m benchmarks.training_step
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from warpgrasp.data import augment, open_dataset
from warpgrasp.data.sample import unpack_shipped
from warpgrasp.hand import HandModel, open_hand
from warpgrasp.reconstruction import freeze_batch_norm, precision_on
from warpgrasp.training.loop import Training, initial_network
from warpgrasp.training.objective import PairBatch, compare_pairs, on_pairs, supervised
from warpgrasp.training.recipes import demo

REPEATS = 9


def seconds(run: Callable[[], None]) -> float:
    """Median of several runs after a warm-up."""
    run()
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> None:
    """Measure and print."""
    recipe = demo()
    with tempfile.TemporaryDirectory() as folder:
        dataset = open_dataset(unpack_shipped(Path(folder) / "data"), HandModel(open_hand()))
        training = Training.prepare(recipe, dataset)
        network = initial_network(training).train().to(memory_format=torch.channels_last)
        network.encoder_precision = precision_on(torch.device("cpu"), recipe.precision)
        freeze_batch_norm(network)
        names = training.labels.annotated_names
        frames = training.source.frames([names[i % len(names)] for i in range(recipe.stage2.batch)])
        targets = training.labels.unannotated_names[
            :: len(training.labels.unannotated_names) // recipe.photometric.pairs
        ]
        targets = targets[: recipe.photometric.pairs]
        references = training.source.frames([training.labels.reference(name) for name in targets])
        target_frames = training.source.frames(targets)
    generator = torch.Generator().manual_seed(0)

    def step(compare: bool) -> None:
        view = augment(frames.image, frames.camera, recipe.augment, generator)
        seen = augment(target_frames.image, target_frames.camera, recipe.augment, generator)
        batch = PairBatch(target_frames, references, seen, None)
        features = network.features(torch.cat([view.image, seen.image]))
        of_frames, of_targets = features.split([len(frames.names), len(targets)])
        loss = supervised(network, frames, view, recipe.loss, features=of_frames).loss
        objective, term = on_pairs(
            network, batch, recipe.loss, recipe.photometric, features=of_targets, compare=compare
        )
        loss = loss + objective.loss
        if term is not None:
            loss = loss + 1e-3 * term.loss.mean()
        loss.backward()

    def term_alone() -> None:
        compare_pairs(network, batch, reconstruction, recipe.photometric).loss.mean().backward(retain_graph=True)

    seen = augment(target_frames.image, target_frames.camera, recipe.augment, generator)
    batch = PairBatch(target_frames, references, seen, None)
    reconstruction = network(seen.image, seen.camera, target_frames.objects)
    vertices = (
        reconstruction.hand.vertices.detach().requires_grad_(),
        reconstruction.object.vertices.detach().requires_grad_(),
    )
    reconstruction = type(reconstruction)(
        type(reconstruction.hand)(**{**vars(reconstruction.hand), "vertices": vertices[0]}),
        type(reconstruction.object)(**{**vars(reconstruction.object), "vertices": vertices[1]}),
    )
    whole, control, term = seconds(lambda: step(True)), seconds(lambda: step(False)), seconds(term_alone)
    frames_a_step = f"{recipe.stage2.batch} + {recipe.photometric.pairs} frames"
    size = f"{recipe.width}×{recipe.height}, {frames_a_step}, {network.encoder_precision}"
    print(f"stage-2 step, {size}, {torch.get_num_threads()} threads: {1000 * whole:.0f} ms")
    print(f"  without the photometric term {1000 * control:.0f} ms")
    print(f"  the term alone, forward and backward {1000 * term:.0f} ms = {100 * term / whole:.0f} % of the step")


if __name__ == "__main__":
    main()
