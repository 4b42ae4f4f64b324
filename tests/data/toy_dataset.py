"""A data set as somebody else's package would have it: one module, registered by one entry point.

A folder holds `toy.json`, an object's mesh, pictures, and the arrays of their annotations.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from warpgrasp.data import DataError, Split, Truth, load_object, read_picture
from warpgrasp.frame import Annotation, Frame, FrameName, ObjectModel
from warpgrasp.geometry import Camera
from warpgrasp.hand import HandModel


@dataclass(frozen=True)
class ToyDataset:
    root: Path
    hand: HandModel
    size: tuple[int, int] | None = None
    protocol: str = "toy/all"

    @staticmethod
    def recognises(root: Path) -> bool:
        return (root / "toy.json").is_file()

    @classmethod
    def open(
        cls, root: Path, hand: HandModel, *, size: tuple[int, int] | None = None, protocol: str | None = None
    ) -> "ToyDataset":
        if protocol not in (None, "toy/all"):
            raise DataError(f"expected the protocol toy/all, got {protocol!r}")
        return cls(root, hand, size)

    def examine(self) -> Iterator[str]:
        yield f"toy: {len(self.names('evaluation'))} frames of {self._about['object']}"
        missing = [name for name in self.names("evaluation") if not self.picture_file(name).is_file()]
        if missing:
            raise DataError(f"expected a complete data set in {self.root}, missing {len(missing)} pictures")

    @cached_property
    def _about(self) -> dict[str, Any]:
        return json.loads((self.root / "toy.json").read_text())

    @property
    def sequences(self) -> dict[Split, dict[str, list[int]]]:
        return {"train": {}, "validation": {}, "evaluation": {"T": list(range(self._about["frames"]))}}

    def names(self, split: Split) -> list[FrameName]:
        return [FrameName(name, index) for name, frames in self.sequences[split].items() for index in frames]

    def objects(self, split: Split) -> list[ObjectModel]:
        return [self.object_model(self._about["object"])] if self.sequences[split] else []

    def object_model(self, name: str) -> ObjectModel:
        return load_object(self.root / "object.obj", name, axes=(1.0, -1.0, -1.0))

    def is_annotated(self, name: FrameName) -> bool:
        return True

    def frame(self, name: FrameName, *, annotated: bool) -> Frame:
        picture, size = read_picture(self.picture_file(name), self.size)
        truth = self.truth(name)
        camera = Camera(truth.intrinsics, *size).resized(picture.shape[2], picture.shape[1])
        return Frame(name, picture, camera, truth.object, truth.annotation if annotated else None)

    def truth(self, name: FrameName) -> Truth:
        with np.load(self.root / f"{name.index}.npz", allow_pickle=False) as arrays:
            intrinsics, vertices, joints, rotation, translation = (
                torch.from_numpy(arrays[field])
                for field in ("intrinsics", "hand_vertices", "hand_joints", "object_rotation", "object_translation")
            )
        annotation = Annotation(vertices, joints, rotation, translation, hand_rotation=None)
        return Truth(intrinsics, self.object_model(self._about["object"]), annotation)

    def picture_file(self, name: FrameName) -> Path:
        return self.root / f"{name.index}.jpg"

    def annotation_files(self, name: FrameName) -> tuple[Path, ...]:
        return (self.root / f"{name.index}.npz",)

    def at_size(self, size: tuple[int, int] | None) -> "ToyDataset":
        return replace(self, size=size)
