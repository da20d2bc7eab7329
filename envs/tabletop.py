"""TabletopEnv: a robot at a table as a Gymnasium environment, composed of a task, a control mode and a robot."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, cast

import gymnasium as gym
import mujoco
import numpy as np
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.spaces import Box

from envs.controls import CONTROLS
from envs.controls.base import Outcome
from envs.goals.showing import goal_of
from envs.instructions.grammar import text_bytes
from envs.names import require_known
from envs.robots import make_robot
from envs.robots.motion import Stage, run
from envs.sensors.reading import Sensors, SensorsConfig, Vector
from envs.sensors.rendering import FilmCamera
from envs.sensors.vectors import Readings
from envs.setup import Setup
from envs.table.edits import edited
from envs.table.objects import TableObject
from envs.table.world import World
from envs.tasks.base import Status, Verdict
from envs.variations import Variations, VariationsConfig


class TabletopEnv(gym.Env[dict[str, np.ndarray], np.ndarray]):
    """A table, a bin along one edge, one to five objects, and a robot with a paddle or a gripper.

    What is asked is a task's to say (`envs.tasks`), what an action means a control mode's (`envs.controls`): by default
    the table is to be cleared by sweeps. Every element of an action lies in [-1, 1].

    Observation: `pixels` uint8 (image_size, image_size, 3) from overhead; `proprio` (6 or more,) pose of the tool, the largest
    force that it felt during the action, and what the control mode adds; `state` (40 or more,) presence and pose of
    every object and what the task adds, privileged.

    Terminated when the task is done or beyond saving; truncated after `max_steps` actions.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 1}  # noqa: RUF012, one a class in Gymnasium

    def __init__(
        self,
        robot: str = "arm",
        num_objects: int | tuple[int, int] | None = None,
        image_size: int = 64,
        max_sweeps: int | None = None,
        film_every: int = 0,
        render_mode: str | None = None,
        *,
        task: str = "clear",
        control_mode: str | None = None,
        max_steps: int | None = None,
        instruction: str = "all",
        paraphrases: str = "train",
        observations: Sequence[str] | None = None,
        cameras: Mapping[str, int | tuple[int, int]] | None = None,
        variations: Mapping[str, Any] | VariationsConfig | None = None,
    ) -> None:
        """Build the scene.

        `num_objects` is a number or an inclusive range; it, `control_mode` and `max_steps` (or `max_sweeps`, the same by its
        older name) are the task's own unless given. With `film_every` = k > 0, `info["film"]` holds a picture of every k-th
        controller tick (20 ms) of the last action. With `instruction="any"` each episode asks in words for some objects, or
        for all; `paraphrases` are the wordings, train or held_out.

        `observations` names what is observed (`envs.sensors.reading`); `cameras` gives a camera's size where it is not
        `image_size`, {"side": 96, "wrist": (64, 96)}; `variations` says what differs between episodes besides the task
        (`envs.variations`), {"factors": ["light", "camera"], "split": "train"}. ValueError names a wrong argument.
        """
        setup = Setup.of(
            robot, task, control_mode, num_objects, {"max_sweeps": max_sweeps, "max_steps": max_steps}, instruction, paraphrases
        )
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"unknown render_mode {render_mode!r}; available: rgb_array")
        sensors = SensorsConfig.of(observations, cameras, image_size)
        if not isinstance(film_every, int) or film_every < 0:
            raise ValueError(f"film_every must be a whole number of at least 0, got {film_every!r}")
        self.robot_name, self.object_range, self.image_size = robot, setup.object_range, image_size
        self.task, self.max_steps, self.render_mode, self.film_every = setup.task, setup.budget, render_mode, film_every

        make_tool, make_control = CONTROLS[setup.control_mode]
        self.robot = make_robot(robot, make_tool())
        self.variations = Variations(VariationsConfig.of(variations, delay=not make_control.is_skill))
        self.task.alter = self.variations.alter
        self.world = World(self.robot, [self.task.add_to, self.variations.add_to])
        self.control = make_control(self.world, self.task)
        self.model, self.skill = self.world.model, cast(Any, self.control.motion)
        self.readings = Readings(self.world, self.task, self.control)
        self.sensors = Sensors(self.model, sensors, self.readings.names)
        self._vectors: dict[str, Vector] = {"proprio": self.readings.proprio, "state": self.readings.state}
        self._vectors["instruction"] = lambda task=self.task: text_bytes(task.instruction)
        self.film_camera = FilmCamera(self.model)
        unit = np.ones(len(self.control.names), np.float32)
        self.action_space = Box(-unit, unit, dtype=np.float32)
        self.observation_space = self.sensors.space  # pyright: ignore[reportAttributeAccessIssue]
        skill = self.control.is_skill
        self.metadata = type(self).metadata | {"render_fps": 1 if skill else 10, "even_steps": not skill}
        self._still = self.control.still()
        self.steps = 0
        self._begun: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None
        """The state of the generator and the options with which the episode was reset."""

    # ---- Gymnasium ----

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Draw and place a new episode; `options={"goal": True}` places it as the task wants it to end.

        With `options={"variation_seed": k}` the factors of variation come from k instead of from the environment's seed;
        {"instruction": "only the red cup"} asks for just that.
        """
        super().reset(seed=seed)
        rng = self.np_random
        options = options or {}
        for name in options:
            require_known("reset options", name, ("goal", "variation_seed", "instruction"))
        if self.task.asking is not None:
            self.task.asking.words = options.get("instruction")
        elif "instruction" in options:
            raise ValueError("this task asks for the same in every episode: leave out the reset option instruction")
        self._begun = rng.bit_generator.state, options
        self.variations.begin(self.model, rng, options.get("variation_seed"))
        draw = self.task.goal if options.get("goal") else self.task.start
        layout = draw(int(rng.integers(self.object_range[0], self.object_range[1] + 1)), rng)

        def furnish() -> None:
            self.task.furnish(self.world)
            self.variations.stand(self.model, self.data)

        start = self.control.start if layout.tool is None else self.control.joints_at(layout.tool)
        self.world.place(layout.objects, layout.poses, self.control.motion, start, furnish)
        self.task.begin(self.world)
        self.control.begin()
        self.steps, self.readings.peak_force = 0, 0.0
        verdict = self.task.judge(self.world, self.statuses())
        self.sensors.rest()
        return self.observe(), self._info(verdict, None, []) | self._variation()

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """Carry out one action and look again."""
        action = np.asarray(action, np.float64)
        if action.shape != self.action_space.shape or not np.isfinite(action).all():
            num, name = len(self.control.names), self.control.name
            raise InvalidAction(f"an action of mode {name} is {num} finite numbers in [-1, 1], got {action!r}")
        before = self.statuses()
        film: list[np.ndarray] = []
        ticks = 0

        def record(_: Stage) -> None:
            nonlocal ticks
            if self.sensors.watches_touch:
                self.sensors.feel(self.data)
            if self.film_every and ticks % self.film_every == 0:
                film.append(self.film_camera.render(self.data))
            ticks += 1

        self.sensors.rest()
        watch = record if self.film_every or self.sensors.watches_touch else None
        outcome = run(self.model, self.data, self.control.act(self.variations.late(action, self._still)), watch)
        self.steps += 1
        self.readings.peak_force = outcome.peak_force
        verdict = self.task.judge(self.world, before)
        truncated = not verdict.over and self.steps >= self.max_steps
        return self.observe(), verdict.reward, verdict.over, truncated, self._info(verdict, outcome, film)

    def render(self) -> np.ndarray | None:
        """A film-quality picture (480, 640, 3) of the scene as it stands."""
        return self.film_camera.render(self.data) if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Free the renderers; closing twice is harmless."""
        self.sensors.close()
        self.film_camera.close()

    # ---- what agents, recorders and manifests ask ----

    def describe(self) -> dict[str, Any]:
        """What is observed and done, as plain JSON values: the part of a manifest that the environment answers for."""
        default = next(iter(self.task.budgets))
        kwargs = {"robot": self.robot_name, "num_objects": list(self.object_range), "image_size": self.image_size}
        kwargs |= {"control_mode": self.control.name} if self.control.name != default else {}
        kwargs |= self.task.asking.describe() if self.task.asking is not None else {}
        kwargs |= {"max_sweeps" if self.control.name == "sweep" else "max_steps": self.max_steps}
        kwargs |= self.sensors.config.kwargs(self.image_size) | self.variations.config.kwargs()
        return {
            "env_id": self.task.env_id,
            "env_kwargs": kwargs,
            "sensors": self.sensors.describe(),
            "action": self.sensors.calibrate(self.control.describe()),
            "control_mode": self.control.name,
            "robot": self.robot_name,
            "renderer": self.sensors.renderer_name,
        }

    def expert_action(self, rng: np.random.Generator) -> np.ndarray:
        """The scripted expert's action (A,), from privileged state."""
        return self.task.expert(self.world, self.control, rng).astype(np.float32)

    def aimed_action(self, rng: np.random.Generator) -> np.ndarray:
        """A noisy action (A,) that is likely to move something: what recorded data are made of."""
        return self.task.aimed(self.world, self.control, rng).astype(np.float32)

    def observe_edited(
        self, slot: int, *, pose: np.ndarray | None = None, rgb: np.ndarray | None = None, present: bool = True
    ) -> dict[str, np.ndarray]:
        """The observation if one object had another pose (7,) [m, unit quaternion] or colour (3,), or were gone.

        Nothing else changes, and the world itself stays as it is: for showing a model what cannot happen. ValueError for a
        slot without an object.
        """
        with edited(self.world, slot, pose, rgb, present):
            return self.observe()

    def goal_observation(self) -> dict[str, np.ndarray]:
        """The observation when this episode's task is done: its own objects, colours and mark; the world stays as it is.

        ResetNeeded before the first episode.
        """
        if self._begun is None:
            raise ResetNeeded("an episode's goal can be shown when it has begun: call reset first")
        return goal_of(self, self._begun)

    @property
    def own_goals(self) -> bool:
        """Whether an episode's goal looks other than another's; if not, a plan may lead to the goal of any."""
        return self.task.own_goals

    @property
    def instruction(self) -> str:
        """The task in words."""
        return self.task.instruction

    @property
    def data(self) -> mujoco.MjData:
        """The state of the simulation."""
        return self.world.data

    @property
    def objects(self) -> list[TableObject]:
        """The objects of this episode."""
        return self.world.objects

    @property
    def max_sweeps(self) -> int:
        """`max_steps`, by its older name."""
        return self.max_steps

    @max_sweeps.setter
    def max_sweeps(self, budget: int) -> None:
        self.max_steps = budget

    def on_table(self) -> list[tuple[np.ndarray, float]]:
        """(x, y) [m] and footprint radius [m] of every object on the table; one that has tipped over takes more room."""
        return self.task.on_table(self.world)

    def positions(self) -> np.ndarray:
        """(slots, 3) centres of the objects [m]; zeros for a slot that is not used."""
        return self.world.positions

    def statuses(self) -> np.ndarray:
        """(slots,) int64 `Status` of each object."""
        return self.task.statuses(self.world)

    # ---- what is observed ----

    def observe(self) -> dict[str, np.ndarray]:
        """The observation of the world as it stands."""
        blur = functools.partial(self.variations.blur, frame=self.steps) if "sensor_noise" in self.variations else None
        return self.sensors.observe(self.data, self._vectors, blur)

    # ---- inside ----

    def _variation(self) -> dict[str, Any]:
        return {"variation": self.variations.values} if self.variations.values else {}

    def _info(self, verdict: Verdict, outcome: Outcome | None, film: list[np.ndarray]) -> dict[str, Any]:
        statuses = self.statuses()
        count = statuses.tolist().count
        info: dict[str, Any] = {
            "success": verdict.success,
            "num_objects": len(self.objects),
            "num_cleared": count(Status.BIN),
            "num_dropped": count(Status.FLOOR),
            "status": statuses,
            "position": self.positions()[:, :2].astype(np.float32),
            "objects": [thing.name for thing in self.objects],
            "workspace_violations": self.control.violations,
            "instruction": self.instruction,
            **self.task.info(self.world),
        }
        if outcome is not None:
            info |= {**outcome.info, "peak_force": outcome.peak_force, "duration": outcome.duration}
        if self.film_every:
            info["film"] = film
        return info
