"""The paper's published values: Tables 1 to 3 and the curves of Figs. 7 and 8. All of them, and nothing else.

Fig. 5 was published as a picture alone. The curves' numbers are those of the authors' plotting scripts.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from warpgrasp.evaluation.metrics import METRICS

PublishedArm = Literal["control", "photometric"]
FILE = "published.json"


@dataclass(frozen=True)
class PublishedTable:
    """A table: each method's values, by the name of the metric; None where the paper prints a dash."""

    source: str
    data: str
    note: str
    rows: Mapping[str, Mapping[str, float | None]]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Its columns, in their order."""
        return tuple(dict.fromkeys(metric for cells in self.rows.values() for metric in cells))

    def value(self, method: str, metric: str) -> float | None:
        """A cell. Raises `KeyError` for a method or metric that the table does not have."""
        return self.rows[method][metric]


@dataclass(frozen=True)
class PublishedCurves:
    """Errors against the nominal percentage of annotated frames, without and with photometric consistency."""

    source: str
    data: str
    note: str
    percent: tuple[float, ...]
    arms: Mapping[PublishedArm, Mapping[str, tuple[float, ...]]]

    @property
    def metrics(self) -> tuple[str, ...]:
        """What the figure shows, in its order."""
        return tuple(self.arms["control"])

    def value(self, arm: PublishedArm, metric: str, percent: float) -> float | None:
        """A point of a curve; None where the paper has none."""
        if percent not in self.percent:
            return None
        return self.arms[arm][metric][self.percent.index(percent)]


@dataclass(frozen=True)
class Published:
    """All published values."""

    paper: str
    tables: Mapping[str, PublishedTable]
    curves: Mapping[str, PublishedCurves]


@cache
def published() -> Published:
    """Read the values that come with the package."""
    content = json.loads((files("warpgrasp.evaluation") / FILE).read_text(encoding="utf-8"))
    return Published(
        content["paper"],
        {name: _table(one) for name, one in content["tables"].items()},
        {name: _curves(one) for name, one in content["curves"].items()},
    )


def _table(content: dict[str, Any]) -> PublishedTable:
    rows = {row["method"]: {key: row[key] for key in row if key != "method"} for row in content["rows"]}
    return PublishedTable(content["source"], content["data"], content["note"], rows)


def _curves(content: dict[str, Any]) -> PublishedCurves:
    percent = tuple(float(value) for value in content["percent"])
    arms: dict[PublishedArm, dict[str, tuple[float, ...]]] = {"control": {}, "photometric": {}}
    for arm, curves in arms.items():
        for metric, values in content[arm].items():
            if metric not in METRICS or len(values) != len(percent):
                raise ValueError(f"expected {len(percent)} values of a known metric in {FILE}, found {metric} {values}")
            curves[metric] = tuple(values)
    return PublishedCurves(content["source"], content["data"], content["note"], percent, arms)
