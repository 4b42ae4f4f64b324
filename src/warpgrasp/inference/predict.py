"""From the frames of a data set to a predictions file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track

from warpgrasp.data import Dataset
from warpgrasp.frame import FrameName, Frames, Reconstruction, move_to
from warpgrasp.inference.predictions import Predictions, ShardWriter
from warpgrasp.reconstruction import HandObjectNetwork

SHARD_FRAMES = 320


def reconstruct(network: HandObjectNetwork, frames: Frames) -> Reconstruction:
    """Reconstruct a batch of frames by a network, without gradient."""
    network.eval()
    with torch.inference_mode():
        return network(frames.image, frames.camera, frames.objects)


def predict(
    network: HandObjectNetwork,
    dataset: Dataset,
    names: Sequence[FrameName],
    out: Path,
    *,
    header: dict[str, Any],
    batch: int = 16,
    show_progress: bool = True,
) -> None:
    """Predict the named frames into `out`, shard by shard; an interrupted prediction goes on where it was.

    `header` says where the predictions come from. No annotation is read.
    """
    writer = ShardWriter(out, header)
    shards = [names[start : start + SHARD_FRAMES] for start in range(0, len(names), SHARD_FRAMES)]
    for number, shard in enumerate(
        track(shards, description=f"predict {out.stem}", transient=True, disable=not show_progress)
    ):
        if writer.has(number):
            continue
        writer.write(number, predict_few(network, dataset, shard, batch=batch))
    writer.finish(len(shards))


def predict_few(
    network: HandObjectNetwork, dataset: Dataset, names: Sequence[FrameName], *, batch: int = 16
) -> Predictions:
    """The predictions of a few frames, kept in memory. No annotation is read."""
    device, parts = next(network.parameters()).device, []
    for start in range(0, len(names), batch):
        frames = Frames.of([dataset.frame(name, annotated=False) for name in names[start : start + batch]])
        parts.append(predictions_of(frames, reconstruct(network, move_to(frames, device))))
    return Predictions.joined(parts)


def predictions_of(frames: Frames, reconstruction: Reconstruction) -> Predictions:
    """A batch as it is stored."""
    hand, thing = reconstruction.hand, reconstruction.object

    def array(tensor: torch.Tensor) -> np.ndarray:
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
        object_rotation=array(thing.rotation),
        object_translation=array(thing.translation),
    )
