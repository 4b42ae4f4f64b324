"""Pose the open hand half a metre in front of a camera and project its joints.

python examples/01_project_a_mesh.py
"""

import torch

from warpgrasp.geometry import Camera
from warpgrasp.hand import JOINTS, HandModel, open_hand

hand = HandModel(open_hand())
posed = hand(
    rotation=torch.tensor([[0.0, 0.0, 0.0]]),  # axis-angle, of the whole hand
    pose=hand.pose_from_coefficients(torch.zeros(1, 15)),  # the mean pose: half open
    shape=torch.zeros(1, hand.shape_count),
)
joints = posed.joints + torch.tensor([0.0, 0.0, 0.5])  # metres, OpenCV camera axes

camera = Camera(torch.tensor([[[600.0, 0, 319.5], [0, 600.0, 239.5], [0, 0, 1]]]), width=640, height=480)
for name, (u, v), (_, _, z) in zip(JOINTS, camera.project(joints)[0].tolist(), joints[0].tolist(), strict=True):
    print(f"{name:10} {u:7.1f} {v:7.1f} px at {z:.3f} m")
