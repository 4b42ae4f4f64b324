"""A sweep while it runs: the state of each job, the time left, and what has been measured so far.

Progress is read from the logs of the jobs, so that it does not matter which process or machine writes them.
"""

import statistics
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table

from warpgrasp.bounded import parse_json
from warpgrasp.experiments.scoring import read_scores
from warpgrasp.experiments.sweep import CURVE, Failure, Job, Plan, Setting, Watcher

State = Literal["waiting", "running", "done", "kept", "failed"]
SHOWN_JOBS = 12
TAIL_BYTES = 4096  # enough for the last line of a log


@dataclass(frozen=True)
class JobProgress:
    """How far a job's log goes."""

    steps: int
    seconds_per_step: float | None


@dataclass
class Dashboard(Watcher):
    """The states of a sweep's jobs, shown while they run."""

    sweep: Plan
    setting: Setting
    metrics: tuple[str, ...]  # of what has been measured so far
    console: Console
    states: dict[str, State] = field(default_factory=dict)
    began_s: dict[str, float] = field(default_factory=dict)  # of each job, by the clock
    paces: dict[bool, list[float]] = field(default_factory=lambda: {False: [], True: []})

    def __post_init__(self) -> None:
        for fingerprint, job in self.sweep.jobs.items():
            self.states[fingerprint] = "kept" if self.sweep.is_finished(job, self.setting) else "waiting"

    def started(self, job: Job) -> None:
        """A job begins."""
        self.states[job.fingerprint] = "running"
        self.began_s[job.fingerprint] = time.monotonic()

    def finished(self, job: Job, failure: Failure | None) -> None:
        """A job has ended; where nothing can be drawn again, as in a file, a line says so."""
        self.states[job.fingerprint] = "done" if failure is None else "failed"
        if failure is None:  # everything counts: reading, predicting and scoring too
            seconds = time.monotonic() - self.began_s[job.fingerprint]
            self.paces[job.after is not None].append(seconds / max(job.steps, 1))
        if not self.console.is_terminal:
            end = "done" if failure is None else f"failed: {failure.sentence}"
            self.console.print(f"{self.summary()}: {job.label}: {end}", highlight=False, soft_wrap=True)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the dashboard while the body runs."""
        if not self.console.is_terminal:
            yield
            return
        with Live(get_renderable=self.drawn, console=self.console, refresh_per_second=1, transient=True):
            yield

    def drawn(self) -> RenderableType:
        """The jobs that matter now, and the curve so far."""
        table = Table("job", "state", "steps", "step/s", "left", title=self.summary(), title_justify="left")
        for job in self._next_jobs():
            state = self.states[job.fingerprint]
            trained = progress(self.setting.folder(job.fingerprint)) if state == "running" else None
            cells = ("", "", "")
            if trained is not None and trained.seconds_per_step:
                left = (job.steps - trained.steps) * trained.seconds_per_step
                cells = (f"{trained.steps}/{job.steps}", f"{1 / trained.seconds_per_step:.1f}", duration(left))
            table.add_row(job.label, state, *cells)
        measured = measured_so_far(self.sweep, self.setting, self.metrics)
        return Group(table, measured) if measured.row_count else table

    def summary(self) -> str:
        """How many jobs are in which state, and the time left."""
        counts = Counter(self.states.values())
        ended = counts["done"] + counts["kept"] + counts["failed"]
        parts = [f"{ended} of {len(self.states)} trainings", f"{counts['running']} running"]
        if counts["failed"]:
            parts.append(f"{counts['failed']} failed")
        left = self.seconds_left()
        if left is not None:
            parts.append(f"{duration(left)} left")
        return ", ".join(parts)

    def seconds_left(self) -> float | None:
        """By the time that a step of each stage has taken here so far; None before any step was taken."""
        paces = {stage: list(values) for stage, values in self.paces.items()}
        remaining: dict[bool, int] = {False: 0, True: 0}
        running = 0
        for fingerprint, job in self.sweep.jobs.items():
            second = job.after is not None
            if self.states[fingerprint] == "waiting":
                remaining[second] += job.steps
            elif self.states[fingerprint] == "running":
                trained = progress(self.setting.folder(fingerprint))
                running += 1
                remaining[second] += job.steps - (0 if trained is None else trained.steps)
                if trained is not None and trained.seconds_per_step is not None:
                    paces[second].append(trained.seconds_per_step)
        measured = {stage: statistics.fmean(values) for stage, values in paces.items() if values}
        if not measured:
            return None
        usual = statistics.fmean(measured.values())
        return sum(count * measured.get(stage, usual) for stage, count in remaining.items()) / max(running, 1)

    def _next_jobs(self) -> list[Job]:
        """The failed and the running jobs, then the next ones."""
        order: tuple[State, ...] = ("failed", "running", "waiting")
        jobs = [job for state in order for job in self.sweep.jobs.values() if self.states[job.fingerprint] == state]
        return jobs[:SHOWN_JOBS]


def progress(folder: Path) -> JobProgress | None:
    """How far the log of a job's folder goes; None where there is none yet."""
    path = folder / CURVE
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return None
    rows = []
    for line in lines:
        try:
            row = parse_json(line)
            rows.append((int(row["step"]), float(row["seconds"])))
        except (ValueError, KeyError, TypeError):  # cut off: at the front by us, at the end by the writer
            continue
    if not rows:
        return None
    (first, begun), (last, now) = rows[0], rows[-1]
    # A log that was gone on with starts its seconds again.
    return JobProgress(last + 1, (now - begun) / (last - first) if last > first and now > begun else None)


def measured_so_far(sweep: Plan, setting: Setting, metrics: tuple[str, ...]) -> Table:
    """The mean of each finished row and arm over its seeds."""
    values: dict[tuple[str, str], list[dict[str, float]]] = {}
    for network, fingerprint in sweep.networks:
        scores = read_scores(setting.folder(fingerprint), setting.scoring)
        if scores is not None:
            values.setdefault((network.row, network.arm), []).append(scores.values)
    table = Table("so far", "", "seeds", *(metric.replace("_", " ") for metric in metrics))
    for (row, arm), seeds in values.items():
        means = (f"{statistics.fmean(errors[metric] for errors in seeds):.1f}" for metric in metrics)
        table.add_row(row, arm, str(len(seeds)), *means)
    return table


def duration(seconds: float) -> str:
    """A time in words: hours and minutes, minutes and seconds, or seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
