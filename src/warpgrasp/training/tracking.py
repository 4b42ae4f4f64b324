"""Where a training's curves go besides its own log: TensorBoard, Weights & Biases or MLflow, through Accelerate.

The log (JSONL) and the console need none of them, and no weight depends on them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, assert_never

import numpy as np
from accelerate import Accelerator
from jaxtyping import UInt8

from warpgrasp.errors import UserError

Tracker = Literal["tensorboard", "wandb", "mlflow", "none"]
TRACKING_FOLDER = "tracking"  # in a run's folder
INSTALLED_BY: Mapping[str, str] = {
    "tensorboard": "pip install 'warpgrasp[tracking]'",
    "wandb": "pip install wandb",
    "mlflow": "pip install mlflow",
}


@dataclass(frozen=True)
class Measured:
    """What is measured of a network while it trains."""

    values: dict[str, float] = field(default_factory=dict)
    pictures: dict[str, UInt8[np.ndarray, "h w 3"]] = field(default_factory=dict)
    """By name; they go to the tracker alone."""


class TrackerError(UserError):
    """A tracker that was asked for is not there."""


def choose_tracker(asked: Tracker | None) -> Tracker:
    """The tracker asked for; TensorBoard where it is installed, and none elsewhere, when nobody asked.

    Raises `TrackerError` when the one asked for is not installed.
    """
    if asked is None:
        return "tensorboard" if find_spec("tensorboard") is not None else "none"
    if asked != "none" and find_spec(asked) is None:
        raise TrackerError(
            f"expected {asked} to be installed for --tracker {asked}, found no such package; "
            f"install it by `{INSTALLED_BY[asked]}`, or choose --tracker none"
        )
    return asked


def accelerator_for(tracker: Tracker, run: Path, *, cpu: bool) -> Accelerator:
    """Accelerate's devices, with a tracker that writes into the folder of a run."""
    if tracker == "none":
        return Accelerator(cpu=cpu)
    return Accelerator(cpu=cpu, log_with=tracker, project_dir=run / TRACKING_FOLDER)


@contextmanager
def tracked(
    accelerator: Accelerator, stage: Path, *, tracker: Tracker, notes: Mapping[str, str], first_step: int
) -> Iterator[None]:
    """Let `accelerator.log` reach the tracker while the body trains a stage, whose checkpoint will be `stage`.

    Where a stage goes on, TensorBoard hides what it showed of the steps that are made again, and Weights & Biases goes
    on with the same run; MLflow gets another run of the same name.
    """
    name, folder = f"{stage.parent.resolve().name}-{stage.stem}", stage.parent / TRACKING_FOLDER
    match tracker:
        case "tensorboard":  # without the notes, for which it would write a file more at each start
            options = {"purge_step": first_step}
            accelerator.init_trackers(stage.stem, init_kwargs={tracker: options})
        case "wandb":
            options = {"name": name, "id": name, "resume": "allow", "dir": str(folder)}
            accelerator.init_trackers("warpgrasp", config=dict(notes), init_kwargs={tracker: options})
        case "mlflow":
            accelerator.init_trackers("warpgrasp", config=dict(notes), init_kwargs={tracker: {"run_name": name}})
        case "none":
            pass
        case _:
            assert_never(tracker)
    try:
        yield
    finally:
        for one in accelerator.trackers:
            one.finish()


def log_pictures(accelerator: Accelerator, pictures: Mapping[str, UInt8[np.ndarray, "h w 3"]], step: int) -> None:
    """Show pictures at a step of what is being tracked."""
    for tracker in accelerator.trackers:
        for name, picture in pictures.items():
            match tracker.name:
                case "tensorboard":
                    tracker.log_images({name: picture[None]}, step=step, dataformats="NHWC")  # pyright: ignore[reportAttributeAccessIssue]
                case "wandb":
                    tracker.log_images({name: [picture]}, step=step)  # pyright: ignore[reportAttributeAccessIssue]
                case "mlflow":
                    import mlflow  # pyright: ignore[reportMissingImports]

                    mlflow.log_image(picture, key=name.replace("/", "."), step=step)
