"""Opens a page in a headless browser, if one is installed, and waits for what the page says."""

import base64
import hashlib
import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--use-gl=angle", "--use-angle=swiftshader")
MORE_OPTIONS = ("--enable-unsafe-swiftshader", "--no-first-run", "--window-size=1000,800")
PATIENCE_S = 180


def installed_browser() -> str | None:
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def asked_of(page: str, script: str, folder: Path) -> dict[str, Any]:
    """What `script`, an asynchronous function's body, returns in the page. It runs beside the page's own script."""
    browser = installed_browser()
    assert browser is not None
    with listening() as (address, answer):
        told = f"""(async () => {{ {script} }})().catch((error) => ({{ error: String(error) }}))
            .then((found) => fetch("{address}", {{ method: "POST", mode: "no-cors", body: JSON.stringify(found) }}));"""
        # The page itself may fetch nothing, and so could not answer; nor does it run another script than its own.
        allowed = base64.b64encode(hashlib.sha256(told.encode()).digest()).decode()
        assert "script-src 'sha256-" in page
        open_page = page.replace("default-src 'none'", "default-src *", 1)
        open_page = open_page.replace("script-src ", f"script-src 'sha256-{allowed}' ", 1)
        path = folder / "page.html"
        path.write_text(open_page.replace("</body>", f"<script>{told}</script></body>"))
        words = [browser, *OPTIONS, *MORE_OPTIONS, f"--user-data-dir={folder / 'profile'}", path.as_uri()]
        with (folder / "browser.log").open("wb") as log:
            process = subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)
        try:
            found = answer()
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert "error" not in found, found["error"]
    return found


@contextmanager
def listening() -> Iterator[tuple[str, Any]]:
    """An address of this machine, and a function that waits for what is posted there."""
    arrived, bodies = threading.Event(), []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()
            arrived.set()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def answer() -> dict[str, Any]:
        assert arrived.wait(PATIENCE_S), "the browser said nothing"
        return json.loads(bodies[0])

    try:
        yield f"http://127.0.0.1:{server.server_port}/", answer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
