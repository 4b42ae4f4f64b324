import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from warpgrasp.geometry.camera import Camera
from warpgrasp.geometry.mesh import Mesh
from warpgrasp.render import cpu, reference
from warpgrasp.render.shade import Texture, shade, vertex_normals

CAMERA = Camera(torch.tensor([[[40.0, 0, 15.5], [0, 40.0, 11.5], [0, 0, 1]]]), 32, 24)
QUAD_PIXELS = torch.tensor([[[3.5, 3.5], [27.5, 3.5], [27.5, 19.5], [3.5, 19.5]]])
QUAD = Mesh.of(CAMERA.unproject(QUAD_PIXELS, torch.ones(1, 4)), torch.tensor([[0, 1, 2], [0, 2, 3]]))
# In OBJ's way, v grows upwards: the quad's upper left corner has v = 1.
UV = torch.tensor([[0.0, 1], [1, 1], [1, 0], [0, 0]])
CORNER_UV = UV[QUAD.faces[0]]


@pytest.mark.parametrize("rasterizer", [cpu.rasterize, reference.rasterize], ids=["compiled", "reference"])
def test_a_texture_that_faces_the_camera_is_seen_as_it_is(rasterizer):
    """Upright, not mirrored, corner to corner."""
    v, u = torch.meshgrid(torch.linspace(0, 1, 17), torch.linspace(0, 1, 25), indexing="ij")
    image = torch.stack([u, v, u * 0 + 0.3])  # red grows to the right, green downwards
    picture = shade(QUAD, [Texture(image, CORNER_UV)], CAMERA, rasterizer=rasterizer)
    covered = torch.zeros(24, 32, dtype=torch.bool)
    covered[4:20, 4:28] = True
    assert torch.equal(picture.covered, covered)
    columns, rows = torch.arange(4.0, 28), torch.arange(4.0, 20)
    assert_close(picture.image[0, 4:20, 4:28], ((columns - 3.5) / 24).expand(16, 24), rtol=0, atol=1e-5)
    assert_close(picture.image[1, 4:20, 4:28], ((rows - 3.5) / 16)[:, None].expand(16, 24), rtol=0, atol=1e-5)
    assert (picture.image[:, ~covered] == 1).all()


def test_each_run_of_faces_has_its_own_texture_before_the_background():
    colours = [(0.9, 0.1, 0.2), (0.2, 0.5, 0.7)]
    background = torch.rand(3, 24, 32)
    before = background.clone()
    picture = shade(
        QUAD,
        [Texture.plain(colour, 1) for colour in colours],
        CAMERA,
        rasterizer=cpu.rasterize,
        background=background,
    )
    assert_close(picture.image[:, 5, 25], torch.tensor(colours[0]))
    assert_close(picture.image[:, 18, 5], torch.tensor(colours[1]))
    assert torch.equal(picture.image[:, ~picture.covered], background[:, ~picture.covered])
    assert torch.equal(background, before)


@pytest.mark.parametrize(("light", "brightness"), [((0, 0, -2.0), 1.0), ((0, 0, 1.0), 1.0), ((1.0, 0, 0), 0.4)])
def test_light_from_the_front_shows_the_texture_and_from_the_side_what_is_ambient(light, brightness):
    picture = shade(
        QUAD,
        [Texture.plain((0.8, 0.6, 0.4), 2)],
        CAMERA,
        rasterizer=cpu.rasterize,
        light=torch.tensor(light),
        ambient=0.4,
    )
    assert_close(picture.image[:, 10, 10], brightness * torch.tensor([0.8, 0.6, 0.4]), rtol=0, atol=1e-5)


def test_normals_of_a_ball_point_away_from_its_centre():
    import trimesh

    ball = trimesh.creation.icosphere(subdivisions=2)
    vertices = torch.from_numpy(ball.vertices.copy()).float()[None]
    normals = vertex_normals(Mesh.of(vertices, torch.from_numpy(ball.faces.copy()).long()))
    assert_close(F.normalize(normals, dim=-1), vertices, rtol=0, atol=0.03)


def test_nothing_in_sight_is_the_background():
    behind = QUAD.with_vertices(-QUAD.vertices)
    picture = shade(behind, [Texture.plain((0.0, 0.0, 0.0), 2)], CAMERA, rasterizer=cpu.rasterize)
    assert not picture.covered.any()
    assert (picture.image == 1).all()
