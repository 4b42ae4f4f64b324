"""What runs a trained network's encoder: how long each takes, and how far vertices move from PyTorch's in fp32.

python -m benchmarks.backends RUN DATA [--clock processor]
"""

import argparse
import statistics
from pathlib import Path
from typing import get_args

import torch

from benchmarks.inference import other_backends
from benchmarks.measure import Clock, quartiles, seconds
from warpgrasp.data import Dataset, open_dataset
from warpgrasp.data.dataset import Split
from warpgrasp.frame import Frames
from warpgrasp.hand import HandModel, open_hand
from warpgrasp.inference.quantization import vertex_change_mm
from warpgrasp.reconstruction import HandObjectNetwork, load_checkpoint

CALIBRATION, EVALUATED, TURNS = 40, 48, 15


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="a checkpoint")
    parser.add_argument("data", type=Path, help="the data set that it was trained on")
    parser.add_argument("--clock", choices=get_args(Clock), default="wall")
    options = parser.parse_args()
    checkpoint, hand = load_checkpoint(options.run), HandModel(open_hand())
    width, height = int(checkpoint.training["width"]), int(checkpoint.training["height"])
    dataset = open_dataset(options.data, hand, size=(width, height))
    network = checkpoint.network(hand).eval()
    network.encoder.to(memory_format=torch.channels_last)
    half = checkpoint.network(hand).eval()
    half.encoder.to(memory_format=torch.channels_last)
    half.encoder_precision = "bf16"
    pictures = [one.image for one in some(dataset, "train", CALIBRATION)]
    others = {"PyTorch bf16": half, **dict(other_backends(network, pictures, width=width, height=height))}
    frames = some(dataset, "evaluation", EVALUATED)

    def run(one: HandObjectNetwork) -> None:
        with torch.inference_mode():
            one(frames[0].image, frames[0].camera, frames[0].objects)

    changes = {name: vertex_change_mm(network, other, frames) for name, other in others.items()}
    everything = {"PyTorch fp32": network, **others}
    turns = [
        {name: seconds(lambda: run(one), options.clock) for name, one in everything.items()}  # noqa: B023
        for _ in range(TURNS)
    ]
    print(f"{width}×{height}, batch 1, {torch.get_num_threads()} threads, {options.clock} clock")
    print("| encoder | ms | times as fast | hand, mm | object, mm |\n|---|---|---|---|---|")
    for name in everything:
        ms = 1e3 * statistics.median(turn[name] for turn in turns)
        _, ratio, _ = quartiles([turn["PyTorch fp32"] / turn[name] for turn in turns])
        hand_mm, object_mm = changes.get(name, (0.0, 0.0))
        print(f"| {name} | {ms:.1f} | {ratio:.2f} | {hand_mm:.2f} | {object_mm:.2f} |")


def some(dataset: Dataset, split: Split, count: int) -> list[Frames]:
    """Frames spread over a split, each a batch of its own."""
    names = dataset.names(split)
    return [Frames.of([dataset.frame(name, annotated=False)]) for name in names[:: len(names) // count][:count]]


if __name__ == "__main__":
    main()
