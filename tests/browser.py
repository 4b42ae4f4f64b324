"""A headless Chromium that opens the annotation page, and the server as a process of its own."""

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
)
MARGIN = 1.02  # of the frame in the window, as the page has it
PATIENCE_S = 120  # WebGL in software, on a machine that may be busy
# What software rendering makes Chromium say; viser's sorter of splats, which no page here has: it may not evaluate; and
# what viser tries in vain when a node of the scene is dragged.
HARMLESS = re.compile(
    r"GL Driver Message|GPU stall|THREE\.Clock|favicon|Canvas2D|Evaluating a string as JavaScript|"
    r"Unable to preventDefault inside passive event listener"
)

# viser lays a notice over the scene, at some time, when it finds that WebGL is in software: it is told another name.
HARDWARE = """for (const context of [WebGLRenderingContext, WebGL2RenderingContext]) {
    const real = context.prototype.getParameter, renderer = 0x9246;  // UNMASKED_RENDERER_WEBGL
    context.prototype.getParameter = function (name) { return name === renderer ? "hardware" : real.call(this, name); };
}"""


def require_browser() -> None:
    """Skip the module where there is no browser, or nothing to drive it."""
    pytest.importorskip("viser", reason="needs the extra `viewer`")
    pytest.importorskip("playwright.sync_api", reason="needs playwright")
    if CHROMIUM is None:
        pytest.skip("needs Chromium (apt-get install chromium)", allow_module_level=True)


class Server:
    """`warpgrasp annotate` in a process of its own."""

    def __init__(self, folder: Path, *arguments: str):
        command = [sys.executable, "-m", "warpgrasp.cli", "annotate", str(folder), "--port", "0", "--no-open-browser"]
        environment = {**os.environ, "COLUMNS": "400", "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        assert self.process.stdout is not None
        self.said: list[str] = []
        for line in self.process.stdout:
            self.said.append(line)
            if found := re.search(r"http://\S+", line):
                self.address = found[0]
                return
        raise AssertionError(f"the server ended: {''.join(self.said)}")

    def stop(self) -> str:
        """Ask it to end, and give all that it said."""
        self.process.terminate()
        rest, _ = self.process.communicate(timeout=PATIENCE_S)
        return "".join(self.said) + rest

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self.process.kill()
        self.process.communicate(timeout=PATIENCE_S)


@contextlib.contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[Server]:
    server = Server(folder, *arguments)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.kill()


class Page:
    """The annotation page in a browser."""

    def __init__(self, page: Any, address: str):
        self.page, self.complaints = page, list[str]()
        page.set_default_timeout(1000 * PATIENCE_S)
        page.add_init_script(HARDWARE)
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self._note("error", str(error)))
        # On a slow machine viser draws fewer pixels and scales them up, unless it is told how many.
        page.goto(f"{address}{'&' if '?' in address else '?'}fixedDpr=1")
        page.wait_for_selector("canvas")
        nodes = ("/object/surface", "/hand/surface", "/frame")
        self.until(lambda: all(map(self.is_shown, nodes)) and self.at_camera() and self.fits(), "the scene")
        self.until(lambda: "saved" in self.text() or "read only" in self.text(), "the panel")

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not HARMLESS.search(text):
            self.complaints.append(f"{kind}: {text}")

    def text(self) -> str:
        """What the page says."""
        return self.page.inner_text("body")

    def until(self, true: Callable[[], Any], what: str) -> Any:
        """Wait for something."""
        end = time.monotonic() + PATIENCE_S
        while not (found := true()):
            assert time.monotonic() < end, f"waited for {what}; the page says: {self.text()[:600]}"
            self.page.wait_for_timeout(50)
        return found

    def until_said(self, pattern: str) -> str:
        """Wait until the page says something."""
        return self.until(lambda: re.search(pattern, self.text()), pattern)[0]

    def press(self, key: str) -> None:
        """Press a key that no control has the focus for."""
        self.page.evaluate("document.activeElement && document.activeElement.blur()")
        self.page.keyboard.press(key)

    def is_shown(self, name: str) -> bool:
        """Whether a node of the scene is there, as the browser has it, and not hidden."""
        return self.page.evaluate("name => window.__viserSceneTree?.getState()[name]?.visibility ?? false", name)

    def property(self, name: str, wanted: str) -> Any:
        """A property of a node of the scene as the browser has it."""
        script = "([name, wanted]) => window.__viserSceneTree.getState()[name].message.props[wanted]"
        return self.page.evaluate(script, [name, wanted])

    def pose(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Where the browser shows a node: quaternion (w first) and place."""
        script = "name => window.__viserMutable.nodePoseData[name] ?? null"
        pose = self.until(lambda: self.page.evaluate(script, name), f"a pose of {name}")
        return np.array(pose["wxyz"]), np.array(pose["position"])

    def at_camera(self) -> bool:
        """Whether the view is the camera's."""
        script = "() => { const c = window.__viserMutable?.camera; return c ? c.position.length() < 1e-6 : false; }"
        return self.page.evaluate(script)

    def fits(self) -> bool:
        """Whether the frame fills the window but for its margin: until then the view is still to be widened."""
        script = """() => {
            const camera = window.__viserMutable.camera, state = window.__viserSceneTree.getState();
            const { wxyz } = state[""], { render_width, render_height } = state["/frame"].message.props;
            const place = window.__viserMutable.nodePoseData["/frame"]?.position ?? [0, 0, 0];
            const turn = camera.quaternion.clone().set(wxyz[1], wxyz[2], wxyz[3], wxyz[0]);
            const reached = [-0.5, 0.5].flatMap((across) => [-0.5, 0.5].flatMap((down) => {
                const corner = camera.position.clone();
                corner.set(place[0] + across * render_width, place[1] + down * render_height, place[2]);
                corner.applyQuaternion(turn).project(camera);
                return [Math.abs(corner.x), Math.abs(corner.y)];
            }));
            return Math.max(...reached);
        }"""
        return abs(self.page.evaluate(script) - 1 / MARGIN) < 1e-3

    def screen(self, point: np.ndarray) -> np.ndarray:
        """The window's pixel of a point in the recording's camera space."""
        script = """point => {
            const camera = window.__viserMutable.camera, root = window.__viserSceneTree.getState()[""].wxyz;
            const box = window.__viserMutable.canvas.getBoundingClientRect();
            const v = camera.position.clone().set(...point);
            v.applyQuaternion(camera.quaternion.clone().set(root[1], root[2], root[3], root[0])).project(camera);
            return [box.x + (v.x + 1) / 2 * box.width, box.y + (1 - v.y) / 2 * box.height];
        }"""
        return np.array(self.page.evaluate(script, [float(value) for value in point]))

    def picture(self) -> np.ndarray:
        """The scene as it is drawn, without the panel: (h, w, 3), from 0 to 255."""
        with Image.open(io.BytesIO(self.page.screenshot())) as opened:
            shot = np.array(opened.convert("RGB"))
        box = self.page.evaluate("window.__viserMutable.canvas.getBoundingClientRect().toJSON()")
        x, y, width, height = (round(box[name]) for name in ("x", "y", "width", "height"))
        return shot[y : y + height, x : x + width].astype(int)

    def still_picture(self, true: Callable[[np.ndarray], bool] = lambda picture: True) -> np.ndarray:
        """The scene once something is true of it and it is still: what the server sends comes in parts."""
        last, times = None, 0

        def still() -> bool:
            """Four times the same."""
            nonlocal last, times
            self.page.wait_for_timeout(400)
            previous, last = last, self.picture()
            times = times + 1 if previous is not None and np.array_equal(last, previous) else 0
            return times >= 3 and true(last)

        self.until(still, "a still picture")
        assert last is not None
        return last

    def picture_after(self, key: str, before: np.ndarray) -> np.ndarray:
        """The scene once it has changed from `before` after a key and is still."""
        self.press(key)
        return self.still_picture(lambda after: after.shape == before.shape and np.abs(after - before).max() > 60)


@contextlib.contextmanager
def browsing(width: int = 960, height: int = 600) -> Iterator[Callable[[str], Page]]:
    """A browser; call it with an address to get a page."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS), timeout=1000 * PATIENCE_S)
        try:
            yield lambda address: Page(browser.new_page(viewport={"width": width, "height": height}), address)
        finally:
            browser.close()
