"""Starting: the command line's help, and what importing costs beyond PyTorch; each in new processes."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from benchmarks.measure import Case, Run
from benchmarks.scale import Scale


def cases(scale: Scale) -> Iterator[Case]:
    yield Case(
        "warpgrasp --help",
        "new process",
        "start",
        1,
        {"ours": process("-m", "warpgrasp.cli", "--help"), "python alone": process("-c", "pass")},
    )
    yield Case(
        "import warpgrasp",
        "new process",
        "start",
        1,
        {"ours": process("-c", "import warpgrasp, torch"), "import torch": process("-c", "import torch")},
    )
    yield Case(
        "importing the training",
        "new process",
        "start",
        1,
        {"ours": process("-c", "import warpgrasp.training.loop"), "import torch": process("-c", "import torch")},
    )
    raster = (
        "import torch; from benchmarks.scenes import scene; from warpgrasp.render import rasterize; "
        "drawn = scene(width=48, height=32, batch=1, object_faces=3000); rasterize(drawn.mesh, drawn.camera)"
    )
    yield Case(
        "the first picture rasterised",
        "new process",
        "start",
        1,
        {"kernels from the cache": process("-c", raster), "kernels compiled": process("-c", raster, cached=False)},
    )


def process(*arguments: str, cached: bool = True) -> Run:
    """Run Python with these arguments; with an empty cache of compiled kernels if not `cached`."""

    def run() -> None:
        with tempfile.TemporaryDirectory() as empty:
            environment = dict(os.environ) if cached else {**os.environ, "NUMBA_CACHE_DIR": empty}
            subprocess.run([sys.executable, *arguments], env=environment, check=True, capture_output=True)

    return run
