"""A user's own recordings: a folder of pictures with a camera, an object and a few labels, or a folder of such folders.

docs/datasets.md#your-own-recording says which files to write.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch

from warpgrasp.data.augment import mirrored_annotation, mirrored_camera, mirrored_frame, mirrored_object
from warpgrasp.data.dataset import Split, Truth, chosen_protocol
from warpgrasp.data.pictures import resized
from warpgrasp.data.recording.annotations import ANNOTATIONS_FILE as FILE
from warpgrasp.data.recording.annotations import Label
from warpgrasp.data.recording.files import Recording, is_recording
from warpgrasp.data.recording.footage import Reel
from warpgrasp.data.recording.labels import EXAMINED, LabelInCamera, annotation_of, say_doubts
from warpgrasp.errors import DataError
from warpgrasp.frame import Annotation, Frame, FrameName, ObjectModel
from warpgrasp.geometry import is_mesh_of, mesh_identity
from warpgrasp.hand import HandModel, Side
from warpgrasp.progress import notice

PROTOCOL = "recording"
OPEN_RECORDINGS = 8  # whose decoders stay in memory


@dataclass(frozen=True)
class Recordings:
    """Recordings as a data set: each is a sequence, named like its folder.

    `evaluation` holds the frames whose labels say so; `train` all others, of which those with a label are annotated.
    Frames are read at `size` (width, height), or at their own. A recording of a left hand is read in the mirror, as a
    right hand with the object's mirror image; `as_shown` gives a data set that reads left hands as they are. Of
    recordings with labels of both hands those of `side` are read.
    """

    root: Path
    hand: HandModel
    size: tuple[int, int] | None = None
    protocol: str = PROTOCOL
    is_as_shown: bool = False
    side: Side = "right"
    """Of recordings of both hands the one that is read."""
    examined: dict[str, int] = field(default_factory=dict, repr=False, compare=False)
    """How many labels of each recording were looked at with doubt; the same for all copies of the data set."""

    @staticmethod
    def recognises(root: Path) -> bool:
        """Whether a folder is a recording, or holds recordings."""
        return bool(recording_folders(root))

    @classmethod
    def open(
        cls, root: Path, hand: HandModel, *, size: tuple[int, int] | None = None, protocol: str | None = None
    ) -> "Recordings":
        """The recordings of a folder; all their files except the pictures are read and checked.

        Raises `DataError` naming the first file that is wrong, or when another protocol than `recording` is asked for.
        """
        dataset = cls(root, hand, size, chosen_protocol("recordings", (PROTOCOL,), protocol))
        _ = dataset.recordings
        return dataset

    def at_size(self, size: tuple[int, int] | None) -> "Recordings":
        """The same recordings, read at another size."""
        return replace(self, size=size)

    def as_shown(self, side: Side | None = None) -> "Recordings":
        """The same recordings with left hands read as left hands, as predictions of them are stored.

        Those of both hands are read as of the hand `side`, where one is given.
        """
        return replace(self, is_as_shown=True, side=side or self.side)

    def of_side(self, side: Side) -> "Recordings":
        """The same recordings, read for that hand. Raises `DataError` for `left` where labels are of right hands alone.

        Recordings of a left hand alone are read in any case.
        """
        chosen = self.read_for(side)
        for recording in chosen.recordings.values():
            if side == "left" and recording.side == "right" and recording.labels:
                raise DataError(f"expected --side right, as the labels in {self.root} say, got left")
        return chosen

    def read_for(self, side: Side) -> "Recordings":
        """The same recordings, of those with labels of both hands those of one; the protocol says so of the left."""
        if side == self.side:
            return self
        protocol = f"{PROTOCOL} left" if side == "left" and self._of_both else PROTOCOL
        return replace(self, side=side, protocol=protocol, examined={})

    @property
    def _of_both(self) -> list[str]:
        """The recordings with labels of both hands."""
        return [name for name, recording in self.recordings.items() if recording.annotations.other is not None]

    def say_side(self) -> None:
        """Print on the error stream whose labels are read, where some recordings have labels of both hands."""
        both = self._of_both
        if both:
            named = both[0] if len(both) == 1 else f"{len(both)} recordings, the first {both[0]}"
            notice(f"labels of both hands in {self.root} ({named}): those of the {self.side} one are read; see --side")

    def is_mirrored(self, sequence: str) -> bool:
        """Whether a recording shows a left hand and is therefore read as its mirror image."""
        return self.recordings[sequence].side == "left" and not self.is_as_shown

    def hand_of(self, sequence: str) -> HandModel:
        """The model of the hand that a recording shows, right or left; made once."""
        recording = self.recordings[sequence]
        if recording.side not in self._hands:
            self._hands[recording.side] = recording.hand(self.hand)
        return self._hands[recording.side]

    @cached_property
    def recordings(self) -> dict[str, Recording]:
        """The recordings by their names, each checked as a whole and against the others."""
        folders = recording_folders(self.root)
        if not folders:
            raise DataError(
                f"expected a recording (camera.json, object.json, and video.mp4 or a folder frames), or a folder of "
                f"recordings, in {self.root}, found none"
            )
        recordings = {folder.resolve().name: self._read(folder) for folder in folders}
        models: dict[str, Recording] = {}
        for recording in recordings.values():
            recording.footage.close()  # there may be hundreds
            model = recording.object.model
            first = models.setdefault(model.name, recording)
            if not _same(model, first.object.model):
                raise DataError(
                    f"expected one mesh for the object {model.name}, found others in {first.object.mesh_file} and "
                    f"{recording.object.mesh_file}; give them different names in object.json"
                )
        return recordings

    def _read(self, folder: Path) -> Recording:
        recording = Recording.read(folder)
        return recording if recording.annotations.other is None else recording.of_side(self.side)

    @property
    def sequences(self) -> Mapping[Split, Mapping[str, list[int]]]:
        """The frames of each recording, by what their labels are for."""
        return self._sequences

    @cached_property
    def _sequences(self) -> dict[Split, dict[str, list[int]]]:
        sequences: dict[Split, dict[str, list[int]]] = {"train": {}, "validation": {}, "evaluation": {}}
        for name, recording in self.recordings.items():
            held_out = {frame for frame, label in recording.labels.items() if label.use == "evaluation"}
            if kept := [frame for frame in recording.footage.numbers if frame not in held_out]:
                sequences["train"][name] = kept
            if held_out:
                sequences["evaluation"][name] = sorted(held_out)
        return sequences

    def names(self, split: Split) -> list[FrameName]:
        """Every frame of a split, recording by recording."""
        return [FrameName(name, frame) for name, frames in self.sequences[split].items() for frame in frames]

    def objects(self, split: Split) -> list[ObjectModel]:
        """The objects of a split's recordings."""
        models = {model.name: model for model in map(self._model, self.sequences[split])}
        return [models[name] for name in sorted(models)]

    def object_model(self, name: str) -> ObjectModel:
        """The object of that name."""
        models = {model.name: model for model in map(self._model, self.recordings)}
        if name not in models:
            raise DataError(f"expected an object of {self.root} ({', '.join(sorted(models))}), got {name!r}")
        return models[name]

    def is_annotated(self, name: FrameName) -> bool:
        """Whether a frame has a label."""
        return name.index in self.recordings[name.sequence].labels

    def frame(self, name: FrameName, *, annotated: bool) -> Frame:
        """Read a frame, with its label only if `annotated`.

        Raises `DataError` naming the file and the fact when it cannot be read, or has no label.
        """
        recording = self._in_use(name.sequence)
        image = resized(recording.picture(name.index), self.size)
        camera = recording.lens.camera.resized(image.shape[2], image.shape[1])
        annotation = self._annotation(name) if annotated else None
        frame = Frame(name, image, camera, recording.object.model, annotation)
        return mirrored_frame(frame) if self.is_mirrored(name.sequence) else frame

    def truth(self, name: FrameName) -> Truth:
        """A frame's label with the camera of the undistorted picture at its own size."""
        camera, annotation = self.recordings[name.sequence].lens.camera, self._annotation(name)
        if self.is_mirrored(name.sequence):
            camera, annotation = mirrored_camera(camera), mirrored_annotation(annotation)
        return Truth(camera.intrinsics, self._model(name.sequence), annotation)

    def picture_file(self, name: FrameName) -> Path:
        """The video, or the frame's own picture file."""
        return self.recordings[name.sequence].footage.file_of(name.index)

    def annotation_files(self, name: FrameName) -> tuple[Path, ...]:
        """The files that decide what a frame's label means."""
        return self.recordings[name.sequence].files

    def reel(self, splits: Sequence[Split], size: tuple[int, int]) -> Reel:
        """The frames that belong to one of the splits, recording by recording in the order of showing."""
        every = {
            name: sorted(number for split in splits for number in self.sequences[split].get(name, ()))
            for name in self.recordings
        }
        numbers = {name: frames for name, frames in every.items() if frames}
        recordings = {name: self.recordings[name] for name in numbers}
        clips = {name: recording.clip for name, recording in recordings.items()}
        models = {name: recording.object.model for name, recording in recordings.items()}
        return Reel(clips, models, numbers, size)

    def _model(self, sequence: str) -> ObjectModel:
        model = self.recordings[sequence].object.model
        return mirrored_object(model) if self.is_mirrored(sequence) else model

    def _annotation(self, name: FrameName) -> Annotation:
        """The annotation as the file has it, of a left or a right hand, not mirrored."""
        if name not in self._annotations:
            recording = self.recordings[name.sequence]
            label: Label | None = recording.labels.get(name.index)
            if label is None:
                raise DataError(f"expected a label of frame {name.index} in {recording.folder / FILE}, found none")
            annotation = annotation_of(recording, label, self.hand_of(name.sequence))
            self._annotations[name] = annotation
            self._examine(name.sequence, label, annotation)
        return self._annotations[name]

    def in_camera(self, sequence: str, label: Label, annotation: Annotation) -> LabelInCamera:
        """A label with what it means, as the file has it."""
        recording = self.recordings[sequence]
        model, of_both = recording.object.model, recording.annotations.other is not None
        return LabelInCamera(label, annotation, model, self.hand_of(sequence), recording.side, of_both)

    def _examine(self, sequence: str, label: Label, annotation: Annotation) -> None:
        """Print what is doubtful about the first labels that are read of a recording, once."""
        count = self.examined.get(sequence, 0)
        if count < EXAMINED:
            path = self.recordings[sequence].folder / FILE
            doubtful = say_doubts(path, [self.in_camera(sequence, label, annotation)])
            self.examined[sequence] = EXAMINED if doubtful else count + 1

    @cached_property
    def _hands(self) -> dict[Side, HandModel]:
        return {}

    @cached_property
    def _annotations(self) -> dict[FrameName, Annotation]:
        return {}

    @cached_property
    def _recently_used(self) -> list[str]:
        return []

    def _in_use(self, sequence: str) -> Recording:
        """A recording whose pictures are about to be read. The longest idle decoder is closed if too many are open."""
        used = self._recently_used
        if sequence in used:
            used.remove(sequence)
        used.append(sequence)
        if len(used) > OPEN_RECORDINGS:
            self.recordings[used.pop(0)].footage.close()
        return self.recordings[sequence]


def recording_folders(root: Path) -> list[Path]:
    """The folder itself if it is a recording, else the recordings that lie in it."""
    if is_recording(root):
        return [root]
    inner = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    return [path for path in inner if not path.name.startswith(".") and is_recording(path)]


def _same(first: ObjectModel, second: ObjectModel) -> bool:
    if torch.equal(first.faces, second.faces) and torch.equal(first.vertices, second.vertices):
        return True
    return is_mesh_of(mesh_identity(first.vertices, first.faces), second.vertices, second.faces)
