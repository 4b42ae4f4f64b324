"""Writes a take in whatever forms are asked for, each whole or not at all."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

from warpgrasp.errors import UserError
from warpgrasp.export.datasets import check_ho3d, write_ho3d
from warpgrasp.export.film import write_film
from warpgrasp.export.gltf import glb_of
from warpgrasp.export.meshes import MeshFormat, write_meshes
from warpgrasp.export.sequence import Take, TakeError
from warpgrasp.export.tables import BopNumbers, write_bop, write_csv, write_json

BOP_NUMBERS = BopNumbers()
OURS = re.compile(r"[0-9]{6,}(\.obj|_(hand|object)\.ply)")  # what `write_meshes` writes


class ExportError(UserError):
    """Nothing is asked for, or something stands in the way."""


@dataclass(frozen=True)
class Targets:
    """What is to be written where."""

    glb: Path | None = None
    obj: Path | None = None
    ply: Path | None = None
    mp4: Path | None = None
    csv: Path | None = None
    json: Path | None = None
    bop: Path | None = None
    ho3d: Path | None = None

    def check(self, *, force: bool) -> None:
        """Raise `ExportError` when nothing is asked for or, unless `force`, when something is there already."""
        named = {one.name: getattr(self, one.name) for one in fields(self)}
        paths = [path for path in named.values() if path is not None]
        if not paths:
            options = ", ".join(f"--{name}" for name in named)
            raise ExportError(f"expected at least one of {options} with a path to write, got none")
        if self.ho3d is not None and self.ho3d.exists():
            # Never overwritten: HO-3D itself looks the same.
            raise ExportError(f"expected a new folder for --ho3d, but {self.ho3d} exists already; choose another")
        for path in paths:
            if path.exists() and not force:
                raise ExportError(f"expected to write anew, but {path} exists already; overwrite it by --force")
            if not path.absolute().parent.is_dir():
                raise ExportError(f"expected a folder {path.absolute().parent} to write {path.name} to, found none")
        if self.mp4 is not None and self.mp4.suffix.lower() != ".mp4":
            raise ExportError(f"expected a name that ends with .mp4 for the video, got {self.mp4}")
        for folder in (self.obj, self.ply):
            if folder is not None and folder.exists() and not _is_ours(folder):
                raise ExportError(
                    f"expected a folder that export wrote, or none, in {folder}, found something else; choose another"
                )


def _is_ours(folder: Path) -> bool:
    return folder.is_dir() and all(OURS.fullmatch(path.name) for path in folder.iterdir())


def write_targets(take: Take, targets: Targets, bop: BopNumbers = BOP_NUMBERS) -> Iterator[str]:
    """Write them one after the other, each with a line that says so.

    Raises `TakeError` when what is asked for needs pictures and there are none, or right hands and these are left ones.
    """
    if targets.mp4 is not None and take.pictures is None:
        raise TakeError("expected the pictures that were predicted, for a video; give them by --data")
    if targets.ho3d is not None:
        check_ho3d(take)
    writers: list[tuple[Path | None, Callable[[Path], None]]] = [
        (targets.glb, partial(_glb, take)),
        (targets.obj, partial(_meshes, take, "obj")),
        (targets.ply, partial(_meshes, take, "ply")),
        (targets.mp4, partial(write_film, take)),
        (targets.csv, partial(_text, take, write_csv)),
        (targets.json, partial(_text, take, write_json)),
        (targets.bop, partial(_text, take, lambda shown, file: write_bop(shown, bop, file))),
        (targets.ho3d, partial(write_ho3d, take)),
    ]
    for path, write in writers:
        if path is not None:
            with appearing(path) as temporary:
                write(temporary)
            yield f"wrote {len(take)} frames to {path}"


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A name beside `path` for a file or folder, which takes its place when the body ends without an error."""
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield temporary
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        temporary.replace(path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        temporary.unlink(missing_ok=True)


def _glb(take: Take, path: Path) -> None:
    path.write_bytes(glb_of(take))


def _meshes(take: Take, kind: MeshFormat, folder: Path) -> None:
    folder.mkdir()
    write_meshes(take, folder, kind)


def _text(take: Take, write: Callable[..., None], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        write(take, file)
