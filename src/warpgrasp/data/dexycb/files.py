"""The folder of DexYCB: its recordings, calibrations and object models, each read once, when it is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from warpgrasp.data.dexycb.labels import Labels, Recording, read_betas, read_intrinsics, read_labels, read_recording
from warpgrasp.data.dexycb.splits import OBJECTS, SEQUENCES_PER_SUBJECT, SERIALS, SUBJECTS, Part
from warpgrasp.data.index import Manifest
from warpgrasp.data.mirror import mirrored_name, mirrored_object
from warpgrasp.data.objects import load_object
from warpgrasp.errors import DataError
from warpgrasp.frame import ObjectModel
from warpgrasp.geometry import Camera


@dataclass(frozen=True)
class View:
    """One camera's pictures of a recording: a sequence of ours."""

    name: str  # SUBJECT/SEQUENCE/SERIAL, as the folders
    recording: Recording
    serial: str

    @property
    def frames(self) -> range:
        """The numbers of its pictures."""
        return range(self.recording.frames)

    def picture(self, index: int) -> Path:
        """The file of a picture."""
        return self.recording.folder / self.serial / f"color_{index:06d}.jpg"

    def labels(self, index: int) -> Path:
        """The file of a picture's labels."""
        return self.recording.folder / self.serial / self.labels_name(index)

    def labels_name(self, index: int) -> str:
        """The name of that file in its folder."""
        return f"labels_{index:06d}.npz"


@dataclass(frozen=True)
class Archive:
    """What lies in the folder, whatever setup, hands and picture size are asked for."""

    root: Path

    @staticmethod
    def recognises(root: Path) -> bool:
        """Whether a folder looks like DexYCB's."""
        return any((root / subject).is_dir() for subject in SUBJECTS)

    @cached_property
    def subjects(self) -> list[int]:
        """Which subjects are there, as positions in SUBJECTS. Raises `DataError` when none is."""
        present = [number for number, subject in enumerate(SUBJECTS) if (self.root / subject).is_dir()]
        if not present:
            raise DataError(
                f"expected DexYCB's folders {SUBJECTS[0]} … {SUBJECTS[-1]} in {self.root}, found none; "
                f"is this the folder of DexYCB?"
            )
        return present

    @cached_property
    def recordings(self) -> dict[tuple[int, int], Recording]:
        """The recordings that are there, by subject and position among the subject's sorted sequences."""
        return {
            (subject, number): read_recording(folder)
            for subject in self.subjects
            for number, folder in enumerate(self._sequence_folders(subject))
        }

    def _sequence_folders(self, subject: int) -> list[Path]:
        parent = self.root / SUBJECTS[subject]
        try:
            folders = sorted(path for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))
        except OSError as error:
            raise DataError(f"expected a folder that can be read at {parent}: {error}") from error
        if len(folders) != SEQUENCES_PER_SUBJECT:
            raise DataError(
                f"expected {SEQUENCES_PER_SUBJECT} sequences in {parent}, found {len(folders)}: the splits count them "
                f"in order, so unpack the subject's whole archive, and nothing else into this folder"
            )
        return folders

    def views(self, part: Part) -> list[View]:
        """The views of a split that are there and have pictures, in the official order."""
        found = []
        for subject, sequence, serial in part.views():
            recording = self.recordings.get((subject, sequence))
            if recording is not None and recording.frames and SERIALS[serial] in recording.serials:
                name = f"{SUBJECTS[subject]}/{recording.folder.name}/{SERIALS[serial]}"
                found.append(View(name, recording, SERIALS[serial]))
        return found

    def intrinsics_file(self, serial: str) -> Path:
        """The file of a camera's intrinsics."""
        return self.root / "calibration" / "intrinsics" / f"{serial}_640x480.yml"

    def shape_file(self, recording: Recording) -> Path:
        """The file of the shape parameters of a recording's hand."""
        return self.root / "calibration" / f"mano_{recording.shape_calibration}" / "mano.yml"

    def mesh_file(self, name: str) -> Path:
        """The file of an object's mesh."""
        return self.root / "models" / name / "textured_simple.obj"

    @cached_property
    def _cameras(self) -> dict[str, Camera]:
        return {}

    def camera(self, serial: str) -> Camera:
        """A camera, for pictures as they are on disk."""
        if serial not in self._cameras:
            self._cameras[serial] = read_intrinsics(self.intrinsics_file(serial))
        return self._cameras[serial]

    @cached_property
    def _shapes(self) -> dict[Path, Tensor]:
        return {}

    def betas(self, recording: Recording, count: int) -> Float[Tensor, " s"]:
        """The shape parameters of a recording's hand."""
        path = self.shape_file(recording)
        if path not in self._shapes:
            self._shapes[path] = read_betas(path, count)
        return self._shapes[path]

    @cached_property
    def _given(self) -> dict[str, dict[int, str]]:
        return {}

    def index_labels(self, views: Sequence[View]) -> None:
        """Learn what every labels file of these views gives: from the index of an earlier start, or from the files."""
        files = {f"{view.name}/{view.labels_name(i)}": (view.name, i) for view in views for i in view.frames}
        manifest = Manifest.open(self.root, "dexycb-labels-1")
        self._given.update({view.name: {} for view in views})
        for file, given in manifest.facts(files, lambda path: read_labels(path).given).items():
            view, index = files[file]
            self._given[view][index] = given

    def is_indexed(self, view: View) -> bool:
        """Whether it is known what the labels of a view give."""
        return view.name in self._given

    def is_annotated(self, view: View, index: int) -> bool:
        """Whether a picture's hand and grasped object are given; the view must have been indexed."""
        given = self._given[view.name].get(index)
        if given is None or len(given) != 1 + len(view.recording.objects):
            given = self.labels(view, index).given  # raises, unless the file has changed
        return given[0] == given[1 + view.recording.grasped] == "1"

    def labels(self, view: View, index: int) -> Labels:
        """A picture's labels as they are on disk."""
        path, expected = view.labels(index), len(view.recording.objects)
        labels = read_labels(path)
        if len(labels.object_poses) != expected:
            raise DataError(
                f"expected the poses of {expected} objects, as in {view.recording.folder / 'meta.yml'}, in pose_y of "
                f"{path}, found {len(labels.object_poses)}"
            )
        return labels

    @cached_property
    def _models(self) -> dict[str, ObjectModel]:
        return {}

    def object_model(self, name: str) -> ObjectModel:
        """An object, or the mirror image of one."""
        if name not in self._models:
            other = mirrored_name(name)
            if name in OBJECTS:
                self._models[name] = load_object(self.mesh_file(name), name)
            elif other in OBJECTS:
                self._models[name] = mirrored_object(self.object_model(other))
            else:
                raise DataError(f"expected an object of DexYCB ({', '.join(OBJECTS)}), got {name[:60]!r}")
        return self._models[name]
