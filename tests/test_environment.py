"""Where the machine lacks something: one sentence, the old file as it was, no half of a new one."""

import contextlib
import ctypes
import errno
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.data.recording.recording_files import write_recording
from tests.test_bad_input import tree
from warpgrasp.cli import main
from warpgrasp.data.sample import object_surface, sequence
from warpgrasp.files import cache_folder
from warpgrasp.geometry import solid

resource = pytest.importorskip("resource", reason="limits are POSIX's")

CAPABILITIES = 0x20080522  # the third version of Linux's structure
PASSES_PERMISSIONS = 0b1110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER
OLD = "what was there before"


def trouble(what: str) -> pytest.MarkDecorator:
    """What the machine lacks, as docs/security.md counts it."""
    return pytest.mark.attack("environment", what)


@contextlib.contextmanager
def bound_by_permissions() -> Iterator[None]:
    """While it lasts, permissions bind whoever runs the tests: root gives up the right to pass them (Linux only)."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, before = (ctypes.c_uint32 * 2)(CAPABILITIES, 0), (ctypes.c_uint32 * 6)()
    if not hasattr(libc, "capset") or libc.capget(header, before) != 0:
        pytest.skip("root passes every permission here")
    less = (ctypes.c_uint32 * 6)(before[0] & ~PASSES_PERMISSIONS, *before[1:])
    if libc.capset(header, less) != 0:
        pytest.skip("root passes every permission here")
    try:
        yield
    finally:
        assert libc.capset(header, before) == 0


@contextlib.contextmanager
def limited(kind: int, least: int) -> Iterator[None]:
    """While it lasts, the process may have no more of something."""
    soft, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (least, hard))
    try:
        yield
    finally:
        resource.setrlimit(kind, (soft, hard))


@contextlib.contextmanager
def full_disk(_: Path) -> Iterator[None]:
    """No file grows beyond some bytes."""
    with limited(resource.RLIMIT_FSIZE, 64):
        yield


@contextlib.contextmanager
def disk_full_at_the_end(_: Path) -> Iterator[None]:
    """What is written is lost when it is to be kept, as on file servers."""

    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        yield


@contextlib.contextmanager
def read_only_folder(target: Path) -> Iterator[None]:
    """Nothing can be made in the folder of the target, nor written to the target."""
    modes = {path: path.stat().st_mode for path in (target.parent, target) if path.exists()}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    try:
        with bound_by_permissions():
            yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


@dataclass(frozen=True)
class Writing:
    """A command that writes, and what it writes."""

    words: list[str | Path]
    target: Path


COMMANDS = ["predict", "evaluate", "view", "figure", "csv", "json", "glb", "mp4", "bop", "camera"]
NEW_FOLDERS = ["sample", "obj", "ply", "train", "ho3d", "densify", "demo"]


@pytest.fixture
def writing(
    request: pytest.FixtureRequest,
    train_predictions: Path,
    sample_root: Path,
    trained_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    """A command by its name."""
    monkeypatch.setattr(solid, "GRID_STEP_M", 0.01)  # coarse: `sample` takes seconds for each object otherwise
    monkeypatch.setattr(sequence, "object_distance", lambda name: solid.SignedDistance.of(object_surface(name)))
    folder = tmp_path / "out"
    folder.mkdir()
    name = request.param
    target = folder / f"old.{ {'view': 'html', 'predict': 'npz', 'figure': 'png'}.get(name, name) }"
    shown = [train_predictions, "--data", sample_root, "--sequence", "A1"]
    match name:
        case "predict":
            words = ["predict", sample_root, "--weights", trained_run, "--out", target, "--force"]
        case "evaluate":
            words = ["evaluate", train_predictions, "--data", sample_root, "--out", target]
        case "view":
            words = ["view", *shown, "--frames", "2", "--save", target, "--force"]
        case "camera":
            write_recording(folder / "small")
            target = folder / "small" / "camera.json"
            words = ["camera", target.parent, "--focal-px", "60", "--force"]
        case "train":
            words = ["train", "toy", "--data", sample_root, "--out", target]
            words += ["--stage1.steps", "2", "--stage2.steps", "2", "--tracker", "none"]
        case "figure":
            words = ["figure", "4", "--run", trained_run, "--data", sample_root, "--frames", "E1/0", "--out", target]
            words += ["--force"]
        case "densify":
            words = ["densify", write_recording(tmp_path / "small"), "--out", target, "--keypoints", "none"]
        case "demo":
            words = ["demo", "--data", sample_root, "--out", target, "--recipe", "toy"]
        case "sample":
            words = ["sample", target, "--sequences", "1", "--frames", "2"]
        case "ho3d":
            words = ["export", *shown, "--ho3d", target]
        case _:
            words = ["export", *shown, f"--{name}", target, "--force"]
    return Writing(words, target)


def told(writing: Writing, capsys: pytest.CaptureFixture[str]) -> str:
    """What a command says that must fail: one sentence, besides notices that something is not kept."""
    capsys.readouterr()
    status = main([str(word) for word in writing.words])
    rows = capsys.readouterr().err.splitlines()
    sentences = [row for row in rows if "the index of" not in row]
    assert (status, len(sentences)) == (1, 1), rows
    assert re.match(r"warpgrasp: expected .{20}", sentences[0]), sentences
    return sentences[0]


FULL = pytest.param(full_disk, marks=trouble("a full disk"))
FULL_AT_THE_END = pytest.param(disk_full_at_the_end, marks=trouble("a full disk"))
READ_ONLY = pytest.param(read_only_folder, marks=trouble("a folder without the permission to write"))


@pytest.mark.slow
@pytest.mark.parametrize("lacking", [FULL, FULL_AT_THE_END, READ_ONLY])
@pytest.mark.parametrize("writing", COMMANDS, indirect=True)
def test_an_old_file_stays(writing: Writing, lacking: Callable, capsys) -> None:
    if not writing.target.exists():
        writing.target.write_text(OLD)
    before = tree(writing.target.parent)
    with lacking(writing.target):
        said = told(writing, capsys)
    assert tree(writing.target.parent) == before
    assert any(words in said for words in ("No space left", "File too large", "Permission denied")), said


@pytest.mark.slow
@pytest.mark.parametrize("lacking", [FULL, READ_ONLY])
@pytest.mark.parametrize("writing", NEW_FOLDERS, indirect=True)
def test_no_half_of_a_folder_is_left(writing: Writing, lacking: Callable, capsys) -> None:
    with lacking(writing.target):
        told(writing, capsys)
    left = [path for path in tree(writing.target.parent) if path.is_file()]
    assert [path for path in left if path.suffix in (".partial", ".obj", ".ply", ".safetensors", ".png", ".jpg")] == []


@trouble("a folder where a file is to be")
@pytest.mark.parametrize("writing", COMMANDS[:-1], indirect=True)
def test_the_output_is_a_folder(writing: Writing, capsys) -> None:
    writing.target.mkdir()
    (writing.target / "precious").write_text(OLD)
    before = tree(writing.target.parent)
    assert str(writing.target) in told(writing, capsys)
    assert tree(writing.target.parent) == before


@trouble("a file where a folder is to be")
@pytest.mark.parametrize("writing", COMMANDS[:-1], indirect=True)
def test_the_output_lies_in_a_file(writing: Writing, capsys) -> None:
    writing.target.write_text(OLD)
    words = [writing.target / "new.npz" if word == writing.target else word for word in writing.words]
    before = tree(writing.target.parent)
    told(Writing(words, writing.target), capsys)
    assert tree(writing.target.parent) == before


@trouble("data without the permission to read")
@pytest.mark.parametrize("writing", ["evaluate", "view"], indirect=True)
def test_the_data_cannot_be_read(writing: Writing, copied_root: Path, sample_root: Path, capsys) -> None:
    words = [copied_root if word == sample_root else word for word in writing.words]
    closed = copied_root / "train" / "A1" / "meta"
    closed.chmod(0)
    try:
        with bound_by_permissions():
            said = told(Writing(words, writing.target), capsys)
    finally:
        closed.chmod(0o755)
    assert "A1" in said


# --- caches and homes


@trouble("no home folder")
def test_without_a_home(monkeypatch, tmp_path: Path) -> None:
    for name in ("HOME", "XDG_CACHE_HOME", "WARPGRASP_CACHE", "USERPROFILE"):
        monkeypatch.delenv(name, raising=False)

    def nobody(*_: object) -> None:
        raise KeyError("no such user")

    monkeypatch.setattr("pwd.getpwuid", nobody)
    assert cache_folder() == Path(".cache") / "warpgrasp"


@trouble("no home folder")
@pytest.mark.slow
def test_a_home_is_not_needed(sample_root: Path) -> None:
    """A user without a home, or with one in which nothing can be made, not even by root: the answer is the same."""
    answers = set()
    for home in (None, "/dev/null/home"):
        environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "WARPGRASP_CACHE")}
        environment |= {} if home is None else {"HOME": home}
        words = [sys.executable, "-m", "warpgrasp.cli", "doctor", "--data", str(sample_root)]
        ended = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert ended.returncode == 0, ended.stderr
        assert "Traceback" not in ended.stderr
        answers.add(ended.stdout)
    assert len(answers) == 1


@trouble("a cache that cannot be written")
def test_a_cache_that_cannot_be_written(copied_root: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o555)
    monkeypatch.setenv("WARPGRASP_CACHE", str(cache / "deep"))
    past = 1_000_000_000
    for path in copied_root.rglob("*"):
        os.utime(path, (past, past))
    with bound_by_permissions():
        assert main(["doctor", "--data", str(copied_root)]) == 0
    out, error = capsys.readouterr()
    assert "nothing is missing" in out
    assert re.search(r"the index of .* cannot be kept, so its files will be read again: .*Permission denied", error)
    assert tree(cache) == {}


# --- outputs


@pytest.mark.slow
@trouble("an output that is closed")
@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["view", "--help"]], ids=" ".join)
def test_whoever_reads_the_output_goes(words: list[str]) -> None:
    """As in `warpgrasp … | head -1`."""
    command = [sys.executable, "-m", "warpgrasp.cli", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=300) == 1


@pytest.mark.slow
@trouble("an output that is full")
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words", [["--help"], ["train", "--help"]], ids=" ".join)
def test_an_output_that_is_full(words: list[str]) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "warpgrasp.cli", *words]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=300, check=False)
    assert ended.returncode == 1
    assert re.fullmatch(r"warpgrasp: expected [^\n]*No space left on device[^\n]*\n", ended.stderr)


@trouble("an output that is closed")
@pytest.mark.parametrize("closed", ["out", "error", "both"])
def test_streams_that_are_closed(closed: str) -> None:
    redirected = {"out": ">&-", "error": "2>&-", "both": ">&- 2>&-"}[closed]
    command = f"exec {sys.executable} -m warpgrasp.cli fly {redirected}"
    ended = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr + ended.stdout


# --- memory


@trouble("too little memory")
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited by Linux alone")
@pytest.mark.parametrize("megabytes", [1250, 1400, 1550, 1620])  # PyTorch alone needs more than 1000
def test_too_little_memory_ends_training(sample_root: Path, tmp_path: Path, megabytes: int) -> None:
    """Wherever it runs out, it ends, in one sentence or by the hand of a library, and can be given again."""
    words = ["train", "toy", "--data", str(sample_root), "--out", str(tmp_path / "run")]
    ended = subprocess.run(
        ["sh", "-c", f'ulimit -v {1000 * megabytes}; exec "$@"', "sh", sys.executable, "-m", "warpgrasp.cli", *words],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    said_by_a_library = any(words in ended.stderr for words in ("OpenBLAS error", "libgomp: "))  # which exit by 1
    by_a_library = ended.returncode in (-signal.SIGABRT, -signal.SIGSEGV) or said_by_a_library
    if ended.returncode != 0 and not by_a_library:
        assert ended.returncode == 1, ended.stderr[-2000:]
        assert re.search(
            r"^warpgrasp: expected (more memory|files that can be read)[^\n]*\n$", ended.stderr, re.MULTILINE
        )
        assert "Traceback" not in ended.stderr
    if ended.returncode != 0:
        assert main(words) == 0


@trouble("too little memory")
def test_memory_that_is_lacking_is_said(sample_root: Path, monkeypatch, capsys) -> None:
    said = [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: 8 bytes"),
        RuntimeError("can't start new thread"),
        ImportError("libx.so: failed to map segment from shared object"),
        OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
        SystemError("error return without exception set"),
    ]
    for error in said:

        def fail(*_: object, error: BaseException = error, **__: object) -> None:
            raise error

        monkeypatch.setattr("warpgrasp.data.examine", fail)
        assert main(["doctor", "--data", str(sample_root)]) == 1
        assert re.match(r"warpgrasp: expected more memory than this process can get", capsys.readouterr().err)


def test_other_faults_are_not_hidden(sample_root: Path, monkeypatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the sum of the parts is not the whole")

    monkeypatch.setattr("warpgrasp.data.examine", fail)
    with pytest.raises(RuntimeError, match="the sum of the parts"):
        main(["doctor", "--data", str(sample_root)])
