"""The registry of formats: one added from outside and used from the command line; targets whole or not at all."""

import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from tests.export.predicted_sequences import predictions_by, sequence_of
from tests.extensions import example, install
from tests.footage_files import Brought
from warpgrasp.cli import main
from warpgrasp.cli.predictions import TargetOptions
from warpgrasp.errors import UserError
from warpgrasp.export.formats import EXPORTS, OWN_EXPORTS, ExportFormat, check_targets, export_sequence
from warpgrasp.files import replacing, replacing_folder
from warpgrasp.hand.model import HandModel
from warpgrasp.predictions.file import read_predictions


@pytest.fixture
def toy_format(tmp_path: Path, monkeypatch) -> Iterator[None]:
    """The worked example of docs/extending.md, installed; and members that are broken."""
    depths = example("An export format")
    broken = (f"number = {depths.module}:NUMBER", f"missing = {depths.module}:MISSING", f"glb = {depths.module}:NUMBER")
    install(tmp_path / "installed", depths, more_code="NUMBER = 3\n", more_entries=broken)
    monkeypatch.syspath_prepend(tmp_path / "installed")
    yield
    sys.modules.pop(depths.module, None)
    EXPORTS._loaded.clear()


def test_a_format_of_another_package(toy_format: None, words: list[str], predicted: Brought, tmp_path: Path) -> None:
    out = tmp_path / "depths.txt"
    assert list(EXPORTS) == [*OWN_EXPORTS, "depths", "missing", "number"]
    assert main([*words, "--to", f"depths={out}", "--csv", str(tmp_path / "a.csv")]) == 0
    found = np.loadtxt(out)
    np.testing.assert_allclose(found[:, 0], [0.0, 0.04, 0.08, 0.2, 0.24, 0.4], atol=1e-3)
    np.testing.assert_allclose(found[:, 1], read_predictions(predicted.out)[0].object_translation[:, 2], atol=6e-4)
    assert (tmp_path / "a.csv").stat().st_size > 1000


@pytest.mark.parametrize(
    ("more", "code", "pattern"),
    [
        ([], 1, r"--bop, --ho3d, --to depths=PATH, .* with a path to write, got none"),
        (["--to", "depths=OUT/a.csv", "--json", "OUT/a.json"], 1, r"expected a name that ends with \.txt for depths"),
        (["--to", "depths=OUT/there.txt"], 1, r"there\.txt exists already; overwrite it by --force"),
        (["--to", "depths=OUT", "--force"], 1, r"expected a file to overwrite for depths, but .* is a folder"),
        (["--to", "depths=OUT/a.txt", "--json", "OUT/a.txt"], 1, r"expected another path for each of json, depths"),
        (["--to", "depth=OUT/a.txt"], 1, r"expected one of glb, .*ho3d, depths, .* export format, got 'depth'"),
        (["--to", "number=OUT/a.txt"], 1, r"expected an ExportFormat for number of .*warpgrasp\.exports, found int"),
        (["--to", "missing=OUT/a.txt"], 1, r"depths_export:MISSING of warpgrasp\.exports, but it cannot be imported"),
        (["--to", "OUT/a.txt"], 2, r"expected NAME=PATH for --to, got '.*/a\.txt'"),
        (["--glb", "OUT/a.glb", "--to", "glb=OUT/b.glb"], 2, r"expected one path for the format glb, got .* and .*"),
    ],
)
def test_what_cannot_be_written(
    toy_format: None, words: list[str], tmp_path: Path, capsys, more: list[str], code: int, pattern: str
) -> None:
    (tmp_path / "there.txt").write_text("precious")
    before = sorted(tmp_path.iterdir())
    assert main([*words, *(word.replace("OUT", str(tmp_path)) for word in more)]) == code
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert re.search(pattern, message), message
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "there.txt").read_text() == "precious"


def test_every_own_format_has_an_option() -> None:
    assert [field.name for field in fields(TargetOptions)] == [*OWN_EXPORTS, "to"]


@pytest.mark.parametrize("is_folder", [False, True])
def test_a_broken_writer_leaves_what_was_there(hand: HandModel, tmp_path: Path, monkeypatch, is_folder: bool) -> None:
    def write(sequence, path: Path, options) -> None:
        (path / "half.txt" if is_folder else path).write_text("half")
        raise UserError("expected more room on the disk")

    monkeypatch.setitem(EXPORTS._own, "broken", ExportFormat("half of it", write, is_folder=is_folder))
    out = tmp_path / "out"
    if is_folder:
        out.mkdir()
    (out / "whole.txt" if is_folder else out).write_text("whole")
    check_targets({"broken": out}, force=True)
    with pytest.raises(UserError, match="more room"):
        list(export_sequence(sequence_of(hand, predictions_by(hand)), {"broken": out}))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert {path.name: path.read_text() for path in tmp_path.rglob("*") if path.is_file()} == {
        "whole.txt" if is_folder else "out": "whole"
    }


def test_a_killed_export_is_in_nobodys_way(hand: HandModel, tmp_path: Path) -> None:
    """A killed process leaves what it wrote, since nothing runs after it."""
    targets = {"csv": tmp_path / "a.csv", "ply": tmp_path / "meshes"}
    killed = [replacing(targets["csv"]), replacing_folder(targets["ply"])]
    file, folder = (manager.__enter__() for manager in killed)
    file.write_text("sequence,fra")
    (folder / "000000_hand.ply").write_text("ply")
    check_targets(targets, force=False)
    lines = list(export_sequence(sequence_of(hand, predictions_by(hand)), targets))
    assert lines == [f"wrote 3 frames to {path}" for path in targets.values()]
    assert len(targets["csv"].read_text().splitlines()) == 4
    assert len(list(targets["ply"].iterdir())) == 6
    for manager in killed:
        assert manager.__exit__(GeneratorExit, GeneratorExit(), None) is not True


def test_an_export_that_was_killed_while_its_files_appeared_goes_on(hand: HandModel, tmp_path: Path) -> None:
    """What is there already must be the same again; else it is somebody's, and refused."""
    targets = {"csv": tmp_path / "a.csv", "ply": tmp_path / "meshes"}
    sequence = sequence_of(hand, predictions_by(hand))
    list(export_sequence(sequence, targets))
    written = targets["csv"].read_bytes()

    def killed() -> None:
        shutil.rmtree(targets["ply"], ignore_errors=True)
        (tmp_path / ".meshes.abcdefgh.partial" / "meshes").mkdir(parents=True)

    killed()
    appeared = check_targets(targets, force=False)
    assert appeared == {"csv"}
    assert len(list(export_sequence(sequence, targets, appeared=appeared))) == 2
    assert (targets["csv"].read_bytes(), len(list(targets["ply"].iterdir()))) == (written, 6)
    killed()
    targets["csv"].write_text("somebody's")
    with pytest.raises(UserError, match=r"a\.csv exists already; overwrite it by --force"):
        list(export_sequence(sequence, targets, appeared=check_targets(targets, force=False)))
    assert list(tmp_path.iterdir()) == [targets["csv"]]
    with pytest.raises(UserError, match=r"a\.csv exists already"):  # nothing tells of a killed export any more
        check_targets(targets, force=False)


def test_folders_are_exchanged_whole(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    with replacing_folder(folder, overwrite=True) as temporary:
        (temporary / "new.txt").write_text("new")
        assert [path.name for path in folder.iterdir()] == ["inner"]
    assert [path.name for path in folder.iterdir()] == ["new.txt"]
    assert list(tmp_path.iterdir()) == [folder]
    with pytest.raises(OSError, match="not empty"), replacing_folder(folder) as temporary:
        (temporary / "newer.txt").write_text("newer")
    assert [path.name for path in folder.iterdir()] == ["new.txt"]
