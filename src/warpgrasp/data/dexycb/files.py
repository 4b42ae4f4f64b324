"""DexYCB's folder: its labels, calibrations, sequences and object models, each read once, when it is asked for.

A sequence of a subject, filmed by eight cameras at once, is a `Capture` here; what one camera saw of it is a
`CameraView`, which is a sequence of the data set.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.checked import read_arrays, read_yaml
from warpgrasp.data.augment import mirrored_name, mirrored_object
from warpgrasp.data.dexycb.splits import OBJECTS, SEQUENCES_PER_SUBJECT, SERIALS, SUBJECTS, Part
from warpgrasp.data.index import Manifest
from warpgrasp.data.meshes import load_object
from warpgrasp.errors import DataError
from warpgrasp.frame import ObjectModel
from warpgrasp.geometry import Camera
from warpgrasp.hand import Side

LARGEST_BETA = 1000.0  # standard deviations: far beyond any hand, which the labels' joints tell
LARGEST_VALUE = 1e4  # metres and radians
NO_HAND_JOINT = -1.0
WIDTH_PX, HEIGHT_PX = 640, 480  # of every picture; the intrinsics are of this size
LARGEST_INTRINSIC_PX = 1e5
MOST_FRAMES = 10_000


@dataclass(frozen=True)
class FrameLabels:
    """The labels of one picture: OpenCV camera axes, metres."""

    object_poses: Float[Tensor, "n 3 4"]  # camera_from_object; all 0 where an object has none
    hand: Float[Tensor, " 51"]  # root rotation (axis-angle), 45 coefficients of the pose space, translation
    joints: Float[Tensor, "21 3"]  # in the order of JOINTS

    @property
    def has_hand(self) -> bool:
        """Whether the hand is given: joints of -1 and a pose of 0 mean that it is not."""
        return not bool((self.joints == NO_HAND_JOINT).all() or (self.hand == 0).all())

    @property
    def has_object(self) -> list[bool]:
        """Whether the pose of each object is given."""
        return (self.object_poses != 0).any(dim=2).any(dim=1).tolist()

    @property
    def given(self) -> str:
        """Whether the hand, then each object, is given: a word of 1 and 0."""
        return "".join("1" if given else "0" for given in (self.has_hand, *self.has_object))


def read_labels(path: Path) -> FrameLabels:
    """Read a labels file, all but its segmentation. Raises `DataError` naming the file and the fact."""
    labels = read_arrays(path, "pose_y", "pose_m", "joint_3d")
    return FrameLabels(
        labels.tensor("pose_y", (-1, 3, 4), most=LARGEST_VALUE),
        labels.tensor("pose_m", (1, 51), most=LARGEST_VALUE)[0],
        labels.tensor("joint_3d", (1, 21, 3), most=LARGEST_VALUE)[0],
    )


@dataclass(frozen=True)
class Capture:
    """One sequence of a subject, filmed by several cameras at once (its `meta.yml`)."""

    folder: Path
    frames: int
    serials: tuple[str, ...]
    objects: tuple[str, ...]  # in view, in the order of the labels' poses
    grasped: int  # index into `objects`
    side: Side
    shape_calibration: str

    @property
    def grasped_object(self) -> str:
        """The name of the object in the hand."""
        return self.objects[self.grasped]


def read_capture(folder: Path) -> Capture:
    """Read a sequence's `meta.yml`. Raises `DataError` naming the file and the fact."""
    meta = read_yaml(folder / "meta.yml")
    serials = [str(serial) for serial in meta.items("serials", str, int)]
    unknown = [serial for serial in serials if serial not in SERIALS]
    if unknown:
        raise DataError(f"expected serials of DexYCB's cameras in {meta.path}, found {unknown[0][:40]!r}")
    classes = meta.items("ycb_ids", int)
    if not classes or not all(1 <= number <= len(OBJECTS) for number in classes):
        raise DataError(f"expected object classes 1 to {len(OBJECTS)} in ycb_ids of {meta.path}, found others or none")
    sides = meta.items("mano_sides", str)
    if sides not in (["right"], ["left"]):
        raise DataError(f"expected one hand, right or left, in mano_sides of {meta.path}, found {str(sides)[:40]}")
    calibrations = meta.items("mano_calib", str)
    if len(calibrations) != 1 or not re.fullmatch(r"\w[\w.-]{0,99}", calibrations[0]):
        raise DataError(
            f"expected one name of a calibration in mano_calib of {meta.path}, found {str(calibrations)[:40]}"
        )
    return Capture(
        folder=folder,
        frames=meta.whole("num_frames", least=0, most=MOST_FRAMES),
        serials=tuple(serial for serial in SERIALS if serial in serials),
        objects=tuple(OBJECTS[number - 1] for number in classes),
        grasped=meta.whole("ycb_grasp_ind", least=0, most=len(classes) - 1),
        side="right" if sides == ["right"] else "left",
        shape_calibration=calibrations[0],
    )


def read_intrinsics(path: Path) -> Camera:
    """Read the colour camera of an intrinsics file (pixels). Raises `DataError` naming the file and the fact."""
    colour = read_yaml(path).entry("color")
    fx, fy, ppx, ppy = (colour.number(key, most=LARGEST_INTRINSIC_PX) for key in ("fx", "fy", "ppx", "ppy"))
    if not (fx > 0 and fy > 0):
        raise DataError(f"expected a camera in pixels in {path}, found fx {fx:g}, fy {fy:g}, ppx {ppx:g}, ppy {ppy:g}")
    return Camera(torch.tensor([[fx, 0, ppx], [0, fy, ppy], [0, 0, 1]]), WIDTH_PX, HEIGHT_PX)


@dataclass(frozen=True)
class CameraView:
    """One camera's pictures of a capture."""

    name: str  # SUBJECT/SEQUENCE/SERIAL, as the folders
    capture: Capture
    serial: str

    @property
    def frames(self) -> range:
        """The numbers of its pictures."""
        return range(self.capture.frames)

    def picture(self, index: int) -> Path:
        """The file of a picture."""
        return self.capture.folder / self.serial / f"color_{index:06d}.jpg"

    def labels(self, index: int) -> Path:
        """The file of a picture's labels."""
        return self.capture.folder / self.serial / self.labels_name(index)

    def labels_name(self, index: int) -> str:
        """The name of that file in its folder."""
        return f"labels_{index:06d}.npz"


@dataclass(frozen=True)
class DexYcbFolder:
    """The files of a folder in DexYCB's layout, whatever setup, hands and picture size are asked for."""

    root: Path

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
    def captures(self) -> dict[tuple[int, int], Capture]:
        """The captures that are there, by subject and position among the subject's sorted sequences."""
        return {
            (subject, number): read_capture(folder)
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

    def views(self, part: Part) -> list[CameraView]:
        """The views of a split that are there and have pictures, in the official order."""
        views = []
        for subject, sequence, serial in part.views():
            capture = self.captures.get((subject, sequence))
            if capture is not None and capture.frames and SERIALS[serial] in capture.serials:
                name = f"{SUBJECTS[subject]}/{capture.folder.name}/{SERIALS[serial]}"
                views.append(CameraView(name, capture, SERIALS[serial]))
        return views

    def intrinsics_file(self, serial: str) -> Path:
        """The file of a camera's intrinsics."""
        return self.root / "calibration" / "intrinsics" / f"{serial}_640x480.yml"

    def shape_file(self, capture: Capture) -> Path:
        """The file of the shape parameters of a capture's hand."""
        return self.root / "calibration" / f"mano_{capture.shape_calibration}" / "mano.yml"

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

    def betas(self, capture: Capture, count: int) -> Float[Tensor, " s"]:
        """The shape parameters of a capture's hand."""
        path = self.shape_file(capture)
        if path not in self._shapes:
            betas = read_yaml(path).tensor("betas", (count,))
            if bool((betas.abs() > LARGEST_BETA).any()):
                raise DataError(
                    f"expected betas within ±{LARGEST_BETA:g} in {path}, found {float(betas.abs().max()):g}"
                )
            self._shapes[path] = betas
        return self._shapes[path]

    @cached_property
    def _given(self) -> dict[str, dict[int, str]]:
        return {}

    def index_labels(self, views: Sequence[CameraView]) -> None:
        """Learn what every labels file of these views gives: from the index of an earlier start, or from the files."""
        files = {f"{view.name}/{view.labels_name(i)}": (view.name, i) for view in views for i in view.frames}
        manifest = Manifest.open(self.root, "dexycb-labels-1")
        self._given.update({view.name: {} for view in views})
        for file, given in manifest.facts(files, lambda path: read_labels(path).given).items():
            view, index = files[file]
            self._given[view][index] = given

    def is_indexed(self, view: CameraView) -> bool:
        """Whether it is known what the labels of a view give."""
        return view.name in self._given

    def is_annotated(self, view: CameraView, index: int) -> bool:
        """Whether a picture's hand and grasped object are given; the view must have been indexed."""
        given = self._given[view.name].get(index)
        if given is None or len(given) != 1 + len(view.capture.objects):
            given = self.labels(view, index).given  # raises, unless the file has changed
        return given[0] == given[1 + view.capture.grasped] == "1"

    def labels(self, view: CameraView, index: int) -> FrameLabels:
        """A picture's labels as they are on disk."""
        path, expected = view.labels(index), len(view.capture.objects)
        labels = read_labels(path)
        if len(labels.object_poses) != expected:
            raise DataError(
                f"expected the poses of {expected} objects, as in {view.capture.folder / 'meta.yml'}, in pose_y of "
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
