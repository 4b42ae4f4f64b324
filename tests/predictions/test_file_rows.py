"""`.npz` files that grow by rows and are opened by parts."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from warpgrasp.archive import Member, read_members
from warpgrasp.errors import DataError
from warpgrasp.predictions.file import RowsWriter, write_npz

TABLE = {
    "name": Member(("U",), ("rows",)),
    "row": Member(("i",), ("rows",)),
    "points": Member(("f",), ("rows", 2, 3)),
}


def grown(path: Path, parts: list[dict[str, np.ndarray]]) -> Path:
    writer = RowsWriter(path, path.with_name("growing"))
    for part in parts:
        writer.append(part)
    writer.finish({"header": np.array("words")})
    return path


def part(first: int, count: int) -> dict[str, np.ndarray]:
    rows = np.arange(first, first + count)
    return {
        "name": np.array(["a" if row < 4 else "longer" for row in rows]),
        "row": rows,
        "points": (rows[:, None, None] + np.arange(6).reshape(2, 3)).astype(np.float32),
    }


def test_what_grew_is_what_numpy_reads(tmp_path: Path) -> None:
    path = grown(tmp_path / "g.npz", [part(0, 3), part(3, 4), part(7, 1)])
    expected = part(0, 8)
    with np.load(path, allow_pickle=False) as stored:
        assert stored["header"] == "words"
        for name, array in expected.items():
            np.testing.assert_array_equal(stored[name], array)
            assert stored[name].dtype == array.dtype
    assert list(tmp_path.iterdir()) == [path]


def test_the_cut_into_parts_makes_no_difference(tmp_path: Path) -> None:
    first = grown(tmp_path / "a.npz", [part(0, 3), part(3, 5)])
    second = grown(tmp_path / "b.npz", [part(0, 8)])
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("whole", [True, False])
def test_opened_by_parts(tmp_path: Path, whole: bool) -> None:
    path, expected = tmp_path / "p.npz", part(0, 8)
    if whole:
        write_npz(path, expected)
    else:
        grown(path, [expected])
    arrays = read_members(path, TABLE, mapped=True)
    assert isinstance(arrays["points"], np.memmap) != whole
    for name, array in expected.items():
        np.testing.assert_array_equal(arrays[name][5:7], array[5:7])


def test_pickled_objects_are_refused(tmp_path: Path) -> None:
    for name, compressed in (("a.npz", np.savez_compressed), ("b.npz", np.savez)):
        compressed(tmp_path / name, x=np.array([object()]), allow_pickle=True)
        with pytest.raises(DataError, match=r"an array of objects"):
            read_members(tmp_path / name, {"x": Member(("f",), ("rows",))}, mapped=True)


def test_an_interrupted_file_leaves_nothing(tmp_path: Path, monkeypatch) -> None:
    writer = RowsWriter(tmp_path / "f.npz", tmp_path / "growing")
    writer.append(part(0, 3))

    def full(*arguments, **options) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(OSError, match="No space"):
        writer.finish({"header": np.array("words")})
    assert list(tmp_path.iterdir()) == []
