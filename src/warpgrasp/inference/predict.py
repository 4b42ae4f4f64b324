"""From the frames of a data set to a predictions file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from warpgrasp.data import Dataset
from warpgrasp.data.recording import PICTURES_INTERVAL_S
from warpgrasp.frame import FrameName, Frames, Reconstruction, move_to
from warpgrasp.predictions import Finish, PosedHand, Predictions, ShardWriter, share_in_view
from warpgrasp.progress import frames_done
from warpgrasp.reconstruction import HandObjectNetwork

SHARD_FRAMES = 320


def reconstruct(network: HandObjectNetwork, frames: Frames) -> Reconstruction:
    """Reconstruct a batch of frames by a network, without gradient."""
    network.eval()
    with torch.inference_mode():
        return network(frames.image, frames.camera, frames.objects)


def posed_hand(network: HandObjectNetwork) -> PosedHand:
    """The hand of parameters as a network gives it."""
    device = next(network.parameters()).device

    def posed(*parameters: Tensor) -> tuple[Tensor, Tensor]:
        rotation, translation, pose, shape = (parameter.to(device) for parameter in parameters)
        hand = network.posed_hand(rotation, translation, pose=pose, shape=shape)
        return hand.vertices.cpu(), hand.joints.cpu()

    return posed


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
) -> None:
    """Predict the named frames into `out`, shard by shard; an interrupted prediction goes on where it was.

    `header` says where the predictions come from. No annotation is read.
    """
    writer = ShardWriter(out, header)
    shards = [names[start : start + SHARD_FRAMES] for start in range(0, len(names), SHARD_FRAMES)]
    with frames_done(f"predict {out.stem}", len(names), shown=show_progress) as advance:
        for number, shard in enumerate(shards):
            if not writer.has(number):
                writer.write(number, predict_few(network, dataset, shard, batch=batch))
            advance(len(shard))
    finish = Finish(dataset.object_model, lambda sequence: PICTURES_INTERVAL_S, posed_hand(network), smooth_frames)
    writer.finish(len(shards), finish)


def predict_few(
    network: HandObjectNetwork, dataset: Dataset, names: Sequence[FrameName], *, batch: int = 16
) -> Predictions:
    """The predictions of a few frames, kept in memory. No annotation is read."""
    device, parts = next(network.parameters()).device, []
    for start in range(0, len(names), batch):
        read = [dataset.frame(name, annotated=False) for name in names[start : start + batch]]
        frames = move_to(Frames.of(read), device)
        parts.append(predictions_of(frames, reconstruct(network, frames)))
    return Predictions.joined(parts)


def predictions_of(frames: Frames, reconstruction: Reconstruction) -> Predictions:
    """A batch as it is stored. The frames' camera decides what is in view."""
    hand, thing = reconstruction.hand, reconstruction.object
    camera = frames.camera.to(hand.vertices)

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
        hand_in_view=array(share_in_view(hand.vertices, camera)),
        object_in_view=array(share_in_view(thing.vertices, camera, frames.objects.real.to(thing.vertices.device))),
    )
