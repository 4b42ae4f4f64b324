"""What the annotation page says of the frame at hand, in Markdown. Nothing is decided here."""

from collections.abc import Sequence

import torch

from warpgrasp.annotate.edited_frame import EditedFrame
from warpgrasp.annotate.pairs import FEWEST_PAIRS, PlacedObject, says_misfits
from warpgrasp.annotate.scene import Awaited
from warpgrasp.annotate.state import AnnotationState
from warpgrasp.hand import FEWEST_JOINTS, other_side
from warpgrasp.plain_text import markdown

LISTED_LABELS = 12


def says_frame(state: AnnotationState, suggested: int | None) -> str:
    """The frame, the labels, and which frame to go to next."""
    kind = "label" if state.current.done else "draft" if state.frame in state.drafted else "not begun"
    lines = [f"**frame {state.frame}** · {kind}", says_labels(state.labelled)]
    lines += [] if suggested is None else [f"suggested next: {suggested}"]
    lines += [says_hands(state)] if state.is_of_both else []
    return "  \n".join(lines)


def says_labels(labels: Sequence[int]) -> str:
    """How many labels there are, and of which frames."""
    listed = ", ".join(map(str, labels[:LISTED_LABELS])) + (" …" if len(labels) > LISTED_LABELS else "")
    return f"{len(labels)} label{'' if len(labels) == 1 else 's'}{': ' + listed if labels else ''}"


def says_hands(state: AnnotationState) -> str:
    """Which hand is edited, and of which frames the other one is labelled."""
    side = state.recording.side
    trouble = f" · ⚠️ {markdown(state.other_hand.trouble)}" if state.other_hand.trouble else ""
    return f"edits the **{side}** hand · {other_side(side)} hand: {says_labels(state.labelled_other)}{trouble}"


def says_missing(state: AnnotationState, placed: PlacedObject | None) -> str:
    """What a first frame still needs before it is a label, in the order that is quickest."""
    shown, first = state.current.pose, state.first_pose

    def changed(*names: str) -> bool:
        return any(not torch.equal(shown.arrays[name], first.arrays[name]) for name in names)

    misfits = () if placed is None else placed.misfits
    steps = [
        (
            changed("object_rotation", "object_centre"),
            "object placed: P, four pairs, *Place the object* (or its handles)",
        ),
        (changed("hand_rotation", "wrist"), "hand placed: M finds it (or I, six joints, *Fit the hand*)"),
        (changed("shape"), "size of the hand: found with the hand, better its length in mm (tab *shape*)"),
        (changed("joint_angles"), "fingers bent as in the picture: tabs *bend*, *curl*, *spread*"),
        (not misfits, "all pairs fit: take back or click again those that do not"),
        (state.current.done, "seen from the side (drag, then V), hand and object touch; then L finishes it"),
    ]
    missing = sum(not done for done, _ in steps)
    lines = [f"{'☑' if done else '☐'} {text}" for done, text in steps]
    return "  \n".join([f"**First frame: {missing} of {len(steps)} steps missing**", *lines])


def says_clicked(frame: EditedFrame, placed: PlacedObject | None) -> str:
    """How many points and joints were clicked on, and which of the pairs do not fit."""
    lines = [f"{len(frame.pairs)} points of the object, {len(frame.joints_px)} joints of the hand"]
    wrong = "" if placed is None else says_misfits(placed)
    return "  \n".join([*lines, *([f"**{wrong}**"] if wrong else [])])


def says_steps(part: str) -> str:
    """Which keys move a part in steps."""
    return (
        f"⌨️ **Keys move the {part}**: J, L left, right; I, K up, down; T, G nearer, farther; F, H, R, V turn left, "
        f"right, up, down; N, M turn round. Shift: finer. (Esc ends)"
    )


def says_painting(part: str, radius_px: float, *, erasing: bool) -> str:
    """What drags and clicks on the picture do to the mask."""
    what = f"what is {part}" if part == "unknown" else f"the {part}"
    verb, other = ("Erase", "paints") if erasing else ("Paint", "erases")
    return (
        f"🖌️ {verb} **{what}**: drag over the picture, or around what is to be filled (Shift {other}); brush of "
        f"{radius_px:g} px: T smaller, G larger. (Shift+P the next part, Backspace takes a stroke back, Esc ends)"
    )


def says_what_is_asked(clicking: str, frame: EditedFrame, awaited: Awaited, *, joint: str | None) -> str:
    """What the next click means; that of a joint, where `joint` is None, the one whose dot is nearest."""
    if clicking == "points":
        known = f"{len(frame.pairs)} pairs; {FEWEST_PAIRS} are needed. (Esc ends)"
        pair = f"Pair {len(frame.pairs) + 1},"
        if awaited.point is not None:
            return f"👉 {pair} second click: the same point in the **picture**. {known}"
        beside = "⚠️ **That was beside the mesh.** " if awaited.missed is not None else ""
        return f"{beside}👉 {pair} first click: a point of the **object's mesh**. {known}"
    if clicking == "joints":
        known = f"{len(frame.joints_px)} of 21; {FEWEST_JOINTS} are needed. (Esc ends)"
        if joint is None:
            return "👉 Click where **a joint** is seen: the nearest dot moves there. (Enter fits the hand, Esc ends)"
        return f"👉 Click on **{joint}** in the picture. {known}"
    if clicking == "box":
        corner = "one corner" if awaited.corner is None else "the opposite corner"
        return f"👉 Click on {corner} of a **box** around the hand. (Esc ends)"
    return ""
