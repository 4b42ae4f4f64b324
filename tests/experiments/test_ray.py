"""What a Ray cluster is asked for, by a stand-in that runs each task at once; real clusters are in the slow tests."""

import os
from types import SimpleNamespace
from typing import Any

import pytest

from warpgrasp.experiments import each_on_ray


class StandIn:
    """A cluster of machines with so many processors and GPUs each."""

    exceptions = SimpleNamespace(RayError=OSError)

    def __init__(self, *machines: tuple[int, int]):
        self.machines, self.asked, self.most_at_once = machines, {}, 0

    def init(self, **_: Any) -> None:
        pass

    def shutdown(self) -> None:
        pass

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": sum(cpus for cpus, _ in self.machines), "GPU": sum(gpus for _, gpus in self.machines)}

    def nodes(self) -> list[dict[str, Any]]:
        gone = {"Alive": False, "Resources": {"CPU": 64}}
        return [gone, *({"Alive": True, "Resources": {"CPU": cpus}} for cpus, _ in self.machines)]

    def remote(self, **asked: float) -> Any:
        self.asked = asked
        return lambda _: SimpleNamespace(remote=lambda work, item, *_: (work(item),))

    def wait(self, running: list[Any], *, num_returns: int) -> tuple[list[Any], list[Any]]:
        self.most_at_once = max(self.most_at_once, len(running))
        return running[:num_returns], running[num_returns:]

    def get(self, reference: Any) -> Any:
        return reference[0]


@pytest.mark.parametrize(
    ("machines", "uses_gpu", "workers", "at_once", "cpus", "gpus"),
    [
        ([(1, 0), (1, 0)], False, 1, 1, 1, 0),  # two processors, of which no machine has both
        ([(4, 0), (8, 0)], True, 3, 3, 4, 0),
        ([(8, 2)], False, None, 8, 1, 0),  # work without a GPU has all processors
        ([(8, 2)], True, None, 2, 4, 1),
        ([(8, 2)], True, 3, 3, 2, 0.5),
    ],
)
def test_what_each_process_has(machines, uses_gpu, workers, at_once, cpus, gpus, monkeypatch) -> None:
    cluster = StandIn(*machines)
    monkeypatch.setattr("warpgrasp.experiments.ray.import_module", lambda _: cluster)
    made = each_on_ray(os.fspath, [f"{n}" for n in range(9)], address="here", workers=workers, uses_gpu=uses_gpu)
    assert sorted(made) == [(f"{n}", f"{n}") for n in range(9)]
    assert cluster.most_at_once == at_once
    assert (cluster.asked["num_cpus"], cluster.asked["num_gpus"]) == (cpus, gpus)
