"""The actions of a user of the annotation page, by buttons, keys, handles or clicks."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from warpgrasp.annotate.edited_frame import Part
from warpgrasp.annotate.page import AnnotatePage, Shown
from warpgrasp.annotate.panel import SHORTEST_HAND_MM
from warpgrasp.errors import UserError

NUDGE, FINE_NUDGE = 1.01, 1.001  # steps in depth

Action = Callable[[], None]


class AnnotateActions:
    """The actions on one page. All but those that turn to a frame are short."""

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

    def toggle_ghost(self) -> None:
        """Show the other hand, or hide it."""
        if not self.page.state.is_of_both:
            raise UserError("this recording is of one hand; `warpgrasp annotate --hands both` labels the other one too")
        self.page.panel.ghost.value = not self.page.panel.ghost.value
        self.page.draw()

    def toggle_outlines(self) -> None:
        """Show the outlines of the frame's mask, or hide them."""
        self.page.panel.outlines.value = not self.page.panel.outlines.value
        self.page.show_mask()

    def set_opacity(self, opacity: float) -> None:
        """Set how opaque hand and object are."""
        self.page.panel.opacity.value = opacity
        self.page.draw()

    def view_from_camera(self) -> None:
        """Put every viewer where the camera stood."""
        for client in self.page.server.get_clients().values():
            self.page.view_from_camera(client.camera)

    # Poses.

    def move(self, part: Shown) -> None:
        """Show the handles of the object, of the hand, or none."""
        self.page.moved, self.page.clicking, self.page.stepping = part, "nothing", False
        self.page.await_nothing()
        if self.page.state.read_only is not None:
            self.page.moved = "nothing"
        self.page.state.require_writable()
        self.page.show()

    def drag(self, part: Part, wxyz: Float[np.ndarray, " 4"], place: Float[np.ndarray, " 3"]) -> None:
        """Follow a handle."""
        rotation = Rotation.from_quat(wxyz, scalar_first=True).as_matrix()
        moved = self.page.state.current.carried(part, rotation, place, coupled=self.page.coupled)
        self.page.change(moved, by=part, dragged=part)

    def set_depth(self, part: Part, depth_m: float) -> None:
        """Move along the line of sight, so that the place in the picture stays."""
        current = self.page.state.current
        rotation, place = current.placed(part)
        moved = current.carried(part, rotation, place * depth_m / place[2], coupled=self.page.coupled)
        self.page.change(moved, by=f"{part} depth")

    def nudge(self, factor: float) -> None:
        """Move the part that has handles nearer or farther."""
        part = self.page.moved
        if part != "nothing":
            self.set_depth(part, float(self.page.state.current.placed(part)[1][2]) * factor)

    def couple(self, coupled: bool) -> None:
        """Let hand and object move as one body, or each for itself."""
        self.page.coupled = coupled
        self.page.show()

    def bend(self, row: str, finger: int, degrees: float) -> None:
        """Set one angle of one finger."""
        current = self.page.state.current
        angles = self.page.axes.angles(current.joint_angles)
        wanted = getattr(angles, row).copy()
        wanted[finger] = np.radians(degrees)
        joint_angles = self.page.axes.with_angles(current.joint_angles, replace(angles, **{row: wanted}))
        self.page.change(current.moved(joint_angles=joint_angles), by=f"{row} {finger}")

    def set_length(self, length_mm: float) -> None:
        """Take the shape nearest to the hand's whose length is measured so; fits keep it.

        Every digit that is typed comes here: while they are no hand's length, nothing happens.
        """
        if length_mm < SHORTEST_HAND_MM:
            return
        self.page.panel.fit_shape.value = False
        current = self.page.state.current
        shape = self.page.sizes.shape_of_length(current.shape, length_mm / 1000)
        self.page.change(current.moved(shape=shape), by="length")

    def set_shape(self, number: int, value: float) -> None:
        """Set one shape parameter; the wrist stays where it is, and fits keep the shape."""
        self.page.panel.fit_shape.value = False
        current = self.page.state.current
        shape = current.shape.copy()
        shape[number] = value
        self.page.change(current.moved(shape=shape), by=f"shape {number}")
