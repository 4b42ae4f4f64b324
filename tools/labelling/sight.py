"""What a person sees in a frame: where points and outlines are in the picture, and whether the drawing lies over them.

A person sees no depth and no pose. Of the truth, the sight gives pixels alone: of points of the object that can be told
from others (corners, tips), of the hand's joints, and of outlines, each where nothing hides it.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from warpgrasp.frame import Annotation, ObjectModel
from warpgrasp.geometry import Camera, Mesh, join
from warpgrasp.hand import HandModel
from warpgrasp.render import rasterize

CORNER_M = 0.01  # around a point: how its surface is bent there tells whether it can be told from others
LEAST_CORNER = 0.015  # the smallest eigenvalue of the normals' covariance; 0 on planes and straight edges, 1/3 at most
APART_M = 0.02  # points that are nearer to each other are taken for one another
HIDDEN_M = 0.006  # a point of a surface that lies deeper than what is seen by more is hidden
INSIDE_M = 0.025  # a joint lies inside the hand, behind its surface, by no more

SURFACE_VERTICES = 12  # of the hand that show where a joint is


@dataclass(frozen=True)
class Sight:
    """One frame, as it is."""

    truth: Annotation
    model: ObjectModel
    hand: HandModel
    camera: Camera

    @cached_property
    def object_vertices(self) -> Float[np.ndarray, "v 3"]:
        """Where the object's surface is; nobody is told."""
        points = self.model.vertices.double() @ self.truth.object_rotation.double().T
        return (points + self.truth.object_translation.double()).numpy()

    @cached_property
    def _seen(self) -> tuple[Int[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
        """What each pixel shows, 0 nothing, 1 the hand, 2 the object; and how deep it is, infinite where nothing is."""
        faces = torch.cat([self.hand.faces, self.hand.closing_faces])
        assert self.truth.hand_vertices is not None
        both = join(
            Mesh.of(self.truth.hand_vertices[None].float(), faces),
            Mesh.of(torch.from_numpy(self.object_vertices)[None].float(), self.model.faces),
        )
        raster = rasterize(both, self.camera)
        ids, depth = raster.face_ids[0].numpy(), raster.depth[0].numpy()
        return np.where(ids < 0, 0, np.where(ids < len(faces), 1, 2)), np.where(ids < 0, np.inf, depth)

    def pixels(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 2"]:
        """Where points of camera space are seen."""
        return self.camera.project(torch.from_numpy(points).float()).double().numpy()

    def shows(self, points: Float[np.ndarray, "n 3"], *, behind_m: float = HIDDEN_M) -> Bool[np.ndarray, " n"]:
        """Whether nothing lies before these points, by more than `behind_m`, in any pixel next to theirs."""
        deepest = cv2.dilate(np.where(np.isinf(self._seen[1]), 0, self._seen[1]), np.ones((3, 3)))
        columns, rows = np.rint(self.pixels(points)).astype(int).T
        inside = (columns >= 0) & (columns < self.camera.width) & (rows >= 0) & (rows < self.camera.height)
        columns, rows = columns.clip(0, self.camera.width - 1), rows.clip(0, self.camera.height - 1)
        return inside & (points[:, 2] < deepest[rows, columns] + behind_m)

    @cached_property
    def joints_seen(self) -> Bool[np.ndarray, " 21"]:
        """The joints that a person sees: the hand's own surface is what is seen there."""
        joints = self.truth.hand_joints.double().numpy()
        columns, rows = np.rint(self.pixels(joints)).astype(int).T
        columns, rows = columns.clip(0, self.camera.width - 1), rows.clip(0, self.camera.height - 1)
        of_hand = cv2.dilate((self._seen[0] == 1).astype(np.uint8), np.ones((3, 3)))[rows, columns] > 0
        return self.shows(joints, behind_m=INSIDE_M) & of_hand

    def outline_off_px(self, vertices: Float[np.ndarray, "v 3"]) -> float:
        """How far the outline of the drawn object is from the picture's, on average, where no hand hides that."""
        drawn, there = self._silhouette(vertices), self._silhouette(self.object_vertices)
        if not _outline(drawn).any():
            return float("inf")
        near_hand = cv2.dilate((self._seen[0] == 1).astype(np.uint8), np.ones((5, 5))) > 0
        away = cv2.distanceTransform((~_outline(drawn)).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        return float(away[_outline(there) & ~near_hand].mean())

    def _silhouette(self, vertices: Float[np.ndarray, "v 3"]) -> Bool[np.ndarray, "h w"]:
        mesh = Mesh.of(torch.from_numpy(vertices)[None].float(), self.model.faces)
        return rasterize(mesh, self.camera).face_ids[0].numpy() >= 0

    def joints_off_px(self, vertices: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, " 21"]:
        """How far the drawn hand's surface about each joint is from where it is seen; 0 where the joint is not."""
        assert self.truth.hand_vertices is not None
        there = self.truth.hand_vertices.double().numpy()
        _, around = cKDTree(there).query(self.truth.hand_joints.double().numpy(), k=SURFACE_VERTICES)
        drawn, seen = (self.pixels(points[around].mean(axis=1)) for points in (vertices, there))
        return np.where(self.joints_seen, np.linalg.norm(drawn - seen, axis=1), 0.0)


def drawn_alone(vertices: Float[np.ndarray, "v 3"], sight: Sight, points: Int[np.ndarray, " n"]) -> np.ndarray:
    """Which of these vertices of a drawn object are seen, the object being alone."""
    mesh = Mesh.of(torch.from_numpy(vertices)[None].float(), sight.model.faces)
    raster = rasterize(mesh, sight.camera)
    depth = np.where(raster.face_ids[0].numpy() < 0, 0, raster.depth[0].numpy())
    deepest = cv2.dilate(depth, np.ones((3, 3)))
    columns, rows = np.rint(sight.pixels(vertices[points])).astype(int).T
    inside = (columns >= 0) & (columns < sight.camera.width) & (rows >= 0) & (rows < sight.camera.height)
    columns, rows = columns.clip(0, sight.camera.width - 1), rows.clip(0, sight.camera.height - 1)
    return inside & (vertices[points, 2] < deepest[rows, columns] + HIDDEN_M)


def _outline(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    return mask & ~(cv2.erode(mask.astype(np.uint8), np.ones((3, 3))) > 0)


def landmarks(model: ObjectModel) -> Int[np.ndarray, " n"]:
    """The vertices of an object that a person can tell from others, corners before bends, apart from each other."""
    vertices, faces = model.vertices.double().numpy(), model.faces.numpy()
    first, second, third = vertices[faces].transpose(1, 0, 2)
    across = np.cross(second - first, third - first)
    area = np.linalg.norm(across, axis=1)
    normals = across / np.maximum(area, 1e-12)[:, None]
    near = cKDTree(vertices[faces].mean(axis=1)).query_ball_point(vertices, CORNER_M)
    bent = np.array([_bent(normals[ids], area[ids]) if ids else 0.0 for ids in near])
    chosen: list[int] = []
    for vertex in np.argsort(-bent):
        if bent[vertex] < LEAST_CORNER:
            break
        if all(np.linalg.norm(vertices[vertex] - vertices[other]) > APART_M for other in chosen):
            chosen.append(int(vertex))
    return np.array(chosen)


def _bent(normals: Float[np.ndarray, "n 3"], area: Float[np.ndarray, " n"]) -> float:
    """The smallest eigenvalue of the normals' covariance: how far the surface bends in both directions."""
    return float(np.linalg.eigvalsh((normals * area[:, None]).T @ normals / area.sum())[0])
