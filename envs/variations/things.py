"""What stands on the table in an episode: other colours, shapes, sizes and masses of its objects, and distractors.

A distractor is a thing that no task asks for: it stands near an edge of the table, can be pushed, and counts for nothing.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import mujoco
import numpy as np

from envs.table.objects import TableObject
from envs.table.scene import BOX, CYLINDER, ELLIPSOID, FLOOR_Z, FURNITURE, HUES, OBJECT, SHAPES, TABLE_HALF, TOOL, ObjectShape
from envs.variations.factors import MAX_DISTRACTORS

HELD_OUT_SHAPES = (
    ObjectShape("plate", CYLINDER, (0.050, 0.009, 0.0), (0.057, 0.012, 0.0), (0.15, 0.35), mouth=0.70, mouth_shade=1.3),
    ObjectShape("bottle", CYLINDER, (0.019, 0.052, 0.0), (0.023, 0.058, 0.0), (0.12, 0.30), mouth=0.45, mouth_shade=0.4),
    ObjectShape("pebble", ELLIPSOID, (0.034, 0.026, 0.016), (0.046, 0.034, 0.022), (0.10, 0.30), mouth=0.0, mouth_shade=1.0),
)
"""Shapes that only the factor object_shapes draws, and only held out."""
SHAPE_OF = {shape.name: shape for shape in (*SHAPES, *HELD_OUT_SHAPES)}
BOUND = 0.075
"""Largest half-size of an object whose shape or size varies [m]."""
HELD_OUT_HUE_NAMES = ("pink", "turquoise", "lime", "orange", "indigo")
"""What the held-out hue of each slot is called."""

DISTRACTORS = {
    "sponge": (BOX, np.array([0.034, 0.021, 0.011])),
    "coaster": (CYLINDER, np.array([0.027, 0.004, 0.0])),
    "fork": (BOX, np.array([0.052, 0.007, 0.005])),
    "candle": (CYLINDER, np.array([0.014, 0.028, 0.0])),
}
"""Kind -> its geom and half-sizes as MuJoCo wants them [m]."""
INSET = 0.045
"""How far from the table's edge the middle of a distractor stands [m]."""
GAP = 0.01
"""Least distance between a distractor and what else stands there [m]."""


@dataclass(frozen=True)
class Distractors:
    """The distractors of an episode, to be stood on the table."""

    kinds: Sequence[str]
    brightness: Sequence[float]
    half_width: float
    """Of the table [m]."""
    near_edge: float
    """Distance of the table's near edge [m]."""


def recolour(thing: TableObject, hue_shift: float, saturation: float, brightness: float, held_out: bool) -> TableObject:
    """Factor object_colours: another hue, saturation and brightness."""
    rgb = np.array(colorsys.hsv_to_rgb((HUES[thing.slot] + hue_shift) % 1, saturation, brightness))
    return replace(thing, rgb=rgb, colour=HELD_OUT_HUE_NAMES[thing.slot] if held_out else "")


def reshape(thing: TableObject, kind: str) -> TableObject:
    """Factor object_shapes: another shape, in whose range of sizes it lies where it lay in its own."""
    ours, other = thing.shape, SHAPE_OF[kind]
    low, high = np.array(ours.low), np.array(ours.high)
    room = high - low
    share = np.where(room > 0, (thing.half - low) / np.where(room > 0, room, 1), 0.5)
    return replace(thing, shape=other, half=other.low + share * (np.array(other.high) - other.low))


def scale_friction(model: mujoco.MjModel, values: dict[str, Any]) -> None:
    """Factor friction: how well everything slides that is not the robot; the model is changed."""
    model.geom_friction[model.geom_contype != TOOL, 0] *= values["scale"]  # of a slot that is not used now, too


def add_distractors(spec: mujoco.MjSpec) -> None:
    """Add the distractors' bodies to a scene that is not compiled yet."""
    for i in range(MAX_DISTRACTORS):
        body = spec.worldbody.add_body(name=f"distractor{i}", pos=_parked(i), gravcomp=1)
        body.add_freejoint(name=f"distractor{i}").damping = [4e-4, 0, 0]
        body.add_geom(
            name=f"distractor{i}", type=BOX, size=[0.06] * 3, mass=0.05,
            contype=OBJECT, conaffinity=FURNITURE | OBJECT | TOOL, condim=4, friction=[0.5, 0.004, 0.0001],
        )  # fmt: skip


def shape_distractors(model: mujoco.MjModel, distractors: Distractors) -> None:
    """Give the distractors of an episode their shapes and colours, and the others none to meet."""
    for i in range(MAX_DISTRACTORS):
        used = i < len(distractors.kinds)
        kind, half = DISTRACTORS[distractors.kinds[i] if used else "sponge"]
        geom, body = model.geom(f"distractor{i}").id, model.body(f"distractor{i}").id
        model.geom_type[geom], model.geom_size[geom] = int(kind), half
        model.geom_rgba[geom] = (*[distractors.brightness[i] if used else 0.0] * 3, float(used))
        sides = 2 * half if kind == BOX else 2 * np.array([half[0], half[0], half[1]])
        model.body_inertia[body] = model.body_mass[body] / 12 * (np.sum(sides**2) - sides**2)
        model.geom_contype[geom] = OBJECT if used else 0
        model.geom_conaffinity[geom] = FURNITURE | OBJECT | TOOL if used else 0
        model.body_gravcomp[body] = 0 if used else 1


def stand_distractors(
    model: mujoco.MjModel, data: mujoco.MjData, distractors: Distractors, rng: np.random.Generator
) -> list[list[float]]:
    """Stand them near the table's edges, clear of everything that stands there; their places, (x, y) [m]."""
    places: list[list[float]] = []
    for i, name in enumerate(distractors.kinds):
        kind, half = DISTRACTORS[name]
        height = half[1] if kind == CYLINDER else half[2]
        start = int(model.joint(f"distractor{i}").qposadr[0])
        for _ in range(1000):
            xy, yaw = _near_an_edge(distractors, rng), rng.uniform(-np.pi, np.pi)
            data.qpos[start : start + 7] = (*xy, height + 1e-4, np.cos(yaw / 2), 0, 0, np.sin(yaw / 2))
            if _is_clear(model, data, model.geom(f"distractor{i}").id):
                break
        else:
            raise RuntimeError(f"there is no room for distractor {i} of {len(distractors.kinds)} on the table")
        places.append([float(xy[0]), float(xy[1])])
    return places


def _is_clear(model: mujoco.MjModel, data: mujoco.MjData, geom: int) -> bool:
    """Whether nothing that could be touched, but the table below, is nearer to a geom than GAP."""
    mujoco.mj_kinematics(model, data)
    solid = (model.geom_contype | model.geom_conaffinity) != 0
    solid[[geom, model.geom("table").id, model.geom("floor").id]] = False
    return all(mujoco.mj_geomDistance(model, data, geom, int(other), GAP, None) >= GAP for other in np.flatnonzero(solid))


def _near_an_edge(distractors: Distractors, rng: np.random.Generator) -> np.ndarray:
    """A place (x, y) along the left, right or near edge [m]."""
    edge, along = rng.integers(3), rng.uniform()
    side, near = distractors.half_width - INSET, -distractors.near_edge + INSET
    if edge == 2:
        return np.array([(2 * along - 1) * side, near])
    return np.array([side if edge else -side, near + along * (TABLE_HALF - 0.1 - near)])


def _parked(i: int) -> list[float]:
    return [0.2 * i, 1.0, FLOOR_Z - 2]
