"""What the small classics share: the Gymnasium contract, goals as states and as pictures, and the description of the world.

A STATE is everything that can be set, in the task's own units: `env.set_state(state)` and the observation `state` are inverse
to each other. A GOAL is a state too, and its picture is what that state looks like. So a recorded trajectory is full of
goals: ahead.py.
"""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium as gym
import mujoco
import numpy as np
from gymnasium.error import InvalidAction
from gymnasium.spaces import Box, Dict

from envs.classics.ahead import walked_ahead
from envs.classics.describing import described
from envs.classics.task import Task
from envs.sensors.rendering import Camera, FilmCamera
from envs.tasks.base import Status

RESET_OPTIONS = ("goal", "state", "goal_state")


class ClassicEnv(Task, gym.Env[dict[str, np.ndarray], np.ndarray]):
    """A small world seen from above.

    Action (A,) in [-1, 1]. Observation: `pixels` uint8 (image_size, image_size, 3), `proprio` (P,), `state` (S,) privileged.
    Reward 1 on the step that reaches the goal, else 0. Terminated at the goal, truncated after `max_steps`.

    With `goal_steps` the goal is the state that a random half of the expert's actions and of aimed ones reach in so many steps.
    `reset(options=...)`: `state` and `goal_state` (S,) set the start and the goal instead of drawing them; `goal` True starts
    in the goal state, which shows what the seed's goal looks like. Starts that are solved already are redrawn.

    Info: `success`, `goal_distance`, `goal_state` (S,); and what `TabletopEnv` tells: `position` (slots, 2) [m] of the things
    that matter, their `status` (slots,), which is `Status.BIN` when the goal is reached, `num_objects` 1, `num_cleared` and
    `num_dropped`.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(
        self,
        spec: mujoco.MjSpec,
        *,
        image_size: int,
        max_steps: int,
        goal_steps: int = 0,
        film_every: int = 0,
        render_mode: str | None = None,
    ) -> None:
        """Compile the scene, which needs the cameras `overhead` and `film`. ValueError names a wrong argument."""
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"unknown render_mode {render_mode!r}; available: rgb_array")
        if not isinstance(image_size, int) or not 8 <= image_size <= 480:
            raise ValueError(f"image_size must be a whole number in 8..480, got {image_size!r}")
        if not isinstance(max_steps, int) or max_steps < 1:
            raise ValueError(f"max_steps must be a whole number of at least 1, got {max_steps!r}")
        for name, number in (("film_every", film_every), ("goal_steps", goal_steps)):
            if not isinstance(number, int) or number < 0:
                raise ValueError(f"{name} must be a whole number of at least 0, got {number!r}")
        self.image_size, self.max_steps, self.film_every, self.render_mode = image_size, max_steps, film_every, render_mode
        self.goal_steps = goal_steps
        self.model = spec.compile()
        self.data, self._other = mujoco.MjData(self.model), mujoco.MjData(self.model)
        self.camera, self.film_camera = Camera(self.model, "overhead", image_size), FilmCamera(self.model)

        unit = np.ones(len(self.action_names), np.float32)
        proprio, state = np.array(self.proprio_bound, np.float32), np.array(self.state_bound, np.float32)
        self.action_space = Box(-unit, unit, dtype=np.float32)
        self.observation_space = Dict(  # pyright: ignore[reportAttributeAccessIssue]
            pixels=Box(0, 255, (image_size, image_size, 3), np.uint8),
            proprio=Box(-proprio, proprio, dtype=np.float32),
            state=Box(-state, state, dtype=np.float32),
        )
        self.goal_state = np.zeros(len(self.state_names))
        self.steps = 0
        self._goal_pixels: np.ndarray | None = None

    # ---- Gymnasium ----

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Begin an episode; see the class for the options. ValueError for an unknown option or a state of another shape."""
        super().reset(seed=seed)
        options = options or {}
        unknown = set(options) - set(RESET_OPTIONS)
        if unknown:
            raise ValueError(f"unknown reset options {sorted(unknown)}; available: {', '.join(RESET_OPTIONS)}")
        start, goal = self._draw(options)
        self.set_goal(goal)
        self.set_state(goal if options.get("goal") else start)
        self.steps = 0
        return self._observe(), self._info()

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """One step of the world. InvalidAction for anything but A finite numbers; they are clipped to [-1, 1]."""
        action = np.asarray(action, np.float64)
        if action.shape != self.action_space.shape or not np.all(np.isfinite(action)):
            raise InvalidAction(f"an action is {len(self.action_names)} finite numbers in [-1, 1], got {action!r}")
        self.act(np.clip(action, -1, 1))
        _see(self.model, self.data)
        self.steps += 1
        info = self._info()
        success = info["success"]
        return self._observe(), float(success), success, not success and self.steps >= self.max_steps, info

    def render(self) -> np.ndarray | None:
        """A large picture (480, 640, 3) of the world as it stands."""
        return self.film_camera.render(self.data) if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Free the renderers; closing twice is harmless."""
        self.camera.close()
        self.film_camera.close()

    # ---- goals ----

    def set_state(self, state: np.ndarray) -> None:
        """Put the world into a state (S,)."""
        mujoco.mj_resetData(self.model, self.data)
        self.place(self.data, self._checked(state))
        mujoco.mj_forward(self.model, self.data)

    def set_goal(self, goal: np.ndarray) -> None:
        """Make a state (S,) the goal. A goal that is marked in the picture is marked from the next `set_state` on."""
        self.goal_state, self._goal_pixels = self._checked(goal), None

    @property
    def goal_pixels(self) -> np.ndarray:
        """What the goal state looks like, (image_size, image_size, 3) uint8."""
        if self._goal_pixels is None:
            self._goal_pixels = self.picture_of(self.goal_state)
        return self._goal_pixels.copy()

    def goal_observation(self) -> dict[str, np.ndarray]:
        """The goal of this episode as it would be observed: pixels and proprio."""
        picture, world = self.goal_pixels, self.data
        self.data = self._other
        try:
            mujoco.mj_resetData(self.model, self.data)
            self.place(self.data, self.goal_state)
            return {"pixels": picture, "proprio": np.array(self.proprio(), np.float32)}
        finally:
            self.data = world

    def picture_of(self, state: np.ndarray) -> np.ndarray:
        """What a state (S,) looks like, (image_size, image_size, 3) uint8; the world itself stays as it is."""
        mujoco.mj_resetData(self.model, self._other)
        self.place(self._other, self._checked(state))
        _see(self.model, self._other)
        return self.camera.render(self._other)

    def reached(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """Whether states (..., S) are at goal states (..., S): booleans (...)."""
        return self.goal_distance(achieved, desired) < 1

    # ---- inside ----

    def description(self, action: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """The part of a manifest that the environment answers for; `kwargs` are the task's own arguments."""
        common = {"image_size": self.image_size, "max_steps": self.max_steps, "goal_steps": self.goal_steps}
        return described(self, self.image_size, self.camera.renderer_name, action, {**kwargs, **common})

    def _draw(self, options: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        while True:
            start = options.get("state")
            start = self.draw_start(self.np_random) if start is None else self._checked(start)
            goal = options.get("goal_state")
            if goal is None:
                goal = self.draw_goal(start, self.np_random)
                goal = walked_ahead(self, start, goal, self.goal_steps, self.np_random) if self.goal_steps else goal
            goal = self._checked(goal)
            given = "state" in options and "goal_state" in options
            if given or not self.reached(start, goal):
                return start, goal

    def _checked(self, state: np.ndarray) -> np.ndarray:
        state = np.array(state, np.float64)
        if state.shape != (len(self.state_names),) or not np.all(np.isfinite(state)):
            raise ValueError(
                f"a state is {len(self.state_names)} finite numbers ({', '.join(self.state_names)}), got {state!r}"
            )
        return state

    def _observe(self) -> dict[str, np.ndarray]:
        proprio, state = (np.array(x, np.float32) for x in (self.proprio(), self.state()))
        bounds = np.array(self.proprio_bound, np.float32), np.array(self.state_bound, np.float32)
        return {
            "pixels": self.camera.render(self.data),
            "proprio": np.clip(proprio, -bounds[0], bounds[0]),
            "state": np.clip(state, -bounds[1], bounds[1]),
        }

    def _info(self) -> dict[str, Any]:
        distance = float(self.goal_distance(self.state(), self.goal_state))
        success, positions = distance < 1, self.positions()
        info: dict[str, Any] = {
            "success": success,
            "goal_distance": distance,
            "goal_state": self.goal_state.copy(),
            "position": positions.astype(np.float32),
            "status": np.full(len(positions), int(Status.BIN if success else Status.TABLE), np.int64),
            "num_objects": 1,
            "num_cleared": int(success),
            "num_dropped": 0,
        }
        if self.film_every:
            info["film"] = [self.film_camera.render(self.data)] if self.steps else []
        return info


def _see(model: mujoco.MjModel, data: mujoco.MjData) -> None:
    """Move everything that is drawn to where the state says it is."""
    mujoco.mj_kinematics(model, data)
    mujoco.mj_camlight(model, data)
