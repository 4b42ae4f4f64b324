"""The actions of a user of the annotation page by which a detector finds the hand."""

import threading
import time

import numpy as np
from jaxtyping import Float

from warpgrasp.annotate.actions import Action
from warpgrasp.annotate.hand_finder import HandDraft, HandFinder
from warpgrasp.annotate.hand_scan import ScanStoppedError, hand_scores
from warpgrasp.annotate.page import AnnotatePage
from warpgrasp.annotate.state import ReadOnlyError
from warpgrasp.errors import DataError, UserError
from warpgrasp.keypoints import SURE_SCORE, HandBox

SMALLEST_BOX_PX = 8.0
AROUND_BOX = 1.6  # what the detector looks at, by the side of a box that is drawn tightly around a hand
PROGRESS_EVERY_S = 0.3


class FindActions:
    """The actions on one page. None of them holds the page's lock while it looks for a hand."""

    def __init__(self, page: AnnotatePage):
        self.page, self.finder = page, HandFinder(page.state)
        self._beginning = threading.Lock()
        page.after_turning = self.begin_with_found

    def find(self, box: HandBox | None = None) -> None:
        """Find the hand in the frame at hand, in a box where one is drawn; where there is none, ask for a box."""
        self.page.act_after("looking for the hand …", lambda: self._found(box))

    def _found(self, box: HandBox | None) -> Action:
        """Look for the hand; the action that is to follow, under the page's lock, is returned."""
        page, state = self.page, self.page.state
        with page.lock:
            page.clicking, page.corner = "nothing", None
        number, before = state.frame, state.current.pose
        if state.read_only is not None:
            raise ReadOnlyError(f"this recording is open for reading only: {state.read_only}")
        draft = self.finder.find(number, page.read, box=box)

        def apply() -> None:
            if state.frame != number or state.current.pose is not before:
                raise UserError("the frame was changed while the hand was looked for; what was found was dropped")
            if draft is None:
                self._ask_for_box(again=box is not None)
                return
            page.moved = "hand"
            page.change(draft.begun_from(state.current))
            page.show_note(says(draft))

        return apply

    def _ask_for_box(self, *, again: bool) -> None:
        self.page.clicking, self.page.corner = "box", None
        self.page.show()
        where = "in this box either; draw another one, or click its joints (I)" if again else "in this picture"
        self.page.show_note(f"⚠️ no hand is found {where}")

    def clicked(self, origin: Float[np.ndarray, " 3"], direction: Float[np.ndarray, " 3"]) -> None:
        """Take a click on a corner of a box; with the second one, look for the hand in it."""
        page = self.page
        with page.lock:
            pixel, first = page.scene.pixel_of_ray(origin, direction), page.corner
            if pixel is None:
                return
            if first is None:
                page.corner = pixel
                page.show()
                return
            page.corner = None
            page.show()
            side_px = float(np.abs(pixel - first).max())
            if side_px < SMALLEST_BOX_PX:
                page.show_note(f"⚠️ expected a box of at least {SMALLEST_BOX_PX:.0f} px, got one of {side_px:.0f} px")
                return
        x, y = ((pixel + first) / 2).tolist()
        self.find(HandBox((x, y), AROUND_BOX * side_px, None))

    def begin_with_found(self, frame: int) -> None:
        """Offer the hand that is found in a frame that nobody has begun, where a copy of its neighbour misses it."""
        page, state = self.page, self.page.state

        def awaited() -> bool:
            return page.wanted == state.frame == frame and frame not in state.begun and not page.busy

        wanted = page.panel.find_in_new.value and state.read_only is None and bool(state.labelled)
        with self._beginning:  # of many frames that are passed by only the last is looked at
            if not wanted or not awaited():
                return
            try:
                draft = self.finder.better_than_copy(frame, page.read)
            except UserError:  # the copy stays
                return
        with page.lock:
            if draft is not None and awaited():
                state.offer(draft.begun_from(state.current))
                page.show()
                page.show_note(f"{says(draft)}; a copy would miss it by {1000 * draft.copy_misses_m:.0f} mm")

    def find_everywhere(self) -> None:
        """Look for the hand in every frame, in a thread of its own, and show where it is seen."""
        page = self.page
        with page.lock:
            if page.scanning:
                return
            page.scanning = True
            page.panel.progress.value, page.panel.progress.visible = 0.0, True
        threading.Thread(target=self._scan, name="find everywhere", daemon=True).start()

    def _scan(self) -> None:
        page, recording = self.page, self.page.state.recording
        shown_s = 0.0

        def progress(share: float) -> None:
            nonlocal shown_s
            if time.monotonic() - shown_s > PROGRESS_EVERY_S:
                shown_s = time.monotonic()
                page.panel.progress.value = 100 * share

        try:
            scores = hand_scores(recording.folder, recording.side, progress, page.stop)
            page.act(lambda: page.set_scores(scores))
        except (DataError, OSError) as error:
            trouble = str(error)
            page.act(lambda: page.show_note(f"⚠️ {trouble}"))
        except ScanStoppedError:
            return
        finally:
            page.scanning = False
            page.panel.progress.visible = False


def says(draft: HandDraft) -> str:
    """What the page says of a hand that was found."""
    found, other = draft.found, "left" if draft.found.side == "right" else "right"
    lines = [f"hand found, score {found.score:.2f}, {found.side}"]
    if draft.label is None:
        lines.append("its size, and with it its depth, is a guess until a label tells")
    else:
        lines.append(f"of the size in frame {draft.label}")
    if draft.holds_object:
        lines.append(f"the object moved with it, held as in frame {draft.label}")
    if found.looks_like_the_other:
        lines.append(f"⚠️ it looks like a {other} hand (score {found.other_score:.2f})")
    elif found.score < SURE_SCORE:
        lines.append("⚠️ it is hardly seen: look at it closely")
    return "; ".join(lines)
