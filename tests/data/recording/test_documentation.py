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


def test_the_sentences_of_the_page_are_those_of_the_program() -> None:
    """Each part between what stands for something is in the source, where a sentence may go over several lines."""
    page = (PAGE.parent / "own_video.md").read_text()
    section = page.split("## What is read of pictures and videos")[1].split("\n## ")[0]
    rows = [row for row in section.splitlines() if row.startswith("|")]
    sentences = [sentence for row in rows for sentence in re.findall(r"`([^`]+)`", row.rsplit(" | ", 1)[-1])]
    assert len(sentences) >= 25
    source = "".join(path.read_text() for path in sorted((PAGE.parents[1] / "src/warpgrasp/data").rglob("*.py")))
    said = re.sub(r"\{[^{}]*\}", "{}", re.sub(r'"\s*\n\s*f?"', "", source))
    for sentence in sentences:
        for part in re.split(r"\b(?:FILE|FOLDER|N|M)\b", sentence):
            shortened = part.split("; write it again: ffmpeg")[0].split("; convert it")[0].split("pip install")[0]
            assert shortened.strip("×: ;") in said, (sentence, shortened)
