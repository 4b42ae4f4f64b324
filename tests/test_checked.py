"""Values of other people's files: each question gives what it promises, or says what was expected and found."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warpgrasp.checked import Entry, read_arrays, read_json_object, read_yaml
from warpgrasp.errors import DataError

FILE = Path("folder/file.json")


def entry(**values: object) -> Entry:
    return Entry(values, FILE)


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda e: e.value("b"), "expected the key b in folder/file.json, found a"),
        (lambda e: e.only("b", "c"), "expected only the keys b, c in folder/file.json, found the unknown key 'a'"),
        (lambda e: e.text("a"), "expected a text for a in folder/file.json, found 7"),
        (lambda e: e.choice("a", ("x", "y")), "expected one of x, y for a in folder/file.json, found 7"),
        (
            lambda e: e.whole("a", least=0, most=6),
            "expected a whole number from 0 to 6 for a in folder/file.json, found 7",
        ),
        (lambda e: e.items("a", int), "expected a list of whole numbers for a in folder/file.json, found 7"),
        (lambda e: e.number("a", most=5.0), "expected a number of at most 5 for a in folder/file.json, found 7"),
        (lambda e: e.numbers("a", (3, 4)), "expected numbers in a list of 3 × 4 for a in folder/file.json, found 7"),
        (lambda e: e.numbers("a", (-1, 2)), "expected numbers in a list of n × 2 for a in folder/file.json, found 7"),
        (lambda e: e.entry("a"), "expected an object {…} for a in folder/file.json, found 7"),
        (lambda e: e.entries("a"), "expected a list of objects for a in folder/file.json, found 7"),
    ],
)
def test_every_question_says_what_was_expected(ask, sentence: str) -> None:
    with pytest.raises(DataError) as error:
        ask(entry(a=7))
    assert str(error.value) == sentence


def test_the_place_of_a_value_is_named() -> None:
    inner = entry(frames=[{"hand": {"pose": [1, 2]}}]).entries("frames")[0].entry("hand")
    assert inner.where("pose") == "frames[0].hand.pose in folder/file.json"
    with pytest.raises(
        DataError, match=r"expected the key shape of frames\[0\]\.hand in folder/file\.json, found pose"
    ):
        inner.value("shape")
    with pytest.raises(DataError, match=r"an object \{…\} for frames\[1\] in .*, found 3"):
        entry(frames=[{}, 3]).entries("frames")


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ([[1, 2], [3]], r"found a list of 1 at \[1\]"),
        ([[1, 2], [3, "4"]], r"found '4' at \[1\]\[1\]"),
        ([[1, 2], [3, True]], r"found True at \[1\]\[1\]"),
        ([[1, 2], [3, None]], r"found null at \[1\]\[1\]"),
        ([1, 2, 3, 4], "found a list of 4"),
        ([[[1], [2]], [[3], [4]]], "found a list of 2"),
        (np.zeros((2, 3)), r"found an array of shape \(2, 3\)"),
        (np.array([["1", "2"], ["3", "4"]]), "found an array of <U1"),
        (np.ones((2, 2)) * 1j, "found an array of complex128"),
        (np.ones((2, 2), bool), "found an array of bool"),
        ([[1, 2], [3, float("nan")]], "expected finite numbers .*, found NaN"),
        ([[1, 2], [3, 10**400]], "expected finite numbers .* one too large"),
        ([[1, 2], [3, -1e39]], r"at most 3\.40282e\+38 .*, found -1e\+39"),
    ],
)
def test_numbers_that_are_none_are_refused(value: object, found: str) -> None:
    with pytest.raises(DataError, match=found):
        entry(a=value).numbers("a", (2, 2))


@given(st.lists(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3), max_size=5))
def test_lists_and_arrays_give_the_same_numbers(rows: list[list[float]]) -> None:
    array = np.array(rows, dtype=np.float64).reshape(-1, 3)
    for value in (rows, [tuple(row) for row in rows], array, array.astype(object)):
        if len(rows) or isinstance(value, np.ndarray):
            np.testing.assert_array_equal(entry(a=value).numbers("a", (-1, 3)), array)


@pytest.mark.parametrize("value", [[[1.0], [2.0]], np.array([[1.0, 2.0]]), [np.float32(1), np.float64(2)]])
def test_unit_axes_are_left_out_where_the_file_is_of_such_a_kind(value: object) -> None:
    np.testing.assert_array_equal(Entry({"a": value}, FILE, unit_axes=True).numbers("a", (2,)), [1, 2])
    if np.ndim(value) == 2:
        with pytest.raises(DataError, match="expected numbers in a list of 2 for"):
            entry(a=value).numbers("a", (2,))


def test_a_list_that_holds_itself_is_refused_at_once() -> None:
    endless: list[object] = [1.0, 2.0]
    endless[1] = endless
    for unit_axes in (True, False):
        with pytest.raises(DataError, match="expected numbers in a list of 2 × 2 for"):
            Entry({"a": [endless, endless]}, FILE, unit_axes=unit_axes).numbers("a", (2, 2))


def test_json_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for content, sentence in (
        (b'{"format": "x-1", "a": 1, "a": 2}', "the key 'a' is given twice"),
        (b'{"format": "x-2"}', r'expected "format": "x-1" in .*a\.json, found \'x-2\''),
        (b'[{"format": "x-1"}]', r"expected a JSON object \{…\} in .*a\.json, found a list of 1"),
        (b'{"format": ', "expected JSON in"),
        (b"[" * 100_000, "expected JSON in"),
        (b"\xff\xfe", "expected JSON in"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=sentence):
            read_json_object(path, "x-1")
    path.write_bytes(b'\xef\xbb\xbf{"format": "x-1", "a": [1, 2.5]}')
    assert read_json_object(path, "x-1").numbers("a", (2,)).tolist() == [1, 2.5]
    with pytest.raises(DataError, match=r"expected b\.json in .*, found no such file"):
        read_json_object(tmp_path / "b.json")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("a: !!python/object/apply:os.system [ls]", "expected plain YAML"),
        ("a: !!python/name:os.system", "expected plain YAML"),
        ("- 1\n- 2", "expected named values"),
        ("1: 2", "whose names are no texts"),
        ("a: &x [1]\nb: [" + "*x," * 30 + "]", "more than 16 aliases"),
        ("a: " + "x" * 70_000, "at most 0.0655 MB"),
        ("a: 2000-99-99", "expected plain YAML"),
    ],
)
def test_yaml_that_is_more_than_values(tmp_path: Path, content: str, sentence: str) -> None:
    path = tmp_path / "a.yml"
    path.write_text(content)
    with pytest.raises(DataError, match=sentence):
        read_yaml(path)


def test_yaml_tuples_are_lists_and_no_other_tag_of_python_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    path.write_text("a: !!python/tuple\n- 1.5\n- !!python/tuple [2, 3]\nb: 1\n")
    assert read_yaml(path).values == {"a": [1.5, [2, 3]], "b": 1}
    for tag in ("list", "dict", "complex", "str", "bytes", "unicode", "none"):
        path.write_text(f"a: !!python/{tag} [1, 2]\n")
        with pytest.raises(DataError, match=f"python/{tag}"):
            read_yaml(path)
    path.write_text("a: !!python/tuple {b: 1}\n")
    with pytest.raises(DataError, match="expected a sequence node"):
        read_yaml(path)


def test_arrays_are_measured_before_they_are_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, a=np.arange(3.0), bomb=np.zeros(10_000_000))
    assert read_arrays(path, "a").numbers("a", (3,)).tolist() == [0, 1, 2]
    with pytest.raises(DataError, match=r"small array bomb in .*, found one above 65536 bytes"):
        read_arrays(path, "a", "bomb")
    with pytest.raises(DataError, match=r"expected the key b in .*, found a, bomb"):
        read_arrays(path, "b")
    np.savez(path, a=np.array([{}], dtype=object))
    with pytest.raises(DataError, match=r"the array a of .*: an array of objects"):
        read_arrays(path, "a")


def test_a_header_that_promises_more_than_there_is(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)})
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", stream.getvalue() + b"\0" * 16)
    with pytest.raises(DataError, match=r"expected the array a of .*a\.npz, but it cannot be read"):
        read_arrays(tmp_path / "a.npz", "a")
