"""The worked examples of docs/extending.md, as another package's installed modules."""

import dataclasses
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tests.footage_files import write_obj
from warpgrasp.data.dataset import Dataset
from warpgrasp.frame import Annotation, FrameName

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"


@dataclass(frozen=True)
class Example:
    """A section of the page: one module, one entry point, and the commands that use it."""

    module: str  # its name
    code: str
    group: str  # of the entry point
    entry: str  # `name = module:member`
    commands: tuple[tuple[str, ...], ...]  # without the program's name


def example(title: str) -> Example:
    """The worked example under a heading."""
    section = PAGE.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    assert [language for language, _ in blocks] == ["python", "toml", ""]
    code, table, commands = (text for _, text in blocks)
    header, line = table.strip().splitlines()
    (group,) = re.findall(r'^\[project\.entry-points\."(warpgrasp\.\w+)"\]$', header)
    ((entry, module),) = re.findall(r"^([\w-]+ = (\w+):\w+)$", line.replace('"', ""))
    assert f"`{module}.py`:\n\n```python" in section
    words = [tuple(shlex.split(command)) for command in commands.strip().splitlines()]
    assert {command[0] for command in words} == {"warpgrasp"}
    return Example(module, code, group, entry, tuple(command[1:] for command in words))


def install(folder: Path, *examples: Example, more_code: str = "", more_entries: tuple[str, ...] = ()) -> None:
    """Write examples as `pip` installs them into a folder, a package each; with more code and entry points in each."""
    for part in examples:
        information = folder / f"{part.module}-0.dist-info"
        information.mkdir(parents=True)
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {part.module}\nVersion: 0\n")
        (information / "entry_points.txt").write_text("\n".join([f"[{part.group}]", part.entry, *more_entries, ""]))
        (folder / f"{part.module}.py").write_text(part.code + more_code)


def write_shelf(root: Path, sample: Dataset) -> None:
    """A folder in the layout of the page's data set, of the tiny sample's sequence A1."""
    root.mkdir()
    names = [FrameName("A1", index) for index in range(8)]
    truths = [sample.truth(name) for name in names]
    model, fields = truths[0].object, [field.name for field in dataclasses.fields(Annotation)]
    write_obj(root / "object.obj", model.vertices.numpy(), model.faces.tolist())
    arrays = {field: np.stack([getattr(truth.annotation, field).numpy() for truth in truths]) for field in fields}
    np.savez(root / "truth.npz", intrinsics=truths[0].intrinsics.numpy(), **arrays)
    for number, name in enumerate(names):
        Image.open(sample.picture_file(name)).save(root / f"{number:02d}.png")
