"""Where the shipped detector sees the joints of a hand, before any label tells: measured on generated sequences.

    .venv/bin/python tools/hand_detector/offsets.py        # two minutes

Writes src/warpgrasp/keypoints/assets/mediapipe_offsets.json. The sequences are drawn by a seed of their own: no frame
of the shipped sample, and so no reported figure, depends on their labels.
"""

import tempfile
from pathlib import Path

import torch

from warpgrasp.data import open_dataset
from warpgrasp.data.sample import generate
from warpgrasp.files import write_json
from warpgrasp.frame import Frames
from warpgrasp.hand import HandModel, open_hand
from warpgrasp.keypoints import MediaPipeDetector, detections_of, fit_offsets

OUT = Path(__file__).parents[2] / "src/warpgrasp/keypoints/assets/mediapipe_offsets.json"
SEED, SEQUENCES, FRAMES = 777_000, 16, 20


def main() -> None:
    """Generate, detect, fit, write."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "generated"
        generate(root, sequences=SEQUENCES, frames=FRAMES, seed=SEED)
        dataset = open_dataset(root, HandModel(open_hand()))
        frames = [dataset.frame(name, annotated=True) for name in dataset.names("train")]
        pictures = [frame.picture.permute(1, 2, 0).numpy() for frame in frames]
        detector = MediaPipeDetector()
        hands = [detector.detect(picture[None])[0] for picture in pictures]
    batch = Frames.of(frames)
    annotation, detections = batch.annotation, detections_of(hands, "right")
    assert annotation is not None
    assert annotation.hand_rotation is not None
    offsets = fit_offsets(
        annotation.hand_joints, annotation.hand_rotation, batch.camera, detections.joints_px, detections.confidence
    )
    seen = float((detections.confidence.sum(dim=1) > 0).float().mean())
    size_mm = 1000 * offsets.offsets_m.norm(dim=1)
    print(f"hands in {seen:.1%} of {len(frames)} frames; offsets {size_mm.min():.0f} to {size_mm.max():.0f} mm")
    rounded = [[round(float(value), 5) for value in offset] for offset in offsets.offsets_m]
    scatter = [[[round(float(value), 9) for value in row] for row in joint] for joint in offsets.scatter_m2]
    write_json(OUT, {"offsets_m": rounded, "scatter_m2": scatter})


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
