"""From pictures to hand and object in camera space, one picture and eight at a time."""

from collections.abc import Iterator

import torch

from benchmarks.measure import Case, Run, Work
from benchmarks.scale import Scale
from benchmarks.scenes import usual_camera
from benchmarks.training_step import encoder_operations
from warpgrasp.data.sample.objects import object_surface
from warpgrasp.frame import ObjectModel, Objects
from warpgrasp.geometry import Camera
from warpgrasp.hand import HandModel, open_hand
from warpgrasp.reconstruction import HandObjectNetwork, NetworkConfig, Precision, precision_on

OBJECT = "006_mustard_bottle"
BATCHES = (1, 8)


def cases(scale: Scale) -> Iterator[Case]:
    for width, height in scale.pictures:
        network = sighted_network(width, height, channels=64 if scale.name == "paper" else 8)
        for batch in BATCHES:
            yield _case(network, width=width, height=height, batch=batch)


def _case(network: HandObjectNetwork, *, width: int, height: int, batch: int) -> Case:
    images, camera, objects = inputs(width, height, batch)

    def by_torch(precision: Precision) -> None:
        network.encoder_precision = precision
        with torch.inference_mode():
            network(images, camera, objects)

    runs: dict[str, Run] = {"PyTorch fp32": lambda: by_torch("fp32")}
    if precision_on(torch.device("cpu"), "auto") == "bf16":
        runs["PyTorch bf16"] = lambda: by_torch("bf16")
    work = Work(operations=batch * encoder_operations(network, width=width, height=height))
    size = f"{width}×{height}, encoder of width {network.config.width}, batch {batch}"
    return Case("inference", size, "image", batch, runs, work)


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
