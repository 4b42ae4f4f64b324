"""The mirror image of what a camera sees, by which a left hand becomes a right one.

The world is reflected in the camera's plane x = 0 by M = diag(-1, 1, 1), and the picture with it: pixel u moves to
(W - 1) - u. A point p becomes M p, a rotation R becomes M R M, an object becomes its mirror image, which is another
object with a name of its own. Projection commutes with mirroring, and mirroring twice changes nothing. Vertices keep
their numbers, and faces turn round, so that a mirrored left hand has the right hand's faces.
"""

from dataclasses import replace

from warpgrasp.frame import Annotation, Frame, ObjectModel
from warpgrasp.geometry import Camera, mirrored_points, mirrored_rotation

MIRRORED_SUFFIX = " (mirrored)"


def mirrored_name(name: str) -> str:
    """The name of an object's mirror image; the object's own name when `name` is that of a mirror image."""
    return name.removesuffix(MIRRORED_SUFFIX) if name.endswith(MIRRORED_SUFFIX) else name + MIRRORED_SUFFIX


def mirrored_object(model: ObjectModel) -> ObjectModel:
    """The mirror image of an object; its faces turn round, so that they still look outwards."""
    return ObjectModel(
        mirrored_name(model.name),
        mirrored_points(model.vertices),
        model.faces.flip(-1),
        mirrored_points(model.centre_m),
        model.axes_from_file,  # of the mirrored file
    )


def mirrored_camera(camera: Camera) -> Camera:
    """The camera of the mirrored picture: the principal point moves to (W - 1) - cx, a skew changes its sign."""
    width = camera.width - 1
    intrinsics = camera.intrinsics.clone()
    intrinsics[..., 0, 1] *= -1
    intrinsics[..., 0, 2] = width - intrinsics[..., 0, 2]
    return replace(camera, intrinsics=intrinsics)


def mirrored_annotation(annotation: Annotation) -> Annotation:
    """The annotation of the mirrored picture; its object pose is that of the mirrored object."""
    rotation = annotation.hand_rotation
    return Annotation(
        mirrored_points(annotation.hand_vertices),
        mirrored_points(annotation.hand_joints),
        mirrored_rotation(annotation.object_rotation),
        mirrored_points(annotation.object_translation),
        None if rotation is None else mirrored_rotation(rotation),
    )


def mirrored_frame(frame: Frame) -> Frame:
    """The frame as its mirrored picture shows it."""
    return Frame(
        frame.name,
        frame.picture.flip(-1),
        mirrored_camera(frame.camera),
        mirrored_object(frame.object),
        None if frame.annotation is None else mirrored_annotation(frame.annotation),
    )
