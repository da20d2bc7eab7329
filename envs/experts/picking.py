"""Picks and places: of what, and to where."""

from __future__ import annotations

import numpy as np

from envs.controls.pick_place import PICK_HIGH, PICK_LOW, PickPlaceControl
from envs.experts.grasping import Grasp, find_grasp
from envs.table.scene import BIN_DEPTH, TABLE_HALF
from envs.table.world import World

BIN_Y = TABLE_HALF + BIN_DEPTH / 2
"""Where things are let go over the bin [m]."""
BIN_XS = np.linspace(-0.16, 0.16, 9)
"""Places along the bin [m]."""
BIN_GAP = 0.10
"""So far from what lies in the bin, a place is free [m]."""


def place_in_bin(world: World, near: float) -> np.ndarray:
    """(2,) where to let go of something: the free place nearest to x = `near`, or that with most room [m]."""
    places = world.poses[[thing.slot for thing in world.objects], :3]
    lying = places[(places[:, 1] > TABLE_HALF) & (places[:, 2] < 0.03), 0]
    room = np.abs(BIN_XS[:, None] - lying).min(axis=1, initial=1.0)
    free = BIN_XS[room > BIN_GAP]
    x = free[np.argmin(np.abs(free - near))] if len(free) else BIN_XS[np.argmax(room)]
    return np.array([x, BIN_Y])


def easiest(world: World, slots: list[int]) -> tuple[int, Grasp]:
    """The object that the wide open gripper takes with most room around its fingers, and how."""
    grasps = {slot: find_grasp(world, slot, opening=world.robot.tool.max_opening) for slot in slots}
    slot = max(grasps, key=lambda slot: (min(grasps[slot].clearance, 0.01), -slot))
    return slot, grasps[slot]


def pick_into_bin(world: World, control: PickPlaceControl, slots: list[int]) -> np.ndarray:
    """The action (6,) that takes one of some objects into the bin, across it, so that the fingers open along it."""
    if not slots:
        return np.zeros(6)
    _, grasp = easiest(world, slots)
    return control.action(grasp.pose, np.append(place_in_bin(world, grasp.pose[0]), 0.0))


def aimed_pick(world: World, control: PickPlaceControl, slots: list[int], rng: np.random.Generator) -> np.ndarray:
    """A noisy pick of an object drawn at random, and a place anywhere, often in the bin: an action (6,)."""
    if not slots:
        return rng.uniform(-1, 1, 6)
    grasp = find_grasp(world, int(rng.choice(slots)), opening=world.robot.tool.max_opening)
    pick = grasp.pose + rng.normal(0, [0.012, 0.012, 0.2])
    anywhere = rng.uniform(PICK_LOW, PICK_HIGH)
    place = place_in_bin(world, rng.uniform(-0.2, 0.2)) if rng.uniform() < 0.5 else anywhere
    return control.action(pick, np.append(place, rng.uniform(-np.pi / 2, np.pi / 2)))
