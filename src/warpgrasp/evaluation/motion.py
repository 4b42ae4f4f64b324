"""How far surfaces move between an unannotated frame and the annotated one that it is compared with."""

from dataclasses import dataclass

import numpy as np

from warpgrasp.data import Dataset, Labels
from warpgrasp.evaluation.scene import Scene
from warpgrasp.frame import FrameName
from warpgrasp.geometry import Camera, Mesh
from warpgrasp.photometric import render_flow


@dataclass(frozen=True)
class Motion:
    """Displacement of the surface points that the reference sees, in pixels of the pictures on disk."""

    median: float
    p95: float


def measure_motion(dataset: Dataset, labels: Labels, *, size: tuple[int, int], every: int = 1) -> Motion:
    """Measure it from the annotations of all frames (for reports; training never sees these).

    `size` is (width, height) of the pictures on disk; `every` takes one unannotated frame in so many.
    """
    displacements = []
    for name in labels.unannotated_names[::every]:
        source, camera = _surface(dataset, labels.reference(name), size)
        destination, destination_camera = _surface(dataset, name, size)
        flow = render_flow(source, destination, source_camera=camera, destination_camera=destination_camera)
        displacements.append(flow.flow_px[flow.visible].norm(dim=-1).numpy())
    if not displacements:
        return Motion(0.0, 0.0)
    median, p95 = np.percentile(np.concatenate(displacements), [50, 95])
    return Motion(float(median), float(p95))


def _surface(dataset: Dataset, name: FrameName, size: tuple[int, int]) -> tuple[Mesh, Camera]:
    truth = dataset.truth(name)
    scene = Scene.true(dataset.hand, truth.annotation, truth.object)
    return scene.mesh, Camera(truth.intrinsics[None], *size)
