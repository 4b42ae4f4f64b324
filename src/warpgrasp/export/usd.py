"""An animated hand and object as a Universal Scene Description file (USD).

https://openusd.org/release/api/usd_geom_page_front.html

The stage is in metres with y up, as its metadata say. Inside `camera_space` everything is in the camera's OpenCV axes
(x right, y down, z forward); that node is turned by half a turn about x into USD's (x right, y up, z towards the
viewer), so that the camera, which looks along −z in USD, needs no pose. The hand's vertices are given for each frame as
they are predicted; the object is a rigid node. A time code is a frame's time in units of the usual frame interval.
"""

import errno
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from warpgrasp.errors import UserError
from warpgrasp.export.gltf import Colour, hand_colour, linear_colour, quaternions
from warpgrasp.export.sequence import PredictedSequence, SequenceError
from warpgrasp.geometry import NEAR_M, Camera
from warpgrasp.plain_text import line
from warpgrasp.predictions import check_places
from warpgrasp.report import OBJECT_COLOUR

ENDINGS = (".usd", ".usda", ".usdc")
HALF_TURN_DEG = 180.0
FAR_M = 100.0
FILM_M = 0.036  # wide; a lens is given by the ratio of its focal length to it
TENTHS = 10.0  # a camera's lengths are in tenths of the stage's unit
SINGLE_RATE_HZ = 30.0  # of a sequence of one frame


def check_usd(sequence: PredictedSequence, path: Path) -> None:
    """Raise `UserError` when the package is missing, and `SequenceError` when the name tells no kind of USD file."""
    if find_spec("pxr") is None:
        raise UserError("expected the package usd-core, found none; install it: pip install 'warpgrasp[usd]'")
    if path.suffix.lower() not in ENDINGS:
        raise SequenceError(f"expected a file called {', '.join(ENDINGS)} for USD, got {path}")


def write_usd(sequence: PredictedSequence, path: Path) -> None:
    """Write a sequence as a USD file, text (.usda) or binary, as its name says.

    Raises `PredictionsError` for vertices that are not finite, and `OSError` when it cannot be written.
    """
    Usd, UsdGeom = _library("Usd"), _library("UsdGeom")

    stage = Usd.Stage.CreateInMemory()
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, UsdGeom.LinearUnits.meters)
    rate_hz, codes = time_codes(sequence.times_s)
    stage.SetTimeCodesPerSecond(rate_hz)
    stage.SetFramesPerSecond(rate_hz)
    stage.SetStartTimeCode(float(codes[0]))
    stage.SetEndTimeCode(float(codes[-1]))
    root = UsdGeom.Xform.Define(stage, "/sequence")
    root.GetPrim().SetDisplayName(line(sequence.name))
    stage.SetDefaultPrim(root.GetPrim())
    axes = UsdGeom.Xform.Define(stage, "/sequence/camera_space")
    axes.AddRotateXOp().Set(HALF_TURN_DEG)
    for name, one in sequence.hands.items():
        _add_hand(stage, one, codes, name=name, colour=hand_colour(one, sequence))
    _add_object(stage, sequence, codes)
    if sequence.camera is not None:
        _add_camera(stage, sequence.camera)
    try:
        written = stage.GetRootLayer().Export(str(path))
        reason = "USD cannot write it"
    except RuntimeError as error:  # of USD's own kind
        written, reason = False, " ".join(str(error).split())[:200]
    if not written:
        raise OSError(errno.EIO, reason, str(path))


def _library(name: str) -> Any:
    """A module of usd-core, whose names no type checker knows."""
    return import_module(f"pxr.{name}")


def time_codes(times_s: Float[np.ndarray, " n"]) -> tuple[float, Float[np.ndarray, " n"]]:
    """The usual rate of frames per second, and each frame's time in units of its interval."""
    interval_s = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 1 / SINGLE_RATE_HZ
    rate_hz = round(1 / interval_s, 3)
    # Times are rounded in files of videos: at an even rate the codes are whole numbers.
    return rate_hz, np.round(times_s * rate_hz, 3)


def _add_hand(
    stage: Any, sequence: PredictedSequence, codes: Float[np.ndarray, " n"], *, name: str, colour: Colour
) -> None:
    """Add the hand's mesh, closed at the wrist, with the vertices of each frame."""
    hand = sequence.hand
    faces = torch.cat([hand.faces, hand.closing_faces]).numpy()
    mesh = _mesh(stage, name, faces, colour)
    mesh.GetPrim().SetDisplayName(line(hand.template.name))
    position = 0
    for part in sequence.chunks():
        vertices = np.asarray(part.hand_vertices, np.float32)
        check_places(vertices)
        for row in vertices:
            _set_points(mesh, row, float(codes[position]))
            position += 1


def _add_object(stage: Any, sequence: PredictedSequence, codes: Float[np.ndarray, " n"]) -> None:
    """Add the rigid mesh about the centre of its bounding box, turned and moved in each frame."""
    Gf, UsdGeom = _library("Gf"), _library("UsdGeom")

    model = sequence.model
    mesh = _mesh(stage, "object", model.faces.numpy(), OBJECT_COLOUR)
    mesh.GetPrim().SetDisplayName(line(model.name))
    _set_points(mesh, model.vertices.numpy(), None)
    translate = mesh.AddTranslateOp()
    orient = mesh.AddOrientOp(UsdGeom.XformOp.PrecisionDouble)
    rows = sequence.rows
    turns = quaternions(np.asarray(sequence.predictions.object_rotation[rows], np.float64))
    places = np.asarray(sequence.predictions.object_translation[rows], np.float64)
    check_places(places)
    for code, (x, y, z, w), place in zip(codes.tolist(), turns.tolist(), places.tolist(), strict=True):
        orient.Set(Gf.Quatd(w, x, y, z), code)
        translate.Set(Gf.Vec3d(*place), code)


def _mesh(stage: Any, name: str, faces: Int[np.ndarray, "f 3"], colour: Colour) -> Any:
    """A mesh of triangles, seen from both sides, as it is and not subdivided."""
    UsdGeom, Vt = _library("UsdGeom"), _library("Vt")

    mesh = UsdGeom.Mesh.Define(stage, f"/sequence/camera_space/{name}")
    mesh.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(faces), 3, np.int32)))
    mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(np.ascontiguousarray(faces, np.int32).reshape(-1)))
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    mesh.CreateDoubleSidedAttr(True)
    mesh.CreateDisplayColorAttr([tuple(linear_colour(colour))])
    return mesh


def _set_points(mesh: Any, points: Float[np.ndarray, "v 3"], code: float | None) -> None:
    """Set a mesh's vertices and the box around them, at a time or at all."""
    Usd, Vt = _library("Usd"), _library("Vt")

    time = Usd.TimeCode.Default() if code is None else code
    mesh.GetPointsAttr().Set(Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(points, np.float32)), time)
    box = np.stack([points.min(axis=0), points.max(axis=0)]).astype(np.float32)
    mesh.GetExtentAttr().Set(Vt.Vec3fArray.FromNumpy(box), time)


def _add_camera(stage: Any, camera: Camera) -> None:
    """Add the camera of the pictures, its principal point too."""
    Gf, UsdGeom = _library("Gf"), _library("UsdGeom")

    (fx, fy), (cx, cy) = camera.focal_px.tolist(), camera.principal_point_px.tolist()
    film = TENTHS * FILM_M
    focal = film * fx / camera.width
    made = UsdGeom.Camera.Define(stage, "/sequence/camera")
    made.CreateProjectionAttr(UsdGeom.Tokens.perspective)
    made.CreateFocalLengthAttr(focal)
    made.CreateHorizontalApertureAttr(film)
    made.CreateVerticalApertureAttr(focal * camera.height / fy)
    made.CreateHorizontalApertureOffsetAttr(focal * ((camera.width - 1) / 2 - cx) / fx)
    made.CreateVerticalApertureOffsetAttr(focal * (cy - (camera.height - 1) / 2) / fy)
    made.CreateClippingRangeAttr(Gf.Vec2f(NEAR_M, FAR_M))
