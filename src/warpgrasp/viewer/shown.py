"""What a page shows of a take: the layers of any of its frames, and what lies behind them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Int, UInt8

from warpgrasp.data import Dataset
from warpgrasp.evaluation.scene import Scene
from warpgrasp.frame import FrameName
from warpgrasp.geometry import Camera
from warpgrasp.viewer.backgrounds import Background, Sight, background
from warpgrasp.viewer.layers import Layer, Truth, predicted_layer
from warpgrasp.viewer.predicted import TakeError
from warpgrasp.viewer.take import Take

REMEMBERED = 8  # pictures
PREDICTION, CONTROL, TRUTH = "prediction", "control", "truth"


@dataclass(frozen=True)
class Shown:
    """A take, another network's of the same frames, and the data set that knows the truth, if there are such."""

    take: Take
    control: Take | None = None
    dataset: Dataset | None = None

    def __post_init__(self) -> None:
        take, control = self.take, self.control
        if control is None:
            return
        if control.model.name != take.model.name or len(control.hand.faces) != len(take.hand.faces):
            raise TakeError(
                f"expected the control's predictions of the same hand model and of {take.model.name}, found "
                f"{control.hand.template.name} and {control.model.name}"
            )

    @cached_property
    def every(self) -> Int[np.ndarray, " n"]:
        """The numbers of the frames."""
        return np.array(self.take.predictions.index[self.take.rows])

    @cached_property
    def truth(self) -> Truth | None:
        """The annotations of the sequence."""
        return None if self.dataset is None else Truth(self.dataset, self.take.sequence)

    @cached_property
    def annotated(self) -> list[int]:
        """The numbers of the frames whose truth is known."""
        if self.dataset is None:
            return []
        names = [FrameName(self.take.sequence, int(index)) for index in self.every]
        return [name.index for name in names if self.dataset.is_annotated(name)]

    @property
    def keys(self) -> list[str]:
        """The layers that there are."""
        control = [] if self.control is None else [CONTROL]
        return [PREDICTION, *control, *([TRUTH] if self.annotated else [])]

    def layers(self, indices: Int[np.ndarray, " n"]) -> list[Layer]:
        """The layers of the frames of these numbers, in the order of `keys`."""
        layers = [predicted_layer(PREDICTION, PREDICTION, self.take, indices)]
        if self.control is not None:
            layers.append(predicted_layer(CONTROL, CONTROL, self.control, indices))
        if self.annotated:
            assert self.truth is not None
            layers.append(self.truth.layer(indices, len(self.take.hand.template_vertices)))
        return layers

    # --- behind the meshes

    @cached_property
    def labels(self) -> list[int]:
        """The labelled frames that others are compared with: those that the file notes, or all that are annotated."""
        stated = self.take.labels
        known = set(self.annotated)
        return sorted(known if stated is None else known & set(stated))

    @property
    def backgrounds(self) -> list[Background]:
        """What can be shown behind the meshes."""
        if self.take.pictures is None:
            return []
        comparable = bool(self.labels) and self.every.tolist() != self.labels[:1]
        return ["picture", "residual", "flow"] if comparable else ["picture"]

    def background(self, kind: Background, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """The picture of a frame, or what its comparison with the nearest other label shows."""
        picture, camera = self.picture(index)
        others = [label for label in self.labels if label != index]
        if kind == "picture" or not others:
            return picture
        label = min(others, key=lambda one: abs(one - index))
        assert self.truth is not None
        annotation = self.truth.annotation(label)
        assert annotation is not None
        known = Scene.true(self.take.hand, annotation, self.take.model)
        scene = self._scene(index)
        return background(kind, Sight(picture, camera, scene), Sight(*self.picture(label), known))

    def picture(self, index: int) -> tuple[UInt8[np.ndarray, "h w 3"], Camera]:
        """A frame's picture and its camera; the last few are remembered."""
        assert self.take.pictures is not None
        if index not in self._pictures:
            self._pictures[index] = self.take.pictures(FrameName(self.take.sequence, index))
            if len(self._pictures) > REMEMBERED:
                del self._pictures[next(iter(self._pictures))]
        return self._pictures[index]

    @cached_property
    def _pictures(self) -> dict[int, tuple[UInt8[np.ndarray, "h w 3"], Camera]]:
        return {}

    def _scene(self, index: int) -> Scene:
        layer = predicted_layer(PREDICTION, PREDICTION, self.take, np.array([index]))
        arrays = layer.hand_vertices[0], layer.object_rotation[0], layer.object_translation[0]
        vertices, rotation, translation = (torch.from_numpy(np.array(array)).float() for array in arrays)
        return Scene.of(self.take.hand, vertices, rotation, translation, self.take.model)
