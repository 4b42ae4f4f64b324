"""Names and texts of a recording that hold markup: the page shows them, and runs nothing of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import Server, browsing, require_browser, serving
from tests.hostile import FOLDERS, HOSTILE, MARKUP, SCRIPT, hostile_recording

require_browser()
pytestmark = pytest.mark.slow

EXTERNAL = """Array.from(document.querySelectorAll("img, a, script[src], iframe"))
    .map((element) => element.outerHTML).filter((html) => /evil|owned|src=.x/.test(html))"""
ADD_MARKUP = """html => {
    const place = document.createElement("div");
    place.innerHTML = html;
    document.body.append(place);
    document.getElementById("bad").click();
    const script = document.createElement("script");
    script.textContent = "document.title = 'owned'";
    document.body.append(script);
}"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(hostile_recording(tmp_path / FOLDERS)) as made:
        yield made


def test_markup_is_shown_and_not_obeyed(server: Server) -> None:
    with browsing() as browse:
        page = browse(server.address)
        assert page.complaints == []
        page.press("PageDown")
        page.until_said(r"frame 1\b")
        page.page.evaluate("window.before = document.title")
        page.press("PageDown")
        page.until_said(r"frame 2\b")
        page.press("PageDown")
        said = page.until_said(r"⚠️[^\n]*0003.*")
        assert MARKUP.strip() in said.replace("\u2060", "")  # every character of it
        page.page.wait_for_timeout(500)
        assert page.page.title() == page.page.evaluate("window.before")
        assert page.page.evaluate(EXTERNAL) == []
        assert page.complaints == []


def test_the_reason_for_reading_only_is_shown(server: Server, tmp_path: Path) -> None:
    (tmp_path / FOLDERS / ".annotate.lock.holder").write_text(f"{HOSTILE} on", errors="surrogateescape")
    with serving(tmp_path / FOLDERS) as second, browsing() as browse:
        page = browse(second.address)
        said = page.until_said(r"read only: .* is annotating it")
        assert SCRIPT in said
        assert r"\x1b]0;owned\x07\x1b[2J" in said
        assert page.page.evaluate(EXTERNAL) == []
        assert page.complaints == []
        rest = second.stop()
    assert r"\x1b]0;owned\x07" in rest
    assert "\x1b" not in rest


def test_no_script_but_the_page_s_own_runs(server: Server) -> None:
    """The policy holds even where a text would come into the page as HTML."""
    with browsing() as browse:
        page = browse(server.address)
        before = page.page.title()
        frame = "<iframe srcdoc='<script>top.document.title = 1</script>'></iframe>"
        page.page.evaluate(ADD_MARKUP, f"{SCRIPT}<a href=\"javascript:document.title='owned'\" id=bad>link</a>{frame}")
        page.page.wait_for_timeout(500)
        assert page.page.title() == before
        page.until(lambda: sum("Content Security Policy" in said for said in page.complaints) >= 3, "what is blocked")
