"""A checkpoint at work: its network on a device, and whatever it is asked to look at, to a predictions file."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch

from warpgrasp.data import SPLITS, Dataset, OnBad, Split, fingerprint_of_frames
from warpgrasp.data.recording import Recordings, Reel, open_clip
from warpgrasp.errors import UserError
from warpgrasp.files import fingerprint_of_files
from warpgrasp.frame import Frames, Reconstruction
from warpgrasp.hand import HandModel
from warpgrasp.inference.backends import Backend, quantized_encoder, run_encoder_by, threads_beside
from warpgrasp.inference.predict import posed_hand, predict, reconstruct
from warpgrasp.inference.stream import Stream
from warpgrasp.predictions import (
    LONGEST_FRAMES,
    Finish,
    Predictions,
    PredictionsError,
    Window,
    identified_object,
    known_hashes,
    left_posed_hand,
    seen_in_mirror,
)
from warpgrasp.reconstruction import Checkpoint, HandObjectNetwork
from warpgrasp.reconstruction.encoders import precision_on


class PredictError(UserError):
    """A prediction is asked for in a way that cannot be."""


@dataclass(frozen=True)
class Options:
    """How it is predicted."""

    batch: int = 16
    """Frames at once."""
    smooth_frames: float = 0.0
    """The standard deviation, in frames, of the temporal filter (`smoothing`); 0 for none."""
    bad_frames: OnBad = "refuse"
    """What is done with a frame of a video that cannot be read."""
    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    backend: Backend = "torch"
    """What runs the encoder."""
    quantized: Path | None = None
    """The encoder in int8, as `quantize_encoder` wrote it."""

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise PredictError(f"expected at least 1 frame at once, got {self.batch}; choose another --batch")
        if not 0 <= self.smooth_frames <= LONGEST_FRAMES:
            raise PredictError(
                f"expected a standard deviation from 0 to {LONGEST_FRAMES:g} frames, got {self.smooth_frames:g}; "
                f"choose another --smooth"
            )


@dataclass(frozen=True)
class Predictor:
    """A network as a checkpoint holds it, with its hand model."""

    checkpoint: Checkpoint
    hand: HandModel
    options: Options = Options()
    program: str = "unknown"
    """The commit or version of the program, stored with what it predicts."""

    @cached_property
    def device(self) -> torch.device:
        """Where the network is. Raises `PredictError` when there is no such device."""
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
        cannot run as asked.
        """
        network = self.checkpoint.network(self.hand).to(self.device)
        network.encoder_precision = precision_on(self.device, self.options.precision)
        width, height = self.size
        quantized = None
        if self.options.quantized is not None:
            quantized = quantized_encoder(self.options.quantized, weights_sha256=self.checkpoint.sha256)
        run_encoder_by(self.options.backend, network, width=width, height=height, quantized=quantized)
        return network

    @property
    def size(self) -> tuple[int, int]:
        """The (width, height) of the pictures that the network was trained on."""
        return int(self.checkpoint.training["width"]), int(self.checkpoint.training["height"])

    def reconstruct(self, frames: Frames) -> Reconstruction:
        """Reconstruct a batch that lies on the network's device."""
        return reconstruct(self.network, frames)

    def footage(self, path: Path, out: Path, *, object: Path | None, camera: Path | None, side: str) -> None:
        """Predict every frame of a video file or of a folder of numbered pictures.

        Raises `PredictError` when object, camera or side is not told, and what `open_clip` and `identified_object` do.
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
        self._reel(reel, out, {"protocol": "footage"}, left=side == "left")

    def dataset(self, dataset: Dataset, split: str | None, out: Path, *, left: bool = False) -> None:
        """Predict a split of a data set or of recordings; `all` are all of its frames.

        `left` means recordings of a left hand, of which labels need not say so. Raises `PredictionsError` when there
        are no such frames, and `PredictError` when labels say otherwise.
        """
        split = split or ("evaluation" if dataset.names("evaluation") else "train")
        splits: list[Split] = [one for one in SPLITS if split in (one, "all")]
        names = [name for one in splits for name in dataset.names(one)]
        if not names:
            raise PredictionsError(
                f"expected frames in the split {split} of {dataset.root}, found none; choose another by --split"
            )
        header = {"protocol": dataset.protocol, "split": split}
        if isinstance(dataset, Recordings):
            reel = Reel.of_recordings(dataset, splits, self.size)
            self._reel(reel, out, header, left=_show_left_hands(dataset, left=left))
            return
        models = list({model.name: model for one in splits for model in dataset.objects(one)}.values())
        self.checkpoint.check_objects(models)
        files = {"input": fingerprint_of_frames(dataset, names), "objects": known_hashes(models)}
        about, options = {**self.header, **header, **files}, self.options
        smooth_frames = options.smooth_frames
        with threads_beside(options.backend):
            predict(self.network, dataset, names, out, header=about, batch=options.batch, smooth_frames=smooth_frames)

    def in_memory(self, reel: Reel, *, left: bool = False) -> Predictions:
        """Predict every frame of a reel without a file."""
        stream, finish = self._prepared(reel, left=left)
        with threads_beside(self.options.backend):
            return finish(Window(None, stream.predicted(), None))

    def _reel(self, reel: Reel, out: Path, header: dict[str, Any], *, left: bool) -> None:
        stream, finish = self._prepared(reel, left=left)
        about = {
            "batch": self.options.batch,
            "side": "left" if left else "right",
            "input": reel.fingerprint(),
            "cameras": {sequence: clip.lens.content for sequence, clip in reel.clips.items()},
            "objects": known_hashes(list(reel.models.values())),
        }
        with threads_beside(self.options.backend):
            stream.write(out, {**self.header, **header, **about}, finish)

    def _prepared(self, reel: Reel, *, left: bool) -> tuple[Stream, Finish]:
        models, options = reel.models, self.options
        if not left:
            self.checkpoint.check_objects(list(models.values()))
        mirrored = {name: seen_in_mirror(model, self.checkpoint) for name, model in models.items()} if left else None
        posed = posed_hand(self.network)
        stream = Stream(reel, self.reconstruct, options.batch, options.bad_frames, mirrored, self.device)
        finish = Finish(
            models.__getitem__,
            lambda sequence: reel.clips[sequence].interval_s,
            left_posed_hand(posed) if left else posed,
            options.smooth_frames,
        )
        return stream, finish

    @cached_property
    def header(self) -> dict[str, Any]:
        """Where predictions come from."""
        quantized = self.options.quantized
        return {
            "weights_sha256": self.checkpoint.sha256,
            "hand": self.checkpoint.hand,
            "precision": self.network.encoder_precision if quantized is None else "int8",
            "backend": self.options.backend,
            "smooth_frames": self.options.smooth_frames,
            **({} if quantized is None else {"quantized": fingerprint_of_files([quantized])}),
            "commit": self.program,
            **self.checkpoint.training,
        }


def _show_left_hands(dataset: Recordings, *, left: bool) -> bool:
    """Whether recordings show left hands: as their labels say, or as was asked for those without."""
    sides = {name: one.side for name, one in dataset.recordings.items() if one.annotations.labels}
    if len(set(sides.values())) > 1:
        first = {side: next(name for name, found in sides.items() if found == side) for side in ("right", "left")}
        raise PredictError(
            f"expected recordings of one hand in {dataset.root}, found a right one in {first['right']} and a left one "
            f"in {first['left']}; predict one folder after the other"
        )
    if left and "right" in sides.values():
        raise PredictError(f"expected --side right, as the labels in {dataset.root} say, got left")
    return left or "left" in sides.values()
