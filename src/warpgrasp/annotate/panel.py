"""The controls beside the annotation page's scene: made once, and set to a frame's state. Nothing is decided here."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import viser

from warpgrasp.annotate.poses import FrameState
from warpgrasp.annotate.state import NEAREST_M
from warpgrasp.hand import FINGERS, JOINTS, FingerAngles

KNUCKLE_DEG, CURL_DEG, SPREAD_DEG = (-60.0, 110.0), (-45.0, 120.0), (-45.0, 60.0)
SHAPE_RANGE = 4.0  # standard deviations
FARTHEST_SLIDER_M = 2.0
MOVED = ("object", "hand", "nothing")
STYLES = ("surface", "wireframe", "hidden")
KEYS = """
| key | |
|---|---|
| Page Down, Page Up | next, previous frame (Shift: by 10) |
| K, J | next, previous label |
| N | suggested frame |
| L | finish the frame: a label; again: a draft |
| C | copy from the annotation before |
| Ctrl+Z, U · Ctrl+Shift+Z, R | undo · redo |
| O, H, Z | move the object, the hand, nothing |
| T, G | nearer, farther (Shift: finer) |
| V | back to the camera's view |
| X | surface, wireframe |
| B | hide and show |
| 1 … 9, 0 | opacity 10 % … 90 %, 100 % |
| P, I | click points of the object, joints of the hand |
| Backspace, Escape | take the last point back, stop clicking |
| F | refine by the colours of the nearest label |
| Ctrl+K | all commands by name |
"""


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
    """The handles of all controls."""

    def __init__(self, gui: viser.GuiApi, *, frames: int, shapes: int, read_only: str | None):
        self.gui = gui
        gui.configure_theme(show_logo=False, show_share_button=False, control_width="large", dark_mode=True)
        gui.set_panel_label("warpgrasp annotate")
        gui.main_panel.dock_right()
        self.status = gui.add_markdown("")
        still = read_only is not None
        with gui.add_folder("Frame"):
            self.summary = gui.add_markdown("")
            self.position = gui.add_slider("frame", min=0, max=max(frames - 1, 1), step=1, initial_value=0)
            self.go = gui.add_button_group("go to", ("‹", "›", "‹ label", "label ›", "suggested"))
            self.done = gui.add_checkbox("finished", initial_value=False, disabled=still)
            self.held_out = gui.add_checkbox("held out", initial_value=False, disabled=still)
            self.edit = gui.add_button_group("edit", ("undo", "redo", "copy from before"), disabled=still)
        with gui.add_folder("View"):
            self.opacity = gui.add_slider("opacity", min=0.05, max=1.0, step=0.05, initial_value=0.5)
            self.style = gui.add_button_group("draw as", STYLES)
            self.zoom = gui.add_slider("zoom", min=1.0, max=8.0, step=0.1, initial_value=1.0)
            self.camera = gui.add_button("Back to the camera's view")
        with gui.add_folder("Move"):
            self.moved = gui.add_button_group("handles of", MOVED, disabled=still)
            depth = {"min": NEAREST_M, "max": FARTHEST_SLIDER_M, "step": 0.001, "initial_value": 0.5, "disabled": still}
            self.object_depth = gui.add_slider("object: depth (m)", **depth)
            self.hand_depth = gui.add_slider("hand: depth (m)", **depth)
        with gui.add_folder("Fingers and shape (degrees, standard deviations)"):
            self._fingers_and_shape(gui, shapes, disabled=still)
        with gui.add_folder("By clicking"):
            self.clicked = gui.add_markdown("")
            self.click = gui.add_button_group("click on", ("points", "joints", "nothing"), disabled=still)
            self.joint = gui.add_dropdown("next joint", JOINTS, disabled=still)
            self.take_back = gui.add_button_group("take back", ("last", "all points", "all joints"), disabled=still)
            self.place = gui.add_button("Place the object by its points", disabled=still)
            self.fit = gui.add_button("Fit the hand to its joints", disabled=still)
            self.refine = gui.add_button("Refine by the nearest label's colours", disabled=still)
        with gui.add_folder("Keyboard", expand_by_default=False):
            gui.add_markdown(KEYS)

    def _fingers_and_shape(self, gui: viser.GuiApi, shapes: int, *, disabled: bool) -> None:
        tabs, rows = gui.add_tab_group(), []
        for title, (low, high) in (("bend", KNUCKLE_DEG), ("curl", CURL_DEG), ("spread", SPREAD_DEG)):
            with tabs.add_tab(title):
                rows.append(
                    tuple(
                        gui.add_slider(finger, min=low, max=high, step=0.5, initial_value=0.0, disabled=disabled)
                        for finger in FINGERS
                    )
                )
        self.fingers = Fingers(*rows)
        bounds = {"min": -SHAPE_RANGE, "max": SHAPE_RANGE, "step": 0.05, "initial_value": 0.0, "disabled": disabled}
        with tabs.add_tab("shape"):
            self.shape = tuple(gui.add_slider(f"shape {number + 1}", **bounds) for number in range(shapes))

    def show(self, state: FrameState, angles: FingerAngles, *, position: int) -> None:
        """Set every control to a frame's state. Values outside a slider's range stand at its end."""
        self.position.value = position
        self.done.value, self.held_out.value = state.done, state.use == "evaluation"
        for row, sliders in self.fingers.rows.items():
            _set(sliders, np.degrees(getattr(angles, row)))
        _set(self.shape, state.hand.shape)
        _set((self.object_depth, self.hand_depth), (state.object.centre[2], state.hand.wrist[2]))


def _set(sliders: Iterable[viser.GuiSliderHandle[float]], values: Iterable[float]) -> None:
    for slider, value in zip(sliders, values, strict=True):
        step = slider.step
        rounded = round(float(value) / step) * step
        slider.value = round(min(max(rounded, slider.min), slider.max), 6)
