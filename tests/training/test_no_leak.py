"""No annotation but the chosen ones can reach the weights; the control differs in λ_c alone."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training.runs import prepare, short_recipe, train_both
from warpgrasp.training import objective
from warpgrasp.training.recipes import with_grasp
from warpgrasp.training.run import fingerprint

KEPT = ("objName", "camMat")


def spoil(path: Path) -> None:
    """Overwrite every annotation of a frame by NaN, but its object's name and its camera."""
    meta = pickle.loads(path.read_bytes())  # noqa: S301 (our own file)
    spoilt = {key: value if key in KEPT else np.full(np.shape(value), np.nan) for key, value in meta.items()}
    path.write_bytes(pickle.dumps(spoilt, protocol=2))


@pytest.mark.parametrize("grasp", [False, True])
def test_annotations_that_were_not_chosen_do_not_matter(
    copied_root: Path, tmp_path: Path, undisturbed: str, grasp: bool
) -> None:
    recipe = with_grasp(short_recipe()) if grasp else short_recipe()
    before = prepare(copied_root, recipe)
    mark, expected = fingerprint(before), train_both(before, tmp_path / "before").sha256 if grasp else undisturbed
    assert not grasp or expected != undisturbed

    chosen = set(before.labels.annotated_names)
    assert len(chosen) == 4
    dataset = before.source.dataset
    for name in dataset.names("train") + dataset.names("evaluation"):
        if name not in chosen:
            spoil(dataset.annotation_files(name)[0])
    for name in ("evaluation_xyz.json", "evaluation_verts.json"):
        (copied_root / name).write_text("NaN")
    after = prepare(copied_root, recipe)
    assert fingerprint(after) == mark
    assert train_both(after, tmp_path / "after").sha256 == expected


def test_a_chosen_annotation_does_matter(copied_root: Path, tmp_path: Path) -> None:
    """Otherwise the test above would prove nothing."""
    training = prepare(copied_root, short_recipe())
    spoil(training.source.dataset.annotation_files(training.labels.annotated_names[-1])[0])
    with pytest.raises(ValueError, match="NaN"):
        train_both(training, tmp_path / "run")


def test_with_weight_zero_the_photometric_path_is_the_control(
    sample_root: Path, tmp_path: Path, undisturbed: str, monkeypatch
) -> None:
    control = short_recipe().as_control()
    expected = train_both(prepare(sample_root, control), tmp_path / "control").sha256

    on_pairs, compared = objective.on_pairs, []

    def comparing(*arguments, **options):
        result = on_pairs(*arguments, **{**options, "compare": True})
        compared.append(float(result[1].loss.detach().sum()))
        return result

    monkeypatch.setattr(objective, "on_pairs", comparing)
    assert train_both(prepare(sample_root, control), tmp_path / "forced").sha256 == expected
    assert max(compared) > 0  # the term was there
    assert undisturbed != expected  # and with its weight it matters


def test_the_control_differs_in_the_weight_alone() -> None:
    recipe = short_recipe()
    control = recipe.as_control()
    assert control.photometric.weight == 0
    assert replace(control, photometric=recipe.photometric) == recipe
    assert with_grasp(recipe).as_control() == with_grasp(control)
