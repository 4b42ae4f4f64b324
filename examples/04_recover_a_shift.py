"""Recover a shift of 2 pixels from colours alone, by descending the photometric term.

python examples/04_recover_a_shift.py
"""

import torch
import trimesh

from warpgrasp.frame import FramePair
from warpgrasp.geometry import Camera, Mesh, pixel_grid
from warpgrasp.photometric import photometric_consistency

box = trimesh.creation.box(extents=(0.10, 0.08, 0.04))
mesh = Mesh.of(
    torch.tensor(box.vertices, dtype=torch.float32)[None] + torch.tensor([0.0, 0.0, 0.5]), torch.tensor(box.faces)
)
camera = Camera(torch.tensor([[[150.0, 0, 47.5], [0, 150.0, 35.5], [0, 0, 1]]]), width=96, height=72)


def picture(shift_px: float) -> torch.Tensor:
    """A smooth pattern that moves to the right with the box."""
    u, v = (pixel_grid(72, 96, like=mesh.vertices) - torch.tensor([shift_px, 0.0])).unbind(-1)
    waves = [torch.sin(0.35 * u + 0.2 * v), torch.sin(0.25 * v - 0.3 * u), torch.sin(0.3 * u) * torch.cos(0.3 * v)]
    return 0.5 + 0.4 * torch.stack(waves)[None]


true_shift_m = 2 * 0.5 / 150  # 2 px at half a metre (the front of the box is a little nearer)
pair = FramePair(
    target_image=picture(2.0),
    target_camera=camera,
    reference_image=picture(0.0),
    reference_camera=camera,
    reference_surface=mesh,
)
shift_m = torch.zeros(2, requires_grad=True)
optimiser = torch.optim.Adam([shift_m], lr=5e-4)
for step in range(60):
    moved = mesh.with_vertices(mesh.vertices + torch.cat([shift_m, torch.zeros(1)]))
    consistency = photometric_consistency(pair, moved)
    optimiser.zero_grad()
    consistency.loss.sum().backward()
    optimiser.step()
    if step % 15 == 0:
        print(
            f"step {step:2}: photometric term {consistency.loss.item():.4f}, shift {1000 * shift_m[0].item():+.2f} mm"
        )
depth = 0.5 - 0.02
print(
    f"recovered {shift_m[0].item() * 150 / depth:.2f} px to the right, {shift_m[1].item() * 150 / depth:+.2f} px down"
)
