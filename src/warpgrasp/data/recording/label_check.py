"""What `doctor` says of the labels of a recording, of each hand."""

from collections.abc import Iterator

from warpgrasp.data.recording.annotations import HandJoints
from warpgrasp.data.recording.dataset import Recordings
from warpgrasp.data.recording.labels import EXAMINED, doubts, fitted_hand
from warpgrasp.frame import FrameName


def label_lines(dataset: Recordings, name: str) -> Iterator[str]:
    """Lines about the labels of the hand that is read of a recording; all of them are looked at with doubt.

    Raises `DataError` for one that is no hand and object in front of the camera.
    """
    recording = dataset.recordings[name]
    labels, side = recording.annotations.labels, recording.side
    held_out = [label.frame for label in labels if label.use == "evaluation"]
    shown = ", ".join(str(label.frame) for label in labels[:20]) + (", …" if len(labels) > 20 else "")
    of_hand = " of a left hand" if side == "left" else ""
    of_hand = of_hand if recording.annotations.other is None else f" of the {side} hand"
    yield f"{len(labels)} labels{of_hand}, {len(held_out)} of them for evaluation" + (
        f": frames {shown}" if labels else ""
    )
    dataset.examined[name] = EXAMINED  # all of them are, below
    truths = [dataset.truth(FrameName(name, label.frame)) for label in labels]
    hand = dataset.hand_of(name)
    residuals = [
        (1000 * float(fitted_hand(label.hand, hand).residual_m), label.frame)
        for label in labels
        if isinstance(label.hand, HandJoints)
    ]
    if residuals:
        worst, frame = max(residuals)
        mean = sum(residual for residual, _ in residuals) / len(residuals)
        yield (
            f"{len(residuals)} hands fitted to 21 joints, {mean:.1f} mm away on average, "
            f"{worst:.1f} mm at most (frame {frame})"
        )
    in_camera = [dataset.in_camera(name, label, truth.annotation) for label, truth in zip(labels, truths, strict=True)]
    of_hand = "" if recording.annotations.other is None else f"{side} hand: "
    yield from (f"warning: {of_hand}{line}" for line in doubts(in_camera))
