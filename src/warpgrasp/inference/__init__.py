"""Predictions by a trained network: of data sets, recordings, videos and pictures in memory."""

from warpgrasp.inference.backends import (
    PACKAGES,
    Backend,
    quantize_encoder,
    run_encoder_by,
    threads_beside,
    vertex_change_mm,
)
from warpgrasp.inference.onnx_export import ExportError, export_onnx
from warpgrasp.inference.prediction import PredictionOptions, predict, predict_few
from warpgrasp.inference.predictor import Predictor, reconstruct
from warpgrasp.inference.quantized_file import QuantizationError, quantized_encoder

__all__ = [
    "PACKAGES",
    "Backend",
    "ExportError",
    "PredictionOptions",
    "Predictor",
    "QuantizationError",
    "export_onnx",
    "predict",
    "predict_few",
    "quantize_encoder",
    "quantized_encoder",
    "reconstruct",
    "run_encoder_by",
    "threads_beside",
    "vertex_change_mm",
]
