"""What a file holds, told from its bytes and not from its name: JSON, YAML, XML, text or binary numbers."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import yaml

from warpgrasp.data.recording.document import Entry
from warpgrasp.errors import DataError

LARGEST_BYTES = 64_000_000
LARGEST_YAML_BYTES = 4_000_000  # it is read slowly
DEEPEST_XML = 20
REALSENSE_PRINTED = re.compile(r"Intrinsic of \"")  # looks like YAML, and is none
REALSENSE_LINE = re.compile(r"\s*\[\s*\d+x\d+")  # looks like JSON, and is none


@dataclass(frozen=True)
class Content:
    """A file's bytes, its text where it is one, and the object that the text writes down where it does."""

    path: Path
    raw: bytes
    text: str | None
    entry: Entry | None
    kind: str  # JSON, YAML, XML, text or binary


class PlainLoader(yaml.SafeLoader):
    """YAML's plain values, and OpenCV's matrices as objects; `1e-05` is a number, and nothing is merged."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Leave `<<` alone: merged again and again, a small file would fill the memory."""


def _opencv_object(loader: PlainLoader, node: yaml.Node) -> Any:
    return loader.construct_mapping(node, deep=True) if isinstance(node, yaml.MappingNode) else None


PlainLoader.add_constructor("tag:yaml.org,2002:opencv-matrix", _opencv_object)
PlainLoader.add_constructor("tag:yaml.org,2002:opencv-nd-matrix", _opencv_object)
PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read_content(path: Path) -> Content:
    """Read a file that may describe cameras. Raises `DataError` when it cannot be read, or is broken in its kind."""
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise DataError(f"expected a camera's file in {path}, found one of {path.stat().st_size / 1e6:.0f} MB")
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"expected a camera's file in {path}: {error.strerror}") from error
    text = _text(raw)
    if text is None:
        return Content(path, raw, None, None, "binary")
    kind, value = _parsed(text, path)
    return Content(path, raw, text, Entry(value, path, "") if isinstance(value, dict) else None, kind)


def _text(raw: bytes) -> str | None:
    """Text in UTF-8, or in the UTF-16 with a mark that redirected output has on Windows."""
    try:
        text = raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _parsed(text: str, path: Path) -> tuple[str, Any]:
    start = text.lstrip()[:1]
    try:
        if start in ("{", "[") and not REALSENSE_LINE.match(text):
            return "JSON", json.loads(text)
        if start == "<":
            return "XML", _xml(text)
        if not REALSENSE_PRINTED.search(text) and re.search(r"^[ \t]*[\w\"'][^:\n]{0,100}:(\s|$)", text, re.MULTILINE):
            return "YAML", _yaml(text, path)
    except (ValueError, RecursionError, OverflowError, yaml.YAMLError, ElementTree.ParseError) as error:
        if isinstance(error, DataError):
            raise
        kind = {"{": "JSON", "[": "JSON", "<": "XML"}.get(start, "YAML")
        raise DataError(f"expected {kind} in {path}: {' '.join(str(error).split())[:200]}") from error
    return "text", None


def _yaml(text: str, path: Path) -> Any:
    """The first document; OpenCV's `%YAML:1.0` is no directive of YAML's own."""
    if len(text) > LARGEST_YAML_BYTES:
        raise DataError(f"expected a camera's YAML in {path}, found one of {len(text) / 1e6:.0f} MB")
    text = re.sub(r"\A\s*%YAML:[0-9.]+[^\n]*\n", "", text)
    loader = PlainLoader(text.replace("\t", "    "))
    try:
        return next(iter([loader.get_data()] if loader.check_data() else []), None)
    finally:
        loader.dispose()


def _xml(text: str) -> dict[str, Any]:
    """OpenCV's XML storage. Entities, by which a small file could become a huge one, are refused."""
    if re.search(r"<!\s*(DOCTYPE|ENTITY)", text, re.IGNORECASE):
        raise ValueError("a document type or entity is not read")
    root = ElementTree.fromstring(text)
    value = _xml_value(root, 0)
    return {root.tag: value}


def _xml_value(node: ElementTree.Element, depth: int) -> Any:
    if depth > DEEPEST_XML:
        raise ValueError("elements within elements without end")
    if len(node):
        return {child.tag: _xml_value(child, depth + 1) for child in node}
    numbers = [_number(word) for word in (node.text or "").split()]
    if node.tag == "data":
        return numbers
    return numbers[0] if len(numbers) == 1 else numbers


def _number(word: str) -> Any:
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word
