"""FPHAB (Garcia-Hernando et al. 2018), the frames of its four objects with 6D pose: raw folders to frames."""

from warpgrasp.data.fphab.dataset import Fphab, examine_fphab
from warpgrasp.data.fphab.files import PROTOCOLS

__all__ = [
    "PROTOCOLS",
    "Fphab",
    "examine_fphab",
]
