"""The 3D scene of the annotation page: the frame, hand and object in camera space, and the handles that move them.

The frame is a textured rectangle where the camera's matrix puts it, behind everything. A viewer at the camera's place
sees hand and object exactly over their picture, whatever the principal point and wherever the viewer looks.
"""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import viser
from jaxtyping import Float, UInt8
from scipy.spatial.transform import Rotation
from torch import Tensor

from warpgrasp.annotate.edited_frame import EditedFrame, Part
from warpgrasp.annotate.masks import HAND_COLOUR, OBJECT_COLOUR, Mask, with_mask
from warpgrasp.data.recording import Lens, Recording
from warpgrasp.frame import Pose
from warpgrasp.hand import FINGERS, HandModel
from warpgrasp.scene import posed_hand

MARGIN = 1.02  # of the frame's size in the window
AT_CAMERA_M = 1e-4
LOOKED_AT_M = 0.5  # the distance of the point about which the view is turned first
POINT_COLOUR, ASKED_COLOUR, WRONG_COLOUR = (255, 60, 200), (60, 255, 120), (255, 30, 30)
FINGER_COLOURS = ((255, 80, 80), (255, 200, 40), (90, 230, 90), (70, 180, 255), (210, 110, 255))
WRIST_COLOUR = (255, 255, 255)
FRAME_BEHIND = 2.0  # times the depth of what is farthest, so that turned views show picture and surfaces together
DOT_DEPTH_M = 0.1  # dots lie in front of everything
DOT_SHARE = 0.0045  # a dot's radius, of the frame's width
HANDLE_SCALE = 150.0  # pixels
MOST_NUMBERED = 40  # pairs; further ones have no number in the scene
GHOST_COLOUR, GHOST_SHARE = (170, 90, 230), 0.6  # of the other hand; of the opacity of what is edited
JPEG_QUALITY = 92
AMBIENT = 0.8


@dataclass(frozen=True)
class Awaited:
    """What has been clicked on and is not complete, or was nothing."""

    point: Float[np.ndarray, " 3"] | None = None  # of the object, whose pixel is still to come
    corner: Float[np.ndarray, " 2"] | None = None  # of a box, whose opposite one is still to come
    missed: Float[np.ndarray, " 2"] | None = None  # the pixel of a click beside the object's mesh


class AnnotateScene:
    """Hand, object and frame of one recording in a viser scene. World coordinates are the camera's."""

    def __init__(self, scene: viser.SceneApi, recording: Recording, hand: HandModel):
        self._scene, self._lens, self._hand = scene, recording.lens, hand
        scene.set_up_direction("-y")
        # No environment map: the page waits for it, and on a machine without a graphics card it waits long.
        scene.configure_environment_map(hdri=None)
        scene.configure_default_lights(cast_shadow=False)
        scene.add_light_ambient("/light", intensity=AMBIENT)
        model = recording.object.model
        self.object_vertices = model.vertices.double().numpy()
        self.object_faces = model.faces.numpy()
        self._hand_faces = torch.cat([hand.faces, hand.closing_faces]).numpy()
        handle = {"scale": HANDLE_SCALE, "line_width": 3.0, "fixed": True, "depth_test": False}
        self.object_handle = scene.add_transform_controls("/object", **handle)
        self.hand_handle = scene.add_transform_controls("/hand", **handle)
        plain = {"side": "double", "cast_shadow": False, "receive_shadow": False}
        self._object = scene.add_mesh_simple(
            "/object/surface", self.object_vertices, self.object_faces, color=OBJECT_COLOUR, flat_shading=True, **plain
        )
        rest = np.zeros((len(hand.template.vertices), 3))
        self._hand_mesh = scene.add_mesh_simple("/hand/surface", rest, self._hand_faces, color=HAND_COLOUR, **plain)
        self._ghost: viser.MeshHandle | None = None
        self._ghostly: Float[Tensor, "v 3"] | None = None  # the vertices that it shows
        self._picture: UInt8[np.ndarray, "h w 3"] | None = None
        self._drawn: UInt8[np.ndarray, "h w 3"] | None = None  # with the mask
        self._mask: tuple[Mask, bool] | None = None
        self._image: viser.ImageHandle | None = None
        self._picture_depth_m = 0.0
        self._paintable, self._on_paint = False, None
        self._posed: Pose | None = None  # the one that the hand's mesh shows

    def set_picture(self, picture: UInt8[np.ndarray, "h w 3"]) -> None:
        """Take the picture of another frame, which is shown with what is shown next."""
        self._picture, self._picture_depth_m = picture, 0.0
        self._drawn, self._mask = picture, None

    def set_mask(self, mask: Mask | None, *, tinted: bool) -> None:
        """Draw a mask over the picture, its surface or its outline alone; None: nothing."""
        shown = None if mask is None else (mask, tinted)
        if self._picture is None or shown == self._mask:
            return
        self._mask = shown
        self._drawn = self._picture if mask is None else with_mask(self._picture, mask.labels, tinted=tinted)
        if self._image is not None and self._picture_depth_m:
            self._image.image = self._drawn

    def show(self, frame: EditedFrame, *, dragged: Part | None = None) -> None:
        """Show hand and object where a frame has them; set the handles too, but for the one that is being dragged."""
        for part, handle, rotation, place in (
            ("object", self.object_handle, frame.object_rotation, frame.object_centre),
            ("hand", self.hand_handle, frame.hand_rotation, frame.wrist),
        ):
            if part != dragged:
                handle.wxyz = Rotation.from_matrix(rotation).as_quat(scalar_first=True)
                handle.position = place
        pose, last = frame.pose, self._posed
        if last is None or pose.joint_angles is not last.joint_angles or pose.shape is not last.shape:
            self._hand_mesh.vertices = self._about_wrist(pose).numpy()
            self._posed = pose
        if self._picture is not None:
            self._place_picture(frame)

    def show_ghost(self, vertices: Float[Tensor, "v 3"] | None, hand: HandModel, *, opacity: float) -> None:
        """Show another hand, which does not move, where it is; None: nowhere."""
        if self._ghost is not None:
            self._ghost.visible, self._ghost.opacity = vertices is not None, GHOST_SHARE * opacity
        if vertices is None or vertices is self._ghostly:
            return
        self._ghostly = vertices
        if self._ghost is not None:
            self._ghost.vertices = vertices.numpy()
            return
        faces = torch.cat([hand.faces, hand.closing_faces]).numpy()
        drawn = {"color": GHOST_COLOUR, "opacity": GHOST_SHARE * opacity, "cast_shadow": False, "receive_shadow": False}
        self._ghost = self._scene.add_mesh_simple("/other hand", vertices.numpy(), faces, side="double", **drawn)

    def _about_wrist(self, pose: Pose) -> Float[Tensor, "v 3"]:
        """The surface of the unturned hand, its wrist in the origin."""
        unturned = replace(pose, hand_rotation=torch.eye(3)[None], wrist=torch.zeros(1, 3))
        with torch.no_grad():
            return posed_hand(unturned.to(torch.float32), self._hand)[0][0]

    def _place_picture(self, frame: EditedFrame) -> None:
        """Behind hand and object; moved only when it no longer is, or is much too far."""
        farthest = max(frame.object_centre[2], frame.wrist[2])
        if FRAME_BEHIND * farthest * 0.75 < self._picture_depth_m < FRAME_BEHIND * farthest * 1.5:
            return
        assert self._drawn is not None
        depth, lens = FRAME_BEHIND * farthest, self._lens
        self._picture_depth_m = depth
        fx, fy, cx, cy = (lens.intrinsics[i, j] for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
        # Pixel (0, 0) is the centre of the first pixel: the picture reaches half a pixel beyond the outermost centres.
        middle = depth * np.array([((lens.width - 1) / 2 - cx) / fx, ((lens.height - 1) / 2 - cy) / fy, 1.0])
        self._image = self._scene.add_image(
            "/frame",
            self._drawn,
            float(lens.width * depth / fx),
            float(lens.height * depth / fy),
            format="jpeg",
            jpeg_quality=JPEG_QUALITY,
            cast_shadow=False,
            receive_shadow=False,
            position=middle,
        )
        self._bind_drags()

    def on_paint(
        self, callback: Callable[[viser.SceneNodeDragEvent[viser.ImageHandle]], Coroutine[Any, Any, None]]
    ) -> None:
        """Call this when somebody drags over the picture, with or without Shift, while it is paintable."""
        self._on_paint = callback

    def set_paintable(self, paintable: bool) -> None:
        """Let drags over the picture paint, or turn the view again."""
        if paintable != self._paintable:
            self._paintable = paintable
            self._bind_drags()

    def _bind_drags(self) -> None:
        if self._image is None:
            return
        self._image.remove_drag_callback()
        if self._paintable and self._on_paint is not None:
            for modifier in (None, "shift"):
                self._image.on_drag("left", modifier=modifier)(self._on_paint)

    def set_style(self, *, opacity: float, wireframe: bool, object_shown: bool, hand_shown: bool) -> None:
        """Set how hand and object are drawn."""
        for mesh, shown in ((self._object, object_shown), (self._hand_mesh, hand_shown)):
            mesh.opacity = None if opacity >= 1 else opacity
            mesh.wireframe = wireframe
            mesh.visible = shown

    def set_handles(self, moved: str) -> None:
        """Let the object, the hand or nothing be moved. (A hidden handle would hide its surface.)"""
        for name, handle in (("object", self.object_handle), ("hand", self.hand_handle)):
            handle.disable_axes = handle.disable_sliders = handle.disable_rotations = name != moved

    def show_points(self, frame: EditedFrame, awaited: Awaited, *, kind: str, misfits: Sequence[int] = ()) -> None:
        """Show the points that were clicked on: the object's (`points`), the hand's (`joints`), a box's, or none.

        Pairs bear their numbers, from 1; those of `misfits`, and a click beside the object, are red.
        """
        pairs = frame.pairs if kind == "points" else ()
        joints = frame.joints_px if kind == "joints" else ()
        of_pairs = [WRONG_COLOUR if number in misfits else POINT_COLOUR for number in range(len(pairs))]
        others = [(awaited.corner, ASKED_COLOUR), (awaited.missed, WRONG_COLOUR)]
        single = [(pixel, colour) for pixel, colour in others if pixel is not None]
        pixels = [pair.pixel for pair in pairs] + [pixel for _, pixel in joints] + [pixel for pixel, _ in single]
        colours = of_pairs + [_finger_colour(name) for name, _ in joints] + [colour for _, colour in single]
        homogeneous = np.array([[*pixel, 1.0] for pixel in pixels], dtype=np.float64).reshape(-1, 3)
        rays = homogeneous @ np.linalg.inv(self._lens.intrinsics).T
        radius = float(DOT_SHARE * self._lens.width / self._lens.intrinsics[0, 0])
        self._cloud("/dots", DOT_DEPTH_M * rays, colours, DOT_DEPTH_M * radius)
        points = [pair.point for pair in pairs] + ([] if awaited.point is None else [awaited.point])
        shades = [*of_pairs, ASKED_COLOUR][: len(points)]
        self._cloud("/object/points", np.array(points).reshape(-1, 3), shades, float(frame.object_centre[2]) * radius)
        self._number("/dots/number", DOT_DEPTH_M * rays[: len(pairs)])
        self._number("/object/points/number", np.array([pair.point for pair in pairs]).reshape(-1, 3))

    def _number(self, name: str, points: Float[np.ndarray, "n 3"]) -> None:
        """Write 1, 2, 3 … at points. (The numbers of a cloud go with it.)"""
        for number in range(MOST_NUMBERED):
            labelled = f"{name}{number + 1}"
            if number < len(points):
                self._scene.add_label(
                    labelled, str(number + 1), position=points[number], font_screen_scale=0.7, anchor="bottom-left"
                )
            elif self._scene.get_handle_by_name(labelled) is not None:
                self._scene.remove_by_name(labelled)

    def _cloud(
        self, name: str, points: Float[np.ndarray, "n 3"], colours: Sequence[tuple[int, int, int]], size: float
    ) -> None:
        if len(points):
            self._scene.add_point_cloud(
                name, points, np.array(colours, dtype=np.uint8), point_size=size, point_shape="circle"
            )
        elif self._scene.get_handle_by_name(name) is not None:
            self._scene.remove_by_name(name)

    def pixel_of_ray(
        self, origin: Float[np.ndarray, " 3"], direction: Float[np.ndarray, " 3"]
    ) -> Float[np.ndarray, " 2"] | None:
        """The pixel of the frame that a ray meets, from wherever it comes; None beside the frame."""
        if abs(direction[2]) < 1e-9:
            return None
        point = origin + direction * (self._picture_depth_m - origin[2]) / direction[2]
        pixel = (self._lens.intrinsics @ point)[:2] / point[2]
        inside = (pixel > -0.5).all() and pixel[0] < self._lens.width - 0.5 and pixel[1] < self._lens.height - 0.5
        return pixel if inside else None

    def object_point_of_ray(
        self, origin: Float[np.ndarray, " 3"], direction: Float[np.ndarray, " 3"], frame: EditedFrame
    ) -> Float[np.ndarray, " 3"] | None:
        """The first point of the object, in its own coordinates, that a ray meets (Möller and Trumbore 1997)."""
        turn = Rotation.from_matrix(frame.object_rotation)
        start, along = turn.inv().apply(np.stack([origin - frame.object_centre, direction]))
        a, b, c = self.object_vertices[self.object_faces].transpose(1, 0, 2)
        across = np.cross(along, c - a)
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = 1 / ((b - a) * across).sum(axis=1)
            u = ((start - a) * across).sum(axis=1) * scale
            turned = np.cross(start - a, b - a)
            v = turned @ along * scale
            depth = (turned * (c - a)).sum(axis=1) * scale
            met = (u >= 0) & (v >= 0) & (u + v <= 1) & (depth > 0) & np.isfinite(depth)
        return start + depth[met].min() * along if met.any() else None


def at_camera(camera: viser.CameraHandle) -> bool:
    """Whether a viewer stands where the recording's camera stood: only there surfaces lie over their picture."""
    return float(np.linalg.norm(camera.position)) < AT_CAMERA_M


def go_to_camera(camera: viser.CameraHandle, lens: Lens, *, zoom: float, target: Float[np.ndarray, " 3"]) -> None:
    """Stand at the camera; at `zoom` 1 the whole frame is seen, at more its part around `target`."""
    half_height = tangent_of_half_height(lens, max(camera.aspect, 1e-3)) * MARGIN / zoom
    ahead = np.array([0.0, 0.0, 1.0]) if zoom <= 1 else target / np.linalg.norm(target)
    camera.up_direction = (0.0, -1.0, 0.0)
    camera.position = (0.0, 0.0, 0.0)
    camera.look_at = LOOKED_AT_M * ahead
    camera.fov = 2 * float(np.arctan(half_height))


def tangent_of_half_height(lens: Lens, aspect: float) -> float:
    """The tangent of half the vertical field of view in which a viewer along the optical axis sees the whole frame."""
    fx, fy, cx, cy = (lens.intrinsics[i, j] for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    wide = max(cx + 0.5, lens.width - 0.5 - cx) / fx
    high = max(cy + 0.5, lens.height - 0.5 - cy) / fy
    return float(max(high, wide / aspect))


def _finger_colour(joint: str) -> tuple[int, int, int]:
    finger = joint.split("_")[0]
    return FINGER_COLOURS[FINGERS.index(finger)] if finger in FINGERS else WRIST_COLOUR
