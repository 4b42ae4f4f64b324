"""The panel beside the scene of the annotation page: its controls, set to a frame, and the strip that shows the video.

Nothing is decided here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import viser
from jaxtyping import Float, UInt8

from warpgrasp.annotate.edited_frame import NEAREST_M, EditedFrame
from warpgrasp.annotate.masks import MASK_PARTS
from warpgrasp.annotate.pairs import PlacedObject
from warpgrasp.hand import FINGERS, JOINTS, FingerAngles, ShapeEffect
from warpgrasp.keypoints import SURE_SCORE

KNUCKLE_DEG, CURL_DEG, SPREAD_DEG = (-60.0, 110.0), (-45.0, 120.0), (-45.0, 60.0)
SHAPE_RANGE = 4.0  # standard deviations
LENGTH_HINT = (
    "from the wrist to the tip of the stretched middle finger, along the bones; sets the shape nearest to this one"
)
SHORTEST_HAND_MM = 50.0  # what is typed as less are the first digits; a field with a minimum would put that there
FARTHEST_SLIDER_M = 2.0
MOVED = ("object", "hand", "nothing")
CLICKED = ("points", "joints", "box", "nothing")
PAINTED = (*MASK_PARTS, "nothing")
RADIUS_PX = (0.5, 100.0)  # of the brush
TAKEN_BACK = ("last", "this pair", "this joint")
NO_PAIR: str = "none"
NO_GRASP: str = "no other label yet"
PREDICTION = "prediction"
REFINED = ("both", "object alone", "hand alone")
COPIED = ("both", "hand to this object", "object to this hand")
STYLES = ("surface", "wireframe", "hidden")
LEAST_SCORE = 0.5  # below it no hand is seen
STRIP_PX = (480, 18)
SEEN, HARDLY_SEEN, NOT_SEEN = (70, 170, 90), (215, 180, 60), (120, 45, 45)
LABELLED, HERE = (255, 255, 255), (60, 160, 255)
LISTED_STRETCHES = 8


@dataclass(frozen=True)
class Fingers:
    """A slider for each finger (order: `FINGERS`)."""

    knuckle: tuple[viser.GuiSliderHandle[float], ...]
    curl: tuple[viser.GuiSliderHandle[float], ...]
    spread: tuple[viser.GuiSliderHandle[float], ...]

    @property
    def rows(self) -> dict[str, tuple[viser.GuiSliderHandle[float], ...]]:
        """The sliders by the names of `FingerAngles`."""
        return {"knuckle": self.knuckle, "curl": self.curl, "spread": self.spread}


class AnnotatePanel:
    """The handles of all controls, made once and set to a frame's values."""

    def __init__(
        self,
        gui: viser.GuiApi,
        *,
        frames: int,
        width_px: int,
        shapes: Sequence[ShapeEffect],
        of_both: bool,
        disabled: bool,
    ):
        """`width_px` is that of the pictures; `of_both` tells that the other hand is labelled too.

        `disabled` makes a panel for looking only.
        """
        gui.configure_theme(show_logo=False, show_share_button=False, control_width="large", dark_mode=True)
        gui.set_panel_label("warpgrasp annotate")
        gui.main_panel.dock_right()
        self.status = gui.add_markdown("")
        with gui.add_folder("Frame"):
            self._add_frame_controls(gui, frames, disabled=disabled)
        with gui.add_folder("Find the hand"):
            self._add_find_controls(gui, disabled=disabled)
        with gui.add_folder("View"):
            self.opacity = gui.add_slider("opacity", min=0.05, max=1.0, step=0.05, initial_value=0.5)
            self.ghost = gui.add_checkbox("the other hand", initial_value=True, visible=of_both)
            self.style = gui.add_button_group("draw as", STYLES)
            self.zoom = gui.add_slider("zoom", min=1.0, max=8.0, step=0.1, initial_value=1.0)
            self.camera = gui.add_button("Back to the camera's view")
        with gui.add_folder("Move"):
            self.moved = gui.add_button_group("handles of", MOVED, disabled=disabled)
            depth = {
                "min": NEAREST_M,
                "max": FARTHEST_SLIDER_M,
                "step": 0.001,
                "initial_value": 0.5,
                "disabled": disabled,
            }
            self.object_depth = gui.add_slider("object: depth (m)", **depth)
            self.hand_depth = gui.add_slider("hand: depth (m)", **depth)
            self.coupled = gui.add_checkbox("hand and object together", initial_value=False, disabled=disabled)
        with gui.add_folder("Copy a grasp"):
            self._add_grasp_controls(gui, disabled=disabled)
        with gui.add_folder("Fingers and shape (degrees, standard deviations)"):
            self._add_finger_controls(gui, shapes, disabled=disabled)
        with gui.add_folder("By clicking"):
            self._add_click_controls(gui, disabled=disabled)
        with gui.add_folder("Masks"):
            self._add_mask_controls(gui, width_px, disabled=disabled)
        with gui.add_folder("Keyboard", expand_by_default=False):
            self.keys = gui.add_markdown("")

    def _add_frame_controls(self, gui: viser.GuiApi, frames: int, *, disabled: bool) -> None:
        self.summary = gui.add_markdown("")
        self.missing = gui.add_markdown("", visible=False)
        self.position = gui.add_slider("frame", min=0, max=max(frames - 1, 1), step=1, initial_value=0)
        self.strip = gui.add_image(np.zeros((1, 1, 3), np.uint8), format="png", visible=False)
        self.strip_says = gui.add_markdown("", visible=False)
        self.go = gui.add_button_group("go to", ("‹", "›", "‹ label", "label ›", "suggested"))
        self.done = gui.add_checkbox("finished", initial_value=False, disabled=disabled)
        self.held_out = gui.add_checkbox("held out", initial_value=False, disabled=disabled)
        self.edit = gui.add_button_group("edit", ("undo", "redo", "copy from before"), disabled=disabled)

    def _add_find_controls(self, gui: viser.GuiApi, *, disabled: bool) -> None:
        self.find = gui.add_button("Find the hand", disabled=disabled)
        self.find_in_new = gui.add_checkbox("in new frames too", initial_value=True, disabled=disabled)
        self.find_everywhere = gui.add_button("Find the hand in every frame")
        self.progress = gui.add_progress_bar(0.0, visible=False)

    def _add_grasp_controls(self, gui: viser.GuiApi, *, disabled: bool) -> None:
        self.grasp_of = gui.add_dropdown("of", (NO_GRASP,), disabled=disabled)
        self.predicted_frame = gui.add_number("of frame", 0, step=1, visible=False, disabled=disabled)
        self.copy_grasp = gui.add_button_group("copy", COPIED, disabled=disabled)

    def _add_finger_controls(self, gui: viser.GuiApi, shapes: Sequence[ShapeEffect], *, disabled: bool) -> None:
        tabs, rows = gui.add_tab_group(), []
        for title, (low, high) in (("bend", KNUCKLE_DEG), ("curl", CURL_DEG), ("spread", SPREAD_DEG)):
            bounds = {"min": low, "max": high, "step": 0.5, "initial_value": 0.0, "disabled": disabled}
            with tabs.add_tab(title):
                rows.append(tuple(gui.add_slider(finger, **bounds) for finger in FINGERS))
        self.fingers = Fingers(*rows)
        bounds = {"min": -SHAPE_RANGE, "max": SHAPE_RANGE, "step": 0.05, "initial_value": 0.0, "disabled": disabled}
        with tabs.add_tab("shape"):
            self.hand_length = gui.add_number(
                "length of the hand (mm)", 180.0, max=400.0, step=0.5, disabled=disabled, hint=LENGTH_HINT
            )
            self.shape = tuple(
                gui.add_slider(f"{number + 1}: {effect.name}", hint=effect.details, **bounds)
                for number, effect in enumerate(shapes)
            )

    def _add_click_controls(self, gui: viser.GuiApi, *, disabled: bool) -> None:
        self.clicked = gui.add_markdown("")
        self.click = gui.add_button_group("click on", CLICKED, disabled=disabled)
        self.joint = gui.add_dropdown("next joint", JOINTS, disabled=disabled)
        self.pair = gui.add_dropdown("pair", (NO_PAIR,), disabled=disabled)
        self.take_back = gui.add_button_group("take back", TAKEN_BACK, disabled=disabled)
        self.clear = gui.add_button_group("clear", ("all points", "all joints"), disabled=disabled)
        self.place = gui.add_button("Place the object by its points", disabled=disabled)
        self.fit = gui.add_button("Fit the hand to its joints", disabled=disabled)
        self.fit_shape = gui.add_checkbox("its shape too", initial_value=False, disabled=disabled)
        self.refine = gui.add_button_group("refine by colours", REFINED, disabled=disabled)

    def _add_mask_controls(self, gui: viser.GuiApi, width_px: int, *, disabled: bool) -> None:
        self.outlines = gui.add_checkbox("outlines over the picture", initial_value=True)
        self.painted = gui.add_button_group("paint", PAINTED, disabled=disabled)
        self.erasing = gui.add_checkbox("erase", initial_value=False, disabled=disabled)
        bounds = {"min": RADIUS_PX[0], "max": RADIUS_PX[1], "step": 0.5, "disabled": disabled}
        self.radius = gui.add_slider("radius of the brush (px)", initial_value=usual_radius_px(width_px), **bounds)
        self.filling = gui.add_checkbox("closed strokes are filled", initial_value=True, disabled=disabled)
        self.clear_mask = gui.add_button("Clear this part's mask", disabled=disabled)

    @property
    def chosen_pair(self) -> int | None:
        """The position of the pair that is chosen."""
        number = self.pair.value.split(":")[0]
        return int(number) - 1 if number.isdigit() else None

    def show_pairs(self, count: int, placed: PlacedObject | None) -> None:
        """List the pairs with their misses; one that does not fit is chosen, or the last when their number changes."""
        listed = [f"{number + 1}" for number in range(count)]
        if placed is not None:
            far = [" ⚠️ does not fit" if number in placed.misfits else "" for number in range(count)]
            misses = placed.misses_px
            listed = [f"{listed[n]}: {misses[n]:.1f} px off{far[n]}" for n in range(count)]
        options = tuple(listed) or (NO_PAIR,)
        if options == self.pair.options:
            return
        self.pair.options = options
        wrong = placed.misfits if placed is not None else ()
        self.pair.value = options[max(wrong, key=lambda n: placed.misses_px[n]) if wrong and placed else -1]

    def show_grasps(self, labels: Sequence[int], *, predicted: bool) -> None:
        """List the labels, and the predictions where there are some, whose grasp may be copied."""
        options = (*(f"label {label}" for label in labels), *((PREDICTION,) if predicted else ())) or (NO_GRASP,)
        if options != self.grasp_of.options:
            self.grasp_of.options = options
        self.predicted_frame.visible = self.grasp_of.value == PREDICTION

    def show(self, frame: EditedFrame, angles: FingerAngles, *, position: int, hand_length_m: float) -> None:
        """Set every control to a frame's values. Values outside a slider's range stand at its end."""
        self.position.value = position
        self.done.value, self.held_out.value = frame.done, frame.use == "evaluation"
        for row, sliders in self.fingers.rows.items():
            _set(sliders, np.degrees(getattr(angles, row)))
        _set(self.shape, frame.shape)
        length_mm = round(1000 * hand_length_m, 1)
        if self.hand_length.value != length_mm:  # else it may still be typed: nothing is sent back
            self.hand_length.value = length_mm
        _set((self.object_depth, self.hand_depth), (frame.object_centre[2], frame.wrist[2]))


def _set(sliders: Iterable[viser.GuiSliderHandle[float]], values: Iterable[float]) -> None:
    for slider, value in zip(sliders, values, strict=True):
        step = slider.step
        rounded = round(float(value) / step) * step
        slider.value = round(min(max(rounded, slider.min), slider.max), 6)


def usual_radius_px(width_px: int) -> float:
    """The brush that one begins with: a hundredth of the picture's width."""
    return min(max(round(2 * width_px / 100) / 2, RADIUS_PX[0]), RADIUS_PX[1])


def score_strip(scores: Float[np.ndarray, " n"], labelled: Sequence[int], here: int) -> UInt8[np.ndarray, "h w 3"]:
    """A picture of the video from left to right: green where the hand is seen, yellow where hardly, red where not.

    `labelled` are the positions of labels, white ticks; `here` is that of the frame at hand. Of frames that share a
    column the worst is shown.
    """
    width, height = STRIP_PX
    first = np.arange(width) * len(scores) // width
    last = np.maximum(np.append(first[1:], len(scores)), first + 1)
    worst = np.array([scores[start:end].min() for start, end in zip(first, last, strict=True)])
    colours = np.array([NOT_SEEN, HARDLY_SEEN, SEEN], np.uint8)
    row = colours[(worst >= LEAST_SCORE).astype(int) + (worst >= SURE_SCORE)]
    strip = np.broadcast_to(row, (height, width, 3)).copy()
    for label in labelled:
        strip[: height // 2, _columns(label, len(scores))] = LABELLED
    strip[:, _columns(here, len(scores))] = HERE
    return strip


def _columns(position: int, count: int) -> slice:
    width = STRIP_PX[0]
    middle = round((position + 0.5) * width / count)
    return slice(max(middle - 1, 0), middle + 2)


def says_where_not(numbers: Sequence[int], scores: Float[np.ndarray, " n"]) -> str:
    """The frames in which no hand is seen, in words."""
    unseen = [number for number, score in zip(numbers, scores, strict=True) if score < LEAST_SCORE]
    if not unseen:
        return "the hand is seen in every frame"
    positions = {number: position for position, number in enumerate(numbers)}
    stretches: list[list[int]] = []
    for number in unseen:
        if stretches and positions[number] == positions[stretches[-1][-1]] + 1:
            stretches[-1].append(number)
        else:
            stretches.append([number])
    told = [str(one[0]) if len(one) == 1 else f"{one[0]} to {one[-1]}" for one in stretches]
    more = " …" if len(told) > LISTED_STRETCHES else ""
    return f"no hand is seen in {len(unseen)} of {len(numbers)} frames: {', '.join(told[:LISTED_STRETCHES])}{more}"
