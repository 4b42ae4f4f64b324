"""Pickles of other people: what NumPy writes is read in every protocol, and nothing is run."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from warpgrasp.pickled import PickleError, load_pickle

ARRAYS = {
    "plain": np.arange(6, dtype=np.float64).reshape(2, 3) / 7,
    "Fortran order": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "axes in another order": np.arange(24, dtype=np.int16).reshape(2, 3, 4).transpose(2, 0, 1),
    "big-endian": np.arange(3, dtype=">f8"),
    "empty": np.zeros((0, 3)),
    "scalar": np.array(2.5),
    "texts": np.array(["a", "ü"]),
    "objects": np.array([1, "two", None], dtype=object),
    "strided": np.arange(20.0)[::3],
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back_as_they_were(tmp_path: Path, protocol: int, name: str) -> None:
    content = pickle.dumps({"array": ARRAYS[name], "number": np.float32(0.1)}, protocol=protocol)
    for other in (content, content.replace(b"numpy._core", b"numpy.core")):  # names of NumPy 2, and of NumPy 1
        if protocol >= 4 and other is not content:
            continue  # whose names have their lengths before them
        (tmp_path / "a.pkl").write_bytes(other)
        loaded = load_pickle(tmp_path / "a.pkl")
        np.testing.assert_array_equal(np.asarray(loaded["array"]), ARRAYS[name])
        assert loaded["array"].dtype.newbyteorder("=") == ARRAYS[name].dtype.newbyteorder("=")
        assert loaded["number"] == np.float32(0.1)


class Made:
    """Pickles as a call of NumPy's own function, with other arguments."""

    def __init__(self, *arguments: object):
        self.arguments = arguments

    def __reduce__(self) -> tuple:
        return np._core.numeric._frombuffer, self.arguments


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((b"0" * 16, np.dtype("f8"), (3,), "C"), r"16 bytes for an array of shape \(3,\)"),
        ((b"0" * 16, np.dtype("f8"), (2**50,), "C"), "an array of shape"),
        ((b"0" * 16, np.dtype("f8"), (-2,), "C"), "an array of shape"),
        ((b"0" * 16, np.dtype("f8"), [2], "C"), "no known shape or type"),
        ((b"0" * 16, np.dtype("O"), (2,), "C"), "an array of objects"),
        ((b"0" * 16, np.dtype("f8"), (2,), "Z"), "no known order"),
        ((b"0" * 16, np.dtype("f8"), (2,), "K", (1,)), r"the order \(1,\) of 1 axes"),
        ((16, np.dtype("f8"), (2,), "C"), "content of an array as a int"),
    ],
)
def test_arrays_that_cannot_be_are_refused(tmp_path: Path, arguments: tuple, sentence: str) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(Made(*arguments), protocol=5))
    with pytest.raises(PickleError, match=sentence):
        load_pickle(tmp_path / "a.pkl")
