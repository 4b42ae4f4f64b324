"""What runs a trained network's encoder: how long each takes, how far vertices move from PyTorch's in fp32, and how
many frames per second `predict` makes of a video.

python -m benchmarks.backends WEIGHTS DATA [--clock processor] [--video-frames 600]
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any, get_args

import torch

from benchmarks.inference import other_backends
from benchmarks.measure import Clock, seconds
from warpgrasp.data import Dataset, Split, open_dataset
from warpgrasp.data.recording import Lens, write_lens
from warpgrasp.export import VideoWriter
from warpgrasp.frame import Frames
from warpgrasp.hand import HandModel, open_hand
from warpgrasp.inference import PredictionOptions, Predictor, quantize_encoder, threads_beside, vertex_change_mm
from warpgrasp.reconstruction import HandObjectNetwork, load_checkpoint

CALIBRATION, EVALUATED, BLOCKS, BLOCK = 40, 48, 3, 20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="a checkpoint")
    parser.add_argument("data", type=Path, help="the data set that it was trained on")
    parser.add_argument("--video-frames", type=int, default=600, help="of the video that is predicted; 0 for none")
    parser.add_argument("--clock", choices=get_args(Clock), default="wall")
    options = parser.parse_args()
    checkpoint, hand = load_checkpoint(options.run), HandModel(open_hand())
    width, height = checkpoint.picture_size
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

    pytorch_alone = ("PyTorch fp32", "PyTorch bf16")
    changes = {name: vertex_change_mm(network, other, frames) for name, other in others.items()}
    everything = {"PyTorch fp32": network, **others}
    # Block after block, as `predict` calls them: between others each would find its weights gone from the caches, and
    # PyTorch's threads spinning.
    times: dict[str, list[float]] = {name: [] for name in everything}
    for _ in range(BLOCKS):
        for name, one in everything.items():
            with threads_beside("torch" if name in pytorch_alone else "onnx"):
                block = [seconds(lambda: run(one), options.clock) for _ in range(BLOCK)]  # noqa: B023
            times[name].append(statistics.median(block[BLOCK // 2 :]))
    print(f"{width}×{height}, batch 1, {torch.get_num_threads()} threads, {options.clock} clock")
    print("| encoder | ms | times as fast | hand, mm | object, mm |\n|---|---|---|---|---|")
    for name in everything:
        ratio = statistics.median(full / own for full, own in zip(times["PyTorch fp32"], times[name], strict=True))
        ms = 1e3 * statistics.median(times[name])
        hand_mm, object_mm = changes.get(name, (0.0, 0.0))
        print(f"| {name} | {ms:.1f} | {ratio:.2f} | {hand_mm:.2f} | {object_mm:.2f} |")
    if options.video_frames:
        print_video(options.run, dataset, hand, options.video_frames)


def print_video(weights: Path, dataset: Dataset, hand: HandModel, count: int) -> None:
    """Frames per second of `predict`, from an MP4 file of the network's size to a predictions file; start left out."""
    checkpoint = load_checkpoint(weights)
    print(f"| from an MP4 of {count} frames | batch | frames/s |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        video, camera, mesh = write_footage(folder, dataset, count)
        quantized = folder / "int8.onnx"
        pictures = [one.image for one in some(dataset, "train", CALIBRATION)]
        quantize_encoder(checkpoint.network(hand).eval(), pictures, quantized, weights_sha256=checkpoint.sha256)
        ways: dict[str, dict[str, Any]] = {
            "PyTorch fp32": {},
            "PyTorch bf16": {"precision": "bf16"},
            "ONNX Runtime fp32": {"backend": "onnx"},
            "ONNX Runtime int8": {"backend": "onnx", "quantized": quantized},
            "OpenVINO bf16": {"backend": "openvino", "precision": "bf16"},
            "OpenVINO int8": {"backend": "openvino", "precision": "auto", "quantized": quantized},
        }
        for name, way in ways.items():
            for batch in (1, 8):
                predictor = Predictor(checkpoint, hand, PredictionOptions(batch=batch, **way))
                _ = predictor.network  # made, and with it the other package's program
                out = folder / f"{name}-{batch}.npz"
                took = seconds(lambda: predictor.predict_footage(video, out, object=mesh, camera=camera, side="right"))  # noqa: B023
                print(f"| {name} | {batch} | {count / took:.1f} |")


def write_footage(folder: Path, dataset: Dataset, count: int) -> tuple[Path, Path, Path]:
    """A video of evaluation frames, repeated, with its camera file and the object's mesh."""
    names = dataset.names("evaluation")
    sequence = names[0].sequence
    frame = dataset.frame(names[0], annotated=False)
    pictures = [
        dataset.frame(name, annotated=False).picture.permute(1, 2, 0).contiguous().numpy()
        for name in names
        if name.sequence == sequence
    ]
    video, camera = folder / "video.mp4", frame.camera
    with VideoWriter(video, (camera.width, camera.height)) as film:
        for number in range(count):
            film.add(pictures[number % len(pictures)], time_s=number / 30)
    write_lens(folder, Lens(camera.intrinsics.double().numpy(), camera.width, camera.height))
    return video, folder / "camera.json", dataset.root / "models" / frame.object.name / "textured_simple.obj"


def some(dataset: Dataset, split: Split, count: int) -> list[Frames]:
    """Frames spread over a split, each a batch of its own."""
    names = dataset.names(split)
    return [Frames.of([dataset.frame(name, annotated=False)]) for name in names[:: len(names) // count][:count]]


if __name__ == "__main__":
    main()
