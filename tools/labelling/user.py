"""An experienced user of the annotation page, who labels frames by what is seen, and knows no pose.

The first label: the object is turned roughly by held keys, then points of its mesh and of the picture place it; the
hand is found, its measured length is typed, it is fitted again. The next ones: the suggested frame, in which the page
shows the found hand with the object in it, or a copy; from now on both move together. An object that is far off is
placed by points, one that is a little off is refined by colours, which are taken back where they make it worse; then
joints of the hand that are off are clicked on.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation

from tools.labelling.operator_model import Effort, Operator
from tools.labelling.sight import Sight, drawn_alone, landmarks
from warpgrasp.annotate.clicks import nearest_joint
from warpgrasp.annotate.state import AnnotationState
from warpgrasp.data.recording import Recording
from warpgrasp.hand import JOINTS, HandModel

RECOGNISED_PX = 1.0  # how well a person knows a point again, in pixels of the recording (standard deviation)
INSIDE_PX = 5.0  # of the window: a corner is clicked on just inside of it
ROUGHLY_DEG = 10.0  # the object is turned by multiples of this
STEP_DEG = 2.0  # of a key
FIRST_PAIRS, NEXT_PAIRS = 6, 4
OUTLINE_PX, FAR_PX = 1.5, 4.0  # an outline that is off by more does not look right; is too far to be refined
JOINT_PX, MOST_JOINTS = 6.0, 4  # a joint that is off by more is clicked on, so many of them for one fit
UNFOUND_JOINTS = 9  # of a hand that is not found: so many of those that are seen
FIRST_FITS, NEXT_FITS = 2, 1  # of the hand to clicked joints, at most, for one label
PLACINGS = 2  # of the object, at most, after the first
FOUND_S = 1.5  # for so long one looks whether the hand is found
LENGTH_MM = 2.0  # how well a hand is measured (standard deviation)
WORSE_PX = 1.0  # a hand that is refined and off by so much more is taken back
COUPLED = "hand and object move together (Y ends it)"
RAY_M = 0.5
VERTICES = """() => {
    const { vertices } = window.__viserSceneTree.getState()["/hand/surface"].message.props;
    return Array.from(new Float32Array(Uint8Array.from(new Uint8Array(
        vertices.buffer, vertices.byteOffset, vertices.byteLength)).buffer));
}"""


@dataclass
class User:
    """A user at the page of one recording."""

    operator: Operator
    folder: Path
    hand: HandModel
    sight_of: Callable[[int], Sight]
    generator: np.random.Generator

    @cached_property
    def _length_mm(self) -> int:
        """The length of the hand, as a ruler tells it, once."""
        joints = self._sight.truth.hand_joints.double().numpy()
        chain = [JOINTS.index(name) for name in ("wrist", "middle_1", "middle_2", "middle_3", "middle_tip")]
        length_m = np.linalg.norm(np.diff(joints[chain], axis=0), axis=1).sum()
        return round(1000 * length_m + self.generator.normal(scale=LENGTH_MM))

    @property
    def frame(self) -> int:
        """The frame that the page shows."""
        return int(self.operator.page.until_said(r"frame \d+ · ").split()[1])

    @property
    def _sight(self) -> Sight:
        return self.sight_of(self.frame)

    def label_first(self) -> Effort:
        """Label the frame at hand from nothing."""
        self.operator.effort = Effort()
        self._turn_roughly()
        self._place_object(FIRST_PAIRS)
        self._find_hand()
        self._type_length()
        self.operator.decide()
        self._correct(fits=FIRST_FITS)
        return self._finish()

    def label_next(self) -> Effort:
        """Label the frame that is suggested."""
        self.operator.effort = Effort()
        before = self.frame
        self.operator.decide()
        self.operator.key("n", lambda: self.frame != before, "the suggested frame")
        seen_s = time.monotonic()
        self.operator.wait(lambda: self._says("hand found") or time.monotonic() > seen_s + FOUND_S, "the hand")
        if not self._says(COUPLED):
            self.operator.key("y", lambda: self._says(COUPLED), "hand and object to move together")
        self.operator.decide()
        if self._outline_off_px() > FAR_PX:
            self._place_object(NEXT_PAIRS)
            self.operator.decide()
        if OUTLINE_PX < self._outline_off_px() < FAR_PX:
            self._refine()
        self._correct(fits=NEXT_FITS)
        return self._finish()

    def _refine(self) -> None:
        """Refine by colours; take it back where it looks worse than before."""
        before = self._outline_off_px(), self._joints_off_px().mean()
        self.operator.key("f", lambda: self.operator.page.until_said(r"refined by|⚠️"), "the refined poses")
        self.operator.decide()
        after = self._outline_off_px(), self._joints_off_px().mean()
        if after[0] > max(before[0], OUTLINE_PX) or after[1] > before[1] + WORSE_PX:
            refined = self.operator.page.pose("/hand")[1]
            self.operator.key("u", lambda: not np.allclose(self.operator.page.pose("/hand")[1], refined), "undo")

    def _correct(self, *, fits: int) -> None:
        """Correct what does not look right: the object by points, then the hand by joints."""
        for _ in range(PLACINGS):
            if self._outline_off_px() < OUTLINE_PX:
                break
            self._place_object(NEXT_PAIRS)
            self.operator.decide()
        for _ in range(fits):
            if not self._click_joints():
                break
            self.operator.decide()

    def _finish(self) -> Effort:
        """Make a label of the frame."""
        frame = self.frame
        self.operator.key("l", lambda: self._says(f"frame {frame} · label"), "a label")
        self.operator.wait(lambda: self._says("✓ saved at"), "the label on disk")
        return self.operator.effort

    def _says(self, text: str) -> bool:
        return text in self.operator.page.text()

    # The object.

    def _drawn_object(self) -> Float[np.ndarray, "v 3"]:
        wxyz, place = self.operator.page.pose("/object")
        return Rotation.from_quat(wxyz, scalar_first=True).apply(self._sight.model.vertices.double().numpy()) + place

    def _outline_off_px(self) -> float:
        return self._sight.outline_off_px(self._drawn_object())

    def _turn_roughly(self) -> None:
        """Turn the object until the sides are seen that the picture shows, each turn by a held key."""
        page = self.operator.page
        shown = Rotation.from_quat(page.pose("/object")[0], scalar_first=True)
        wanted = Rotation.from_matrix(self._sight.truth.object_rotation.double().numpy())
        self.operator.decide()
        self.operator.key("Shift+O", lambda: self._says("Keys move the object"), "steps")
        degrees = (wanted * shown.inv()).as_euler("xyz", degrees=True)  # about the camera's axes, one after the other
        for axis, angle, keys in zip(np.eye(3), degrees, ("rv", "hf", "nm"), strict=True):
            roughly = ROUGHLY_DEG * round(angle / ROUGHLY_DEG)
            if not roughly:
                continue
            shown = Rotation.from_rotvec(np.radians(roughly) * axis) * shown
            self.operator.decide()
            self.operator.hold(
                keys[int(roughly > 0)], round(abs(roughly) / STEP_DEG), lambda to=shown: self._is_turned(to), "turns"
            )

    def _is_turned(self, wanted: Rotation) -> bool:
        shown = Rotation.from_quat(self.operator.page.pose("/object")[0], scalar_first=True)
        return (wanted * shown.inv()).magnitude() < 1e-3

    @cached_property
    def _landmarks(self) -> Int[np.ndarray, " n"]:
        return landmarks(self._sight.model)

    def _place_object(self, count: int) -> None:
        """Place the object by points of its mesh and of the picture."""
        sight, drawn, page = self._sight, self._drawn_object(), self.operator.page
        self.operator.decide()
        self.operator.key("p", lambda: self._says("first click"), "clicks on points")
        for vertex in self._points(drawn, count):
            self.operator.decide()
            for _ in range(3):  # a click beside the mesh takes nothing
                self.operator.click(
                    self._inside(drawn, vertex), lambda: page.until_said("second click|beside the mesh"), "a point"
                )
                if self._says("second click"):
                    break
            pixel_m = RAY_M * self._ray(sight.pixels(sight.object_vertices[[vertex]])[0])
            middle_m = RAY_M * self._ray(sight.pixels(sight.object_vertices.mean(axis=0)[None])[0], known=True)
            self.operator.click(
                self._shifted(page.screen(pixel_m), page.screen(middle_m)), lambda: self._says("first click"), "a pair"
            )
        self.operator.decide()
        self.operator.key("Enter", lambda: page.until_said("the object is placed|⚠️"), "the object")

    def _points(self, drawn: Float[np.ndarray, "v 3"], count: int) -> list[int]:
        """Points that are seen on the drawn mesh and in the picture, as far from each other as can be."""
        sight, known = self._sight, self._landmarks
        both = known[sight.shows(sight.object_vertices[known]) & drawn_alone(drawn, sight, known)]
        return spread_points(sight.pixels(sight.object_vertices[both]), both, count)

    def _inside(self, drawn: Float[np.ndarray, "v 3"], vertex: int) -> Float[np.ndarray, " 2"]:
        page = self.operator.page
        return self._shifted(page.screen(drawn[vertex]), page.screen(drawn.mean(axis=0)))

    def _shifted(self, where: Float[np.ndarray, " 2"], towards: Float[np.ndarray, " 2"]) -> Float[np.ndarray, " 2"]:
        way = towards - where
        return where + INSIDE_PX * way / max(float(np.linalg.norm(way)), INSIDE_PX)

    def _ray(self, pixel: Float[np.ndarray, " 2"], *, known: bool = False) -> Float[np.ndarray, " 3"]:
        """The direction of a pixel, of one about where a person takes it to be."""
        about = pixel if known else pixel + self.generator.normal(scale=RECOGNISED_PX, size=2)
        return np.linalg.solve(self._sight.camera.intrinsics.double().numpy().reshape(3, 3), np.array([*about, 1.0]))

    # The hand.

    def _find_hand(self) -> None:
        self.operator.decide()
        self.operator.key("m", lambda: self.operator.page.until_said("hand found|no hand is found"), "a hand")

    def _type_length(self) -> None:
        """Type the hand's measured length, and let the hand be fitted with it."""
        page = self.operator.page
        self.operator.decide()
        self.operator.button("shape", lambda: self._says("length of the hand"), "the tab", role="tab")
        self.operator.type_into("length of the hand (mm)", str(self._length_mm), lambda: True, "the length")
        if self._dots_px():
            self.operator.button(
                "Fit the hand to its joints", lambda: page.until_said("the hand is fitted|⚠️"), "the fitted hand"
            )

    def _joints_off_px(self) -> Float[np.ndarray, " 21"]:
        """How far the drawn joints are from where they are seen."""
        wxyz, wrist = self.operator.page.pose("/hand")
        drawn = np.array(self.operator.page.page.evaluate(VERTICES)).reshape(-1, 3)
        return self._sight.joints_off_px(Rotation.from_quat(wxyz, scalar_first=True).apply(drawn) + wrist)

    def _click_joints(self) -> bool:
        """Click on where the joints are that are off, and fit the hand; whether there were any."""
        page, sight, off = self.operator.page, self._sight, self._joints_off_px()
        wrong = [int(joint) for joint in np.argsort(-off)[:MOST_JOINTS] if off[joint] > JOINT_PX]
        if not wrong:
            return False
        if not self._dots_px():
            self._find_hand()
        if not self._dots_px():
            seen = np.flatnonzero(sight.joints_seen)
            wrong = seen[np.linspace(0, len(seen) - 1, min(UNFOUND_JOINTS, len(seen))).round().astype(int)].tolist()
        self.operator.key("i", lambda: self._says("👉 Click "), "clicks on joints")
        for joint in wrong:
            self.operator.decide()
            pixel = sight.pixels(sight.truth.hand_joints[[joint]].double().numpy())[0]
            name, dots = JOINTS[joint], self._dots_px()
            if len(dots) < len(JOINTS) or nearest_joint(list(dots.items()), pixel) != name:
                self.operator.choose("next joint", name, lambda name=name: self._says(f"Click on {name} in"))
            before = self._dots()
            where = page.screen(RAY_M * self._ray(pixel))
            self.operator.click(where, lambda before=before: self._dots() != before, "the joint's dot to move")
        self.operator.decide()
        self.operator.key("Enter", lambda: page.until_said("the hand is fitted|⚠️"), "the fitted hand")
        return True

    def _dots_px(self) -> dict[str, Float[np.ndarray, " 2"]]:
        """The joints that were found or clicked on; the page's file tells, once they are there."""
        self.operator.page.until(lambda: self._says("✓ saved"), "saved")
        state = AnnotationState(Recording.read(self.folder), self.hand, read_only="somebody else draws")
        return dict(state.edited(self.frame).joints_px)

    def _dots(self) -> str:
        """The dots of what was clicked on, as the browser has them."""
        script = 'JSON.stringify(window.__viserSceneTree.getState()["/dots"]?.message.props.points ?? null)'
        return self.operator.page.page.evaluate(script)


def spread_points(pixels: Float[np.ndarray, "n 2"], names: Int[np.ndarray, " n"], count: int) -> list[int]:
    """The names of some pixels that are far from each other, beginning with the one farthest from their middle."""
    if not len(names):
        return []
    nearest = np.linalg.norm(pixels - pixels.mean(axis=0), axis=1)
    chosen: list[int] = []
    for _ in range(min(count, len(names))):
        one = int(np.argmax(nearest))
        nearest = np.minimum(nearest if chosen else np.inf, np.linalg.norm(pixels - pixels[one], axis=1))
        chosen.append(one)
    return [int(names[one]) for one in chosen]
