"""The panel beside the scene of the annotation page: its controls, set to a frame. Nothing is decided here."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import viser

from warpgrasp.annotate.edited_frame import NEAREST_M, EditedFrame
from warpgrasp.hand import FINGERS, JOINTS, FingerAngles

KNUCKLE_DEG, CURL_DEG, SPREAD_DEG = (-60.0, 110.0), (-45.0, 120.0), (-45.0, 60.0)
SHAPE_RANGE = 4.0  # standard deviations
FARTHEST_SLIDER_M = 2.0
MOVED = ("object", "hand", "nothing")
CLICKED = ("points", "joints", "box", "nothing")
STYLES = ("surface", "wireframe", "hidden")


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

    def __init__(self, gui: viser.GuiApi, *, frames: int, shapes: int, disabled: bool):
        """`disabled` makes a panel for looking only."""
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
        with gui.add_folder("Fingers and shape (degrees, standard deviations)"):
            self._add_finger_controls(gui, shapes, disabled=disabled)
        with gui.add_folder("By clicking"):
            self._add_click_controls(gui, disabled=disabled)
        with gui.add_folder("Keyboard", expand_by_default=False):
            self.keys = gui.add_markdown("")

    def _add_frame_controls(self, gui: viser.GuiApi, frames: int, *, disabled: bool) -> None:
        self.summary = gui.add_markdown("")
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

    def _add_finger_controls(self, gui: viser.GuiApi, shapes: int, *, disabled: bool) -> None:
        tabs, rows = gui.add_tab_group(), []
        for title, (low, high) in (("bend", KNUCKLE_DEG), ("curl", CURL_DEG), ("spread", SPREAD_DEG)):
            bounds = {"min": low, "max": high, "step": 0.5, "initial_value": 0.0, "disabled": disabled}
            with tabs.add_tab(title):
                rows.append(tuple(gui.add_slider(finger, **bounds) for finger in FINGERS))
        self.fingers = Fingers(*rows)
        bounds = {"min": -SHAPE_RANGE, "max": SHAPE_RANGE, "step": 0.05, "initial_value": 0.0, "disabled": disabled}
        with tabs.add_tab("shape"):
            self.shape = tuple(gui.add_slider(f"shape {number + 1}", **bounds) for number in range(shapes))

    def _add_click_controls(self, gui: viser.GuiApi, *, disabled: bool) -> None:
        self.clicked = gui.add_markdown("")
        self.click = gui.add_button_group("click on", CLICKED, disabled=disabled)
        self.joint = gui.add_dropdown("next joint", JOINTS, disabled=disabled)
        self.take_back = gui.add_button_group("take back", ("last", "all points", "all joints"), disabled=disabled)
        self.place = gui.add_button("Place the object by its points", disabled=disabled)
        self.fit = gui.add_button("Fit the hand to its joints", disabled=disabled)
        self.refine = gui.add_button("Refine by the nearest label's colours", disabled=disabled)

    def show(self, frame: EditedFrame, angles: FingerAngles, *, position: int) -> None:
        """Set every control to a frame's values. Values outside a slider's range stand at its end."""
        self.position.value = position
        self.done.value, self.held_out.value = frame.done, frame.use == "evaluation"
        for row, sliders in self.fingers.rows.items():
            _set(sliders, np.degrees(getattr(angles, row)))
        _set(self.shape, frame.shape)
        _set((self.object_depth, self.hand_depth), (frame.object_centre[2], frame.wrist[2]))


def _set(sliders: Iterable[viser.GuiSliderHandle[float]], values: Iterable[float]) -> None:
    for slider, value in zip(sliders, values, strict=True):
        step = slider.step
        rounded = round(float(value) / step) * step
        slider.value = round(min(max(rounded, slider.min), slider.max), 6)
