"""Blender's side: Cycles' settings, the camera, light from a photograph, meshes that move, metering."""

import math
import tempfile
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix, Vector
from sequence import HEIGHT, WIDTH

SENSOR_MM = 36.0
BLENDER_FROM_CV = np.diag([1.0, -1.0, -1.0, 1.0])  # Blender's camera looks along -Z with +Y up
F_STOP = 8.0  # the background is a little soft; hand and object stay within 0.2 px of sharp


def empty_scene(*, samples: int) -> bpy.types.Scene:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.render.resolution_x, scene.render.resolution_y = WIDTH, HEIGHT
    scene.render.resolution_percentage = 100
    scene.render.use_persistent_data = True
    scene.render.image_settings.file_format = "JPEG"
    scene.render.image_settings.quality = 86
    scene.view_settings.view_transform = "AgX"
    scene.view_settings.look = "AgX - Medium High Contrast"
    cycles = scene.cycles
    cycles.device = "CPU"
    cycles.samples = samples
    cycles.use_adaptive_sampling = False
    cycles.use_denoising = True
    cycles.denoiser = "OPENIMAGEDENOISE"
    cycles.denoising_prefilter = "ACCURATE"
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 3, 2, 2
    cycles.use_light_tree = False  # there is one lamp
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.sample_clamp_indirect = 4.0  # no fireflies
    cycles.blur_glossy = 1.0
    return scene


def add_camera(scene: bpy.types.Scene, intrinsics: np.ndarray) -> bpy.types.Object:
    """Blender's camera without shift has its principal point at ((W-1)/2, (H-1)/2) in our convention."""
    fx, fy, cx, cy = intrinsics[0, 0], intrinsics[1, 1], intrinsics[0, 2], intrinsics[1, 2]
    if abs(fx - fy) > 1e-6 or abs(cx - (WIDTH - 1) / 2) > 1e-6 or abs(cy - (HEIGHT - 1) / 2) > 1e-6:
        raise SystemExit(f"cannot render with these intrinsics: {intrinsics.tolist()}")
    data = bpy.data.cameras.new("camera")
    data.sensor_fit, data.sensor_width = "HORIZONTAL", SENSOR_MM
    data.lens = fx / WIDTH * SENSOR_MM
    data.clip_start = 0.01
    camera = bpy.data.objects.new("camera", data)
    scene.collection.objects.link(camera)
    scene.camera = camera
    return camera


def place_camera(camera: bpy.types.Object, world_from_camera_cv: np.ndarray) -> None:
    camera.matrix_world = matrix(world_from_camera_cv @ BLENDER_FROM_CV)


def focus_camera(camera: bpy.types.Object, point: np.ndarray) -> None:
    from_camera = point - np.array(camera.matrix_world.translation)
    camera.data.dof.use_dof = True
    camera.data.dof.aperture_fstop = F_STOP
    camera.data.dof.focus_distance = float(-from_camera @ np.array(camera.matrix_world)[:3, 2])


def matrix(values: np.ndarray) -> Matrix:
    return Matrix(np.asarray(values, dtype=float).tolist())


def light_from_photograph(scene: bpy.types.Scene, path: Path, *, rotation: float, strength: float) -> None:
    world = bpy.data.worlds.new("world")
    scene.world = world
    world.use_nodes = True
    nodes, links = world.node_tree.nodes, world.node_tree.links
    photograph = nodes.new("ShaderNodeTexEnvironment")
    photograph.image = bpy.data.images.load(str(path))
    turned, coordinates = nodes.new("ShaderNodeMapping"), nodes.new("ShaderNodeTexCoord")
    turned.inputs["Rotation"].default_value = (0, 0, rotation)
    links.new(coordinates.outputs["Generated"], turned.inputs["Vector"])
    links.new(turned.outputs["Vector"], photograph.inputs["Vector"])
    links.new(photograph.outputs["Color"], nodes["Background"].inputs["Color"])
    nodes["Background"].inputs["Strength"].default_value = strength


def add_lamp(scene, *, position: np.ndarray, target: np.ndarray, watt: float, size: float) -> None:
    data = bpy.data.lights.new("lamp", "AREA")
    data.shape, data.size, data.energy = "DISK", size, watt
    lamp = bpy.data.objects.new("lamp", data)
    lamp.location = position
    lamp.rotation_euler = Vector(target - position).to_track_quat("-Z", "Y").to_euler()
    scene.collection.objects.link(lamp)


def add_mesh(scene, name: str, *, vertices, faces, material, uv=None, uv_faces=None) -> bpy.types.Object:
    """Make a smooth-shaded object; `uv[uv_faces]` gives each corner's texture coordinates."""
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(np.asarray(vertices, dtype=float).tolist(), [], [list(face) for face in faces])
    if uv is not None:
        corners = np.asarray(uv, dtype=np.float32)[np.asarray(uv_faces).reshape(-1)]
        mesh.uv_layers.new(name="uv").data.foreach_set("uv", corners.reshape(-1))
    mesh.shade_smooth()
    mesh.materials.append(material)
    thing = bpy.data.objects.new(name, mesh)
    scene.collection.objects.link(thing)
    return thing


def move_vertices(thing: bpy.types.Object, vertices: np.ndarray) -> None:
    thing.data.vertices.foreach_set("co", np.asarray(vertices, dtype=np.float32).reshape(-1))
    thing.data.update()


def import_obj(path: Path) -> bpy.types.Object:
    """Import an OBJ in its own axes, smooth except at its sharp edges."""
    bpy.ops.wm.obj_import(filepath=str(path), forward_axis="Y", up_axis="Z")
    thing = bpy.context.selected_objects[0]
    thing.data.shade_smooth()
    thing.data.set_sharp_from_angle(angle=math.radians(50))
    return thing


def radiance(scene: bpy.types.Scene, *, scale_percent: int = 25) -> np.ndarray:
    """Render small and in linear light: (h, w, 3)."""
    render, settings = scene.render, scene.render.image_settings
    kept = render.resolution_percentage, settings.file_format, render.filepath
    with tempfile.TemporaryDirectory() as folder:
        render.resolution_percentage, settings.file_format = scale_percent, "OPEN_EXR"
        render.filepath = f"{folder}/meter.exr"
        bpy.ops.render.render(write_still=True)
        picture = bpy.data.images.load(render.filepath)
        pixels = np.empty(picture.size[0] * picture.size[1] * 4, np.float32)
        picture.pixels.foreach_get(pixels)
        pixels = pixels.reshape(picture.size[1], picture.size[0], 4)[::-1, :, :3].copy()
        bpy.data.images.remove(picture)
    render.resolution_percentage, settings.file_format, render.filepath = kept
    return pixels
