"""The annotation page of one recording, which shows its `AnnotationState` and saves it, and the panel beside the scene.

User actions (actions.py) run under the page's lock, for a short time each; reading a frame and refining run outside it,
since viser's event loop waits for the lock too.
"""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import viser
from jaxtyping import Float, UInt8

from warpgrasp.annotate.edited_frame import FEWEST_PAIRS, NEAREST_M, EditedFrame
from warpgrasp.annotate.scene import AnnotateScene, at_camera, go_to_camera
from warpgrasp.annotate.state import AnnotationState
from warpgrasp.errors import DataError, UserError
from warpgrasp.hand import FEWEST_JOINTS, FINGERS, JOINTS, FingerAngles, FingerAxes
from warpgrasp.refinement import suggested_position

SAVE_EVERY_S = 0.3
GESTURE_PAUSE_S = 1.0  # changes by one control that are farther apart are two
LISTED_LABELS = 12
KNUCKLE_DEG, CURL_DEG, SPREAD_DEG = (-60.0, 110.0), (-45.0, 120.0), (-45.0, 60.0)
SHAPE_RANGE = 4.0  # standard deviations
FARTHEST_SLIDER_M = 2.0
MOVED = ("object", "hand", "nothing")
STYLES = ("surface", "wireframe", "hidden")


class AnnotatePage:
    """One recording's page on a viser server."""

    def __init__(self, server: viser.ViserServer, state: AnnotationState):
        """Build scene and controls, show the first frame, and begin to save."""
        self.server, self.state, self.lock = server, state, threading.RLock()
        self.axes = FingerAxes.of(state.hand.template)
        self.scene = AnnotateScene(server.scene, state.recording, state.hand)
        shapes = state.hand.shape_count
        self.panel = AnnotatePanel(
            server.gui, frames=len(state.numbers), shapes=shapes, disabled=state.read_only is not None
        )
        self.positions = {number: position for position, number in enumerate(state.numbers)}
        self.wanted = state.frame  # the frame asked for last
        self.moved = "object" if state.read_only is None else "nothing"
        self.clicking = "nothing"
        self.asked: Float[np.ndarray, " 3"] | None = None  # a point of the object whose pixel is still to come
        self.wireframe, self.hidden, self.refining = False, False, False
        self._travelled = np.arange(len(state.numbers), dtype=np.float64)
        self._touched: tuple[str, float] = ("", 0.0)
        self._note, self._saved_at, self._trouble, self._turned = "", "", "", False
        self._reading, self._stop = threading.Lock(), threading.Event()
        self.show_frame(state.frame)
        self._saver = threading.Thread(target=self._save_again_and_again, daemon=True)
        self._saver.start()

    def close(self) -> None:
        """Stop, and write all changes. Raises `OSError` or `DataError` when that is impossible."""
        self._stop.set()
        self._saver.join()
        self.state.save()

    def set_travelled(self, travelled: Float[np.ndarray, " n"]) -> None:
        """Suggest frames by how far the picture has moved up to each of them."""
        with self.lock:
            self._travelled = travelled
            self.show_status()

    def show_frame(self, frame: int) -> None:
        """Turn to a frame, unless another one is asked for meanwhile."""
        self.wanted = frame
        try:
            with self._reading:
                if frame != self.wanted:
                    return
                picture = self.state.recording.picture(frame)
        except DataError as error:
            trouble = str(error)
            self.act(lambda: self.show_note(f"⚠️ {trouble}"))
            return
        self.act(lambda: self._turn_to(frame, picture))

    def read(self, frame: int) -> UInt8[np.ndarray, "h w 3"]:
        """A frame's picture; one at a time, since a decoder serves one thread only."""
        with self._reading:
            return self.state.recording.picture(frame)

    def _turn_to(self, frame: int, picture: np.ndarray) -> None:
        if frame != self.wanted:
            return
        self.state.go_to(frame)
        self.asked = None
        self.scene.show_picture(picture, self.state.current)
        self.show()

    def act(self, action: Callable[[], None]) -> None:
        """Run an action under the page's lock. A `UserError` becomes a note, and the page shows the unchanged state."""
        with self.lock:
            self._note = ""
            try:
                action()
            except UserError as error:
                self.wanted = self.state.frame
                self.show()
                self.show_note(f"⚠️ {error}")

    def change(self, changed: EditedFrame, *, by: str = "", handles: bool = True) -> None:
        """Change the frame at hand; changes by the same control without a pause are one gesture."""
        name, when = self._touched
        if name != by or time.monotonic() - when > GESTURE_PAUSE_S:
            self.state.end_gesture()
        self._touched = (by, time.monotonic())
        self.state.change(changed, gesture=by or None)
        self.show(handles=handles)

    def show(self, *, handles: bool = True) -> None:
        """Show the frame at hand as it is; set its handles too, unless they have just been moved."""
        with self.server.atomic():
            current = self.state.current
            self.scene.show(current, handles=handles)
            self.scene.show_points(current, self.asked, kind=self.clicking)
            angles = self.axes.angles(current.joint_angles)
            self.panel.show(current, angles, position=self.positions[self.state.frame])
            self.draw()
            self.show_status()

    def draw(self) -> None:
        """Draw hand and object in the chosen style; hide them where a click on the picture is awaited."""
        clicking = self.clicking != "nothing"
        pixel_awaited = self.clicking == "joints" or (clicking and self.asked is not None)
        self.scene.set_style(
            opacity=self.panel.opacity.value,
            wireframe=self.wireframe,
            object_shown=not (self.hidden or pixel_awaited),
            hand_shown=not (self.hidden or clicking),
        )
        self.scene.set_handles("nothing" if clicking or self.hidden else self.moved)

    def show_note(self, note: str) -> None:
        """Show a note until the next action."""
        self._note = note
        self.show_status()

    def show_status(self) -> None:
        """Show which frames are labelled, what is saved, and what the page waits for."""
        state, panel = self.state, self.panel
        kind = "label" if state.current.done else "draft" if state.frame in state.drafted else "not begun"
        labels, suggested = state.labelled, self.suggested()
        listed = ", ".join(map(str, labels[:LISTED_LABELS])) + (" …" if len(labels) > LISTED_LABELS else "")
        lines = [f"**frame {state.frame}** · {kind}", f"{len(labels)} labels{': ' + listed if labels else ''}"]
        lines += [] if suggested is None else [f"suggested next: {suggested}"]
        panel.summary.content = "  \n".join(lines)
        clicked = f"{len(state.current.pairs)} points of the object, {len(state.current.joints_px)} joints of the hand"
        panel.clicked.content = clicked
        turned = "view turned: V brings it back to the camera" if self._turned else ""
        panel.status.content = "  \n".join(filter(None, [self._saved(), self._question(), turned, self._note]))

    def _saved(self) -> str:
        if self.state.read_only is not None:
            return f"🔒 **read only**: {self.state.read_only}"
        if self._trouble:
            return f"⚠️ **not saved**: {self._trouble} (trying again)"
        return "… saving" if self.state.unsaved else f"✓ saved{self._saved_at}"

    def _question(self) -> str:
        current = self.state.current
        if self.clicking == "points":
            step = "the same point in the **picture**" if self.asked is not None else "a point of the **object**"
            return f"👉 Click on {step}. {len(current.pairs)} pairs; {FEWEST_PAIRS} are needed. (Esc ends)"
        if self.clicking == "joints":
            seen, joint = len(current.joints_px), self.panel.joint.value
            return f"👉 Click on **{joint}** in the picture. {seen} of 21; {FEWEST_JOINTS} are needed. (Esc ends)"
        return ""

    def suggested(self) -> int | None:
        """The frame that is worth annotating next."""
        labelled = [self.positions[frame] for frame in self.state.labelled]
        position = suggested_position(labelled, self._travelled)
        return None if position is None else self.state.numbers[position]

    def view_from_camera(self, camera: viser.CameraHandle) -> None:
        """Put a viewer where the recording's camera stood."""
        current = self.state.current
        target = (current.object_centre + current.wrist) / 2
        go_to_camera(camera, self.state.recording.lens, zoom=self.panel.zoom.value, target=target)

    def welcome(self, client: viser.ClientHandle) -> None:
        """Put a new viewer at the camera, again when the window changes its shape, and note turned views."""
        aspect = client.camera.aspect
        self.view_from_camera(client.camera)

        @client.camera.on_update
        def _(camera: viser.CameraHandle) -> None:
            nonlocal aspect
            turned = not at_camera(camera)
            if abs(camera.aspect - aspect) > 1e-3 and not turned:
                aspect = camera.aspect
                self.view_from_camera(camera)
            if turned != self._turned:
                with self.lock:
                    self._turned = turned
                    self.show_status()

    def _save_again_and_again(self) -> None:
        while not self._stop.wait(SAVE_EVERY_S):
            self.save()

    def save(self) -> None:
        """Write all changes, and show that they are on disk."""
        if not self.state.unsaved:
            return
        try:
            self.state.save()
            trouble = ""
        except (OSError, DataError) as error:
            trouble = str(error)
        with self.lock:
            self._trouble = trouble
            self._saved_at = time.strftime(" at %H:%M:%S")
            self.show_status()


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
    """The handles of all controls, made once and set to a frame's values. Nothing is decided here."""

    def __init__(self, gui: viser.GuiApi, *, frames: int, shapes: int, disabled: bool):
        """`disabled` makes a panel for looking only."""
        gui.configure_theme(show_logo=False, show_share_button=False, control_width="large", dark_mode=True)
        gui.set_panel_label("warpgrasp annotate")
        gui.main_panel.dock_right()
        self.status = gui.add_markdown("")
        with gui.add_folder("Frame"):
            self._add_frame_controls(gui, frames, disabled=disabled)
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
        self.go = gui.add_button_group("go to", ("‹", "›", "‹ label", "label ›", "suggested"))
        self.done = gui.add_checkbox("finished", initial_value=False, disabled=disabled)
        self.held_out = gui.add_checkbox("held out", initial_value=False, disabled=disabled)
        self.edit = gui.add_button_group("edit", ("undo", "redo", "copy from before"), disabled=disabled)

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
        self.click = gui.add_button_group("click on", ("points", "joints", "nothing"), disabled=disabled)
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
