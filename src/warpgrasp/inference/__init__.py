"""From pictures to a predictions file."""

from warpgrasp.inference.backends import (
    PACKAGES,
    Backend,
    QuantizationError,
    quantize_encoder,
    quantized_encoder,
    run_encoder_by,
    threads_beside,
    vertex_change_mm,
)
from warpgrasp.inference.onnx import ExportError, export_onnx
from warpgrasp.inference.predict import predict, predict_few, predictions_of
from warpgrasp.inference.predictor import Options, Predictor
from warpgrasp.inference.reconstruct import reconstruct

__all__ = [
    "PACKAGES",
    "Backend",
    "ExportError",
    "Options",
    "Predictor",
    "QuantizationError",
    "export_onnx",
    "predict",
    "predict_few",
    "predictions_of",
    "quantize_encoder",
    "quantized_encoder",
    "reconstruct",
    "run_encoder_by",
    "threads_beside",
    "vertex_change_mm",
]
