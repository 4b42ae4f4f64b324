"""Image encoders by name."""

from warpgrasp.reconstruction.encoders.resnet18 import ResNet18, freeze_batch_norm, load_encoder_weights, precision_on

__all__ = [
    "ResNet18",
    "freeze_batch_norm",
    "load_encoder_weights",
    "precision_on",
]
