"""From anny's 1609 vertices to MANO's sizes: 778 vertices, 1538 triangles, 16 edges around the open wrist."""

from dataclasses import dataclass

import fast_simplification
import numpy as np
from scipy.optimize import nnls
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

VERTICES, FACES, WRIST_EDGES = 778, 1538, 16
REGRESSOR_VERTICES, REGRESSOR_ERROR_M = (60, 90, 130, 180, 240), 2e-4
TEMPLATE_FIRST = 10  # how much more the template's joint counts than its shift along a shape direction


@dataclass(frozen=True)
class Reduction:
    """A coarse mesh whose vertices are points on a fine one: face (778,) and barycentric weights (778, 3)."""

    vertices: np.ndarray
    faces: np.ndarray
    corners: np.ndarray
    barycentric: np.ndarray
    error: float  # of the fine vertices against the coarse surface, metres, at most and on average
    mean_error: float

    def carry(self, values: np.ndarray) -> np.ndarray:
        """Interpolate per-vertex values (v, ...) of the fine mesh at the coarse vertices."""
        return np.einsum("vc,vc...->v...", self.barycentric, values[self.corners])


def reduce_mesh(vertices: np.ndarray, faces: np.ndarray) -> Reduction:
    """Decimate to exactly MANO's sizes, trying several settings; keep the closest surface."""
    best, best_error = None, np.inf
    fewer = _shortened_border(vertices, faces)
    for aggressiveness in np.arange(1.0, 9.0, 0.5):
        for target in (FACES, FACES + 1):
            v, f = fast_simplification.simplify(
                vertices, fewer, target_count=target, agg=aggressiveness, preserve_border=True
            )
            if len(v) != VERTICES or len(f) != FACES or len(boundary_edges(f)) != WRIST_EDGES:
                continue
            error = _distances(v, f, vertices).max()
            if error < best_error:
                best, best_error = (v, f), error
    if best is None:
        raise RuntimeError(f"no setting gave {VERTICES} vertices, {FACES} faces, {WRIST_EDGES} border edges")
    v, f = best
    fine_face, points, barycentric = closest_points(v, vertices, faces)
    distance = _distances(points, f, vertices)
    return Reduction(points, f, faces[fine_face], barycentric, distance.max(), distance.mean())


def _shortened_border(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Take the straightest vertices out of the wrist's border, never two in a row, until 16 edges are left.

    The decimation then keeps the border as it is.
    """
    edges = boundary_edges(faces)
    following, preceding = dict(edges.tolist()), dict(edges[:, ::-1].tolist())

    def bulge(vertex: int) -> float:
        a, b, c = (vertices[i] for i in (preceding[vertex], vertex, following[vertex]))
        return float(np.linalg.norm(np.cross(b - a, c - a)) / np.linalg.norm(c - a))

    touched: set[int] = set()
    for drop in sorted(following, key=bulge):
        if len(boundary_edges(faces)) == WRIST_EDGES:
            break
        ends = (preceding[drop], following[drop])
        if {drop, *ends} & touched:
            continue
        touched |= {drop, *ends}
        keep = min(ends, key=lambda end: float(np.linalg.norm(vertices[end] - vertices[drop])))
        faces = np.where(faces == drop, keep, faces)
        faces = faces[[len(set(face)) == 3 for face in faces.tolist()]]
    return faces


def boundary_edges(faces: np.ndarray) -> np.ndarray:
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    _, index, counts = np.unique(np.sort(edges, 1), axis=0, return_index=True, return_counts=True)
    return edges[index[counts == 1]]


def _distances(v: np.ndarray, f: np.ndarray, fine: np.ndarray) -> np.ndarray:
    _, points, _ = closest_points(fine, v, f)
    return np.linalg.norm(points - fine, axis=1)


def closest_points(queries: np.ndarray, vertices: np.ndarray, faces: np.ndarray, *, candidates: int = 24):
    """Return face, point and barycentric weights of the nearest points on a mesh."""
    corners = vertices[faces]
    _, near = cKDTree(corners.mean(1)).query(queries, k=candidates)
    barycentric = _project(queries[:, None], corners[near])
    points = np.einsum("qkc,qkcd->qkd", barycentric, corners[near])
    best = np.linalg.norm(points - queries[:, None], axis=-1).argmin(1)
    rows = np.arange(len(queries))
    return near[rows, best], points[rows, best], barycentric[rows, best]


def _project(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Barycentric weights of the nearest point of each triangle: inside, or else on an edge."""
    a, b, c = triangles[..., 0, :], triangles[..., 1, :], triangles[..., 2, :]
    ab, ac, ap = b - a, c - a, points - a
    d00, d01, d11 = (ab * ab).sum(-1), (ab * ac).sum(-1), (ac * ac).sum(-1)
    d20, d21 = (ap * ab).sum(-1), (ap * ac).sum(-1)
    scale = np.maximum(d00 * d11 - d01 * d01, 1e-30)
    v, w = (d11 * d20 - d01 * d21) / scale, (d00 * d21 - d01 * d20) / scale
    best = np.stack([1 - v - w, v, w], -1)
    above = np.linalg.norm(v[..., None] * ab + w[..., None] * ac - ap, axis=-1)
    distance = np.where((best >= 0).all(-1), above, np.inf)
    for i, j in ((0, 1), (1, 2), (2, 0)):
        p, q = triangles[..., i, :], triangles[..., j, :]
        t = ((points - p) * (q - p)).sum(-1) / np.maximum(((q - p) ** 2).sum(-1), 1e-30)
        t = t.clip(0, 1)
        far = np.linalg.norm(p + t[..., None] * (q - p) - points, axis=-1)
        weights = np.zeros(best.shape)
        weights[..., i], weights[..., j] = 1 - t, t
        best, distance = np.where((far < distance)[..., None], weights, best), np.minimum(far, distance)
    return best


def joint_regressor(vertices: np.ndarray, directions: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """Fit J = R @ v over the template (v, 3) and all shape directions (v, 3, s); rows are averages.

    `joints` is (16, 3, 1 + s): the template's joints and how each direction moves them. A row uses the fewest
    nearest vertices that reach its joint; a little ridge spreads its weight over the ring around the joint.
    """
    regressor = np.zeros((len(joints), len(vertices)))
    for row, target in enumerate(joints):
        order = np.argsort(np.linalg.norm(vertices - target[:, 0], axis=1))
        for near in REGRESSOR_VERTICES:
            nearest = order[:near]
            weights = _joint_weights(vertices[nearest], directions[nearest], target)
            if np.linalg.norm(weights @ vertices[nearest] - target[:, 0]) < REGRESSOR_ERROR_M:
                break
        regressor[row, nearest] = weights
    return regressor


def _joint_weights(vertices: np.ndarray, directions: np.ndarray, target: np.ndarray) -> np.ndarray:
    near = len(vertices)
    shape = np.concatenate([TEMPLATE_FIRST * (vertices - target[:, 0])[..., None], directions], -1)
    wanted = np.concatenate([np.zeros((3, 1)), target[:, 1:]], -1)
    system = [shape.reshape(near, -1).T * 1e3, np.full((1, near), 1e3), np.eye(near) * 0.3]
    weights, _ = nnls(np.concatenate(system), np.concatenate([wanted.ravel() * 1e3, [1e3], np.zeros(near)]))
    return weights / weights.sum()


def carried_uv(reduction: Reduction, fine_vertices: np.ndarray, fine_faces: np.ndarray, uv: np.ndarray,
               uv_faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Give each coarse corner texture coordinates from its face's side of the texture's seams.

    Corners beyond the seam get the coordinates of the seam: a face never spans two far parts of the picture.
    """
    coarse = reduction.vertices[reduction.faces]
    centre_face, _, _ = closest_points(coarse.mean(1), fine_vertices, fine_faces)
    near = _within_seams(uv_faces, steps=7)
    corner_uv = np.zeros((len(coarse), 3, 2))
    for index, (corners, centre) in enumerate(zip(coarse, centre_face, strict=True)):
        own = near[centre].indices
        face, _, barycentric = closest_points(corners, fine_vertices, fine_faces[own], candidates=len(own))
        corner_uv[index] = np.einsum("qc,qcd->qd", barycentric, uv[uv_faces[own[face]]])
    unique, index = np.unique(corner_uv.reshape(-1, 2).round(6), axis=0, return_inverse=True)
    return unique, index.reshape(-1, 3)


def _within_seams(uv_faces: np.ndarray, *, steps: int) -> csr_matrix:
    """Row i holds the faces reachable from face i over so many edges that are edges of the texture, too."""
    edges = np.sort(np.concatenate([uv_faces[:, [0, 1]], uv_faces[:, [1, 2]], uv_faces[:, [2, 0]]]), 1)
    _, edge = np.unique(edges, axis=0, return_inverse=True)
    face = np.tile(np.arange(len(uv_faces)), 3)
    face_has_edge = csr_matrix((np.ones(len(face)), (face, edge)))
    one_step = face_has_edge @ face_has_edge.T
    reached = one_step
    for _ in range(steps - 1):
        reached = reached @ one_step
        reached.data[:] = 1
    return reached.tocsr()
