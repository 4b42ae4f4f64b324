"""From pictures to hand and object in camera space, one picture and eight at a time."""

import copy
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import torch

from benchmarks.measure import Case, Run, Work
from benchmarks.scale import Scale
from benchmarks.scenes import usual_camera
from benchmarks.training_step import encoder_operations
from warpgrasp.data.sample import object_surface
from warpgrasp.frame import ObjectModel, Objects
from warpgrasp.geometry import Camera
from warpgrasp.hand import HandModel, open_hand
from warpgrasp.inference import PACKAGES, Backend, quantize_encoder, run_encoder_by, threads_beside
from warpgrasp.reconstruction import HandObjectNetwork, NetworkConfig
from warpgrasp.reconstruction.encoders import precision_on

OBJECT = "006_mustard_bottle"
BATCHES = (1, 8)
NAMES = {"onnx": "ONNX Runtime", "openvino": "OpenVINO"}


def cases(scale: Scale) -> Iterator[Case]:
    for number, (width, height) in enumerate(scale.pictures):
        network = sighted_network(width, height, channels=64 if scale.name == "paper" else 8)
        others = {}
        if number == 0 and scale.name == "paper":  # exporting takes many seconds
            pictures = [inputs(width, height, 1)[0] for _ in range(4)]
            others = dict(other_backends(network, pictures, width=width, height=height))
        for batch in BATCHES:
            yield _case(network, others, width=width, height=height, batch=batch)


def _case(
    network: HandObjectNetwork, others: Mapping[str, HandObjectNetwork], *, width: int, height: int, batch: int
) -> Case:
    images, camera, objects = inputs(width, height, batch)

    def by(one: HandObjectNetwork) -> Run:
        def run() -> None:
            with torch.inference_mode():
                one(images, camera, objects)

        return run

    runs = {"PyTorch fp32": by(network)}
    if precision_on(torch.device("cpu"), "auto") == "bf16":
        half = copy.deepcopy(network)
        half.encoder_precision = "bf16"
        runs["PyTorch bf16"] = by(half)
    runs |= {name: alone(by(one)) for name, one in others.items()}
    work = Work(operations=batch * encoder_operations(network, width=width, height=height))
    size = f"{width}×{height}, encoder of width {network.config.width}, batch {batch}"
    return Case("inference", size, "image", batch, runs, work)


def alone(run: Run) -> Run:
    """A run of an encoder by another package, as `predict` runs it: PyTorch keeps out of its way."""

    def beside() -> None:
        with threads_beside("onnx"):
            run()

    return beside


def other_backends(
    network: HandObjectNetwork, pictures: Sequence[torch.Tensor], *, width: int, height: int
) -> Iterator[tuple[str, HandObjectNetwork]]:
    """The network with its encoder run by whatever is installed, calibrated on the pictures where it is in int8."""
    installed: list[Backend] = [one for one in ("onnx", "openvino") if find_spec(PACKAGES[one]) is not None]
    precision = precision_on(torch.device("cpu"), "auto")
    quantized = None
    if "onnx" in installed:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "encoder.onnx"
            quantize_encoder(network, pictures, file, weights_sha256="")
            quantized = file.read_bytes()
    for backend in installed:
        for content in (None, quantized) if quantized is not None else (None,):
            other = copy.deepcopy(network)
            other.encoder_precision = precision
            run_encoder_by(backend, other, width=width, height=height, quantized=content)
            arithmetic = other.encoder_precision if content is None else "int8"
            yield f"{NAMES[backend]} {arithmetic}", other.eval()


def inputs(width: int, height: int, batch: int) -> tuple[torch.Tensor, Camera, Objects]:
    """Pictures of noise, a usual camera, and a shipped object."""
    surface = object_surface(OBJECT)
    model = ObjectModel.centred(
        OBJECT, torch.from_numpy(surface.vertices).float(), torch.from_numpy(surface.faces).long()
    )
    images = torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(0))
    return images, usual_camera(width, height, batch), Objects.of([model] * batch)


def sighted_network(width: int, height: int, *, channels: int) -> HandObjectNetwork:
    """An untrained network whose batch norm has seen pictures of this size."""
    torch.manual_seed(0)
    network = HandObjectNetwork(NetworkConfig(width=channels), HandModel(open_hand()), (OBJECT,))
    network.encoder.to(memory_format=torch.channels_last)
    with torch.no_grad():
        network.train()(*inputs(width, height, 4))
    return network.eval()
