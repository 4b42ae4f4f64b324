"""CVAT's XML, "CVAT for images 1.1": images with skeletons whose points are named, or with named points.

https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/. Places are continuous: the corner of the top-left
pixel is (0, 0), its centre (0.5, 0.5). A `points` shape of 21 places that has no joint's name is the whole hand: wrist,
thumb, index, middle, ring, little, each from its base to its tip. `outside` joints are not labelled.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from warpgrasp.bounded import shown
from warpgrasp.data.recording.files import Recording
from warpgrasp.data.recording.label_files.projected import HIDDEN, OUTSIDE, ProjectedHand
from warpgrasp.data.recording.label_files.stated import (
    CORNER_PX,
    HandsOfFile,
    JointName,
    PlacedJoint,
    StatedLabels,
    joint_of,
    picture_name,
    sides_of,
    unknown_joint,
)
from warpgrasp.errors import DataError
from warpgrasp.hand import JOINTS

KIND = "CVAT"
LONGEST_PLACES = 4000  # characters of a shape's places


def read_cvat(root: ElementTree.Element, path: Path, recording: Recording) -> StatedLabels:
    """The hands of a file. Raises `DataError` naming the file, the image and the fact."""
    if root.tag != "annotations" or root.find("track") is not None:
        found = "tracks; export the task as CVAT for images 1.1" if root.tag == "annotations" else shown([root.tag])
        raise DataError(f"expected CVAT's annotations with images in {path}, found {found}")
    hands = HandsOfFile(recording, path)
    for image in root.iter("image"):
        place = f"image {shown([image.get('id', '?')])}"
        singles = []
        for shape in image:
            if shape.tag == "skeleton":
                of = f"{shape.get('label', '')} {_sides(shape)}"
                joints = [joint for point in shape for joint in _joints(point, of, place, path)]
                _add(hands, image, place, joints)
            elif shape.tag == "points":
                singles += _joints(shape, "", place, path)
        _add(hands, image, place, singles)
    return hands.stated(KIND)


def _add(hands: HandsOfFile, image: ElementTree.Element, place: str, joints: Sequence[PlacedJoint]) -> None:
    if joints:
        picture, size = _picture(image, place, hands.path), _size(image, place, hands.path)
        hands.add(picture, place, joints, size, task=image.get("task_id", ""))


def _sides(shape: ElementTree.Element) -> str:
    """The sides that a shape's attributes say."""
    return sides_of((one.get("name", ""), one.text) for one in shape.findall("attribute"))


def _picture(image: ElementTree.Element, place: str, path: Path) -> str:
    name = image.get("name")
    if not name:
        raise DataError(f"expected the name of a picture for {place} in {path}, found none")
    return name


def _size(image: ElementTree.Element, place: str, path: Path) -> tuple[int, int] | None:
    if image.get("width") is None or image.get("height") is None:
        return None
    width, height = (_numbers(image.get(key, ""), f"{key} of {place}", path)[0] for key in ("width", "height"))
    return round(width), round(height)


def _joints(shape: ElementTree.Element, of: str, place: str, path: Path) -> Iterator[PlacedJoint]:
    """The joint of a named point, or the 21 of a shape that stands for the hand; none of an `outside` one."""
    if shape.tag != "points" or shape.get("outside") == "1":
        return
    label, of = shape.get("label", ""), f"{of} {_sides(shape)}"
    text = shape.get("points", "")
    if len(text) > LONGEST_PLACES:
        raise DataError(f"expected at most {len(JOINTS)} places for {place} in {path}, found a text of {len(text)}")
    places = [_numbers(pair, place, path, count=2) for pair in text.split(";")]
    name = joint_of(label, of=of)
    if len(places) == len(JOINTS) and name is None:
        side = joint_of("wrist", of=f"{label} {of}")
        names = [JointName(joint, None if side is None else side.side) for joint in JOINTS]
    elif len(places) == 1 and name is not None:
        names = [name]
    elif name is None:
        raise unknown_joint(label, f"the points of {place}", path)
    else:
        raise DataError(f"expected one place for {name.joint} of {place} in {path}, found {len(places)}")
    for named, pixel in zip(names, places, strict=True):
        yield PlacedJoint(named, np.array(pixel) - CORNER_PX)


def _numbers(text: str, place: str, path: Path, *, count: int = 1) -> list[float]:
    try:
        numbers = [float(word) for word in text[:100].split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count or not np.isfinite(numbers).all():
        wanted = "a number" if count == 1 else f"{count} numbers"
        raise DataError(f"expected {wanted} for {place} in {path}, found {shown([text]) or 'nothing'}")
    return numbers


def cvat_of(hands: Sequence[ProjectedHand], recording: Recording) -> str:
    """A file's text: a skeleton in each image."""
    lens = recording.lens
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    for number, hand in enumerate(hands):
        about = {"id": str(number), "name": picture_name(recording, hand.frame)}
        about |= {"width": str(lens.width), "height": str(lens.height)}
        image = ElementTree.SubElement(root, "image", about)
        skeleton = ElementTree.SubElement(
            image, "skeleton", {"label": f"{recording.side}_hand", "source": "manual", "z_order": "0"}
        )
        for name, pixel, state in zip(JOINTS, hand.pixels, hand.states, strict=True):
            place = np.nan_to_num(pixel) + CORNER_PX
            flags = {"outside": str(int(state == OUTSIDE)), "occluded": str(int(state == HIDDEN))}
            points = {"points": f"{place[0]:.4f},{place[1]:.4f}"}
            ElementTree.SubElement(skeleton, "points", {"label": name, "source": "manual", **flags, **points})
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'
