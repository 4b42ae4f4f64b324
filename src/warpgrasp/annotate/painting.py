"""A frame's mask painted on the annotation page: strokes and dabs of a brush, undone one by one."""

from dataclasses import replace
from typing import Literal

import numpy as np
from jaxtyping import Float

from warpgrasp.annotate.masks import MASK_PARTS, Mask
from warpgrasp.annotate.page import AnnotatePage
from warpgrasp.annotate.panel import RADIUS_PX

Phase = Literal["start", "update", "end"]
STROKE = "stroke"
RADIUS_STEP = 1.25


class PaintActions:
    """The actions on one page, all of them short."""

    def __init__(self, page: AnnotatePage):
        self.page = page
        self._path_px: list[Float[np.ndarray, " 2"]] = []  # of the stroke that is being drawn

    def begin(self, part: str) -> None:
        """Let clicks and drags on the picture paint a part's mask; `nothing` ends it."""
        page = self.page
        painting = part in MASK_PARTS
        if painting:
            page.state.require_writable()
            page.state.masks.require_paintable()
            page.painted = part
        page.clicking, page.stepping = "mask" if painting else "nothing", False
        page.await_nothing()
        page.show()

    def begin_next(self) -> None:
        """Paint the object's mask; while painting, that of the next part."""
        page = self.page
        following = MASK_PARTS[(MASK_PARTS.index(page.painted) + 1) % len(MASK_PARTS)]
        self.begin(following if page.clicking == "mask" else MASK_PARTS[0])

    def toggle_erasing(self) -> None:
        """Erase instead of painting, or paint again."""
        self.page.panel.erasing.value = not self.page.panel.erasing.value
        self.page.show_status()

    def toggle_filling(self) -> None:
        """Fill what a closed stroke encloses, or not."""
        self.page.panel.filling.value = not self.page.panel.filling.value

    def resize(self, steps: int) -> None:
        """Take a larger brush, or a smaller one."""
        radius = self.page.panel.radius
        wanted = round(2 * float(radius.value) * RADIUS_STEP**steps) / 2
        if wanted == radius.value:
            wanted += 0.5 * steps
        radius.value = min(max(wanted, RADIUS_PX[0]), RADIUS_PX[1])
        self.page.show_status()

    def dab(self, origin: Float[np.ndarray, " 3"], direction: Float[np.ndarray, " 3"]) -> None:
        """Paint where a ray of the world meets the picture."""
        pixel = self.page.scene.pixel_of_ray(origin, direction)
        if pixel is None:
            self.page.warn("beside the picture; paint inside of it")
            return
        self.page.state.end_gesture()
        self._paint([pixel], erasing=self.page.panel.erasing.value, gesture=None)

    def drag(self, phase: Phase, place: Float[np.ndarray, " 3"], eye: Float[np.ndarray, " 3"], *, shift: bool) -> None:
        """Go on with a stroke to a place in the world, as seen from `eye`; `shift` erases.

        A stroke that ends about where it began fills what it encloses.
        """
        page = self.page
        if page.clicking != "mask":
            return
        if phase == "start":
            page.state.end_gesture()
            self._path_px = []
        pixel = page.scene.pixel_of_ray(eye, place - eye)
        drawn = self._path_px[-1:]
        if pixel is not None:
            self._path_px.append(pixel)
        erasing = page.panel.erasing.value != shift
        if self._path_px:
            self._paint([*drawn, *self._path_px[-1:]], erasing=erasing, gesture=STROKE)
        if phase == "end" and self._path_px:
            self._fill(erasing=erasing)
            page.state.end_gesture()

    def clear(self) -> None:
        """Take away all that is marked as the part that is painted."""
        page = self.page
        page.state.masks.require_paintable()
        mask = page.state.current.mask
        if mask is not None:
            everywhere = np.ones((mask.height, mask.width), bool)
            self._change(mask.painted(everywhere, page.painted, erasing=True), gesture=None)

    def _paint(self, path_px: list[Float[np.ndarray, " 2"]], *, erasing: bool, gesture: str | None) -> None:
        mask, path = self._mask, np.stack(path_px)
        where = mask.stroked(path, float(self.page.panel.radius.value))
        self._change(mask.painted(where, self.page.painted, erasing=erasing), gesture=gesture)

    def _fill(self, *, erasing: bool) -> None:
        mask, path = self._mask, np.stack(self._path_px)
        where = mask.enclosed(path, float(self.page.panel.radius.value))
        if self.page.panel.filling.value and where.any():
            self._change(mask.painted(where, self.page.painted, erasing=erasing), gesture=STROKE)

    @property
    def _mask(self) -> Mask:
        lens = self.page.state.recording.lens
        return self.page.state.current.mask or Mask.empty(lens.height, lens.width)

    def _change(self, mask: Mask, *, gesture: str | None) -> None:
        page, current = self.page, self.page.state.current
        if mask != current.mask:
            page.state.change(replace(current, mask=mask), gesture=gesture)
            page.show_mask()
            page.show_status()
