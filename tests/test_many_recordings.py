"""Many recordings, in one process or by Ray: what is noticed of one is said with its name, whatever becomes of it."""

import pytest

from warpgrasp.cli.recordings import carry_out_each
from warpgrasp.errors import DataError, UserError

SAID = ["mug: warning: one side is short", "mug: 3 frames", "jar: warning: one side is short", "jar: failed: no frames"]


def carried_out(ray: str | None, capsys) -> list[str]:
    def work(count: int) -> list[str]:  # a closure: Ray's workers need not find this file
        from warpgrasp.progress import notice

        notice("warning: one side is short")
        if not count:
            raise DataError("no frames")
        return [f"{count} frames"]

    workers = None if ray is None else 1
    with pytest.raises(UserError, match="expected every recording to be counted, but 1 of 2 failed: jar; mend them"):
        carry_out_each(work, {"mug": 3, "jar": 0}, done="counted", ray=ray, workers=workers)
    printed, noticed = capsys.readouterr()
    assert not noticed
    return [row for row in printed.splitlines() if ": " in row]


def test_in_this_process(capsys) -> None:
    assert carried_out(None, capsys) == SAID


@pytest.mark.slow
@pytest.mark.usefixtures("alone_with_ray")
def test_by_ray(capsys) -> None:
    assert carried_out("auto", capsys) == SAID
