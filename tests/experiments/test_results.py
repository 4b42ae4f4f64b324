"""Tables and figures of `reproduce`: measured and published values in their places, by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from warpgrasp.experiments import charts as reproduction_figures
from warpgrasp.experiments.charts import save_curves, save_pck
from warpgrasp.experiments.plans import published
from warpgrasp.experiments.results import PckLine, Result, ResultRow, as_json, markdown

HAND, OBJECT = "hand_joint_error_mm", "object_vertex_error_mm"


def table(**changes) -> Result:
    """Two rows that were measured over three seeds and over one, and one that was only published."""
    rows = (
        ResultRow("a", "", 2.5, 5, 80, {HAND: (17.0, 18.0, 20.0), OBJECT: (22.0,)}, {HAND: 15.7, OBJECT: None}),
        ResultRow("b", "", 2.5, 5, 80, {HAND: (16.04,)}, {HAND: 18.0, OBJECT: 22.3}),
        ResultRow("c", "", None, 0, 0, {}, {HAND: 28.0}),
    )
    result = Result(
        name="table9",
        title="Table 9: a test",
        metrics=(HAND, OBJECT),
        rows=rows,
        pck=(),
        source="Table 9 (a data set)",
        paper_data="FPHAB, action split",
        paper_metrics=(HAND, OBJECT),
        data="fphab/actions",
        is_papers_data=True,
        is_smoke=False,
        protocol=("Split: all.", "Alignment: none."),
        seeds=(0, 1, 2),
    )
    return replace(result, **changes)


def test_the_table_by_hand() -> None:
    # Mean 18.33, deviations -1.33, -0.33, 1.67: the sum of squares is 4.67, over n - 1 = 2 is 2.33, its root 1.53.
    assert markdown(table(), ["d: out of memory (logs/d.txt)"]) == (
        "# Table 9: a test\n"
        "\n"
        "| method | paper: hand joints, mm | paper: object vertices, mm "
        "| ours: hand joints, mm | ours: object vertices, mm | annotated frames | seeds |\n"
        "|---|---|---|---|---|---|---|\n"
        "| a | 15.7 | – | 18.3 ± 1.5 | 22.0 | 5 of 80 (6.25 %) | 3 |\n"
        "| b | 18.0 | 22.3 | 16.0 | – | 5 of 80 (6.25 %) | 1 |\n"
        "| c | 28.0 | – | – | – | – | – |\n"
        "\n"
        "* Split: all.\n"
        "* Alignment: none.\n"
        "* The column *paper* is Table 9 (a data set); it was published, not measured here.\n"
        "\n"
        "Failed:\n"
        "\n"
        "* d: out of memory (logs/d.txt)\n"
    )


def test_a_smoke_run_and_other_data_say_so() -> None:
    page = markdown(table(is_smoke=True, is_papers_data=False, data="sample data"))
    assert "**Smoke run (--quick): tiny pictures and a few steps. No evidence of anything.**" in page
    assert (
        "**Ours is measured on sample data, the paper's values on FPHAB, action split: they do not compare.**" in page
    )
    assert "| paper (FPHAB): hand joints, mm |" in page
    assert "| ours (sample data): hand joints, mm |" in page
    assert "**" not in markdown(table())


def test_json_keeps_measured_and_published_apart() -> None:
    content = as_json(table(), [{"seed": 0}], [{"label": "d"}])
    first, second, third = content["rows"]
    assert first["ours"] == {
        HAND: {"mean": pytest.approx(55 / 3), "std": pytest.approx((14 / 6) ** 0.5), "values": [17.0, 18.0, 20.0]},
        OBJECT: {"mean": 22.0, "std": None, "values": [22.0]},
    }
    assert first["paper"] == {HAND: 15.7}
    assert second["paper"] == {HAND: 18.0, OBJECT: 22.3}
    assert third["ours"] == {}
    assert content["evidence"] is True
    assert content["published"] == {
        "source": "Table 9 (a data set)",
        "data": "FPHAB, action split",
        "metrics": [HAND, OBJECT],
    }
    assert (content["runs"], content["failed"]) == ([{"seed": 0}], [{"label": "d"}])
    assert as_json(table(is_smoke=True), [], [])["evidence"] is False


METRICS = published().curves["fig8"].metrics


def curves(**changes) -> Result:
    """Fig. 8 with two fractions over two seeds, and all labels."""

    def row(arm: str, percent: float, annotated: int, values: tuple[float, ...]) -> ResultRow:
        return ResultRow(f"{percent:g} %", arm, percent, annotated, 80, dict.fromkeys(METRICS, values), {})

    rows = (
        row("control", 0.625, 2, (60.0, 62.0)),
        row("photometric", 0.625, 2, (50.0, 56.0)),
        row("control", 2.5, 2, (30.0, 31.0)),
        row("photometric", 2.5, 2, ()),  # both of its runs failed
        row("full", 100.0, 80, (22.0, 23.0)),
    )
    return table(name="fig8", metrics=METRICS, rows=rows, **changes)


@pytest.fixture
def drawn(monkeypatch) -> list[Figure]:
    """The figures that would be saved."""
    figures: list[Figure] = []
    monkeypatch.setattr(reproduction_figures, "_save", lambda figure, path: figures.append(figure))
    return figures


def test_curves_hold_measured_means_and_published_values(drawn: list[Figure]) -> None:
    save_curves(Path("x"), curves(), published().curves["fig8"])
    axes = drawn[0].axes[1]
    assert axes.get_title(loc="left") == "object vertices, mm"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0.625 %\n2\n(2.5 %)", "2.5 %\n2", "100 %\n80"]
    lines = {str(line.get_label()): np.asarray(line.get_ydata(), dtype=float) for line in axes.lines}
    assert lines["control, paper"].tolist() == [61.8, 34.9, 22.3]
    assert lines["photometric, paper"].tolist() == [54.4, 29.7, 22.2]
    measured = {str(one.get_label()): np.asarray(one[0].get_ydata(), dtype=float).tolist() for one in axes.containers}
    assert measured == {"control, measured": [61.0, 30.5, 22.5], "photometric, measured": [53.0, 22.5]}
    places = {str(one.get_label()): np.round(one[0].get_xdata()).tolist() for one in axes.containers}
    assert places["photometric, measured"] == [0, 2]  # no point where nothing was measured


def test_on_other_data_the_published_curves_stand_apart(drawn: list[Figure]) -> None:
    save_curves(Path("x"), curves(is_papers_data=False, data="sample data"), published().curves["fig8"])
    axes = drawn[0].axes
    assert len(axes) == 8
    assert [len(one.containers) for one in axes] == [2] * 4 + [0] * 4
    assert np.asarray(axes[4].lines[0].get_ydata(), dtype=float).tolist() == [41.3, 30.8, 23.1, 19.2, 16.7, 14.3, 13.9]
    title = drawn[0].get_suptitle()
    assert "sample data" in title
    assert "do not compare" in title


def test_files_of_a_figure(tmp_path: Path) -> None:
    save_curves(tmp_path / "fig8", curves(), published().curves["fig8"])
    line = PckLine("hand_joint_frame_pck_image", (0.0, 50.0, 100.0), ((0.0, 0.5, 1.0), (0.0, 0.7, 1.0)))
    save_pck(tmp_path / "fig5", table(name="fig5", pck=(line,)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fig5.png", "fig5.svg", "fig8.png", "fig8.svg"]
    for name in ("fig5", "fig8"):
        with Image.open(tmp_path / f"{name}.png") as image:
            assert image.width > 1000
        assert "Table 9: a test" in (tmp_path / f"{name}.svg").read_text()


def test_shares_of_correct_frames_are_averaged_over_the_seeds(drawn: list[Figure]) -> None:
    line = PckLine("hand_joint_frame_pck_image", (0.0, 50.0, 100.0), ((0.0, 0.5, 1.0), (0.0, 0.7, 1.0)))
    save_pck(Path("x"), table(pck=(line,)))
    axes = drawn[0].axes[0]
    assert np.asarray(axes.lines[0].get_ydata(), dtype=float) == pytest.approx([0.0, 0.6, 1.0])
    assert np.asarray(axes.lines[0].get_xdata(), dtype=float).tolist() == [0.0, 50.0, 100.0]
