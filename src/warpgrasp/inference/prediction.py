"""Predictions of batches of frames by a network, and of the frames of a data set into a file."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from warpgrasp.data import Dataset
from warpgrasp.data.recording import PICTURES_INTERVAL_S
from warpgrasp.frame import FrameName, Frames, Reconstruction, move_to
from warpgrasp.inference.hand_check import HandCheck
from warpgrasp.inference.looks import Sight, shrunk
from warpgrasp.predictions import HandPosing, Postprocessing, Predictions, ShardWriter, Smoothing, share_in_view
from warpgrasp.progress import progress_bar
from warpgrasp.reconstruction import HandObjectNetwork

SHARD_FRAMES = 320


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
    writer = ShardWriter(out, header)
    shards = [names[start : start + SHARD_FRAMES] for start in range(0, len(names), SHARD_FRAMES)]
    with progress_bar(f"predict {out.stem}", len(names), unit="frames", shown=show_progress) as advance:
        for number, shard in enumerate(shards):
            if not writer.has(number):
                writer.write(number, predict_few(network, dataset, shard, batch=batch, hand_check=hand_check))
            advance(len(shard))
    smoothing = smoothing_of(smooth_frames, hand_posing(network))
    writer.finish(len(shards), Postprocessing(dataset.object_model, lambda sequence: PICTURES_INTERVAL_S, smoothing))


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
    stored = dataset.at_size(None)
    for start in range(0, len(names), batch):
        read = [dataset.frame(name, annotated=False) for name in names[start : start + batch]]
        frames = move_to(Frames.of(read), device)
        predictions = predictions_of(frames, reconstruct_frames(network, frames))
        if hand_check is not None:
            sight = partial(_sight, stored, frames.names)
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
        return network(frames.image, frames.camera, frames.objects)


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
