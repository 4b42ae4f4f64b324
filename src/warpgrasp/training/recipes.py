"""Recipes by name: what each reproduces, its command, the published value. Measured figures live in docs/results.md.

Those named after a data set have the paper's settings exactly: ImageNet's ResNet-18, full frames with mean 0.5 and
standard deviation 1, Adam at a constant 5e-5, batches of 8 + 8, batch-norm statistics frozen, Eq. 3 weighted 0.5, 0.5,
5e-6, 5e-7, colour and shift augmentation without scale and roll, λ_c = 1e-3 after a ramp of 1000 steps, and the
augmented pictures compared.

Stages are counted in steps. Where the paper counts epochs, an epoch is one pass over the *annotated* frames, eight at a
time, since the released code ends its epochs with them (docs/paper.md).
"""

from collections.abc import Callable
from dataclasses import replace

from warpgrasp.data import AugmentConfig
from warpgrasp.reconstruction import NetworkConfig, OutputScales
from warpgrasp.training.settings import LossWeights, Optimisation, Photometric, Recipe

BATCH = 8
GRASP_WEIGHT = 0.1
KEYPOINT_WEIGHT, GRASP_WEIGHT_BESIDE_KEYPOINTS = 3e-4, 0.5
REPROJECTION_WEIGHT = 0.5  # as that of the errors in space
LONGER = 2  # times the steps of stage 2
FPHAB_TRAIN_FRAMES = 10_503  # of the action split's four objects
# The released rule labels at least two frames of each of the (at most 137) sequences: about so many more in all than
# the fraction says.
FPHAB_LABELS_BESIDE_FRACTION = 200
FULL_EPOCHS = 200  # of the released weights trained on everything
STAGE2_EPOCHS = 200  # Appendix A: "a fixed number of 200 epochs"
SPARSEST_STAGE1_EPOCHS = 1000  # the released weights at 0.625 % are of epoch 1200, read here as 1000 + 200
OTHER_STEPS = 20_000  # of each stage on HO-3D with few labels, for which no length is published
OTHER_FULL_STEPS = 200_000  # with all labels elsewhere than on FPHAB: not published either


def paper_settings(name: str, *, splits: str | None, fraction: float, stage1: int, stage2: int) -> Recipe:
    """What all of the paper's trainings share, on HO-3D's 640×480."""
    return Recipe(
        name=name,
        splits=splits,
        fraction=fraction,
        sampling="released",
        network=NetworkConfig(scales=OutputScales(kind="paper")),
        stage1=Optimisation(steps=stage1),
        stage2=Optimisation(steps=stage2),
        photometric=Photometric(compare="augmented"),
    )


def on_fphab(recipe: Recipe) -> Recipe:
    """FPHAB's pictures are read at 480×270, and its joints are not the hand model's (Sec. 3.2, skeleton adaptation)."""
    return replace(recipe, width=480, height=270, network=replace(recipe.network, skeleton_adaptation=True))


def fphab_full() -> Recipe:
    """FPHAB, action split, all frames annotated (Tables 1 and 3; Fig. 8 at 100 %).  `warpgrasp train fphab-full`.

    262,400 steps: 200 epochs of 10,503 frames, as the released weights. Paper: hand 18.0 mm, object 22.3 mm.
    """
    steps = FULL_EPOCHS * (FPHAB_TRAIN_FRAMES // BATCH)
    return on_fphab(paper_settings("fphab-full", splits="fphab/actions", fraction=1.0, stage1=steps, stage2=0))


def fphab_sparse(fraction: float = 0.00625) -> Recipe:
    """FPHAB, action split, few frames annotated (Fig. 8).  `warpgrasp train fphab-sparse`.

    The paper's `--fraction`s are 0.00625, 0.0125, 0.025, 0.05, 0.1, 0.2; `--control` trains the control. Steps depend
    on the fraction, from 33,000 + 6,600 at 0.625 % (1000 + 200 epochs of about 33 steps) to 57,400 + 57,400 at 20 %
    (200 + 200 epochs): stage 2 has 200 epochs, and stage 1 as many but at least 33,000 steps.

    Paper, control → photometric: hand 44.3 → 40.2 mm, object 61.8 → 54.4 mm at 0.625 %; the rest by
    `warpgrasp reproduce fig8`.
    """
    stage2 = STAGE2_EPOCHS * fphab_epoch_steps(fraction)
    stage1 = max(stage2, SPARSEST_STAGE1_EPOCHS * fphab_epoch_steps(0.00625))
    return on_fphab(
        paper_settings("fphab-sparse", splits="fphab/actions", fraction=fraction, stage1=stage1, stage2=stage2)
    )


def fphab_epoch_steps(fraction: float) -> int:
    """Steps of a pass over FPHAB's annotated frames, about."""
    labels = min(FPHAB_TRAIN_FRAMES, FPHAB_TRAIN_FRAMES * fraction + FPHAB_LABELS_BESIDE_FRACTION)
    return int(labels) // BATCH


def fphab_hand() -> Recipe:
    """FPHAB, the hand alone supervised (Table 3).  `warpgrasp train fphab-hand`.

    `fphab-full` with Eq. 3's object term weighted 0. Paper: hand 15.7 mm.
    """
    return replace(fphab_full(), name="fphab-hand", loss=LossWeights(object_vertices=0.0))


def fphab_object() -> Recipe:
    """FPHAB, the object alone supervised (Table 3).  `warpgrasp train fphab-object`.

    `fphab-full` with Eq. 3's hand terms weighted 0. Paper: object 21.8 mm.
    """
    weights = LossWeights(hand_joints=0.0, hand_pose=0.0, hand_shape=0.0)
    return replace(fphab_full(), name="fphab-object", loss=weights)


def fphab_subjects() -> Recipe:
    """FPHAB, subject split, with skeleton adaptation (Table 2).  `warpgrasp train fphab-subjects`.

    As many steps as `fphab-full`. Paper: hand 27.4 mm, without saying how it is aligned; `reproduce table2` gives the
    error in camera space and relative to the root. The released code's erratum says that its reference [12] left out
    frames whose hand is far from the object (`--protocol subjects-near-10mm`).
    """
    return replace(fphab_full(), name="fphab-subjects", splits="fphab/subjects")


def fphab_subjects_unadapted() -> Recipe:
    """FPHAB, subject split, no skeleton adaptation (Table 2; Fig. 10).  `warpgrasp train fphab-subjects-unadapted`.

    Paper: hand 28.1 mm.
    """
    adapted = fphab_subjects()
    network = replace(adapted.network, skeleton_adaptation=False)
    return replace(adapted, name="fphab-subjects-unadapted", network=network)


def ho3d_sparse() -> Recipe:
    """HO-3D at 640×480, 0.625 % annotated, on its official splits.  `warpgrasp train ho3d-sparse`.

    20,000 + 20,000 steps. Paper, on its early release: object 61.3 → 55.8 px, hand 46.6 → 42.1 px (Fig. 7).
    """
    return paper_settings("ho3d-sparse", splits=None, fraction=0.00625, stage1=OTHER_STEPS, stage2=OTHER_STEPS)


def ho3d_appendix_b(fraction: float = 0.00625) -> Recipe:
    """HO-3D, the sequences of Appendix B, few labels (Fig. 7).  `warpgrasp train ho3d-appendix-b`.

    The paper's `--fraction`s are 0.00625 and 0.025, each with five seeds (`--seed 0` … `--seed 4`). It trains on real
    and synthetic frames together; the synthetic ones were never released: add your own by `--extra-data`.
    20,000 + 20,000 steps; the paper gives none for HO-3D. Tests are SM1 and MC2.

    Paper, control → photometric at 0.625 %: object 61.3 → 55.8 px, 60.5 → 61.0 mm (corners); hand 46.6 → 42.1 px,
    49.6 → 45.0 mm.
    """
    splits = "ho3d/paper-appendix-b"
    return paper_settings("ho3d-appendix-b", splits=splits, fraction=fraction, stage1=OTHER_STEPS, stage2=OTHER_STEPS)


def ho3d_appendix_b_full() -> Recipe:
    """HO-3D, Appendix B, all labels (Fig. 5; Fig. 7 at 100 %).  `warpgrasp train ho3d-appendix-b-full`.

    200,000 steps (not published). Fig. 5 tests on MC2 alone (`--protocol paper-appendix-b-mc2`) and prints no numbers.
    Paper at 100 %: object 30.9 px, 27.8 mm (corners); hand 25.5 px, 25.8 mm.
    """
    return paper_settings(
        "ho3d-appendix-b-full",
        splits="ho3d/paper-appendix-b",
        fraction=1.0,
        stage1=OTHER_FULL_STEPS,
        stage2=0,
    )


def ho3d_full() -> Recipe:
    """HO-3D version 2 or 3, official splits, all labels.  `warpgrasp train ho3d-full`.

    200,000 steps: 24 epochs of version 2's 66,034 training frames, 20 of version 3's 78,297. The paper has no such
    training. Others quote its released network with 11.4 mm (hand joints after Procrustes, version 2).
    """
    return paper_settings("ho3d-full", splits="ho3d/official", fraction=1.0, stage1=OTHER_FULL_STEPS, stage2=0)


def dexycb() -> Recipe:
    """DexYCB, setup s0, all labels, at 640×480.  `warpgrasp train dexycb`.

    200,000 steps. The paper's settings; it has no training on DexYCB.
    """
    return paper_settings("dexycb", splits="dexycb/s0", fraction=1.0, stage1=OTHER_FULL_STEPS, stage2=0)


def demo() -> Recipe:
    """The shipped sample at 96×72, one frame in 30 annotated, from scratch.  `warpgrasp demo`.

    Eq. 1 in both directions, half of it on local contrast: what paid in the ablation. Every setting outside the
    photometric term was chosen by the control's error on seed 100 and by the demo's eight minutes (docs/results.md).
    """
    return Recipe(
        name="demo",
        width=96,
        height=72,
        encoder_weights="none",
        network=NetworkConfig(width=32),
        base_rotations=True,
        augment=AugmentConfig(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.0, blur_px=0.5, shift=0.1, roll=0.2),
        stage1=Optimisation(steps=600, learning_rate=1e-3, schedule="one-cycle", batch=16, epsilon=1e-12),
        stage2=Optimisation(steps=1300, learning_rate=5e-4, schedule="one-cycle", batch=8, epsilon=1e-12),
        photometric=Photometric(weight=1.2e-2, ramp_steps=150, pairs=16, directions="both", contrast_share=0.5),
        freeze_batch_norm="stage2",
        gradient_clip=1.0,
        precision="auto",
    )


def toy() -> Recipe:
    """A smoke run on tiny pictures: seconds, no evidence.  `warpgrasp train toy`."""
    return replace(
        demo(),
        name="toy",
        width=64,
        height=48,
        fraction=1 / 4,
        network=NetworkConfig(width=8),
        stage1=Optimisation(steps=10, learning_rate=1e-3, schedule="one-cycle", batch=4),
        stage2=Optimisation(steps=10, learning_rate=3e-4, schedule="one-cycle", batch=4),
        photometric=Photometric(weight=3e-3, ramp_steps=3, pairs=4),
        precision="fp32",
    )


def sample() -> Recipe:
    """The demo's settings on sample data, shipped or generated (`warpgrasp sample`).  `warpgrasp train sample`.

    `reproduce --data sample` trains by them. Nothing published compares.
    """
    return replace(demo(), name="sample")


def benchmark() -> Recipe:
    """The demo's settings with more steps, for the open benchmark's hundred sequences.  `warpgrasp train benchmark`.

    `reproduce fig7` and `fig8` train by them on a folder of `warpgrasp sample --benchmark`.
    """
    recipe = demo()
    stages = {name: replace(getattr(recipe, name), steps=3000) for name in ("stage1", "stage2")}
    return replace(recipe, name="benchmark", **stages)


def with_reprojection(recipe: Recipe) -> Recipe:
    """The same with the reprojection of joints and object vertices in annotated frames: a baseline."""
    return replace(recipe, loss=replace(recipe.loss, reprojection=REPROJECTION_WEIGHT))


def with_equation_1(recipe: Recipe) -> Recipe:
    """The demo's settings or the sample's with the photometric term as the paper has it, at its own best λ_c there.

    One direction, colours alone; λ_c = 3e-3 was the best of 1e-3 to 3e-2 (docs/results.md).
    """
    term = replace(recipe.photometric, weight=3e-3, directions="one", contrast_share=0.0)
    return replace(recipe, photometric=term)


def with_every_label(recipe: Recipe) -> Recipe:
    """The control with every frame annotated: a bound of what labels can give, by the very protocol of what it bounds.

    Both stages have the control's steps, restart, rates and frozen statistics. There are no pairs to regularise.
    """
    return replace(recipe.as_control(), fraction=1.0)


def fully_supervised(recipe: Recipe) -> Recipe:
    """The same supervised on every frame in a single stage, for as many steps as both stages have."""
    steps = recipe.stage1.steps + recipe.stage2.steps
    return replace(recipe.first_stage(), fraction=1.0, stage1=replace(recipe.stage1, steps=steps))


def near_to_far() -> Recipe:
    """The demo's settings with pairs from near to far, for labels rarer than one in 30.  `warpgrasp train near-to-far`.

    Half of stage 2's steps until the farthest frames join; docs/results.md has what it is worth.
    """
    return with_near_to_far(replace(demo(), name="near-to-far"))


def with_near_to_far(recipe: Recipe) -> Recipe:
    """The same with pairs that are near their label at first, all of them from half of stage 2's steps on."""
    steps = recipe.stage2.steps // 2
    return replace(recipe, photometric=replace(recipe.photometric, near_to_far_steps=steps))


def grasp() -> Recipe:
    """The demo's settings, and the hand holds the object nearly as in the nearest label.  `warpgrasp train grasp`.

    For recordings in which it does not let go of it, above all where labels are rare; with one in 60, add
    `--photometric.near-to-far-steps 650`. docs/results.md has what it is worth.
    """
    return with_grasp(replace(demo(), name="grasp"))


def with_grasp(recipe: Recipe) -> Recipe:
    """The same with a grasp that is compared with that of the pair's labelled frame."""
    return replace(recipe, photometric=replace(recipe.photometric, grasp_weight=GRASP_WEIGHT))


def best() -> Recipe:
    """All that helps: the demo's settings, near to far, a grasp that stays, keypoints.  `warpgrasp train best`.

    Keypoints pull the hands of unannotated frames, and the network is told of them, in prediction too.
    The detector behind the keypoints was trained on photographs and rendered hands by others (NOTICE). docs/results.md
    has what each part is worth.
    """
    return replace(with_joint_input(with_all_that_helps(demo())), name="best")


def with_all_that_helps(recipe: Recipe) -> Recipe:
    """The same, stage 2 twice as long, with pairs from near to far, keypoints, and a grasp that counts more."""
    recipe = with_keypoints(with_near_to_far(with_longer_stage2(recipe)))
    return replace(recipe, photometric=replace(recipe.photometric, grasp_weight=GRASP_WEIGHT_BESIDE_KEYPOINTS))


def with_keypoints(recipe: Recipe) -> Recipe:
    """The same with the reprojection of a detector's joints on the unannotated frames."""
    return replace(recipe, photometric=replace(recipe.photometric, keypoint_weight=KEYPOINT_WEIGHT))


def with_joint_input(recipe: Recipe) -> Recipe:
    """The same with a network that is told where the detector sees the hand, in training and in prediction."""
    return replace(recipe, network=replace(recipe.network, joint_input=True))


def with_longer_stage2(recipe: Recipe) -> Recipe:
    """The same with twice the steps of stage 2."""
    return replace(recipe, stage2=replace(recipe.stage2, steps=LONGER * recipe.stage2.steps))


def recording() -> Recipe:
    """Your own video: the demo's settings, every label used.  `warpgrasp train recording`.

    All other frames are compared with the nearest labelled one. Nothing published compares.
    """
    return replace(demo(), name="recording", fraction=1.0)


# Those of few labels take a `fraction`, since their lengths depend on it.
RECIPES: dict[str, Callable[..., Recipe]] = {
    "demo": demo,
    "sample": sample,
    "benchmark": benchmark,
    "near-to-far": near_to_far,
    "grasp": grasp,
    "best": best,
    "recording": recording,
    "toy": toy,
    "fphab-full": fphab_full,
    "fphab-sparse": fphab_sparse,
    "fphab-hand": fphab_hand,
    "fphab-object": fphab_object,
    "fphab-subjects": fphab_subjects,
    "fphab-subjects-unadapted": fphab_subjects_unadapted,
    "ho3d-sparse": ho3d_sparse,
    "ho3d-appendix-b": ho3d_appendix_b,
    "ho3d-appendix-b-full": ho3d_appendix_b_full,
    "ho3d-full": ho3d_full,
    "dexycb": dexycb,
}
