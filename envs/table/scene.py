"""The tabletop as MjSpec parts: floor, table, bin, object slots, cameras and lights, all from primitive geoms.

The world frame lies on the table: origin at the centre of its top, x away from the robot, y towards the bin, z up, metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

TABLE_HALF = 0.30
"""Half the side of the square table [m]."""
FLOOR_Z = -0.45
"""Height of the floor [m]."""
BIN_DEPTH = 0.16
"""How far the bin reaches beyond the table's edge at +y [m]."""
BIN_FLOOR_Z = -0.14
"""Height of the bin's floor [m]."""
MAX_OBJECTS = 5
"""Object slots in the scene; a slot that an episode does not use is parked far below the floor."""

CAMERA_POS = (0.04, 0.07, 0.80)
CAMERA_HALF_VIEW = 0.42
"""Half of what the overhead camera sees on the plane of the table's top [m]."""

SIDE_EYE = (0.86, -0.10, 0.56)
"""Where the side camera stands: across the table from the robot, and looks down at it [m]."""

# Collision bits: objects meet everything, the tool meets objects and furniture, furniture does not meet furniture.
FURNITURE, OBJECT, TOOL = 1, 2, 4


@dataclass(frozen=True)
class ObjectShape:
    """One kind of dish: a primitive geom whose half-sizes are drawn between `low` and `high`."""

    name: str
    geom: mujoco.mjtGeom
    low: tuple[float, float, float]
    """Smallest half-sizes: (x, y, z) of a box, (radius, half height, 0) of a cylinder [m]."""
    high: tuple[float, float, float]
    """Largest half-sizes [m]."""
    mass: tuple[float, float]
    """Range of masses [kg]."""
    mouth: float
    """Radius of the disc drawn on top, as a share of the radius; 0 draws none."""
    mouth_shade: float
    """Brightness of that disc relative to the object: an opening is dark, a lid is bright."""


CYLINDER, BOX, ELLIPSOID = mujoco.mjtGeom.mjGEOM_CYLINDER, mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_ELLIPSOID
SHAPES = (
    ObjectShape("cup", CYLINDER, (0.029, 0.034, 0.0), (0.035, 0.042, 0.0), (0.12, 0.25), mouth=0.75, mouth_shade=0.35),
    ObjectShape("can", CYLINDER, (0.025, 0.045, 0.0), (0.030, 0.055, 0.0), (0.15, 0.35), mouth=0.85, mouth_shade=1.8),
    ObjectShape("bowl", CYLINDER, (0.046, 0.018, 0.0), (0.056, 0.026, 0.0), (0.15, 0.35), mouth=0.85, mouth_shade=0.55),
    ObjectShape("box", BOX, (0.024, 0.024, 0.020), (0.038, 0.034, 0.045), (0.08, 0.30), mouth=0.0, mouth_shade=1.0),
)
HUES = (0.0, 0.6, 0.33, 0.14, 0.82)
"""Base hue of each slot: red, blue, green, yellow, violet."""
HUE_NAMES = ("red", "blue", "green", "yellow", "violet")
_MAX_HALF = 0.06  # compiled bounds of every slot; the drawn sizes stay inside, so that broad-phase bounds stay valid


def build_spec() -> mujoco.MjSpec:
    """The scene without a robot."""
    spec = mujoco.MjSpec()
    option = spec.option
    option.timestep = 0.005
    option.integrator = int(mujoco.mjtIntegrator.mjINT_IMPLICITFAST)
    option.enableflags |= int(mujoco.mjtEnableBit.mjENBL_SLEEP)
    option.cone = int(mujoco.mjtCone.mjCONE_PYRAMIDAL)
    option.iterations = 20
    option.ls_iterations = 20
    # The sizes of the objects change at reset, the bounding volumes inside a body do not: never use them.
    option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_MIDPHASE)
    spec.compiler.degree = False
    spec.visual.quality.offsamples = 0
    spec.visual.quality.shadowsize = 1024
    spec.visual.quality.numstacks = 2  # coarse capsule ends: half the time of a picture, and no difference at its size
    spec.visual.headlight.ambient = [0.45, 0.45, 0.45]
    spec.visual.headlight.diffuse = [0.35, 0.35, 0.35]
    spec.visual.headlight.specular = [0.0, 0.0, 0.0]
    spec.visual.map.znear = 0.02
    spec.visual.global_.offwidth = 1280
    spec.visual.global_.offheight = 960
    spec.add_texture(
        name="sky", type=mujoco.mjtTexture.mjTEXTURE_SKYBOX, builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=[0.86, 0.89, 0.92], rgb2=[0.55, 0.60, 0.66], width=128, height=768,
    )  # fmt: skip
    _add_furniture(spec.worldbody)
    for slot in range(MAX_OBJECTS):
        _add_slot(spec.worldbody, slot)
    _add_cameras_and_lights(spec.worldbody)
    return spec


def _add_furniture(world: mujoco.MjsBody) -> None:
    def block(name: str, low: tuple[float, float, float], high: tuple[float, float, float], rgba: list[float]) -> None:
        centre = (np.array(low) + np.array(high)) / 2
        half = (np.array(high) - np.array(low)) / 2
        world.add_geom(
            name=name, type=BOX, pos=centre, size=half, rgba=rgba,
            contype=FURNITURE, conaffinity=OBJECT | TOOL, friction=[0.6, 0.005, 0.0001],
        )  # fmt: skip

    half, far = TABLE_HALF, TABLE_HALF + BIN_DEPTH
    wood, legs, bin_rgba, bin_floor = [0.78, 0.71, 0.60, 1], [0.45, 0.40, 0.34, 1], [0.26, 0.28, 0.31, 1], [0.20, 0.22, 0.25, 1]
    wall, rim = 0.012, 0.05
    world.add_geom(
        name="floor", type=mujoco.mjtGeom.mjGEOM_PLANE, pos=[0, 0, FLOOR_Z], size=[3, 3, 0.1], rgba=[0.55, 0.58, 0.60, 1],
        contype=FURNITURE, conaffinity=OBJECT | TOOL, friction=[0.9, 0.005, 0.0001],
    )  # fmt: skip
    block("table", (-half, -half, -0.03), (half, half, 0.0), wood)
    for i, (x, y) in enumerate(((-1, -1), (1, -1), (-1, 1), (1, 1))):
        x, y = 0.94 * half * x, 0.94 * half * y
        block(f"leg{i}", (x - 0.015, y - 0.015, FLOOR_Z), (x + 0.015, y + 0.015, -0.03), legs)
    block("bin_floor", (-half, half, BIN_FLOOR_Z - 0.01), (half, far, BIN_FLOOR_Z), bin_floor)
    block("bin_near", (-half, half - wall, BIN_FLOOR_Z - 0.01), (half, half, -0.03), bin_rgba)
    block("bin_far", (-half - wall, far, BIN_FLOOR_Z - 0.01), (half + wall, far + wall, rim), bin_rgba)
    for name, side in (("bin_left", -1), ("bin_right", 1)):
        low, high = sorted((side * half, side * (half + wall)))
        block(name, (low, half, BIN_FLOOR_Z - 0.01), (high, far, rim), bin_rgba)


def _add_slot(world: mujoco.MjsBody, slot: int) -> None:
    body = world.add_body(name=f"object{slot}", pos=[0.2 * slot, 0, FLOOR_Z - 2])
    # Damping that hardly slows a slide but ends the roll of a tipped can, as the rolling resistance of a real one does.
    body.add_freejoint(name=f"object{slot}").damping = [4e-4, 0, 0]
    body.add_geom(
        name=f"object{slot}", type=BOX, size=[_MAX_HALF] * 3, mass=0.2,
        contype=OBJECT, conaffinity=FURNITURE | OBJECT | TOOL, condim=4, friction=[0.5, 0.004, 0.0001],
    )  # fmt: skip
    body.add_geom(name=f"object{slot}_mouth", type=CYLINDER, size=[_MAX_HALF, 0.001, 0], mass=0, contype=0, conaffinity=0)


def _add_cameras_and_lights(world: mujoco.MjsBody) -> None:
    fovy = 2 * np.arctan(CAMERA_HALF_VIEW / CAMERA_POS[2])
    world.add_camera(name="overhead", pos=CAMERA_POS, quat=[1, 0, 0, 0], fovy=np.rad2deg(fovy))
    eye, target = (1.05, -0.85, 1.25), (-0.07, 0.06, 0.10)
    world.add_camera(name="film", pos=eye, fovy=42, quat=_look_at(eye, target))
    eye, target = SIDE_EYE, (-0.04, 0.09, 0.03)
    world.add_camera(name="side", pos=eye, fovy=44, quat=_look_at(eye, target))
    world.add_light(name="lamp", pos=[0.4, -0.5, 1.6], dir=[-0.25, 0.3, -1], diffuse=[0.45, 0.45, 0.45], castshadow=True)


def _look_at(
    eye: tuple[float, float, float], target: tuple[float, float, float], up: tuple[float, float, float] = (0.0, 0.0, 1.0)
) -> np.ndarray:
    """Quaternion of a camera at `eye` that looks at `target` with z, or another axis, up."""
    back = np.array(eye) - np.array(target)
    back /= np.linalg.norm(back)
    right = np.cross(up, back)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(back, right), back], axis=1)
    quat = np.zeros(4)
    mujoco.mju_mat2Quat(quat, rotation.ravel())
    return quat


def shape_slot(model: mujoco.MjModel, slot: int, shape: ObjectShape, half: np.ndarray, mass: float, rgb: np.ndarray) -> None:
    """Give an object slot its shape, half-sizes [m], mass [kg] and colour; the model is changed in place."""
    geom, mouth = model.geom(f"object{slot}").id, model.geom(f"object{slot}_mouth").id
    body = model.body(f"object{slot}").id
    model.geom_type[geom] = int(shape.geom)
    model.geom_size[geom] = half
    model.geom_rgba[geom] = (*rgb, 1)
    if shape.geom == CYLINDER:
        radius, z = half[0], half[1]
        side = mass * (3 * radius**2 + (2 * z) ** 2) / 12
        inertia = (side, side, mass * radius**2 / 2)
    else:
        radius, z = float(np.min(half[:2])), half[2]
        x2, y2, z2 = (2 * half) ** 2
        share = 20 if shape.geom == ELLIPSOID else 12
        inertia = (mass * (y2 + z2) / share, mass * (x2 + z2) / share, mass * (x2 + y2) / share)
    model.body_mass[body] = mass
    model.body_inertia[body] = inertia
    model.geom_size[mouth] = (max(shape.mouth * radius, 1e-4), 0.001, 0)
    model.geom_pos[mouth] = (0, 0, z if shape.mouth else 0)
    model.geom_rgba[mouth] = (*np.clip(rgb * shape.mouth_shade, 0, 1), float(shape.mouth > 0))  # 0: not drawn


def paint_slot(model: mujoco.MjModel, slot: int, rgb: np.ndarray) -> None:
    """Give an object another colour (3,), the disc on top as much darker or brighter as it was; the model is changed."""
    geom, mouth = model.geom(f"object{slot}").id, model.geom(f"object{slot}_mouth").id
    shade = model.geom_rgba[mouth, :3].max() / max(model.geom_rgba[geom, :3].max(), 1e-6)
    model.geom_rgba[geom, :3] = rgb
    model.geom_rgba[mouth, :3] = np.clip(rgb * shade, 0, 1)


def add_wrist_camera(spec: mujoco.MjSpec) -> None:
    """Add the camera that rides on the robot's flange, beside the tool, and looks along it at the table."""
    flange = spec.body("flange")
    if flange is not None:  # z points down at the work
        eye = (
            0.0,
            -0.11,
            -0.045,
        )  # off the tool's thin side: the paddle, or both fingers, stand across the picture
        flange.add_camera(name="wrist", pos=eye, fovy=75, quat=_look_at(eye, (0.0, 0.02, 0.14), (0.0, 1.0, 0.0)))


def park_slot(model: mujoco.MjModel, slot: int) -> None:
    """Give a slot that is not used the same body in every episode: the solver's scale is a mean over all bodies."""
    box = SHAPES[-1]
    shape_slot(model, slot, box, np.array(box.high), 0.2, np.zeros(3))
    model.geom_rgba[model.geom(f"object{slot}").id, 3] = 0  # nobody looks below the floor


def half_height(shape: ObjectShape, half: np.ndarray) -> float:
    """Height of an upright object's centre above what it stands on [m]."""
    return float(half[1] if shape.geom == CYLINDER else half[2])


def footprint(shape: ObjectShape, half: np.ndarray) -> float:
    """Radius of the smallest circle around an upright object [m]."""
    return float(half[0] if shape.geom == CYLINDER else np.hypot(half[0], half[1]))
