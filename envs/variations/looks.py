"""How a scene looks in an episode: patterns of table and floor, light, camera poses, the table's size. The model is changed."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from typing import Any

import mujoco
import numpy as np

from envs.table.scene import TABLE_HALF
from envs.variations.factors import OBSERVING_CAMERAS

TEXTURE_SIZE = 64
TABLE_SATURATION, FLOOR_HUE, FLOOR_SATURATION = 0.25, 0.58, 0.08
LAMP_DISTANCE = 1.7
"""How far the lamp hangs from the middle of the table [m]."""
_LEG = 0.94
"""Where a leg stands between the middle of the table and its corner."""

# Grey patterns in [0, 1] over (row, column) in [0, 1): a surface's colour is multiplied by them.
PATTERNS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "wood": lambda y, x: 0.86 + 0.14 * np.sin(2 * np.pi * (6 * y + 0.35 * np.sin(2 * np.pi * x))),
    "checks": lambda y, x: np.where((np.floor(4 * x) + np.floor(4 * y)) % 2 == 0, 1.0, 0.80),
    "stripes": lambda y, x: np.where(np.floor(8 * (x + y)) % 2 == 0, 1.0, 0.62),
    "dots": lambda y, x: np.where(np.hypot((4 * x) % 1 - 0.5, (4 * y) % 1 - 0.5) < 0.3, 0.62, 1.0),
    "marble": lambda y, x: (
        0.78 + 0.22 * np.sin(2 * np.pi * (2 * x + y + 0.6 * np.sin(2 * np.pi * y) + 0.3 * np.sin(4 * np.pi * x)))
    ),
}
"""Every pattern but "plain", which is none."""


def add_patterns(spec: mujoco.MjSpec) -> None:
    """Add a material for each pattern to a scene that is not compiled yet."""
    y, x = np.indices((TEXTURE_SIZE, TEXTURE_SIZE)) / TEXTURE_SIZE
    for name, grey in PATTERNS.items():
        pixels = np.repeat(np.rint(255 * np.clip(grey(y, x), 0, 1)).astype(np.uint8)[..., None], 3, axis=-1)
        texture = spec.add_texture(name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, width=TEXTURE_SIZE, height=TEXTURE_SIZE)
        texture.nchannel, texture.data = 3, pixels.tobytes()
        material = spec.add_material(name=name, texrepeat=[3, 3], texuniform=True, specular=0, shininess=0)
        material.textures[int(mujoco.mjtTextureRole.mjTEXROLE_RGB)] = name


def cover(model: mujoco.MjModel, values: dict[str, Any]) -> None:
    """Factor surfaces: the pattern and colour of the table and the floor."""
    table = colorsys.hsv_to_rgb(values["table_hue"], TABLE_SATURATION, values["table_brightness"])
    floor = colorsys.hsv_to_rgb(FLOOR_HUE, FLOOR_SATURATION, values["floor_brightness"])
    for name, rgb in (("table", table), ("floor", floor)):
        geom, pattern = model.geom(name).id, values[f"{name}_pattern"]
        model.geom_matid[geom] = -1 if pattern == "plain" else model.material(pattern).id
        model.geom_rgba[geom, :3] = rgb


def light(model: mujoco.MjModel, values: dict[str, Any]) -> None:
    """Factor light: from where the lamp shines on the middle of the table, and how bright it and the room are."""
    azimuth, elevation = np.deg2rad(values["azimuth"]), np.deg2rad(values["elevation"])
    towards = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    lamp = model.light("lamp").id
    model.light_pos[lamp], model.light_dir[lamp] = LAMP_DISTANCE * towards, -towards
    model.light_diffuse[lamp] *= values["lamp"]
    head = model.vis.headlight
    head.ambient[:] = np.array(head.ambient) * values["ambient"]
    head.diffuse[:] = np.array(head.diffuse) * values["ambient"]


def move_cameras(model: mujoco.MjModel, values: dict[str, Any]) -> None:
    """Factor camera: shift and turn each observing camera in its own frame."""
    for i, name in enumerate(OBSERVING_CAMERAS):
        camera = mujoco.mj_name2id(model, int(mujoco.mjtObj.mjOBJ_CAMERA), name)
        if camera < 0:
            continue  # a robot without a flange
        shift = np.array([values[f"shift_{axis}"][i] for axis in "xyz"])
        turn = np.deg2rad([values[f"turn_{axis}"][i] for axis in "xyz"])
        nominal, moved, turned, rotation = model.cam_quat[camera].copy(), np.zeros(3), np.zeros(4), np.zeros(4)
        mujoco.mju_rotVecQuat(moved, shift, nominal)
        mujoco.mju_axisAngle2Quat(turned, turn / max(float(np.linalg.norm(turn)), 1e-12), float(np.linalg.norm(turn)))
        mujoco.mju_mulQuat(rotation, nominal, turned)
        model.cam_pos[camera] += moved
        model.cam_quat[camera] = rotation


def resize_table(model: mujoco.MjModel, values: dict[str, Any]) -> None:
    """Factor table_size: where the table's sides and its near edge are; the bin stays."""
    half_width, near = values["half_width"], values["near_edge"]
    table = model.geom("table").id
    model.geom_size[table, :2] = half_width, (TABLE_HALF + near) / 2
    model.geom_pos[table, 1] = (TABLE_HALF - near) / 2
    # What MuJoCo computes from a geom's size when it compiles, and looks at before it looks for contacts.
    model.geom_rbound[table] = np.linalg.norm(model.geom_size[table])
    model.geom_aabb[table, 3:] = model.geom_size[table]
    for i in range(4):
        leg = model.geom(f"leg{i}").id
        x, y = model.geom_pos[leg, :2]
        model.geom_pos[leg, :2] = np.sign(x) * _LEG * half_width, _LEG * TABLE_HALF if y > 0 else -_LEG * near
