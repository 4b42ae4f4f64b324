"""The hand of a recording of both that is not edited: where its labels have it, and the pixels that it covers."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool

from warpgrasp.data.recording import AnnotationFile, Label, Recording, annotation_of
from warpgrasp.errors import DataError
from warpgrasp.frame import Annotation
from warpgrasp.geometry import Camera
from warpgrasp.hand import HandModel, other_hand
from warpgrasp.render import rasterize
from warpgrasp.scene import Scene


class OtherHand:
    """The other hand in frames that it is labelled in."""

    def __init__(self, recording: Recording, hand: HandModel):
        """`hand` is the model of the edited one."""
        self.hand = other_hand(hand)
        self.trouble = ""
        """Why its labels cannot be shown, if that is so."""
        self._recording = recording
        self._last: tuple[Label, Annotation | None] | None = None

    def annotation(self, file: AnnotationFile, label: Label) -> Annotation | None:
        """Hand and object of a label of `file`; None where they cannot be shown."""
        if self._last is None or self._last[0] is not label:
            self._last = label, self._made(file, label)
        return self._last[1]

    def _made(self, file: AnnotationFile, label: Label) -> Annotation | None:
        try:
            return annotation_of(replace(self._recording, annotations=file), label, self.hand)
        except DataError as error:
            self.trouble = str(error)
            return None

    def pixels(self, annotation: Annotation) -> Bool[np.ndarray, "h w"]:
        """The pixels that see this hand, not hidden behind the object, in pictures of the recording's camera."""
        scene = Scene.annotated(self.hand, annotation, self._recording.object.model)
        camera = self._recording.lens.camera
        batched = Camera(camera.intrinsics[None], camera.width, camera.height)
        with torch.no_grad():
            face_ids = rasterize(scene.mesh, batched).face_ids[0].numpy()
        return (face_ids >= 0) & (face_ids < scene.hand_face_count)
