"""Makes keypoints.json: the reference implementation's own results on a dozen of the shipped pictures.

    python3.11 -m venv /tmp/reference && /tmp/reference/bin/pip install mediapipe==0.10.21
    /tmp/reference/bin/python tests/golden/make_keypoints.py

in an environment of its own, since mediapipe needs an old NumPy.
"""

import io
import json
import zipfile
from pathlib import Path

import mediapipe
import numpy as np
from PIL import Image

HERE = Path(__file__).parent
SHIPPED = HERE.parents[1] / "src/warpgrasp/data/sample/shipped.zip"
SEQUENCES = {"train": "CB1 CB2 CB3 MB1 MB2 MB3", "evaluation": "CBE1 CBE2 CBE3 MBE1 MBE2 MBE3"}


def main() -> None:
    names = [f"{split}/{name}/rgb/0025.jpg" for split, names in SEQUENCES.items() for name in names.split()]
    results = {}
    with (
        mediapipe.solutions.hands.Hands(static_image_mode=True, max_num_hands=2, model_complexity=1) as hands,
        zipfile.ZipFile(SHIPPED) as archive,
    ):
        for name in names:
            picture = np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB"))
            height, width, _ = picture.shape
            answer = hands.process(picture)
            (landmarks,), (side,) = answer.multi_hand_landmarks, answer.multi_handedness
            results[name] = {
                "joints_px": [[round(point.x * width, 2), round(point.y * height, 2)] for point in landmarks.landmark],
                "depth_px": [round(point.z * width, 2) for point in landmarks.landmark],
                "label_if_mirrored": side.classification[0].label,
            }
    content = {"program": f"mediapipe {mediapipe.__version__}, solutions.hands", "pictures": results}
    (HERE / "keypoints.json").write_text(json.dumps(content) + "\n")


if __name__ == "__main__":
    main()
