"""The single-frame network (paper Fig. 3), from image, camera and object to hand and object in camera space.

An encoder, three regression branches (Table 4), the placement (Eq. 2), and the skeleton adaptation (Sec. 3.2, D).
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, assert_never, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from warpgrasp.files import YOUNGER
from warpgrasp.frame import (
    Detections,
    HandReconstruction,
    ObjectReconstruction,
    Objects,
    Reconstruction,
    pose_points,
)
from warpgrasp.geometry import Camera, matrix_from_axis_angle
from warpgrasp.hand import (
    FINGERTIPS,
    HO3D_JOINTS,
    JOINTS,
    MANO_JOINTS,
    PLACEMENT_JOINT,
    HandModel,
    PosedHand,
    permutation,
)
from warpgrasp.reconstruction.encoders import Encoder, Precision, new_encoder
from warpgrasp.reconstruction.joint_input import FEATURES, JointInput, nothing_seen

LEARNED_JOINTS = len(JOINTS) - 1 - len(FINGERTIPS)  # of the skeleton adaptation
DEPTH_OFFSET_M = 0.4  # Eq. 2, z_off: "empirically set to 40cm"


def place(
    focal_depth: Float[Tensor, "*k b"], offset_px: Float[Tensor, "*k b 2"], camera: Camera
) -> Float[Tensor, "*k b 3"]:
    """The point at Z = fx·d_f + 0.4 m that is seen `offset_px` from the centre of the image (Eq. 2)."""
    depth = camera.focal_px[..., 0] * focal_depth + DEPTH_OFFSET_M
    from_axis_px = offset_px + camera.image_centre_px - camera.principal_point_px
    return torch.cat([from_axis_px * depth[..., None] / camera.focal_px, depth[..., None]], dim=-1)


def placement_of(point: Float[Tensor, "b 3"], camera: Camera) -> tuple[Float[Tensor, " b"], Float[Tensor, "b 2"]]:
    """The inverse of `place`: (d_f, offset in pixels) of a point in front of the camera."""
    depth = point[..., 2]
    offset_px = point[..., :2] * camera.focal_px / depth[..., None] + camera.principal_point_px
    return (depth - DEPTH_OFFSET_M) / camera.focal_px[..., 0], offset_px - camera.image_centre_px


@dataclass(frozen=True)
class OutputScales:
    """How far one unit of the network's raw output moves a hand or an object.

    `paper`: d_f = 1e-4·raw and t = 100 px·raw, as released; depth and lateral motion then learn at equal rates
    only near f = 632 px (0.4 · 100 / f = 1e-4 · f). `metric`: one unit is `unit_m` in depth and, at 0.4 m, sideways,
    whatever the resolution.
    """

    kind: Literal["paper", "metric"] = "metric"
    """`paper` takes the two fields below, `metric` the last one."""
    depth_scale: float = 1e-4
    """Focal-normalised depth of one unit (Eq. 2's d_f)."""
    translation_scale_px: float = 100.0
    """Pixels of one unit sideways."""
    unit_m: float = 0.0625
    """Metres of one unit in depth and, at 0.4 m, sideways."""

    def place(
        self, raw: Float[Tensor, "*k b 3"], camera: Camera, origin_px: Float[Tensor, "*k b 2"] | None = None
    ) -> Float[Tensor, "*k b 3"]:
        """Place by raw outputs (depth, u, v), from the image's centre or from another pixel."""
        from_centre_px = 0 if origin_px is None else origin_px - camera.image_centre_px
        match self.kind:
            case "paper":
                offset_px = self.translation_scale_px * raw[..., 1:] + from_centre_px
                return place(self.depth_scale * raw[..., 0], offset_px, camera)
            case "metric":
                focal_depth = self.unit_m * raw[..., 0] / camera.focal_px[..., 0]
                offset_px = self.unit_m / DEPTH_OFFSET_M * camera.focal_px * raw[..., 1:] + from_centre_px
                return place(focal_depth, offset_px, camera)
            case unknown:
                assert_never(unknown)


@dataclass(frozen=True)
class NetworkConfig:
    """The settings that decide the shape and the scales of the network; stored in its checkpoint."""

    width: int = 64
    """Size of the encoder. Of `resnet18`: channels of its first layer; 64 is the standard one, with 512 features."""
    pose_coefficients: int = 15
    """Regressed coefficients of the hand's pose space."""
    skeleton_adaptation: bool = False
    """Learn a linear map from the hand's surface to the data set's joints."""
    scales: OutputScales = field(default_factory=OutputScales)
    """How far one unit of raw output moves a hand or an object."""
    image_mean: float = 0.5
    """Subtracted from the colours."""
    image_std: float = 1.0
    """Divides the colours."""
    encoder: str = field(default="resnet18", metadata=YOUNGER)
    """Image encoder: `resnet18`, or one that another package brings (docs/extending.md)."""
    joint_input: bool = field(default=False, metadata=YOUNGER)
    """Tell the network where a detector sees the joints of the hand, in every picture."""
    object_told: bool = field(default=False, metadata=YOUNGER)
    """Tell it of the object's branch too, which otherwise sees the picture alone."""


@dataclass(frozen=True)
class RawOutputs:
    """The regressed numbers, 37 in the paper: 3 + 3, 3, and 3 + 15 + 10."""

    object_placement: Float[Tensor, "b 3"]  # depth, u, v
    object_rotation: Float[Tensor, "b 3"]  # axis-angle
    hand_placement: Float[Tensor, "b 3"]
    hand_rotation: Float[Tensor, "b 3"]
    hand_pose: Float[Tensor, "b p"]
    hand_shape: Float[Tensor, "b s"]


class HandObjectNetwork(nn.Module):
    """One forward pass from a picture to the hand and the object that it shows.

    The network knows its objects by name. A rotation is `exp(raw) · base`: in the paper recipes the base is the
    identity, elsewhere the mean annotated rotation (of the hand, and of each object).
    """

    encoder: nn.Module
    hand_base_rotation: Tensor
    object_base_rotations: Tensor

    def __init__(self, config: NetworkConfig, hand: HandModel, object_names: tuple[str, ...]):
        super().__init__()
        self.config = config
        self.hand = deepcopy(hand)  # the network may move to a GPU, where a data set's hand does not follow
        self.object_names = object_names
        self.encoder_precision: Precision = "fp32"  # of the running process, not of the weights
        self.encoder = new_encoder(config.encoder, config.width)
        self.joint_input = JointInput() if config.joint_input else None
        told = FEATURES if config.joint_input else 0
        self.heads = Heads(
            cast(Encoder, self.encoder).feature_count,
            config.pose_coefficients,
            hand.shape_count,
            told=told,
            object_told=config.object_told,
        )
        self.adaptation = SkeletonAdaptation(hand) if config.skeleton_adaptation else None
        self.register_buffer("hand_base_rotation", torch.eye(3))
        self.register_buffer("object_base_rotations", torch.eye(3).repeat(len(object_names), 1, 1))

    def set_base_rotations(self, hand: Float[Tensor, "3 3"], objects: Mapping[str, Float[Tensor, "3 3"]]) -> None:
        """Start the rotation outputs at these rotations; an object without one keeps the identity."""
        self.hand_base_rotation.copy_(hand)
        for name, rotation in objects.items():
            self.object_base_rotations[self.object_names.index(name)] = rotation

    def forward(
        self, image: Float[Tensor, "b 3 h w"], camera: Camera, objects: Objects, detections: Detections | None = None
    ) -> Reconstruction:
        """Reconstruct hand and object; `image` is in [0, 1], `objects` must be known to the network.

        `detections` is where the hand is seen, in pixels of these pictures; only a network that is told looks at it.
        Raises `KeyError` for an object that it does not know.
        """
        return self.reconstruct(self.features(image), camera, objects, detections=detections)

    def features(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b f"]:
        """The encoder's features of pictures, of any objects by any cameras."""
        normalised = (image - self.config.image_mean) / self.config.image_std
        in_bf16 = self.encoder_precision == "bf16"
        with torch.autocast(device_type=image.device.type, dtype=torch.bfloat16, enabled=in_bf16):
            features = self.encoder(normalised.contiguous(memory_format=torch.channels_last))
        # Millimetres need more digits than half precision has: heads and geometry are never in it.
        return features.to(image.dtype)

    def reconstruct(
        self,
        features: Float[Tensor, "b f"],
        camera: Camera,
        objects: Objects,
        *,
        rows: Int[Tensor, " b"] | None = None,
        detections: Detections | None = None,
    ) -> Reconstruction:
        """Reconstruct hand and object from the encoder's features.

        `rows` says which of `object_names` the objects are; unless it is given, their names do.
        """
        told, from_px = None, None
        if self.joint_input is not None:
            told, seen_px = self.joint_input(detections or nothing_seen(features), camera)
            # Of hand and object.
            from_px = torch.stack([seen_px, seen_px if self.config.object_told else camera.image_centre_px.to(seen_px)])
        raw = self.heads(features, told)
        rows = self.object_rows(objects.names, device=features.device) if rows is None else rows
        # In one call: of hand, object, wrist, which stays as it is, and joints.
        pose = self.hand.pose_from_coefficients(raw.hand_pose)
        vectors = [raw.hand_rotation, raw.object_rotation, torch.zeros_like(raw.hand_rotation), pose]
        turns = matrix_from_axis_angle(torch.cat(vectors, dim=-1).unflatten(-1, (-1, 3)))
        hand_turn, object_turn, joint_turns = turns.split([1, 1, len(MANO_JOINTS)], dim=1)
        hand_rotation = hand_turn[:, 0] @ self.hand_base_rotation
        object_rotation = object_turn[:, 0] @ self.object_base_rotations[rows]
        placements = torch.stack([raw.hand_placement, raw.object_placement])
        hand_translation, object_translation = self.config.scales.place(placements, camera, from_px).unbind()
        posed = self.hand.by_rotations(joint_turns, raw.hand_shape)
        hand = self._placed_hand(posed, hand_rotation, hand_translation, pose=raw.hand_pose, shape=raw.hand_shape)
        return Reconstruction(hand, _posed(objects, object_rotation, object_translation))

    def object_rows(self, names: Sequence[str], *, device: torch.device) -> Int[Tensor, " b"]:
        """Which of `object_names` these are. Raises `KeyError` when they are not all among them."""
        unknown = sorted(set(names) - set(self.object_names))
        if unknown:
            raise KeyError(f"expected an object among {', '.join(self.object_names)}, got {', '.join(unknown)}")
        return torch.tensor([self.object_names.index(name) for name in names]).to(device, non_blocking=True)

    def posed_hand(
        self,
        rotation: Float[Tensor, "b 3 3"],
        translation: Float[Tensor, "b 3"],
        *,
        pose: Float[Tensor, "b p"],
        shape: Float[Tensor, "b s"],
    ) -> HandReconstruction:
        """The hand of these parameters: surface and joints as the network gives them, skeleton adaptation included."""
        posed = self.hand(torch.zeros_like(translation), self.hand.pose_from_coefficients(pose), shape)
        return self._placed_hand(posed, rotation, translation, pose=pose, shape=shape)

    def _placed_hand(
        self,
        posed: PosedHand,
        rotation: Float[Tensor, "b 3 3"],
        translation: Float[Tensor, "b 3"],
        *,
        pose: Float[Tensor, "b p"],
        shape: Float[Tensor, "b s"],
    ) -> HandReconstruction:
        joints = posed.joints if self.adaptation is None else self.adaptation(posed.vertices, posed.joints)
        origin = joints[:, PLACEMENT_JOINT : PLACEMENT_JOINT + 1]
        return HandReconstruction(
            rotation,
            translation,
            pose,
            shape,
            pose_points(rotation, translation, posed.vertices - origin),
            pose_points(rotation, translation, joints - origin),
        )


def _posed(
    objects: Objects, rotation: Float[Tensor, "b 3 3"], translation: Float[Tensor, "b 3"]
) -> ObjectReconstruction:
    points = (pose_points(rotation, translation, one) for one in (objects.vertices, objects.corners))
    return ObjectReconstruction(rotation, translation, *points)


class Heads(nn.Module):
    """Features to numbers: object pose, hand translation, hand pose and shape, each by its own dense layers.

    The hand's take in what the network is told of it, besides: so many numbers, `told`.
    """

    def __init__(
        self, features: int, pose_coefficients: int, shape_parameters: int, *, told: int = 0, object_told: bool = False
    ):
        super().__init__()
        self._object_told = object_told
        sizes = Heads.sizes(features, pose_coefficients, shape_parameters, told=told, object_told=object_told)
        self.object_pose = _dense(*sizes["object_pose"])
        self.hand_translation = _dense(*sizes["hand_translation"])
        self.hand_pose_shape = _dense(*sizes["hand_pose_shape"])
        self._hand_split = [3, pose_coefficients, shape_parameters]

    @staticmethod
    def sizes(
        features: int, pose_coefficients: int, shape_parameters: int, *, told: int = 0, object_told: bool = False
    ) -> dict[str, tuple[int, ...]]:
        """How many numbers go into each branch, from layer to layer, and out of it."""
        of_hand = features + told
        return {
            "object_pose": (of_hand if object_told else features, features // 2, 6),
            "hand_translation": (of_hand, features // 2, 3),
            "hand_pose_shape": (of_hand, features, features, 3 + pose_coefficients + shape_parameters),
        }

    def forward(self, features: Float[Tensor, "b f"], told: Float[Tensor, "b t"] | None = None) -> RawOutputs:
        """Regress all numbers."""
        of_hand = features if told is None else torch.cat([features, told], dim=1)
        of_object = of_hand if self._object_told else features
        object_placement, object_rotation = self.object_pose(of_object).split(3, dim=-1)
        rotation, pose, shape = self.hand_pose_shape(of_hand).split(self._hand_split, dim=-1)
        return RawOutputs(object_placement, object_rotation, self.hand_translation(of_hand), rotation, pose, shape)


def _dense(*sizes: int) -> nn.Sequential:
    """Linear layers with ReLU between; the last starts near zero: training starts at the middle of the space."""
    linear = [nn.Linear(size_in, size_out) for size_in, size_out in pairwise(sizes)]
    with torch.no_grad():
        linear[-1].weight.mul_(0.1)
        linear[-1].bias.zero_()
    hidden = [layer for dense in linear[:-1] for layer in (dense, nn.ReLU())]
    return nn.Sequential(*hidden, linear[-1])


class SkeletonAdaptation(nn.Module):
    """A learned linear map from the hand's surface to a data set's joints, starting at the hand model's own regressor.

    Wrist and fingertips stay as the hand model has them. The map acts on vertices relative to the wrist: a row whose
    sum drifted by 0.04 would move a joint by 16 mm at 0.4 m from the camera, had it acted on camera-space vertices.
    """

    learned_joints: Tensor

    def __init__(self, hand: HandModel):
        super().__init__()
        tips = torch.zeros(len(FINGERTIPS), hand.joint_regressor.shape[1])
        tips[torch.arange(len(FINGERTIPS)), hand.fingertip_vertices] = 1
        regressor = torch.cat([hand.joint_regressor, tips])[permutation(JOINTS, from_=HO3D_JOINTS)]
        learned = [i for i, name in enumerate(JOINTS) if name != "wrist" and name not in FINGERTIPS]
        self.register_buffer("learned_joints", torch.tensor(learned), persistent=False)
        self.regressor = nn.Parameter(regressor[learned])

    def forward(self, vertices: Float[Tensor, "b v 3"], joints: Float[Tensor, "b 21 3"]) -> Float[Tensor, "b 21 3"]:
        """The adapted joints, from the surface and from the hand model's own joints."""
        wrist = joints[:, :1]
        learned = torch.einsum("jv,bvk->bjk", self.regressor, vertices - wrist) + wrist
        return joints.index_copy(1, self.learned_joints, learned)
