"""The single-frame hand-object reconstruction network (paper Sec. 3.2)."""

from warpgrasp.reconstruction.checkpoint import (
    RUN_WEIGHTS,
    Checkpoint,
    CheckpointError,
    KnownObject,
    checkpoint_of,
    load_checkpoint,
    open_weights,
    save_checkpoint,
)
from warpgrasp.reconstruction.encoders import (
    ENCODERS,
    Encoder,
    EncoderError,
    EncoderWeightsError,
    Precision,
    freeze_batch_norm,
    load_encoder_weights,
    precision_on,
)
from warpgrasp.reconstruction.network import (
    HandObjectNetwork,
    NetworkConfig,
    OutputScales,
    place,
    placement_of,
)
from warpgrasp.reconstruction.released import read_released
from warpgrasp.reconstruction.terms import grasp_change, regularisation, reprojection, supervision

__all__ = [
    "ENCODERS",
    "RUN_WEIGHTS",
    "Checkpoint",
    "CheckpointError",
    "Encoder",
    "EncoderError",
    "EncoderWeightsError",
    "HandObjectNetwork",
    "KnownObject",
    "NetworkConfig",
    "OutputScales",
    "Precision",
    "checkpoint_of",
    "freeze_batch_norm",
    "grasp_change",
    "load_checkpoint",
    "load_encoder_weights",
    "open_weights",
    "place",
    "placement_of",
    "precision_on",
    "read_released",
    "regularisation",
    "reprojection",
    "save_checkpoint",
    "supervision",
]
