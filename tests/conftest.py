"""What several tests share: a tiny data set in HO-3D version 3's layout, a run on it, and the hand."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: tiny tensors gain nothing from threads

import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from filelock import FileLock

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # before triton, where it is installed: kernels run on the CPU

import tests.type_checks  # noqa: F401 (before the package)
from tests.sample_set import Sample, write_sample
from tests.training.runs import prepare, short_recipe, train_both
from warpgrasp.cli import main
from warpgrasp.hand.model import HandModel
from warpgrasp.hand.templates import open_hand


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c() -> None:
    """A shell lets what it runs in the background ignore Ctrl+C; commands that tests start would inherit that."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the cache of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WARPGRASP_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def alone_with_ray() -> Iterator[None]:
    """While it lasts, no other test of this machine has a Ray cluster: `--ray auto` would join it."""
    pytest.importorskip("ray")
    with FileLock(Path(tempfile.gettempdir(), f"warpgrasp-tests-{os.getuid()}.lock")):
        yield


@pytest.fixture(autouse=True)
def _attacks(request: pytest.FixtureRequest, record_property) -> None:
    """Notes what a test that is marked by `attack(kind, what)` tries, for tools/security_figures.py."""
    for mark in request.node.iter_markers("attack"):
        kind, what = mark.args
        record_property("attack", {"kind": kind, "what": what, "tried": 1})


@pytest.fixture(scope="session")
def hand() -> HandModel:
    """The open right hand."""
    return HandModel(open_hand())


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """Two training sequences of 8 frames and one evaluation sequence of 4. Read only: copy before changing."""
    return write_sample(tmp_path_factory.mktemp("data") / "sample")


@pytest.fixture(scope="session")
def sample_root(sample: Sample) -> Path:
    """The folder of the tiny data set. Read only."""
    return sample.root


@pytest.fixture
def copied_root(sample_root: Path, tmp_path: Path) -> Path:
    """A copy of the tiny data set that a test may spoil."""
    return Path(shutil.copytree(sample_root, tmp_path / "copied"))


@pytest.fixture(scope="session")
def trained_run(sample_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of the toy recipe that logged every step. Read only."""
    out = tmp_path_factory.mktemp("runs") / "toy"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warpgrasp.training.log.LOG_EVERY_STEPS", 1)
        assert main(["train", "toy", "--data", str(sample_root), "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="session")
def train_predictions(sample_root: Path, trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That run's predictions of the training frames. Read only."""
    file = tmp_path_factory.mktemp("predictions") / "train.npz"
    words = ["predict", sample_root, "--weights", trained_run, "--split", "train", "--out", file]
    assert main([str(word) for word in words]) == 0
    return file


@pytest.fixture(scope="session")
def undisturbed(sample_root: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The hash of the weights that the short recipe ends with."""
    return train_both(prepare(sample_root, short_recipe()), tmp_path_factory.mktemp("undisturbed")).sha256
