from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from warpgrasp.geometry.mesh import Mesh, boundary_loop, bounding_box_corners, join, loop_closing_faces, pad

TETRAHEDRON = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])


def directed_edges(faces):
    return Counter((int(face[i]), int(face[(i + 1) % 3])) for face in faces for i in range(3))


def tube(sides, rings):
    """A cone of `rings` rings of vertices whose tip is closed and whose base is open."""
    faces = [(ring * sides + i, ring * sides + (i + 1) % sides, (ring + 1) * sides + i)
             for ring in range(rings - 1) for i in range(sides)]  # fmt: skip
    faces += [(ring * sides + (i + 1) % sides, (ring + 1) * sides + (i + 1) % sides, (ring + 1) * sides + i)
              for ring in range(rings - 1) for i in range(sides)]  # fmt: skip
    last, tip = (rings - 1) * sides, rings * sides
    return np.array(faces + [(last + i, last + (i + 1) % sides, tip) for i in range(sides)])


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 24), st.integers(1, 4), st.randoms(use_true_random=False))
def test_closing_makes_every_edge_run_once_in_each_direction(sides, rings, random):
    faces = tube(sides, rings)
    names = list(range(int(faces.max()) + 1))
    random.shuffle(names)
    faces = np.array(names)[faces]
    loop = boundary_loop(faces)
    assert sorted(loop) == sorted(names[:sides])
    edges = directed_edges(faces)
    for start, end in zip(loop, [*loop[1:], loop[0]], strict=True):
        assert edges[start, end] == 1
        assert edges[end, start] == 0

    closing = loop_closing_faces(faces)
    assert closing.shape == (sides - 2, 3)
    edges = directed_edges(np.concatenate([faces, closing]))
    assert set(edges.values()) == {1}
    assert all((end, start) in edges for start, end in edges)


def test_closing_faces_are_not_a_fan():
    corners = Counter(loop_closing_faces(tube(16, 2)).ravel().tolist())
    assert max(corners.values()) <= 4


def test_boundary_loop_refuses_a_closed_surface():
    with pytest.raises(ValueError, match="expected one open boundary, found a closed surface"):
        boundary_loop(TETRAHEDRON)


def test_boundary_loop_refuses_two_loops():
    two = np.concatenate([tube(5, 2), tube(4, 1) + 100])
    with pytest.raises(ValueError, match="found a loop of 5 of 9 boundary edges"):
        boundary_loop(two)


def test_boundary_loop_refuses_loops_that_touch():
    bow = np.array([[0, 1, 2], [0, 3, 4]])
    with pytest.raises(ValueError, match="vertex 0 lies on two"):
        boundary_loop(bow)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 6)] * 3), min_size=1, max_size=12))
def test_boundary_loop_of_any_faces_is_a_loop_of_their_edges_or_an_error(faces):
    """Of faces without consistent orientation, too, where edges lead into each other without closing."""
    try:
        loop = boundary_loop(np.array(faces))
    except ValueError as error:
        assert "expected one open boundary" in str(error)  # noqa: PT017
        return
    edges = directed_edges(np.array(faces))
    assert len(set(loop)) == len(loop)
    for start, end in zip(loop, [*loop[1:], loop[0]], strict=True):
        assert (start, end) in edges
        assert (end, start) not in edges


def test_bounding_box_corners_order_and_values():
    vertices = torch.tensor([[0.5, -1, 7], [-2, 3, 5], [1, 0, 6.0]])
    expected = [[x, y, z] for x in (-2, 1) for y in (-1, 3) for z in (5, 7)]
    assert bounding_box_corners(vertices).tolist() == expected


def test_padding_is_zeros_and_told():
    stacked, real = pad([torch.ones(2, 3), 2 * torch.ones(4, 3), torch.zeros(0, 3)])
    assert real.tolist() == [[True, True, False, False], [True] * 4, [False] * 4]
    assert torch.equal(stacked[0], torch.tensor([[1.0] * 3, [1] * 3, [0] * 3, [0] * 3]))
    assert torch.equal(stacked[1], torch.full((4, 3), 2.0))
    assert stacked[2].abs().sum() == 0


def test_padding_keeps_the_type():
    stacked, _ = pad([torch.ones(2, 3, dtype=torch.int64), torch.ones(1, 3, dtype=torch.int64)])
    assert stacked.dtype == torch.int64


def test_join_shifts_the_second_faces_and_keeps_what_is_auxiliary():
    first = Mesh(torch.zeros(1, 3, 3), torch.tensor([[[0, 1, 2]]]), torch.tensor([[True]]))
    second = Mesh.of(torch.ones(1, 4, 3), torch.tensor([[0, 1, 2], [1, 2, 3]]))
    both = join(first, second)
    assert both.faces.tolist() == [[[0, 1, 2], [3, 4, 5], [4, 5, 6]]]
    assert both.auxiliary_faces.tolist() == [[True, False, False]]
    assert both.vertices[0, 3:].eq(1).all()
    assert both.vertices[0, :3].eq(0).all()


def test_shared_faces_serve_the_whole_batch():
    mesh = Mesh.of(torch.rand(3, 4, 3), torch.from_numpy(TETRAHEDRON))
    assert mesh.faces.shape == (3, 4, 3)
    moved = mesh.with_vertices(mesh.vertices + 1)
    assert moved.faces is mesh.faces
    assert torch.equal(moved.vertices, mesh.vertices + 1)
