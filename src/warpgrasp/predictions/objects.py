"""The object of a mesh file among those that a network knows, and its counterpart in mirrored pictures."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from warpgrasp.data import mirrored_name, mirrored_object
from warpgrasp.data.recording import (
    ALIKE_SHARE,
    MESH_ENDINGS,
    OBJECT_FILE,
    mirror_symmetry,
    models_in_any_units,
    read_object,
)
from warpgrasp.errors import UserError
from warpgrasp.frame import ObjectModel
from warpgrasp.geometry import MIRROR
from warpgrasp.reconstruction import Checkpoint, CheckpointError, KnownObject

MM_PER_M = 1000


class ObjectError(UserError):
    """A mesh is not the one that is needed."""


def identified_object(path: Path, known: Sequence[KnownObject], *, left: bool = False) -> ObjectModel:
    """The object of a mesh file, or of an `object.json`, under the name by which the network knows it.

    The file does not say which object it holds, nor its units and axes: they are those in which the mesh is that of a
    `known` object or, for a `left` hand, its mirror image is. Raises `ObjectError` when there are none such.
    """
    lengths_mm = set()
    for model in _candidates(path):
        name = _known_name(model, known)
        if name is not None:
            return replace(model, name=name)
        name = _known_name(mirrored_object(model), known) if left else None
        if name is not None:
            return replace(model, name=mirrored_name(name))
        lengths_mm.add(round(MM_PER_M * float(np.ptp(model.vertices.numpy(), axis=0).max())))
    lengths = " or ".join(f"{length} mm" for length in sorted(lengths_mm))
    names = ", ".join(sorted(known_object.name for known_object in known))
    raise ObjectError(
        f"expected the mesh of an object that the network knows ({names}), found another in "
        f"{path}, {lengths} long; give the very mesh file of the training, in any units"
    )


def _known_name(model: ObjectModel, known: Sequence[KnownObject]) -> str | None:
    return next((known_object.name for known_object in known if known_object.has_mesh_of(model)), None)


def _candidates(path: Path) -> Iterator[ObjectModel]:
    """The object of an `object.json`, or a mesh file's in each of the possible units and axes."""
    if path.name == OBJECT_FILE and path.is_file():
        yield read_object(path.parent).model
        return
    if not path.is_file() or path.suffix.lower() not in MESH_ENDINGS:
        came = f"found {path}" if path.exists() else f"found no file {path}"
        raise ObjectError(f"expected a mesh file ({', '.join(MESH_ENDINGS)}) or an {OBJECT_FILE}, {came}")
    yield from (model for _, _, model in models_in_any_units(path))


@dataclass(frozen=True)
class MirrorCounterpart:
    """The object as which a network of right hands sees an object in mirrored pictures of a left hand.

    `reflection` are the signs of S: where the mirrored picture shows the counterpart `model` in the rotation R, the
    object itself has the rotation M R S, M being the mirror's own reflection.
    """

    model: ObjectModel
    reflection: Float[np.ndarray, " 3"]


def mirror_counterpart(model: ObjectModel, checkpoint: Checkpoint) -> MirrorCounterpart:
    """The counterpart of an object for the network of a checkpoint.

    It is the object's mirror image, where the network was trained on that; else the object itself, if it is like its
    mirror image in one of its planes: that reflection turns a pose of the one into one of the other. Raises
    `ObjectError` when it is neither.
    """
    try:
        checkpoint.check_objects([mirrored_object(model)])
        return MirrorCounterpart(mirrored_object(model), np.array(MIRROR))
    except CheckpointError:
        checkpoint.check_objects([model])
    axis, unlike = mirror_symmetry(model)
    if unlike > ALIKE_SHARE:
        diagonal_mm = MM_PER_M * float((model.vertices.amax(dim=0) - model.vertices.amin(dim=0)).norm())
        raise ObjectError(
            f"expected an object whose mirror image the network knows, or that looks like it, for a left hand; got "
            f"{model.name}, {unlike * diagonal_mm:.0f} mm away from its mirror image on average; train on the "
            f"mirrored pictures"
        )
    return MirrorCounterpart(model, np.where(np.array(["x", "y", "z"]) == axis, -1.0, 1.0))


def mesh_hashes(models: Sequence[ObjectModel]) -> Mapping[str, str]:
    """The identity of each object's mesh, by its name, as it is stored with predictions."""
    return {model.name: KnownObject.of(model).mesh_sha256 for model in models}
