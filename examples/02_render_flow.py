"""Render the optical flow of a hand that moves 1 cm to the right.

python examples/02_render_flow.py
"""

import torch

from warpgrasp.geometry import Camera
from warpgrasp.hand import HandModel, open_hand
from warpgrasp.photometric import render_flow

hand = HandModel(open_hand())
zero = torch.zeros(1, 3)
vertices = hand(zero, hand.pose_from_coefficients(torch.zeros(1, 15)), torch.zeros(1, hand.shape_count)).vertices
before = hand.closed_mesh(vertices + torch.tensor([0.0, 0.0, 0.5]))
after = before.with_vertices(before.vertices + torch.tensor([0.01, 0.0, 0.0]))

camera = Camera(torch.tensor([[[300.0, 0, 159.5], [0, 300.0, 119.5], [0, 0, 1]]]), width=320, height=240)
flow = render_flow(before, after, source_camera=camera, destination_camera=camera)
seen = flow.flow_px[flow.visible]
print(
    f"{len(seen)} pixels see the hand; they move {seen[:, 0].mean():.2f} px to the right, {seen[:, 1].mean():.2f} down"
)
print(f"expected f·X/Z: about {300 * 0.01 / 0.5:.2f} px")
