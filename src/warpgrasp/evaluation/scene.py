"""What a frame shows, as one mesh: the truth, or what a network saw."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.data import Dataset
from warpgrasp.frame import Annotation, FrameName, ObjectModel, Objects, pose_points
from warpgrasp.geometry import Mesh
from warpgrasp.hand import HandModel
from warpgrasp.inference import Predictions
from warpgrasp.reconstruction import surface


@dataclass(frozen=True)
class Scene:
    """Hand, closed at the wrist, and object in camera space (metres): a batch of one, the hand's faces first."""

    mesh: Mesh
    hand_face_count: int  # with the faces that close the wrist
    object_centre: Float[Tensor, " 3"]

    @staticmethod
    def of(
        hand: HandModel,
        hand_vertices: Float[Tensor, "v 3"],
        rotation: Float[Tensor, "3 3"],
        translation: Float[Tensor, " 3"],
        model: ObjectModel,
    ) -> "Scene":
        """A hand's surface and an object in its pose (which acts on the object's centred coordinates)."""
        vertices = pose_points(rotation, translation, model.vertices)
        mesh = surface(hand, hand_vertices[None], vertices[None], Objects.of([model]))
        return Scene(mesh, mesh.faces.shape[1] - len(model.faces), translation)

    @staticmethod
    def of_hand(hand: HandModel, hand_vertices: Float[Tensor, "v 3"]) -> "Scene":
        """A hand alone."""
        mesh = hand.closed_mesh(hand_vertices[None])
        return Scene(mesh, mesh.faces.shape[1], hand_vertices.mean(dim=0))

    @staticmethod
    def true(hand: HandModel, annotation: Annotation, model: ObjectModel) -> "Scene":
        """What is annotated."""
        pose = annotation.object_rotation, annotation.object_translation
        return Scene.of(hand, annotation.hand_vertices, *pose, model)

    @staticmethod
    def predicted(dataset: Dataset, predictions: Predictions, name: FrameName) -> "Scene":
        """What was predicted of a frame. The object is the data set's of that name."""
        row = predictions.names.index(name)

        def tensor(array: np.ndarray) -> Tensor:
            return torch.from_numpy(array[row]).float()

        model = dataset.object_model(str(predictions.object_name[row]))
        pose = tensor(predictions.object_rotation), tensor(predictions.object_translation)
        return Scene.of(dataset.hand, tensor(predictions.hand_vertices), *pose, model)

    def turned(self, about: Float[Tensor, " 3"]) -> "Scene":
        """The scene turned by 90° about the vertical line through a point: what was farther away lies to the right."""
        turn = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
        vertices = pose_points(turn, about, self.mesh.vertices[0] - about)[None]
        centre = pose_points(turn, about, (self.object_centre - about)[None])[0]
        return Scene(self.mesh.with_vertices(vertices), self.hand_face_count, centre)
