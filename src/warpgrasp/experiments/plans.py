"""The paper's tables and figures: the networks that each takes, on its own data or on sample data, and what it printed.

The published values are all of Tables 1 to 3 and of the curves of Figs. 7 and 8, whose numbers are those of the
authors' plotting scripts; Fig. 5 was published as a picture alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from warpgrasp.bounded import parse_json
from warpgrasp.evaluation import METRICS
from warpgrasp.experiments.sweep import Network
from warpgrasp.reconstruction import NetworkConfig
from warpgrasp.training import LossWeights, Recipe, recipes

ExperimentName = Literal["table1", "table2", "table3", "fig5", "fig7", "fig8"]
Kind = Literal["table", "curves", "pck"]
PublishedArm = Literal["control", "photometric"]
DataKind = Literal["paper", "sample", "benchmark"]  # a reproduction's: the paper's own, or generated
FILE = "published.json"

FPHAB_PIXELS, HO3D_PIXELS = (480, 270), (640, 480)  # of which the paper's pixels are
FULL_ROW, ALL_ROW = "100 %", "all labels"
HAND_ROW, OBJECT_ROW, BOTH_ROW = "hand only", "object only", "hand + object"
UNADAPTED_ROW, ADAPTED_ROW = "no skeleton adaptation", "skeleton adaptation"
OURS_ROW = "the paper’s network"  # as the published tables are keyed
HAND_MM, OBJECT_MM = "hand_joint_error_mm", "object_vertex_error_mm"
RELATIVE_MM = ("hand_joint_error_wrist_relative_mm", "hand_joint_error_middle_base_relative_mm")
# Of the shipped sequences' 60 frames 1, 2, 3, 6, 12 and 30 are annotated.
SAMPLE_FRACTIONS = {"fig8": (1 / 60, 1 / 30, 1 / 20, 1 / 10, 1 / 5, 1 / 2), "fig7": (1 / 60, 1 / 15)}
BENCHMARK_FRACTIONS = {"fig8": (1 / 60, 1 / 30), "fig7": (1 / 60, 1 / 15)}  # of the open benchmark's 60 frames likewise
PAPER_FRACTIONS = {"fig8": (0.00625, 0.0125, 0.025, 0.05, 0.1, 0.2), "fig7": (0.00625, 0.025)}


@dataclass(frozen=True)
class Experiment:
    """A table or a figure: on which splits, in which pixels, what it shows, and over how many seeds."""

    name: ExperimentName
    kind: Kind
    title: str
    splits: str
    data: str  # what the paper calls it
    pixels: tuple[int, int]
    metrics: tuple[str, ...]
    seeds: tuple[int, ...] = (0, 1, 2)


EXPERIMENTS: dict[ExperimentName, Experiment] = {
    experiment.name: experiment
    for experiment in (
        Experiment(
            "table1",
            "table",
            "Table 1: single-frame network, FPHAB",
            "fphab/actions",
            "FPHAB, action split",
            FPHAB_PIXELS,
            (HAND_MM, OBJECT_MM),
        ),
        Experiment(
            "table2",
            "table",
            "Table 2: skeleton adaptation, FPHAB, subject split",
            "fphab/subjects",
            "FPHAB, subject split",
            FPHAB_PIXELS,
            (HAND_MM, *RELATIVE_MM),
        ),
        Experiment(
            "table3",
            "table",
            "Table 3: hand and object together and apart, FPHAB",
            "fphab/actions",
            "FPHAB, action split",
            FPHAB_PIXELS,
            (HAND_MM, OBJECT_MM),
        ),
        Experiment(
            "fig5",
            "pck",
            "Fig. 5: share of correct frames, HO-3D",
            "ho3d/paper-appendix-b-mc2",
            "HO-3D, early release (Appendix B)",
            HO3D_PIXELS,
            ("hand_joint_error_px", "object_corner_error_px"),
        ),
        Experiment(
            "fig7",
            "curves",
            "Fig. 7: photometric consistency with few labels, HO-3D",
            "ho3d/paper-appendix-b",
            "HO-3D, early release (Appendix B)",
            HO3D_PIXELS,
            ("object_corner_error_px", "object_corner_error_mm", "hand_joint_error_px", HAND_MM),
            (0, 1, 2, 3, 4),  # "over 5 different runs"
        ),
        Experiment(
            "fig8",
            "curves",
            "Fig. 8: photometric consistency with few labels, FPHAB",
            "fphab/actions",
            "FPHAB, action split",
            FPHAB_PIXELS,
            ("object_vertex_error_px", OBJECT_MM, "hand_joint_error_px", HAND_MM),
        ),
    )
}


def networks(experiment: Experiment, *, seeds: Sequence[int], data: DataKind, quick: bool) -> list[Network]:
    """The networks that an experiment takes: all rows and arms of the first seed, then of the next.

    On the open benchmark the tables have those of sample data, and the figures arms of their own.
    """
    if data == "paper":
        unseeded = _paper_networks(experiment)
    elif data == "benchmark" and experiment.kind == "curves":
        unseeded = _benchmark_networks(BENCHMARK_FRACTIONS[experiment.name])
    else:
        unseeded = _sample_networks(experiment)
    seeded = [replace(network, recipe=replace(network.recipe, seed=seed)) for seed in seeds for network in unseeded]
    return [replace(network, recipe=smoke(network.recipe)) for network in seeded] if quick else seeded


def _paper_networks(experiment: Experiment) -> list[Network]:
    match experiment.name:
        case "table1":
            return [Network(OURS_ROW, "", recipes.fphab_full())]
        case "table2":
            return [
                Network(UNADAPTED_ROW, "", recipes.fphab_subjects_unadapted()),
                Network(ADAPTED_ROW, "", recipes.fphab_subjects()),
            ]
        case "table3":
            return [
                Network(HAND_ROW, "", recipes.fphab_hand()),
                Network(OBJECT_ROW, "", recipes.fphab_object()),
                Network(BOTH_ROW, "", recipes.fphab_full()),
            ]
        case "fig5":
            return [Network(ALL_ROW, "", recipes.ho3d_appendix_b_full())]
        case "fig7":
            sparse = [recipes.ho3d_appendix_b(fraction) for fraction in PAPER_FRACTIONS["fig7"]]
            return _curves_over_labels(sparse, recipes.ho3d_appendix_b_full())
        case "fig8":
            sparse = [recipes.fphab_sparse(fraction) for fraction in PAPER_FRACTIONS["fig8"]]
            return _curves_over_labels(sparse, recipes.fphab_full())


def _sample_networks(experiment: Experiment) -> list[Network]:
    """The same on sample data: fully annotated with the steps of both stages, or with its own fractions.

    Beside networks of few labels, full supervision has their control's protocol.
    """
    sparse = recipes.sample()
    full = recipes.fully_supervised(sparse)
    match experiment.name:
        case "table1":
            return [Network(OURS_ROW, "", full)]
        case "table2":
            adapted = replace(full, network=replace(full.network, skeleton_adaptation=True))
            return [Network(UNADAPTED_ROW, "", full), Network(ADAPTED_ROW, "", adapted)]
        case "table3":
            none = LossWeights(hand_joints=0.0, hand_pose=0.0, hand_shape=0.0)
            hand_only = replace(full, loss=replace(full.loss, object_vertices=0.0))
            object_only = replace(full, loss=replace(none, object_vertices=full.loss.object_vertices))
            return [
                Network(HAND_ROW, "", hand_only),
                Network(OBJECT_ROW, "", object_only),
                Network(BOTH_ROW, "", full),
            ]
        case "fig5":
            return [Network(ALL_ROW, "", full)]
        case "fig7" | "fig8":
            sparser = [replace(sparse, fraction=fraction) for fraction in SAMPLE_FRACTIONS[experiment.name]]
            return [
                *_curves_over_labels(sparser, recipes.with_every_label(sparse)),
                *(Network(_percent(recipe), "Eq. 1", recipes.with_equation_1(recipe)) for recipe in sparser),
                *(Network(_percent(recipe), "near to far", recipes.with_near_to_far(recipe)) for recipe in sparser),
            ]


def _benchmark_networks(fractions: Sequence[float]) -> list[Network]:
    """What labels alone give, in space and in the picture, the paper's term, all that helps; and with every label.

    The control and full supervision are there twice, as `best` is told where a detector sees the hand and the others
    are not: each compares with those that know as much.
    """
    usual = recipes.benchmark()
    arms = {
        "control": usual.as_control(),
        "2D": recipes.with_reprojection(usual).as_control(),
        "Eq. 1": recipes.with_equation_1(usual),
        "control, told": recipes.with_joint_input(usual).as_control(),
        "best": recipes.with_joint_input(recipes.with_all_that_helps(usual)),
    }
    sparser = [(arm, replace(recipe, fraction=fraction)) for fraction in fractions for arm, recipe in arms.items()]
    sparse = [Network(_percent(recipe), arm, recipe) for arm, recipe in sparser]
    full = {"full": usual, "full, told": recipes.with_joint_input(usual)}
    return [*sparse, *(Network(FULL_ROW, arm, recipes.with_every_label(recipe)) for arm, recipe in full.items())]


def _curves_over_labels(sparse: Sequence[Recipe], full: Recipe) -> list[Network]:
    """Control and method at each share of labels, and full supervision."""
    curves = []
    for recipe in sparse:
        row = _percent(recipe)
        curves += [Network(row, "control", recipe.as_control()), Network(row, "photometric", recipe)]
    return [*curves, Network(FULL_ROW, "full", full)]


def _percent(recipe: Recipe) -> str:
    return f"{100 * recipe.fraction:.3g} %"


SMOKE_STEPS, SMOKE_BATCH, SMOKE_WIDTH_PX, SMOKE_CHANNELS = 8, 4, 64, 8


def smoke(recipe: Recipe) -> Recipe:
    """A recipe cut down to a few steps of a tiny network on tiny pictures: its numbers are no evidence."""

    def shortened(steps: int) -> int:
        return min(steps, SMOKE_STEPS)

    network: NetworkConfig = replace(recipe.network, width=SMOKE_CHANNELS)
    return replace(
        recipe,
        width=SMOKE_WIDTH_PX,
        height=round(SMOKE_WIDTH_PX * recipe.height / recipe.width),
        encoder_weights="none",
        network=network,
        stage1=replace(recipe.stage1, steps=shortened(recipe.stage1.steps), batch=SMOKE_BATCH),
        stage2=replace(recipe.stage2, steps=shortened(recipe.stage2.steps), batch=SMOKE_BATCH),
        photometric=replace(
            recipe.photometric,
            ramp_steps=2,
            pairs=SMOKE_BATCH,
            near_to_far_steps=min(recipe.photometric.near_to_far_steps, SMOKE_STEPS // 2),
        ),
    )


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
    content = parse_json((files("warpgrasp.experiments") / FILE).read_text(encoding="utf-8"))
    return Published(
        content["paper"],
        {name: _table(table) for name, table in content["tables"].items()},
        {name: _curves(curves) for name, curves in content["curves"].items()},
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
