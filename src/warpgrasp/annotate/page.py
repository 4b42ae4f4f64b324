"""The annotation page of one recording, which shows its `AnnotationState` and saves it.

User actions (actions.py, finding.py) run under the page's lock, for a short time each; reading a frame, refining and
looking for a hand run outside it, since viser's event loop waits for the lock too.
"""

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Literal

import numpy as np
import viser
from jaxtyping import Float, UInt8

from warpgrasp.annotate.edited_frame import EditedFrame, Part
from warpgrasp.annotate.masks import MaskPart
from warpgrasp.annotate.pairs import PairCheck
from warpgrasp.annotate.panel import AnnotatePanel, says_where_not, score_strip
from warpgrasp.annotate.predicted import PredictedPoses
from warpgrasp.annotate.scene import AnnotateScene, Awaited, at_camera, go_to_camera
from warpgrasp.annotate.sitting import Sitting
from warpgrasp.annotate.state import AnnotationState
from warpgrasp.annotate.wording import (
    says_clicked,
    says_frame,
    says_missing,
    says_painting,
    says_steps,
    says_what_is_asked,
)
from warpgrasp.errors import DataError, UserError
from warpgrasp.hand import JOINTS, FingerAxes, HandSizes
from warpgrasp.plain_text import markdown
from warpgrasp.refinement import ScannedVideo, suggested_position

Shown = Literal["object", "hand", "nothing"]
SAVE_EVERY_S = 0.3
GESTURE_PAUSE_S = 1.0  # changes by one control that are farther apart are two
WARNED_S = 6.0  # for so long a warning lies over the scene


class AnnotatePage:
    """One recording's page on a viser server."""

    def __init__(self, server: viser.ViserServer, state: AnnotationState, *, predicted: PredictedPoses | None = None):
        """Build scene and controls, show the first frame, and begin to save. `predicted` may be copied from."""
        self.server, self.state, self.lock = server, state, threading.RLock()
        self.predicted = predicted
        self.axes = FingerAxes.of(state.hand.template)
        self.scene = AnnotateScene(server.scene, state.recording, state.hand)
        self.sizes = HandSizes(state.hand)
        shapes = self.sizes.effects()
        self.panel = AnnotatePanel(
            server.gui,
            frames=len(state.numbers),
            width_px=state.recording.lens.width,
            of_both=state.is_of_both,
            shapes=shapes,
            disabled=state.read_only is not None,
        )
        self.positions = {number: position for position, number in enumerate(state.numbers)}
        self.sitting = Sitting(state.frame)
        self.wanted = state.frame  # the frame asked for last
        first: Part = "hand" if state.labelled_other else "object"  # which is where the other hand's labels have it
        self.moved: Shown = first if state.read_only is None else "nothing"
        self.stepping = False  # some letters mean steps of what has handles
        self.coupled = False  # hand and object move as one body
        self.clicking = "nothing"
        self.joint_chosen = False  # by hand, for the next click
        self.painted: MaskPart = "object"  # whose mask is painted, while clicks and drags mean that
        self.asked: Float[np.ndarray, " 3"] | None = None  # a point of the object whose pixel is still to come
        self.corner: Float[np.ndarray, " 2"] | None = None  # a box's first corner, whose opposite one is still to come
        self.missed: Float[np.ndarray, " 2"] | None = None  # where the last click was beside the object's mesh
        self._pairs = PairCheck(state.camera)
        self.wireframe, self.hidden = False, False
        self.busy, self.scanning = False, False  # while a frame is refined or a hand looked for; everywhere
        self.after_turning: Callable[[int], None] | None = None  # outside of the lock
        self._scores: Float[np.ndarray, " n"] | None = None  # how surely the hand is seen in each frame
        self._strip_of: tuple[object, ...] | None = None
        self._video = ScannedVideo.even(len(state.numbers))
        self._touched: tuple[str, float] = ("", 0.0)
        self._note, self._saved_at, self._trouble, self._turned = "", "", "", False
        self._reading, self.stop = threading.Lock(), threading.Event()
        self.show_frame(state.frame)
        self._saver = threading.Thread(target=self._save_again_and_again, daemon=True)
        self._saver.start()

    def close(self) -> None:
        """Stop, and write all changes. Raises `OSError` or `DataError` when that is impossible."""
        self.stop.set()
        self._saver.join()
        self.state.save()

    def set_scanned(self, video: ScannedVideo) -> None:
        """Suggest frames by how the picture moves and how sharp it is."""
        with self.lock:
            self._video = video
            self.show_status()

    def set_scores(self, scores: Float[np.ndarray, " n"]) -> None:
        """Show how surely the hand is seen in each frame."""
        self._scores = scores
        self.panel.strip_says.content = says_where_not(self.state.numbers, scores)
        self.panel.strip.visible = self.panel.strip_says.visible = True
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
        if self.after_turning is not None:
            self.after_turning(frame)

    def read(self, frame: int) -> UInt8[np.ndarray, "h w 3"]:
        """A frame's picture; one at a time, since a decoder serves one thread only."""
        with self._reading:
            return self.state.recording.picture(frame)

    def _turn_to(self, frame: int, picture: np.ndarray) -> None:
        if frame != self.wanted:
            return
        self.state.go_to(frame)
        self.sitting.turn_to(frame)
        self.panel.fit_shape.value = self.state.shape_is_unknown
        self.panel.predicted_frame.value = frame
        self.await_nothing()
        self.joint_chosen = False
        self.scene.set_picture(picture)
        self.show()

    def act(self, action: Callable[[], None]) -> None:
        """Run an action under the page's lock. A `UserError` becomes a note, and the page shows the unchanged state."""
        with self.lock:
            self._note = ""
            self.sitting.act()
            try:
                action()
            except UserError as error:
                self.wanted = self.state.frame
                self.show()
                self.show_note(f"⚠️ {error}")

    def act_after(self, note: str, work: Callable[[], Callable[[], None]]) -> None:
        """Do work that takes its time outside of the lock, and then, under it, the action that it returns.

        `note` says meanwhile what is done. While other such work is done, nothing happens.
        """
        with self.lock:
            if self.busy:
                return
            self.busy = True
            self.show_note(note)
        try:
            try:
                action = work()
            except UserError as error:
                action = partial(_refuse, error)
            self.act(action)
        finally:
            self.busy = False

    def change(self, changed: EditedFrame, *, by: str = "", dragged: Part | None = None) -> None:
        """Change the frame at hand; changes by the same control without a pause are one gesture."""
        name, when = self._touched
        if name != by or time.monotonic() - when > GESTURE_PAUSE_S:
            self.state.end_gesture()
        self._touched = (by, time.monotonic())
        self.state.change(changed, gesture=by or None)
        self.show(dragged=dragged)

    def show(self, *, dragged: Part | None = None) -> None:
        """Show the frame at hand as it is; set its handles too, but for the one that is being dragged."""
        with self.server.atomic():
            current = self.state.current
            placed = self._pairs.of(current.pairs)
            self.show_mask()
            self.scene.show(current, dragged=dragged)
            self.scene.show_points(
                current, self.awaited, kind=self.clicking, misfits=() if placed is None else placed.misfits
            )
            self.panel.show_pairs(len(current.pairs), placed)
            others = [label for label in self.state.labelled if label != self.state.frame]
            self.panel.show_grasps(others, predicted=self.predicted is not None)
            self.panel.coupled.value = self.coupled
            angles = self.axes.angles(current.joint_angles)
            length_m = self.sizes.length_m(current.shape)
            self.panel.show(current, angles, position=self.positions[self.state.frame], hand_length_m=length_m)
            self.draw()
            self.show_status()

    def show_mask(self) -> None:
        """Draw the frame's mask over the picture: its surface while it is painted, its outline where that is wanted."""
        painting = self.clicking == "mask"
        shown = painting or self.panel.outlines.value
        self.scene.set_paintable(painting)
        self.scene.set_mask(self.state.current.mask if shown else None, tinted=painting)

    def draw(self) -> None:
        """Draw hand and object in the chosen style; hide them where a click on the picture is awaited."""
        clicking = self.clicking != "nothing"
        pixel_awaited = self.clicking in ("joints", "box", "mask") or (clicking and self.asked is not None)
        self.scene.set_style(
            opacity=self.panel.opacity.value,
            wireframe=self.wireframe,
            object_shown=not (self.hidden or pixel_awaited),
            hand_shown=not (self.hidden or clicking),
        )
        self._draw_ghost(shown=self.panel.ghost.value and not (self.hidden or clicking))
        self.scene.set_handles("nothing" if clicking or self.hidden else self.moved)

    def _draw_ghost(self, *, shown: bool) -> None:
        other = self.state.other_annotation(self.state.frame) if shown else None
        vertices = None if other is None else other.hand_vertices
        self.scene.show_ghost(vertices, self.state.other_hand.hand, opacity=self.panel.opacity.value)

    @property
    def joint_to_click(self) -> str | None:
        """The joint that the next click means; None where all are clicked on and none is chosen: the nearest."""
        seen = len(self.state.current.joints_px) == len(JOINTS) and not self.joint_chosen
        return None if seen else self.panel.joint.value

    @property
    def awaited(self) -> Awaited:
        """What has been clicked on and is not complete, or was nothing."""
        return Awaited(self.asked, self.corner, self.missed)

    def await_nothing(self) -> None:
        """Forget what was clicked on and is not complete."""
        self.asked = self.corner = self.missed = None

    def show_note(self, note: str) -> None:
        """Show a note, in plain text, until the next action."""
        self._note = note
        self.show_status()

    def warn(self, note: str) -> None:
        """Say, so that nobody overlooks it, over the scene too, why a click was nothing."""
        self.show_note(f"⚠️ nothing was taken: {note}")
        for client in self.server.get_clients().values():
            client.add_notification("Nothing was taken", note, auto_close_seconds=WARNED_S, color="red")

    def show_status(self) -> None:
        """Show which frames are labelled, what is saved, and what the page waits for."""
        state, panel = self.state, self.panel
        labels = state.labelled
        panel.summary.content = "  \n".join([says_frame(state, self.suggested()), self.sitting.says(labels)])
        panel.missing.visible = not labels
        panel.missing.content = says_missing(state, self._pairs.of(state.current.pairs))
        panel.clicked.content = says_clicked(state.current, self._pairs.of(state.current.pairs))
        coupled = "🔗 hand and object move together (Y ends it)" if self.coupled else ""
        steps = says_steps(self.moved) if self.stepping else ""
        turned = "view turned: V brings it back to the camera" if self._turned else ""
        self._show_strip(labels)
        said = [self._saved(), self._asked(), steps, coupled, turned, markdown(self._note)]
        panel.status.content = "  \n".join(filter(None, said))

    def _show_strip(self, labels: list[int]) -> None:
        """Draw where the hand is seen, when that, the labels or the frame have changed."""
        shown = (id(self._scores), *labels, self.state.frame)
        if self._scores is None or shown == self._strip_of:
            return
        self._strip_of = shown
        labelled = [self.positions[label] for label in labels]
        self.panel.strip.image = score_strip(self._scores, labelled, self.positions[self.state.frame])

    def _saved(self) -> str:
        if self.state.read_only is not None:
            return f"🔒 **read only**: {markdown(self.state.read_only)}"
        if self._trouble:
            return f"⚠️ **not saved**: {markdown(self._trouble)} (trying again)"
        return "… saving" if self.state.unsaved else f"✓ saved{self._saved_at}"

    def _asked(self) -> str:
        if self.clicking == "mask":
            return says_painting(self.painted, self.panel.radius.value, erasing=self.panel.erasing.value)
        return says_what_is_asked(self.clicking, self.state.current, self.awaited, joint=self.joint_to_click)

    def suggested(self) -> int | None:
        """The frame that is worth annotating next."""
        labelled = [self.positions[frame] for frame in self.state.labelled]
        position = suggested_position(labelled, self._video)
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
            if turned:  # somebody looks at it from the side: that is work
                self.sitting.act()
            if abs(camera.aspect - aspect) > 1e-3 and not turned:
                aspect = camera.aspect
                self.view_from_camera(camera)
            if turned != self._turned:
                with self.lock:
                    self._turned = turned
                    self.show_status()

    def _save_again_and_again(self) -> None:
        while not self.stop.wait(SAVE_EVERY_S):
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


def _refuse(error: UserError) -> None:
    raise error
