"""The actions of a user of the annotation page, by buttons, keys, handles or clicks."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from warpgrasp.annotate.edited_frame import PointPair
from warpgrasp.annotate.page import AnnotatePage
from warpgrasp.annotate.state import ReadOnlyError
from warpgrasp.errors import UserError
from warpgrasp.frame import Pose
from warpgrasp.hand import JOINTS
from warpgrasp.refinement import RefinedFrame, refine_frame

NUDGE, FINE_NUDGE = 1.01, 1.001  # steps in depth
PLACE_OF = {"object": "object_centre", "hand": "wrist"}  # the fields of `Pose`

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
        self.page.show_note(f"copied from frame {source}")

    # Drawing.

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
        """Set how opaque hand and object are."""
        self.page.panel.opacity.value = opacity
        self.page.draw()

    def view_from_camera(self) -> None:
        """Put every viewer where the camera stood."""
        for client in self.page.server.get_clients().values():
            self.page.view_from_camera(client.camera)

    # Poses.

    def move(self, part: str) -> None:
        """Show the handles of the object, of the hand, or none."""
        self.page.moved, self.page.clicking = part, "nothing"
        self.page.asked = self.page.corner = None
        if self.page.state.read_only is not None:
            self.page.moved = "nothing"
            raise ReadOnlyError(f"this recording is open for reading only: {self.page.state.read_only}")
        self.page.show()

    def drag(self, part: str, wxyz: Float[np.ndarray, " 4"], place: Float[np.ndarray, " 3"]) -> None:
        """Follow a handle."""
        rotation = Rotation.from_quat(wxyz, scalar_first=True).as_matrix()
        parts = {f"{part}_rotation": rotation, PLACE_OF[part]: place}
        self.page.change(self.page.state.current.moved(**parts), by=part, handles=False)

    def set_depth(self, part: str, depth_m: float) -> None:
        """Move along the line of sight, so that the place in the picture stays."""
        place = self._place(part)
        moved = self.page.state.current.moved(**{PLACE_OF[part]: place * depth_m / place[2]})
        self.page.change(moved, by=f"{part} depth")

    def nudge(self, factor: float) -> None:
        """Move the part that has handles nearer or farther."""
        part = self.page.moved
        if part != "nothing":
            self.set_depth(part, float(self._place(part)[2]) * factor)

    def _place(self, part: str) -> Float[np.ndarray, " 3"]:
        current = self.page.state.current
        return current.object_centre if part == "object" else current.wrist

    def bend(self, row: str, finger: int, degrees: float) -> None:
        """Set one angle of one finger."""
        current = self.page.state.current
        angles = self.page.axes.angles(current.joint_angles)
        wanted = getattr(angles, row).copy()
        wanted[finger] = np.radians(degrees)
        joint_angles = self.page.axes.with_angles(current.joint_angles, replace(angles, **{row: wanted}))
        self.page.change(current.moved(joint_angles=joint_angles), by=f"{row} {finger}")

    def set_shape(self, number: int, value: float) -> None:
        """Set one shape parameter; the wrist stays where it is."""
        current = self.page.state.current
        shape = current.shape.copy()
        shape[number] = value
        self.page.change(current.moved(shape=shape), by=f"shape {number}")

    # Clicks.

    def click_on(self, mode: str) -> None:
        """Let clicks mean points of the object, joints of the hand, corners of a box around it, or nothing."""
        self.page.clicking, self.page.asked, self.page.corner = mode, None, None
        if mode == "joints":
            self._ask_for_next_joint()
        self.page.show()

    def clicked(self, origin: Float[np.ndarray, " 3"], direction: Float[np.ndarray, " 3"]) -> None:
        """Take a click along a ray of the world."""
        page, current = self.page, self.page.state.current
        if page.clicking == "points" and page.asked is None:
            page.asked = page.scene.object_point_of_ray(origin, direction, current)
            page.show()
            if page.asked is None:
                page.show_note("there is no object where you clicked")
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
        page.show_status()

    def _ask_for_next_joint(self) -> None:
        """Choose the first joint, from the chosen one on, that was not clicked on yet."""
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
        elif page.clicking == "box":
            page.corner = None
            page.show()
        elif page.clicking == "joints" and current.joints_px:
            name = current.joints_px[-1][0]
            page.change(current.with_joint(name, None))
            page.panel.joint.value = name
            page.show_status()
        elif page.clicking != "joints" and current.pairs:
            page.change(replace(current, pairs=current.pairs[:-1]))

    def clear(self, kind: str) -> None:
        """Take all points of the object back, or all joints of the hand."""
        self.page.asked = None
        empty = {"pairs": ()} if kind == "points" else {"joints_px": ()}
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
        self.page.show_note(note)

    def refine(self) -> None:
        """Move hand and object until they have the colours of the nearest label; takes seconds."""
        self.page.act_after("refining …", self._refined)

    def _refined(self) -> Action:
        """Refine without holding up anybody; the action that is to follow, under the page's lock, is returned."""
        state = self.page.state
        number, before = state.frame, state.current.pose
        label, refined = self._refine(number, before)

        def apply() -> None:
            if state.frame != number or state.current.pose is not before:
                raise UserError("the frame was changed while it was being refined; the refined poses were dropped")
            self.page.change(state.current.posed(refined.pose))
            self.page.show_note(
                f"refined by frame {label}: colour difference {refined.difference_before:.3f} → "
                f"{refined.difference_after:.3f}, over {100 * refined.compared_share:.0f} % of its surface"
            )

        return apply

    def _refine(self, number: int, pose: Pose) -> tuple[int, RefinedFrame]:
        """Refine a frame by its nearest label, whose number comes first."""
        state = self.page.state
        others = [label for label in state.labelled if label != number]
        if not others:
            raise UserError("expected a label in another frame, by whose colours to refine this one, found none")
        times = dict(zip(state.numbers, state.recording.clip.times_in_intervals(state.numbers), strict=True))
        nearest = min(others, key=lambda label: abs(times[label] - times[number]))
        pictures = [torch.from_numpy(self.page.read(shown)).permute(2, 0, 1) for shown in (number, nearest)]
        label, model = state.pose(nearest), state.recording.object.model
        refined = refine_frame(pose, label, torch.stack(pictures), camera=state.camera, hand=state.hand, model=model)
        return nearest, refined
