from dataclasses import replace

import numpy as np
import pytest

from tests.sample_set import HELD
from warpgrasp.data.sample.grasp import (
    CONTACT_DEPTH_M,
    THUMB,
    closed,
    contact,
    finger_distances,
    object_distance,
    object_surface,
    open_gripper,
    opened,
    seated,
    stored_grips,
)

pytestmark = pytest.mark.parametrize("name", HELD)


@pytest.mark.slow
def test_every_stored_grasp_holds_with_all_fingers(name):
    gripper, distance, grips = open_gripper(), object_distance(name), stored_grips(name)
    grip = closed(gripper, distance, opened(grips))
    touch = contact(gripper, distance, grip)
    assert touch.touching().all()
    assert touch.hand.min() > -0.0025
    assert gripper.finger_gap(grip).min() > -0.002


def test_closing_stops_where_the_finger_touches(name):
    gripper, distance = open_gripper(), object_distance(name)
    grip = opened(stored_grips(name))
    assert (finger_distances(gripper, distance, grip) > 0.001).any(axis=0).all()
    touch = finger_distances(gripper, distance, closed(gripper, distance, grip))
    np.testing.assert_allclose(touch, -CONTACT_DEPTH_M, atol=0.0004)


def test_the_thumb_opposes_the_fingers(name):
    gripper, distance = open_gripper(), object_distance(name)
    grip = closed(gripper, distance, opened(stored_grips(name)))
    vertices = gripper.vertices(grip)
    values = distance(vertices)
    normals = []
    for own in gripper.own[2]:
        spot = vertices[np.arange(len(values)), np.flatnonzero(own)[values[:, own].argmin(axis=1)]]
        step = 0.002 * np.eye(3)
        normals.append(np.stack([distance(spot + shift) - distance(spot - shift) for shift in step], axis=1) / 0.004)
    opposed = [(normals[THUMB] * normals[finger]).sum(axis=1) for finger in range(THUMB)]
    assert np.mean(opposed, axis=0).max() < -0.5


def test_seating_puts_the_palm_at_the_clearance(name):
    gripper, distance = open_gripper(), object_distance(name)
    grip = opened(stored_grips(name))
    grip = replace(grip, knuckle=grip.knuckle + 0.003 * np.sign(grip.knuckle - object_surface(name).vertices.mean(0)))
    palm = distance(gripper.vertices(seated(gripper, distance, grip, 0.002))[:, gripper.palm]).min(axis=1)
    np.testing.assert_allclose(palm, 0.002, atol=0.0003)
