"""A sweep while it runs: what each job is at, the time left, and what has been measured so far.

Progress is read from the logs of the jobs, so that it does not matter which process or machine writes them.
"""

import json
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table

from warpgrasp.experiments.scoring import read_scores
from warpgrasp.experiments.sweep import CURVE, Failure, Job, Plan, Setting, Watcher

State = Literal["waiting", "running", "done", "kept", "failed"]
SHOWN_JOBS = 12
TAIL_BYTES = 4096  # enough for the last line of a log


@dataclass(frozen=True)
class Progress:
    """How far a job's log goes."""

    steps: int
    seconds_per_step: float | None


@dataclass
class Board(Watcher):
    """The states of a sweep's jobs, and how they are shown."""

    plan: Plan
    setting: Setting
    metrics: tuple[str, ...]  # of what has been measured so far
    console: Console
    states: dict[str, State] = field(default_factory=dict)
    began_s: dict[str, float] = field(default_factory=dict)  # of each job, by the clock
    paces: dict[bool, list[float]] = field(default_factory=lambda: {False: [], True: []})

    def __post_init__(self) -> None:
        for mark, job in self.plan.jobs.items():
            self.states[mark] = "kept" if self.plan.is_finished(job, self.setting) else "waiting"

    def started(self, job: Job) -> None:
        """A job begins."""
        self.states[job.fingerprint] = "running"
        self.began_s[job.fingerprint] = time.monotonic()

    def finished(self, job: Job, failure: Failure | None) -> None:
        """A job has ended; where nothing can be drawn again, in a file for one, a line says so."""
        self.states[job.fingerprint] = "done" if failure is None else "failed"
        if failure is None:  # everything counts: reading, predicting and scoring too
            seconds = time.monotonic() - self.began_s[job.fingerprint]
            self.paces[job.after is not None].append(seconds / max(job.steps, 1))
        if not self.console.is_terminal:
            end = "done" if failure is None else f"failed: {failure.sentence}"
            self.console.print(f"{self.summary()}: {job.label}: {end}", highlight=False, soft_wrap=True)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the board while the body runs."""
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
            one = progress(self.setting.folder(job.fingerprint)) if state == "running" else None
            cells = ("", "", "")
            if one is not None and one.seconds_per_step:
                left = (job.steps - one.steps) * one.seconds_per_step
                cells = (f"{one.steps}/{job.steps}", f"{1 / one.seconds_per_step:.1f}", duration(left))
            table.add_row(job.label, state, *cells)
        measured = measured_so_far(self.plan, self.setting, self.metrics)
        return Group(table, measured) if measured.row_count else table

    def summary(self) -> str:
        """How many jobs are at what, and the time left."""
        counts = {state: sum(one == state for one in self.states.values()) for state in ("running", "failed")}
        ended = sum(one in ("done", "kept", "failed") for one in self.states.values())
        parts = [f"{ended} of {len(self.states)} trainings", f"{counts['running']} running"]
        if counts["failed"]:
            parts.append(f"{counts['failed']} failed")
        left = self.seconds_left()
        if left is not None:
            parts.append(f"{duration(left)} left")
        return ", ".join(parts)

    def seconds_left(self) -> float | None:
        """By what a step of each stage has taken here so far; None before anything is known."""
        paces = {stage: list(values) for stage, values in self.paces.items()}
        remaining: dict[bool, int] = {False: 0, True: 0}
        running = 0
        for mark, job in self.plan.jobs.items():
            second = job.after is not None
            if self.states[mark] == "waiting":
                remaining[second] += job.steps
            elif self.states[mark] == "running":
                one = progress(self.setting.folder(mark))
                running += 1
                remaining[second] += job.steps - (0 if one is None else one.steps)
                if one is not None and one.seconds_per_step is not None:
                    paces[second].append(one.seconds_per_step)
        known = {stage: statistics.fmean(values) for stage, values in paces.items() if values}
        if not known:
            return None
        usual = statistics.fmean(known.values())
        return sum(count * known.get(stage, usual) for stage, count in remaining.items()) / max(running, 1)

    def _next_jobs(self) -> list[Job]:
        """What runs and what failed, then the next ones."""
        order: tuple[State, ...] = ("failed", "running", "waiting")
        jobs = [job for state in order for job in self.plan.jobs.values() if self.states[job.fingerprint] == state]
        return jobs[:SHOWN_JOBS]


def progress(folder: Path) -> Progress | None:
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
            row = json.loads(line)
            rows.append((int(row["step"]), float(row["seconds"])))
        except (json.JSONDecodeError, KeyError, TypeError):  # cut off: at the front by us, at the end by who writes
            continue
    if not rows:
        return None
    (first, begun), (last, now) = rows[0], rows[-1]
    # A log that was gone on with starts its seconds again.
    return Progress(last + 1, (now - begun) / (last - first) if last > first and now > begun else None)


def measured_so_far(plan: Plan, setting: Setting, metrics: tuple[str, ...]) -> Table:
    """The mean of each finished row and arm over its seeds."""
    values: dict[tuple[str, str], list[dict[str, float]]] = {}
    for network, mark in plan.networks:
        scores = read_scores(setting.folder(mark), setting.scoring)
        if scores is not None:
            values.setdefault((network.row, network.arm), []).append(scores.values)
    table = Table("so far", "", "seeds", *(metric.replace("_", " ") for metric in metrics))
    for (row, arm), ones in values.items():
        means = (f"{statistics.fmean(one[metric] for one in ones):.1f}" for metric in metrics)
        table.add_row(row, arm, str(len(ones)), *means)
    return table


def duration(seconds: float) -> str:
    """As people say it."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
