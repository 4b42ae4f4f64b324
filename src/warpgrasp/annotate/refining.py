"""Refining a frame of the annotation page by the colours that its nearest label shows, and by its mask."""

from collections.abc import Sequence
from functools import partial
from itertools import islice

import torch

from warpgrasp.annotate.actions import Action
from warpgrasp.annotate.edited_frame import PLACE_OF, EditedFrame, Part
from warpgrasp.annotate.page import AnnotatePage
from warpgrasp.errors import UserError
from warpgrasp.frame import Pose
from warpgrasp.geometry import axis_angle_from_matrix
from warpgrasp.hand import HandModel
from warpgrasp.refinement import ONE_FRAME, GivenMask, RefinedFrame, refine_frame
from warpgrasp.scene import posed_hand

MASKED_LABELS = 4  # the nearest, which tell the masks' margins


class RefineActions:
    """The actions on one page. None of them holds the page's lock while it refines."""

    def __init__(self, page: AnnotatePage):
        self.page = page

    def refine(self, part: Part | None = None) -> None:
        """Move hand and object, or one alone, until they have the colours of the nearest label; takes seconds."""
        self.page.act_after("refining …", lambda: self._refined(part))

    def refine_moved(self) -> None:
        """Refine the part that has handles alone."""
        moved = self.page.moved
        if moved == "nothing":
            self.page.act(partial(self.page.show_note, "⚠️ choose what to refine alone: O the object, H the hand"))
        else:
            self.refine(moved)

    def _refined(self, part: Part | None) -> Action:
        """Refine without holding up anybody; the action that is to follow, under the page's lock, is returned."""
        state = self.page.state
        number, before = state.frame, state.current.pose
        label, refined = self._refine(number, before, part)

        def apply() -> None:
            state.require_unchanged(number, before, "it was being refined; the refined poses were dropped")
            self.page.change(with_part(state.current, refined.pose, part))
            alone = "" if part is None else f", the {part} alone"
            self.page.show_note(
                f"refined by frame {label}{alone}: colour difference {refined.difference_before:.3f} → "
                f"{refined.difference_after:.3f}, over {100 * refined.compared_share:.0f} % of its surface"
                f"{says_overlaps(refined)}; "
                f"{says_moved(before, state.current.pose, state.hand)}; U takes it back"
            )

        return apply

    def _refine(self, number: int, pose: Pose, part: Part | None) -> tuple[int, RefinedFrame]:
        """Refine a frame by its nearest label, whose number comes first."""
        state = self.page.state
        others = [label for label in state.labelled if label != number]
        if not others:
            raise UserError("expected a label in another frame, by whose colours to refine this one, found none")
        times = dict(zip(state.numbers, state.recording.clip.times_in_intervals(state.numbers), strict=True))
        others.sort(key=lambda label: abs(times[label] - times[number]))
        nearest = others[0]
        pictures = torch.stack(
            [torch.from_numpy(self.page.read(shown)).permute(2, 0, 1) for shown in (number, nearest)]
        )
        label, model = state.pose(nearest), state.recording.object.model
        descent = ONE_FRAME if part is None else ONE_FRAME.of_part(part)
        masks = state.seen(number), state.seen(nearest)
        occluded = [None if mask is None else mask.occluded for mask in masks]
        parts = {"camera": state.camera, "hand": state.hand, "model": model, "descent": descent}
        return nearest, refine_frame(pose, label, pictures, **parts, mask=self._mask(number, others), occluded=occluded)

    def _mask(self, number: int, labels: Sequence[int]) -> GivenMask | None:
        """The mask of a frame, and of the nearest labels that have one; None where it tells nothing."""
        state, mask = self.page.state, self.page.state.seen(number)
        if mask is None or not mask.tells:
            return None
        with_mask = ((label, state.edited(label).mask) for label in labels)
        seen = ((state.seen(label), state.pose(label)) for label, own in with_mask if own is not None and own.tells)
        masked = ((one.labels, pose) for one, pose in seen if one is not None)
        return GivenMask(mask.labels, tuple(islice(masked, MASKED_LABELS)))


def with_part(frame: EditedFrame, pose: Pose, part: Part | None) -> EditedFrame:
    """The frame with a pose, or with the object or the hand of it alone."""
    if part is None:
        return frame.posed(pose)
    refined = EditedFrame(pose)
    fields = (f"{part}_rotation", PLACE_OF[part], *(("joint_angles",) if part == "hand" else ()))
    return frame.moved(**{name: getattr(refined, name) for name in fields})


def says_overlaps(refined: RefinedFrame) -> str:
    """How far the silhouettes overlap with the masks, where there are any."""
    if refined.overlaps is None:
        return ""
    overlaps = zip(("hand", "object"), refined.overlaps.T.tolist(), strict=True)
    said = [f"{part} {before:.2f} → {after:.2f}" for part, (before, after) in overlaps if after == after]
    return f", overlap with the mask: {', '.join(said)}"


@torch.no_grad()
def says_moved(before: Pose, after: Pose, hand: HandModel) -> str:
    """How far hand and object have moved."""
    joints = [posed_hand(pose.to(torch.float32), hand)[1][0] for pose in (before, after)]
    hand_mm = 1000 * float((joints[1] - joints[0]).norm(dim=-1).mean())
    centre_mm = 1000 * float((after.object_centre - before.object_centre).norm())
    turn = axis_angle_from_matrix(after.object_rotation @ before.object_rotation.transpose(1, 2))
    turned_deg = float(torch.rad2deg(turn.norm()))
    of_object = f"the object by {centre_mm:.1f} mm and {turned_deg:.1f}°"
    return f"the hand's joints moved by {hand_mm:.1f} mm on average, {of_object}"
