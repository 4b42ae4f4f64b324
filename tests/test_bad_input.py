"""Bad input: one sentence on stderr, exit status 1 or 2, nothing left behind."""

import errno
import pickle
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from warpgrasp.cli import main
from warpgrasp.reconstruction import checkpoint

Tree = dict[Path, bytes | None]


def tree(folder: Path) -> Tree:
    """Every file, with its content, and every folder."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@dataclass
class Refusal:
    """Runs a command that must fail, and checks that it fails as it should."""

    folder: Path
    capsys: pytest.CaptureFixture[str]

    def __call__(self, arguments: list[str | Path], pattern: str, status: int = 1) -> None:
        before = tree(self.folder)
        self.capsys.readouterr()
        assert main([str(argument) for argument in arguments]) == status
        message = self.capsys.readouterr().err
        assert message.count("\n") == 1, message
        assert re.match(rf"warpgrasp: .*{pattern}", message), message
        assert len(message) > 40
        assert tree(self.folder) == before


@pytest.fixture
def refused(tmp_path: Path, capsys) -> Refusal:
    return Refusal(tmp_path, capsys)


def edit_meta(root: Path, change: Callable[[dict], object], name: str = "train/A1/meta/0000.pkl") -> None:
    content = pickle.loads((root / name).read_bytes())  # noqa: S301 (our own file)
    change(content)
    (root / name).write_bytes(pickle.dumps(content, protocol=2))


def train(root: Path, out: Path) -> list[str | Path]:
    return ["train", "toy", "--data", root, "--out", out, "--stage1.steps", "2", "--stage2.steps", "2"]


@pytest.fixture(params=["train", "predict", "evaluate", "doctor"])
def command(request, trained_run: Path, train_predictions: Path, tmp_path: Path) -> Callable[[Path], list[str | Path]]:
    """Each command that reads a data set."""

    def arguments(root: Path) -> list[str | Path]:
        match request.param:
            case "train":
                return train(root, tmp_path / "run")
            case "predict":
                return ["predict", root, "--weights", trained_run, "--split", "train", "--out", tmp_path / "new.npz"]
            case "evaluate":
                return ["evaluate", train_predictions, "--data", root, "--out", tmp_path / "scores.json"]
        return ["doctor", "--data", root]

    arguments.name = request.param  # type: ignore[attr-defined]
    return arguments


def test_no_such_folder(refused: Refusal, command, tmp_path: Path) -> None:
    refused(command(tmp_path / "nowhere"), r"expected the folder of a data set, found no folder .*nowhere")


def test_a_folder_that_is_not_ho3d(refused: Refusal, command, tmp_path: Path) -> None:
    (tmp_path / "holidays").mkdir()
    (tmp_path / "holidays" / "beach.jpg").write_bytes(b"")
    refused(
        command(tmp_path / "holidays"),
        r"expected a data set of a known layout \(.*ho3d.*\) in .*holidays.*is this the right folder",
    )


def test_a_pickle_that_asks_for_os_system(refused: Refusal, command, copied_root: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):
            import os

            return (os.system, (f"touch {tmp_path / 'ran'}",))

    (copied_root / "train/A1/meta/0000.pkl").write_bytes(pickle.dumps({"camMat": Evil()}, protocol=2))
    refused(command(copied_root), r"cannot read .*A1/meta/0000\.pkl: refused: it asks for (posix|nt|os)\.system")
    assert not (tmp_path / "ran").exists()


def test_a_pickle_that_is_none(refused: Refusal, command, copied_root: Path) -> None:
    (copied_root / "train/A1/meta/0000.pkl").write_bytes(b"")
    refused(command(copied_root), r"cannot read .*A1/meta/0000\.pkl")


@pytest.mark.parametrize("command", ["train", "predict", "doctor"], indirect=True)
def test_a_truncated_picture(refused: Refusal, command, copied_root: Path) -> None:
    path = copied_root / "train/A1/rgb/0000.jpg"
    path.write_bytes(path.read_bytes()[:3000])
    refused(command(copied_root), r"expected a whole picture in .*A1/rgb/0000\.jpg")


@pytest.mark.parametrize("command", ["train", "predict"], indirect=True)
def test_a_missing_picture(refused: Refusal, command, copied_root: Path) -> None:
    (copied_root / "train/A1/rgb/0000.jpg").unlink()
    refused(command(copied_root), r"expected the picture .*A1/rgb/0000\.jpg, found no such file")


@pytest.mark.parametrize("key", ["camMat", "objName"])
def test_a_meta_without_a_key_that_every_command_needs(refused: Refusal, command, copied_root: Path, key: str) -> None:
    edit_meta(copied_root, lambda meta: meta.pop(key))
    refused(command(copied_root), rf"expected the key {key} in .*A1/meta/0000\.pkl, found \w+, ")


@pytest.mark.parametrize("command", ["train", "evaluate", "doctor"], indirect=True)
@pytest.mark.parametrize("key", ["handPose", "objTrans"])
def test_a_meta_without_a_key_of_the_annotation(refused: Refusal, command, copied_root: Path, key: str) -> None:
    edit_meta(copied_root, lambda meta: meta.pop(key))
    refused(command(copied_root), rf"expected the key {key} in .*A1/meta/0000\.pkl")


@pytest.mark.parametrize("command", ["train", "evaluate", "doctor"], indirect=True)
def test_a_pose_of_nan(refused: Refusal, command, copied_root: Path) -> None:
    edit_meta(copied_root, lambda meta: meta.update(handPose=np.full(48, np.nan)))
    refused(command(copied_root), r"expected finite numbers for handPose in .*A1/meta/0000\.pkl, found NaN")


@pytest.mark.parametrize("command", ["train", "evaluate", "doctor"], indirect=True)
def test_a_pose_of_another_length(refused: Refusal, command, copied_root: Path) -> None:
    edit_meta(copied_root, lambda meta: meta.update(handPose=np.zeros(45)))
    refused(command(copied_root), r"expected numbers in a list of 48 for handPose in .*A1/meta/0000\.pkl")


@pytest.mark.parametrize("name", ["099_elephant", "../models", ""])
def test_an_unknown_object(refused: Refusal, command, copied_root: Path, name: str) -> None:
    edit_meta(copied_root, lambda meta: meta.update(objName=name))
    missing = rf"missing 1 models of train under models/ \('{re.escape(name)}'\)"
    unknown = r"expected an object of .*003_cracker_box.*unknown object name"
    refused(command(copied_root), rf"({unknown}|{missing})" if name else r"expected a text for objName in .*0000\.pkl")


def test_an_object_in_millimetres(refused: Refusal, command, copied_root: Path) -> None:
    path = copied_root / "models/006_mustard_bottle/textured_simple.obj"
    rows = [line.split() for line in path.read_text().splitlines()]
    scaled = [
        " ".join(["v", *(str(1000 * float(value)) for value in row[1:4])]) if row[:1] == ["v"] else " ".join(row)
        for row in rows
    ]
    path.write_text("\n".join(scaled))
    refused(command(copied_root), r"expected a hand-held object in metres .*; convert its units")


def test_an_object_that_the_network_does_not_know(
    refused: Refusal, trained_run: Path, copied_root: Path, tmp_path: Path
) -> None:
    (copied_root / "models/003_cracker_box").rename(copied_root / "models/004_sugar_box")
    for path in (copied_root / "train/B1/meta").iterdir():
        edit_meta(copied_root, lambda meta: meta.update(objName="004_sugar_box"), str(path.relative_to(copied_root)))
    words = ["predict", copied_root, "--weights", trained_run, "--split", "train", "--out", tmp_path / "new.npz"]
    refused(words, r"expected an object that the network was trained on .*, got 004_sugar_box")


@pytest.mark.parametrize("content", [None, b"", b"hello", pickle.dumps({"f": 1}), pickle.dumps([1])])
def test_mano_missing_or_wrong(refused: Refusal, tmp_path: Path, sample_root: Path, content: bytes | None) -> None:
    folder = tmp_path / "mano"
    folder.mkdir()
    if content is not None:
        (folder / "MANO_RIGHT.pkl").write_bytes(content)
    pattern = r"MANO_RIGHT\.pkl .*licence.*--hand open" if content is None else r"(expected|cannot).*MANO_RIGHT\.pkl"
    refused(["doctor", "--hand", "mano", "--mano-folder", folder], pattern)
    refused([*train(sample_root, tmp_path / "run"), "--hand", "mano", "--mano-folder", folder], pattern)


def test_mano_without_its_folder(refused: Refusal) -> None:
    refused(["doctor", "--hand", "mano"], r"expected --mano-folder DIR")


def test_an_unknown_recipe(refused: Refusal, sample_root: Path, tmp_path: Path) -> None:
    words = ["train", "magic", "--data", sample_root, "--out", tmp_path / "run"]
    refused(words, r"expected a recipe \(demo, .*toy.*ho3d-sparse.*\), got 'magic'", status=2)


def test_an_unknown_command(refused: Refusal) -> None:
    refused(["fly", "--high"], r"expected a command \(sample, demo, train, .*\), got 'fly'", status=2)


def test_bad_options_are_bad_usage(tmp_path: Path, capsys) -> None:
    assert main(["train", "toy", "--data", str(tmp_path)]) == 2  # no --out
    assert main(["predict", "--speed", "9"]) == 2
    assert main(["doctor", "--hand", "foot"]) == 2
    assert "--out" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_impossible_fractions(refused: Refusal, sample_root: Path, tmp_path: Path) -> None:
    words = [*train(sample_root, tmp_path / "run"), "--fraction", "0"]
    refused(words, r"expected a fraction of annotated frames above 0 and at most 1, got 0")


def test_encoder_weights_that_are_none(refused: Refusal, sample_root: Path, tmp_path: Path) -> None:
    words = [*train(sample_root, tmp_path / "run"), "--encoder-weights", tmp_path / "none.pth"]
    refused(words, r"expected the ImageNet weights of ResNet-18 from .*none\.pth.*--encoder-weights")


def test_the_output_of_another_run(refused: Refusal, sample_root: Path, tmp_path: Path) -> None:
    assert main([str(word) for word in train(sample_root, tmp_path / "run")]) == 0
    words = [*train(sample_root, tmp_path / "run"), "--seed", "1"]
    refused(words, r"expected the run \w+ \(recipe, data, seed and hand\) in .*run, found the run \w+; choose another")
    refused(["demo", "--recipe", "toy", "--data", sample_root, "--out", tmp_path / "run"], r"found the run \w+; choose")


def test_files_that_are_no_predictions(refused: Refusal, sample_root: Path, tmp_path: Path) -> None:
    refused(
        ["evaluate", tmp_path / "none.npz", "--data", sample_root], r"found no file .*run `warpgrasp predict` first"
    )
    (tmp_path / "text.npz").write_text("hello")
    refused(["evaluate", tmp_path / "text.npz", "--data", sample_root], r"expected a predictions file .*text\.npz")


def test_weights_that_are_none(refused: Refusal, sample_root: Path, tmp_path: Path) -> None:
    words = ["predict", sample_root, "--out", tmp_path / "p.npz", "--weights"]
    refused([*words, tmp_path / "none"], r"expected a checkpoint, found no file .*none; train first")
    (tmp_path / "text").write_text("hello")
    refused([*words, tmp_path / "text"], r"expected a checkpoint .*text, but it cannot be read")


def test_a_sample_that_is_there_already(refused: Refusal, sample_root: Path, tmp_path: Path) -> None:
    refused(["sample", tmp_path / "new", "--frames", "1"], r"expected at least 1 sequence of at least 2 frames")


def full(*arguments, **options) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def half_then_full(tensors, target, metadata) -> None:
    Path(target).write_bytes(b"half of it")
    full()


def test_a_full_disk_at_a_checkpoint(refused: Refusal, sample_root: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(checkpoint, "save_file", half_then_full)
    refused(train(sample_root, tmp_path / "run"), "No space left on device")


def test_a_full_disk_at_the_predictions(
    refused: Refusal, sample_root: Path, trained_run: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    words = ["predict", sample_root, "--weights", trained_run, "--out", tmp_path / "p.npz"]
    refused(words, "No space left on device")


def test_a_full_disk_at_json(
    refused: Refusal, sample_root: Path, train_predictions: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(Path, "write_text", full)
    refused(train(sample_root, tmp_path / "run"), "No space left on device")
    refused(
        ["evaluate", train_predictions, "--data", sample_root, "--out", tmp_path / "s.json"], "No space left on device"
    )
