"""The loader of FPHAB: raw folders to frames, and what is missing in them."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from jaxtyping import Float
from scipy.spatial import KDTree
from torch import Tensor

from warpgrasp.data.dataset import LARGEST_DISTANCE_M, SPLITS, Split, Truth, chosen_protocol, with_caches
from warpgrasp.data.fphab.files import (
    EXPECTED_FRAMES,
    LIST,
    OBJECTS,
    PROTOCOLS,
    REDUCED_SIZE,
    SEQUENCE,
    PerFrame,
    SequenceAnnotation,
    colour_camera,
    object_of,
    read_action_split,
    read_mano_fits,
    read_object_poses,
    read_skeleton,
    split_sequences,
)
from warpgrasp.data.fphab.hands import SequenceHands, hand_lines, hands_of
from warpgrasp.data.meshes import load_object
from warpgrasp.data.pictures import read_picture
from warpgrasp.errors import DataError
from warpgrasp.frame import Annotation, Frame, FrameName, ObjectModel
from warpgrasp.hand import HandModel
from warpgrasp.progress import track

# The data set's page and the released loaders name the annotations' versions differently.
SKELETON_FOLDERS = ("Hand_pose_annotation_v1", "Hand_pose_annotation_v1_1")
POSE_FOLDERS = ("Object_6D_pose_annotation_v1_1", "Object_6D_pose_annotation_v1")
VIDEO_FOLDERS = ("Video_files", "Video_files_480")  # full size, and the reduced copies of the released loaders
FITS_FOLDERS = ("fhbhands_fits", "../assets/fhbhands_fits", "../../assets/fhbhands_fits")
SOURCES = (
    "FPHAB is had by the form on https://github.com/guiggh/hand_pose_action; its terms: academic research, no "
    "redistribution",
    f"the folder holds {LIST}, Video_files (or the 480x270 copies in Video_files_480), Hand_pose_annotation_v1, "
    "Object_6D_pose_annotation_v1_1 and Object_models",
    "MANO fits (assets/fhbhands_fits.tgz of https://github.com/hassony2/handobjectconsist, for --hand mano) go to "
    "fhbhands_fits in it, or to assets/fhbhands_fits beside it; without them the hand is fitted to the joints",
)


@dataclass(frozen=True)
class Fphab:
    """A folder in FPHAB's layout: the frames of its four objects that have a 6D pose.

    Frames are read at `size` (width, height), or at their own. `fits` is the folder of the MANO fits, where it is none
    of those that are looked for (`FITS_FOLDERS`).
    """

    root: Path
    hand: HandModel
    size: tuple[int, int] | None = None
    protocol: str = PROTOCOLS[0]
    fits: Path | None = None

    @staticmethod
    def recognises(root: Path) -> bool:
        """Whether a folder looks like FPHAB's."""
        return (root / LIST).is_file() or any((root / name).is_dir() for name in (*SKELETON_FOLDERS, *POSE_FOLDERS))

    @classmethod
    def open(
        cls, root: Path, hand: HandModel, *, size: tuple[int, int] | None = None, protocol: str | None = None
    ) -> "Fphab":
        """The data set in a folder. Raises `DataError` when FPHAB has no such protocol."""
        return cls(root, hand, size, chosen_protocol("FPHAB", PROTOCOLS, protocol))

    def at_size(self, size: tuple[int, int] | None) -> "Fphab":
        """The same data set, read at another size."""
        shared = ("_sequences", "fits_folder", "_models", "_trees", "_annotations", "_hands", "_fitted_splits")
        return with_caches(replace(self, size=size), of=self, names=shared)

    @property
    def sequences(self) -> dict[Split, dict[str, list[int]]]:
        """The frames of each sequence (`Subject_1/put_salt/2`) of each split."""
        return self._sequences

    @cached_property
    def _sequences(self) -> dict[Split, dict[str, list[int]]]:
        sequences: dict[Split, dict[str, list[int]]] = {"train": {}, "validation": {}, "evaluation": {}}
        listed = list(split_sequences(read_action_split(self.root / LIST), self.protocol))
        measured = self.protocol == "fphab/subjects-near-10mm"
        for split, sequence in track(listed, "hand to object", transient=True, disable=not measured):
            if self.pose_file(sequence).is_file():  # only some of the sequences have poses
                frames = self._near_frames(sequence) if measured else self.annotation(sequence).frames
                if frames:
                    sequences[split][sequence] = frames
        return sequences

    def names(self, split: Split) -> list[FrameName]:
        """Every frame of a split: sequences in the order of the list, frames in time."""
        return [FrameName(sequence, index) for sequence, frames in self.sequences[split].items() for index in frames]

    def is_annotated(self, name: FrameName) -> bool:
        """Whether hand and object of a frame are given: they are, but where the hand cannot be fitted to its joints.

        The first question about a split fits the hands of all its sequences that have no fits, unless they were fitted
        in an earlier start. Raises `DataError` where an annotation is broken.
        """
        split: Split | None = next((split for split, frames in self.sequences.items() if name.sequence in frames), None)
        if split is None or name.index not in self.sequences[split][name.sequence]:
            return False
        self.annotation(name.sequence).of(name.index)
        if split not in self._fitted_splits:
            self._fitted_splits.add(split)
            for sequence in track(self.sequences[split], f"hands, {split}", transient=True):
                with suppress(DataError):  # which is raised when a frame of that sequence is asked for
                    self.hands(sequence)
        return name.index not in self.hands(name.sequence).unfitted_frames

    def _near_frames(self, sequence: str) -> list[int]:
        """The frames with a joint near the object; those that cannot be read stay, and raise when they are read."""
        annotation, model = self.annotation(sequence), self.object_model(object_of(sequence))
        if model.name not in self._trees:
            self._trees[model.name] = KDTree((model.vertices + model.centre_m).double().numpy())
        far = annotation.far_frames(self._trees[model.name])
        return [frame for frame in annotation.frames if frame not in far]

    def skeleton_file(self, sequence: str) -> Path:
        """Where a sequence's joints lie."""
        return self._folder(SKELETON_FOLDERS) / sequence / "skeleton.txt"

    def pose_file(self, sequence: str) -> Path:
        """Where a sequence's object poses lie, if it has any."""
        return self._folder(POSE_FOLDERS) / sequence / "object_pose.txt"

    def _folder(self, names: tuple[str, ...]) -> Path:
        folder = next((self.root / name for name in names if (self.root / name).is_dir()), None)
        if folder is None:
            raise DataError(f"expected FPHAB's folder {' or '.join(names)} in {self.root}, found neither")
        return folder

    @cached_property
    def fits_folder(self) -> Path | None:
        """Where the MANO fits lie, if anywhere."""
        candidates = [self.root / name for name in FITS_FOLDERS] if self.fits is None else [self.fits]
        return next((folder for folder in candidates if folder.is_dir()), self.fits)

    def fits_file(self, sequence: str) -> Path | None:
        """Where a sequence's MANO fits lie, if it has any."""
        path = None if self.fits_folder is None else self.fits_folder / sequence / "pkls.pkl"
        return path if path is not None and path.is_file() else None

    def picture_file(self, name: FrameName) -> Path:
        """The file of a frame's picture: the reduced copy where it is there and large enough."""
        folder, file = Path(name.sequence) / "color", f"color_{name.index:04d}.jpeg"
        full, reduced = (self.root / copies / folder / file for copies in VIDEO_FOLDERS)
        enough = self.size is not None and self.size[0] <= REDUCED_SIZE[0] and self.size[1] <= REDUCED_SIZE[1]
        return reduced if reduced.is_file() and (enough or not full.is_file()) else full

    def annotation_files(self, name: FrameName) -> tuple[Path, ...]:
        """The files that hold the annotation of a frame's sequence."""
        fits = self.fits_file(name.sequence)
        files = (self.skeleton_file(name.sequence), self.pose_file(name.sequence))
        return files if fits is None else (*files, fits)

    def object_file(self, name: str) -> Path:
        """Where an object's mesh lies; the juice bottle's name is shortened there."""
        stems = ("juice_model", "juice_bottle_model") if name == "juice_bottle" else (f"{name}_model",)
        paths = [self.root / "Object_models" / stem / f"{stem}.ply" for stem in stems]
        return next((path for path in paths if path.is_file()), paths[0])

    def object_model(self, name: str) -> ObjectModel:
        """The object of that name."""
        if name not in self._models:
            self._models[name] = load_object(self.object_file(name), name)
        return self._models[name]

    def objects(self, split: Split) -> list[ObjectModel]:
        """The objects of a split."""
        return [self.object_model(name) for name in sorted({object_of(sequence) for sequence in self.sequences[split]})]

    def frame(self, name: FrameName, *, annotated: bool) -> Frame:
        """Read a frame; of its annotation only the camera and the object's name unless `annotated`.

        Raises `DataError` naming the file and the fact when it cannot be read as documented.
        """
        self._joints_and_pose(name)
        image, _ = read_picture(self.picture_file(name), self.size)
        camera = colour_camera().resized(image.shape[2], image.shape[1])
        annotation = self._frame_annotation(name) if annotated else None
        return Frame(name, image, camera, self.object_model(object_of(name.sequence)), annotation)

    def truth(self, name: FrameName) -> Truth:
        """A frame's annotation with the camera of the reduced pictures: published errors are in their pixels."""
        model = self.object_model(object_of(name.sequence))
        return Truth(colour_camera().resized(*REDUCED_SIZE).intrinsics, model, self._frame_annotation(name))

    def _frame_annotation(self, name: FrameName) -> Annotation:
        model, (joints, pose) = self.object_model(object_of(name.sequence)), self._joints_and_pose(name)
        path = self.skeleton_file(name.sequence)
        centre = pose[:3, :3] @ model.centre_m + pose[:3, 3]
        for depth, source in ((centre[2], self.pose_file(name.sequence)), (joints[:, 2].mean(), path)):
            if not 0 < depth < LARGEST_DISTANCE_M:
                raise DataError(
                    f"expected hand and object in front of the camera in frame {name.index} of {source}, found a depth "
                    f"of {depth:g} m"
                )
        hands, fits = self.hands(name.sequence), self.fits_file(name.sequence)
        vertices, rotation = hands.surface(self.hand, name.index, skeleton=path, fits=fits)
        return Annotation(vertices, joints, pose[:3, :3], centre, rotation)

    def _joints_and_pose(self, name: FrameName) -> tuple[Float[Tensor, "21 3"], Float[Tensor, "4 4"]]:
        annotation = self.annotation(name.sequence)
        if name.index not in annotation.joints or name.index not in annotation.poses:
            raise DataError(
                f"expected a frame with a pose in {self.pose_file(name.sequence)} and joints in "
                f"{self.skeleton_file(name.sequence)}, got frame {name.index}, which has not both"
            )
        return annotation.of(name.index)

    def annotation(self, sequence: str) -> SequenceAnnotation:
        """The annotation files of a sequence. Raises `DataError` naming the file that does not tell its frames."""
        if sequence not in self._annotations:
            if SEQUENCE.fullmatch(sequence) is None:
                raise DataError(f"expected a sequence like Subject_1/put_salt/2 of {self.root}, got {sequence[:60]!r}")
            joints, poses = read_skeleton(self.skeleton_file(sequence)), read_object_poses(self.pose_file(sequence))
            self._annotations[sequence] = SequenceAnnotation(joints, poses)
        return self._annotations[sequence]

    def hands(self, sequence: str) -> SequenceHands:
        """The hand in every frame of a sequence that has joints and a pose; fitted where no fit is given."""
        if sequence not in self._hands:
            annotation, path = self.annotation(sequence), self.fits_file(sequence)
            fits = PerFrame({}, {}) if path is None else read_mano_fits(path, shape_count=self.hand.shape_count)
            joints = {frame: annotation.joints.values[frame] for frame in annotation.whole_frames}
            self._hands[sequence] = hands_of(self.hand, joints, fits=fits, root=self.root)
        return self._hands[sequence]

    @cached_property
    def _models(self) -> dict[str, ObjectModel]:
        return {}

    @cached_property
    def _trees(self) -> dict[str, KDTree]:
        return {}

    @cached_property
    def _annotations(self) -> dict[str, SequenceAnnotation]:
        return {}

    @cached_property
    def _fitted_splits(self) -> set[Split]:
        return set()

    @cached_property
    def _hands(self) -> dict[str, SequenceHands]:
        return {}


def examine_fphab(dataset: Fphab) -> Iterator[str]:
    """Lines about a folder of FPHAB. Raises `DataError` with a count of everything missing, each kind named once."""
    yield from SOURCES
    problems, meshes = _missing_parts(dataset), _absent("object meshes", list(map(dataset.object_file, OBJECTS)))
    if not problems:
        yield from _sizes(dataset)
        if not meshes:
            for split in SPLITS[::2]:
                yield f"{split}: objects " + (", ".join(model.name for model in dataset.objects(split)) or "none")
        sequences = _sequences(dataset)
        hands = {sequence: dataset.hands(sequence) for sequence in track(sequences, "hands", transient=True)}
        fitted = [sequence for sequence in sequences if dataset.fits_file(sequence) is not None]
        yield from hand_lines(hands, dataset.hand, fitted=fitted, fits=dataset.fits_folder)
        problems = [*_broken_frames(dataset), *_missing_pictures(dataset)]
    problems += meshes
    if problems:
        raise DataError(f"expected a complete data set in {dataset.root}, missing " + "; ".join(problems))
    for sequence in _sequences(dataset):
        frames, hands = dataset.annotation(sequence).frames, dataset.hands(sequence)
        wanted = [frame for frame in frames if frame not in hands.unfitted_frames]  # the others are counted
        believed = [frame for frame in wanted if frame not in hands.refused_frames]  # where none is, the reason is said
        for frame in (believed or wanted)[:1]:
            dataset.frame(FrameName(sequence, frame), annotated=True)
    yield "nothing is missing"


def _missing_parts(dataset: Fphab) -> list[str]:
    """The missing files that tell which frames there are."""
    root, problems = dataset.root, []
    if not (root / LIST).is_file():
        problems.append(f"the list of the splits, {root / LIST}")
    for content, names in (("joints", SKELETON_FOLDERS), ("object poses", POSE_FOLDERS), ("pictures", VIDEO_FOLDERS)):
        if not any((root / name).is_dir() for name in names):
            problems.append(f"the folder of all {content}, {root / names[0]}")
    if problems:
        return problems
    listed = [sequence for _, sequence in split_sequences(read_action_split(root / LIST), dataset.protocol)]
    posed = [sequence for sequence in listed if dataset.pose_file(sequence).is_file()]
    if not posed:
        return [f"the object poses of all {len(listed)} sequences, {root / POSE_FOLDERS[0]}"]
    return _absent("skeleton files", [dataset.skeleton_file(sequence) for sequence in posed])


def _absent(kind: str, paths: list[Path]) -> list[str]:
    absent = [path for path in paths if not path.is_file()]
    return [f"{len(absent)} of {len(paths)} {kind}, the first {absent[0]}"] if absent else []


def _missing_pictures(dataset: Fphab) -> list[str]:
    names = [name for split in SPLITS for name in dataset.names(split)]
    if not names:
        return ["every frame: no sequence has both joints and a pose"]
    return _absent("pictures", [dataset.picture_file(name) for name in names])


def _broken_frames(dataset: Fphab) -> list[str]:
    """Frames of which a row, or a fit, cannot be read."""
    broken = []
    for sequence in _sequences(dataset):
        annotation = dataset.annotation(sequence)
        parts = (annotation.joints.broken, annotation.poses.broken, dataset.hands(sequence).broken)
        for frame in annotation.frames:
            broken += [part[frame] for part in parts if frame in part][:1]
    return [f"whole annotations of {len(broken)} frames, the first: {broken[0]}"] if broken else []


def _sequences(dataset: Fphab) -> list[str]:
    return [sequence for split in SPLITS for sequence in dataset.sequences[split]]


def _sizes(dataset: Fphab) -> Iterator[str]:
    """The sizes of the splits beside those of a complete data set."""
    listed = read_action_split(dataset.root / LIST)
    yield listed.size
    posed = [name for _, name in split_sequences(listed, dataset.protocol) if dataset.pose_file(name).is_file()]
    without = {sequence: frames for sequence in posed if (frames := dataset.annotation(sequence).without_joints)}
    if without:
        first = next(iter(without))
        yield (
            f"left out: {sum(map(len, without.values()))} frames with a pose but without joints, in {len(without)} of "
            f"{len(posed)} sequences, the first is frame {without[first][0]} of {first}"
        )
    for split in SPLITS[::2]:
        expected = f" (expected: {EXPECTED_FRAMES[split]} frames)" if dataset.protocol == PROTOCOLS[0] else ""
        yield (
            f"{dataset.protocol} {split}: {len(dataset.sequences[split])} sequences, "
            f"{len(dataset.names(split))} frames{expected}"
        )
