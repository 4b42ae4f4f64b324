"""Masks of PNG files and of run lengths, by a decoder of the test's own; what is wrong is named in a sentence."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from warpgrasp.data.recording.footage import Clip, PictureFolder
from warpgrasp.data.recording.lens import Lens
from warpgrasp.data.recording.masks import HAND, OBJECT, OCCLUDER, UNKNOWN, read_masks
from warpgrasp.errors import DataError

WIDTH, HEIGHT = 31, 22
NUMBERS = (3, 4, 7)
INTRINSICS = np.array([[30.0, 0, 15], [0, 30, 10.5], [0, 0, 1]])


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    """Three pictures, numbered 3, 4 and 7."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in NUMBERS:
        Image.new("RGB", (WIDTH, HEIGHT)).save(folder / f"frame_{number:04d}.png")
    return Clip(Lens(INTRINSICS, WIDTH, HEIGHT), PictureFolder(folder), tmp_path / "camera.json")


def drawn(seed: int = 0) -> dict[int, np.ndarray]:
    """Labels of frames 3 and 7: of frame 7 the hand alone, which ends in the last pixel."""
    generator = np.random.default_rng(seed)
    labels = {number: np.zeros((HEIGHT, WIDTH), np.uint8) for number in (3, 7)}
    labels[3][4:15, 3:20] = HAND
    labels[3][10:20, 12:29] = OBJECT
    labels[3][generator.random((HEIGHT, WIDTH)) < 0.1] = UNKNOWN
    labels[3][2:9, 15:22] = OCCLUDER
    labels[7][generator.random((HEIGHT, WIDTH)) < 0.4] = HAND
    labels[7][-1, -1] = HAND
    return labels


def runs_of(mask: np.ndarray) -> list[int]:
    """Lengths of runs down the columns, the first of what is not the mask: pixel by pixel."""
    runs, shown = [0], False
    for column in range(mask.shape[1]):
        for row in range(mask.shape[0]):
            if bool(mask[row, column]) != shown:
                shown = not shown
                runs.append(0)
            runs[-1] += 1
    return runs


def compressed(runs: Sequence[int]) -> str:
    """COCO's text of run lengths, as its C code writes it (`rleToString`)."""
    text = ""
    for place, run in enumerate(runs):
        left = run - (runs[place - 2] if place > 2 else 0)
        more = True
        while more:
            bits = left & 0x1F
            left >>= 5
            more = left != -1 if bits & 0x10 else left != 0
            text += chr((bits | 0x20 if more else bits) + 48)
    return text


def rle(mask: np.ndarray, *, as_text: bool) -> dict[str, Any]:
    runs = runs_of(mask)
    return {"size": list(mask.shape), "counts": compressed(runs) if as_text else runs}


PARTS = {"hand": HAND, "object": OBJECT, "occluder": OCCLUDER, "unknown": UNKNOWN}


def masks_of(labels: dict[int, np.ndarray], *, as_text: bool) -> list[tuple[int, str, dict[str, Any]]]:
    return [
        (number, name, rle(shown == part, as_text=as_text))
        for number, shown in labels.items()
        for name, part in PARTS.items()
        if (shown == part).any()
    ]


def coco(labels: dict[int, np.ndarray], *, as_text: bool) -> Any:
    """As CVAT exports it: images by name, categories by name in an order of their own, and one that is not used."""
    ids = {"object": 1, "hand": 2, "occluder": 3, "unknown": 9}
    return {
        "images": [{"id": 100 + number, "file_name": f"some/frame_{number:04d}.png"} for number in NUMBERS],
        "categories": [{"id": id_, "name": name.title()} for name, id_ in ids.items()] + [{"id": 4, "name": "table"}],
        "annotations": [
            {"id": 1, "image_id": 100 + number, "category_id": ids[name], "iscrowd": 1, "segmentation": mask}
            for number, name, mask in masks_of(labels, as_text=as_text)
        ],
    }


def results(labels: dict[int, np.ndarray], *, as_text: bool) -> Any:
    """COCO's results, by the frames' numbers."""
    return [
        {"image_id": number, "category_id": PARTS[name], "score": 0.9, "segmentation": mask}
        for number, name, mask in masks_of(labels, as_text=as_text)
    ]


def sam_frames(labels: dict[int, np.ndarray], *, as_text: bool) -> Any:
    """As SAM 2's server writes frames, which it counts from 0."""
    found = masks_of(labels, as_text=as_text)
    return [
        {
            "frame_index": NUMBERS.index(number),
            "results": [{"object_id": PARTS[name], "mask": mask} for of, name, mask in found if of == number],
        }
        for number in labels
    ]


def by_frame(labels: dict[int, np.ndarray], *, as_text: bool) -> Any:
    """As its video predictor's dictionary is stored, by names here."""
    found: dict[str, dict[str, Any]] = {}
    for number, name, mask in masks_of(labels, as_text=as_text):
        found.setdefault(str(NUMBERS.index(number)), {})[name] = mask
    return found


def read(clip: Clip, content: Any) -> dict[int, np.ndarray | None]:
    path = clip.lens_file.parent / "masks.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    masks = read_masks(path, clip)
    return {number: masks.labels(number) for number in NUMBERS}


@pytest.mark.parametrize("as_text", [True, False])
@pytest.mark.parametrize("form", [coco, results, sam_frames, by_frame])
def test_run_lengths_are_the_masks_that_were_written(clip: Clip, form: Callable[..., Any], as_text: bool) -> None:
    labels = drawn()
    found = read(clip, form(labels, as_text=as_text))
    assert found[4] is None
    for number, expected in labels.items():
        np.testing.assert_array_equal(found[number], expected)


@pytest.mark.parametrize("seed", range(6))
def test_long_and_short_runs(clip: Clip, seed: int) -> None:
    """Differences of either sign, from none to the whole picture."""
    generator = np.random.default_rng(seed)
    mask = generator.random((HEIGHT, WIDTH)) < generator.choice([0.01, 0.5, 0.99])
    mask[:, generator.integers(WIDTH) :] = generator.random() < 0.5
    mask[0, 0] = True
    found = read(clip, [{"image_id": 3, "category_id": 2, "segmentation": rle(mask, as_text=True)}])
    np.testing.assert_array_equal(found[3] == OBJECT, mask)


def test_pixels_of_both_are_unknown_and_several_masks_are_one(clip: Clip) -> None:
    first, second, third = (np.zeros((HEIGHT, WIDTH), bool) for _ in range(3))
    first[:5], second[4:9], third[15:] = True, True, True
    entries = [("hand", first), ("object", second), ("hand", third)]
    content = [
        {"image_id": 4, "category_id": PARTS[name], "segmentation": rle(mask, as_text=True)} for name, mask in entries
    ]
    labels = read(clip, content)[4]
    assert labels is not None
    assert labels[:, 0].tolist() == [HAND] * 4 + [UNKNOWN] + [OBJECT] * 4 + [0] * 6 + [HAND] * 7


def test_an_occluder_is_before_all_and_has_other_names(clip: Clip, tmp_path: Path) -> None:
    """As annotators call it; a pixel of it and of anything else is its own; masks of it alone are masks."""
    first, second = (np.zeros((HEIGHT, WIDTH), bool) for _ in range(2))
    first[:5], second[3:9] = True, True
    for name in ("Occluder", "other hand", "other_hand", "Other", 3):
        content = coco({3: np.uint8(HAND) * first}, as_text=True)
        content["categories"][-1] = {"id": 4, "name": name}
        content["annotations"].append(
            {"id": 2, "image_id": 103, "category_id": 4, "segmentation": rle(second, as_text=True)}
        )
        labels = read(clip, content)[3]
        assert labels is not None
        assert labels[:, 0].tolist() == [HAND] * 3 + [OCCLUDER] * 6 + [0] * 13
    alone = write_folder(tmp_path / "alone", {4: np.uint8(OCCLUDER) * second}, parts=True)
    masks = read_masks(alone, clip)
    assert (masks.hands, masks.objects, masks.occluders) == (0, 0, 1)
    covered = masks.occluded(4, clip.lens)
    assert covered is not None
    np.testing.assert_array_equal(covered, second)
    assert masks.occluded(3, clip.lens) is None


def write_folder(root: Path, labels: dict[int, np.ndarray], *, parts: bool, palette: bool = False) -> Path:
    for number, shown in labels.items():
        pictures = {root: shown}
        if parts:
            pictures = {root / name: np.uint8(255) * (shown == part) for name, part in PARTS.items()}
        for folder, picture in pictures.items():
            folder.mkdir(parents=True, exist_ok=True)
            image = Image.fromarray(picture)
            if palette:
                image.putpalette(np.random.default_rng(1).integers(0, 256, 768, np.uint8).tobytes())
            image.save(folder / f"mask_{number}.png")
    return root


@pytest.mark.parametrize(("parts", "palette"), [(True, False), (False, False), (False, True)])
def test_folders_are_the_masks_that_were_written(clip: Clip, tmp_path: Path, parts: bool, palette: bool) -> None:
    """A palette's numbers count, not its colours; a mask of 0 and 255 is one in the sub-folders."""
    labels = drawn()
    masks = read_masks(write_folder(tmp_path / "masks", labels, parts=parts, palette=palette), clip)
    assert (masks.hands, masks.objects) == (2, 1)
    assert masks.labels(4) is None
    for number, expected in labels.items():
        np.testing.assert_array_equal(masks.labels(number), expected)


def test_two_pictures_of_one_frame_are_named(clip: Clip, tmp_path: Path) -> None:
    """In every form, as in folders: nobody's masks are joined with another picture's in silence."""
    content = coco(drawn(), as_text=True)
    for image in content["images"]:
        image["file_name"] = f"{image['id']}/other_0004.png" if image["id"] != 103 else "0004.png"
    with pytest.raises(DataError, match=r"one picture for each frame in .*masks\.json, found 0004\.png, 107/other"):
        read(clip, content)
    content = coco(drawn(), as_text=True)
    content["images"].append(content["images"][0])
    with pytest.raises(DataError, match=r"another id for each of images in .*masks\.json, found 103 twice"):
        read(clip, content)
    mask = rle(drawn()[3] == HAND, as_text=True)
    with pytest.raises(DataError, match=r"found one of frame_0003_mask\.png, which is none of them"):
        read(clip, [{"image_id": "frame_0003_mask.png", "category_id": 1, "segmentation": mask}])


def test_a_mask_that_changes_meanwhile_is_named(clip: Clip, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "masks", drawn(), parts=False)
    masks = read_masks(folder, clip)
    write_folder(folder, drawn(1), parts=False)
    with pytest.raises(DataError, match=r"masks in .*masks to stay as they are, but frame 3's has changed"):
        masks.labels(3)


def test_the_fingerprint_is_of_what_masks_say(clip: Clip, tmp_path: Path) -> None:
    """Whoever wrote them; one pixel more is another."""
    labels = drawn()
    folder = read_masks(write_folder(tmp_path / "masks", labels, parts=True), clip)
    path = tmp_path / "masks.json"
    path.write_text(json.dumps(coco(labels, as_text=True)))
    assert read_masks(path, clip).fingerprint == folder.fingerprint
    labels[7][0, 0] = HAND - labels[7][0, 0]
    path.write_text(json.dumps(coco(labels, as_text=True)))
    assert read_masks(path, clip).fingerprint != folder.fingerprint


def test_a_bent_picture_s_masks_are_straightened_with_it(clip: Clip, tmp_path: Path) -> None:
    lens = Lens(INTRINSICS, WIDTH, HEIGHT, (0.3, 0.0, 0.0, 0.0, 0.0))
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[2:14, 4:24] = OBJECT
    folder = write_folder(tmp_path / "masks", {3: labels}, parts=False)
    found = read_masks(folder, replace(clip, lens=lens)).undistorted(3, lens)
    assert found is not None
    picture = lens.undistorted(np.repeat(np.uint8(255) * (labels[..., None] == OBJECT), 3, axis=2))[..., 0]
    sure = np.abs(picture.astype(int) - 128) > 20
    np.testing.assert_array_equal((found == OBJECT)[sure], (picture > 127)[sure])
    nothing = lens.undistorted(np.full((HEIGHT, WIDTH, 3), 255, np.uint8))[..., 0] == 0
    assert nothing.any()
    assert (found[nothing] == UNKNOWN).all()
    labels[2:14, 4:10] = OCCLUDER
    folder = write_folder(tmp_path / "occluded", {3: labels}, parts=False)
    covered = read_masks(folder, replace(clip, lens=lens)).occluded(3, lens)
    share = lens.undistorted(np.repeat(np.uint8(255) * (labels[..., None] == OCCLUDER), 3, axis=2))[..., 0]
    np.testing.assert_array_equal(covered, share > 0)


ONE = np.ones((HEIGHT, WIDTH), bool)
WHOLE = rle(ONE, as_text=False)


def segmentation(**changes: Any) -> Any:
    return [{"image_id": 3, "category_id": 1, "segmentation": {**WHOLE, **changes}}]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            [{"image_id": f"{name}.png", "category_id": 1, "segmentation": WHOLE} for name in ("a/0003", "b/0004")],
            "expected pictures of one recording in .*, found a/0003.png, b/0004.png of several folders",
        ),
        ([], "expected masks as COCO or SAM 2 writes them in"),
        ("[" * 100_000, "more than 64 deep"),
        ("{", "expected masks \\(run lengths\\) in .*, but it cannot be read"),
        ([3], "expected an object {…} for entries\\[0\\] in"),
        ([{"image_id": 5, "category_id": 1, "segmentation": WHOLE}], "found one of 5, which is none of them"),
        ([{"image_id": "a.png", "category_id": 1, "segmentation": WHOLE}], "found one of a.png, which is none of them"),
        ([{"frame_index": 3, "results": [{"object_id": 1, "mask": WHOLE}]}], "found one of position 3, which is none"),
        (
            [{"image_id": 3, "category_id": 7, "segmentation": WHOLE}],
            "unknown \\(1, 2, 3, 255\\) in .*, found 7; rename",
        ),
        ({"3": {"hand": WHOLE}}, "found one of position 3, which is none of them"),
        ({"frame_0003.png": {"mug": WHOLE}}, "found mug; rename the label, or leave it out"),
        ([{"image_id": 3, "category_id": 1, "segmentation": [[0, 0, 1, 1, 1, 0]]}], "found polygons; export"),
        (segmentation(size=[WIDTH, HEIGHT]), "expected masks of the pictures' size, 22 rows of 31, .* found 31, 22"),
        (segmentation(size=[10**9, 10**9]), "expected masks of the pictures' size, 22 rows of 31"),
        (segmentation(size="22x31"), "expected a list of whole numbers for"),
        (segmentation(counts=[0, WIDTH * HEIGHT - 1]), "expected runs of 682 pixels together"),
        (segmentation(counts=[-1, 1 + WIDTH * HEIGHT, 0]), "expected numbers of at most 682 for"),
        (segmentation(counts=[-1, WIDTH * HEIGHT, 1]), "expected runs of 682 pixels together"),
        (segmentation(counts=[0.5, WIDTH * HEIGHT - 0.5]), "expected whole numbers for"),
        (segmentation(counts=[0, 10**400]), "expected finite numbers for"),
        (segmentation(counts=["0", 682]), "expected numbers in a list of n for"),
        (segmentation(counts=""), "expected COCO's compressed run lengths for"),
        (segmentation(counts="ooooooooooooooooooooooo0"), "expected COCO's compressed run lengths for"),
        (segmentation(counts="0o"), "expected COCO's compressed run lengths for"),
        (segmentation(counts="0é"), "expected COCO's compressed run lengths for"),
        (segmentation(counts=None), "expected numbers in a list of n for"),
        ([{"image_id": 3, "category_id": 1}], "expected the key segmentation"),
        (segmentation() * 65, "expected at most 64 masks of a frame and .* found more \\(frame 3\\)"),
        (segmentation(counts="0" * 10**6), "expected runs of 682 pixels together"),
        (segmentation(counts=[682]), "expected masks of hand, object or an occluder in .*, found none in 1 frames"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_in_a_sentence(clip: Clip, content: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence) as raised:
        read(clip, content)
    assert "masks.json" in str(raised.value)
    assert len(str(raised.value)) < 600


def shown_in(labels: dict[int, np.ndarray | None]) -> list[int]:
    return [number for number, shown in labels.items() if shown is not None]


def test_padded_numbers_are_names(clip: Clip) -> None:
    """And plain ones count."""
    assert shown_in(read(clip, {"0003": {"hand": rle(ONE, as_text=True)}})) == [3]
    assert shown_in(read(clip, {"1": {"hand": rle(ONE, as_text=True)}})) == [4]


def test_annotations_without_a_mask_are_passed_over(clip: Clip) -> None:
    content = coco(drawn(), as_text=True)
    content["annotations"].insert(0, {"id": 9, "image_id": 104, "category_id": 4, "segmentation": [], "keypoints": []})
    assert shown_in(read(clip, content)) == [3, 7]


def gray(value: int, size: tuple[int, int] = (WIDTH, HEIGHT), mode: str = "L") -> Image.Image:
    return Image.new(mode, size, value)


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "expected masks of hand, object or an occluder in .*, found none in 0 frames"),
        ({"3.png": gray(255)}, "found none in 1 frames .* belong into the sub-folders hand and object"),
        ({"3.png": gray(4)}, "expected 0 \\(background\\), 1 \\(hand\\), .* found 4"),
        ({"3.png": gray(1, (HEIGHT, WIDTH))}, "expected a mask of the pictures' size, 31×22, .* found 22×31"),
        ({"5.png": gray(1)}, "found one of 5.png, which is none of them"),
        ({"3.jpg": gray(1)}, "expected masks as PNG files in .*, found 3.jpg"),
        ({"3.png": gray(1), "mask_0003.png": gray(1)}, "expected one mask for each frame in .* of frame 3"),
        ({"3.png": gray(1, mode="RGB")}, "found colours \\(RGB\\); save it as a grey PNG"),
        (
            {"hand/3.png": gray(1), "3.png": gray(1)},
            "in the sub-folders hand, object, occluder, unknown of .* found 3.png beside",
        ),
        ({"hand/3.png": gray(1, mode="RGBA")}, "found colours \\(RGBA\\)"),
    ],
)
def test_what_is_wrong_in_a_folder_is_said_in_a_sentence(
    clip: Clip, tmp_path: Path, files: dict[str, Image.Image], sentence: str
) -> None:
    folder = tmp_path / "masks"
    folder.mkdir()
    for name, image in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        image.save(folder / name)
    with pytest.raises(DataError, match=sentence):
        read_masks(folder, clip)


@pytest.mark.parametrize(
    ("palette", "right"),
    [([0, 0, 0, 128, 0, 0], True), ([120, 120, 120, 180, 9, 0], True), ([255, 255, 255, 0, 0, 0], False)],
    ids=["black first", "no black", "black not first"],
)
def test_palettes(clip: Clip, tmp_path: Path, palette: list[int], right: bool) -> None:
    """What is black in a palette that a program has ordered by frequency would be the hand."""
    image = Image.frombytes("P", (WIDTH, HEIGHT), ONE.astype(np.uint8).tobytes())
    image.putpalette(palette)
    for file in (tmp_path / "parts/hand/3.png", tmp_path / "whole/3.png"):
        file.parent.mkdir(parents=True)
        image.save(file)
    for folder in (tmp_path / "parts", tmp_path / "whole"):
        if right:
            assert read_masks(folder, clip).hands == 1
        else:
            with pytest.raises(DataError, match=r"the black one of the palette in .*3\.png, found another; save"):
                read_masks(folder, clip)


def test_no_such_masks(clip: Clip, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a folder of PNG files or a JSON file of run lengths, found no"):
        read_masks(tmp_path / "none", clip)
