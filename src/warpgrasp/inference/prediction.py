"""Predictions of batches of frames by a network, and of the frames of a data set into a file; how they are made."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from warpgrasp.data import Dataset, OnBad
from warpgrasp.data.recording import PICTURES_INTERVAL_S
from warpgrasp.errors import UserError
from warpgrasp.frame import FrameName, Frames, Reconstruction, move_to
from warpgrasp.inference.backends import Backend
from warpgrasp.inference.hand_check import HandCheck, Sight, shrunk
from warpgrasp.inference.hand_search import usual_search
from warpgrasp.predictions import (
    LONGEST_FRAMES,
    HandPosing,
    Postprocessing,
    Predictions,
    ShardWriter,
    Smoothing,
    share_in_view,
)
from warpgrasp.progress import progress_bar
from warpgrasp.reconstruction import HandObjectNetwork

SHARD_FRAMES = 320


class PredictError(UserError):
    """A prediction cannot be made in the way that is asked for."""


@dataclass(frozen=True)
class PredictionOptions:
    """How frames are predicted."""

    batch: int = 16
    """Frames at once."""
    smooth_frames: float = 0.0
    """The standard deviation, in frames, of the temporal filter (`Smoothing`); 0 for none."""
    bad_frames: OnBad = "refuse"
    """What is done with a frame of a video that cannot be read."""
    device: str = "auto"
    """`cpu`, `cuda`, or another of PyTorch's; `auto`: a GPU where there is one."""
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    """Arithmetic of the encoder; `auto`: bf16 where the hardware has it."""
    backend: Backend = "torch"
    """The package that runs the encoder."""
    quantized: Path | None = None
    """The encoder in int8, as `quantize_encoder` wrote it."""
    check_hands: int = 5
    """A detector looks for the predicted hand in one frame of so many (`HandCheck`); 0: it is not asked."""

    refine: bool = False
    """Each frame's pose is moved to the keypoints that a detector sees in it, the object with the hand."""
    keypoints: Path | None = None
    """What another program has seen (`read_keypoints`): it is asked in place of the shipped detector, in all frames."""

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise PredictError(f"expected at least 1 frame at once, got {self.batch}; choose another --batch")
        if not 0 <= self.smooth_frames <= LONGEST_FRAMES:
            raise PredictError(
                f"expected a standard deviation from 0 to {LONGEST_FRAMES:g} frames, got {self.smooth_frames:g}; "
                f"choose another --smooth"
            )
        if self.check_hands < 0:
            raise PredictError(
                f"expected to look for the hand in one frame of some number, or 0 for never, got {self.check_hands}; "
                f"choose another --check-hands"
            )


def predict(
    network: HandObjectNetwork,
    dataset: Dataset,
    names: Sequence[FrameName],
    out: Path,
    *,
    header: dict[str, Any],
    batch: int = 16,
    show_progress: bool = True,
    smooth_frames: float = 0.0,
    hand_check: HandCheck | None = None,
) -> None:
    """Predict the named frames into `out`, shard by shard; an interrupted prediction goes on where it was.

    `header` says where the predictions come from. No annotation is read.
    """
    shards = [names[start : start + SHARD_FRAMES] for start in range(0, len(names), SHARD_FRAMES)]
    smoothing = smoothing_of(smooth_frames, hand_posing(network))
    postprocessing = Postprocessing(dataset.object_model, lambda sequence: PICTURES_INTERVAL_S, smoothing)
    with ShardWriter(out, header) as writer:
        with progress_bar(f"predict {out.stem}", len(names), unit="frames", shown=show_progress) as advance:
            for number, shard in enumerate(shards):
                if not writer.has(number):
                    writer.write(number, predict_few(network, dataset, shard, batch=batch, hand_check=hand_check))
                advance(len(shard))
        writer.finish(len(shards), postprocessing)


def predict_few(
    network: HandObjectNetwork,
    dataset: Dataset,
    names: Sequence[FrameName],
    *,
    batch: int = 16,
    hand_check: HandCheck | None = None,
) -> Predictions:
    """The predictions of a few frames, kept in memory. No annotation is read."""
    device, parts = next(network.parameters()).device, []
    followed = usual_search(device).begun() if network.config.joint_input else None
    stored = dataset.at_size(None)
    for start in range(0, len(names), batch):
        read = [dataset.frame(name, annotated=False) for name in names[start : start + batch]]
        frames = Frames.of(read)
        sight = cache(partial(_sight, stored, frames.names))  # a picture that is looked at twice is read once
        if followed is not None:
            sights = [sight(row) for row in range(len(read))]
            size = frames.camera.width, frames.camera.height
            frames = replace(frames, detections=followed.told(frames.names, sights, size))
        frames = move_to(frames, device)
        predictions = predictions_of(frames, reconstruct_frames(network, frames))
        if hand_check is not None:
            predictions = hand_check.checked(predictions, sight)
        parts.append(predictions)
    return Predictions.joined(parts)


def _sight(stored: Dataset, names: Sequence[FrameName], row: int) -> Sight:
    """The picture of a frame as the detector sees it; `stored` reads pictures at their own size."""
    frame = stored.frame(names[row], annotated=False)
    return Sight(shrunk(frame.picture.permute(1, 2, 0).contiguous().numpy()), frame.camera)


def reconstruct_frames(network: HandObjectNetwork, frames: Frames) -> Reconstruction:
    """Reconstruct a batch of frames by a network, without gradient."""
    network.eval()
    with torch.inference_mode():
        return network(frames.image, frames.camera, frames.objects, frames.detections)


def predictions_of(frames: Frames, reconstruction: Reconstruction) -> Predictions:
    """A batch as it is stored. The frames' camera decides what is in view."""
    hand, posed_object = reconstruction.hand, reconstruction.object
    camera, real = frames.camera.to(hand.vertices), frames.objects.real.to(hand.vertices.device)

    def array(tensor: Tensor) -> np.ndarray:
        return tensor.float().cpu().numpy()

    return Predictions(
        sequence=np.array([name.sequence for name in frames.names]),
        index=np.array([name.index for name in frames.names]),
        object_name=np.array(frames.objects.names),
        hand_vertices=array(hand.vertices),
        hand_joints=array(hand.joints),
        hand_rotation=array(hand.rotation),
        hand_translation=array(hand.translation),
        hand_pose=array(hand.pose_coefficients),
        hand_shape=array(hand.shape),
        object_rotation=array(posed_object.rotation),
        object_translation=array(posed_object.translation),
        hand_in_view=array(share_in_view(hand.vertices, camera)),
        object_in_view=array(share_in_view(posed_object.vertices, camera, real)),
    )


def hand_posing(network: HandObjectNetwork) -> HandPosing:
    """How a network poses its hand by given parameters, skeleton adaptation included."""
    device = next(network.parameters()).device

    def pose_hand(*parameters: Tensor) -> tuple[Tensor, Tensor]:
        rotation, translation, pose, shape = (parameter.to(device) for parameter in parameters)
        hand = network.posed_hand(rotation, translation, pose=pose, shape=shape)
        return hand.vertices.cpu(), hand.joints.cpu()

    return pose_hand


def smoothing_of(frames: float, pose_hand: HandPosing) -> Smoothing | None:
    """The temporal filter of a standard deviation in frames; none where it is 0."""
    return Smoothing(frames, pose_hand) if frames else None
