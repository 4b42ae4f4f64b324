"""Everything that a user of the annotation page can do, by buttons, keys, handles or clicks."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from warpgrasp.annotate.page import AnnotatePage
from warpgrasp.annotate.poses import PointPair
from warpgrasp.annotate.refinement import View, refine
from warpgrasp.annotate.state import ReadOnlyError
from warpgrasp.errors import UserError
from warpgrasp.hand import JOINTS

NUDGE, FINE_NUDGE = 1.01, 1.001  # steps in depth


Action = Callable[[], None]


class AnnotateActions:
    """The actions on one page. All but `refine` and those that turn to a frame are short."""

    def __init__(self, page: AnnotatePage):
        self.page = page

    # Frames.

    def step(self, by: int) -> None:
        """Go some frames on."""
        numbers = self.page.state.numbers
        position = self.page.positions[self.page.wanted] + by
        self.page.show_frame(numbers[min(max(position, 0), len(numbers) - 1)])

    def jump(self, by: int) -> None:
        """Go to the next label or the one before."""
        labels = self.page.state.labelled
        further = [frame for frame in labels if (frame - self.page.wanted) * by > 0]
        if further:
            self.page.show_frame(min(further, key=lambda frame: abs(frame - self.page.wanted)))

    def go_to_suggested(self) -> None:
        """Go to the frame that is worth annotating next."""
        frame = self.page.suggested()
        if frame is not None:
            self.page.show_frame(frame)

    # Labels.

    def set_done(self, done: bool) -> None:
        """Make a label of the frame, or a draft."""
        self.page.change(replace(self.page.state.current, done=done))

    def toggle_done(self) -> None:
        """Make a label of a draft, and a draft of a label."""
        self.set_done(not self.page.state.current.done)

    def set_held_out(self, held_out: bool) -> None:
        """Keep the label for evaluation, or use it for training."""
        self.page.change(replace(self.page.state.current, use="evaluation" if held_out else "train"))

    def undo(self) -> None:
        """Take the last change back."""
        if not self.page.state.undo():
            raise UserError("there is nothing to undo in this frame")
        self.page.show()

    def redo(self) -> None:
        """Make a change again."""
        if not self.page.state.redo():
            raise UserError("there is nothing to redo in this frame")
        self.page.show()

    def copy(self) -> None:
        """Take the poses of the annotation before."""
        source = self.page.state.copy_from_previous()
        if source is None:
            raise UserError("there is no other annotated frame to copy from")
        self.page.show()
        self.page.tell(f"copied from frame {source}")

    # How it looks.

    def draw_as(self, style: str) -> None:
        """Draw surfaces, wireframes or nothing."""
        self.page.hidden = style == "hidden"
        self.page.wireframe = style == "wireframe" if style != "hidden" else self.page.wireframe
        self.page.draw()

    def toggle_wireframe(self) -> None:
        """Draw wireframes, or surfaces again."""
        self.draw_as("surface" if self.page.wireframe and not self.page.hidden else "wireframe")

    def toggle_hidden(self) -> None:
        """Hide hand and object, or show them again."""
        self.page.hidden = not self.page.hidden
        self.page.draw()

    def set_opacity(self, opacity: float) -> None:
        """How opaque hand and object are."""
        self.page.panel.opacity.value = opacity
        self.page.draw()

    def view_from_camera(self) -> None:
        """Put every viewer where the camera stood."""
        for client in self.page.server.get_clients().values():
            self.page.view_from_camera(client.camera)

    # Poses.

    def move(self, which: str) -> None:
        """Show the handles of the object, of the hand, or none."""
        self.page.moved, self.page.clicking, self.page.asked = which, "nothing", None
        if self.page.state.read_only is not None:
            self.page.moved = "nothing"
            raise ReadOnlyError(f"this recording is open for reading only: {self.page.state.read_only}")
        self.page.show()

    def drag(self, which: str, wxyz: Float[np.ndarray, " 4"], place: Float[np.ndarray, " 3"]) -> None:
        """What a handle was moved to."""
        rotation = Rotation.from_quat(wxyz, scalar_first=True).as_rotvec()
        current = self.page.state.current
        if which == "object":
            changed = current.with_object(rotation=rotation, centre=np.array(place))
        else:
            changed = current.with_hand(rotation=rotation, wrist=np.array(place))
        self.page.change(changed, by=which, handles=False)

    def set_depth(self, which: str, depth_m: float) -> None:
        """Move along the line of sight, so that the place in the picture stays."""
        current = self.page.state.current
        if which == "object":
            changed = current.with_object(centre=current.object.centre * depth_m / current.object.centre[2])
        else:
            changed = current.with_hand(wrist=current.hand.wrist * depth_m / current.hand.wrist[2])
        self.page.change(changed, by=f"{which} depth")

    def nudge(self, factor: float) -> None:
        """Move what has handles nearer or farther."""
        current, which = self.page.state.current, self.page.moved
        if which != "nothing":
            depth = current.object.centre[2] if which == "object" else current.hand.wrist[2]
            self.set_depth(which, float(depth) * factor)

    def bend(self, row: str, finger: int, degrees: float) -> None:
        """Set one angle of one finger."""
        current = self.page.state.current
        angles = self.page.axes.angles(current.hand.joints)
        wanted = getattr(angles, row).copy()
        wanted[finger] = np.radians(degrees)
        joints = self.page.axes.with_angles(current.hand.joints, replace(angles, **{row: wanted}))
        self.page.change(current.with_hand(joints=joints), by=f"{row} {finger}")

    def set_shape(self, number: int, value: float) -> None:
        """Set one shape parameter; the wrist stays where it is."""
        current = self.page.state.current
        shape = current.hand.shape.copy()
        shape[number] = value
        self.page.change(current.with_hand(shape=shape), by=f"shape {number}")

    # Clicks.

    def click_on(self, mode: str) -> None:
        """What clicks mean: points of the object, joints of the hand, or nothing."""
        self.page.clicking, self.page.asked = mode, None
        if mode == "joints":
            self._ask_for_next_joint()
        self.page.show()

    def clicked(self, origin: Float[np.ndarray, " 3"], direction: Float[np.ndarray, " 3"]) -> None:
        """A click along a ray of the world."""
        page, current = self.page, self.page.state.current
        if page.clicking == "points" and page.asked is None:
            page.asked = page.scene.object_point_of_ray(origin, direction, current)
            page.show()
            if page.asked is None:
                page.tell("there is no object where you clicked")
            return
        pixel = page.scene.pixel_of_ray(origin, direction)
        if page.clicking == "nothing" or pixel is None:
            return
        if page.clicking == "joints":
            page.change(current.with_joint(page.panel.joint.value, pixel))
            self._ask_for_next_joint()
        elif page.asked is not None:
            pair, page.asked = PointPair(page.asked, pixel), None
            page.change(replace(current, pairs=(*current.pairs, pair)))
        page.say()

    def _ask_for_next_joint(self) -> None:
        """The first joint after the one at hand that was not clicked on yet."""
        seen = {name for name, _ in self.page.state.current.joints_px}
        start = JOINTS.index(self.page.panel.joint.value)
        missing = [name for name in (*JOINTS[start:], *JOINTS[:start]) if name not in seen]
        if missing:
            self.page.panel.joint.value = missing[0]

    def take_back(self) -> None:
        """Take the last click back."""
        page, current = self.page, self.page.state.current
        if page.clicking == "points" and page.asked is not None:
            page.asked = None
            page.show()
        elif page.clicking == "joints" and current.joints_px:
            name = current.joints_px[-1][0]
            page.change(current.with_joint(name, None))
            page.panel.joint.value = name
            page.say()
        elif page.clicking != "joints" and current.pairs:
            page.change(replace(current, pairs=current.pairs[:-1]))

    def clear(self, what: str) -> None:
        """Take all points of the object back, or all joints of the hand."""
        self.page.asked = None
        empty = {"pairs": ()} if what == "points" else {"joints_px": ()}
        self.page.change(replace(self.page.state.current, **empty))

    def place_object(self) -> None:
        """Put the object where its points are seen."""
        self.page.state.place_object_by_pairs()
        self._finish_clicking("the object is placed by its points; undo brings it back")

    def fit_hand(self) -> None:
        """Put the hand where its joints are seen."""
        missed_px = self.page.state.fit_hand_to_joints()
        self._finish_clicking(f"the hand is fitted: {missed_px:.1f} px from its joints on average")

    def _finish_clicking(self, note: str) -> None:
        self.page.clicking, self.page.asked = "nothing", None
        self.page.show()
        self.page.tell(note)

    def refine(self) -> None:
        """Move hand and object until they have the colours of the nearest label; takes seconds."""
        page = self.page
        with page.lock:
            if page.refining:
                return
            page.refining = True
            page.tell("refining …")
        try:
            page.act(self._refined())
        finally:
            page.refining = False

    def _refined(self) -> Action:
        """What is to be done once the poses are refined, which holds nobody up."""
        state = self.page.state
        frame, before = state.frame, state.current
        others = [label for label in state.labelled if label != frame]
        try:
            if not others:
                raise UserError("expected a label in another frame, by whose colours to refine this one, found none")
            nearest = min(others, key=lambda label: abs(label - frame))
            recording = state.recording
            here = View(self.page.read(frame), state.annotation(frame, before))
            there = View(self.page.read(nearest), state.annotation(nearest))
            found = refine(before, here, there, camera=state.camera, model=recording.object.model, hand=state.hand)
        except UserError as error:
            refusal = error

            def refuse() -> None:
                raise refusal

            return refuse

        def apply() -> None:
            if state.frame != frame or state.current is not before:
                raise UserError("the frame was changed while it was being refined; the refined poses were dropped")
            self.page.change(found.state)
            self.page.tell(
                f"refined by frame {nearest}: colour difference {found.before:.3f} → {found.after:.3f}, over "
                f"{100 * found.compared_share:.0f} % of its surface"
            )

        return apply
