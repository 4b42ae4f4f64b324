"""Many trainings: a plan of jobs, each with a folder named by what decides it, carried out once.

A network of two stages takes two jobs, so that networks which differ in stage 2 alone (the method and its control)
start from one file of stage-1 weights. Finished jobs are left as they are; interrupted ones go on.
"""

import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from warpgrasp.data import Dataset
from warpgrasp.errors import UserError
from warpgrasp.experiments.scoring import Scoring, read_scores, score_run
from warpgrasp.training import (
    Recipe,
    Training,
    changed_inputs,
    data_fingerprint,
    fingerprint_of,
    inputs_of,
    note,
    open_run,
    train_stage,
)

RUNS, LOGS, WEIGHTS, CURVE, LOCK = "runs", "logs", "weights.safetensors", "weights.jsonl", ".lock"


class SweepError(UserError):
    """Some runs of a sweep failed."""


@dataclass(frozen=True)
class Network:
    """A network that is wanted: the row and the arm of a table or figure that it stands in, its seed and its recipe.

    Row and arm name it for people; they decide nothing.
    """

    row: str
    arm: str
    recipe: Recipe

    @property
    def label(self) -> str:
        """How people call it."""
        return " · ".join(part for part in (self.row, self.arm, f"seed {self.recipe.seed}") if part)


@dataclass(frozen=True)
class Job:
    """A training of one stage: stage 1 from scratch, or stage 2 from the weights of another job."""

    label: str
    fingerprint: str  # of everything that decides it
    recipe: Recipe
    after: str | None = None  # the fingerprint of the job whose weights it starts from

    @property
    def steps(self) -> int:
        """Its optimiser steps."""
        return self.recipe.stage1.steps if self.after is None else self.recipe.stage2.steps


@dataclass(frozen=True)
class Setting:
    """Where and on what the jobs of a sweep are carried out."""

    dataset: Dataset
    out: Path
    extra: tuple[Dataset, ...] = ()
    scoring: Scoring = field(default_factory=Scoring)
    command: tuple[str, ...] = ()

    def folder(self, fingerprint: str) -> Path:
        """A job's folder."""
        return self.out / RUNS / fingerprint

    def weights(self, fingerprint: str) -> Path:
        """What a job ends with."""
        return self.folder(fingerprint) / WEIGHTS

    def log(self, job: Job) -> Path:
        """Where the error of a failed job is written."""
        return self.out / LOGS / f"{job.fingerprint}.txt"

    def training(self, recipe: Recipe) -> Training:
        """A recipe on the data."""
        return Training.prepare(recipe, self.dataset, self.extra)


@dataclass(frozen=True)
class UsedLabels:
    """How many training frames are annotated, of how many, and the places of those that are not among them all."""

    annotated: int
    frames: int
    unannotated: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """The jobs of a sweep, each after the one that it needs; and which job each network is."""

    jobs: dict[str, Job]  # by fingerprint
    networks: tuple[tuple[Network, str], ...]  # with their jobs' fingerprints
    labels: dict[str, "UsedLabels"]  # of each network's training, by fingerprint
    inputs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # `inputs_of` each job, by fingerprint

    @property
    def scored(self) -> frozenset[str]:
        """The jobs whose networks are wanted, and scored."""
        return frozenset(fingerprint for _, fingerprint in self.networks)

    def is_finished(self, job: Job, setting: Setting) -> bool:
        """Whether nothing is left to do."""
        if not setting.weights(job.fingerprint).is_file():
            return False
        folder = setting.folder(job.fingerprint)
        if changed_inputs(folder, self.inputs.get(job.fingerprint, {})):
            return False  # it will say so when it is opened
        return job.fingerprint not in self.scored or read_scores(folder, setting.scoring) is not None


def plan(networks: Sequence[Network], setting: Setting) -> Plan:
    """The jobs that these networks take. Equal ones, and equal first stages, are one job."""
    jobs: dict[str, Job] = {}
    wanted, labels = [], {}
    inputs: dict[str, Mapping[str, str]] = {}
    read: dict[tuple[float, str, str], tuple[str, UsedLabels, Mapping[str, str]]] = {}  # what depends on these alone

    def facts_of(recipe: Recipe) -> tuple[str, UsedLabels, Mapping[str, str]]:
        choice = (recipe.fraction, recipe.sampling, recipe.encoder_weights)
        if choice not in read:
            training = setting.training(recipe)
            share, others = training.labels.share, set(training.labels.unannotated_names)
            places = (place for place, name in enumerate(setting.dataset.names("train")) if name in others)
            used = UsedLabels(share.annotated, share.frames, tuple(places))
            read[choice] = data_fingerprint(training), used, inputs_of(training)
        return read[choice]

    for network in networks:
        recipe, first = network.recipe, network.recipe.first_stage()
        data, share, begun_with = facts_of(recipe)
        mark = fingerprint_of(first, setting.dataset.hand, data)
        inputs[mark] = begun_with
        alone = recipe.stage2.steps == 0
        title = " · ".join(part for part in (network.row, f"seed {recipe.seed}", "stage 1") if part)
        jobs.setdefault(mark, Job(network.label if alone else title, mark, first))
        if not alone:
            start, mark = mark, fingerprint_of(recipe, setting.dataset.hand, data)
            jobs.setdefault(mark, Job(network.label, mark, recipe, after=start))
        wanted.append((network, mark))
        labels[mark], inputs[mark] = share, begun_with
    return Plan(jobs, tuple(wanted), labels, inputs)


def carry_out(job: Job, setting: Setting, *, scored: bool) -> None:
    """Train a job, or go on with it; predict and score the evaluation frames if they are wanted."""
    training, out = setting.training(job.recipe), setting.weights(job.fingerprint)
    with open_run(training, out.parent, command=list(setting.command)):
        if job.after is None:
            train_stage(training, job.recipe.stage1, out, show_progress=False)
        else:
            initial = setting.weights(job.after)
            note(out.with_name("run.json"), "initial", f"{job.after}/{WEIGHTS}")  # beside this run's folder
            train_stage(training, job.recipe.stage2, out, initial=initial, show_progress=False)
    if scored:
        score_run(out.parent, out, job.recipe, setting.dataset, setting.scoring)


@dataclass(frozen=True)
class Failure:
    """A job that failed, in a sentence."""

    job: Job
    sentence: str
    log: Path | None  # None for a job that was not begun, since the one before it failed


def attempt(job: Job, setting: Setting, *, scored: bool) -> Failure | None:
    """Carry out a job; of one that fails, write the traceback to its log and say so."""
    log = setting.log(job)
    try:
        carry_out(job, setting, scored=scored)
    # Whatever it is that a run dies of (memory, a full disk, a broken file): the others go on, and it is named.
    except Exception as error:
        return failed(job, setting, error, "".join(traceback.format_exception(error)))
    log.unlink(missing_ok=True)
    return None


def failed(job: Job, setting: Setting, error: Exception, text: str) -> Failure:
    """Write down what a job failed of."""
    log = setting.log(job)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(f"{job.label}\n\n{text}")
    sentence = " ".join(str(error).split()) or type(error).__name__
    return Failure(job, sentence, log)


class Watcher:
    """Is told what happens to the jobs of a sweep; here it does nothing about it."""

    def started(self, job: Job) -> None:
        """A job begins."""

    def finished(self, job: Job, failure: Failure | None) -> None:
        """A job has ended, or cannot begin."""


def unfinished(whole: Plan, setting: Setting) -> list[Job]:
    """What is left to do, in an order in which each job comes after the one that it needs."""
    return [job for job in whole.jobs.values() if not whole.is_finished(job, setting)]


def blocked(job: Job, failures: Iterable[Failure]) -> Failure | None:
    """The failure of a job whose first stage failed, if it did."""
    for one in failures:
        if one.job.fingerprint == job.after:
            return Failure(job, f"not begun, since its stage 1 failed ({one.job.label})", None)
    return None


@contextmanager
def alone_in(out: Path) -> Iterator[None]:
    """Keep other commands out of a sweep's folder while the body works there.

    Raises `SweepError` when another one does. The lock goes with the process, however that ends.
    """
    out.mkdir(parents=True, exist_ok=True)
    with (out / LOCK).open("w") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SweepError(f"expected no other command at work in {out}, found one; wait for it") from error
        except (ImportError, OSError):  # Windows, or a file system without locks
            pass
        yield


Runner = Callable[[Plan, Setting, Watcher], list[Failure]]


def run_here(whole: Plan, setting: Setting, watcher: Watcher) -> list[Failure]:
    """Carry out what is left of a plan, one job after the other, in this process. A failed one stops no other."""
    failures: list[Failure] = []
    for job in unfinished(whole, setting):
        failure = blocked(job, failures)
        if failure is None:
            watcher.started(job)
            failure = attempt(job, setting, scored=job.fingerprint in whole.scored)
        if failure is not None:
            failures.append(failure)
        watcher.finished(job, failure)
    return failures
