"""The suites: modules with `cases`, each run in a process of its own."""

import importlib
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from benchmarks.measure import Row, measure
from benchmarks.scale import Scale
from benchmarks.table import BenchmarkError

SUITES = (
    "rasterize",
    "photometric",
    "hand_model",
    "augmentation",
    "reading",
    "encoders",
    "training_step",
    "inference",
    "ho3d_scoring",
    "manifest",
    "startup",
    "keypoints",
)
ALONE = ("growth", "long", "operations")  # tables of their own, or minutes: only when named


def in_own_process(name: str, scale: Scale) -> list[Row]:
    """Run a suite in a new process, so that no suite finds the memory and the threads of another."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(run_suite, name, scale).result()
        except BrokenProcessPool as error:
            raise BenchmarkError(f"expected the suite {name} to end, but its process was killed") from error


def run_suite(name: str, scale: Scale) -> list[Row]:
    """Measure every case of a suite."""
    suite = importlib.import_module(f"benchmarks.{name}")
    return [measure(name, case, scale.patience) for case in suite.cases(scale)]
