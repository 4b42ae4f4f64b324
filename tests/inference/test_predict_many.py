"""Many recordings or videos predicted by one command: each as by itself, whatever becomes of the others."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.footage_files import Brought, bring, lens, write_checkpoint, write_video
from tests.inference.test_stream import BOX
from warpgrasp.cli import main
from warpgrasp.data.recording.camera import write_lens
from warpgrasp.data.recording.files import write_object

NAMES = ("a", "b")


@pytest.fixture(scope="module")
def brought(tmp_path_factory: pytest.TempPathFactory) -> Brought:
    """What the network knows, beside a folder `many` of two recordings and one without pictures. Read only."""
    brought = bring(tmp_path_factory.mktemp("brought"), frames=2)
    for number, name in enumerate((*NAMES, "empty")):
        folder = brought.folder / "many" / name
        folder.mkdir(parents=True)
        write_lens(folder, lens())
        shutil.copy(brought.mesh, folder)
        write_object(folder, "box", "box.obj", units="m")
        if name in NAMES:
            write_video(folder / "video.mp4", [frame / 30 for frame in range(4 + number)])
    return brought


def words(brought: Brought, out: Path, *more: str, input: str = "many") -> list[str]:
    return ["predict", str(brought.folder / input), "--weights", str(brought.weights), "--out", str(out), *more]


def arrays(file: Path) -> dict[str, np.ndarray]:
    with np.load(file, allow_pickle=False) as members:
        return {name: members[name] for name in members.files}


def assert_same_files(found: Path, expected: Path) -> None:
    own, others = arrays(found), arrays(expected)
    assert own.keys() == others.keys()
    for name, values in own.items():
        np.testing.assert_array_equal(values, others[name], err_msg=name)


@pytest.mark.slow
def test_each_is_as_by_itself_and_one_that_fails_is_named(brought: Brought, tmp_path: Path, capsys) -> None:
    out = tmp_path / "new" / "all"
    assert main(words(brought, out, "--each")) == 1
    said, error = (" ".join(text.split()) for text in capsys.readouterr())
    assert f"a: wrote 4 frames (train) to {out / 'a.npz'}" in said
    assert "empty: failed: expected either video." in said
    assert error.startswith("warpgrasp: expected every recording to be predicted, but 1 of 3 failed: empty;")
    assert sorted(path.name for path in out.iterdir()) == ["a.npz", "b.npz"]
    for name in NAMES:
        assert main(words(brought, tmp_path / f"{name}.npz", input=f"many/{name}")) == 0
        assert_same_files(out / f"{name}.npz", tmp_path / f"{name}.npz")


@pytest.mark.slow
def test_finished_ones_are_kept_while_their_inputs_are_the_same(brought: Brought, tmp_path: Path, capsys) -> None:
    folder, out = tmp_path / "many", tmp_path / "out"
    for name in NAMES:
        shutil.copytree(brought.folder / "many" / name, folder / name)
    asked = ["predict", str(folder), "--weights", str(brought.weights), "--out", str(out), "--each"]
    asked += ["--check-hands", "0"]
    written = {name: out / f"{name}.npz" for name in NAMES}
    assert main(asked) == 0
    before = {name: file.stat().st_mtime_ns for name, file in written.items()}
    written["a"].unlink()
    capsys.readouterr()
    assert main(asked) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "a: wrote 4 frames" in said
    assert f"b: finished already: {written['b']}" in said
    assert before["b"] == written["b"].stat().st_mtime_ns
    write_video(folder / "b" / "video.mp4", [0.0, 0.1])
    assert main(asked) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "a: finished already" in said
    assert f"b: failed: expected predictions of the same weights, data and options in {written['b']}, found" in said
    assert "(different: input); overwrite them by --force" in said
    assert main([*asked, "--batch", "2"]) == 1
    assert "(different: batch)" in " ".join(capsys.readouterr().out.split())
    assert before["b"] == written["b"].stat().st_mtime_ns
    assert main([*asked, "--force"]) == 0
    assert before["b"] != written["b"].stat().st_mtime_ns
    other = write_checkpoint(tmp_path / "other.safetensors", [BOX], width=5)
    assert main([*asked, "--weights", str(other)]) == 1
    assert capsys.readouterr().out.count("weights_sha256") == 2


def test_the_videos_of_a_folder(brought: Brought, tmp_path: Path, capsys) -> None:
    videos, out = tmp_path / "videos", tmp_path / "out"
    videos.mkdir()
    for name in ("first.mp4", "second.mkv"):
        write_video(videos / name, [0.0, 0.1, 0.2])
    (videos / "notes.txt").touch()
    assert main([*brought.words(input=videos, out=out), "--check-hands", "0", "--each"]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["first.npz", "second.npz"]
    assert main(brought.words("--check-hands", "0", input=videos / "first.mp4", out=tmp_path / "first.npz")) == 0
    assert_same_files(out / "first.npz", tmp_path / "first.npz")
    write_video(videos / "second.mp4", [0.0, 0.1])
    assert main([*brought.words(input=videos, out=out), "--each"]) == 2
    assert "expected videos of different names in" in capsys.readouterr().err


def test_without_each_a_folder_of_recordings_is_one_data_set(brought: Brought, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    for name in NAMES:
        shutil.copytree(brought.folder / "many" / name, folder / name)
    asked = ["predict", str(folder), "--weights", str(brought.weights), "--check-hands", "0"]
    assert main([*asked, "--out", str(tmp_path / "p")]) == 0
    assert set(arrays(tmp_path / "p")["sequence"]) == set(NAMES)


def test_what_is_of_one_is_refused_of_many(brought: Brought, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    for status, input, more, sentence in (
        (2, "many/a", ["--ray", "auto"], "expected a folder of recordings with --each or --ray, or a folder of videos"),
        (2, "clip.mp4", ["--each"], "expected a folder of recordings with --each or --ray, or a folder of videos"),
        (2, "many", ["--workers", "2"], "expected --workers of at least 1, together with --ray, got 2"),
        (2, "many", ["--each", "--keypoints", "k.json"], "expected one recording or video with --keypoints k.json"),
        (2, "many", ["--each", "--object", "box.obj"], "expected a folder of videos with --each or --ray, --object"),
        (1, "many", ["--each", "--weights", "none"], "none"),
    ):
        assert main(words(brought, out, *more, input=input)) == status
        assert sentence in " ".join(capsys.readouterr().err.split())
    out.touch()
    assert main(words(brought, out, "--each")) == 2
    assert f"but {out} is a file" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
@pytest.mark.usefixtures("alone_with_ray")
def test_two_nodes_of_a_cluster_write_what_one_process_writes(brought: Brought, tmp_path: Path, monkeypatch) -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        cluster.add_node(num_cpus=1)
        monkeypatch.chdir(tmp_path)  # relative paths are of the folder of the command, not of the cluster's
        spread = words(brought, Path("spread"), "--ray", cluster.address)
        assert main(spread) == 1  # one has no pictures
        assert main([*spread, "--workers", "1"]) == 1  # no more threads than a node has
    finally:
        cluster.shutdown()
    assert main(words(brought, tmp_path / "here", "--each")) == 1
    for name in NAMES:
        assert_same_files(tmp_path / "spread" / f"{name}.npz", tmp_path / "here" / f"{name}.npz")
