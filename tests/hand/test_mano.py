import pickletools
import re
import sys

import numpy as np
import pytest
import torch

from tests.hand.mano_files import Ch, Select, dumps, mano_content, write
from tests.hand.templates import small_template
from warpgrasp.errors import UserError
from warpgrasp.hand.fit import pose_precision
from warpgrasp.hand.model import MANO_JOINTS, HandModel
from warpgrasp.hand.templates import (
    MANO_FINGERTIPS,
    HandFileError,
    load_mano,
    open_hand,
    same_hand,
    with_fingertips,
    with_fingertips_of,
)

ARRAYS = ("vertices", "faces", "shape_directions", "pose_directions", "joint_regressor", "skinning_weights")


def assert_same(loaded, template):
    for name in (*ARRAYS, "pose_components", "mean_pose"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(template, name), err_msg=name)
    assert loaded.parents == template.parents


def test_the_fixture_asks_for_the_globals_of_the_original_and_no_others():
    asked = {
        argument for opcode, argument, _ in pickletools.genops(dumps(mano_content(small_template()), python=2))
        if opcode.name == "GLOBAL"
    }  # fmt: skip
    assert asked == {
        "numpy.core.multiarray _reconstruct",
        "numpy ndarray",
        "numpy dtype",
        "scipy.sparse.csc csc_matrix",
        "chumpy.reordering Select",
        "chumpy.ch Ch",
        "__builtin__ set",
    }


@pytest.mark.parametrize("python", [2, 3])
@pytest.mark.parametrize("wrapped", [True, False])
def test_reads_what_was_written(tmp_path, python, wrapped):
    """`Select` shows the first half of the components; the regressor is what SciPy made sparse."""
    template = small_template()
    write(tmp_path / "MANO_RIGHT.pkl", mano_content(template, wrapped=wrapped), python=python)
    assert_same(load_mano(tmp_path), template)
    assert "chumpy" not in sys.modules


def test_reads_npz(tmp_path):
    content = mano_content(small_template(), wrapped=False)
    np.savez(tmp_path / "MANO_LEFT.npz", **{key: np.asarray(value) for key, value in content.items()})
    assert_same(load_mano(tmp_path, "left"), small_template())


def test_select_is_the_first_ten_of_twenty_components(tmp_path):
    twenty = np.random.default_rng(0).normal(size=(31, 3, 20))
    kept = np.arange(twenty.size).reshape(twenty.shape)[..., :10]
    content = mano_content(small_template()) | {"shapedirs": Select(Ch(twenty), kept.ravel(), (31, 3, 10))}
    write(tmp_path / "MANO_RIGHT.pkl", content)
    np.testing.assert_array_equal(load_mano(tmp_path).shape_directions, twenty[..., :10])


def test_a_sparse_regressor_with_empty_columns_becomes_dense(tmp_path):
    from scipy.sparse import random as random_sparse

    from tests.hand.mano_files import Sparse

    sparse = random_sparse(16, 31, density=0.1, format="csc", random_state=2)
    assert (np.diff(sparse.indptr) == 0).any()
    write(tmp_path / "MANO_RIGHT.pkl", mano_content(small_template()) | {"J_regressor": Sparse(sparse)})
    np.testing.assert_array_equal(load_mano(tmp_path).joint_regressor, sparse.toarray())


@pytest.mark.parametrize(("rings", "sides", "shapes"), [(3, 4, 1), (9, 7, 20)])
def test_any_number_of_vertices_faces_and_shapes_poses(tmp_path, rings, sides, shapes):
    template = small_template(rings=rings, sides=sides, shapes=shapes)
    write(tmp_path / "MANO_RIGHT.pkl", mano_content(template))
    loaded = load_mano(tmp_path)
    assert "tips: farthest" in loaded.name
    model = HandModel(loaded)
    assert model.shape_count == shapes
    assert model(torch.zeros(1, 3), torch.zeros(1, 45), torch.zeros(1, shapes)).joints.shape == (1, 21, 3)


def test_the_farthest_vertex_is_found_along_each_last_bone(tmp_path):
    """On the open hand, whose fingertips are known, without their ids."""
    template = open_hand()
    faces = np.concatenate([template.faces, template.faces[:1]])  # not MANO's number of faces
    content = mano_content(template) | {"f": faces.astype(np.uint32)}
    write(tmp_path / "MANO_RIGHT.pkl", content)
    found = load_mano(tmp_path).fingertip_vertices
    joints = template.joint_regressor @ template.vertices
    for finger, tip, known in zip(
        ("thumb", "index", "middle", "ring", "little"), found, template.fingertip_vertices, strict=True
    ):
        last = joints[MANO_JOINTS.index(f"{finger}_3")]
        bone = last - joints[MANO_JOINTS.index(f"{finger}_2")]
        assert (template.vertices[tip] - last) @ bone >= (template.vertices[known] - last) @ bone
        assert np.linalg.norm(template.vertices[tip] - template.vertices[known]) < 0.008


def test_the_deviations_of_poses_are_those_of_the_file(tmp_path):
    """The coefficients of the poses that the components were made from tell how far a real one goes."""
    coefficients = np.random.default_rng(3).normal(size=(50, 45)) * np.linspace(0.2, 3, 45)
    content = mano_content(small_template(), wrapped=False)
    write(tmp_path / "MANO_RIGHT.pkl", content | {"hands_coeffs": coefficients})
    loaded = load_mano(tmp_path)
    np.testing.assert_allclose(loaded.pose_deviations, np.sqrt(((coefficients - coefficients.mean(0)) ** 2).mean(0)))
    poses = coefficients @ loaded.pose_components
    precision = pose_precision(HandModel(loaded), like=torch.zeros(1, dtype=torch.float64))
    spread = loaded.pose_deviations[:, None] * loaded.pose_components
    np.testing.assert_allclose(np.linalg.inv(precision), spread.T @ spread + 0.1**2 * np.eye(45), rtol=1e-4, atol=1e-6)
    assert np.trace(spread.T @ spread) == pytest.approx(np.trace(np.cov(poses.T, bias=True)), rel=0.2)
    content.pop("hands_coeffs", None)
    write(tmp_path / "MANO_RIGHT.pkl", content)
    assert load_mano(tmp_path).pose_deviations is None
    for wrong, said in ((coefficients[:, :44], "hands_coeffs of shape"), (coefficients * np.nan, "finite numbers in")):
        write(tmp_path / "MANO_RIGHT.pkl", content | {"hands_coeffs": wrong})
        with pytest.raises(HandFileError, match=said):
            load_mano(tmp_path)


def test_fingertips_are_chosen_anew_and_told_by_the_name(tmp_path):
    content = {key: np.asarray(value) for key, value in mano_content(open_hand(), wrapped=False).items()}
    np.savez(tmp_path / "MANO_RIGHT.npz", **content)
    manopth = HandModel(load_mano(tmp_path))
    ho3d = with_fingertips(manopth, "ho3d")
    assert ho3d.template.fingertip_vertices == (744, 333, 444, 555, 672)  # HO-3D's own tools
    assert ho3d.template.name == "mano right (tips: ho3d)"
    assert same_hand(ho3d.template.name, manopth.template.name)
    assert not same_hand("mano left (tips: ho3d)", manopth.template.name)
    assert with_fingertips_of(manopth.template.name, ho3d).template.fingertip_vertices == (745, 317, 444, 556, 673)
    posed = ho3d(torch.zeros(1, 3), ho3d.mean_pose[None], torch.zeros(1, 10))
    assert torch.equal(posed.joints[0, [4, 8, 12, 16, 20]], posed.vertices[0, [744, 333, 444, 555, 672]])
    own = HandModel(open_hand())
    assert with_fingertips(own, "ho3d") is own


@pytest.mark.parametrize("family", ["manopth", "smplx"])
def test_a_file_of_manos_size_gets_the_published_fingertips(tmp_path, family):
    write(tmp_path / "MANO_RIGHT.pkl", mano_content(open_hand()))
    loaded = load_mano(tmp_path, fingertips=family)
    assert loaded.fingertip_vertices == MANO_FINGERTIPS[family]
    assert loaded.name == f"mano right (tips: {family})"


def test_the_left_hand_has_its_own_middle_fingertip(tmp_path):
    write(tmp_path / "MANO_LEFT.pkl", mano_content(open_hand()))
    assert load_mano(tmp_path, "left").fingertip_vertices == (745, 317, 445, 556, 673)


def message_of(folder) -> str:
    with pytest.raises(HandFileError) as caught:
        load_mano(folder)
    assert isinstance(caught.value, UserError)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_missing_file_is_named_with_what_to_do(tmp_path):
    message = message_of(tmp_path)
    assert message.startswith(f"expected MANO_RIGHT.pkl (or .npz) in {tmp_path}, found neither")
    assert "--hand open" in message
    assert "mano.is.tue.mpg.de" in message


@pytest.mark.parametrize(
    ("pickled", "asked"),
    [
        (b"cos\nsystem\n(S'touch {}'\ntR.", "os.system"),
        (b"cposix\nsystem\n(S'touch {}'\ntR.", "posix.system"),
        (b'c__builtin__\neval\n(S\'open("{}", "w")\'\ntR.', "__builtin__.eval"),
        (b"cnumpy.core.multiarray\n_reconstruct.__class__\n.", "numpy.core.multiarray._reconstruct.__class__"),
        (b"c_codecs\nencode\n(S'a'\nS'rot13'\ntR.", "_codecs.encode to rot13"),
    ],
)
def test_a_hostile_file_is_refused_and_does_nothing(tmp_path, pickled, asked):
    path, trace = tmp_path / "MANO_RIGHT.pkl", tmp_path / "trace"
    path.write_bytes(pickled.replace(b"{}", str(trace).encode()))
    message = message_of(tmp_path)
    assert str(path) in message
    assert asked in message
    assert not trace.exists()


def test_hostile_code_inside_an_otherwise_good_file_is_refused(tmp_path):
    class Hostile:
        def __reduce__(self):
            import os

            return os.system, (f"touch {tmp_path / 'trace'}",)

    write(tmp_path / "MANO_RIGHT.pkl", mano_content(small_template()) | {"bs_style": Hostile()}, python=3)
    assert "system" in message_of(tmp_path)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("key", ["v_template", "shapedirs", "J_regressor", "hands_mean", "kintree_table"])
def test_a_missing_array_is_named(tmp_path, key):
    content = mano_content(small_template())
    del content[key]
    write(tmp_path / "MANO_RIGHT.pkl", content)
    assert message_of(tmp_path).endswith(f"missing {key}")


@pytest.mark.parametrize("key", ["v_template", "f", "shapedirs", "posedirs", "weights", "hands_components"])
def test_a_wrong_shape_is_named_with_both(tmp_path, key):
    content = mano_content(small_template(), wrapped=False)
    content[key] = content[key][:-1] if key == "shapedirs" else content[key][..., :-1]
    write(tmp_path / "MANO_RIGHT.pkl", content)
    message = message_of(tmp_path)
    assert str(tmp_path / "MANO_RIGHT.pkl") in message
    assert re.search(r"expected \w+ of shape \(.*\) in .*, found \(", message)


@pytest.mark.parametrize("wrong", ["text", None, 3.0, [], {}, np.array("text"), np.full((31, 3), "text")])
@pytest.mark.parametrize("key", ["v_template", "shapedirs", "kintree_table", "f"])
def test_what_is_no_array_of_numbers_is_refused(tmp_path, key, wrong):
    path = write(tmp_path / "MANO_RIGHT.pkl", mano_content(small_template()) | {key: wrong}, python=3)
    assert str(path) in message_of(tmp_path)


@pytest.mark.parametrize("key", ["v_template", "posedirs", "weights", "hands_components"])
def test_nan_is_refused(tmp_path, key):
    content = mano_content(small_template(), wrapped=False)
    content[key] = content[key].copy()
    content[key].flat[5] = np.nan
    write(tmp_path / "MANO_RIGHT.pkl", content)
    assert f"expected finite numbers in {key}" in message_of(tmp_path)


def test_faces_of_vertices_that_do_not_exist_are_refused(tmp_path):
    content = mano_content(small_template())
    content["f"][3, 1] = 31
    write(tmp_path / "MANO_RIGHT.pkl", content)
    assert "31 vertices" in message_of(tmp_path)


def test_a_joint_before_its_parent_is_refused(tmp_path):
    content = mano_content(small_template())
    content["kintree_table"][0, 2] = 5
    write(tmp_path / "MANO_RIGHT.pkl", content)
    assert "kintree_table" in message_of(tmp_path)


def test_a_surface_that_is_not_open_at_the_wrist_alone_is_refused(tmp_path):
    content = mano_content(small_template())
    content["f"] = content["f"][:-1]
    write(tmp_path / "MANO_RIGHT.pkl", content)
    assert "open at its wrist alone" in message_of(tmp_path)


@pytest.mark.parametrize("content", [[1, 2], "text", None])
def test_a_pickle_of_something_else_is_refused(tmp_path, content):
    write(tmp_path / "MANO_RIGHT.pkl", content, python=3)
    assert f"found a {type(content).__name__}" in message_of(tmp_path)


@pytest.mark.slow
def test_broken_files_never_give_another_error(tmp_path):
    """Truncated or with one wrong byte, a file is read or refused, whatever the byte is."""
    whole = dumps(mano_content(small_template(rings=2, sides=3)), python=2)
    random, path = np.random.default_rng(0), tmp_path / "MANO_RIGHT.pkl"
    refused = 0
    for trial in range(300):
        broken = bytearray(whole)
        if trial % 2:
            del broken[int(random.integers(len(whole))) :]
        else:
            headers = [place for place in range(len(whole)) if whole[place] not in (0, 255)]
            broken[int(random.choice(headers))] = int(random.integers(256))
        path.write_bytes(broken)
        try:
            load_mano(tmp_path)
        except HandFileError:
            refused += 1
    assert refused >= 150


def test_a_broken_npz_is_refused(tmp_path):
    (tmp_path / "MANO_RIGHT.npz").write_bytes(b"PK\x03\x04 no archive")
    assert str(tmp_path / "MANO_RIGHT.npz") in message_of(tmp_path)


def test_a_pickle_inside_an_npz_is_refused(tmp_path):
    np.savez(tmp_path / "MANO_RIGHT.npz", v_template=np.array([{"a": 1}], dtype=object))
    assert "MANO_RIGHT.npz" in message_of(tmp_path)
