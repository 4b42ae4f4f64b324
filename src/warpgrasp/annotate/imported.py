"""Labels of other programs become labels of a recording: joints a fitted hand, poses the object's.

The hand is fitted as on the annotation page when its joints are clicked on. One view hardly tells its size: the shape
is that of the recording's labels or, where there are none, the mean of what the frames tell each for itself. A frame of
which only one part is known becomes a draft, which keeps it; the other one can be given later, here or on the page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.annotate.clicked_joints import seen_joints
from warpgrasp.annotate.drafts import DRAFTS_FILE
from warpgrasp.annotate.edited_frame import EditedFrame, Part, check_pose, first_pose
from warpgrasp.annotate.store import AnnotationStore, writing_alone
from warpgrasp.data.recording import ANNOTATIONS_FILE, Recording, Use
from warpgrasp.data.recording.label_files import FilePose, SeenPixels, StatedLabels
from warpgrasp.errors import DataError, UserError
from warpgrasp.geometry import matrix_from_axis_angle
from warpgrasp.hand import FEWEST_JOINTS, ExpectedHand, FitError, HandFit, HandModel, fit_hand_to_pixels
from warpgrasp.progress import track

Stated = TypeVar("Stated", SeenPixels, FilePose)
SHAPES_FROM = 16  # frames whose shapes are averaged
LISTED = 12  # frames that a sentence names


@dataclass(frozen=True)
class Imported:
    """What became of each frame."""

    labelled: tuple[int, ...]
    lacking: Mapping[Part, tuple[int, ...]]
    """The drafts, by the part that nothing is known of."""
    missed_px: Mapping[int, float]
    """How far the fitted hand's joints lie from those that were stated, on average, by frame."""
    left_out: Mapping[int, str]
    """Why no hand was fitted, by frame."""


def import_labels(
    recording: Recording,
    hand: HandModel,
    stated: Sequence[StatedLabels],
    *,
    use: Use | None = None,
    force: bool = False,
) -> Imported:
    """Add what files of other programs state to a recording's labels and drafts, all of it or nothing.

    `hand` is the model of the recording's own hand. Frames that have a label or a draft are refused, but for drafts
    that lack just what is stated; with `force` that part of them is replaced. `use` is what the labels are for; where
    it is None, it stays what it was, or is training. Raises `DataError` when frames are refused, for two statements of
    one thing, and when no hand can be fitted and no object is stated; `LockedError` while somebody annotates the
    recording, and `OSError` when it cannot be written.
    """
    hands = _merged("hand", [(one.path, one.hands) for one in stated])
    objects = _merged("object", [(one.path, one.objects) for one in stated])
    holding = f"expected nobody else to write the labels of {recording.folder}, but {{holder}} is annotating it"
    with writing_alone(recording.folder, holding):
        store = AnnotationStore(recording, hand)
        _refuse_known(store, recording, hands, objects, force=force)
        fits, left_out = _fitted(recording, hand, store, hands)
        if not fits and not objects:
            frame, reason = next(iter(left_out.items()))
            raise DataError(
                f"expected joints of a hand in {stated[0].path}, found none that fit; frame {frame}: {reason}"
            )
        fresh = EditedFrame(first_pose(recording, hand))
        frames = {}
        for number in sorted(fits.keys() | objects.keys()):
            placed = None if number not in objects else _object_pose(recording, objects[number])
            beginning = store.beside_other(number, fresh)
            frames[number] = _frame(store.get(number), beginning, hands.get(number), fits.get(number), placed)
        for number, frame in frames.items():
            try:
                check_pose(frame)
            except UserError as error:
                raise DataError(f"{error}, for frame {number} of {stated[0].path}") from error
            store.put(number, replace(frame, use=use or frame.use))
        store.save()
    lacking: dict[Part, tuple[int, ...]] = {
        part: tuple(number for number, frame in frames.items() if not frame.done and frame.missing == part)
        for part in ("hand", "object")
    }
    missed_px = {number: _missed_px(recording, fit, hands[number]) for number, fit in fits.items()}
    return Imported(tuple(number for number, frame in frames.items() if frame.done), lacking, missed_px, left_out)


def _merged(part: str, stated: Sequence[tuple[Path, Mapping[int, Stated]]]) -> dict[int, Stated]:
    """What files state of one part, by frame. Raises `DataError` when two of them state the same."""
    merged, source = {}, {}
    for path, one in stated:
        for frame, value in one.items():
            if frame in merged:
                raise DataError(f"expected one {part} for frame {frame}, found one in {source[frame]} and in {path}")
            merged[frame], source[frame] = value, path
    return merged


def _refuse_known(
    store: AnnotationStore,
    recording: Recording,
    hands: Mapping[int, SeenPixels],
    objects: Mapping[int, FilePose],
    *,
    force: bool,
) -> None:
    """Raise `DataError` for frames of which is known already what is stated, unless `force`."""
    if placed := sorted(objects.keys() & store.beside.keys()):
        _refuse(placed, recording.folder / ANNOTATIONS_FILE, force=force)
    for name, known in ((ANNOTATIONS_FILE, store.labelled), (DRAFTS_FILE, store.drafted)):
        refused = []
        for number in known:
            frame = store.get(number)
            assert frame is not None
            parts = {"hand": number in hands, "object": number in objects}
            completed = (
                not frame.done
                and frame.missing is not None
                and parts == {"hand": frame.missing == "hand", "object": frame.missing == "object"}
            )
            if any(parts.values()) and not completed:
                refused.append(number)
        if refused:
            _refuse(refused, recording.folder / name, force=force)


def _refuse(frames: Sequence[int], path: Path, *, force: bool) -> None:
    """Raise `DataError` for frames of which a file knows already what is stated, unless `force`."""
    if not force:
        raise DataError(
            f"expected frames of which nothing is known yet, but {listed(frames)} of {path} "
            f"{'is' if len(frames) == 1 else 'are'} there already; replace what is stated of them by --force"
        )


def _fitted(
    recording: Recording, hand: HandModel, store: AnnotationStore, hands: Mapping[int, SeenPixels]
) -> tuple[dict[int, HandFit], dict[int, str]]:
    """The hands fitted to joints, and why others were not."""
    left_out = {
        number: f"{len(seen.joints_px)} joints, and at least {FEWEST_JOINTS} tell a hand"
        for number, seen in hands.items()
        if len(seen.joints_px) < FEWEST_JOINTS
    }
    usable = {number: seen for number, seen in hands.items() if number not in left_out}
    if not usable:
        return {}, left_out
    shape = _known_shape(store, set(usable))
    if shape is None:
        every = -(-len(usable) // SHAPES_FROM)
        alone, _ = _fits(recording, hand, dict(list(usable.items())[::every]), None)
        shape = torch.stack([fit.shape for fit in alone.values()]).mean(dim=0) if alone else None
    fits, refused = _fits(recording, hand, usable, shape)
    return fits, {**left_out, **refused}


def _known_shape(store: AnnotationStore, replaced: set[int]) -> Float[Tensor, " s"] | None:
    """The mean shape of the labels that stay; None where there are none."""
    frames = [store.get(number) for number in store.labelled if number not in replaced]
    shapes = [frame.pose.shape[0] for frame in frames if frame is not None]
    return torch.stack(shapes).mean(dim=0).float() if shapes else None


def _fits(
    recording: Recording, hand: HandModel, hands: Mapping[int, SeenPixels], shape: Float[Tensor, " s"] | None
) -> tuple[dict[int, HandFit], dict[int, str]]:
    fits, refused = {}, {}
    expected, camera = ExpectedHand(shape=shape), recording.lens.camera
    for number, seen in track(hands.items(), description="fit the hands", transient=True):
        try:
            fits[number] = fit_hand_to_pixels(hand, seen_joints(seen.joints_px), camera=camera, expected=expected)
        except FitError as error:
            refused[number] = str(error)
    return fits, refused


def _missed_px(recording: Recording, fit: HandFit, seen: SeenPixels) -> float:
    wanted = seen_joints(seen.joints_px)
    found = recording.lens.camera.project(fit.joints[0])
    return float((found - wanted.pixels)[wanted.seen].norm(dim=-1).mean())


def _frame(
    before: EditedFrame | None,
    fresh: EditedFrame,
    seen: SeenPixels | None,
    fit: HandFit | None,
    placed: tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, " 3"]] | None,
) -> EditedFrame:
    """A frame with what is stated of it, on top of what is known of it; finished when both parts are known."""
    frame = before or fresh
    if fit is not None:
        assert seen is not None
        rotation = matrix_from_axis_angle(fit.rotation[0].double())
        parts = {"hand_rotation": rotation, "wrist": fit.joints[0, 0], "joint_angles": fit.pose[0], "shape": fit.shape}
        frame = frame.moved(**{name: part.double().numpy() for name, part in parts.items()})
        frame = replace(frame, joints_px=seen.joints_px)
    if placed is not None:
        frame = replace(frame.moved(object_rotation=placed[0], object_centre=placed[1]), pairs=())
    if before is None or (fit is not None and placed is not None):
        has_object = placed is not None or frame.stated_object is not None  # as the other hand's label has it
        missing: Part | None = "hand" if fit is None else None if has_object else "object"
        return replace(frame, missing=missing, done=missing is None)
    return replace(frame, done=frame.done or (before.missing is not None and frame.missing is None))


def _object_pose(recording: Recording, pose: FilePose) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, " 3"]]:
    """The pose of the object's centred coordinates, from that of the mesh file's."""
    of_file = torch.from_numpy(pose.rotation), torch.from_numpy(pose.translation)
    rotation, translation = recording.object.model.pose_from_file(*of_file)
    return rotation.numpy(), translation.numpy()


def listed(frames: Sequence[int]) -> str:
    """Frames for a sentence."""
    more = f", … ({len(frames)} in all)" if len(frames) > LISTED else ""
    return f"frame{'s' if len(frames) != 1 else ''} {', '.join(map(str, frames[:LISTED]))}{more}"
