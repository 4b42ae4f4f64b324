"""HO-3D's fourteen figures as the definitions of its script read: frame by frame, every vertex against every other.

Written from the definitions alone; it shares nothing with the package.
"""

import numpy as np
from scipy.linalg import orthogonal_procrustes


def scale_translation(true, predicted):
    """Length wrist (0) to base of the middle finger (4), then the wrist."""
    length = np.sqrt(((predicted[4] - predicted[0]) ** 2).sum())
    if length > 0:
        predicted = predicted / length
    predicted = predicted * np.sqrt(((true[4] - true[0]) ** 2).sum())
    return predicted - predicted[0] + true[0]


def procrustes(true, predicted):
    """Centred, divided by the Frobenius norms, turned (or reflected) and scaled, brought back to the truth's size."""
    middle = true.mean(axis=0)
    a, b = true - middle, predicted - predicted.mean(axis=0)
    a_size, b_size = np.linalg.norm(a) + 1e-8, np.linalg.norm(b) + 1e-8
    rotation, scale = orthogonal_procrustes(a / a_size, b / b_size)
    return (b / b_size) @ rotation.T * scale * a_size + middle


def f_score(true, predicted, threshold):
    apart = np.sqrt(((true[:, None] - predicted[None]) ** 2).sum(axis=-1))
    recall = (apart.min(axis=0) < threshold).sum() / len(predicted)
    precision = (apart.min(axis=1) < threshold).sum() / len(true)
    return 2 * recall * precision / (recall + precision) if recall + precision > 0 else 0.0


def mean_and_area(distances):
    """Of (frames, keypoints): means of means, and areas under the PCK, keypoint by keypoint."""
    thresholds = np.linspace(0.0, 0.05, 100)
    means, areas = [], []
    for of_keypoint in np.asarray(distances).T:
        means.append(of_keypoint.mean())
        shares = np.array([(of_keypoint <= threshold).mean() for threshold in thresholds])
        steps = thresholds[1:] - thresholds[:-1]
        areas.append(((shares[1:] + shares[:-1]) / 2 * steps).sum() / steps.sum())
    return np.mean(means), np.mean(areas)


def figures(true_joints, true_vertices, joints, vertices):
    """The figures by their names in `scores.txt`."""
    errors = {name: [] for name in ("xyz", "xyz_procrustes_al", "xyz_scale_trans_al", "mesh", "mesh_al")}
    scores = {name: [] for name in ("f_score_5", "f_al_score_5", "f_score_15", "f_al_score_15")}
    for x, v, x_hat, v_hat in zip(true_joints, true_vertices, joints, vertices, strict=True):
        v_al = procrustes(v, v_hat)
        pairs = {
            "xyz": (x, x_hat),
            "xyz_procrustes_al": (x, procrustes(x, x_hat)),
            "xyz_scale_trans_al": (x, scale_translation(x, x_hat)),
            "mesh": (v, v_hat),
            "mesh_al": (v, v_al),
        }
        for name, (true, predicted) in pairs.items():
            errors[name].append(np.sqrt(((true - predicted) ** 2).sum(axis=-1)))
        for millimetres in (5, 15):
            scores[f"f_score_{millimetres}"].append(f_score(v, v_hat, millimetres / 1000))
            scores[f"f_al_score_{millimetres}"].append(f_score(v, v_al, millimetres / 1000))
    result = {}
    for name, distances in errors.items():
        mean, area = mean_and_area(distances)
        result |= {f"{name}_mean3d": 100 * mean, f"{name}_auc3d": area}
    return result | {name: np.mean(values) for name, values in scores.items()}
