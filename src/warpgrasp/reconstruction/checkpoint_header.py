"""What a checkpoint declares: its notes and its tensors' shapes, all checked before a tensor is read.

A safetensors file begins with the length of a JSON text, which names each tensor with its type, its shape and its
place, and holds the notes as texts.
"""

import math
import os
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from warpgrasp.bounded import open_regular, parse_json, shown
from warpgrasp.checked import Entry
from warpgrasp.errors import DataError
from warpgrasp.frame import ObjectModel
from warpgrasp.geometry import is_mesh_of, mesh_identity
from warpgrasp.reconstruction.encoders import ENCODERS, new_encoder
from warpgrasp.reconstruction.joint_input import FEATURES, JointInput
from warpgrasp.reconstruction.network import LEARNED_JOINTS, Heads, NetworkConfig, OutputScales

PREFIX = "network."  # of the network's own tensors, beside those of the optimiser
OPTIMISER = "optimiser."
ENCODER = "encoder."
LARGEST_HEADER = 8_000_000  # bytes; a tensor takes about a hundred
MOST_TENSORS = 20_000
MOST_FEATURES = 65_536
MOST_AXES = 8
LONGEST_NOTE = 2000
NO_ROTATION = 1e-2  # of R Rᵀ beside the unit matrix: beyond any rounding
BYTES_OF = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
RANGES = {"width": (1, 4096), "pose_coefficients": (0, 45)}  # whole numbers
LARGEST_SIDE_PX, MOST_PIXELS = 4096, 1 << 22  # of the pictures that a network is for
LARGEST_SETTING = 1e6  # the other numbers, which but for the mean lie above 0


@dataclass(frozen=True)
class KnownObject:
    """An object that a network was trained on."""

    name: str
    mesh_sha256: str  # and its shape (`geometry.mesh_identity`); in files of before, `sha256_in_order` alone
    units: str = "metres"
    frame: str = "centre of the bounding box, OpenCV axes"

    @staticmethod
    def of(model: ObjectModel) -> "KnownObject":
        """Describe an object."""
        return KnownObject(model.name, mesh_identity(model.vertices, model.faces))

    def has_mesh_of(self, model: ObjectModel) -> bool:
        """Whether an object has the mesh of this one, whatever its name and the order of its vertices and faces."""
        return is_mesh_of(self.mesh_sha256, model.vertices, model.faces)


@dataclass(frozen=True)
class Header:
    """What a checkpoint says of itself."""

    config: NetworkConfig
    hand: str
    objects: tuple[KnownObject, ...]
    step: int
    training: dict[str, str]


def read_header(path: Path, format_name: str) -> Header:
    """The header of a checkpoint, whose tensors are those of its configuration.

    Raises `FileNotFoundError` when there is no such file, `OSError` when it cannot be read, and `DataError` naming the
    file and the fact when it is something else.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        (length,) = struct.unpack("<Q", file.read(8).ljust(8, b"\xff"))
        if length > min(LARGEST_HEADER, size - 8):
            raise DataError(f"expected a safetensors file in {path}, but it cannot be read: it begins otherwise")
        text = file.read(length)
    try:
        tensors = Entry.of(parse_json(text), path)
    except ValueError as error:
        raise DataError(f"expected a safetensors file in {path}, but it cannot be read: {str(error)[:200]}") from error
    notes = tensors.entry("__metadata__") if tensors.has("__metadata__") else Entry({}, path)
    if notes.values.get("format") != format_name:
        raise DataError(f"expected notes of the format {format_name} in {path}, found others or none")
    shapes = _tensor_shapes(tensors, size - 8 - length)
    stated = _stated(notes)
    _check_tensors(path, stated, shapes)
    return stated


def _tensor_shapes(tensors: Entry, size: int) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor; together they fill the rest of the file. Raises `DataError`."""
    shapes, places = {}, []
    if len(tensors.values) > MOST_TENSORS:
        raise DataError(f"expected at most {MOST_TENSORS} tensors in {tensors.path}, found {len(tensors.values)}")
    for name in tensors.values:
        if name == "__metadata__":
            continue
        one = tensors.entry(name)
        one.only("dtype", "shape", "data_offsets")
        shape, place = one.items("shape", int), one.items("data_offsets", int)
        if len(shape) > MOST_AXES or not all(0 <= length <= size for length in shape):
            raise DataError(f"expected the lengths of a tensor for {one.where('shape')}, found others")
        wanted = math.prod(shape) * BYTES_OF[one.choice("dtype", tuple(BYTES_OF))]
        if len(place) != 2 or place[1] - place[0] != wanted:
            raise DataError(f"expected {wanted} bytes of shape {shape} for {one.where('data_offsets')}, found others")
        shapes[name], places = tuple(shape), [*places, place]
    ends = [0, *(end for _, end in sorted(places))]
    if [start for start, _ in sorted(places)] != ends[:-1] or ends[-1] != size:
        raise DataError(f"expected tensors one after the other to the end of {tensors.path}, found gaps or overlaps")
    return shapes


def _stated(entry: Entry) -> Header:
    """What the notes of a checkpoint state. Raises `DataError`."""
    config = _json_of(entry, "config")
    scales = config.entry("scales") if config.has("scales") else Entry({}, entry.path)
    objects = _json_of(entry, "objects").entries("objects")
    known = []
    for one in objects:
        one.only(*(field.name for field in fields(KnownObject)))
        known.append(
            KnownObject(**{name: one.text(name, longest=LONGEST_NOTE) for name in ("name", "mesh_sha256", *one.values)})
        )
    if len({one.name for one in known}) != len(known):
        raise DataError(f"expected each object once for {entry.where('objects')}, found one twice")
    training = _json_of(entry, "training")
    step = entry.text("step")
    if not re.fullmatch("[0-9]{1,12}", step):
        raise DataError(f"expected a number of steps for {entry.where('step')}, found {step!r}")
    return Header(
        NetworkConfig(**_settings(config, NetworkConfig), scales=OutputScales(**_settings(scales, OutputScales))),
        entry.text("hand"),
        tuple(known),
        int(step),
        _training(training),
    )


def _training(entry: Entry) -> dict[str, str]:
    """The notes of the training, of which the size of the pictures is read."""
    notes = {name: entry.text(name, longest=LONGEST_NOTE) for name in entry.values}
    sides = [notes[name] for name in ("width", "height") if name in notes]
    if not all(re.fullmatch("[1-9][0-9]{0,3}", side) and int(side) <= LARGEST_SIDE_PX for side in sides):
        raise DataError(
            f"expected a width and a height of at most {LARGEST_SIDE_PX} px for {entry.place} in {entry.path}, found "
            f"others"
        )
    if math.prod(map(int, sides)) > MOST_PIXELS:
        raise DataError(
            f"expected pictures of at most {MOST_PIXELS} pixels for {entry.place} in {entry.path}, found "
            f"{' × '.join(sides)}"
        )
    return notes


def _json_of(entry: Entry, key: str) -> Entry:
    """The named values of a text in JSON; a list is that of the same name."""
    try:
        content = parse_json(entry.text(key, longest=LARGEST_HEADER))
    except DataError:
        raise
    except ValueError as error:
        raise DataError(f"expected JSON for {entry.where(key)}: {str(error)[:200]}") from error
    return Entry(content, entry.path, key) if isinstance(content, dict) else Entry({key: content}, entry.path)


def _settings(entry: Entry, kind: type) -> dict[str, Any]:
    """The values of the plain fields of a dataclass, those that are stated. Raises `DataError`."""
    entry.only(*(field.name for field in fields(kind)))
    asked: dict[Any, Callable[[str], Any]] = {
        int: lambda name: entry.whole(name, least=RANGES[name][0], most=RANGES[name][1]),
        float: lambda name: entry.number(name, most=LARGEST_SETTING),
        bool: entry.truth,
        str: entry.text,
    }
    values = {}
    for field in fields(kind):
        if entry.has(field.name) and field.type is not OutputScales:
            choices = get_args(field.type)
            values[field.name] = entry.choice(field.name, choices) if choices else asked[field.type](field.name)
            if field.type is float and field.name != "image_mean" and values[field.name] <= 0:
                raise DataError(f"expected a number above 0 for {entry.where(field.name)}, found {values[field.name]}")
    return values


def _check_tensors(path: Path, stated: Header, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise `DataError` unless these are the tensors of a network of that configuration, and of its optimiser.

    No memory is taken for that. The sizes of the hand are those of the tensors; of an encoder of another package only
    the number of features is known.
    """
    own = {name.removeprefix(PREFIX): shape for name, shape in shapes.items() if name.startswith(PREFIX)}
    config = stated.config
    told = FEATURES if config.joint_input else 0
    features = (0, *own.get("heads.object_pose.0.weight", ()))[-1] - (told if config.object_told else 0)
    shape_count = (0, *own.get("heads.hand_pose_shape.4.bias", ()))[-1] - 3 - config.pose_coefficients
    if not (0 < features <= MOST_FEATURES and 0 <= shape_count <= MOST_FEATURES):
        raise DataError(f"expected the network's tensors in {path}, found none or others")
    sizes = Heads.sizes(features, config.pose_coefficients, shape_count, told=told, object_told=config.object_told)
    wanted = _head_shapes(sizes)
    if ENCODERS.is_own(config.encoder):
        wanted |= _encoder_shapes(config.encoder, config.width)
    else:
        wanted |= {name: shape for name, shape in own.items() if name.startswith(ENCODER)}
    if config.joint_input:
        wanted |= _joint_input_shapes()
    wanted |= {"hand_base_rotation": (3, 3), "object_base_rotations": (len(stated.objects), 3, 3)}
    if config.skeleton_adaptation:
        wanted["adaptation.regressor"] = (LEARNED_JOINTS, (0, *own.get("adaptation.regressor", ()))[-1])
    for name in (*wanted, *own):
        if own.get(name) != wanted.get(name):
            raise DataError(
                f"expected a tensor of shape {wanted.get(name)} for {shown([name])} in {path}, found {own.get(name)}"
            )
    others = {name: shape for name, shape in shapes.items() if not name.startswith(PREFIX)}
    for name, shape in others.items():  # `optimiser.step.NAME`, `optimiser.exp_avg.NAME`
        of_network, kind, parameter = (*name.split(".", 2), "", "")[:3]
        fits = shape == own.get(parameter) or (kind == "step" and shape in ((), (1,)))
        if f"{of_network}." != OPTIMISER or parameter not in own or not fits:
            raise DataError(f"expected tensors of the network and its optimiser in {path}, found {shown([name])}")


def _head_shapes(sizes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """The shapes of the branches' layers, which alternate with layers that have no tensors."""
    shapes: dict[str, tuple[int, ...]] = {}
    for branch, lengths in sizes.items():
        for number, (size_in, size_out) in enumerate(pairwise(lengths)):
            shapes |= {f"heads.{branch}.{2 * number}.weight": (size_out, size_in)}
            shapes |= {f"heads.{branch}.{2 * number}.bias": (size_out,)}
    return shapes


class _WithoutNumbers(TorchFunctionMode):
    """Leaves out the drawing of initial weights, for which PyTorch imports its compiler where there is no memory."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return args[0] if func in (Tensor.normal_, Tensor.uniform_) else func(*args, **(kwargs or {}))


def _joint_input_shapes() -> dict[str, tuple[int, ...]]:
    """The shapes of what takes in a detector's joints."""
    with torch.device("meta"), _WithoutNumbers():
        tensors = JointInput().state_dict()
    return {f"joint_input.{tensor}": tuple(value.shape) for tensor, value in tensors.items()}


@cache
def _encoder_shapes(name: str, width: int) -> dict[str, tuple[int, ...]]:
    """The shapes of one of our encoders; no memory is taken for it."""
    with torch.device("meta"), _WithoutNumbers():
        tensors = new_encoder(name, width).state_dict()
    return {f"{ENCODER}{tensor}": tuple(value.shape) for tensor, value in tensors.items()}


def check_numbers(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Raise `DataError` for numbers that are not finite, and for rotations that are none."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise DataError(f"expected finite numbers in {name} of {path}, found NaN or infinity")
    for name in ("hand_base_rotation", "object_base_rotations"):
        rotations = tensors[f"{PREFIX}{name}"].double().reshape(-1, 3, 3).clamp(-2, 2)
        beside = (rotations @ rotations.mT - torch.eye(3, dtype=torch.float64)).abs()
        if (beside > NO_ROTATION).any() or (torch.linalg.det(rotations) < 0).any():
            raise DataError(f"expected rotation matrices in {name} of {path}, found others")
