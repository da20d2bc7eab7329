"""LoadRack: plates and cups stand on the table, and are to be put into the slots of a dish rack: the dishwasher."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, cast

import mujoco
import numpy as np

from envs.controls.base import Control
from envs.controls.low_level import LowLevelControl
from envs.controls.pick_place import PickPlaceControl
from envs.experts.loading import load_next, load_roughly
from envs.experts.loading_by_hand import load_by_hand
from envs.instructions.grammar import own_stream
from envs.robots.motion import QUIET_SPEED
from envs.skills.pick_place import PickPlaceConfig
from envs.table.dishes import draw_dishes, is_plate, resting, shelve, slot_of, spread
from envs.table.objects import TableObject
from envs.table.rack import Limits, add_rack, add_stand
from envs.table.scene import FLOOR_Z, MAX_OBJECTS
from envs.table.world import World
from envs.tasks.asking import Asking
from envs.tasks.base import Layout, Status, Task, Verdict

DROPPED_Z = -0.05
"""A dish whose centre is lower has left the table [m]."""


class LoadRack(Task):
    """Reward: share of the denoted dishes that an action brought into a slot, less the share that it dropped on the floor.

    A plate is in a slot when it stands on edge between the tines, within 20 degrees and 14 mm; a cup when it stands in a
    cell, either way up, within 10 degrees and 20 mm (`envs.table.rack.Limits`); both at rest and let go. Which slot is the
    player's choice. Success: every denoted dish in a slot, and the others still on the table. Over when no denoted dish is
    on the table any more.

    Plates start on edge in small stands: a hand that points straight down can take a plate by its sides, but could not lift
    one that lies flat. The bin is not there. Factors of variation leave the dishes' shapes and sizes as they are: the rack is
    made for them.
    """

    env_id = "worldmodel/LoadRack-v0"
    budgets: ClassVar[dict[str, int]] = {"pick_place": 8, "ee_delta": 500, "joint": 500}
    num_objects = (3, 3)
    instruction = "load the rack"
    pick_place = PickPlaceConfig(
        grasp_height=0.030, lift_height=0.22, travel_height=0.17, opening=0.095, release_by=0.024, release_gap=0.010,
        min_held_opening=0.006, min_grip=-1.0, max_place_force=25.0, pad_softness=0.01, servo_damping=0.5,
    )  # fmt: skip
    asking: Asking

    def __init__(self) -> None:
        self.asking = Asking("rack", self.instruction)
        self.limits = Limits()
        self.stands: list[tuple[int, np.ndarray]] = []
        """Slot and place (x, y, yaw) of each stand [m, rad]."""

    def add_to(self, spec: mujoco.MjSpec) -> None:
        """See `Task.add_to`: the rack instead of the bin, and a stand for each slot."""
        for geom in [geom for geom in spec.worldbody.geoms if geom.name.startswith("bin_")]:
            spec.delete(geom)
        add_rack(spec.worldbody)
        for slot in range(MAX_OBJECTS):
            add_stand(spec.worldbody, f"stand{slot}", np.array([0.2 * slot, 0, FLOOR_Z - 1]))

    def start(self, num_objects: int, rng: np.random.Generator) -> Layout:
        """See `Task.start`."""
        dishes = self._draw(num_objects, rng)
        places = spread(dishes, rng)
        return self._layout(dishes, places, places)

    def goal(self, num_objects: int, rng: np.random.Generator) -> Layout:
        """See `Task.goal`; what shall stay, and the stands, are where they start with the same seed."""
        dishes = self._draw(num_objects, rng)
        starts = spread(dishes, rng)
        asked = np.array([self.asking.target[dish.slot] for dish in dishes])[:, None]
        return self._layout(dishes, starts, np.where(asked, shelve(dishes, rng), starts))

    def furnish(self, world: World) -> None:
        """See `Task.furnish`: the stands; mocap bodies go back below the floor when the simulation is reset."""
        for slot, place in self.stands:
            mocap = int(world.model.body(f"stand{slot}").mocapid[0])
            world.data.mocap_pos[mocap] = (*place[:2], 0.0)
            world.data.mocap_quat[mocap] = (np.cos(place[2] / 2), 0, 0, np.sin(place[2] / 2))

    def judge(self, world: World, before: np.ndarray) -> Verdict:
        """See `Task.judge`."""
        return Verdict(*self.asking.judge(before, self.statuses(world), Status.TABLE, Status.BIN, Status.FLOOR))

    def statuses(self, world: World) -> np.ndarray:
        """(slots,) int64 `Status` of each dish; BIN is the rack. What is held, or still moves, is not there yet."""
        result, held = np.full(MAX_OBJECTS, int(Status.ABSENT), np.int64), world.held()
        for dish in world.objects:
            pose = world.poses[dish.slot]
            result[dish.slot] = Status.FLOOR if pose[2] < DROPPED_Z else Status.TABLE
            at_rest = world.speed(dish.slot) < QUIET_SPEED and not held[dish.slot]
            if at_rest and slot_of(dish, pose, self.limits) is not None:
                result[dish.slot] = Status.BIN
        return result

    def expert(self, world: World, control: Control, rng: np.random.Generator) -> np.ndarray:
        """See `Task.expert`."""
        if isinstance(control, LowLevelControl):
            return control.toward(*load_by_hand(world, control, self.waiting(world)))
        return cast(PickPlaceControl, control).action(*load_next(world, self.waiting(world), rng))

    def aimed(self, world: World, control: Control, rng: np.random.Generator) -> np.ndarray:
        """See `Task.aimed`."""
        if isinstance(control, LowLevelControl):
            return np.clip(self.expert(world, control, rng) + rng.normal(0, 0.4, len(control.names)), -1, 1)
        return cast(PickPlaceControl, control).action(*load_roughly(world, self.waiting(world), rng))

    def info(self, world: World) -> dict[str, Any]:
        """See `Task.info`: which dishes are denoted, (slots,)."""
        return self.asking.info()

    def waiting(self, world: World) -> list[TableObject]:
        """The denoted dishes that are not in the rack yet, and not lost."""
        statuses = self.statuses(world)
        return [dish for dish in world.objects if statuses[dish.slot] == Status.TABLE and self.asking.target[dish.slot]]

    def _draw(self, num_objects: int, rng: np.random.Generator) -> list[TableObject]:
        stream = own_stream(rng)  # before the dishes are drawn, and without a draw of its own
        dishes = draw_dishes(num_objects, rng)
        if self.alter is not None:  # other colours and masses, but dishes of which the rack is made for
            varied = zip(dishes, self.alter(dishes), strict=True)
            dishes = [replace(other, shape=dish.shape, half=dish.half) for dish, other in varied]
        self.instruction = self.asking.ask(dishes, stream).text
        return dishes

    def _layout(self, dishes: list[TableObject], starts: np.ndarray, places: np.ndarray) -> Layout:
        self.stands = [(dish.slot, start) for dish, start in zip(dishes, starts, strict=True) if is_plate(dish)]
        return Layout(dishes, np.array([resting(dish, at[:2], at[2]) for dish, at in zip(dishes, places, strict=True)]))
