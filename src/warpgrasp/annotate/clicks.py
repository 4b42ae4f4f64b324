"""Clicks on the annotation page: points of the object with their pixels, joints of the hand, and what they fix."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from warpgrasp.annotate.edited_frame import PointPair
from warpgrasp.annotate.page import AnnotatePage
from warpgrasp.annotate.pairs import says_misfits
from warpgrasp.errors import UserError
from warpgrasp.hand import JOINTS


class ClickActions:
    """The actions on one page, all of them short."""

    def __init__(self, page: AnnotatePage):
        self.page = page

    def click_on(self, mode: str) -> None:
        """Let clicks mean points of the object, joints of the hand, corners of a box around it, or nothing."""
        self.page.clicking, self.page.stepping = mode, False
        self.page.await_nothing()
        if mode == "joints":
            self._ask_for_next_joint()
        self.page.show()

    def clicked(self, origin: Float[np.ndarray, " 3"], direction: Float[np.ndarray, " 3"]) -> None:
        """Take a click along a ray of the world; one that can be nothing that is asked for is refused aloud."""
        page, current = self.page, self.page.state.current
        if page.clicking == "nothing":
            return
        pixel = page.scene.pixel_of_ray(origin, direction)
        if page.clicking == "points" and page.asked is None:
            self._take_point(page.scene.object_point_of_ray(origin, direction, current), pixel)
        elif pixel is None:
            page.warn("beside the picture; click inside of it")
        elif page.clicking == "joints":
            joint = page.joint_to_click or nearest_joint(current.joints_px, pixel)
            page.joint_chosen = False
            page.change(current.with_joint(joint, pixel))
            self._ask_for_next_joint()
        elif page.asked is not None:
            pair, page.asked = PointPair(page.asked, pixel), None
            page.change(replace(current, pairs=(*current.pairs, pair)))
        page.show_status()

    def _take_point(self, point: Float[np.ndarray, " 3"] | None, pixel: Float[np.ndarray, " 2"] | None) -> None:
        """Take a point of the object whose pixel is then asked for."""
        page = self.page
        page.asked, page.missed = point, pixel if point is None else None
        page.show()
        if point is None:
            number = len(page.state.current.pairs) + 1
            page.warn(
                f"beside the object's mesh. Pair {number} still begins on the mesh (blue), and its "
                f"second click is the same point in the picture"
            )

    def _ask_for_next_joint(self) -> None:
        """Choose the first joint, from the chosen one on, that was not clicked on yet."""
        seen = {name for name, _ in self.page.state.current.joints_px}
        start = JOINTS.index(self.page.panel.joint.value)
        missing = [name for name in (*JOINTS[start:], *JOINTS[:start]) if name not in seen]
        if missing:
            self.page.panel.joint.value = missing[0]

    def choose_joint(self) -> None:
        """Let the next click mean the joint that is chosen."""
        self.page.joint_chosen = True
        self.page.show_status()

    def take_back(self) -> None:
        """Take the last click back."""
        page, current = self.page, self.page.state.current
        if page.clicking == "points" and page.asked is not None:
            page.asked = page.missed = None
            page.show()
        elif page.clicking == "box":
            page.corner = None
            page.show()
        elif page.clicking == "joints" and current.joints_px:
            self._take_joint_back(current.joints_px[-1][0])
        elif page.clicking == "mask":
            if page.state.undo():
                page.show()
        elif page.clicking != "joints" and current.pairs:
            self._take_pair_back(len(current.pairs) - 1)

    def take_back_chosen_pair(self) -> None:
        """Take the chosen pair back, and no other."""
        number = self.page.panel.chosen_pair
        if number is None or number >= len(self.page.state.current.pairs):
            raise UserError("expected a pair to take back, there is none in this frame")
        self._take_pair_back(number)
        self.page.show_note(f"pair {number + 1} is taken back; those after it move up")

    def take_back_chosen_joint(self) -> None:
        """Take the chosen joint back, and no other; it is asked for next."""
        name = self.page.panel.joint.value
        if name not in dict(self.page.state.current.joints_px):
            raise UserError(f"expected a joint that was clicked on to take back, {name} was not")
        self._take_joint_back(name)

    def _take_pair_back(self, number: int) -> None:
        current = self.page.state.current
        self.page.change(replace(current, pairs=current.pairs[:number] + current.pairs[number + 1 :]))

    def _take_joint_back(self, name: str) -> None:
        self.page.change(self.page.state.current.with_joint(name, None))
        self.page.panel.joint.value = name
        self.page.show_status()

    def clear(self, kind: str) -> None:
        """Take all points of the object back, or all joints of the hand."""
        self.page.asked = None
        empty = {"pairs": ()} if kind == "points" else {"joints_px": ()}
        self.page.change(replace(self.page.state.current, **empty))

    def settle(self) -> None:
        """Place the object, or fit the hand, by what is clicked on; nothing where neither is."""
        actions = {"points": self.place_object, "joints": self.fit_hand}
        if self.page.clicking in actions:
            actions[self.page.clicking]()

    def place_object(self) -> None:
        """Put the object where its points are seen, but for pairs that do not fit the others, which are named."""
        wrong = says_misfits(self.page.state.place_object_by_pairs(coupled=self.page.coupled))
        placed = "the object is placed by its points; undo brings it back"
        self._finish_clicking(f"{placed}. {wrong}, and counted for nothing" if wrong else placed)

    def fit_hand(self) -> None:
        """Put the hand where its joints are seen, and say what of it was kept."""
        fitted = self.page.state.fit_hand_to_joints(shape_too=self.page.panel.fit_shape.value)
        kept = [*fitted.kept_fingers, *(["shape"] if fitted.kept_shape else [])]
        said = f"; kept as it was: {', '.join(kept)}" if kept else ""
        self._finish_clicking(f"the hand is fitted: {fitted.missed_px:.1f} px from its joints on average{said}")

    def _finish_clicking(self, note: str) -> None:
        self.page.clicking = "nothing"
        self.page.await_nothing()
        self.page.show()
        self.page.show_note(note)


def nearest_joint(joints_px: Sequence[tuple[str, Float[np.ndarray, " 2"]]], pixel: Float[np.ndarray, " 2"]) -> str:
    """The joint whose dot is nearest to a pixel."""
    return min(joints_px, key=lambda joint: float(np.linalg.norm(joint[1] - pixel)))[0]
