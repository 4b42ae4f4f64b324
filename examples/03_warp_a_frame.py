"""Warp a picture by a flow: the warped picture shows at x what the picture shows at x + flow(x).

python examples/03_warp_a_frame.py
"""

import torch

from warpgrasp.geometry import pixel_grid
from warpgrasp.photometric import warp

image = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))
shift_px = torch.tensor([3.0, -2.0])
flow_px = torch.zeros_like(pixel_grid(48, 64, like=image))[None] + shift_px

warped = warp(image, flow_px)
print(f"{warped.inside.float().mean():.0%} of the pixels were sampled inside the picture")
difference = (warped.image[..., 2:, :-3] - image[..., :-2, 3:]).abs().max()
print(f"largest difference from the picture moved by (3, -2) px: {difference:.1e}")
