"""Copying the grasp of a label or of a prediction: hand and object as they lie to each other."""

from dataclasses import replace

from warpgrasp.annotate.edited_frame import EditedFrame
from warpgrasp.annotate.page import AnnotatePage
from warpgrasp.annotate.panel import COPIED, NO_GRASP, PREDICTION
from warpgrasp.errors import UserError
from warpgrasp.frame import Pose


class GraspActions:
    """The actions on one page, all of them short."""

    def __init__(self, page: AnnotatePage):
        self.page = page

    def copy(self, how: str) -> None:
        """Copy the chosen grasp, in one of the ways of `COPIED`; from then on hand and object move together."""
        page = self.page
        page.state.require_writable()
        name, grasp = self._chosen()
        page.coupled = True
        page.change(page.state.current.posed(placed_grasp(grasp, page.state.current, how)))
        page.show_note(f"the grasp of {name} is copied; hand and object move together until Y ends it")

    def _chosen(self) -> tuple[str, Pose]:
        """The grasp that is chosen, and what it is called."""
        page, chosen = self.page, self.page.panel.grasp_of.value
        if chosen == NO_GRASP:
            raise UserError(
                "expected a label in another frame, or predictions (annotate --predictions FILE), whose grasp to copy; "
                "there are none"
            )
        if chosen != PREDICTION:
            return chosen, page.state.pose(int(chosen.split()[1]))
        assert page.predicted is not None
        number = int(page.panel.predicted_frame.value)
        return f"the prediction of frame {number}", self._with_labels_shape(page.predicted.pose(number), number)

    def _with_labels_shape(self, pose: Pose, number: int) -> Pose:
        """The pose with the shape of the nearest label, which says more of the hand than a prediction does."""
        labels = self.page.state.labelled
        if not labels:
            return pose
        nearest = min(labels, key=lambda label: abs(label - number))
        return replace(pose, shape=self.page.state.pose(nearest).shape)


def placed_grasp(grasp: Pose, frame: EditedFrame, how: str) -> Pose:
    """A grasp where it was, about the object of the frame, or about its hand (see `COPIED`)."""
    as_it_was, to_object, to_hand = COPIED
    if how == as_it_was:
        return grasp
    source, own = EditedFrame(grasp), frame.pose
    if how == to_object:
        moved = source.carried("object", frame.object_rotation, frame.object_centre, coupled=True).pose
        return replace(moved, object_rotation=own.object_rotation, object_centre=own.object_centre)
    assert how == to_hand
    moved = source.carried("hand", frame.hand_rotation, frame.wrist, coupled=True).pose
    return replace(own, object_rotation=moved.object_rotation, object_centre=moved.object_centre)
