"""The network with its hand model as one ONNX file, for other programs."""

import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from warpgrasp.errors import UserError
from warpgrasp.files import replacing
from warpgrasp.frame import Detections, Objects
from warpgrasp.geometry import Camera
from warpgrasp.reconstruction import HandObjectNetwork

INPUTS = ("image", "intrinsics", "object_vertices", "object_row")
JOINT_INPUTS = ("joints_px", "joint_confidence")  # of a network that is told where the hand is seen (`joint_input`)
OUTPUTS = (
    "hand_vertices",
    "hand_joints",
    "hand_rotation",
    "hand_translation",
    "hand_pose",
    "hand_shape",
    "posed_object_vertices",
    "object_rotation",
    "object_translation",
)
FORMAT = "warpgrasp-onnx-1"


class ExportError(UserError):
    """A network cannot be exported."""


def export_onnx(
    network: HandObjectNetwork, path: Path, *, width: int, height: int, notes: Mapping[str, str] | None = None
) -> None:
    """Write the network to an ONNX file; the batch and the object's number of vertices stay free.

    The file's metadata name the format, the objects in the order of `object_row`, and `notes`. Raises `ExportError`
    when a package is missing.
    """
    deployed = DeployedNetwork(network, width=width, height=height).cpu().eval()
    batch, vertices = torch.export.Dim("batch", min=1), torch.export.Dim("vertices", min=1)
    names = INPUTS + (JOINT_INPUTS if network.config.joint_input else ())
    shapes = ({0: batch}, {0: batch}, {0: batch, 1: vertices}, {0: batch}, {0: batch}, {0: batch})[: len(names)]
    program = onnx_program(deployed, example_inputs(network, width=width, height=height), names, OUTPUTS, shapes)
    metadata = {"format": FORMAT, "objects": json.dumps(network.object_names), **(notes or {})}
    program.model.metadata_props.update(metadata)
    with replacing(path) as temporary:
        program.save(temporary)


class DeployedNetwork(nn.Module):
    """The network as a function of tensors alone; the size of its pictures is fixed.

    `object_row` says which of the network's objects a picture shows, in the order of `object_names`.
    """

    def __init__(self, network: HandObjectNetwork, *, width: int, height: int):
        super().__init__()
        self.network = network
        self._size = (width, height)

    def forward(
        self,
        image: Float[Tensor, "b 3 h w"],
        intrinsics: Float[Tensor, "b 3 3"],
        object_vertices: Float[Tensor, "b v 3"],
        object_row: Int[Tensor, " b"],
        joints_px: Float[Tensor, "b 21 2"] | None = None,
        joint_confidence: Float[Tensor, "b 21"] | None = None,
    ) -> tuple[Tensor, ...]:
        """The tensors of `OUTPUTS`, in camera space and metres; `image` is in [0, 1].

        Where the hand is seen, only a network takes that is told.
        """
        batch = object_row.shape[0]  # `len` would make a constant of it
        objects = Objects(
            (),
            object_vertices,
            torch.ones_like(object_vertices[..., 0], dtype=torch.bool),
            object_row.new_zeros((batch, 0, 3)),
            object_vertices.new_zeros((batch, 8, 3)),  # no output depends on the box
        )
        features = self.network.features(image)
        camera = Camera(intrinsics, *self._size)
        told = None
        if joints_px is not None and joint_confidence is not None:
            told = Detections(joints_px, joint_confidence)
        reconstruction = self.network.reconstruct(features, camera, objects, rows=object_row, detections=told)
        hand, posed = reconstruction.hand, reconstruction.object
        of_hand = (hand.vertices, hand.joints, hand.rotation, hand.translation, hand.pose_coefficients, hand.shape)
        return *of_hand, posed.vertices, posed.rotation, posed.translation


def example_inputs(network: HandObjectNetwork, *, width: int, height: int, batch: int = 2) -> tuple[Tensor, ...]:
    """Inputs of the right shapes."""
    intrinsics = torch.tensor([[width, 0, (width - 1) / 2], [0, width, (height - 1) / 2], [0, 0, 1]])
    inputs = (
        torch.rand(batch, 3, height, width),
        intrinsics.repeat(batch, 1, 1),
        0.05 * torch.randn(batch, 8, 3),
        torch.arange(batch) % len(network.object_names),
    )
    if not network.config.joint_input:
        return inputs
    return *inputs, torch.rand(batch, 21, 2) * torch.tensor([width, height]), torch.ones(batch, 21)


def encoder_program(network: HandObjectNetwork, picture: Float[Tensor, "1 3 h w"]) -> Any:
    """The encoder alone, from normalised pictures of this size to features; the batch stays free.

    Raises `ExportError` when a package is missing.
    """
    twice, batch = picture.repeat(2, 1, 1, 1), torch.export.Dim("batch", min=1)
    return onnx_program(network.encoder.eval(), (twice,), ("image",), ("features",), ({0: batch},))


def onnx_program(
    module: nn.Module,
    arguments: tuple[Tensor, ...],
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    dynamic_shapes: tuple[dict[int, Any], ...] | None = None,
) -> Any:
    """PyTorch's export of a module to ONNX. Raises `ExportError` when a package is missing."""
    missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        raise ExportError(
            f"expected the package{'s' if len(missing) > 1 else ''} {' and '.join(missing)} to export to ONNX, found "
            f"none; install by pip install 'warpgrasp[onnx]'"
        )
    with _without_notes(), torch.no_grad():
        return torch.onnx.export(
            module,
            arguments,
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes=dynamic_shapes,
            dynamo=True,
            external_data=False,
            verbose=False,
        )


@contextmanager
def _without_notes() -> Iterator[None]:
    """Silence the exporter's notes on packages that it does not need and on names that it does not use."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
