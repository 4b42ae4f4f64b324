"""The forward pass of the paper's released code, from its description: random parameters under its names, and outputs.

Functions of a dictionary, in float64: nothing is shared with the network that is tested but the arrays of the hand.
"""

import numpy as np
import torch
import torch.nn.functional as F

from tests.oracles.skinning import skin

STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))
OFF_Z, TRANS_FACTOR, SCALE_FACTOR, CENTRE_JOINT = 0.4, 100.0, 1e-4, 9
JOINT_ORDER = [0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20]


def random_state(template, *, adapted: bool, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, torch.Tensor] = {}

    def layer(name: str, *shape: int, bias: bool = True, scale: float = 1.0) -> None:
        fan_in = int(np.prod(shape[1:]))
        state[f"{name}.weight"] = scale * torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5
        if bias:
            state[f"{name}.bias"] = 0.1 * torch.randn(shape[0], generator=generator)

    def norm(name: str, channels: int) -> None:
        state[f"{name}.weight"] = 1 + 0.1 * torch.randn(channels, generator=generator)
        state[f"{name}.bias"] = 0.1 * torch.randn(channels, generator=generator)
        state[f"{name}.running_mean"] = 0.1 * torch.randn(channels, generator=generator)
        state[f"{name}.running_var"] = 1 + 0.1 * torch.rand(channels, generator=generator)
        state[f"{name}.num_batches_tracked"] = torch.tensor(3)

    layer("base_net.conv1", 64, 3, 7, 7, bias=False)
    norm("base_net.bn1", 64)
    before = 64
    for number, (channels, stride) in enumerate(STAGES, start=1):
        for block in range(2):
            name = f"base_net.layer{number}.{block}"
            layer(f"{name}.conv1", channels, before, 3, 3, bias=False)
            norm(f"{name}.bn1", channels)
            layer(f"{name}.conv2", channels, channels, 3, 3, bias=False, scale=0.5)
            norm(f"{name}.bn2", channels)
            if block == 0 and (stride != 1 or before != channels):
                layer(f"{name}.downsample.0", channels, before, 1, 1, bias=False)
                norm(f"{name}.downsample.1", channels)
            before = channels
    layer("base_net.fc", 1000, 512)
    for name, outputs in (("scaletrans_branch", 3), ("scaletrans_branch_obj", 6)):
        layer(f"{name}.decoder.0", 256, 512)
        layer(f"{name}.final_layer", outputs, 256, scale=0.2)
    layer("mano_branch.base_layer.0", 512, 512)
    layer("mano_branch.base_layer.2", 512, 512)
    layer("mano_branch.pose_reg", 18, 512, scale=0.2)
    layer("mano_branch.shape_reg.0", 10, 512, scale=0.2)
    hand = "mano_branch.mano_layer_right"
    state[f"{hand}.th_v_template"] = torch.tensor(template.vertices, dtype=torch.float32)[None]
    state[f"{hand}.th_hands_mean"] = torch.tensor(template.mean_pose, dtype=torch.float32)[None]
    state[f"{hand}.th_selected_comps"] = torch.tensor(template.pose_components[:15], dtype=torch.float32)
    if adapted:
        own = _regressor(template)
        noise = 0.02 * torch.rand(own.shape, generator=generator) * (own > 0)
        learned = (own + noise) / (own + noise).sum(dim=1, keepdim=True)
        for row in (0, 4, 8, 12, 16, 20):  # held fixed
            learned[row] = own[row]
        state["adaptor.adaptor.weight"] = learned
        state["adaptor.J_regressor"] = learned
        state["fhb_shape"] = torch.zeros(10)
    return state


def _regressor(template) -> torch.Tensor:
    tips = torch.zeros(5, len(template.vertices))
    tips[torch.arange(5), torch.tensor(template.fingertip_vertices)] = 1
    return torch.cat([torch.tensor(template.joint_regressor, dtype=torch.float32), tips])[JOINT_ORDER]


def forward(state, template, image, intrinsics, object_vertices) -> dict[str, torch.Tensor]:
    """Camera-space vertices and joints of one picture (3, h, w) in [0, 1]; object vertices are centred, in metres."""
    state = {name: value.double() for name, value in state.items()}

    def linear(name: str, x: torch.Tensor) -> torch.Tensor:
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    def norm(name: str, x: torch.Tensor) -> torch.Tensor:
        names = ("running_mean", "running_var", "weight", "bias")
        mean, variance, weight, bias = (state[f"{name}.{kind}"][:, None, None] for kind in names)
        return (x - mean) / torch.sqrt(variance + 1e-5) * weight + bias

    x = image.double()[None] - 0.5
    x = F.conv2d(x, state["base_net.conv1.weight"], stride=2, padding=3)
    x = F.max_pool2d(torch.relu(norm("base_net.bn1", x)), 3, stride=2, padding=1)
    for number, (_, stride) in enumerate(STAGES, start=1):
        for block in range(2):
            name, step = f"base_net.layer{number}.{block}", stride if block == 0 else 1
            residual = x
            y = torch.relu(norm(f"{name}.bn1", F.conv2d(x, state[f"{name}.conv1.weight"], stride=step, padding=1)))
            y = norm(f"{name}.bn2", F.conv2d(y, state[f"{name}.conv2.weight"], padding=1))
            if f"{name}.downsample.0.weight" in state:
                residual = F.conv2d(x, state[f"{name}.downsample.0.weight"], stride=step)
                residual = norm(f"{name}.downsample.1", residual)
            x = torch.relu(y + residual)
    features = x.mean(dim=(2, 3))[0]

    base = torch.relu(linear("mano_branch.base_layer.0", features))
    base = torch.relu(linear("mano_branch.base_layer.2", base))
    pose, shape = linear("mano_branch.pose_reg", base).numpy(), linear("mano_branch.shape_reg.0", base).numpy()
    angles = template.mean_pose + pose[3:] @ template.pose_components[:15]
    vertices, joints = (torch.from_numpy(array) for array in skin(template, pose[:3], angles, shape))
    joints = torch.cat([joints, vertices[list(template.fingertip_vertices)]])[JOINT_ORDER]
    if "adaptor.adaptor.weight" in state:
        centred = vertices - joints[CENTRE_JOINT]
        joints = state["adaptor.adaptor.weight"] @ centred
        vertices = centred - joints[CENTRE_JOINT]
    else:
        vertices = vertices - joints[CENTRE_JOINT]
    joints = joints - joints[CENTRE_JOINT]

    height, width = image.shape[1:]
    focal, centre = intrinsics[0, 0].double(), intrinsics[:2, 2].double()

    def place(scale: torch.Tensor, trans: torch.Tensor) -> torch.Tensor:
        z = focal * scale * SCALE_FACTOR + OFF_Z
        middle = torch.tensor([width, height], dtype=torch.float64) / 2
        return torch.cat([(trans * TRANS_FACTOR + middle - centre) * z / focal, z[None]])

    def branch(name: str) -> torch.Tensor:
        return linear(f"{name}.final_layer", torch.relu(linear(f"{name}.decoder.0", features)))

    hand, thing = branch("scaletrans_branch"), branch("scaletrans_branch_obj")
    axis = thing[3:]
    angle = axis.norm()
    x, y, z = axis / angle
    cross = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
    rotation = torch.eye(3).double() + torch.sin(angle) * cross + (1 - torch.cos(angle)) * cross @ cross
    return {
        "hand_vertices": vertices + place(hand[0], hand[1:]),
        "hand_joints": joints + place(hand[0], hand[1:]),
        "object_vertices": object_vertices.double() @ rotation.T + place(thing[0], thing[1:3]),
    }
