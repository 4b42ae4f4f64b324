"""What a GPU gives: rasteriser, photometric term, steps of training, inference, each beside its floor.

    python -m benchmarks.gpu --out gpu.json

Every figure is the median of several calls, each waited for. `launch-bound` steps show as a GPU that is hardly busy.
"""

import argparse
import json
import statistics
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.scenes import Scene, scene
from benchmarks.training_step import BOTH_WAYS, Stages, encoder_operations, second_stage, stepped, term_alone
from warpgrasp.data.sample import unpack_shipped
from warpgrasp.frame import FramePair, move_to
from warpgrasp.geometry import Camera, Mesh
from warpgrasp.photometric import photometric_consistency
from warpgrasp.reconstruction import NetworkConfig
from warpgrasp.render import Fragments, rasterize, reference
from warpgrasp.training import demo

DEVICE = torch.device("cuda")
RASTER_BYTES = 12  # of a pixel: the face's number and the depth
COLOUR_BYTES = 24  # of a compared pixel: three colours of either picture
PICTURES = ((480, 270), (640, 480))
BATCHES = (8, 64, 512)


def milliseconds(run: Callable[[], object], *, least: int = 5, seconds: float = 0.4) -> float:
    """The median of several calls, after two that are not counted."""
    for _ in range(2):
        run()
    torch.cuda.synchronize()
    times: list[float] = []
    started = time.perf_counter()
    while len(times) < least or time.perf_counter() - started < seconds:
        before = time.perf_counter()
        run()
        torch.cuda.synchronize()
        times.append(1e3 * (time.perf_counter() - before))
    return statistics.median(times)


def device_milliseconds(run: Callable[[], object]) -> float:
    """How long the device computes in one call, whatever the host does."""
    run()
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        run()
        torch.cuda.synchronize()
    return sum(one.self_device_time_total for one in profile.key_averages()) / 1e3


def waits(run: Callable[[], object]) -> dict[str, int]:
    """Where the host waits for the device in one call, and how often."""
    run()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            run()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return dict(
        Counter(f"{Path(one.filename).name}:{one.lineno}" for one in caught if "synchroniz" in str(one.message))
    )


def placed(drawn: Scene) -> Scene:
    """A scene on the GPU."""
    mesh = drawn.mesh
    moved = Mesh(mesh.vertices.to(DEVICE), mesh.faces.to(DEVICE), mesh.auxiliary_faces.to(DEVICE))
    return Scene(moved, drawn.camera.to(moved.vertices))


def floors() -> dict[str, float]:
    """Bytes per second of a large copy, operations per second of large products."""
    source = torch.empty(2**28, device=DEVICE)
    other = torch.empty_like(source)
    copied = 2 * source.numel() * 4 / (1e-3 * milliseconds(lambda: other.copy_(source)))
    size = 8192
    square = torch.randn(size, size, device=DEVICE)
    half = square.bfloat16()
    fp32 = 2 * size**3 / (1e-3 * milliseconds(lambda: square @ square))
    bf16 = 2 * size**3 / (1e-3 * milliseconds(lambda: half @ half))
    return {"copy_bytes_s": copied, "fp32_operations_s": fp32, "bf16_operations_s": bf16}


def rasterising(machine: dict[str, float]) -> list[dict[str, Any]]:
    rows = []
    for width, height in PICTURES:
        for faces in (3000, 16_000):
            for batch in BATCHES:
                small = placed(scene(width=width, height=height, batch=min(batch, 64), object_faces=faces))
                copies = max(1, batch // 64)
                mesh = Mesh(*(one.repeat(copies, *([1] * (one.dim() - 1))) for one in vars(small.mesh).values()))
                camera = Camera(small.camera.intrinsics.repeat(copies, 1, 1), width, height)
                pixels = batch * width * height
                read = mesh.vertices.numel() * 4 + mesh.faces.numel() * 8
                row = {
                    "what": "rasterise",
                    "size": f"{width}×{height}, {mesh.faces.shape[1]} faces, batch {batch}",
                    "ms": milliseconds(lambda mesh=mesh, camera=camera: rasterize(mesh, camera)),
                    "floor_ms": 1e3 * (pixels * RASTER_BYTES + read) / machine["copy_bytes_s"],
                }
                if batch <= 64:
                    ours, theirs = rasterize(mesh, camera), reference.rasterize(mesh, camera)
                    row["reference_ms"] = milliseconds(
                        lambda mesh=mesh, camera=camera: reference.rasterize(mesh, camera), seconds=0.2
                    )
                    row["other_faces"] = int((ours.face_ids != theirs.face_ids).sum())
                    row["covered"] = int((theirs.face_ids >= 0).sum())
                rows.append(row)
    return rows


def photometric(machine: dict[str, float]) -> list[dict[str, Any]]:
    rows = []
    for width, height in PICTURES:
        for faces in (3000, 16_000):
            for batch in (8, 64):
                drawn = placed(scene(width=width, height=height, batch=batch, object_faces=faces))
                generator = torch.Generator(DEVICE).manual_seed(1)
                images = torch.rand(2, batch, 3, height, width, generator=generator, device=DEVICE)
                pair = FramePair(images[0], drawn.camera, images[1], drawn.camera, drawn.mesh)
                shift = 0.004 * torch.randn(batch, 1, 3, generator=generator, device=DEVICE)
                vertices = (drawn.mesh.vertices + shift).requires_grad_()

                def term(drawn: Scene = drawn, pair: FramePair = pair, vertices: torch.Tensor = vertices) -> None:
                    vertices.grad = None
                    photometric_consistency(pair, drawn.mesh.with_vertices(vertices)).loss.mean().backward()

                covered = int(Fragments.of(rasterize(drawn.mesh, drawn.camera)).covered.sum())
                work = (
                    2 * batch * width * height * RASTER_BYTES
                    + covered * COLOUR_BYTES
                    + 2 * drawn.mesh.vertices.numel() * 4
                )
                torch.cuda.reset_peak_memory_stats()
                rows.append(
                    {
                        "what": "flow, warp, masks, loss; both ways",
                        "size": f"{width}×{height}, {drawn.mesh.faces.shape[1]} faces, batch {batch}",
                        "ms": milliseconds(term),
                        "device_ms": device_milliseconds(term),
                        "floor_ms": 1e3 * work / machine["copy_bytes_s"],
                        "waits": waits(term),
                        "peak_mb": torch.cuda.max_memory_allocated() / 1e6,
                    }
                )
    return rows


def training(machine: dict[str, float]) -> list[dict[str, Any]]:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        root = unpack_shipped(Path(folder) / "data")
        for width, height, channels, precision in (
            (96, 72, 32, "bf16"),
            (480, 270, 64, "bf16"),
            (480, 270, 64, "fp32"),
            (640, 480, 64, "bf16"),
        ):
            recipe = replace(
                demo(), width=width, height=height, network=NetworkConfig(width=channels), precision=precision
            )
            if width > 96:
                recipe = replace(
                    recipe,
                    stage1=replace(recipe.stage1, batch=8),
                    photometric=replace(recipe.photometric, pairs=8),
                )
            stages = on_gpu(Stages.of(recipe, root))
            pictures = torch.cat([stages.frames.image, stages.targets.image])
            runs = {
                "ms": stepped(stages, second_stage(stages, recipe)),
                "control_ms": stepped(stages, second_stage(stages, recipe.as_control())),
                "encoder_ms": stepped(stages, lambda _, s=stages, p=pictures: s.network.features(p).square().mean()),
                "term_ms": term_alone(stages),
            }
            operations = BOTH_WAYS * encoder_operations(stages.network, width=width, height=height) * len(pictures)
            torch.cuda.reset_peak_memory_stats()
            rows.append(
                {
                    "what": "step of stage 2",
                    "size": f"{width}×{height}, encoder of width {channels}, {len(pictures)} frames, {precision}",
                    **{name: milliseconds(run) for name, run in runs.items()},
                    **{f"device_{name}": device_milliseconds(run) for name, run in runs.items()},
                    "floor_ms": 1e3 * operations / machine[f"{precision}_operations_s"],
                    "waits": waits(runs["ms"]),
                    "peak_mb": torch.cuda.max_memory_allocated() / 1e6,
                }
            )
            rows += inference(stages, machine)
    return rows


def on_gpu(stages: Stages) -> Stages:
    """The same network and batches on the GPU."""
    network = stages.network.to(DEVICE)
    network.encoder_precision = stages.recipe.precision if stages.recipe.precision != "auto" else "bf16"
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-6, eps=1e-12, fused=True)
    frames, targets, references = (move_to(one, DEVICE) for one in (stages.frames, stages.targets, stages.references))
    return Stages(stages.recipe, network, optimiser, frames, targets, references)


def inference(stages: Stages, machine: dict[str, float]) -> list[dict[str, Any]]:
    """Hand and object vertices out of pictures that lie on the GPU."""
    rows, network, recipe = [], stages.network.eval(), stages.recipe
    for batch in (1, 8, 64):
        rows_of = torch.arange(batch) % len(stages.targets.names)
        image = stages.targets.image[rows_of].contiguous()
        camera = replace(stages.targets.camera, intrinsics=stages.targets.camera.intrinsics[rows_of.to(DEVICE)])
        objects = stages.targets.objects
        objects = replace(
            objects,
            names=tuple(objects.names[i] for i in rows_of),
            **{
                name: value[rows_of.to(DEVICE)]
                for name, value in vars(objects).items()
                if isinstance(value, torch.Tensor)
            },
        )

        def run(image: torch.Tensor = image, camera: Camera = camera, objects: Any = objects) -> None:
            with torch.inference_mode():
                network(image, camera, objects)

        operations = encoder_operations(network, width=recipe.width, height=recipe.height) * batch
        ms = milliseconds(run)
        rows.append(
            {
                "what": "inference",
                "size": f"{recipe.width}×{recipe.height}, encoder of width {recipe.network.width}, batch {batch}, "
                f"{network.encoder_precision}",
                "ms": ms,
                "device_ms": device_milliseconds(run),
                "frames_s": 1e3 * batch / ms,
                "floor_ms": 1e3 * operations / machine[f"{network.encoder_precision}_operations_s"],
                "waits": waits(run),
            }
        )
    network.train()
    return rows


PARTS = {"rasterising": rasterising, "photometric": photometric, "training": training}


def main() -> None:
    """Measure, print, and write the results as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    options = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("expected a GPU of CUDA's, found none")
    machine = floors()
    content: dict[str, Any] = {"device": torch.cuda.get_device_name(), "torch": torch.__version__, "machine": machine}
    print(json.dumps(content), flush=True)
    content["rows"] = []
    for part in options.parts:
        for row in PARTS[part](machine):
            content["rows"].append(row)
            print(json.dumps(row, ensure_ascii=False), flush=True)
        if options.out is not None:
            options.out.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
