"""Every example runs, and says what it promises."""

import re
import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
EXPECTED = {
    "01_project_a_mesh.py": r"middle_1 +319\.5 +239\.5 px at 0\.500 m",
    "02_render_flow.py": "0.00 down",
    "03_warp_a_frame.py": r"from the picture moved by \(3, -2\) px: \d\.\de-0[5-9]",
    "04_recover_a_shift.py": r"recovered (1\.9|2\.0)\d px to the right",
    "05_train_on_a_generated_video.py": "frames annotated",
    "06_reconstruct_pictures.py": r"006_mustard_bottle: hand of 778 vertices in 3 pictures,",
}


def test_every_example_is_run():
    assert sorted(path.name for path in EXAMPLES.glob("*.py")) == sorted(EXPECTED)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name.startswith(("05", "06")) else []) for name in EXPECTED]
)
def test_example_runs(name, capsys):
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    assert re.search(EXPECTED[name], capsys.readouterr().out)
