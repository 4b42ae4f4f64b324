"""Image encoders by name."""

from warpgrasp.reconstruction.encoders.encoder import (
    ENCODERS,
    Encoder,
    EncoderError,
    Precision,
    freeze_batch_norm,
    load_encoder_weights,
    new_encoder,
    precision_on,
)
from warpgrasp.reconstruction.encoders.resnet18 import EncoderWeightsError, ResNet18

__all__ = [
    "ENCODERS",
    "Encoder",
    "EncoderError",
    "EncoderWeightsError",
    "Precision",
    "ResNet18",
    "freeze_batch_norm",
    "load_encoder_weights",
    "new_encoder",
    "precision_on",
]
