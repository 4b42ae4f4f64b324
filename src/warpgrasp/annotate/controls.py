"""The controls, keys, handles and clicks of the annotation page, connected with the actions."""

from typing import Any

import numpy as np
import viser

from warpgrasp.annotate.actions import FINE_NUDGE, NUDGE, Action, AnnotateActions
from warpgrasp.annotate.finding import FindActions
from warpgrasp.annotate.page import AnnotatePage
from warpgrasp.annotate.panel import CLICKED, MOVED, STYLES

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
| V | back to the camera's view |
| X | surface, wireframe |
| B | hide and show |
| 1 … 9, 0 | opacity 10 % … 90 %, 100 % |
| M | find the hand |
| P, I | click points of the object, joints of the hand |
| Backspace, Escape | take the last point back, stop clicking |
| F | refine by the colours of the nearest label |
| Ctrl+K | all commands by name |
"""


def connect(page: AnnotatePage) -> None:
    """Let controls, keys, handles and clicks act."""
    actions, finding = AnnotateActions(page), FindActions(page)
    _connect_frames(page, actions)
    _connect_view(page, actions)
    _connect_poses(page, actions)
    _connect_clicks(page, actions, finding)
    _connect_keys(page, actions, finding)
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
    _on(page, panel.zoom, actions.view_from_camera)
    _on_button(page, panel.camera, actions.view_from_camera)
    _on_group(page, panel.style, {style: lambda style=style: actions.draw_as(style) for style in STYLES})


def _connect_poses(page: AnnotatePage, actions: AnnotateActions) -> None:
    panel = page.panel
    _on_group(page, panel.moved, {part: lambda part=part: actions.move(part) for part in MOVED})
    for part, slider in (("object", panel.object_depth), ("hand", panel.hand_depth)):
        _on(page, slider, lambda part=part, slider=slider: actions.set_depth(part, slider.value))
    for row, sliders in panel.fingers.rows.items():
        for number, slider in enumerate(sliders):
            _on(page, slider, lambda row=row, n=number, slider=slider: actions.bend(row, n, slider.value))
    for number, slider in enumerate(panel.shape):
        _on(page, slider, lambda n=number, slider=slider: actions.set_shape(n, slider.value))
    _connect_handle(page, actions, "object", page.scene.object_handle)
    _connect_handle(page, actions, "hand", page.scene.hand_handle)


def _connect_handle(
    page: AnnotatePage, actions: AnnotateActions, part: str, handle: viser.TransformControlsHandle
) -> None:
    @handle.on_update
    async def _(event: viser.TransformControlsEvent) -> None:
        if event.phase == "update":
            page.act(lambda: actions.drag(part, np.array(handle.wxyz), np.array(handle.position)))
        else:
            page.state.end_gesture()


def _connect_clicks(page: AnnotatePage, actions: AnnotateActions, finding: FindActions) -> None:
    panel = page.panel
    _on_group(page, panel.click, {mode: lambda mode=mode: actions.click_on(mode) for mode in CLICKED})
    _on(page, panel.joint, page.show_status)
    cleared: dict[str, Action] = {"last": actions.take_back}
    cleared |= {f"all {kind}": lambda kind=kind: actions.clear(kind) for kind in ("points", "joints")}
    _on_group(page, panel.take_back, cleared)
    _on_button(page, panel.place, actions.place_object)
    _on_button(page, panel.fit, actions.fit_hand)
    panel.refine.on_click(lambda _: actions.refine())
    panel.find.on_click(lambda _: finding.find())
    panel.find_everywhere.on_click(lambda _: finding.find_everywhere())

    @page.server.scene.on_click()
    def _(event: viser.SceneClickEvent) -> None:
        ray = np.array(event.ray_origin), np.array(event.ray_direction)
        if page.clicking == "box":
            finding.clicked(*ray)
        elif page.clicking != "nothing":
            page.act(lambda: actions.clicked(*ray))


def _connect_keys(page: AnnotatePage, actions: AnnotateActions, finding: FindActions) -> None:
    """Connect the keys of `KEYS`. viser keeps W, A, S, D, Q, E and the arrows for turned views."""
    page.panel.keys.content = KEYS

    def key(label: str, hotkey: Any, action: Action, *, modifier: Any = None, slow: bool = False) -> None:
        command = page.server.gui.add_command(label, hotkey=hotkey, modifier=modifier)
        command.on_trigger(lambda _: action() if slow else page.act(action))

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
        key(label, hotkey, lambda sign=sign: actions.nudge(NUDGE**sign))
        key(f"{label} (finer)", hotkey, lambda sign=sign: actions.nudge(FINE_NUDGE**sign), modifier="shift")
    key("Back to the camera's view", "V", actions.view_from_camera)
    key("Surface or wireframe", "X", actions.toggle_wireframe)
    key("Hide or show hand and object", "B", actions.toggle_hidden)
    for digit in range(10):
        key(f"Opacity {digit or 10}0 %", str(digit), lambda digit=digit: actions.set_opacity((digit or 10) / 10))
    key("Find the hand", "M", finding.find, slow=True)
    key("Click points of the object", "P", lambda: actions.click_on("points"))
    key("Click joints of the hand", "I", lambda: actions.click_on("joints"))
    key("Take the last click back", "backspace", actions.take_back)
    key("Stop clicking", "escape", lambda: actions.click_on("nothing"))
    key("Refine by the colours of the nearest label", "F", actions.refine, slow=True)
