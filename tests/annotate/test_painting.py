"""Masks on the annotation page, without a browser: strokes, undo, the files, and what refining goes by."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("viser", reason="needs the extra `viewer`")

from tests.annotate.conftest import opened, said_by, shown
from warpgrasp.annotate.clicks import ClickActions
from warpgrasp.annotate.masks import Mask, with_mask
from warpgrasp.annotate.page import AnnotatePage
from warpgrasp.annotate.painting import PaintActions, Phase
from warpgrasp.annotate.refining import RefineActions
from warpgrasp.annotate.state import AnnotationState, ReadOnlyError
from warpgrasp.data.recording import HAND, OBJECT, UNKNOWN, Lens, MaskFolder, Recording, read_masks, write_lens
from warpgrasp.hand import HandModel

EYE = np.zeros(3)
LINE = ((10.0, 20.0), (30.0, 20.0), (50.0, 20.0))
ROUND = ((20.0, 10.0), (40.0, 10.0), (40.0, 30.0), (20.0, 30.0), (20.0, 11.0))


@pytest.fixture
def painting(page: AnnotatePage) -> PaintActions:
    return PaintActions(page)


def stroke(painting: PaintActions, pixels: Sequence[tuple[float, float]], *, shift: bool = False) -> None:
    """Drag over pixels of the recording's picture: places on their rays, as a browser tells them."""
    between: list[Phase] = ["update"] * (len(pixels) - 2)
    phases: list[Phase] = ["start", *between, "end"]
    for phase, (u, v) in zip(phases, pixels, strict=True):
        place = 0.7 * np.array([(u - 31.5) / 60, (v - 23.5) / 60, 1.0])
        painting.page.act(lambda phase=phase, place=place: painting.drag(phase, place, EYE, shift=shift))


def labels_of(state: AnnotationState) -> np.ndarray:
    assert state.current.mask is not None
    return state.current.mask.labels


def test_strokes_paint_erase_and_are_undone_one_by_one(painting: PaintActions) -> None:
    page = painting.page
    painting.begin_next()
    page.panel.radius.value = 2.0
    assert "Paint **the object**" in said_by(page)
    stroke(painting, LINE)
    labels = labels_of(page.state)
    v, u = np.nonzero(labels == OBJECT)
    assert (u.min(), u.max()) == (8, 52)
    assert (v.min(), v.max()) == (18, 22)
    assert set(np.unique(labels)) == {0, OBJECT}
    stroke(painting, [(30.0, 5.0), (30.0, 20.0), (30.0, 40.0)], shift=True)  # erases through the middle
    assert not labels_of(page.state)[:, 29:32].any()
    painting.begin_next()
    assert "Paint **the hand**" in said_by(page)
    stroke(painting, [(50.0, 20.0), (52.0, 20.0)])
    assert labels_of(page.state)[20, 51] == HAND
    painting.toggle_erasing()
    stroke(painting, [(10.0, 20.0), (60.0, 20.0)])  # of the hand alone
    assert not (labels_of(page.state) == HAND).any()
    assert labels_of(page.state)[20, 12] == OBJECT
    ClickActions(page).take_back()
    assert labels_of(page.state)[20, 51] == HAND
    for _ in range(2):
        page.state.undo()
    np.testing.assert_array_equal(labels_of(page.state), labels)
    page.state.undo()
    assert page.state.current.mask is None
    assert not page.state.undo()


def test_a_closed_stroke_is_filled_unless_that_is_not_wanted(painting: PaintActions) -> None:
    page = painting.page
    painting.begin("object")
    page.panel.radius.value = 1.0
    stroke(painting, ROUND)
    assert (labels_of(page.state)[11:30, 21:40] == OBJECT).all()
    page.state.undo()  # ring and filling are one
    assert page.state.current.mask is None
    painting.toggle_filling()
    stroke(painting, ROUND)
    assert not labels_of(page.state)[13:28, 23:38].any()
    painting.clear()
    assert not labels_of(page.state).any()


def test_a_dab_the_brush_and_what_lies_beside_the_picture(painting: PaintActions) -> None:
    page = painting.page
    painting.begin("unknown")
    page.panel.radius.value = 3.0
    page.act(lambda: painting.dab(EYE, np.array([0.0, 0.0, 1.0])))
    marked = labels_of(page.state) == UNKNOWN
    assert marked.sum() == pytest.approx(np.pi * 9, rel=0.4)
    page.act(lambda: painting.dab(EYE, np.array([5.0, 0.0, 1.0])))
    assert "beside the picture; paint inside of it" in said_by(page)
    for steps, radius in ((1, 4.0), (-1, 3.0), (-1, 2.5), (30, 100.0)):
        for _ in range(abs(steps)):
            painting.resize(1 if steps > 0 else -1)
        assert page.panel.radius.value == radius
    assert f"brush of {page.panel.radius.value:g} px" in said_by(page)
    painting.begin("nothing")
    before = page.state.current
    stroke(painting, LINE)
    assert page.state.current is before


def test_masks_are_saved_read_again_and_read_by_densify(folder: Path, hand: HandModel) -> None:
    """Also of a frame that nobody has begun, which becomes a draft; what is undone leaves no file."""
    state = opened(folder, hand)
    with shown(state) as page:
        painting = PaintActions(page)
        page.show_frame(1)
        painting.begin("object")
        stroke(painting, ROUND)
        page.show_frame(3)
        stroke(painting, LINE)
        page.save()
        assert [file.name for file in sorted((folder / "masks").iterdir())] == ["000001.png", "000003.png"]
        page.state.undo()
        painted = state.edited(1).mask
    assert [file.name for file in (folder / "masks").iterdir()] == ["000001.png"]
    with Image.open(folder / "masks" / "000001.png") as file:
        assert (file.mode, (file.getpalette() or [])[6:9]) == ("P", [69, 143, 245])
    masks = read_masks(folder / "masks", Recording.read(folder).clip)
    assert (list(masks.readers), masks.objects, masks.hands) == ([1], 1, 0)
    again = opened(folder, hand)
    assert again.drafted == [1]
    assert painted is not None
    assert again.edited(1).mask == painted
    np.testing.assert_array_equal(masks.labels(1), painted.labels)
    again.go_to(1)
    again.change(replace(again.current, mask=None))
    again.save()
    assert not (folder / "masks").exists()


def test_a_given_mask_is_painted_on_and_stays_where_it_was(folder: Path, hand: HandModel, tmp_path: Path) -> None:
    labels = np.zeros((48, 64), np.uint8)
    labels[10:20, 10:30] = HAND
    (tmp_path / "given").mkdir()
    Image.fromarray(labels).save(tmp_path / "given" / "3.png")
    recording = Recording.read(folder)
    state = AnnotationState(recording, hand, masks=read_masks(tmp_path / "given", recording.clip))
    with shown(state) as page:
        page.show_frame(3)
        np.testing.assert_array_equal(labels_of(state), labels)
        painting = PaintActions(page)
        painting.begin("object")
        stroke(painting, LINE)
        page.save()
        given = RefineActions(page)._mask(3, [0])
        assert given is not None
        np.testing.assert_array_equal(given.labels, labels_of(state))
        assert given.of_labels == ()
        assert RefineActions(page)._mask(0, [3]) is None
        assert (folder / "masks" / "000003.png").exists()
        state.undo()
    assert not (folder / "masks").exists()
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "given" / "3.png")), labels)


def test_nothing_is_painted_or_written_where_one_may_only_look(folder: Path, hand: HandModel) -> None:
    state = opened(folder, hand, read_only="somebody else is writing")
    with shown(state) as page:
        painting = PaintActions(page)
        with pytest.raises(ReadOnlyError):
            painting.begin("object")
        page.act(lambda: painting.begin("object"))
        assert page.clicking == "nothing"
        assert page.panel.erasing.disabled
    assert not (folder / "masks").exists()


@pytest.mark.parametrize("there", ["sub-folder", "notes", "link"])
def test_a_folder_that_is_not_for_painting_is_left_alone(
    folder: Path, hand: HandModel, tmp_path: Path, there: str
) -> None:
    masks = folder / "masks"
    match there:
        case "sub-folder":
            (masks / "hand").mkdir(parents=True)
            said = "expected one PNG file for each frame"
        case "notes":
            masks.mkdir()
            (masks / "notes.txt").touch()
            said = "expected masks as PNG files"
        case _:
            (tmp_path / "elsewhere").mkdir()
            masks.symlink_to(tmp_path / "elsewhere")
            said = "expected a folder of the recording's own to paint masks into"
    with shown(opened(folder, hand)) as page:
        page.act(lambda: PaintActions(page).begin("object"))
        assert f"nothing can be painted: {said}" in said_by(page)
        assert page.clicking == "nothing"


def test_a_mask_goes_through_a_lens_and_back(folder: Path) -> None:
    """Painted on the straightened picture, stored as the lens sees it: all but what a pixel's rounding moves."""
    write_lens(folder, Lens(np.array([[60.0, 0, 31.5], [0, 60.0, 23.5], [0, 0, 1]]), 64, 48, (-0.2, 0.03, 0.0, 0.0)))
    clip = Recording.read(folder).clip
    labels = Mask.empty(48, 64).labels.copy()
    labels[12:36, 16:40] = OBJECT
    MaskFolder(folder / "masks", clip).write(2, labels)
    stored = read_masks(folder / "masks", clip).labels(2)
    assert stored is not None
    assert (stored != labels).any()
    ((number, back),) = MaskFolder(folder / "masks", clip).read()
    wrong = (back == OBJECT) != (labels == OBJECT)
    assert number == 2
    assert wrong.sum() < 25  # of its outline, 96 px
    assert not wrong[14:34, 18:38].any()


def test_what_is_drawn(painting: PaintActions) -> None:
    picture = np.full((48, 64, 3), 100, np.uint8)
    labels = np.zeros((48, 64), np.uint8)
    labels[10:30, 10:30] = OBJECT
    outlined, tinted = (with_mask(picture, labels, tinted=tinted) for tinted in (False, True))
    assert tuple(outlined[10, 15]) == tuple(tinted[10, 15]) == (69, 143, 245)
    assert tuple(outlined[20, 20]) == tuple(outlined[40, 40]) == tuple(tinted[40, 40]) == (100, 100, 100)
    assert tinted[20, 20, 2] > 150
