"""The sequence file that the motion generator writes and `render.py` reads (fields: README.md)."""

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

WIDTH, HEIGHT = 320, 240  # pixels, the size that `intrinsics` are for
REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Sequence:
    """One sequence: metres, world +Z up, cameras with OpenCV axes."""

    hand_vertices: np.ndarray  # (T, V, 3)
    hand_faces: np.ndarray  # (F, 3)
    hand_uv: np.ndarray  # (K, 2), v up
    hand_uv_faces: np.ndarray  # (F, 3)
    skin_texture: Path
    object_mesh: Path
    world_from_object: np.ndarray  # (T, 4, 4)
    world_from_camera_cv: np.ndarray  # (T, 4, 4)
    intrinsics: np.ndarray  # (3, 3)
    hdri: str
    hdri_rotation: float  # rad, about +Z
    hdri_strength: float
    background: int
    seed: int

    @property
    def n_frames(self) -> int:
        return len(self.hand_vertices)

    @property
    def target(self) -> np.ndarray:
        """Where the action is, on average: the middle of hand and object."""
        return (self.hand_vertices.mean(axis=(0, 1)) + self.world_from_object[:, :3, 3].mean(axis=0)) / 2


def read(path: Path) -> Sequence:
    with np.load(path, allow_pickle=False) as file:
        missing = {field.name for field in fields(Sequence)} - set(file.files)
        if missing:
            raise SystemExit(f"{path} lacks {', '.join(sorted(missing))}: see tools/render/README.md")
        values = {field.name: file[field.name] for field in fields(Sequence)}
    for field in fields(Sequence):
        if field.type is Path:
            values[field.name] = REPOSITORY / str(values[field.name])  # an absolute path stays itself
        elif field.type is not np.ndarray:
            values[field.name] = field.type(values[field.name].item())
    sequence = Sequence(**values)
    for path_of_asset in (sequence.skin_texture, sequence.object_mesh):
        if not path_of_asset.exists():
            raise SystemExit(f"{path} names {path_of_asset}, which does not exist")
    return sequence
