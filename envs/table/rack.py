"""The dish rack and the stands that plates start in, from capsules and boxes; where a dish rests in them.

A plate stands on edge: its rim sinks between two rails, which keep it from rolling, and tines on either side keep it from
falling over. A cup stands upright in a square cell with a low fence. The rack's long side lies along x; a plate in it faces x.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import mujoco
import numpy as np

from envs.table.scene import BOX, CYLINDER, FURNITURE, OBJECT, TOOL, ObjectShape

Point = tuple[float, float, float]
PLATE = ObjectShape("plate", CYLINDER, (0.060, 0.006, 0.0), (0.066, 0.0075, 0.0), (0.15, 0.30), mouth=0.70, mouth_shade=0.75)
"""A thick plate: radius, half thickness [m]."""

NUM_PLATE_SLOTS = 4
PLATE_PITCH = 0.062
"""Distance between two plates: room for the fingers of a gripper between them [m]."""
GAP = 0.023
"""Between the tines of a slot [m]: the thickest plate has 4 mm to either side, and two of the thinnest do not fit."""
RAIL_HALF = 0.034
"""Half the distance between the two rails under a plate [m]."""
RAIL_Z = 0.014
"""Height of the middle of the rails [m]."""
WIRE = 0.004
"""Radius of rails and tines [m]."""
TINE_TOP = 0.062
"""Height of the tips of the tines [m]."""

CELLS = (2, 2)
"""Cells for cups, along x and y."""
CELL_PITCH = 0.096
FENCE_Z = 0.022
"""Height of the fence around a cell [m]."""

RACK_POS = np.array([-0.02, 0.17])
"""Middle of the rack on the table, (x, y) [m]."""
_PLATES_WIDTH, _CELLS_WIDTH = NUM_PLATE_SLOTS * PLATE_PITCH, CELLS[0] * CELL_PITCH
RACK_HALF = np.array([(_PLATES_WIDTH + _CELLS_WIDTH) / 2, CELLS[1] * CELL_PITCH / 2])
"""Half of its outer size, (x, y) [m]."""
_LEFT = RACK_POS[0] - RACK_HALF[0]

PLATE_SLOTS = np.array([[_LEFT + (i + 0.5) * PLATE_PITCH, RACK_POS[1]] for i in range(NUM_PLATE_SLOTS)])
"""Middles of the plates' slots, (slots, 2) [m]."""
CUP_SLOTS = np.array(
    [
        [_LEFT + _PLATES_WIDTH + (i + 0.5) * CELL_PITCH, RACK_POS[1] + (j - (CELLS[1] - 1) / 2) * CELL_PITCH]
        for i in range(CELLS[0])
        for j in range(CELLS[1])
    ]
)
"""Middles of the cups' cells, (cells, 2) [m]."""

STEEL, WIRE_RGBA = [0.70, 0.72, 0.75, 1], [0.93, 0.94, 0.95, 1]
STAND_RGBA = [0.50, 0.36, 0.24, 1]


@dataclass(frozen=True)
class Limits:
    """How well a dish must sit in its slot."""

    plate_tilt: float = np.deg2rad(20.0)
    """Largest angle between a plate's axis and the one that its slot gives it [rad]: between the tines it leans 10 degrees."""
    plate_offset: tuple[float, float] = (0.014, 0.015)
    """Largest offset of a plate's centre along x and y from the middle of its slot [m]."""
    cup_tilt: float = np.deg2rad(10.0)
    """Largest angle between a cup's axis and the vertical [rad]."""
    cup_offset: float = 0.020
    """Largest offset of a cup's centre from the middle of its cell along x and along y [m]."""
    height: float = 0.010
    """Largest difference to the height at which the dish rests in its slot [m]."""


def plate_rest_height(radius: float) -> float:
    """Height of the centre of a plate of this radius that stands on the rails [m]."""
    return RAIL_Z + float(np.sqrt((radius + WIRE) ** 2 - RAIL_HALF**2))


def add_rack(world: mujoco.MjsBody) -> None:
    """Add the rack to the table's top."""

    names = (f"rack{i}" for i in itertools.count())

    def wire(start: Point, end: Point, rgba: list[float] = WIRE_RGBA) -> None:
        _add_wire(world, start, end, rgba, next(names))

    x0, x1 = _LEFT, _LEFT + _PLATES_WIDTH
    x2 = x1 + _CELLS_WIDTH
    middle, (y0, y1) = RACK_POS[1], RACK_POS[1] + np.array([-1, 1]) * RACK_HALF[1]
    for side in (-1, 1):
        y = middle + side * RAIL_HALF
        wire((x0, y, RAIL_Z), (x1, y, RAIL_Z), STEEL)
        for x, _ in PLATE_SLOTS:
            for edge in (-1, 1):
                at = x + edge * (GAP / 2 + WIRE)
                wire((at, y, RAIL_Z), (at, y, TINE_TOP))
    for x in np.linspace(x1, x2, CELLS[0] + 1):
        wire((x, y0, FENCE_Z), (x, y1, FENCE_Z))
    for y in np.linspace(y0, y1, CELLS[1] + 1):
        wire((x1, y, FENCE_Z), (x2, y, FENCE_Z))
    for x in (x0, x1):
        wire((x, y0, WIRE), (x, y1, WIRE), STEEL)
    for y in (y0, y1):
        wire((x0, y, WIRE), (x1, y, WIRE), STEEL)


def add_stand(world: mujoco.MjsBody, name: str, park: np.ndarray) -> None:
    """Add a wooden stand for one plate as a mocap body: its place (x, y, yaw) changes from episode to episode.

    It faces x like the rack's slots, stands on z = 0 of its frame, and starts at `park`, (x, y, z) [m].
    """
    body = world.add_body(name=name, mocap=True, pos=park)

    def block(x: float, y: float, low: float, high: float, half: tuple[float, float]) -> None:
        body.add_geom(
            type=BOX, pos=[x, y, (low + high) / 2], size=[*half, (high - low) / 2], rgba=STAND_RGBA,
            contype=FURNITURE, conaffinity=OBJECT | TOOL, friction=[0.4, 0.005, 0.0001],
        )  # fmt: skip

    for side in (-1, 1):
        y = side * RAIL_HALF
        _add_wire(body, (-0.022, y, RAIL_Z), (0.022, y, RAIL_Z), STAND_RGBA, f"{name}_rail{side}")
        for edge in (-1, 1):
            block(edge * (GAP / 2 + 0.004), y, 0.0, TINE_TOP - 0.01, (0.004, 0.006))


def _add_wire(body: mujoco.MjsBody, start: Point, end: Point, rgba: list[float], name: str) -> None:
    body.add_geom(
        name=name, type=mujoco.mjtGeom.mjGEOM_CAPSULE, fromto=[*start, *end], size=[WIRE, 0, 0], rgba=rgba,
        contype=FURNITURE, conaffinity=OBJECT | TOOL, friction=[0.4, 0.005, 0.0001],
    )  # fmt: skip


def plate_slot(position: np.ndarray, axis: np.ndarray, radius: float, limits: Limits) -> int | None:
    """The slot in which a plate with this centre (3,) [m] and axis (3,) stands, or None."""
    offset = np.abs(PLATE_SLOTS - position[:2])
    slot = int(np.argmin(offset[:, 0]))
    well = (
        np.all(offset[slot] <= limits.plate_offset)
        and abs(position[2] - plate_rest_height(radius)) <= limits.height
        and abs(axis[0]) >= np.cos(limits.plate_tilt)
    )
    return slot if well else None


def cup_slot(position: np.ndarray, axis: np.ndarray, half_height: float, limits: Limits) -> int | None:
    """The cell in which a cup with this centre (3,) [m] and axis (3,) stands, either way up, or None."""
    offset = np.abs(CUP_SLOTS - position[:2]).max(axis=1)
    cell = int(np.argmin(offset))
    well = (
        offset[cell] <= limits.cup_offset
        and abs(position[2] - half_height) <= limits.height
        and abs(axis[2]) >= np.cos(limits.cup_tilt)
    )
    return cell if well else None
