"""Many trainings: a plan of jobs, each with a folder named by what decides it, carried out once, here or by Ray.

A network of two stages takes two jobs, so that networks which differ in stage 2 alone (the method and its control)
start from one file of stage-1 weights. Finished jobs are left as they are; interrupted ones go on. On a cluster all
machines must see the data and the sweep's folder under the same paths.
"""

import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from warpgrasp.data import Dataset
from warpgrasp.experiments.scoring import Scoring, read_scores, score_run
from warpgrasp.files import write_text
from warpgrasp.training import (
    LogOptions,
    Optimisation,
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

RUNS, LOGS, WEIGHTS, CURVE = "runs", "logs", "weights.safetensors", "weights.jsonl"


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
        """Its name in tables and messages."""
        return " · ".join(part for part in (self.row, self.arm, f"seed {self.recipe.seed}") if part)


@dataclass(frozen=True)
class Job:
    """A training of one stage: stage 1 from scratch, or stage 2 from the weights of another job."""

    label: str
    fingerprint: str  # of everything that decides it
    recipe: Recipe
    after: str | None = None  # the fingerprint of the job whose weights it starts from

    @property
    def optimisation(self) -> Optimisation:
        """How its stage is optimised."""
        return self.recipe.stage1 if self.after is None else self.recipe.stage2

    @property
    def steps(self) -> int:
        """Its optimiser steps."""
        return self.optimisation.steps


@dataclass(frozen=True)
class Setting:
    """The folder of a sweep, its data, and how its networks are scored."""

    dataset: Dataset
    out: Path
    extra: tuple[Dataset, ...] = ()
    scoring: Scoring = field(default_factory=Scoring)
    command: tuple[str, ...] = ()

    def folder(self, fingerprint: str) -> Path:
        """A job's folder."""
        return self.out / RUNS / fingerprint

    def weights(self, fingerprint: str) -> Path:
        """The file of the weights that a job ends with."""
        return self.folder(fingerprint) / WEIGHTS

    def log(self, job: Job) -> Path:
        """The file of a failed job's error."""
        return self.out / LOGS / f"{job.fingerprint}.txt"

    def training(self, recipe: Recipe) -> Training:
        """A recipe on the data."""
        return Training.prepare(recipe, self.dataset, self.extra)


@dataclass(frozen=True)
class UsedLabels:
    """How many training frames are annotated, of how many, and the places of the unannotated ones among them all."""

    annotated: int
    frames: int
    unannotated: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """The jobs of a sweep, each after the one that it needs; and which job each network is."""

    jobs: dict[str, Job]  # by fingerprint
    networks: tuple[tuple[Network, str], ...]  # with their jobs' fingerprints
    labels: dict[str, UsedLabels]  # of each network's training, by fingerprint
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
    wanted, labels, inputs = [], {}, {}
    facts: dict[tuple[float, str, str], _DataFacts] = {}  # by the settings that alone decide them
    for network in networks:
        recipe = network.recipe
        choice = (recipe.fraction, recipe.sampling, recipe.encoder_weights)
        if choice not in facts:
            facts[choice] = _DataFacts.of(setting.training(recipe), setting.dataset)
        *first, last = _jobs_of(network, setting, facts[choice].fingerprint)
        for job in (*first, last):
            jobs.setdefault(job.fingerprint, job)
            inputs[job.fingerprint] = facts[choice].inputs
        wanted.append((network, last.fingerprint))
        labels[last.fingerprint] = facts[choice].used_labels
    return Plan(jobs, tuple(wanted), labels, inputs)


@dataclass(frozen=True)
class _DataFacts:
    """The fingerprint of a training's data, which of its labels are used, and its `inputs_of`."""

    fingerprint: str
    used_labels: UsedLabels
    inputs: Mapping[str, str]

    @staticmethod
    def of(training: Training, dataset: Dataset) -> "_DataFacts":
        share, unannotated = training.labels.share, set(training.labels.unannotated_names)
        places = (place for place, name in enumerate(dataset.names("train")) if name in unannotated)
        used_labels = UsedLabels(share.annotated, share.frames, tuple(places))
        return _DataFacts(data_fingerprint(training), used_labels, inputs_of(training))


def _jobs_of(network: Network, setting: Setting, data: str) -> list[Job]:
    """The job of a network, after that of its first stage where it has two."""
    recipe, first, hand = network.recipe, network.recipe.first_stage(), setting.dataset.hand
    start = fingerprint_of(first, hand, data)
    if recipe.stage2.steps == 0:
        return [Job(network.label, start, first)]
    title = " · ".join(part for part in (network.row, f"seed {recipe.seed}", "stage 1") if part)
    last = Job(network.label, fingerprint_of(recipe, hand, data), recipe, after=start)
    return [Job(title, start, first), last]


def train_job(job: Job, training: Training, setting: Setting, log: LogOptions) -> Path:
    """Train a job on the data of `training`, or go on with it; return its weights."""
    return train_stage(
        replace(training, recipe=job.recipe),
        job.optimisation,
        setting.weights(job.fingerprint),
        initial=None if job.after is None else setting.weights(job.after),
        log=log,
    )


def carry_out(job: Job, setting: Setting, *, scored: bool) -> None:
    """Train a job, or go on with it; predict and score the evaluation frames if they are wanted."""
    training, folder = setting.training(job.recipe), setting.folder(job.fingerprint)
    with open_run(training, folder, command=list(setting.command)):
        if job.after is not None:
            note(folder, "initial", f"{job.after}/{WEIGHTS}")  # beside this run's folder
        weights = train_job(job, training, setting, LogOptions(show_progress=False))
    if scored:
        score_run(folder, weights, setting.dataset, setting.scoring)


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
    # Whatever a run dies of (memory, a full disk, a broken file) is named, and the other runs go on.
    except Exception as error:
        return failed(job, setting, error, "".join(traceback.format_exception(error)))
    log.unlink(missing_ok=True)
    return None


def failed(job: Job, setting: Setting, error: Exception, text: str) -> Failure:
    """Write the log of a failed job."""
    log = setting.log(job)
    log.parent.mkdir(parents=True, exist_ok=True)
    write_text(log, f"{job.label}\n\n{text}")
    sentence = " ".join(str(error).split()) or type(error).__name__
    return Failure(job, sentence, log)


class Watcher:
    """Hears of the beginning and the end of each job of a sweep. This one does nothing."""

    def started(self, job: Job) -> None:
        """A job begins."""

    def finished(self, job: Job, failure: Failure | None) -> None:
        """A job has ended, or cannot begin."""


def unfinished(sweep: Plan, setting: Setting) -> list[Job]:
    """The jobs that are left, each after the one that it needs."""
    return [job for job in sweep.jobs.values() if not sweep.is_finished(job, setting)]


def blocked(job: Job, failures: Iterable[Failure]) -> Failure | None:
    """The failure of a job whose first stage failed, if it did."""
    for failure in failures:
        if failure.job.fingerprint == job.after:
            return Failure(job, f"not begun, since its stage 1 failed ({failure.job.label})", None)
    return None


Runner = Callable[[Plan, Setting, Watcher], list[Failure]]


def run_here(sweep: Plan, setting: Setting, watcher: Watcher) -> list[Failure]:
    """Carry out what is left of a plan, one job after the other, in this process. A failed one stops no other."""
    failures: list[Failure] = []
    for job in unfinished(sweep, setting):
        failure = blocked(job, failures)
        if failure is None:
            watcher.started(job)
            failure = attempt(job, setting, scored=job.fingerprint in sweep.scored)
        if failure is not None:
            failures.append(failure)
        watcher.finished(job, failure)
    return failures
