"""A checkpoint at work: its network on a device, and the predictions of data sets, recordings, footage and pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8

from warpgrasp.checked import Entry
from warpgrasp.data import SPLITS, Dataset, Split, fingerprint_of_frames
from warpgrasp.data.recording import Clip, Lens, Recordings, Reel, lens_of, open_clip, read_lens
from warpgrasp.errors import DataError
from warpgrasp.files import fingerprint_of_files, source_commit
from warpgrasp.frame import Frames, Reconstruction
from warpgrasp.hand import HandModel, Side, left_hand, open_hand
from warpgrasp.inference.backends import run_encoder_by, threads_beside
from warpgrasp.inference.hand_check import (
    HandCheck,
    KeypointRefinement,
    StatedHands,
    stated_by_frame,
    stated_header,
)
from warpgrasp.inference.hand_search import HandSearch
from warpgrasp.inference.prediction import (
    PredictError,
    PredictionOptions,
    hand_posing,
    predict,
    reconstruct_frames,
    smoothing_of,
)
from warpgrasp.inference.quantized_file import quantized_encoder
from warpgrasp.inference.stream import NONE_LEFT_OUT, Stream
from warpgrasp.keypoints import DetectorSettings, MediaPipeDetector
from warpgrasp.predictions import (
    Postprocessing,
    Predictions,
    PredictionsError,
    ShardContext,
    identified_object,
    is_written,
    mesh_hashes,
    mirror_counterpart,
    posing_left_hands,
)
from warpgrasp.reconstruction import Checkpoint, HandObjectNetwork, open_weights, precision_on

PICTURES = "pictures"  # the sequence of pictures in memory
CAMERA_IN_MEMORY = Path("camera")  # names a camera without a file in errors


def reconstruct(
    images: Sequence[Any],
    *,
    camera: Path | str | Float[np.ndarray, "3 3"],
    object: Path | str,
    weights: Path | str,
    hand: HandModel | None = None,
    side: Side = "right",
    options: PredictionOptions | None = None,
) -> Predictions:
    """Reconstruct hand and object in each of some pictures, which are taken to follow each other at 30 a second.

    `images` are of shape (height, width, 3), colours from 0 to 255: arrays, or anything that NumPy makes arrays of.
    `camera` is a camera.json, or the matrix [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] in pixels of the images. `object` is
    the mesh file of an object that the network knows, or its object.json; `weights` a run's folder, a checkpoint, or
    `best`. `hand` is the right hand's model, the open one unless it is given. The result is in camera space, in metres;
    row i is of image i. Raises `UserError` with one sentence where something does not fit.
    """
    checkpoint = open_weights(Path(weights))
    predictor = Predictor(checkpoint, hand or HandModel(open_hand()), options or PredictionOptions())
    pictures = PicturesInMemory([_pixels(image, number) for number, image in enumerate(images)])
    lens, lens_file = _lens(camera, pictures)
    model = identified_object(Path(object), checkpoint.objects, left=side == "left")
    reel = Reel.of_clip(PICTURES, Clip(lens, pictures, lens_file), model, predictor.size)
    return predictor.predict_in_memory(reel, left=side == "left")


@dataclass(frozen=True)
class Predictor:
    """A network as a checkpoint holds it, with its hand model, the right hand's."""

    checkpoint: Checkpoint
    hand: HandModel
    options: PredictionOptions = PredictionOptions()  # noqa: RUF009 (frozen)
    keeps_finished: bool = False
    """A file that is there and of the same weights, data and options is left as it is, one of others is an error."""
    show_progress: bool = True

    @cached_property
    def device(self) -> torch.device:
        """The device of the network. Raises `PredictError` when there is no such device."""
        if self.options.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            device = torch.device(self.options.device)
            torch.zeros(1, device=device)
        except (RuntimeError, AssertionError) as error:  # PyTorch without CUDA asserts that there is CUDA
            reason = str(error).splitlines()[0][:120]
            raise PredictError(
                f"expected a device of PyTorch's on this machine, got {self.options.device!r}: {reason}; choose "
                f"--device cpu"
            ) from error
        return device

    @cached_property
    def network(self) -> HandObjectNetwork:
        """The network.

        Raises `CheckpointError` when it was trained with another hand, `BackendError` and `QuantizationError` when it
        cannot run as the options say.
        """
        network = self.checkpoint.network(self.hand).to(self.device)
        network.encoder_precision = precision_on(self.device, self.options.precision)
        width, height = self.size
        quantized = None
        if self.options.quantized is not None:
            sha256 = self.checkpoint.sha256
            quantized = quantized_encoder(self.options.quantized, network, weights_sha256=sha256, size=self.size)
        run_encoder_by(self.options.backend, network, width=width, height=height, quantized=quantized)
        return network

    @property
    def size(self) -> tuple[int, int]:
        """The (width, height) of the pictures that the network was trained on."""
        return self.checkpoint.picture_size

    def reconstruct(self, frames: Frames) -> Reconstruction:
        """Reconstruct a batch that lies on the network's device."""
        return reconstruct_frames(self.network, frames)

    def predict_footage(self, path: Path, out: Path, *, object: Path | None, camera: Path | None, side: str) -> bool:
        """Predict every frame of a video file or of a folder of numbered pictures into `out`; False where it is kept.

        Raises `PredictError` when object, camera or side is not told, and the errors of `open_clip` and
        `identified_object`.
        """
        if object is None or camera is None:
            missing = " and ".join(
                name for name, given in (("--object MESH", object), ("--camera camera.json", camera)) if given is None
            )
            raise PredictError(
                f"expected {missing} with {path}, a video or pictures; docs/own_video.md says how to write them"
            )
        if side not in ("right", "left"):
            raise PredictError(
                f"expected --side right or left with {path}, got {side}; predict one hand after the other"
            )
        model = identified_object(object, self.checkpoint.objects, left=side == "left")
        reel = Reel.of_clip(path.stem, open_clip(path, camera), model, self.size)
        return self._predict_reel(reel, out, {"protocol": "footage"}, left=side == "left")

    def predict_dataset(self, dataset: Dataset, split: str | None, out: Path, *, left: bool = False) -> bool:
        """Predict a split of a data set or of recordings into `out`; `all` are all of its frames. False: it is kept.

        `left` means recordings of a left hand, of which labels need not say so. Raises `PredictionsError` when there
        are no such frames, and `PredictError` when labels say otherwise.
        """
        split = split or ("evaluation" if dataset.names("evaluation") else "train")
        splits: list[Split] = [name for name in SPLITS if split in (name, "all")]
        names = [name for part in splits for name in dataset.names(part)]
        if not names:
            raise PredictionsError(
                f"expected frames in the split {split} of {dataset.root}, found none; choose another by --split"
            )
        header = {"protocol": dataset.protocol, "split": split}
        if isinstance(dataset, Recordings):
            reel = dataset.reel(splits, self.size)
            return self._predict_reel(reel, out, header, left=_show_left_hands(dataset, left=left))
        models = list({model.name: model for part in splits for model in dataset.objects(part)}.values())
        self.checkpoint.check_objects(models)
        if self.options.keypoints is not None:
            raise PredictError(
                f"expected a video, pictures or a recording with --keypoints {self.options.keypoints}, whose hands are "
                f"told by the names of pictures, got a data set; leave it out"
            )
        files = {"input": fingerprint_of_frames(dataset, names), "objects": mesh_hashes(models)}
        options = self.options
        header = {**self.header, **header, **files, "batch": options.batch}
        if self._keeps(out, header):
            return False
        more: dict[str, Any] = {"batch": options.batch, "smooth_frames": options.smooth_frames}
        more["show_progress"] = self.show_progress
        with threads_beside(options.backend):
            predict(self.network, dataset, names, out, header=header, hand_check=self._hand_check("right"), **more)
        return True

    def predict_in_memory(self, reel: Reel, *, left: bool = False) -> Predictions:
        """Predict every frame of a reel without a file."""
        stream, postprocessing = self._prepared(reel, left=left)
        with threads_beside(self.options.backend):
            return postprocessing(ShardContext(None, stream.predicted(), None))

    def _predict_reel(self, reel: Reel, out: Path, header: dict[str, Any], *, left: bool) -> bool:
        stream, postprocessing = self._prepared(reel, left=left)
        of_reel = {
            "batch": self.options.batch,
            "side": "left" if left else "right",
            "input": reel.fingerprint(),
            "cameras": {sequence: clip.lens.content for sequence, clip in reel.clips.items()},
            "objects": mesh_hashes(list(reel.models.values())),
        }
        header = {**self.header, **header, **of_reel}
        whole = {"left_out": NONE_LEFT_OUT} if self.options.bad_frames == "refuse" else {}
        if self._keeps(out, {**header, **whole}):
            return False
        with threads_beside(self.options.backend):
            stream.write(out, header, postprocessing)
        return True

    def _keeps(self, out: Path, header: dict[str, Any]) -> bool:
        """Whether a file is there that may stay."""
        return self.keeps_finished and is_written(out, header, of="weights, data and options")

    def _prepared(self, reel: Reel, *, left: bool) -> tuple[Stream, Postprocessing]:
        models, options = reel.models, self.options
        pose_hand, mirrored = hand_posing(self.network), None
        if left:
            pose_hand = posing_left_hands(pose_hand)
            mirrored = {name: mirror_counterpart(model, self.checkpoint) for name, model in models.items()}
        else:
            self.checkpoint.check_objects(list(models.values()))
        postprocessing = Postprocessing(
            models.__getitem__,
            lambda sequence: reel.clips[sequence].interval_s,
            smoothing_of(options.smooth_frames, pose_hand),
        )
        side: Side = "left" if left else "right"
        stated = None if options.keypoints is None else stated_by_frame(reel, options.keypoints)
        eyes = self._hand_check(side, stated), self._hand_search(side, stated)
        of_frames = options.batch, options.bad_frames, mirrored, self.device
        return Stream(reel, self.reconstruct, *of_frames, *eyes, show_progress=self.show_progress), postprocessing

    @cached_property
    def _detector(self) -> MediaPipeDetector:
        """Who looks for hands; its networks are loaded once."""
        return MediaPipeDetector(DetectorSettings(device=self.device))

    def _hand_check(self, side: Side, stated: StatedHands | None = None) -> HandCheck | None:
        """How it is told whether there is a hand where one is predicted; None where nobody looks."""
        options = self.options
        if not options.check_hands and not options.refine and stated is None:
            return None
        refinement = self._refinement(side) if options.refine else None
        return HandCheck(self._detector, options.check_hands, side, refinement, stated)

    def _hand_search(self, side: Side, stated: StatedHands | None) -> HandSearch | None:
        """How a network learns where the hand is seen that is told of it; None for others."""
        if not self.checkpoint.config.joint_input:
            return None
        return HandSearch(self._detector, side, stated)

    def _refinement(self, side: Side) -> KeypointRefinement:
        """How predictions are moved to keypoints."""
        pose_hand = hand_posing(self.network)
        if side == "right":
            return KeypointRefinement(self.hand, pose_hand)
        return KeypointRefinement(left_hand(self.hand), posing_left_hands(pose_hand))

    @cached_property
    def header(self) -> dict[str, Any]:
        """Where predictions come from, as it is stored with them."""
        quantized = self.options.quantized
        return {
            "weights_sha256": self.checkpoint.sha256,
            "hand": self.checkpoint.hand,
            "precision": self.network.encoder_precision if quantized is None else "int8",
            "backend": self.options.backend,
            "smooth_frames": self.options.smooth_frames,
            "check_hands": self.options.check_hands,
            "refine": self.options.refine,
            **({} if quantized is None else {"quantized": fingerprint_of_files([quantized])}),
            **({} if self.options.keypoints is None else stated_header(self.options.keypoints)),
            "commit": source_commit(),
            **self.checkpoint.training,
        }


def _show_left_hands(dataset: Recordings, *, left: bool) -> bool:
    """Whether recordings show left hands: by their labels or, for those without labels, as the user says."""
    side_of = {name: recording.side for name, recording in dataset.recordings.items() if recording.annotations.labels}
    if len(set(side_of.values())) > 1:
        first = {side: next(name for name in side_of if side_of[name] == side) for side in ("right", "left")}
        raise PredictError(
            f"expected recordings of one hand in {dataset.root}, found a right one in {first['right']} and a left one "
            f"in {first['left']}; predict one folder after the other"
        )
    if left and "right" in side_of.values():
        raise PredictError(f"expected --side right, as the labels in {dataset.root} say, got left")
    return left or "left" in side_of.values()


@dataclass(frozen=True)
class PicturesInMemory:
    """Pictures as footage: numbered from 0, without times."""

    pictures: Sequence[UInt8[np.ndarray, "_h _w 3"]]

    @property
    def numbers(self) -> range:
        """The numbers of the frames."""
        return range(len(self.pictures))

    @property
    def times_s(self) -> None:
        """Not known."""
        return None

    @property
    def notices(self) -> tuple[str, ...]:
        """There is nothing to warn of."""
        return ()

    def picture(self, number: int) -> UInt8[np.ndarray, "h w 3"]:
        """The colours of a frame, from 0 to 255."""
        return self.pictures[number]

    def file_of(self, number: int) -> Path:
        """The name of a frame in errors."""
        return Path(f"images[{number}]")

    def close(self) -> None:
        """Nothing is open."""


def _pixels(image: Any, number: int) -> UInt8[np.ndarray, "h w 3"]:
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise DataError(
            f"expected colours from 0 to 255 as bytes of shape (height, width, 3) in images[{number}], found "
            f"{pixels.dtype} of shape {pixels.shape}"
        )
    return pixels


def _lens(camera: Path | str | np.ndarray, pictures: PicturesInMemory) -> tuple[Lens, Path]:
    if not pictures.pictures:
        raise DataError("expected at least one picture in images, found none")
    if isinstance(camera, Path | str):
        return read_lens(Path(camera)), Path(camera)
    height, width = pictures.pictures[0].shape[:2]
    content = {"width": width, "height": height, "matrix": np.asarray(camera).tolist()}
    return lens_of(Entry(content, CAMERA_IN_MEMORY, "")), CAMERA_IN_MEMORY
