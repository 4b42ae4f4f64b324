"""The settings of a training: a recipe is everything that decides it, typed. The command line is made of them."""

from dataclasses import dataclass, field, replace
from typing import Literal

import tyro

from warpgrasp.data import AugmentConfig, Sampling
from warpgrasp.reconstruction import NetworkConfig

# Chosen on generated recordings that are not reported (`tools/train_masks.py`).
SILHOUETTE_WEIGHT = 1e-3

Schedule = Literal["constant", "one-cycle"]


@dataclass(frozen=True)
class LossWeights:
    """Weights of Eq. 3's terms, as released: they act on m² and on squared standard deviations."""

    hand_joints: float = 0.5
    """Mean squared error of the camera-space joints."""
    object_vertices: float = 0.5
    """Mean squared error of the object's camera-space vertices."""
    hand_pose: float = 5e-6
    """Mean squared pose coefficient."""
    hand_shape: float = 5e-7
    """Mean squared shape parameter."""
    reprojection: float = 0.0
    """Mean squared error in the picture of joints and object vertices, at 0.4 m: a baseline, no part of Eq. 3."""


@dataclass(frozen=True)
class Optimisation:
    """Adam over one stage."""

    steps: int = 1000
    """Optimiser steps."""
    learning_rate: float = 5e-5
    """The (peak) learning rate."""
    schedule: Schedule = "constant"
    """`one-cycle` rises to the peak over the first quarter and falls to nearly zero along a cosine."""
    batch: int = 8
    """Annotated frames per step."""
    epsilon: float = 1e-8
    """Adam's ε. Losses in m² make gradients of 1e-8 and less, which the usual ε would damp."""


@dataclass(frozen=True)
class Photometric:
    """The photometric term of stage 2 (Eq. 1)."""

    weight: float = 1e-3
    """λ_c. The control differs in λ_c = 0 alone."""
    ramp_steps: int = 1000
    """λ_c rises linearly from 0 over so many steps."""
    pairs: int = 8
    """Pairs per step: an unannotated frame and its nearest annotated one."""
    compare: Literal["original", "augmented"] = "original"
    """Which pictures are compared: as they are, or as the network sees them (one draw for both), as released."""
    directions: Literal["one", "both"] = "one"
    """`one`: the target's picture is warped to its reference (Eq. 1); `both`: also the reference's to the target."""
    term: str = "colours+contrast"
    """What the pictures are compared by: `colours+contrast`, `colours`, or a term of another package."""
    contrast_share: float = 0.0
    """Share of local contrast, which light changes less than colours, in the comparison; 0: colours alone (Eq. 1)."""
    cycle_tolerance_px: float = 2.0
    """Appendix C's tolerance of the round trip."""
    near_to_far_steps: int = 0
    """Pairs are at first at most 5 frames apart; over so many steps the farthest join. 0: all from the start."""
    grasp_weight: float = 0.0
    """Weight, ramped as λ_c is, of holding the object as in the labelled frame of the pair; 0: nothing is assumed."""
    keypoint_weight: float = 0.0
    """Weight, ramped as λ_c is, of the reprojection of a detector's joints of the hand; 0: no detector is asked."""
    silhouette_weight: float = 0.0
    """Weight, ramped as λ_c is, of outlines beside the masks of `--masks`, which sets the usual one unless given."""
    detector: str = "mediapipe"
    """The keypoint detector: `mediapipe`, or one of another package."""


@dataclass(frozen=True)
class Recipe:
    """A training in two stages: on annotated frames, then with pairs of frames."""

    name: str = "paper"
    """The recipe's name in stored files. It decides nothing."""
    splits: tyro.conf.Suppress[str | None] = None
    """The data set's protocol that the recipe is about; `--protocol` chooses another. None: the layout's usual one."""
    width: int = 640
    """Width in pixels at which pictures are read."""
    height: int = 480
    """Height in pixels at which pictures are read."""
    fraction: float = 1 / 30
    """Share of the training frames whose annotations are used."""
    sampling: Sampling = "paper"
    """Which frames these are: `paper` counts from the first frame, `released` adds the last one."""
    seed: int = 0
    """Decides the initial weights, the order of the frames and the augmentation."""
    encoder_weights: str = "imagenet"
    """Initial weights of the encoder: `imagenet`, a file, or `none`."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    """The network."""
    base_rotations: bool = False
    """Let the rotation outputs start at the mean annotated rotations instead of at the identity."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """Augmentation of what the network sees."""
    loss: LossWeights = field(default_factory=LossWeights)
    """Weights of the supervised terms."""
    stage1: Optimisation = field(default_factory=Optimisation)
    """Supervised training on annotated frames."""
    stage2: Optimisation = field(default_factory=Optimisation)
    """Fine-tuning with pairs; with 0 steps the training ends with stage 1."""
    photometric: Photometric = field(default_factory=Photometric)
    """The photometric term."""
    added_share: float | None = None
    """Share of each batch of annotated frames drawn from added data sets; without it all frames are drawn alike."""
    data_weight: float = 0.999
    """λ_data is this minus λ_c, as released."""
    freeze_batch_norm: Literal["never", "stage2", "always"] = "always"
    """When the batch-norm statistics stay as they are."""
    gradient_clip: float | None = None
    """Largest norm of the gradient."""
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    """Arithmetic of the encoder, `auto`: bf16 where the hardware has it; heads and geometry always use fp32."""

    def as_control(self) -> "Recipe":
        """The control: the same in everything but λ_c = 0, and it sees no keypoints and no masks."""
        unseen = {"keypoint_weight": 0.0, "silhouette_weight": 0.0}
        return replace(self, photometric=replace(self.photometric, weight=0.0, **unseen))

    def with_silhouettes(self) -> "Recipe":
        """The same with outlines of masks weighed as usual, unless they have a weight already."""
        weight = self.photometric.silhouette_weight or SILHOUETTE_WEIGHT
        return replace(self, photometric=replace(self.photometric, silhouette_weight=weight))

    def first_stage(self) -> "Recipe":
        """Stage 1 alone. Recipes that differ only in stage 2 have the same one, and may share its weights."""
        usual = Recipe()
        return replace(
            self, stage2=Optimisation(steps=0), photometric=usual.photometric, data_weight=usual.data_weight
        ).as_control()
