"""What stands on the table: shapes, sizes, masses and colours drawn for one episode."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

from envs.table.scene import HUE_NAMES, HUES, SHAPES, ObjectShape, footprint, half_height


@dataclass(frozen=True)
class TableObject:
    """One object of an episode."""

    slot: int
    """Which slot of the scene holds it; the slot sets its hue."""
    shape: ObjectShape
    half: np.ndarray
    """(3,) half-sizes as MuJoCo wants them [m]."""
    mass: float
    """[kg]"""
    rgb: np.ndarray
    """(3,) in [0, 1]."""
    colour: str = ""
    """Name of its colour; empty for that of its slot."""

    @property
    def name(self) -> str:
        """Such as "red cup"."""
        return f"{self.colour or HUE_NAMES[self.slot]} {self.shape.name}"

    @property
    def radius(self) -> float:
        """Radius of its footprint when upright [m]."""
        return footprint(self.shape, self.half)

    @property
    def height(self) -> float:
        """Height of its centre when upright [m]."""
        return half_height(self.shape, self.half)


def draw_objects(num: int, rng: np.random.Generator) -> list[TableObject]:
    """`num` objects in slots drawn without replacement."""
    slots = np.sort(rng.permutation(len(HUES))[:num])
    return [draw_object(int(slot), SHAPES[rng.integers(len(SHAPES))], rng) for slot in slots]


def draw_object(slot: int, shape: ObjectShape, rng: np.random.Generator) -> TableObject:
    """An object of a shape: its size, mass, and a colour around its slot's hue."""
    half = rng.uniform(shape.low, shape.high)
    mass = float(rng.uniform(*shape.mass))
    hue = (HUES[slot] + rng.uniform(-0.02, 0.02)) % 1
    rgb = np.array(colorsys.hsv_to_rgb(hue, rng.uniform(0.75, 1.0), rng.uniform(0.70, 0.95)))
    return TableObject(slot, shape, half, mass, rgb)
