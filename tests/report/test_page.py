"""The report: overlays fall on the very pixels that the mesh covers; the page stands alone and says every number."""

import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from warpgrasp.data.frames import Labels, choose_labels
from warpgrasp.data.ho3d.dataset import Ho3d
from warpgrasp.evaluation.metrics import METRICS, SurfaceMotion, score
from warpgrasp.frame import FrameName
from warpgrasp.geometry.camera import Camera
from warpgrasp.geometry.mesh import Mesh
from warpgrasp.hand.model import HandModel
from warpgrasp.predictions.file import Predictions
from warpgrasp.report import page as report_module
from warpgrasp.report.charts import TrainingCurve
from warpgrasp.report.comparison import TRUTH, choose_frames, compare, label_distance
from warpgrasp.report.overlay import HAND, OBJECT, Window, enlarged, labels_of, outline, overlay, turned_view
from warpgrasp.report.page import Report, ReportedArm, ReportedProtocol, protocol_text, score_table, write_report
from warpgrasp.report.paper_figures import save_frames
from warpgrasp.scene import Scene

FOCAL_PX, DEPTH_M = 80.0, 0.5


def off_centre_camera() -> Camera:
    """64 × 48 pixels, the principal point 20 px to the right of the middle and 5 px above it."""
    centre = (63 / 2 + 20, 47 / 2 - 5)
    return Camera(torch.tensor([[FOCAL_PX, 0, centre[0]], [0, FOCAL_PX, centre[1]], [0, 0, 1]]), 64, 48)


def rectangles(camera: Camera, *boxes_px: tuple[float, float, float, float]) -> Scene:
    """Upright rectangles whose edges project to (left, top, right, bottom); the first is the hand, the rest objects."""
    corners = torch.tensor([[(a, b), (c, b), (c, d), (a, d)] for a, b, c, d in boxes_px]).reshape(-1, 2)
    depth = DEPTH_M + 0.1 * torch.arange(len(boxes_px)).repeat_interleave(4)
    vertices = camera.unproject(corners, depth)[None]
    faces = torch.cat([torch.tensor([[0, 1, 2], [0, 2, 3]]) + 4 * k for k in range(len(boxes_px))])
    return Scene(Mesh.of(vertices, faces), 2, vertices[0].mean(dim=0))


def inside(box_px: tuple[float, float, float, float], *, width: int, height: int) -> Tensor:
    """The pixels whose centres lie within a box, by arithmetic."""
    v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return (u > box_px[0]) & (u < box_px[2]) & (v > box_px[1]) & (v < box_px[3])


HAND_BOX, OBJECT_BOX = (10.3, 8.4, 30.7, 25.6), (22.2, 5.3, 50.8, 40.1)


def test_labels_are_the_pixels_inside_at_both_scales() -> None:
    camera = off_centre_camera()
    scene = rectangles(camera, HAND_BOX, OBJECT_BOX)
    for scale in (1, 2, 4):
        width, height = 64 * scale, 48 * scale
        hand, thing = (
            inside(tuple(scale * (x + 0.5) - 0.5 for x in box), width=width, height=height)
            for box in (HAND_BOX, OBJECT_BOX)
        )
        labels = labels_of(scene, camera.resized(width, height))
        assert torch.equal(labels == HAND, hand)
        assert torch.equal(labels == OBJECT, thing & ~hand)


@pytest.mark.parametrize("scale", [1, 2])
def test_overlay_changes_exactly_the_covered_pixels(scale: int) -> None:
    camera = off_centre_camera()
    image = torch.rand(3, 48, 64, generator=torch.Generator().manual_seed(0))
    drawn = overlay(image, rectangles(camera, HAND_BOX, OBJECT_BOX), camera, scale=scale)
    changed = (drawn != enlarged(image, scale)).any(dim=0)
    boxes = [tuple(scale * (x + 0.5) - 0.5 for x in box) for box in (HAND_BOX, OBJECT_BOX)]
    covered = [inside(box, width=64 * scale, height=48 * scale) for box in boxes]
    assert torch.equal(changed, covered[0] | covered[1])


def test_a_principal_point_taken_for_the_centre_would_be_seen() -> None:
    camera = off_centre_camera()
    scene = rectangles(camera, HAND_BOX, OBJECT_BOX)
    centred = camera.transformed(torch.tensor([[1.0, 0, -20], [0, 1, 0], [0, 0, 1]]))
    here, there = labels_of(scene, camera), labels_of(scene, centred)
    assert torch.equal(here[:, 20:], there[:, :-20])


def test_overlay_of_the_true_scene_covers_the_painted_pixels(sample_root: Path, hand: HandModel) -> None:
    dataset = Ho3d(sample_root, hand)
    frame = dataset.frame(FrameName("A1", 3), annotated=True)
    assert frame.annotation is not None
    labels = labels_of(Scene.annotated(hand, frame.annotation, frame.object), frame.camera)
    yellow = (frame.image[0] > frame.image[2] + 0.35) & (frame.image[1] > frame.image[2] + 0.15)  # the bottle
    assert yellow[labels == OBJECT].float().mean() > 3 * yellow[labels == 0].float().mean()


def test_outline_is_the_rim_inside() -> None:
    labels = torch.zeros(9, 9, dtype=torch.long)
    labels[2:7, 3:8] = OBJECT
    rim = labels.clone().bool()
    rim[3:6, 4:7] = False
    assert torch.equal(outline(labels, width=1), rim)


def test_enlarging_moves_points_like_the_camera() -> None:
    ramp = torch.arange(12.0).expand(3, 10, 12) / 12
    twice = enlarged(ramp, 2)
    u = torch.arange(6, 18)
    assert torch.allclose(twice[0, 10, u], ((u + 0.5) / 2 - 0.5) / 12, atol=1e-6)


def test_turned_view_shows_depth_to_the_right() -> None:
    camera = off_centre_camera()
    scene = rectangles(camera, HAND_BOX, (20.0, 15.0, 24.0, 19.0))
    turned = scene.turned(scene.object_centre)
    moved = turned.mesh.vertices - scene.object_centre
    before = scene.mesh.vertices - scene.object_centre
    assert torch.allclose(moved[..., 0], before[..., 2], atol=1e-6)
    assert torch.allclose(moved[..., 1], before[..., 1], atol=1e-6)
    assert torch.allclose(moved.norm(dim=-1), before.norm(dim=-1), atol=1e-6)
    assert turned_view(scene, camera, about=scene.object_centre, scale=1).shape == (3, 48, 64)


def test_window_holds_the_mask_and_keeps_proportions() -> None:
    mask = inside((40, 2, 60, 12), width=64, height=48)
    window = Window.around(mask, margin=0.1)
    cut = window.of(mask.float().expand(3, -1, -1))
    assert cut[0].sum() == mask.sum()
    assert cut.shape[2] / cut.shape[1] == pytest.approx(64 / 48, rel=0.05)


def shifted(dataset: Ho3d, names: list[FrameName], by_m: float) -> Predictions:
    """Predictions that are right but for a shift along x."""
    truths = [dataset.truth(name) for name in names]
    shift = np.array([by_m, 0, 0], dtype=np.float32)
    notes = [truth.annotation for truth in truths]
    count = len(names)
    return Predictions(
        sequence=np.array([name.sequence for name in names]),
        index=np.array([name.index for name in names]),
        object_name=np.array([truth.object.name for truth in truths]),
        hand_vertices=np.stack([one.hand_vertices.numpy() + shift for one in notes]),
        hand_joints=np.stack([one.hand_joints.numpy() + shift for one in notes]),
        hand_rotation=np.tile(np.eye(3, dtype=np.float32), (count, 1, 1)),
        hand_translation=np.zeros((count, 3), np.float32),
        hand_pose=np.zeros((count, 15), np.float32),
        hand_shape=np.zeros((count, 10), np.float32),
        object_rotation=np.stack([one.object_rotation.numpy() for one in notes]),
        object_translation=np.stack([one.object_translation.numpy() + shift for one in notes]),
    )


SHIFTS_M = {"control": 0.0173, "photometric": 0.0081, "full": 0.0032}


@pytest.fixture(scope="module")
def report(sample_root: Path, hand: HandModel) -> Report:
    """A finished demo of made-up predictions: right, but for a shift of each arm's own length."""
    dataset = Ho3d(sample_root, hand)
    labels = choose_labels(dataset.sequences["train"], fraction=1 / 8, sampling="paper")
    groups = {"unannotated": labels.unannotated_names, "evaluation": dataset.names("evaluation")}
    every = dataset.names("train") + groups["evaluation"]
    arms = {}
    for arm, by_m in SHIFTS_M.items():
        predictions = shifted(dataset, every, by_m)
        arms[arm] = ReportedArm(predictions, {g: score(predictions, dataset, names) for g, names in groups.items()})
    rows = [{"step": step, "loss": 1 / (step + 1), "hand_joints": 0.1, "lambda_c": 0.0} for step in range(0, 100, 10)]
    curves = {
        "stage 1": TrainingCurve(rows),
        "control": TrainingCurve(rows, 100),
        "photometric": TrainingCurve([], 100),
        "full": TrainingCurve(rows),
    }
    protocol = ReportedProtocol("toy", 7, 64, 48, 8, 100, 100, 4, 4, 4, 3e-3, 10)
    return Report(dataset, labels, arms, curves, SurfaceMotion(8.25, 25.5), protocol, 12.0)


def two_frames(labels: Labels, evaluation: dict[str, list[int]]) -> list[FrameName]:
    return choose_frames(labels, evaluation, training_count=1, evaluation_count=1)


@pytest.fixture(scope="module")
def page(report: Report, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "new" / "report.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report_module, "choose_frames", two_frames)  # the rest looks alike, and takes its time
        write_report(path, report)
    assert [one.name for one in path.parent.iterdir()] == ["report.html"]
    assert path.stat().st_size < 8_000_000
    return path.read_text(encoding="utf-8")


def test_the_page_asks_for_nothing_outside(page: str) -> None:
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page
    assert not re.findall(r'(?:src|href)="(?!data:image/|#)', page)
    assert not re.findall(r"url\((?!#)", page)
    assert "$" not in re.sub(r"base64,[^\"]*", "", page), "a placeholder was left unfilled"


def test_the_table_holds_every_number(page: str, report: Report) -> None:
    table = unescape(page[page.index("<table>") : page.index("</table>")])
    rows = dict(re.findall(r'<th scope="row">(.*?)</th>(.*?)</tr>', table, flags=re.DOTALL))
    assert len(rows) == len(METRICS)
    for metric, row in zip(METRICS, rows.values(), strict=True):
        expected = [
            f"{report.arms[arm].scores[group].means[metric]:.1f}"
            for group in ("unannotated", "evaluation")
            for arm in SHIFTS_M
        ]
        cells = re.findall(r">([^<]*)</td>", row)
        assert cells[:3] + cells[5:8] == expected
        if metric.endswith("mm"):
            assert (cells[0], cells[1], cells[3], cells[4]) == ("17.3", "8.1", "−53 %", "65 %")


def test_the_protocol_is_said(page: str) -> None:
    for part in ("2 of 16 frames", "12.50 %", "8.2 px (median)", "25.5 px (95th percentile)", "64×48", "seed 7"):
        assert part in page


@pytest.mark.parametrize(
    ("directions", "share", "said"),
    [
        (False, 0.0, "its nearest annotated one, weighted by"),
        (True, 0.0, "its nearest annotated one (warping either one to the other), weighted by"),
        (False, 0.4, "(by colours and, to 40 %, by local contrast), weighted by"),
        (True, 0.5, "(warping either one to the other, by colours and, to 50 %, by local contrast), weighted by"),
    ],
)
def test_what_is_compared_beside_eq_1_is_said(report: Report, directions: bool, share: float, said: str) -> None:
    protocol = replace(report.protocol, both_directions=directions, contrast_share=share)
    assert said in protocol_text(replace(report, protocol=protocol))


def test_each_shown_frame_is_named(page: str, report: Report) -> None:
    names = two_frames(report.labels, report.dataset.sequences["evaluation"])
    assert len(names) == 2
    assert re.findall(r"<code>(.*?)</code>", page) == [f"{name.sequence}/{name.index:04d}" for name in names]


def test_table_without_upper_bound_has_no_gap(report: Report) -> None:
    two = {arm: report.arms[arm].scores for arm in ("control", "photometric")}
    assert "gap closed" not in score_table(two)
    assert "gap closed" in score_table(two | {"full": report.arms["full"].scores})


def test_frames_are_chosen_by_distance(report: Report) -> None:
    names = choose_frames(report.labels, {"E1": [0, 1, 2, 3]}, training_count=4, evaluation_count=3)
    assert [name.sequence for name in names] == ["A1", "A1", "B1", "B1", "E1"]
    assert [label_distance(report.labels, name) for name in names[:4]] == [
        2,
        3,
        5,
        7,
    ]  # 7 k / 4, and of 3 and 4 the earlier
    assert names[-1] == FrameName("E1", 2)


def test_the_truth_explains_the_reference_best(report: Report) -> None:
    predictions = {arm: report.arms[arm].predictions for arm in ("photometric", "control")}
    comparison = compare(report.dataset, report.labels, FrameName("A1", 2), predictions)
    residuals = [comparison.compared[arm].mean_residual for arm in (TRUTH, "photometric", "control")]
    assert residuals == sorted(residuals)
    assert residuals[0] < 0.06 < residuals[2]
    assert comparison.reference == FrameName("A1", 0)
    assert comparison.overlays["control"].shape == (3, 480, 640)


def test_a_failed_write_leaves_the_old_page(report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    monkeypatch.setattr(report_module, "report_page", lambda _: "new")

    def full_disk(self: Path, text: str, encoding: str, errors: str | None = None) -> int:
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_report(path, report)
    monkeypatch.undo()
    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == {"report.html": "old"}


def test_strip_has_a_column_per_arm(report: Report, tmp_path: Path) -> None:
    from PIL import Image

    arms = {arm: report.arms[arm].predictions for arm in ("control", "photometric")}
    path = tmp_path / "strip.png"
    save_frames(path, report.dataset, [FrameName("E1", 1)], arms)
    with Image.open(path) as picture:
        assert picture.size == (4 * 408 + 8, 40 + 308)
    assert [one.name for one in tmp_path.iterdir()] == ["strip.png"]
