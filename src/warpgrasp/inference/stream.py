"""Videos and picture folders to a predictions file: reading, computing and writing overlap.

A video of any length takes the same memory: frames are read in batches, predictions written in shards. One thread reads
ahead and one writes behind, beside the one that computes. Neither may touch PyTorch: each Python thread that does gets
a team of OpenMP threads of its own, and two such teams take the cores from each other.
"""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from jaxtyping import UInt8

from warpgrasp.data import OnBad, mirrored_camera, mirrored_detections, resized_pixels
from warpgrasp.data.recording import Reel
from warpgrasp.errors import DataError
from warpgrasp.frame import Detections, FrameName, Frames, Objects, Reconstruction, colours, move_to
from warpgrasp.geometry import Camera
from warpgrasp.inference.hand_check import HandCheck, Sight, shrunk
from warpgrasp.inference.hand_search import FollowedHand, HandSearch
from warpgrasp.inference.prediction import SHARD_FRAMES, predictions_of
from warpgrasp.predictions import (
    MirrorCounterpart,
    Postprocessing,
    Predictions,
    ShardContext,
    ShardWriter,
    as_left_hands,
)
from warpgrasp.progress import progress_bar

Job = TypeVar("Job")
Result = TypeVar("Result")

QUEUE_LENGTH = 2  # results that wait to be used
POLL_S = 0.1
LONGEST_LIST = 1000  # of left-out frames that the header names
NONE_LEFT_OUT: dict[str, Any] = {"frames": 0, "which": []}  # the header's entry where all frames could be read


@dataclass(frozen=True)
class Batch:
    """Frames that are read together: positions in a reel, all of one shard."""

    shard: int
    positions: range
    ends_shard: bool


@dataclass(frozen=True)
class ReadBatch:
    """A batch as it was read."""

    batch: Batch
    names: list[FrameName]
    pixels: list[UInt8[np.ndarray, "h w 3"]]
    """What the network sees."""
    looked_at: list[UInt8[np.ndarray, "_h _w 3"]]
    """What the detector sees, where it is asked."""
    bad: dict[FrameName, str]
    """Frames that could not be read, with their errors."""


@dataclass(frozen=True)
class Stream:
    """Predicts every frame of a reel."""

    reel: Reel
    reconstruct: Callable[[Frames], Reconstruction]
    batch: int = 16
    on_bad: OnBad = "refuse"
    """What is done with a frame that cannot be read: an error, or it is left out."""
    mirrored: Mapping[str, MirrorCounterpart] | None = None
    """For left hands: the object that mirrored pictures show in place of each object."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    hand_check: HandCheck | None = None
    hand_search: HandSearch | None = None
    """For a network that is told where the hand is seen."""
    show_progress: bool = True
    _cameras: dict[str, Camera] = field(default_factory=dict, repr=False)
    _objects: dict[tuple[str, ...], Objects] = field(default_factory=dict, repr=False)
    _followed: dict[int, FollowedHand] = field(default_factory=dict, repr=False)  # of the shard that is computed

    def write(self, out: Path, header: Mapping[str, Any], postprocessing: Postprocessing) -> dict[FrameName, str]:
        """Predict into `out`, shard by shard; an interrupted prediction goes on where it was, to the same file.

        Returns the frames that were left out, with their errors; the file's header lists them.
        """
        with ShardWriter(out, header) as writer:
            bad = self._write_shards(writer)
            left_out = _LeftOutFrames(self.reel)

            def postprocess(context: ShardContext) -> Predictions:
                left_out.count(context.shard, last=context.after is None)
                return postprocessing(context)

            writer.finish(self._shards, postprocess, left_out.notes)
        return bad

    def _write_shards(self, writer: ShardWriter) -> dict[FrameName, str]:
        """Predict the shards that are missing; the frames that were left out are returned, with their errors."""
        bad: dict[FrameName, str] = {}
        missing = [shard for shard in range(self._shards) if not writer.has(shard)]
        parts: list[Predictions] = []
        done = len(self.reel) - sum(len(self._positions(shard)) for shard in missing)
        with (
            progress_bar(
                f"predict {writer.path.stem}", len(self.reel), unit="frames", done=done, shown=self.show_progress
            ) as advance,
            ReadAhead(self._read, self._batches(missing)) as batches,
            WriteBehind() as behind,
        ):
            for read in batches:
                bad |= read.bad
                if read.names:
                    parts.append(self._predicted(read))
                if read.batch.ends_shard:
                    behind(partial(writer.write, read.batch.shard, _joined_shard(parts, read)))
                    parts = []
                advance(len(read.batch.positions))
        return bad

    def predicted(self) -> Predictions:
        """Predict all frames, in memory, without postprocessing."""
        batches = map(self._read, self._batches(list(range(self._shards))))
        return Predictions.joined([self._predicted(read) for read in batches if read.names])

    @property
    def _shards(self) -> int:
        return -(-len(self.reel) // SHARD_FRAMES)

    def _positions(self, shard: int) -> range:
        return range(shard * SHARD_FRAMES, min((shard + 1) * SHARD_FRAMES, len(self.reel)))

    def _batches(self, shards: list[int]) -> Iterator[Batch]:
        for shard in shards:
            positions = self._positions(shard)
            for start in range(0, len(positions), self.batch):
                ends_shard = start + self.batch >= len(positions)
                yield Batch(shard, positions[start : start + self.batch], ends_shard)

    def _read(self, batch: Batch) -> ReadBatch:
        """Runs in a thread of its own: no PyTorch."""
        read = ReadBatch(batch, [], [], [], {})
        for position in batch.positions:
            name = self.reel.name(position)
            try:
                picture = self.reel.picture(name)
            except DataError as error:
                if self.on_bad == "refuse":
                    raise
                read.bad[name] = " ".join(str(error).split())
                continue
            pixels = resized_pixels(picture, self.reel.size)
            read.names.append(name)
            read.pixels.append(pixels[:, ::-1] if self.mirrored is not None else pixels)
            if self.hand_check is not None or self.hand_search is not None:
                read.looked_at.append(shrunk(picture))
        sequences = dict.fromkeys(self.reel.name(position).sequence for position in batch.positions)
        for sequence in list(sequences)[:-1]:  # there may be hundreds, and their decoders hold memory
            self.reel.clips[sequence].footage.close()
        return read

    def _predicted(self, read: ReadBatch) -> Predictions:
        frames = self._frames(read)
        predictions = predictions_of(frames, self.reconstruct(frames))
        clips = [self.reel.clips[name.sequence] for name in read.names]
        times = [clip.time_s(name.index) for clip, name in zip(clips, read.names, strict=True)]
        predictions = replace(predictions, time_s=np.array(times))
        if self.mirrored is not None:
            names = np.array([self.reel.objects[name.sequence].name for name in read.names])
            reflections = np.stack([self.mirrored[str(name)].reflection for name in names])
            predictions = as_left_hands(replace(predictions, object_name=names), reflections)
        return (
            predictions if self.hand_check is None else self.hand_check.checked(predictions, partial(self._sight, read))
        )

    def _sight(self, read: ReadBatch, row: int) -> Sight:
        return Sight(read.looked_at[row], self.reel.camera(read.names[row].sequence))

    def _frames(self, read: ReadBatch) -> Frames:
        pictures = torch.from_numpy(np.stack(read.pixels)).to(self.device).permute(0, 3, 1, 2)
        sequences = [name.sequence for name in read.names]
        intrinsics = torch.stack([self._camera(sequence).intrinsics for sequence in sequences]).to(self.device)
        return Frames(
            tuple(read.names),
            colours(pictures).contiguous(),
            Camera(intrinsics, *self.reel.size),
            self._objects_of(tuple(sequences)),
            None,
            self._told(read),
        )

    def _told(self, read: ReadBatch) -> Detections | None:
        """Where the hand is seen in the pictures that the network sees."""
        if self.hand_search is None:
            return None
        sights = [self._sight(read, row) for row in range(len(read.names))]
        if read.batch.shard not in self._followed:  # begun anew with each shard, so that a run that goes on is the same
            self._followed.clear()
            self._followed[read.batch.shard] = self.hand_search.begun()
        seen = self._followed[read.batch.shard].told(read.names, sights, self.reel.size)
        return move_to(seen if self.mirrored is None else mirrored_detections(seen, self.reel.size[0]), self.device)

    def _camera(self, sequence: str) -> Camera:
        if sequence not in self._cameras:
            camera = self.reel.camera(sequence).resized(*self.reel.size)
            self._cameras[sequence] = camera if self.mirrored is None else mirrored_camera(camera)
        return self._cameras[sequence]

    def _objects_of(self, sequences: tuple[str, ...]) -> Objects:
        """The objects that the pictures of a batch show, mirrored ones for left hands."""
        if sequences not in self._objects:
            self._objects.clear()  # batches differ in them where a clip ends: the last ones are enough
            models = [self.reel.objects[sequence] for sequence in sequences]
            if self.mirrored is not None:
                models = [self.mirrored[model.name].model for model in models]
            self._objects[sequences] = move_to(Objects.of(models), self.device)
        return self._objects[sequences]


def _joined_shard(parts: list[Predictions], read: ReadBatch) -> Predictions:
    """The predictions of a shard, whose last batch is `read`."""
    if not parts:
        first = next(iter(read.bad.values()))
        raise DataError(f"expected a readable frame among {SHARD_FRAMES}, found only bad ones, such as: {first}")
    return Predictions.joined(parts)


class _LeftOutFrames:
    """Counts the frames of a reel that have no prediction, as the shards are postprocessed."""

    def __init__(self, reel: Reel):
        self._reel, self._position, self._frames = reel, 0, 0
        self._listed: list[list[str | int]] = []

    def count(self, shard: Predictions, *, last: bool) -> None:
        """Compare the next shard with the reel."""
        for name in shard.names:
            self._skip_to(name)
            self._position += 1
        if last:
            self._skip_to(None)

    def _skip_to(self, name: FrameName | None) -> None:
        while self._position < len(self._reel) and (missing := self._reel.name(self._position)) != name:
            if len(self._listed) < LONGEST_LIST:
                self._listed.append([missing.sequence, missing.index])
            self._frames += 1
            self._position += 1

    def notes(self) -> dict[str, Any]:
        """The header's entry on the left-out frames."""
        return {"left_out": {"frames": self._frames, "which": self._listed}}


class ReadAhead(Generic[Job, Result]):
    """The results of a function for job after job, computed in a thread a little ahead of their use.

    An error is raised where its result would have come. Leaving the context ends the thread.
    """

    def __init__(self, read: Callable[[Job], Result], jobs: Iterable[Job]):
        self._read, self._jobs = read, jobs
        self._results: queue.Queue[tuple[Result | None, BaseException | None, bool]] = queue.Queue(QUEUE_LENGTH)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="read-ahead", daemon=True)

    def __enter__(self) -> Iterator[Result]:
        self._thread.start()
        return self._taken()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()

    def _taken(self) -> Iterator[Result]:
        while True:
            result, error, ended = self._results.get()
            if error is not None:
                raise error
            if ended:
                return
            yield result  # type: ignore[misc]  # None only beside an error or the end

    def _run(self) -> None:
        try:
            for job in self._jobs:
                if not self._put((self._read(job), None, False)):
                    return
            self._put((None, None, True))
        except BaseException as error:
            self._put((None, error, False))

    def _put(self, entry: tuple[Result | None, BaseException | None, bool]) -> bool:
        """Wait for room in the queue; False when the context was left."""
        while not self._stopped.is_set():
            try:
                self._results.put(entry, timeout=POLL_S)
                return True
            except queue.Full:
                continue
        return False


class WriteBehind:
    """Runs functions in a thread, one at a time; an error is raised at the next call or at the end."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="write-behind")
        self._last: Future[None] | None = None

    def __enter__(self) -> "WriteBehind":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True)
        if kind is None and self._last is not None:
            self._last.result()

    def __call__(self, work: Callable[[], None]) -> None:
        """Begin to run a function when the one before has ended."""
        if self._last is not None:
            self._last.result()
        self._last = self._pool.submit(work)
