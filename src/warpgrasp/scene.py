"""Hand and object of frames as one surface: what is rasterised, compared and shown."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.frame import Annotation, ObjectModel, Objects, Pose, pose_points
from warpgrasp.geometry import Mesh, join
from warpgrasp.hand import HandModel


def surface(
    hand: HandModel,
    hand_vertices: Float[Tensor, "b v 3"],
    object_vertices: Float[Tensor, "b w 3"],
    objects: Objects | ObjectModel,
) -> Mesh:
    """Hand, closed at the wrist, and object as the one mesh that is rasterised. The hand's faces come first."""
    return join(hand.closed_mesh(hand_vertices), Mesh.of(object_vertices, objects.faces))


def posed_hand(pose: Pose, hand: HandModel) -> tuple[Float[Tensor, "n v 3"], Float[Tensor, "n 21 3"]]:
    """The hand's vertices and its 21 joints in camera space."""
    rest = hand(torch.zeros_like(pose.wrist), pose.joint_angles, pose.shape)
    rest_wrist = rest.joints[:, :1]
    vertices, joints = (
        pose_points(pose.hand_rotation, pose.wrist, points - rest_wrist) for points in (rest.vertices, rest.joints)
    )
    return vertices, joints


def posed_object(pose: Pose, model: ObjectModel) -> Float[Tensor, "n w 3"]:
    """The object's vertices in camera space."""
    return pose_points(pose.object_rotation, pose.object_centre, model.vertices.expand(len(pose), -1, -1))


def posed_surface(pose: Pose, hand: HandModel, model: ObjectModel) -> Mesh:
    """Hand and object of n frames as one mesh each."""
    return surface(hand, posed_hand(pose, hand)[0], posed_object(pose, model), model)


@dataclass(frozen=True)
class Scene:
    """Hand, closed at the wrist, and object of one frame in camera space (metres): a batch of one.

    The faces of the hand come first, then those of the object, and those of the other hand where there is one.
    """

    mesh: Mesh
    hand_face_count: int  # with the faces that close the wrist
    object_centre: Float[Tensor, " 3"]
    other_hand_face_count: int = 0

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
        mesh = surface(hand, hand_vertices[None], vertices[None], model)
        return Scene(mesh, mesh.faces.shape[1] - len(model.faces), translation)

    @staticmethod
    def of_hand(hand: HandModel, hand_vertices: Float[Tensor, "v 3"]) -> "Scene":
        """A hand alone."""
        mesh = hand.closed_mesh(hand_vertices[None])
        return Scene(mesh, mesh.faces.shape[1], hand_vertices.mean(dim=0))

    @staticmethod
    def annotated(hand: HandModel, annotation: Annotation, model: ObjectModel) -> "Scene":
        """Hand and object as they are annotated."""
        pose = annotation.object_rotation, annotation.object_translation
        return Scene.of(hand, annotation.hand_vertices, *pose, model)

    def with_other_hand(self, hand: HandModel, hand_vertices: Float[Tensor, "v 3"]) -> "Scene":
        """The scene with the other hand beside the hand."""
        other = hand.closed_mesh(hand_vertices[None])
        return replace(self, mesh=join(self.mesh, other), other_hand_face_count=other.faces.shape[1])

    def turned(self, about: Float[Tensor, " 3"]) -> "Scene":
        """The scene turned by 90° about the vertical line through a point: what was farther away lies to the right."""
        turn = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
        vertices = pose_points(turn, about, self.mesh.vertices[0] - about)[None]
        centre = pose_points(turn, about, (self.object_centre - about)[None])[0]
        return replace(self, mesh=self.mesh.with_vertices(vertices), object_centre=centre)
