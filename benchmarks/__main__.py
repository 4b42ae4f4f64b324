"""Runs every benchmark of this folder, each in a process of its own: `python -m benchmarks [NAME ...]`."""

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def main() -> int:
    names = sys.argv[1:] or sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("__"))
    status = 0
    for name in names:
        print(f"== {name}", flush=True)
        status |= subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}"], cwd=FOLDER.parent, check=False
        ).returncode
    return status


if __name__ == "__main__":
    sys.exit(main())
