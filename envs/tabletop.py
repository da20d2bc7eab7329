"""TabletopEnv: a robot at a table as a Gymnasium environment in which one action is one whole sweep."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import gymnasium as gym
import mujoco
import numpy as np
from gymnasium.error import InvalidAction
from gymnasium.spaces import Box, Dict

from envs import experts
from envs.arm import ROBOTS
from envs.objects import TableObject, draw_objects
from envs.rendering import Camera, FilmCamera
from envs.scene import CAMERA_HALF_VIEW, CAMERA_POS, FLOOR_Z, MAX_OBJECTS, OBJECT, build_spec, paint_slot, park_slot, shape_slot
from envs.skills import SweepConfig, SweepResult, SweepSkill
from envs.tasks.clear import INSTRUCTION, Status, classify, goal_layout, start_layout

SWEEP_LOW, SWEEP_HIGH = np.array([-0.22, -0.31]), np.array([0.22, 0.34])
"""Corners of the region in which a sweep starts and ends, (x, y) [m]: actions of -1 and +1."""
PROPRIO_NAMES = ("tool_x [m]", "tool_y [m]", "tool_z [m]", "cos_yaw", "sin_yaw", "peak_force [100 N]")
STATE_PER_SLOT = ("present", "x [m]", "y [m]", "z [m]", "qw", "qx", "qy", "qz")
STATE_BOUND = 10.0


class TabletopEnv(gym.Env[dict[str, np.ndarray], np.ndarray]):
    """A table, a bin along one edge, one to five objects, and a robot that sweeps them.

    Action (4,): start x, start y, end x, end y of a sweep, each in [-1, 1] over the region of sweeps. The robot lowers its
    paddle at the start, sweeps to the end, lifts, and leaves the picture; a paddle that comes down on an object is
    lifted again without a sweep.

    Observation: `pixels` uint8 (image_size, image_size, 3) from overhead; `proprio` (6,) pose of the tool and the largest force
    that it felt during the sweep; `state` (40,) presence and pose of every object, privileged.

    Reward: share of the objects that this sweep brought into the bin, less the share that it dropped on the floor.
    Terminated when no object is on the table any more; truncated after `max_sweeps`. `info["success"]`: all in the bin.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 1}

    def __init__(
        self,
        robot: str = "arm",
        num_objects: int | tuple[int, int] = 3,
        image_size: int = 64,
        max_sweeps: int = 8,
        film_every: int = 0,
        render_mode: str | None = None,
    ) -> None:
        """Build the scene.

        `num_objects` is a number or an inclusive range; with `film_every` = k > 0, `info["film"]` holds a picture of every
        k-th controller tick (20 ms) of the last sweep. ValueError names a wrong argument.
        """
        low, high = (num_objects, num_objects) if isinstance(num_objects, int) else tuple(num_objects)
        if robot not in ROBOTS:
            raise ValueError(f"unknown robot {robot!r}; available: {', '.join(sorted(ROBOTS))}")
        if not 1 <= low <= high <= MAX_OBJECTS:
            raise ValueError(f"num_objects must lie in 1..{MAX_OBJECTS}, got {num_objects}")
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"unknown render_mode {render_mode!r}; available: rgb_array")
        if image_size < 8 or image_size > 480:
            raise ValueError(f"image_size must lie in 8..480, got {image_size}")
        if not isinstance(max_sweeps, int) or max_sweeps < 1:
            raise ValueError(f"max_sweeps must be a whole number of at least 1, got {max_sweeps!r}")
        if not isinstance(film_every, int) or film_every < 0:
            raise ValueError(f"film_every must be a whole number of at least 0, got {film_every!r}")
        self.robot_name, self.object_range, self.image_size, self.max_sweeps = robot, (low, high), image_size, max_sweeps
        self.render_mode, self.film_every = render_mode, film_every

        self.robot = ROBOTS[robot]()
        spec = build_spec()
        self.robot.add_to(spec)
        self.model = spec.compile()
        self.data = mujoco.MjData(self.model)
        self.skill = SweepSkill(self.robot, self.model, SweepConfig())
        self.overhead = Camera(self.model, "overhead", image_size)
        self.film_camera = FilmCamera(self.model)
        self.object_qpos = int(self.model.joint("object0").qposadr[0])
        self.tool = self.model.site("tool").id

        unit = np.ones(4, np.float32)
        self.action_space = Box(-unit, unit, dtype=np.float32)
        bound = np.full(len(STATE_PER_SLOT) * MAX_OBJECTS, STATE_BOUND, np.float32)
        six = np.full(len(PROPRIO_NAMES), STATE_BOUND, np.float32)
        self.observation_space = Dict(  # pyright: ignore[reportAttributeAccessIssue]
            pixels=Box(0, 255, (image_size, image_size, 3), np.uint8),
            proprio=Box(-six, six, dtype=np.float32),
            state=Box(-bound, bound, dtype=np.float32),
        )
        self.objects: list[TableObject] = []
        self.sweeps = 0
        self.peak_force = 0.0

    # ---- Gymnasium ----

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Draw and place new objects; `options={"goal": True}` places them all in the bin instead of on the table."""
        super().reset(seed=seed)
        rng = self.np_random
        unknown = set(options or {}) - {"goal"}
        if unknown:
            raise ValueError(f"unknown reset options {sorted(unknown)}; available: goal")
        self.objects = draw_objects(int(rng.integers(self.object_range[0], self.object_range[1] + 1)), rng)
        layout = goal_layout if (options or {}).get("goal") else start_layout
        self._place(layout(self.objects, rng))
        self.sweeps, self.peak_force = 0, 0.0
        return self._observe(), self._info(None, [])

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """Sweep once and look again when everything rests."""
        action = np.asarray(action, np.float64)
        if action.shape != (4,) or not np.all(np.isfinite(action)):
            raise InvalidAction(f"a sweep is 4 finite numbers in [-1, 1], got {action!r}")
        before = self.statuses()
        points = self.to_table(action.reshape(2, 2))
        film: list[np.ndarray] = []
        ticks = 0

        def record(_: object) -> None:
            nonlocal ticks
            if ticks % self.film_every == 0:
                film.append(self.film_camera.render(self.data))
            ticks += 1

        result = self.skill.execute(self.data, points[0], points[1], record if self.film_every else None)
        self.sweeps += 1
        self.peak_force = result.peak_force
        after = self.statuses()
        gained = np.sum(after == Status.BIN) - np.sum(before == Status.BIN)
        lost = np.sum(after == Status.FLOOR) - np.sum(before == Status.FLOOR)
        reward = float(gained - lost) / len(self.objects)
        terminated = not np.any(after == Status.TABLE)
        truncated = not terminated and self.sweeps >= self.max_sweeps
        return self._observe(), reward, bool(terminated), truncated, self._info(result, film)

    def render(self) -> np.ndarray | None:
        """A film-quality picture (480, 640, 3) of the scene as it stands."""
        return self.film_camera.render(self.data) if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Free the renderers; closing twice is harmless."""
        self.overhead.close()
        self.film_camera.close()

    # ---- what agents, recorders and manifests ask ----

    def describe(self) -> dict[str, Any]:
        """What is observed and done, as plain JSON values: the part of a manifest that the environment answers for."""
        size = self.image_size
        state_names = [f"object{slot}/{name}" for slot in range(MAX_OBJECTS) for name in STATE_PER_SLOT]
        (scale_x, scale_y), (mid_x, mid_y) = (SWEEP_HIGH - SWEEP_LOW) / 2, (SWEEP_HIGH + SWEEP_LOW) / 2
        view = CAMERA_HALF_VIEW
        return {
            "env_id": "worldmodel/TableClear-v0",
            "env_kwargs": {
                "robot": self.robot_name,
                "num_objects": list(self.object_range),
                "image_size": size,
                "max_sweeps": self.max_sweeps,
            },
            "sensors": {
                "pixels": {"shape": [size, size, 3], "dtype": "uint8", "kind": "image", "camera": "overhead"},
                "proprio": {"shape": [len(PROPRIO_NAMES)], "dtype": "float32", "kind": "vector", "names": list(PROPRIO_NAMES)},
                "state": {
                    "shape": [len(state_names)], "dtype": "float32", "kind": "vector",
                    "names": state_names, "privileged": True,
                },
            },
            "action": {
                "names": ["start_x", "start_y", "end_x", "end_y"],
                "low": [-1.0] * 4,
                "high": [1.0] * 4,
                "points": [[0, 1], [2, 3]],
                "image_from_action": [
                    [scale_x / view, 0.0, (mid_x - CAMERA_POS[0]) / view],
                    [0.0, -scale_y / view, -(mid_y - CAMERA_POS[1]) / view],
                ],
            },
            "control_mode": "sweep",
            "robot": self.robot_name,
            "renderer": self.overhead.renderer_name,
        }  # fmt: skip

    def expert_action(self, rng: np.random.Generator) -> np.ndarray:
        """The scripted expert's sweep (4,), from privileged state."""
        return self._to_action(experts.clear_by_sweeps(self.on_table(), rng))

    def aimed_action(self, rng: np.random.Generator) -> np.ndarray:
        """A noisy sweep (4,) through an object drawn at random, or a random one when none is left."""
        return self._to_action(experts.aimed_sweep(self.on_table(), rng))

    def observe_edited(
        self, slot: int, *, pose: np.ndarray | None = None, rgb: np.ndarray | None = None, present: bool = True
    ) -> dict[str, np.ndarray]:
        """The observation if one object had another pose (7,) [m, unit quaternion] or colour (3,), or were gone.

        Nothing else changes, and the world itself stays as it is: for showing a model what cannot happen. ValueError for a
        slot without an object.
        """
        if slot not in [thing.slot for thing in self.objects]:
            raise ValueError(f"there is no object in slot {slot}; slots in use: {[thing.slot for thing in self.objects]}")
        data, objects, colours, flags = self.data, self.objects, self.model.geom_rgba.copy(), self.model.opt.enableflags
        self.data = copy.copy(data)
        try:
            self.model.opt.enableflags &= ~int(mujoco.mjtEnableBit.mjENBL_SLEEP)  # what sleeps is not moved
            if pose is not None:
                self._poses()[slot] = pose
            if rgb is not None:
                paint_slot(self.model, slot, np.asarray(rgb))
            if not present:
                self._poses()[slot, 2] = FLOOR_Z - 2
                self.objects = [thing for thing in objects if thing.slot != slot]
            mujoco.mj_kinematics(self.model, self.data)
            mujoco.mj_camlight(self.model, self.data)
            return self._observe()
        finally:
            self.data, self.objects, self.model.opt.enableflags = data, objects, flags
            self.model.geom_rgba[:] = colours

    @property
    def instruction(self) -> str:
        """The task in words."""
        return INSTRUCTION

    def to_table(self, points: np.ndarray) -> np.ndarray:
        """Table coordinates [m] of points (..., 2) given in action units, which are clipped to [-1, 1]."""
        return SWEEP_LOW + (np.clip(points, -1, 1) + 1) / 2 * (SWEEP_HIGH - SWEEP_LOW)

    def on_table(self) -> list[tuple[np.ndarray, float]]:
        """(x, y) [m] and footprint radius [m] of every object on the table; one that has tipped over takes more room."""
        poses, statuses = self._poses(), self.statuses()
        things = []
        for o in self.objects:
            if statuses[o.slot] == Status.TABLE:
                _, _, x, y = poses[o.slot, 3:]
                upright = abs(1 - 2 * (x**2 + y**2)) > 0.9  # cosine of its tilt
                things.append((poses[o.slot, :2].copy(), o.radius if upright else max(o.radius, o.height)))
        return things

    def positions(self) -> np.ndarray:
        """(slots, 3) centres of the objects [m]; zeros for a slot that is not used."""
        poses = self._poses()
        present = np.zeros((MAX_OBJECTS, 1))
        present[[o.slot for o in self.objects]] = 1
        return poses[:, :3] * present

    def statuses(self) -> np.ndarray:
        """(slots,) int64 `Status` of each object."""
        result = np.full(MAX_OBJECTS, int(Status.ABSENT), np.int64)
        poses = self._poses()
        for thing in self.objects:
            result[thing.slot] = classify(poses[thing.slot, :3])
        return result

    # ---- inside ----

    def _poses(self) -> np.ndarray:
        return self.data.qpos[self.object_qpos : self.object_qpos + 7 * MAX_OBJECTS].reshape(MAX_OBJECTS, 7)

    def _to_action(self, points: np.ndarray) -> np.ndarray:
        unit = (points - SWEEP_LOW) / (SWEEP_HIGH - SWEEP_LOW) * 2 - 1
        return np.clip(unit, -1, 1).reshape(4).astype(np.float32)

    def _place(self, poses: np.ndarray) -> None:
        """Put the objects at poses (n, 4), the robot at home, and let everything come to rest."""
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[self.skill.qpos] = self.robot.home
        self.data.ctrl[:] = self.robot.home
        for slot in range(MAX_OBJECTS):
            # An unused slot floats below the floor, touching nothing.
            park_slot(self.model, slot)
            self._set_slot(slot, present=False, pose=np.array([0.2 * slot, 0.0, FLOOR_Z - 2, 0.0]))
        for thing, pose in zip(self.objects, poses, strict=True):
            shape_slot(self.model, thing.slot, thing.shape, thing.half, thing.mass, thing.rgb)
            self._set_slot(thing.slot, present=True, pose=pose)
        mujoco.mj_setConst(self.model, mujoco.MjData(self.model))
        mujoco.mj_forward(self.model, self.data)
        self.skill.settle(self.data)

    def _set_slot(self, slot: int, present: bool, pose: np.ndarray) -> None:
        geom, body = self.model.geom(f"object{slot}").id, self.model.body(f"object{slot}").id
        self.model.geom_contype[geom] = OBJECT if present else 0
        self.model.geom_conaffinity[geom] = 7 if present else 0
        self.model.body_gravcomp[body] = 0 if present else 1
        self._poses()[slot] = (*pose[:3], np.cos(pose[3] / 2), 0, 0, np.sin(pose[3] / 2))

    def _observe(self) -> dict[str, np.ndarray]:
        position, rotation = self.data.site_xpos[self.tool], self.data.site_xmat[self.tool]
        proprio = np.array([*position, rotation[0], rotation[3], self.peak_force / 100], np.float32)
        state = np.zeros((MAX_OBJECTS, len(STATE_PER_SLOT)), np.float32)
        for thing in self.objects:
            state[thing.slot, 0] = 1
            state[thing.slot, 1:] = self._poses()[thing.slot]
        return {
            "pixels": self.overhead.render(self.data),
            "proprio": np.clip(proprio, -STATE_BOUND, STATE_BOUND),
            "state": np.clip(state, -STATE_BOUND, STATE_BOUND).reshape(-1),
        }

    def _info(self, result: SweepResult | None, film: list[np.ndarray]) -> dict[str, Any]:
        statuses = self.statuses()
        num_cleared, num_dropped = int(np.sum(statuses == Status.BIN)), int(np.sum(statuses == Status.FLOOR))
        info: dict[str, Any] = {
            "success": num_cleared == len(self.objects),
            "num_objects": len(self.objects),
            "num_cleared": num_cleared,
            "num_dropped": num_dropped,
            "status": statuses,
            "position": self.positions()[:, :2].astype(np.float32),
            "objects": [thing.name for thing in self.objects],
        }
        if result is not None:
            info |= {"blocked": result.blocked, "peak_force": result.peak_force, "duration": result.duration}
        if self.film_every:
            info["film"] = film
        return info
