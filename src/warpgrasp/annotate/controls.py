"""The controls, keys, handles and clicks of the annotation page, connected with the actions."""

import asyncio
from functools import partial
from typing import Any, cast

import numpy as np
import viser

from warpgrasp.annotate.actions import FINE_NUDGE, NUDGE, Action, AnnotateActions
from warpgrasp.annotate.clicks import ClickActions
from warpgrasp.annotate.edited_frame import Part
from warpgrasp.annotate.finding import FindActions
from warpgrasp.annotate.grasps import GraspActions
from warpgrasp.annotate.page import AnnotatePage
from warpgrasp.annotate.painting import PaintActions
from warpgrasp.annotate.panel import CLICKED, COPIED, MOVED, PAINTED, REFINED, STYLES, TAKEN_BACK
from warpgrasp.annotate.refining import RefineActions
from warpgrasp.annotate.steps import STEPS, StepActions

KEYS = """
| key | |
|---|---|
| Page Down, Page Up | next, previous frame (Shift: by 10) |
| K, J | next, previous label |
| N | suggested frame |
| L | finish the frame: a label; again: a draft |
| C | copy from the annotation before |
| Ctrl+Z, U · Ctrl+Shift+Z, R | undo · redo |
| O, H, Z | move the object, the hand, nothing |
| T, G | nearer, farther (Shift: finer) |
| Shift+O, Shift+H | keys move the object, the hand in steps: |
| · J, L, I, K | left, right, up, down (Shift: finer) |
| · F, H, R, V | turn left, right, up, down (Shift: finer) |
| · N, M | turn round (Shift: finer); Escape ends steps |
| Y | hand and object move together, or each for itself |
| V | back to the camera's view |
| X | surface, wireframe |
| B | hide and show (Shift: outlines of masks) |
| Shift+Y | hide and show the other hand, where both are labelled |
| 1 … 9, 0 | opacity 10 % … 90 %, 100 % |
| M | find the hand |
| P, I | click points of the object, joints of the hand |
| Shift+P | paint the mask of the object; again: of the hand, of an occluder, of what is unknown |
| · drag, click | paint over the picture (Shift: erase); a closed stroke is filled |
| · T, G · Shift+X | smaller, larger brush · erase, or paint |
| · Delete | clear this part's mask |
| Enter | place the object by its points, fit the hand to its joints |
| Backspace, Escape | take the last point or stroke back, stop clicking |
| F | refine by the nearest label's colours and the mask (Shift: only what has handles) |
| Ctrl+K | all commands by name |
"""


def connect(page: AnnotatePage) -> None:
    """Let controls, keys, handles and clicks act."""
    actions, clicks = AnnotateActions(page), ClickActions(page)
    finding, refining, painting = FindActions(page), RefineActions(page), PaintActions(page)
    _connect_frames(page, actions)
    _connect_view(page, actions)
    _connect_poses(page, actions)
    _connect_clicks(page, clicks, finding, painting)
    _connect_painting(page, painting)
    _connect_slow(page, finding, refining)
    _connect_keys(page, actions, painting)
    _connect_other_keys(page, clicks, finding, refining)
    _connect_steps(page)
    page.server.on_client_connect(page.welcome)


def _on(page: AnnotatePage, control: Any, action: Action) -> None:
    """Run an action when a user changes a control, in the order of events; not when the page itself sets it."""

    async def used(event: viser.GuiEvent[Any]) -> None:
        if event.client is not None:
            page.act(action)

    control.on_update(used)


def _on_button(page: AnnotatePage, button: viser.GuiButtonHandle, action: Action) -> None:
    button.on_click(lambda _: page.act(action))


def _on_group(page: AnnotatePage, group: viser.GuiButtonGroupHandle, choices: dict[str, Action]) -> None:
    """Run the action of a choice; those that turn to a frame lock the page themselves, after the frame is read."""
    assert list(choices) == list(group.options)
    turning = group is page.panel.go
    group.on_click(lambda _: choices[group.value]() if turning else page.act(choices[group.value]))


def _connect_frames(page: AnnotatePage, actions: AnnotateActions) -> None:
    panel = page.panel

    @panel.position.on_update
    def _(event: viser.GuiEvent[Any]) -> None:
        if event.client is not None:
            page.show_frame(page.state.numbers[int(panel.position.value)])

    go = {"‹": lambda: actions.step(-1), "›": lambda: actions.step(1)}
    go |= {"‹ label": lambda: actions.jump(-1), "label ›": lambda: actions.jump(1)}
    _on_group(page, panel.go, {**go, "suggested": actions.go_to_suggested})
    _on(page, panel.done, lambda: actions.set_done(panel.done.value))
    _on(page, panel.held_out, lambda: actions.set_held_out(panel.held_out.value))
    _on_group(page, panel.edit, {"undo": actions.undo, "redo": actions.redo, "copy from before": actions.copy})


def _connect_view(page: AnnotatePage, actions: AnnotateActions) -> None:
    panel = page.panel
    _on(page, panel.opacity, page.draw)
    _on(page, panel.outlines, page.show_mask)
    _on(page, panel.ghost, page.draw)
    _on(page, panel.zoom, actions.view_from_camera)
    _on_button(page, panel.camera, actions.view_from_camera)
    _on_group(page, panel.style, {style: lambda style=style: actions.draw_as(style) for style in STYLES})


def _connect_poses(page: AnnotatePage, actions: AnnotateActions) -> None:
    panel = page.panel
    _on(page, panel.coupled, lambda: actions.couple(panel.coupled.value))
    grasps = GraspActions(page)
    _on(page, panel.grasp_of, page.show)
    _on_group(page, panel.copy_grasp, {how: lambda how=how: grasps.copy(how) for how in COPIED})
    _on_group(page, panel.moved, {part: lambda part=part: actions.move(part) for part in MOVED})
    depths: dict[Part, Any] = {"object": panel.object_depth, "hand": panel.hand_depth}
    for part, slider in depths.items():
        _on(page, slider, lambda part=part, slider=slider: actions.set_depth(part, slider.value))
    for row, sliders in panel.fingers.rows.items():
        for number, slider in enumerate(sliders):
            _on(page, slider, lambda row=row, n=number, slider=slider: actions.bend(row, n, slider.value))
    _on(page, panel.hand_length, lambda: actions.set_length(float(panel.hand_length.value)))
    for number, slider in enumerate(panel.shape):
        _on(page, slider, lambda n=number, slider=slider: actions.set_shape(n, slider.value))
    _connect_handle(page, actions, "object", page.scene.object_handle)
    _connect_handle(page, actions, "hand", page.scene.hand_handle)


def _connect_handle(
    page: AnnotatePage, actions: AnnotateActions, part: Part, handle: viser.TransformControlsHandle
) -> None:
    @handle.on_update
    async def _(event: viser.TransformControlsEvent) -> None:
        if event.phase == "update":
            page.act(lambda: actions.drag(part, np.array(handle.wxyz), np.array(handle.position)))
        else:
            page.state.end_gesture()


def _connect_clicks(page: AnnotatePage, clicks: ClickActions, finding: FindActions, painting: PaintActions) -> None:
    panel = page.panel
    _on_group(page, panel.click, {mode: lambda mode=mode: clicks.click_on(mode) for mode in CLICKED})
    _on(page, panel.joint, clicks.choose_joint)
    taken = (clicks.take_back, clicks.take_back_chosen_pair, clicks.take_back_chosen_joint)
    _on_group(page, panel.take_back, dict(zip(TAKEN_BACK, taken, strict=True)))
    kinds = ("points", "joints")
    _on_group(page, panel.clear, {f"all {kind}": lambda kind=kind: clicks.clear(kind) for kind in kinds})
    _on_button(page, panel.place, clicks.place_object)
    _on_button(page, panel.fit, clicks.fit_hand)

    @page.server.scene.on_click()
    def _(event: viser.SceneClickEvent) -> None:
        ray = np.array(event.ray_origin), np.array(event.ray_direction)
        if page.clicking == "box":
            finding.clicked(*ray)
        elif page.clicking == "mask":
            page.act(lambda: painting.dab(*ray))
        elif page.clicking != "nothing":
            page.act(lambda: clicks.clicked(*ray))


def _connect_painting(page: AnnotatePage, painting: PaintActions) -> None:
    """Connect the controls of masks, and drags over the picture, with and without Shift."""
    panel = page.panel
    _on_group(page, panel.painted, {part: lambda part=part: painting.begin(part) for part in PAINTED})
    for control in (panel.erasing, panel.radius):
        _on(page, control, page.show_status)
    _on_button(page, panel.clear_mask, painting.clear)

    async def dragged(event: viser.SceneNodeDragEvent[Any]) -> None:
        place, eye = np.array(event.end_position), np.array(event.client.camera.position)
        page.act(lambda: painting.drag(event.phase, place, eye, shift=event.modifier == "shift"))

    page.scene.on_paint(dragged)
    key = partial(_key, page)
    key("Paint a mask; again: the next part's", "P", painting.begin_next, modifier="shift")
    key("Erase a mask instead of painting, or paint again", "X", painting.toggle_erasing, modifier="shift")
    key("Clear the mask of the part that is painted", "delete", painting.clear)
    key("Closed strokes of the brush are filled, or not", None, painting.toggle_filling)


def _connect_slow(page: AnnotatePage, finding: FindActions, refining: RefineActions) -> None:
    """Connect the buttons of what takes its time, which lock the page themselves."""
    panel = page.panel
    refined: dict[str, Part | None] = dict(zip(REFINED, (None, "object", "hand"), strict=True))
    panel.refine.on_click(lambda _: refining.refine(refined[panel.refine.value]))
    panel.find.on_click(lambda _: finding.find())
    panel.find_everywhere.on_click(lambda _: finding.find_everywhere())


def _key(
    page: AnnotatePage, label: str, hotkey: Any, action: Action, *, modifier: Any = None, slow: bool = False
) -> None:
    """Let a key run an action; a slow one locks the page itself, and turns to frames outside of the lock.

    Keys are understood in the order in which they were pressed, among other controls; only what is slow runs beside
    them. While keys mean steps, those of `STEPS` mean these.
    """
    steps, fine = StepActions(page), modifier == "shift"
    means_step = hotkey in STEPS and modifier in (None, "shift")

    async def pressed(event: Any) -> None:
        if page.stepping and means_step:
            page.act(lambda: steps.step(hotkey, fine=fine))
        elif slow:
            asyncio.get_running_loop().run_in_executor(None, action)
        else:
            page.act(action)

    page.server.gui.add_command(label, hotkey=hotkey, modifier=modifier).on_trigger(pressed)


def _connect_steps(page: AnnotatePage) -> None:
    """Connect the keys that begin steps, and those of finer ones that mean nothing else."""
    steps, part_of = StepActions(page), cast(dict[str, Part], {"O": "object", "H": "hand"})
    for hotkey, part in part_of.items():
        _key(page, f"Move the {part} by keys, in steps", hotkey, lambda part=part: steps.begin(part), modifier="shift")
    say = partial(page.show_note, "Shift+O, Shift+H: keys move the object, the hand in steps")
    for hotkey in STEPS.keys() - {*part_of, "F"}:
        _key(page, f"Step: {STEPS[hotkey].says} (finer)", hotkey, say, modifier="shift")


def _connect_keys(page: AnnotatePage, actions: AnnotateActions, painting: PaintActions) -> None:
    """Connect the keys of `KEYS` for frames, view and poses. viser keeps W, A, S, D, Q, E and the arrows."""
    page.panel.keys.content = KEYS
    key = partial(_key, page)

    def nearer(factor: float, sign: int) -> None:
        """Move what has handles; while a mask is painted, change the brush."""
        if page.clicking == "mask":
            painting.resize(sign)
        else:
            actions.nudge(factor**sign)

    key("Next frame", "pagedown", lambda: actions.step(1), slow=True)
    key("Previous frame", "pageup", lambda: actions.step(-1), slow=True)
    key("Ten frames on", "pagedown", lambda: actions.step(10), modifier="shift", slow=True)
    key("Ten frames back", "pageup", lambda: actions.step(-10), modifier="shift", slow=True)
    key("Next label", "K", lambda: actions.jump(1), slow=True)
    key("Previous label", "J", lambda: actions.jump(-1), slow=True)
    key("Suggested frame", "N", actions.go_to_suggested, slow=True)
    key("Finish the frame, or make it a draft again", "L", actions.toggle_done)
    key("Copy from the annotation before", "C", actions.copy)
    for label, hotkey, modifier, action in (
        ("Undo", "Z", "cmd/ctrl", actions.undo),
        ("Redo", "Z", "cmd/ctrl+shift", actions.redo),
        ("Undo (U)", "U", None, actions.undo),
        ("Redo (R)", "R", None, actions.redo),
    ):
        key(label, hotkey, action, modifier=modifier)
    key("Move the object", "O", lambda: actions.move("object"))
    key("Move the hand", "H", lambda: actions.move("hand"))
    key("Move nothing", "Z", lambda: actions.move("nothing"))
    for label, hotkey, sign in (("Nearer", "T", -1), ("Farther", "G", 1)):
        key(label, hotkey, lambda sign=sign: nearer(NUDGE, sign))
        key(f"{label} (finer)", hotkey, lambda sign=sign: nearer(FINE_NUDGE, sign), modifier="shift")
    key("Hand and object move together, or each for itself", "Y", lambda: actions.couple(not page.coupled))
    key("Back to the camera's view", "V", actions.view_from_camera)
    key("Surface or wireframe", "X", actions.toggle_wireframe)
    key("Hide or show hand and object", "B", actions.toggle_hidden)
    key("Hide or show the other hand", "Y", actions.toggle_ghost, modifier="shift")
    key("Outlines of masks", "B", actions.toggle_outlines, modifier="shift")
    for digit in range(10):
        key(f"Opacity {digit or 10}0 %", str(digit), lambda digit=digit: actions.set_opacity((digit or 10) / 10))


def _connect_other_keys(
    page: AnnotatePage, clicks: ClickActions, finding: FindActions, refining: RefineActions
) -> None:
    """Connect the other keys of `KEYS`."""
    key = partial(_key, page)
    key("Find the hand", "M", finding.find, slow=True)
    key("Click points of the object", "P", lambda: clicks.click_on("points"))
    key("Click joints of the hand", "I", lambda: clicks.click_on("joints"))
    key("Place the object, or fit the hand, by what is clicked on", "enter", clicks.settle)
    key("Take the last click back", "backspace", clicks.take_back)
    key("Stop clicking", "escape", lambda: clicks.click_on("nothing"))
    key("Refine by the colours of the nearest label", "F", refining.refine, slow=True)
    key("Refine only what has handles", "F", refining.refine_moved, modifier="shift", slow=True)
