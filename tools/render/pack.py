"""Packs the rendered pictures and the annotations into the sample set that the package ships.

    .venv/bin/python tools/render/pack.py        # the package's environment, from the repository's root

Equal pictures and annotations make equal bytes.
"""

import shutil
import tempfile
import zipfile
from pathlib import Path

from scenes import EVALUATION_FRAMES, SCENES, TRAIN_FRAMES, WORK

from warpgrasp.data import Split
from warpgrasp.data.sample import GraspSequence, write_layout

SHIPPED = Path("src/warpgrasp/data/sample/shipped.zip")
STORED = (".jpg",)  # compressed already


def copy_picture(split: Split, name: str, index: int, path: Path) -> None:
    """Use the path-traced picture of a frame."""
    shutil.copyfile(WORK / "frames" / name / f"{index:04d}.jpg", path)


def pack(folder: Path, target: Path) -> None:
    """Zip a folder, with fixed order and dates."""
    temporary = target.with_name(f".{target.name}")
    with zipfile.ZipFile(temporary, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                entry = zipfile.ZipInfo(str(path.relative_to(folder)), date_time=(1980, 1, 1, 0, 0, 0))
                entry.external_attr = 0o644 << 16
                method = zipfile.ZIP_STORED if path.suffix in STORED else zipfile.ZIP_DEFLATED
                archive.writestr(entry, path.read_bytes(), method, compresslevel=9)
    temporary.replace(target)


def main() -> None:
    sequences = {scene.name: GraspSequence.load(WORK / "grasps" / f"{scene.name}.npz") for scene in SCENES}
    train = {scene.name: sequences[scene.name] for scene in SCENES if scene.frames == TRAIN_FRAMES}
    evaluation = {scene.name: sequences[scene.name] for scene in SCENES if scene.frames == EVALUATION_FRAMES}
    with tempfile.TemporaryDirectory() as folder:
        write_layout(Path(folder) / "sample", train, evaluation, copy_picture)
        pack(Path(folder) / "sample", SHIPPED)
    print(f"{SHIPPED}: {SHIPPED.stat().st_size / 1e6:.1f} MB, {len(train)} + {len(evaluation)} sequences")


if __name__ == "__main__":
    main()
