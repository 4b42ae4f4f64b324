"""What the comparison of a step's pairs is made of."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from tests.training.runs import prepare, short_recipe
from warpgrasp.data.augment import AugmentConfig, augment
from warpgrasp.errors import DataError
from warpgrasp.frame import FramePair, pose_points
from warpgrasp.geometry.camera import Camera
from warpgrasp.geometry.mesh import Mesh
from warpgrasp.photometric.consistency import appearance, photometric_consistency
from warpgrasp.registry import Registry, RegistryError
from warpgrasp.render import rasterize
from warpgrasp.render.rasterizer import Raster
from warpgrasp.scene import surface
from warpgrasp.training.loop import initial_network
from warpgrasp.training.pairs import FrameCache, PairBatch, compare_pairs
from warpgrasp.training.settings import Photometric

PAIRS = 3


@pytest.fixture(scope="module")
def compared(sample_root: Path):
    """A network that is near the truth, so that pairs overlap: its targets' surfaces are the references', moved."""
    training = prepare(sample_root, short_recipe())
    targets = training.labels.comparable_names[:PAIRS]
    references = [training.labels.reference(name) for name in targets]
    network = initial_network(training).eval()
    frames, others = training.source.pairs(targets, references)
    still = AugmentConfig(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, roll=0.2)
    view = augment(frames.image, frames.camera, still, torch.Generator().manual_seed(0))
    with torch.no_grad():
        reconstruction = network(view.image, view.camera, frames.objects)
    annotation = others.annotation
    assert annotation is not None
    points = pose_points(annotation.object_rotation, annotation.object_translation, others.objects.vertices)
    moved = torch.tensor([0.002, 0.001, 0.003])
    turn = view.view_from_camera.transpose(1, 2)
    near = replace(
        reconstruction,
        hand=replace(reconstruction.hand, vertices=(annotation.hand_vertices + moved) @ turn),
        object=replace(reconstruction.object, vertices=(points + moved) @ turn),
    )
    reference_surface = surface(network.hand, annotation.hand_vertices, points, others.objects)
    target_surface = reference_surface.with_vertices(reference_surface.vertices + moved)
    return network, PairBatch(frames, others, view, None), near, reference_surface, target_surface


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_both_directions_are_the_mean_of_the_two(compared, share: float) -> None:
    """Each direction is written out here by its definition."""
    network, batch, near, reference_surface, target_surface = compared
    settings = Photometric(directions="both", contrast_share=share)
    found = compare_pairs(network.hand, batch, near, settings)
    pictures = [appearance(frames.image, contrast_share=share) for frames in (batch.targets, batch.references)]
    cameras = batch.targets.camera, batch.references.camera
    there = photometric_consistency(
        FramePair(pictures[0], cameras[0], pictures[1], cameras[1], reference_surface), target_surface
    )
    back = photometric_consistency(
        FramePair(pictures[1], cameras[1], pictures[0], cameras[0], target_surface), reference_surface
    )
    assert (there.loss > 0).all()
    assert (back.loss > 0).all()
    assert not torch.allclose(there.loss, back.loss)
    assert_close(found.loss, (there.loss + back.loss) / 2, atol=2e-5, rtol=1e-3)
    assert_close(found.compared_share, (there.compared_share + back.compared_share) / 2, atol=0.02, rtol=0)
    assert found.enough.all()


def test_one_direction_is_the_papers(compared) -> None:
    network, batch, near, reference_surface, target_surface = compared
    pair = FramePair(
        batch.targets.image, batch.targets.camera, batch.references.image, batch.references.camera, reference_surface
    )
    expected = photometric_consistency(pair, target_surface).loss
    found = compare_pairs(network.hand, batch, near, Photometric())
    assert_close(found.loss, expected, atol=2e-5, rtol=1e-3)


def test_what_is_remembered_changes_nothing(compared) -> None:
    network, batch, near, *_ = compared
    cache, settings = FrameCache(), Photometric(directions="both", contrast_share=0.5)
    expected = compare_pairs(network.hand, batch, near, settings)
    for _ in range(2):
        assert_close(compare_pairs(network.hand, batch, near, settings, cache=cache).loss, expected.loss)


def test_both_directions_move_the_prediction(compared) -> None:
    """Also the way back sends its gradient to the target's surface."""
    network, batch, near, *_ = compared
    gradients = []
    for directions in ("one", "both"):
        vertices = near.object.vertices.clone().requires_grad_()
        moving = replace(near, object=replace(near.object, vertices=vertices))
        compare_pairs(network.hand, batch, moving, Photometric(directions=directions)).loss.sum().backward()
        assert vertices.grad is not None
        gradients.append(vertices.grad)
    assert (gradients[1] - gradients[0] / 2).abs().max() > 0.1 * gradients[0].abs().max()


def test_a_surface_is_rasterised_once(compared, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each for both directions, and the reference's never again."""
    network, batch, near, *_ = compared
    asked: list[int] = []

    def counted(mesh: Mesh, camera: Camera) -> Raster:
        asked.append(len(mesh.vertices))
        return rasterize(mesh, camera)

    monkeypatch.setattr("warpgrasp.training.pairs.rasterize", counted)
    cache, settings = FrameCache(), Photometric(directions="both", contrast_share=0.5)
    frames = len(batch.targets.names)
    for _ in range(2):
        compare_pairs(network.hand, batch, near, settings, cache=cache)
    assert asked == [*[1] * len(set(batch.references.names)), frames, frames]


def test_what_does_not_fit_is_computed_again(compared) -> None:
    network, batch, near, *_ = compared
    cache, settings = FrameCache(limit_bytes=0), Photometric(directions="both", contrast_share=0.5)
    expected = compare_pairs(network.hand, batch, near, settings)
    assert_close(compare_pairs(network.hand, batch, near, settings, cache=cache).loss, expected.loss)


def grey(image: torch.Tensor, *, contrast_share: float) -> torch.Tensor:
    """Another package's term."""
    return (1 + contrast_share) * image.mean(dim=1, keepdim=True)


def halved(image: torch.Tensor, *, contrast_share: float) -> torch.Tensor:
    """A term that breaks its promise."""
    return image[..., ::2, ::2]


@pytest.fixture
def _more_terms(monkeypatch: pytest.MonkeyPatch) -> None:
    terms = Registry("photometric term", "warpgrasp.photometric_terms", {"grey": grey, "halved": halved})
    monkeypatch.setattr("warpgrasp.training.pairs.PHOTOMETRIC_TERMS", terms)


@pytest.mark.usefixtures("_more_terms")
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_recipes_term_says_what_is_compared(compared, share: float) -> None:
    network, batch, near, reference_surface, target_surface = compared
    pictures = [(1 + share) * frames.image.mean(dim=1, keepdim=True) for frames in (batch.targets, batch.references)]
    pair = FramePair(pictures[0], batch.targets.camera, pictures[1], batch.references.camera, reference_surface)
    expected = photometric_consistency(pair, target_surface).loss
    settings, cache = Photometric(term="grey", contrast_share=share), FrameCache()
    for _ in range(2):
        found = compare_pairs(network.hand, batch, near, settings, cache=cache)
        assert_close(found.loss, expected, atol=2e-5, rtol=1e-3)
    assert (expected > 0).all()


@pytest.mark.usefixtures("_more_terms")
def test_a_term_must_keep_the_pictures_size(compared) -> None:
    network, batch, near, *_ = compared
    with pytest.raises(DataError, match=r"photometric term halved, .* got the shape \(3, 3, 24, 32\)"):
        compare_pairs(network.hand, batch, near, Photometric(term="halved"))


def test_an_unknown_term_is_refused_before_anything_is_trained(sample_root: Path) -> None:
    recipe = short_recipe()
    with pytest.raises(RegistryError, match=r"expected one of colours\+contrast, colours as the photometric term"):
        prepare(sample_root, replace(recipe, photometric=replace(recipe.photometric, term="tones")))
    both = replace(recipe.photometric, term="colours", contrast_share=0.5)
    with pytest.raises(DataError, match="where colours alone are compared"):
        prepare(sample_root, replace(recipe, photometric=both))
