"""Masks of a training's frames: what it costs that the outlines of predictions are not theirs. No part of the paper.

The outlines are drawn in the camera that took the picture, to which predictions are turned back from the augmented view
that the network saw. So masks need no augmentation, and where each may end is found once.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from warpgrasp.data import Dataset, Labels
from warpgrasp.data.recording import HAND, OBJECT, OCCLUDER, UNKNOWN, Masks, Recordings
from warpgrasp.errors import DataError
from warpgrasp.files import fingerprint_of_values
from warpgrasp.frame import FrameName, Frames, Reconstruction, move_to
from warpgrasp.geometry import Camera, Mesh
from warpgrasp.hand import HandModel
from warpgrasp.progress import track
from warpgrasp.refinement import Edges, labelled_poses, margins_by_labels, resized_labels, without_margins
from warpgrasp.training.settings import Recipe

LEAST_WIDTH_PX = 192  # of outlines: in smaller pictures a finger is two pixels wide
SCALE_SHARE = 1 / 40  # of the width; chosen as the weight is, beside the 1/160 of poses that are refined
KEPT_BYTES = 200_000_000  # of edges, 250 kB for each frame of 192×144; beyond it they are found again in each step
HAND_AND_OBJECT = HAND, OBJECT

Size = tuple[int, int]  # width and height


class FrameMasks:
    """The masks of frames, small and packed, and where each may end, within a limit of memory."""

    def __init__(self, size: Size, compared: Size, *, kept_bytes: int = KEPT_BYTES):
        """Of no frame yet: pictures have that `size`, and outlines are drawn at the size `compared`."""
        self.size, self.compared = size, compared
        self._labels: dict[FrameName, bytes] = {}  # of frames without a label, compressed
        self._occluded: dict[FrameName, UInt8[np.ndarray, " _"]] = {}  # a bit for each pixel
        self._edges: dict[FrameName, Edges] = {}
        self._free_bytes = kept_bytes

    @staticmethod
    def of(masks: Mapping[str, Masks], dataset: Dataset, labels: Labels, *, size: Size, compared: Size) -> "FrameMasks":
        """Those of recordings, by their names, without the margins that the labels tell.

        Raises `DataError` for other data.
        """
        if not isinstance(dataset, Recordings):
            raise DataError(f"expected recordings to train on with masks, found other data in {dataset.root}")
        found = FrameMasks(size, compared)
        for sequence, of_recording in masks.items():
            found._read(of_recording, dataset, sequence, labels)
        return found

    def _read(self, masks: Masks, dataset: Recordings, sequence: str, labels: Labels) -> None:
        """Take in those of one recording; one of a left hand is read in the mirror, and so are its masks."""
        annotated = set(labels.annotated.get(sequence, ()))
        used = annotated.union(labels.unannotated.get(sequence, ()))
        margins = _margins(masks, dataset, sequence, annotated)
        width, height = self.compared
        for number in track(sorted(used.intersection(masks.readers)), f"read the masks of {sequence} again"):
            name, shown = FrameName(sequence, number), masks.undistorted(number, dataset.recordings[sequence].lens)
            assert shown is not None
            if dataset.is_mirrored(sequence):
                shown = np.ascontiguousarray(shown[:, ::-1])
            if (shown == OCCLUDER).any():
                self._occluded[name] = np.packbits(_resized_occluder(shown, self.size).numpy())
            if number not in annotated and np.isin(shown, HAND_AND_OBJECT).any():
                whole = without_margins(shown, margins)
                whole[whole == OCCLUDER] = UNKNOWN
                small = resized_labels(torch.from_numpy(whole), height, width)
                self._labels[name] = zlib.compress(small.numpy().tobytes(), 1)

    def __len__(self) -> int:
        """How many frames without a label have a mask of hand or object."""
        return len(self._labels)

    def __contains__(self, name: FrameName) -> bool:
        """Whether a frame has one."""
        return name in self._labels

    def edges(self, names: Sequence[FrameName]) -> Edges:
        """Where the masks of frames that have one may end."""
        return Edges.joined([self._edges_of(name) for name in names])

    def of_pairs(self, targets: Frames, references: Frames) -> "PairMasks":
        """What they say of a batch of pairs."""
        return PairMasks(self, targets.names, *(self._valid(frames.names) for frames in (targets, references)))

    def _edges_of(self, name: FrameName) -> Edges:
        if name in self._edges:
            return self._edges[name]
        width, height = self.compared
        labels = np.frombuffer(zlib.decompress(self._labels[name]), np.uint8).reshape(1, height, width)
        edges = Edges.of(torch.from_numpy(labels.copy()))
        ends = sum(one.numel() * one.element_size() for of_frame in edges.ends for one in of_frame)
        size = edges.nearest.numel() * edges.nearest.element_size() + edges.labels.numel() + ends
        if size <= self._free_bytes:
            self._free_bytes -= size
            self._edges[name] = edges
        return edges

    def _valid(self, names: Sequence[FrameName]) -> Bool[Tensor, "b h w"] | None:
        """The pixels of pictures that no occluder covers; None where all are."""
        if not any(name in self._occluded for name in names):
            return None
        width, height = self.size
        valid = np.ones((len(names), height, width), bool)
        for row, name in enumerate(names):
            if name in self._occluded:
                packed = self._occluded[name]
                valid[row] = np.unpackbits(packed, count=height * width).reshape(height, width) == 0
        return torch.from_numpy(valid)


@dataclass(frozen=True)
class PairMasks:
    """What masks say of a batch of pairs."""

    masks: FrameMasks
    names: tuple[FrameName, ...]  # of the targets
    target_valid: Bool[Tensor, "b h w"] | None = None  # pixels that no occluder covers; None where all are
    reference_valid: Bool[Tensor, "b h w"] | None = None

    def loss(
        self,
        reconstruction: Reconstruction,
        view_from_camera: Float[Tensor, "b 3 3"],
        camera: Camera,
        *,
        hand: HandModel,
        faces: Int[Tensor, "b f 3"],
    ) -> Float[Tensor, " b"]:
        """What outlines predicted in augmented views cost, in the cameras that took the pictures (`Matches.cost`).

        0 for a target without a mask. `faces` are the objects'. Points are matched on the CPU.
        """
        chosen = [row for row, name in enumerate(self.names) if name in self.masks]
        vertices = reconstruction.hand.vertices
        cost = vertices.new_zeros(len(vertices))
        if not chosen:
            return cost
        # Rows times R undo R: back to the camera that took the picture.
        turn = view_from_camera[chosen]
        joints = reconstruction.hand.joints[chosen].detach() @ turn
        meshes = (
            hand.closed_mesh(vertices[chosen] @ turn),
            Mesh.of(reconstruction.object.vertices[chosen] @ turn, faces[chosen]),
        )
        small = camera.resized(*self.masks.compared)
        small = replace(small, intrinsics=small.intrinsics[chosen])
        edges, cpu = self.masks.edges([self.names[row] for row in chosen]), torch.device("cpu")
        still, seen = [move_to(mesh.with_vertices(mesh.vertices.detach()), cpu) for mesh in meshes], joints.to(cpu)
        matches = edges.matched((still[0], still[1]), seen, small.to(seen), torch.arange(len(chosen)))
        parts = tuple(move_to(part, vertices.device) for part in matches.parts)
        rows = torch.tensor(chosen, device=vertices.device)
        return cost.index_put(
            (rows,), replace(matches, parts=parts, camera=small).cost(meshes, scale_share=SCALE_SHARE)
        )


def masks_of(recipe: Recipe, dataset: Dataset, labels: Labels, masks: Mapping[str, Masks] | None) -> FrameMasks | None:
    """The masks of a training at the sizes of its recipe, if there are any and the recipe weighs them."""
    if not masks or recipe.photometric.silhouette_weight == 0 or recipe.stage2.steps == 0:
        return None
    scale = max(1, round(LEAST_WIDTH_PX / recipe.width))
    size = recipe.width, recipe.height
    return FrameMasks.of(masks, dataset, labels, size=size, compared=(scale * size[0], scale * size[1]))


def fingerprint_of_masks(masks: Mapping[str, Masks]) -> str:
    """What all masks of a training say, as a short hash."""
    return fingerprint_of_values([(sequence, masks[sequence].fingerprint) for sequence in sorted(masks)])


def _margins(masks: Masks, dataset: Recordings, sequence: str, annotated: set[int]) -> Mapping[int, int]:
    """By how much a recording's masks are too wide, by the labels that are used."""
    if not annotated.intersection(masks.readers):
        return {}
    recording, hand = dataset.recordings[sequence], dataset.hand_of(sequence)
    numbers = recording.footage.numbers
    poses = {numbers[position]: pose for position, pose in labelled_poses(recording, hand).items()}
    return margins_by_labels(masks, recording, hand, {number: poses[number] for number in annotated}) or {}


def _resized_occluder(labels: UInt8[np.ndarray, "h w"], size: Size) -> Bool[Tensor, "v u"]:
    """The pixels of a smaller picture that blend anything of an occluder."""
    covered = torch.from_numpy(labels == OCCLUDER).float()[None, None]
    return F.interpolate(covered, size=[size[1], size[0]], mode="bilinear", antialias=True)[0, 0] > 0
