"""The sizes of the figures."""

from dataclasses import dataclass

from benchmarks.measure import Patience


@dataclass(frozen=True)
class Scale:
    """How large everything is, and how long it is measured."""

    name: str
    pictures: tuple[tuple[int, int], ...]  # (width, height)
    object_faces: tuple[int, ...]
    batches: tuple[int, ...]
    training: tuple[tuple[int, int, int], ...]  # (width, height, channels of the encoder's first layer)
    files: int  # of the simulated data set
    scored_frames: int
    patience: Patience


PAPER = Scale(
    "paper",
    pictures=((480, 270), (640, 480)),  # as the paper reads FPHAB and HO-3D
    object_faces=(3_000, 16_000),  # the shipped objects, and the YCB meshes of HO-3D
    batches=(8, 64),
    training=((96, 72, 32), (480, 270, 64)),  # the demo's, and the paper's for FPHAB
    files=66_000,  # of HO-3D's training split
    scored_frames=24,
    patience=Patience(),
)
TINY = Scale(
    "tiny",
    pictures=((48, 32),),
    object_faces=(3_000,),
    batches=(2,),
    training=((48, 32, 8),),
    files=40,
    scored_frames=2,
    patience=Patience(seconds=0.0, least=2, most=2),
)
SCALES = {scale.name: scale for scale in (PAPER, TINY)}
