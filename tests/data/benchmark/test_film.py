"""Labels and pictures of a sequence that has been filmed: what is seen lies where the annotation says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation, binary_erosion

from warpgrasp.data import open_dataset
from warpgrasp.data.benchmark import film
from warpgrasp.data.benchmark.film import Lens, Skin, Take
from warpgrasp.data.benchmark.objects import held_object
from warpgrasp.data.benchmark.view import make_scene
from warpgrasp.data.sample.files import save_picture, write_lists, write_sequence
from warpgrasp.frame import Frame, FrameName, pose_points
from warpgrasp.geometry.mesh import Mesh, join
from warpgrasp.hand.model import HandModel
from warpgrasp.hand.templates import open_hand
from warpgrasp.photometric.flow import render_flow, warp
from warpgrasp.render import rasterize

THING, FRAMES = "soup_can", 8
CLEAN = Lens(shutter=0.0, gains=np.ones(3), blur_px=0.0, vignette=0.0, shot=0.0, read=0.0, quality=98)
SHOWN = (0, 3, 6)


@pytest.fixture(scope="module")
def take() -> Take:
    generator = np.random.default_rng(4)
    sequence = make_scene(generator, held_object(THING), "turn", FRAMES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(film, "PASSING_SHARE", 0.0)
        return Take(sequence, Skin(1, (1.0, 1.0, 1.0)), generator)


@pytest.fixture(scope="module")
def frames(take: Take, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Frame]:
    """The frames as a data set gives them, in pictures without the camera's faults."""
    root, hand = tmp_path_factory.mktemp("benchmark") / "set", HandModel(open_hand())
    take.lens = CLEAN
    (root / "models" / THING).mkdir(parents=True)
    held_object(THING).write(root / "models" / THING)

    def paint(index: int, path: Path) -> None:
        picture = take.picture(index) if index in SHOWN else np.zeros((240, 320, 3))
        save_picture(torch.from_numpy(picture).permute(2, 0, 1).float(), path, quality=98)

    arguments = {"label": 1, "surface": held_object(THING).surface, "hand": hand}
    write_sequence(root, "train", "B1", take.sequence, paint, **arguments)
    write_lists(root, "train", {"B1": FRAMES}, [], [])
    (root / "evaluation").mkdir()
    write_lists(root, "evaluation", {}, [], [])
    dataset = open_dataset(root, hand)
    return {index: dataset.frame(FrameName("B1", index), annotated=True) for index in SHOWN}


def labelled_mesh(frame: Frame) -> Mesh:
    """The annotated hand, open at the wrist, and object."""
    label, faces = frame.annotation, torch.from_numpy(open_hand().faces.astype(np.int64))
    assert label is not None
    solid = pose_points(label.object_rotation, label.object_translation, frame.object.vertices)
    return join(Mesh.of(label.hand_vertices[None], faces), Mesh.of(solid[None], frame.object.faces))


def labelled_mask(frame: Frame, part: str) -> np.ndarray:
    """Where the label's nearest surface is the hand, or the object."""
    ids = rasterize(labelled_mesh(frame), frame.camera.batched).face_ids[0].numpy()
    count = len(open_hand().faces)
    return (ids >= 0) & (ids < count) if part == "hand" else ids >= count


def seen_mask(take: Take, index: int, texture: int) -> np.ndarray:
    """Where the picture shows what has a texture: it glows, all else is black."""
    glow = np.zeros_like(take.textures.finish)
    glow[texture, 5] = 10.0
    lights = replace(take.lights, colours=0 * take.lights.colours, ambient=0 * take.lights.ambient)
    white = replace(take.textures, texels=np.ones_like(take.textures.texels), finish=glow)
    before = take.lights, take.textures
    take.lights, take.textures = lights, white
    try:
        return take.picture(index).mean(axis=2) > 0.9
    finally:
        take.lights, take.textures = before


@pytest.mark.parametrize("index", SHOWN)
@pytest.mark.parametrize("part", ["hand", "object"])
def test_the_silhouette_in_the_picture_is_that_of_the_label(take: Take, frames, index: int, part: str) -> None:
    moving = {"hand": take.moving[0], "object": take.moving[2]}[part]
    shift = take.textures.levels.shape[0] - 4  # skin of the hand and of the arm, cloth, object
    seen = seen_mask(take, index, int(moving.texture[0]) + shift)
    expected = labelled_mask(frames[index], part)
    assert seen.sum() > 400
    assert not (seen & ~binary_dilation(expected, np.ones((3, 3)))).any()
    hidden = binary_erosion(expected) & ~seen  # by the sleeve alone
    assert hidden.sum() < 0.02 * expected.sum()


def test_neighbours_agree_where_the_labels_flow_leads(frames) -> None:
    """The colours at the same surface points are nearly alike, and are not where the label is a few pixels off."""
    for there, here in ((0, 3), (3, 6)):
        errors = [_difference(frames[there], frames[here], shift_m) for shift_m in (0.0, 0.008)]
        assert errors[0] < 0.04
        assert errors[1] > 1.8 * errors[0]


def _difference(source: Frame, target: Frame, shift_m: float) -> float:
    """Mean difference between a picture and its neighbour, warped by the flow of labels, one of them shifted."""
    mesh, other = labelled_mesh(source), labelled_mesh(target)
    other = replace(other, vertices=other.vertices + torch.tensor([shift_m, 0.0, 0.0]))
    flow = render_flow(mesh, other, source_camera=source.camera.batched, destination_camera=target.camera.batched)
    flow_px, visible = flow.dense()
    warped = warp(target.image[None], flow_px)
    covered = torch.from_numpy(binary_erosion(visible[0].numpy(), iterations=2))
    difference = (warped.image[0] - source.image).abs().mean(dim=0)
    return float(difference[covered].mean())


def test_a_picture_is_the_same_each_time_and_its_noise_is_its_own(take: Take) -> None:
    take.lens = replace(CLEAN, shot=0.001, read=0.003)
    first, again, next_ = take.picture(0), take.picture(0), take.picture(1)
    take.lens = CLEAN
    np.testing.assert_array_equal(first, again)
    still = take.picture(0)
    noise = first - still
    assert 0.003 < noise.std() < 0.08
    assert abs(np.corrcoef(noise.ravel(), (next_ - take.picture(1)).ravel())[0, 1]) < 0.05


def test_what_moves_is_blurred_along_its_way_when_the_shutter_is_open(take: Take) -> None:
    sharp = take.picture(3)
    moved = take.moving[2]
    fast = replace(moved, vertices=moved.vertices + np.linspace(0, 0.3, FRAMES)[:, None, None] * [1.0, 0, 0])
    fast = replace(fast, vertices=fast.vertices - (fast.vertices[3] - moved.vertices[3]).mean(axis=0))
    before, take.moving = take.moving, [*take.moving[:2], fast, *take.moving[3:]]
    take.lens = replace(CLEAN, shutter=1.0)
    blurred = take.picture(3)
    take.moving, take.lens = before, CLEAN
    assert np.abs(np.diff(blurred, axis=1)).max() < np.abs(np.diff(sharp, axis=1)).max() + 0.02
    assert np.abs(blurred - sharp).max() > 0.1


def test_the_background_moves_as_the_camera_does(take: Take) -> None:
    """The far wall and the table move differently: there is a room behind the hand, and no picture."""
    room = take._room.vertices
    near, far = room[np.abs(room[:, 2]) < 0.2], room[room[:, 1] > 0.9]
    shifts = []
    for points in (near, far):
        pixels = []
        for index in (0, FRAMES - 1):
            pose = np.linalg.inv(take.sequence.world_from_camera[index])
            seen = points @ pose[:3, :3].T + pose[:3, 3]
            pixels.append((seen @ take.sequence.intrinsics.T)[:, :2] / seen[:, 2:])
        inside = ((pixels[0] > 0) & (pixels[0] < [320, 240])).all(axis=1)
        shifts.append((pixels[1] - pixels[0])[inside].mean(axis=0))
    assert np.linalg.norm(shifts[0] - shifts[1]) > 0.2
