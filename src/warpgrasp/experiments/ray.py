"""A plan of trainings, or any work on many things, carried out by a Ray cluster."""

import os
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any, TypeVar

import torch

from warpgrasp.errors import UserError
from warpgrasp.experiments.sweep import Failure, Job, Plan, Setting, Watcher, attempt, blocked, failed, unfinished

Item = TypeVar("Item")
Made = TypeVar("Made")


class RayError(UserError):
    """Ray is not installed, or its cluster cannot be reached."""


def run_on_ray(sweep: Plan, setting: Setting, watcher: Watcher, *, address: str, workers: int | None) -> list[Failure]:
    """Carry out what is left of a plan by at most `workers` processes at a time (None: as many as there is room for).

    `address` is a cluster's, or `auto`: the cluster that this machine belongs to, else this machine alone. A job starts
    when the one that it needs is done; a failed one stops no other. A job whose process dies is tried again by Ray, and
    goes on from its last saved state. Raises `RayError` when Ray is not there.
    """
    jobs = unfinished(sweep, setting)
    if not jobs:
        return []
    ray = _connected(address, workers)
    try:
        return _carry_out(ray, jobs, sweep, setting, watcher, workers)
    finally:
        ray.shutdown()


def each_on_ray(
    work: Callable[[Item], Made],
    items: Sequence[Item],
    *,
    address: str,
    workers: int | None,
    uses_gpu: bool = False,
) -> Iterator[tuple[Item, Made | Exception]]:
    """Work on each of some things by at most `workers` processes at a time; each with what was made of it, as it ends.

    Work that `uses_gpu` has a GPU each where there are any, and shares one where there are more workers. Where the
    process of one dies again and again, that is its error. Raises `RayError` when Ray is not there.
    """
    ray = _connected(address, workers)
    try:
        at_once, threads, gpus = _room(ray, workers, uses_gpu=uses_gpu)
        share = 1 / -(-at_once // gpus) if gpus else 0
        task = ray.remote(num_cpus=threads, num_gpus=share, max_retries=1)(_worked)
        waiting, running, folder = list(items), {}, os.getcwd()
        while waiting or running:
            while waiting and len(running) < at_once:
                item = waiting.pop(0)
                running[task.remote(work, item, threads, folder)] = item
            (reference, *_), _ = ray.wait(list(running), num_returns=1)
            try:
                made = ray.get(reference)
            except ray.exceptions.RayError as error:
                made = error
            yield running.pop(reference), made
    finally:
        ray.shutdown()


def _worked(work: Callable[[Item], Made], item: Item, threads: int, folder: str) -> Made:
    _settle(threads, folder)
    return work(item)


def _settle(threads: int, folder: str) -> None:
    """Go to the folder that relative paths are of: a cluster's processes begin where it was started."""
    if os.path.isdir(folder):
        os.chdir(folder)
    torch.set_num_threads(threads)


def _room(ray: Any, workers: int | None, *, uses_gpu: bool = True) -> tuple[int, int, int]:
    """How many processes at a time, the threads of each, and how many GPUs there are for them.

    No process has more threads than the largest machine: it would be waited for, for ever.
    """
    room = ray.cluster_resources()
    gpus, cpus = int(room.get("GPU", 0)) if uses_gpu else 0, int(room.get("CPU", 1))
    at_once = workers or gpus or cpus
    largest = max(int(node["Resources"].get("CPU", 1)) for node in ray.nodes() if node["Alive"])
    return at_once, max(1, min(cpus // max(at_once, 1), largest)), gpus


def _connected(address: str, workers: int | None) -> Any:
    try:
        ray = import_module("ray")
    except ImportError as error:
        raise RayError(
            "expected Ray to be installed for --ray, found no such package; install it by "
            "`pip install 'warpgrasp[ray]'`, or leave --ray out"
        ) from error
    quiet = {"log_to_driver": False, "include_dashboard": False, "logging_level": "error"}
    try:
        if address != "auto":
            ray.init(address=address, **quiet)
            return ray
        try:
            ray.init(address="auto", **quiet)
        except ConnectionError:
            ray.init(address="local", num_cpus=max(workers or 0, os.cpu_count() or 1), **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise RayError(f"expected a Ray cluster at {address}, but: {reason[:300]}") from error
    return ray


def _carry_out(
    ray: Any, jobs: list[Job], sweep: Plan, setting: Setting, watcher: Watcher, workers: int | None
) -> list[Failure]:
    at_once, threads, gpus = _room(ray, workers)
    # A job that its machine died under goes on from its last state on another one.
    task = ray.remote(num_cpus=threads, num_gpus=min(1, gpus), max_retries=3)(_job_of_a_worker)
    shared = ray.put(setting)
    waiting, running, failures, folder = list(jobs), {}, [], os.getcwd()
    open_marks = {job.fingerprint for job in jobs}

    def end(job: Job, failure: Failure | None) -> None:
        open_marks.discard(job.fingerprint)
        if failure is not None:
            failures.append(failure)
        watcher.finished(job, failure)

    while waiting or running:
        for job in [job for job in waiting if job.after not in open_marks]:
            failure = blocked(job, failures)
            if failure is not None:
                waiting.remove(job)
                end(job, failure)
            elif len(running) < at_once:
                waiting.remove(job)
                running[task.remote(job, shared, job.fingerprint in sweep.scored, threads, folder)] = job
                watcher.started(job)
        done, _ = ray.wait(list(running), num_returns=1) if running else ([], [])
        for reference in done:
            job = running.pop(reference)
            try:
                failure = ray.get(reference)
            except ray.exceptions.RayError as error:  # its process died, again and again
                failure = failed(job, setting, error, str(error))
            end(job, failure)
    return failures


def _job_of_a_worker(job: Job, setting: Setting, scored: bool, threads: int, folder: str) -> Failure | None:
    _settle(threads, folder)
    return attempt(job, setting, scored=scored)
