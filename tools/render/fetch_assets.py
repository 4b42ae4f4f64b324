"""Fetch the photographed lights (CC0) that render.py uses, from npm, into work/hdri."""

import base64
import subprocess
import tarfile
from pathlib import Path

PACKAGE = "@pmndrs/assets@1.7.0"
WORK = Path(__file__).resolve().parent / "work"
PREFIX = "data:application/exr;base64,"


def main() -> None:
    (WORK / "hdri").mkdir(parents=True, exist_ok=True)
    archive = WORK / "pmndrs-assets-1.7.0.tgz"
    if not archive.exists():
        subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=WORK, check=True)
    with tarfile.open(archive) as package:
        for member in package.getmembers():
            if member.name.startswith("package/hdri/") and member.name.endswith(".exr.js"):
                module = package.extractfile(member).read().decode()
                data = module[module.index(PREFIX) + len(PREFIX) : module.rindex("'")]
                (WORK / "hdri" / Path(member.name).stem).write_bytes(base64.b64decode(data))
    print(*sorted(path.name for path in (WORK / "hdri").iterdir()))


if __name__ == "__main__":
    main()
