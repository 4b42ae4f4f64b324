"""The folder of a run: its fingerprint, its notes, and what may be gone on with."""

import json
import pickle
from dataclasses import asdict, dataclass, field, make_dataclass, replace
from pathlib import Path

import pytest

from tests.training.runs import prepare, short_recipe, spoil
from warpgrasp.errors import DataError
from warpgrasp.hand.model import HandModel
from warpgrasp.hand.templates import open_hand
from warpgrasp.locks import LockedError
from warpgrasp.training.recipes import with_grasp
from warpgrasp.training.run import (
    NOTES,
    RunError,
    Training,
    changed_inputs,
    deciding_settings,
    fingerprint,
    fingerprint_of,
    inputs_of,
    open_run,
)
from warpgrasp.training.settings import Photometric, Recipe


def test_equal_trainings_have_equal_fingerprints(sample_root: Path, copied_root: Path) -> None:
    marks = {fingerprint(prepare(root, short_recipe())) for root in (sample_root, copied_root)}
    assert len(marks) == 1


def test_recipe_seed_and_hand_change_it(sample_root: Path) -> None:
    recipe = short_recipe()
    others = [
        replace(recipe, seed=1),
        replace(recipe, fraction=1 / 2),
        replace(recipe, photometric=replace(recipe.photometric, weight=0.5)),
        replace(recipe, network=replace(recipe.network, scales=replace(recipe.network.scales, unit_m=0.1))),
    ]
    trainings = [prepare(sample_root, one) for one in (recipe, *others)]
    left = replace(trainings[0], hand=HandModel(replace(open_hand(), name="another")))
    assert len({fingerprint(one) for one in (*trainings, left)}) == 6


def test_a_choice_that_is_not_made_refuses_no_older_run(hand: HandModel) -> None:
    """The fingerprint of before there was a weight of the grasp."""
    recipe = Recipe()
    assert fingerprint_of(recipe, hand, "data") == "06ae6b3944e6fadf"
    assert fingerprint_of(with_grasp(recipe), hand, "data") != fingerprint_of(recipe, hand, "data")


@dataclass(frozen=True)
class Later:
    """A part of a recipe that a later version adds."""

    strength: float = 1.0


def test_a_later_setting_counts_where_it_differs_from_its_default() -> None:
    before = deciding_settings(Photometric())
    fields_then = {"weight", "ramp_steps", "pairs", "compare", "directions", "contrast_share", "cycle_tolerance_px"}
    assert before.keys() == fields_then | {"near_to_far_steps"}
    assert deciding_settings(Photometric(grasp_weight=0.5)) == before | {"grasp_weight": 0.5}
    assert deciding_settings(Photometric(term="colours")) == before | {"term": "colours"}

    added = [("gain", float, field(default=0.5)), ("later", Later, field(default_factory=Later))]
    longer = make_dataclass("Photometric", added, bases=(Photometric,), frozen=True)
    assert deciding_settings(longer()) == before
    changed = longer(gain=0.25, later=Later(2.0))
    assert deciding_settings(changed) == before | {"gain": 0.25, "later": {"strength": 2.0}}


def test_a_setting_of_the_first_version_always_counts() -> None:
    """All that the first version knew, whatever its value: the settings of today without the later ones."""
    recipe = Recipe()
    everything = asdict(recipe)
    for later in ("name", "splits", "added_share"):
        del everything[later]
    for later in ("encoder", "joint_input", "object_told"):
        del everything["network"][later]
    del everything["augment"]["zoom"], everything["loss"]["reprojection"]
    for later in ("term", "grasp_weight", "keypoint_weight", "silhouette_weight", "detector"):
        del everything["photometric"][later]
    assert deciding_settings(recipe) == everything


def test_labels_do_not_change_it(sample_root: Path) -> None:
    recipe = short_recipe()
    named = replace(recipe, name="another", splits="ho3d/official")
    assert fingerprint(prepare(sample_root, named)) == fingerprint(prepare(sample_root, recipe))


def test_data_change_it(copied_root: Path) -> None:
    marks = [fingerprint(prepare(copied_root, short_recipe()))]
    meta = copied_root / "train" / "A1" / "meta" / "0000.pkl"
    content = pickle.loads(meta.read_bytes())  # noqa: S301 (our own file)
    meta.write_bytes(pickle.dumps({**content, "objTrans": content["objTrans"] + 0.001}, protocol=2))
    marks.append(fingerprint(prepare(copied_root, short_recipe())))
    picture = copied_root / "train" / "B1" / "rgb" / "0003.jpg"
    picture.write_bytes(picture.read_bytes() + b"\0")
    marks.append(fingerprint(prepare(copied_root, short_recipe())))
    lines = (copied_root / "train.txt").read_text().splitlines()
    (copied_root / "train.txt").write_text("\n".join(lines[:-1]))
    marks.append(fingerprint(prepare(copied_root, short_recipe())))
    assert len(set(marks)) == 4


def test_the_notes_are_enough_to_repeat_a_run(trained_run: Path, sample_root: Path) -> None:
    notes = json.loads((trained_run / "run.json").read_text())
    assert notes["recipe"]["name"] == "toy"
    assert notes["recipe"]["seed"] == 0
    assert notes["hand"] == "open-hand right"
    assert notes["data"]["root"] == str(sample_root)
    quarter = {"annotated": 2, "frames": 8, "fraction": 0.25}
    assert notes["labels"] == {
        "annotated": {"A1": [0, 4], "B1": [0, 4]},
        "effective_fraction": 0.25,
        "effective": {"annotated": 4, "frames": 16, "fraction": 0.25},
        "effective_per_sequence": {"A1": quarter, "B1": quarter},
    }
    assert notes["bad_frames"] == {"when_found": "refuse", "count": 0, "frames": []}
    assert {"torch", "numpy", "numba", "python"} <= notes["versions"].keys()
    assert notes["commit"]
    assert notes["command"]


def test_only_the_same_run_is_gone_on_with(sample_root: Path, tmp_path: Path) -> None:
    training, out = prepare(sample_root, short_recipe()), tmp_path / "run"
    with open_run(training, out, command=["a"]):
        (out / "stage1.safetensors").touch()
    before = (out / "run.json").read_bytes()
    with open_run(training, out, command=["b"]):
        pass
    assert (out / "run.json").read_bytes() == before
    other = replace(training, recipe=replace(training.recipe, seed=9))
    with pytest.raises(RunError, match=r"expected the run .* found the run .*; choose another folder or remove it"):
        open_run(other, out, command=[]).__enter__()
    (out / "run.json").write_text("{}")
    with pytest.raises(RunError, match="cannot be read"):
        open_run(training, out, command=[]).__enter__()


def test_a_run_is_not_gone_on_with_on_changed_pictures(copied_root: Path, tmp_path: Path) -> None:
    """Of the same size, which do not change the fingerprint; older runs do not tell."""
    training, out = prepare(copied_root, short_recipe()), tmp_path / "run"
    with open_run(training, out, command=["a"]):
        (out / "stage1.safetensors").touch()
    spoil(copied_root / "train" / "B1" / "rgb" / "0003.jpg")
    assert fingerprint(prepare(copied_root, short_recipe())) == fingerprint(training)
    with pytest.raises(RunError, match=r"expected the pictures that the run in .* began with, found files that"):
        open_run(training, out, command=[]).__enter__()
    notes = json.loads((out / "run.json").read_text())
    del notes["inputs"]
    (out / "run.json").write_text(json.dumps(notes))
    with open_run(training, out, command=["b"]):
        pass
    assert json.loads((out / "run.json").read_text()) == notes


def test_objects_and_first_weights_are_inputs(sample_root: Path, tmp_path: Path) -> None:
    weights = tmp_path / "resnet.pth"
    weights.write_bytes(b"first")
    training = prepare(sample_root, replace(short_recipe(), encoder_weights=str(weights)))
    inputs = inputs_of(training)
    (tmp_path / "run.json").write_text(json.dumps({"inputs": inputs}))
    assert changed_inputs(tmp_path, inputs_of(training)) == []
    weights.write_bytes(b"other")
    model = training.objects[0]
    larger = replace(training, objects=[replace(model, vertices=1.01 * model.vertices), *training.objects[1:]])
    assert changed_inputs(tmp_path, inputs_of(larger)) == ["objects", "encoder weights"]


def test_a_folder_of_something_else_is_refused(sample_root: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(RunError, match="found other files"):
        open_run(prepare(sample_root, short_recipe()), tmp_path, command=[]).__enter__()
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_the_data_set_may_lie_in_the_runs_folder(copied_root: Path) -> None:
    training = prepare(copied_root, short_recipe())
    with pytest.raises(DataError), open_run(training, copied_root.parent, command=[]):
        raise DataError("bad")
    assert list(copied_root.parent.iterdir()) == [copied_root]


def fail_having_written(training: Training, out: Path, file: str) -> None:
    with open_run(training, out, command=[]):
        (out / file).touch()
        raise DataError("bad")


def test_a_run_that_fails_before_anything_is_saved_leaves_nothing(sample_root: Path, tmp_path: Path) -> None:
    training, out = prepare(sample_root, short_recipe()), tmp_path / "run"
    with pytest.raises(DataError):
        fail_having_written(training, out, "stage1.jsonl")
    assert not out.exists()
    with pytest.raises(DataError):
        fail_having_written(training, out, "stage1.state.safetensors")
    assert (out / "run.json").is_file()


def test_an_empty_list_is_refused(copied_root: Path) -> None:
    (copied_root / "train.txt").write_text("")
    with pytest.raises(DataError, match="expected annotated training frames in"):
        prepare(copied_root, short_recipe())


def test_stage_2_needs_unannotated_frames(sample_root: Path, tmp_path: Path) -> None:
    from tests.training.runs import train_both

    with pytest.raises(DataError, match="expected unannotated frames for stage 2"):
        train_both(prepare(sample_root, replace(short_recipe(), fraction=1.0)), tmp_path)


def test_one_training_at_a_time_is_in_a_folder(sample_root: Path, tmp_path: Path) -> None:
    """The second would write into the same logs and states; its refusal touches nothing."""
    training, out = prepare(sample_root, short_recipe()), tmp_path / "run"
    with open_run(training, out, command=[]):
        notes = (out / NOTES).read_bytes()
        with pytest.raises(LockedError, match="at work in"), open_run(training, out, command=[]):
            pass
        assert (out / NOTES).read_bytes() == notes
        (out / "stage1.state.safetensors").write_text("left by a process that was killed")
        (out / "stage1.safetensors").write_text("finished")
    with open_run(training, out, command=[]):
        assert not (out / "stage1.state.safetensors").exists()
    assert sorted(path.name for path in out.iterdir()) == [NOTES, "stage1.safetensors"]
