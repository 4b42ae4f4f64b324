"""How long each frame was worked on since the server began, without the pauses."""

import time
from collections.abc import Callable, Sequence

PAUSE_S = 60.0  # of a longer time without any action, so much counts as looking; the rest is a pause
LISTED_TIMES = 8


class Sitting:
    """The time spent on each frame. Every action is told by `act`, a turn to another frame by `turn_to` after it."""

    def __init__(self, frame: int, clock: Callable[[], float] = time.monotonic):
        self._frame, self._clock = frame, clock
        self._last = clock()
        self._spent_s: dict[int, float] = {}

    def act(self) -> None:
        """Count the time since the action before."""
        now = self._clock()
        self._spent_s[self._frame] = self.spent_s(self._frame)
        self._last = now

    def turn_to(self, frame: int) -> None:
        """Count for another frame from now on."""
        self._frame = frame

    def spent_s(self, frame: int) -> float:
        """The time spent on a frame until now."""
        since = min(self._clock() - self._last, PAUSE_S) if frame == self._frame else 0.0
        return self._spent_s.get(frame, 0.0) + since

    def says(self, labels: Sequence[int]) -> str:
        """The time at the frame at hand, and that of the labels that were worked on, the last ones in order."""
        worked = [label for label in labels if label in self._spent_s and label != self._frame][-LISTED_TIMES:]
        others = ", ".join(f"{label}: {minutes(self.spent_s(label))}" for label in worked)
        return f"time here: {minutes(self.spent_s(self._frame))}" + (f"; labels: {others}" if others else "")


def minutes(seconds: float) -> str:
    """A time as minutes and seconds."""
    whole = int(seconds)
    return f"{whole // 60}:{whole % 60:02d}"
