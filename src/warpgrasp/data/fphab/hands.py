"""The hand's surface in the frames of a sequence: from the published MANO fits, else fitted to the joints.

A fit to joints takes seconds, so it is kept on the disk: a sequence is fitted once, until its joints change.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from warpgrasp.checked import read_arrays
from warpgrasp.data.fphab.files import ManoFit, PerFrame
from warpgrasp.errors import DataError
from warpgrasp.files import cache_folder, replacing
from warpgrasp.geometry import matrix_from_axis_angle
from warpgrasp.hand import LARGEST_RESIDUAL_M, HandFit, HandModel, HandTemplate, fit_hand, joints_alone, refusal

# FPHAB's joints and MANO's differ by definition, by a centimetre or so. Parameters of MANO posed by another hand model
# lie 18 to 26 mm off: fits as far from the skeletons were made with another hand, or are in another frame.
FIT_AGREEMENT_M = 0.015
FARTHEST_FIT_M = 0.1  # in a single frame, where the skeleton's sensors may have slipped: half a hand's length
FIT_VERSION = 2  # to be raised with every change of hand/fit.py or hand/least_squares.py that changes results
FIT_FOLDER = ".warpgrasp/hand_fits"  # beside the data
LARGEST_FIT_BYTES = 64_000_000  # of an array: 300,000 frames


@dataclass(frozen=True)
class SequenceHands:
    """The hand model's parameters in some frames of a sequence, in metres, in the frame of the colour camera."""

    frames: tuple[int, ...]
    rotation: Float[Tensor, "n 3"]
    translation: Float[Tensor, "n 3"]
    pose: Float[Tensor, "n 45"]
    shape: Float[Tensor, "n s"]
    residual_m: Float[Tensor, " n"]  # mean distance of the model's joints from the skeleton's
    fitted: Bool[Tensor, " n"]  # at import, to the joints alone
    broken: Mapping[int, DataError] = field(default_factory=dict)  # of other frames, what is wrong with their fits

    @cached_property
    def refused_frames(self) -> list[int]:
        """The frames whose surface is not that of the skeleton."""
        return [frame for row, frame in enumerate(self.frames) if self._wrong(row) is not None]

    @cached_property
    def unfitted_frames(self) -> frozenset[int]:
        """The frames whose joints the hand could not be fitted to: they have no annotation."""
        return frozenset(frame for frame in self.refused_frames if self.fitted[self.frames.index(frame)])

    def surface(
        self, hand: HandModel, frame: int, *, skeleton: Path, fits: Path | None
    ) -> tuple[Float[Tensor, "v 3"], Float[Tensor, "3 3"]]:
        """The hand's vertices, and the rotation of the whole hand, in a frame.

        Raises `DataError` naming the file when the surface is not that of the skeleton, or the frame's fit is broken.
        """
        if frame in self.broken:
            raise self.broken[frame]
        row = self.frames.index(frame)
        wrong = self._wrong(row)
        if wrong is not None:
            path = skeleton if self.fitted[row] else fits
            raise DataError(f"expected {wrong[0]} in frame {frame} of {path}, found {wrong[1]}")
        return self.vertices(hand, torch.tensor([row]))[0], matrix_from_axis_angle(self.rotation[row])

    def vertices(self, hand: HandModel, rows: Int[Tensor, " k"]) -> Float[Tensor, "k v 3"]:
        """The hand's vertices in some of the `frames`, whatever they are."""
        with torch.no_grad():
            posed = hand(self.rotation[rows], self.pose[rows], self.shape[rows])
        return posed.vertices + self.translation[rows][:, None]

    def _wrong(self, row: int) -> tuple[str, str] | None:
        """Why a frame's surface is refused: what was expected of it, and what was found instead."""
        if self.fitted[row]:
            reason = refusal(self.residual_m[row], self.shape[row])
            return None if reason is None else ("the 21 joints of a hand", reason)
        typical_m, own_m = self.residual_m[~self.fitted].median(), self.residual_m[row]
        if typical_m <= FIT_AGREEMENT_M and own_m <= FARTHEST_FIT_M:
            return None
        where = (
            f"{1000 * own_m:.0f} mm away" if typical_m <= FIT_AGREEMENT_M else f"{1000 * typical_m:.0f} mm away in most"
        )
        return "the fitted hand where the skeleton is", (
            f"it {where}; the fits were made with MANO (--hand mano --mano-folder DIR), and without their folder the "
            f"hand is fitted to the joints"
        )


def hands_of(
    hand: HandModel, joints: Mapping[int, Float[Tensor, "21 3"]], *, fits: PerFrame[ManoFit], root: Path
) -> SequenceHands:
    """The hand in the frames whose joints are given; `root` is where fits made here are kept.

    Fits are MANO's. Another hand that they do not agree with is fitted to the joints instead, as where there are none.
    """
    parts = []
    if stated := [frame for frame in joints if frame in fits.values]:
        posed = _stated(hand, joints, {frame: fits.values[frame] for frame in stated})
        if hand.template.name.startswith("mano ") or posed.residual_m.median() <= FIT_AGREEMENT_M:
            parts.append(posed)
        else:
            fits = PerFrame({}, {})
    if missing := [frame for frame in joints if frame not in fits]:
        fit = cached_fit(hand, torch.stack([joints[frame] for frame in missing]), root=root)
        shape, done = fit.shape.expand(len(missing), -1), torch.ones(len(missing)).bool()
        parts.append(
            SequenceHands(tuple(missing), fit.rotation, fit.translation, fit.pose, shape, fit.residual_m, done)
        )
    return _joined(parts, hand, fits.broken)


def _stated(hand: HandModel, joints: Mapping[int, Float[Tensor, "21 3"]], fits: Mapping[int, ManoFit]) -> SequenceHands:
    """The hand in the frames that have a fit."""
    rotation, translation, pose, shape = (
        torch.stack([getattr(fit, name) for fit in fits.values()])
        for name in ("rotation", "translation", "pose", "shape")
    )
    with torch.no_grad():
        placed = joints_alone(hand)(rotation, pose, shape).joints + translation[:, None]
    residual = (placed - torch.stack([joints[frame] for frame in fits])).norm(dim=-1).mean(dim=-1)
    return SequenceHands(tuple(fits), rotation, translation, pose, shape, residual, torch.zeros(len(fits)).bool())


def _joined(parts: Sequence[SequenceHands], hand: HandModel, broken: Mapping[int, DataError]) -> SequenceHands:
    widths = {"rotation": (3,), "translation": (3,), "pose": (45,), "shape": (hand.shape_count,), "residual_m": ()}
    columns = {
        name: torch.cat([torch.zeros(0, *width), *(getattr(part, name) for part in parts)])
        for name, width in widths.items()
    }
    fitted = torch.cat([torch.zeros(0).bool(), *(part.fitted for part in parts)])
    frames = tuple(frame for part in parts for frame in part.frames)
    return SequenceHands(frames, **columns, fitted=fitted, broken=broken)


def cached_fit(hand: HandModel, joints: Float[Tensor, "n 21 3"], *, root: Path) -> HandFit:
    """The hand fitted to a sequence's joints: out of the cache of the data in `root`, or computed and put there.

    The cache is `root/.warpgrasp/hand_fits`, or `hand_fits` in the user's own (`cache_folder`) where `root` is not
    writable; with neither, nothing is kept. A file's name is the hash of everything that decides its content; a broken
    file is written anew. Raises `FitError` as `fit_hand` does.
    """
    name, beside = f"{_key(hand.template, joints)}.npz", root / FIT_FOLDER
    folders = [beside, cache_folder() / "hand_fits"]
    if beside.resolve() != root.resolve() / FIT_FOLDER:  # a link, which came with the data, to a folder elsewhere
        folders.remove(beside)
    for folder in folders:
        with suppress(DataError):
            return _read(folder / name, hand, joints)
    fit = fit_hand(hand, joints)
    for folder in folders:
        with suppress(OSError):
            _write(folder / name, fit)
            break
    return fit


def _key(template: HandTemplate, joints: Float[Tensor, "n 21 3"]) -> str:
    digest = hashlib.sha256(f"{FIT_VERSION} {template.fingertip_vertices} {template.parents}".encode())
    decisive = (
        template.vertices,
        template.shape_directions,
        template.pose_directions,
        template.joint_regressor,
        template.skinning_weights,
        template.pose_components,
        template.pose_deviations,
        template.mean_pose,
        joints.detach().cpu().numpy(),
    )
    for array in decisive:
        if array is not None:
            digest.update(f"{array.shape}".encode() + np.ascontiguousarray(array, dtype=np.float64).tobytes())
    return digest.hexdigest()[:32]


def _read(path: Path, hand: HandModel, joints: Float[Tensor, "n 21 3"]) -> HandFit:
    count = len(joints)
    shapes = {"rotation": (count, 3), "wrist": (count, 3), "pose": (count, 45), "shape": (hand.shape_count,)}
    stored = read_arrays(path, *shapes, largest_bytes=LARGEST_FIT_BYTES)
    rotation, wrist, pose, shape = (stored.tensor(name, lengths).to(hand.mean_pose) for name, lengths in shapes.items())
    return HandFit.of(hand, joints, rotation=rotation, wrist=wrist, pose=pose, shape=shape)


def _write(path: Path, fit: HandFit) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rotation, wrist, pose, shape = (
        part.float().numpy() for part in (fit.rotation, fit.joints[:, 0], fit.pose, fit.shape)
    )
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, rotation=rotation, wrist=wrist, pose=pose, shape=shape)


def hand_lines(
    hands: Mapping[str, SequenceHands], hand: HandModel, *, fitted: Collection[str], fits: Path | None
) -> Iterator[str]:
    """Lines about the hands of sequences: where they come from, how far they are from the skeletons, and doubts.

    Of the sequences in `fitted` there are files of fits, in the folder `fits`.
    """
    if not hands:
        return
    residual_mm = 1000 * torch.cat([one.residual_m for one in hands.values()])
    at_import = torch.cat([one.fitted for one in hands.values()])
    stated_limit = f"{1000 * FIT_AGREEMENT_M:.0f} mm in a sequence's median frame, {1000 * FARTHEST_FIT_M:.0f} in any"
    for kind, chosen, limit in (
        (f"taken from MANO fits ({fits or 'no folder of fits'})", ~at_import, stated_limit),
        ("fitted to the joints here", at_import, f"{1000 * LARGEST_RESIDUAL_M:.0f} mm"),
    ):
        if chosen.any():
            of_kind = residual_mm[chosen]
            yield (
                f"{len(of_kind)} hands {kind}: their joints are {of_kind.mean():.1f} mm from the skeletons, "
                f"{of_kind.max():.1f} mm in the worst frame (limit: {limit})"
            )
    another = [name for name in fitted if hands[name].fitted.all()]
    if another:
        yield (
            f"warning: the fits of {len(another)} sequences are of another hand than {hand.template.name} "
            f"(they were made with MANO: --hand mano), so it is fitted to the joints instead"
        )
    unfitted = [f"frame {frame} of {name}" for name, one in hands.items() for frame in sorted(one.unfitted_frames)]
    if unfitted:
        yield (
            f"{len(unfitted)} hands ({100 * len(unfitted) / len(at_import):.2f} %) cannot be fitted within the limit: "
            f"these frames are kept as unannotated frames, the first is {unfitted[0]}"
        )
    refused = [
        f"frame {frame} of {name}"
        for name, one in hands.items()
        for frame in one.refused_frames
        if frame not in one.unfitted_frames
    ]
    if refused:
        yield (
            f"warning: {len(refused)} of these hands are beyond the limits, and refused where their annotation is "
            f"wanted, the first in {refused[0]}"
        )
