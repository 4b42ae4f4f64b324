"""Annotating in a real browser: moves are saved, what is shown as saved is on disk, surfaces lie over their picture."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from tests.annotate.conftest import opened
from tests.browser import Page, browsing, require_browser, serving
from tests.data.recording.recording_files import simple_label, write_obj, write_recording
from warpgrasp.data.recording.annotations import Label, read_annotations, write_annotations
from warpgrasp.data.recording.camera import write_lens
from warpgrasp.data.recording.check import LabelledSurface
from warpgrasp.data.recording.files import write_object
from warpgrasp.data.recording.lens import Lens
from warpgrasp.hand.model import HandModel

require_browser()
pytestmark = pytest.mark.slow


HANDLE_PX = 150  # the length of a handle's arrows


def drag(page: Page, start: np.ndarray, end: np.ndarray, *, steps: int = 8) -> None:
    """Hold the mouse button from one pixel of the window to another."""
    mouse = page.page.mouse
    mouse.move(*start.tolist())
    page.page.wait_for_timeout(300)
    mouse.down()
    for step in range(1, steps + 1):
        mouse.move(*(start + (end - start) * step / steps).tolist())
        page.page.wait_for_timeout(60)
    mouse.up()


def arrow(page: Page, name: str, axis: int) -> np.ndarray:
    """Where on the window a handle's arrow can be taken."""
    wxyz, place = page.pose(name)
    along = Rotation.from_quat(wxyz, scalar_first=True).as_matrix()[:, axis]
    origin = page.screen(place)
    towards = page.screen(place + 0.01 * along) - origin
    return origin + 0.55 * HANDLE_PX * towards / np.linalg.norm(towards)


def labelled(folder: Path) -> Label:
    """The label of the first frame on the disk."""
    return read_annotations(folder).labels[0]


def test_a_move_is_saved_and_found_again(folder: Path, hand: HandModel) -> None:
    before = labelled(folder)
    with browsing() as browse, serving(folder) as server:
        page = browse(server.address)
        page.still_picture()  # with the handle
        _, start = page.pose("/object")
        taken = arrow(page, "/object", 0)
        drag(page, taken, taken + np.array([60.0, 25.0]))
        page.until(lambda: np.linalg.norm(page.pose("/object")[1] - start) > 0.005, "the object to move")
        shown = page.pose("/object")
        # The server hears of the last moves after the browser has shown them, and may have saved others before.
        moved = before.object_translation + shown[1] - start
        page.until(lambda: np.allclose(labelled(folder).object_translation, moved, atol=1e-6), "the last move on disk")
        page.until_said(r"✓ saved at \d\d:\d\d:\d\d")
        label = labelled(folder)
        assert np.linalg.norm(label.object_translation - before.object_translation) > 0.005
        np.testing.assert_array_equal(label.hand.pose, before.hand.pose)
        again = browse(server.address)  # a second tab
        for one, other in zip(again.pose("/object"), shown, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)
        assert page.complaints == []
        assert again.complaints == []
        assert re.search(r"2 labels, 0 drafts in .*small", server.stop().replace("\n", " "))
    assert not (folder / ".annotate.lock").exists()
    state = opened(folder, hand)
    np.testing.assert_allclose(state.current.object_centre, shown[1], atol=1e-6)
    turn = Rotation.from_matrix(state.current.object_rotation) * Rotation.from_quat(shown[0], scalar_first=True).inv()
    assert turn.magnitude() < 1e-6


def test_the_keyboard(folder: Path) -> None:
    with browsing() as browse, serving(folder) as server:
        page = browse(server.address)
        page.press("PageDown")
        page.until_said(r"frame 1 · not begun")
        page.press("t")  # nearer: a draft
        page.until_said(r"frame 1 · draft")
        page.press("l")
        page.until_said(r"frame 1 · label")
        page.until_said(r"3 labels: 0, 1, 3")
        page.press("u")
        page.until_said(r"frame 1 · draft")
        near = page.pose("/object")[1][2]
        page.press("Control+z")
        page.until(lambda: page.pose("/object")[1][2] > near + 1e-6, "the object to go back")
        page.press("r")
        page.until(lambda: page.pose("/object")[1][2] < near + 1e-9, "the object to come again")
        page.press("r")
        page.until_said(r"frame 1 · label")
        page.press("k")
        page.until_said(r"frame 3 · label")
        page.press("c")
        page.until_said(r"copied from frame 1")
        page.press("b")
        page.until(lambda: not page.is_shown("/hand/surface"), "hiding")
        page.press("b")
        page.until(lambda: page.is_shown("/hand/surface"), "showing")
        page.press("r")
        page.until_said(r"there is nothing to redo in this frame")
        page.until_said(r"✓ saved at")
        assert page.complaints == []
    assert [label.frame for label in read_annotations(folder).labels] == [0, 1, 3]


def nudged_and_killed(browse: Callable[[str], Page], folder: Path, *, pause_ms: int) -> float:
    """Bring the object nearer, wait for `saved`, begin another change, kill the server: the depth that was saved."""
    with serving(folder) as server:
        page = browse(server.address)
        for _ in range(4):
            before = page.pose("/object")[1][2]
            page.press("t")
            page.until(lambda before=before: page.pose("/object")[1][2] < before - 1e-6, "the object to come nearer")
        page.until_said(r"✓ saved at")
        shown = page.pose("/object")[1][2]
        page.press("g")
        page.page.wait_for_timeout(pause_ms)
        server.kill()
        assert [one for one in page.complaints if "WebSocket" not in one] == []
        return shown


def test_what_is_shown_as_saved_survives_a_kill(folder: Path, hand: HandModel) -> None:
    """Whenever the page says saved, that depth is in the file, or the one after it, however soon the server ends."""
    with browsing() as browse:
        for pause_ms in (0, 120, 400):
            shown = nudged_and_killed(browse, folder, pause_ms=pause_ms)
            state = opened(folder, hand)
            depth = state.current.object_centre[2]
            assert depth == pytest.approx(shown, abs=1e-9) or depth == pytest.approx(1.01 * shown, abs=1e-9)
            assert state.labelled == [0, 3]


def test_clicks_are_pixels_and_points(folder: Path, hand: HandModel) -> None:
    """A click on a joint where it is seen is its pixel; one on the object is its point, then comes the pixel."""
    annotation = opened(folder, hand).annotation(0)
    tip, centre = (part.double().numpy() for part in (annotation.hand_joints[8], annotation.object_translation))
    with browsing() as browse, serving(folder) as server:
        page = browse(server.address)
        where, thing = page.screen(tip), page.screen(centre)
        page.press("i")
        page.until_said(r"Click on wrist in the picture")
        page.page.mouse.click(*where.tolist())
        page.until_said(r"Click on thumb_1 in the picture\. 1 of 21")
        page.press("p")
        page.until_said(r"Pair 1, first click: a point of the object's mesh")
        page.page.mouse.click(*thing.tolist())
        page.until_said(r"Pair 1, second click: the same point in the picture")
        page.page.mouse.click(*where.tolist())
        page.until_said(r"Pair 2, first click: a point of the object's mesh\. 1 pairs")
        page.press("Escape")
        page.until_said(r"✓ saved at")
        assert page.complaints == []
    state = opened(folder, hand)
    (name, pixel), (pair,) = state.current.joints_px[0], state.current.pairs
    expected = state.camera.project(annotation.hand_joints[8:9])[0].numpy()
    assert name == "wrist"
    np.testing.assert_allclose(pixel, expected, atol=0.1)  # a pixel of the window is a twentieth of one of these
    np.testing.assert_allclose(pair.pixel, expected, atol=0.1)
    seen = state.current.object_centre + Rotation.from_matrix(state.current.object_rotation).apply(pair.point)
    along = seen / seen[2] - centre / centre[2]
    assert np.linalg.norm(along) < 0.002  # the point lies on the line of sight that was clicked along
    assert np.abs(pair.point).max() < 0.051  # and on the wedge


def test_a_click_beside_the_mesh_says_so(folder: Path, hand: HandModel) -> None:
    """In the panel and over the scene; the click after it begins the same pair, which can be taken back alone."""
    centre = opened(folder, hand).annotation(0).object_translation.double().numpy()
    with browsing() as browse, serving(folder) as server:
        page = browse(server.address)
        where, beside = page.screen(centre), page.screen(centre + np.array([-0.18, 0.0, 0.0]))
        page.press("p")
        page.until_said(r"Pair 1, first click")
        page.page.mouse.click(*beside.tolist())
        page.until_said(r"Nothing was taken\s+beside the object's mesh")
        page.until_said(r"That was beside the mesh\. .*Pair 1, first click")
        page.page.mouse.click(*where.tolist())
        page.until_said(r"Pair 1, second click")
        page.page.mouse.click(*beside.tolist())
        page.until_said(r"1 points of the object")
        page.page.get_by_role("button", name="this pair").click()
        page.until_said(r"pair 1 is taken back")
        page.until_said(r"0 points of the object")
        assert page.complaints == []


def test_a_second_one_may_only_look(folder: Path) -> None:
    with browsing() as browse, serving(folder) as first:
        with serving(folder) as second:
            page = browse(second.address)
            page.until_said(rf"read only: process {first.process.pid} on .* is annotating it")
            start = page.pose("/object")
            page.press("t")
            page.press("o")
            page.until_said(r"this recording is open for reading only")
            for one, other in zip(page.pose("/object"), start, strict=True):
                np.testing.assert_array_equal(one, other)
            assert "read only: process" in second.stop()
        writer = browse(first.address)
        writer.press("t")
        writer.until_said(r"saved at")


def test_nothing_without_the_token_or_from_another_page(folder: Path, tmp_path: Path) -> None:
    """A foreign page in the same browser gets neither page nor WebSocket, even if it knew the token."""
    with browsing() as browse, serving(folder) as server:
        page = browse(server.address)
        inner = page.page.context.browser.new_page()
        root = server.address.rsplit("/", 2)[0] + "/"
        answered = inner.goto(root)
        assert answered.status == 403
        assert "Refused" in inner.inner_text("body")
        (tmp_path / "evil.html").write_text("<body>evil</body>")
        inner.goto(f"file://{tmp_path}/evil.html")  # of the origin `null`
        script = """address => new Promise(resolve => {
            const socket = new WebSocket(address.replace("http", "ws").replace(/\\/$/, ""), "viser-v1.1.1");
            socket.onopen = () => resolve("open");
            socket.onerror = () => resolve("refused");
            socket.onmessage = () => resolve("message");
        })"""
        assert inner.evaluate(script, server.address) == "refused"
        assert inner.evaluate(script, root) == "refused"
        fetched = "address => fetch(address).then(r => r.status, () => 'refused')"
        assert inner.evaluate(fetched, server.address) in ("refused", 403)
        assert page.page.evaluate(script, server.address) == "open"  # the same from the page itself


def iou(first: np.ndarray, second: np.ndarray) -> float:
    return float((first & second).sum() / (first | second).sum())


def whites(picture: np.ndarray) -> np.ndarray:
    return picture.min(axis=-1) > 128


def test_surfaces_lie_over_their_picture(tmp_path: Path, hand: HandModel) -> None:
    """A frame that shows the silhouettes of its own label in white, its principal point 20 px off the middle."""
    folder = silhouette_recording(tmp_path / "exact", hand)
    with browsing(1760, 900) as browse, serving(folder) as server:
        page = browse(server.address)
        page.press("z")
        page.until(lambda: page.property("/object", "disable_axes"), "no handles")
        page.press("0")
        page.until(lambda: page.property("/hand/surface", "opacity") is None, "opaque surfaces")
        page.press("b")
        page.until(lambda: not page.is_shown("/hand/surface"), "hiding")
        photographed = page.still_picture(lambda picture: whites(picture).sum() > 20_000)
        drawn = page.picture_after("b", photographed)
        white = whites(photographed)
        blue = photographed[..., 2] > photographed[..., 0] + 25
        columns = np.nonzero((white | blue).any(axis=0))[0]
        assert columns.max() - columns.min() >= 1280
        surface = np.abs(drawn - photographed).max(axis=-1) > 12  # whatever its shade
        assert iou(white, surface) >= 0.99
        assert page.complaints == []


def silhouette_recording(folder: Path, hand: HandModel) -> Path:
    """One frame of 1280×720, painted by the project's own rasteriser (itself tested against rays)."""
    write_recording(folder)
    (folder / "video.mp4").unlink()
    (folder / "frames").mkdir()
    write_lens(folder, Lens(np.array([[1100.0, 0, 659.5], [0, 1100.0, 339.5], [0, 0, 1]]), 1280, 720))
    write_obj(folder / "wedge.obj")
    write_object(folder, "wedge", "wedge.obj", units="m")
    write_annotations(folder, [simple_label(0)], hand_model="open-hand right")
    Image.new("RGB", (1280, 720)).save(folder / "frames" / "0.png")
    state = opened(folder, hand)
    surface = LabelledSurface.of(state.annotation(0), state.recording.object.model, hand, state.camera)
    picture = np.full((720, 1280, 3), (30, 30, 90), dtype=np.uint8)
    picture[surface.face_ids >= 0] = 255
    Image.fromarray(picture).save(folder / "frames" / "0.png")
    return folder
