"""The examples that a newcomer copies from the page are a recording."""

import re
from pathlib import Path

from PIL import Image
from torch.testing import assert_close

from tests.data.recording.recording_files import write_obj
from warpgrasp.data.recording.dataset import Recordings
from warpgrasp.frame import FrameName
from warpgrasp.hand.model import HandModel

PAGE = Path(__file__).parents[3] / "docs" / "datasets.md"


def test_the_pages_examples_are_read(tmp_path: Path, hand: HandModel) -> None:
    blocks = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    for name in ("camera", "object", "annotations"):
        example = next(block for block in blocks if f'"warpgrasp-{name}-1"' in block)
        (tmp_path / f"{name}.json").write_text(example)
    write_obj(tmp_path / "mug.obj", scale=1000)
    (tmp_path / "frames").mkdir()
    for number in (0, 45, 90):
        Image.new("RGB", (1280, 720)).save(tmp_path / "frames" / f"{number:04d}.png")
    dataset = Recordings(tmp_path, hand)
    assert [name.index for name in dataset.names("train")] == [0, 45]
    assert [name.index for name in dataset.names("evaluation")] == [90]
    first, last = (dataset.truth(FrameName(tmp_path.name, number)) for number in (0, 90))
    assert_close(first.intrinsics[0, 0].item(), 921.3, rtol=1e-6, atol=0)
    assert first.annotation.hand_joints.shape == (21, 3)
    assert_close(last.annotation.hand_joints[0].tolist(), [0.040, 0.020, 0.440], rtol=0, atol=1e-7)
