"""`warpgrasp predict`: hand and object in every frame of one input, or of many recordings or videos each."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from warpgrasp.cli.options import AS_USUAL, DataChoice, DataOptions, Positional, UsageError, check_new, hand_model, say
from warpgrasp.cli.recordings import carry_out_each
from warpgrasp.errors import UserError

if TYPE_CHECKING:
    from warpgrasp.inference import PredictionOptions, Predictor

OnBad = Literal["refuse", "skip"]  # as in data/frames.py, which is too heavy for `--help`
Split = Literal["train", "validation", "evaluation", "all"]


def predict(
    input: Positional,
    /,
    *,
    weights: Path,
    out: Path,
    object: Path | None = None,
    camera: Path | None = None,
    split: Split | None = None,
    read: DataChoice = AS_USUAL,
    smooth: float = 0.0,
    bad_frames: OnBad = "refuse",
    batch: int = 16,
    device: str = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "fp32",
    backend: Literal["torch", "onnx", "openvino"] = "torch",
    quantized: Path | None = None,
    check_hands: int = 5,
    refine: bool = False,
    keypoints: Path | None = None,
    force: bool = False,
    each: bool = False,
    ray: str | None = None,
    workers: int | None = None,
) -> None:
    """Reconstruct hand and object in every frame of a video, a folder of pictures, a recording or a data set.

    With `--each`, every recording of a folder gets a file of its own in `out`, or every video of a folder where object
    and camera are given; those that are finished are left as they are, and one that fails stops no other.

    Args:
        input: A video, a folder of numbered pictures, a recording, a data set, or `sample` for the shipped one.
        weights: A run's folder, a checkpoint, or `best` for the shipped one.
        out: The predictions file to write (.npz); with `--each` the folder of such files.
        object: The mesh of the object that a video or pictures show, or its object.json.
        camera: The camera.json of a video or of pictures.
        split: Which frames of a recording or data set; `evaluation` where it has such, else `train`.
        read: How the data set is read.
        smooth: Average parameters over neighbouring frames, by a Gaussian of this standard deviation in frames.
        bad_frames: What is done with a frame of a video that cannot be read: `skip` leaves it out and lists it.
        batch: Frames at once.
        device: `cpu`, `cuda`, or another of PyTorch's; `auto`: a GPU where there is one.
        precision: Arithmetic of the encoder; `auto`: bf16 where the hardware has it.
        backend: What runs the encoder: PyTorch, ONNX Runtime (fp32), or OpenVINO, the fastest on a CPU.
        quantized: The encoder in int8, as `warpgrasp quantize` wrote it, for `--backend onnx` or `openvino`.
        check_hands: Look for the hand by a detector in one frame of so many, and flag frames without one; 0: never.
        refine: Move each frame's hand, and the object with it, to the keypoints that the detector sees.
        keypoints: Another program's keypoints of the pictures (docs/own_video.md), instead of the shipped detector's.
        force: Overwrite what is there.
        each: Predict every recording or video of a folder by itself, into the folder `out`.
        ray: The same, spread by Ray: a cluster's address, or `auto` for the one here or else this machine.
        workers: Recordings at a time, with `--ray`.
    """
    from warpgrasp.inference import PredictionOptions
    from warpgrasp.reconstruction import open_weights

    options = PredictionOptions(
        batch, smooth, bad_frames, device, precision, backend, quantized, check_hands, refine, keypoints
    )
    many = each or ray is not None or workers is not None
    asked = Predicting(weights, object, camera, split, read, options, force, among_many=many)
    if not many:
        for row in asked.carried_out((input, out)):
            say(row)
        return
    if keypoints is not None:
        raise UsageError(f"expected one recording or video with --keypoints {keypoints}, got a folder of them")
    if out.is_file():
        raise UsageError(f"expected a folder to write a file for each recording into, but {out} is a file")
    inputs = _inputs(input, videos=object is not None or camera is not None)
    files = {name: (path, out / f"{name}.npz") for name, path in inputs.items()}
    open_weights(weights)  # what is wrong with them is said once
    gpu = device == "auto" or device.startswith("cuda")
    carry_out_each(asked.carried_out, files, done="predicted", ray=ray, workers=workers, uses_gpu=gpu)


def _inputs(folder: Path, *, videos: bool) -> Mapping[str, Path]:
    """The recordings of a folder, or its videos, by their names.

    Raises `UserError` for what is not there, and `UsageError` where there are none.
    """
    from warpgrasp.data.recording import is_recording, recording_folders, videos_in

    if not folder.exists():
        raise UserError(f"expected a folder of {'videos' if videos else 'recordings'} at {folder}, found none there")
    if not videos:
        recordings = [] if is_recording(folder) else recording_folders(folder)
        if not recordings:
            raise UsageError(
                f"expected a folder of recordings with --each or --ray, or a folder of videos with --object and "
                f"--camera, got {folder}"
            )
        return {path.name: path for path in recordings}
    found: dict[str, Path] = {}
    for path in videos_in(folder):
        if path.stem in found:
            raise UsageError(
                f"expected videos of different names in {folder}, found {found[path.stem].name} and {path.name}; "
                f"rename one of them"
            )
        found[path.stem] = path
    if not found:
        raise UsageError(f"expected a folder of videos with --each or --ray, --object and --camera, got {folder}")
    return found


@dataclass(frozen=True)
class Predicting:
    """What `predict` is asked to do with an input, or with each of many."""

    weights: Path
    object: Path | None
    camera: Path | None
    split: Split | None
    read: DataOptions
    options: "PredictionOptions"
    force: bool
    among_many: bool  # files that are there and of the same weights, data and options are kept

    @cached_property
    def _loaded(self) -> "Predictor":
        """The network, loaded once for all inputs of a process."""
        from warpgrasp.inference import Predictor
        from warpgrasp.reconstruction import open_weights

        hand = hand_model(self.read.hand, self.read.mano_folder)
        keeps = self.among_many and not self.force
        return Predictor(open_weights(self.weights), hand, self.options, keeps, show_progress=not self.among_many)

    def carried_out(self, files: tuple[Path, Path]) -> list[str]:
        """Predict from an input into a file, and say in lines what came of it."""
        from warpgrasp.predictions import keypoints_summary, open_predictions, remove_finished_shards, summary

        input, out = files
        if not self.force:
            remove_finished_shards(out)
        check_new(out, force=self.force or self.among_many)
        predictor = self._loaded
        if self.object is None and self.camera is None and not input.is_file():
            left = self.read.side == "left"
            read = self.read.in_splits_of(_trained_splits(self.weights, input), input)
            dataset = read.open(input, size=predictor.size)
            if not self.among_many:  # recordings have the hand that is given, data sets may know its fingertips better
                predictor = replace(predictor, hand=dataset.hand)
            written = predictor.predict_dataset(dataset, self.split, out, left=left)
        else:
            written = predictor.predict_footage(input, out, object=self.object, camera=self.camera, side=self.read.side)
        if not written:
            return [f"finished already: {out}"]
        predictions, header = open_predictions(out)
        named = f" ({header['split']})" if "split" in header else ""
        flags = "" if predictions.flags is None else f"; {summary(predictions.flags)}"
        seen = keypoints_summary(predictions)
        return [f"wrote {len(predictions)} frames{named} to {out}{flags}", *([] if seen is None else [seen])]


def _trained_splits(weights: Path, data: Path) -> str:
    """The protocol of the run that made the weights, where it was trained on this folder; else an empty text."""
    from warpgrasp.bounded import read_json

    notes = (weights if weights.is_dir() else weights.parent) / "run.json"
    with suppress(OSError, ValueError, LookupError, TypeError):
        trained = read_json(notes)["data"]
        if Path(trained["root"]).resolve() == data.resolve():
            return str(trained["protocol"])
    return ""
