"""Train a tiny network on the shipped sample, then reconstruct hand and object in pictures of one's own.

python examples/06_reconstruct_pictures.py      # half a minute; a smoke run, no evidence
"""

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import warpgrasp as wg
from warpgrasp.cli import main
from warpgrasp.data.sample import unpack_shipped

with tempfile.TemporaryDirectory() as folder:
    data, run = unpack_shipped(Path(folder) / "data"), Path(folder) / "run"
    assert main(["train", "toy", "--data", str(data), "--out", str(run)]) == 0

    images = [Image.open(path) for path in sorted(data.glob("evaluation/MBE1/rgb/*"))[:3]]
    camera = np.array([[320.0, 0, 159.5], [0, 320.0, 119.5], [0, 0, 1]])
    mesh = data / "models" / "006_mustard_bottle" / "textured_simple.obj"
    found = wg.reconstruct(images, camera=camera, object=mesh, weights=run)

    print(f"{found.object_name[0]}: hand of {found.hand_vertices.shape[1]} vertices in {len(found)} pictures,")
    print(f"its wrist {found.hand_joints[0, 0, 2]:.2f} m before the camera in the first")
