"""The progress bar, as it is printed where there is no terminal: once, at the end; notices, printed or kept."""

import re
from threading import Thread

import pytest

from warpgrasp.progress import kept_notices, notice, progress_bar


def printed(capsys, **options) -> str:
    with progress_bar("count sheep", 4, **options) as advance:
        advance(1)
        advance(2)
    return capsys.readouterr().out


def test_it_counts_from_what_is_done(capsys) -> None:
    assert re.search(r"count sheep ━*.* 3/4 ", printed(capsys, kept=True))
    assert re.search(r"count sheep ━*.* 4/4 ", printed(capsys, kept=True, done=1))


@pytest.mark.parametrize("unit", ["steps", "frames"])
def test_the_rate_is_named_by_its_unit(capsys, unit: str) -> None:
    assert re.search(rf"3/4 \d[\d.]* {unit}/s", printed(capsys, kept=True, unit=unit))
    assert "/s" not in printed(capsys, kept=True)


@pytest.mark.parametrize("options", [{"kept": False}, {"kept": True, "shown": False}])
def test_nothing_stays_of_a_bar_that_is_not_kept_or_not_shown(capsys, options: dict) -> None:
    assert printed(capsys, **options).strip() == ""


def test_notices_are_printed_or_kept_whichever_thread_has_them(capsys) -> None:
    with kept_notices() as notices:
        notice("one")
        thread = Thread(target=notice, args=["two"])
        thread.start()
        thread.join()
    notice("three")
    assert notices == ["one", "two"]
    assert capsys.readouterr() == ("", "warpgrasp: three\n")
