"""A small hand of invented numbers in the structure of a MANO file."""

import numpy as np

from warpgrasp.hand.model import HandTemplate

PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14)


def small_template(*, rings: int = 6, sides: int = 5, shapes: int = 3, pose_directions: bool = True) -> HandTemplate:
    """A tube, closed at its tip and open at its base."""
    random = np.random.default_rng(7)
    angles = 2 * np.pi * np.arange(sides) / sides
    vertices = [
        [0.03 * np.cos(angle), 0.02 * ring, 0.03 * np.sin(angle)] for ring in range(rings) for angle in angles
    ] + [[0, 0.02 * rings, 0]]
    faces = []
    for ring in range(rings - 1):
        for i in range(sides):
            a, b = ring * sides + i, ring * sides + (i + 1) % sides
            faces += [[a, b, a + sides], [b, b + sides, a + sides]]
    faces += [[(rings - 1) * sides + i, (rings - 1) * sides + (i + 1) % sides, rings * sides] for i in range(sides)]
    count = len(vertices)
    regressor, weights = random.random((16, count)), random.random((count, 16))
    return HandTemplate(
        name="small",
        vertices=np.array(vertices) + 0.003 * random.normal(size=(count, 3)),
        faces=np.array(faces),
        shape_directions=0.005 * random.normal(size=(count, 3, shapes)),
        pose_directions=0.002 * random.normal(size=(count, 3, 135)) if pose_directions else None,
        joint_regressor=regressor / regressor.sum(axis=1, keepdims=True),
        skinning_weights=weights / weights.sum(axis=1, keepdims=True),
        parents=PARENTS,
        pose_components=random.normal(size=(45, 45)),
        mean_pose=0.1 * random.normal(size=45),
        fingertip_vertices=tuple(7 * tip % count for tip in range(5)),
    )
