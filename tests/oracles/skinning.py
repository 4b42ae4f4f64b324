"""Linear blend skinning as Romero et al. 2017, Sec. 3, writes it: loops over vertices and joints, in NumPy."""

import numpy as np
from scipy.spatial.transform import Rotation


def skin(template, rotation, pose, shape):
    """Vertices (v, 3) and the 16 joints of one hand; `template` is a `HandTemplate`, angles are axis-angle."""
    count = len(template.vertices)
    shaped = np.array(template.vertices, dtype=np.float64)
    for component, amount in enumerate(shape):
        shaped = shaped + amount * template.shape_directions[:, :, component]
    rest = np.zeros((16, 3))
    for joint in range(16):
        for vertex in range(count):
            rest[joint] += template.joint_regressor[joint, vertex] * shaped[vertex]
    turns = [Rotation.from_rotvec(rotation).as_matrix()]
    turns += [Rotation.from_rotvec(pose[3 * joint : 3 * joint + 3]).as_matrix() for joint in range(15)]
    if template.pose_directions is not None:
        features = np.concatenate([(turn - np.eye(3)).reshape(-1) for turn in turns[1:]])
        for vertex in range(count):
            shaped[vertex] = shaped[vertex] + template.pose_directions[vertex] @ features

    def local(joint):
        parent = template.parents[joint]
        matrix = np.eye(4)
        matrix[:3, :3] = turns[joint]
        matrix[:3, 3] = rest[joint] if parent < 0 else rest[joint] - rest[parent]
        return matrix

    world = []
    for joint in range(16):
        parent = template.parents[joint]
        world.append(local(joint) if parent < 0 else world[parent] @ local(joint))
    to_rest = []
    for joint in range(16):
        matrix = np.eye(4)
        matrix[:3, 3] = -rest[joint]
        to_rest.append(world[joint] @ matrix)
    vertices = np.zeros((count, 3))
    for vertex in range(count):
        for joint in range(16):
            moved = to_rest[joint] @ np.append(shaped[vertex], 1.0)
            vertices[vertex] += template.skinning_weights[vertex, joint] * moved[:3]
    return vertices, np.array([matrix[:3, 3] for matrix in world])
