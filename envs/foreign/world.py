"""ForeignEnv: another project's environment, which looks to an agent like one of this project's.

    observation  pixels: its picture observation, or else what it renders, resized; proprio: its vectors, one after the other;
                 achieved_goal, desired_goal (privileged) where it has the goal API
    action       its own Box, float32, as it is
    success      info["success"] or info["is_success"]; without them the return of the whole episode at or above the
                 reward_threshold of its registration; `success_return` comes before both. With none of them: never
    goal         what it shows of its goal (ogbench's info["goal"] and `render_goal`); failing that, others find a goal among
                 recorded frames: that which is nearest to its desired_goal, or that of the highest reward

What the world does not give is not made up: `lacks` says it in words.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Dict

from envs.foreign.chance import OwnChance
from envs.foreign.drawing import draw_fast, is_picture, resized, take_context
from envs.foreign.sensing import GOALS, bounds, entry, numbers, senses_of
from envs.foreign.telling import GOAL, look_around, package_of

HOLD = 8
"""Steps that a held action lasts on average."""


class ForeignEnv(gym.Env[dict[str, np.ndarray], np.ndarray]):
    """See the file. Info: the world's own, and `success`, `num_objects` 1, `num_cleared` (the success), `num_dropped` 0.

    `image_size`: height and width of pixels. `success_return`: least return of an episode that counts as a success.
    `shadows`: keep the world's own quality of pictures, which costs much without a GPU. `film_every`: 1 or more keeps the
    picture that it renders after each step in info["film"].
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 10}
    instruction = ""

    def __init__(
        self,
        inner: gym.Env,
        env_id: str,
        kwargs: dict[str, Any] | None = None,
        *,
        image_size: int = 64,
        success_return: float | None = None,
        shadows: bool = False,
        film_every: int = 0,
    ) -> None:
        """`kwargs` are those that `make` was called with. ValueError for a world that cannot be acted in or seen at all."""
        if not isinstance(image_size, int) or not 8 <= image_size <= 480:
            raise ValueError(f"image_size must be a whole number in 8..480, got {image_size!r}")
        self.inner, self.env_id, self.kwargs = inner, env_id, dict(kwargs or {})
        self.image_size, self.shadows, self.film_every = image_size, shadows, film_every
        self.low, self.high = _bounds_of(inner.action_space)
        self.action_space = Box(self.low, self.high, dtype=np.float32)
        self.senses = senses_of(inner.observation_space)
        self._chance = OwnChance()
        if not shadows:
            draw_fast(inner)
        with self._at_work():
            self.tells = look_around(inner, success_return)
        self.render_mode = "rgb_array" if self.tells.renders else None
        self.total = 0.0
        self._held: np.ndarray | None = None
        self._goal: dict[str, np.ndarray] | None = None
        self._desired: np.ndarray | None = None
        self._closed = False

        spaces: dict[str, gym.Space] = {}
        if self.tells.renders or self.senses.pictures:
            spaces["pixels"] = Box(0, 255, (image_size, image_size, 3), np.uint8)
        if self.senses.proprio:
            spaces["proprio"] = bounds(inner.observation_space, self.senses.vectors)
        for key in self.senses.goals:
            spaces[key] = bounds(inner.observation_space, (key,))
        if not {"pixels", "proprio"} & spaces.keys():
            raise ValueError(f"it shows neither pictures nor numbers: it observes {inner.observation_space}")
        self.observation_space = Dict(spaces)  # pyright: ignore[reportAttributeAccessIssue]

    # ---- Gymnasium ----

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Begin an episode. ValueError for {"goal": True}, which only this project's own worlds know."""
        if (options or {}).get("goal"):
            raise ValueError(f"{self.env_id} cannot be reset into its goal")
        super().reset(seed=seed)
        if seed is not None:
            self.inner.action_space.seed(seed)
            self._chance.seed(seed)
        asked = {**(options or {}), **({"render_goal": True} if self.tells.shows_goal and self.tells.renders else {})}
        with self._at_work():
            observation, info = self.inner.reset(seed=seed, options=asked or None)
        if not self.shadows:
            draw_fast(self.inner)  # some compile their model anew
        self.total, self._held = 0.0, None
        self._goal = self._shown_goal(info) if self.tells.shows_goal else None
        return self._observe(observation), self._info(info, over=False)

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """One step of the world, its action clipped to its bounds."""
        space: Any = self.inner.action_space  # its own bounds: as float32 they may lie a little beyond
        clipped = np.clip(np.asarray(action, np.float64), space.low, space.high).astype(space.dtype)
        with self._at_work():
            observation, reward, terminated, truncated, info = self.inner.step(clipped)
        self.total += float(reward)
        info = self._info(info, over=bool(terminated or truncated))
        return self._observe(observation), float(reward), bool(terminated), bool(truncated), info

    def render(self) -> np.ndarray | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The picture that the world itself renders; None where it renders none."""
        if not self.tells.renders:
            return None
        take_context(self.inner)
        picture: Any = self.inner.render()
        return picture

    def close(self) -> None:
        """Close the world once, also where a second time would be an error."""
        if not self._closed:
            self._closed = True
            self.inner.close()

    # ---- what recorders and agents ask ----

    @property
    def lacks(self) -> tuple[str, ...]:
        """A line for each thing that this world cannot give."""
        limited = self.inner.spec is not None and self.inner.spec.max_episode_steps is not None
        endless = "it has no limit of steps that is registered, and may never end: set env.kwargs.max_steps"
        return (*self.tells.lacks(self.senses), *(() if limited else (endless,)))

    def goal_observation(self) -> dict[str, np.ndarray] | None:
        """What the world shows of this episode's goal, with the keys of an observation; None when it shows nothing."""
        return None if self._goal is None else {key: value.copy() for key, value in self._goal.items()}

    def desired_goal(self) -> np.ndarray | None:
        """This episode's goal as numbers (G,) in the units of `achieved_goal`; None where there is no goal API."""
        return None if self._desired is None else self._desired.copy()

    def aimed_action(self, rng: np.random.Generator) -> np.ndarray:
        """A random action that is held for a while, which gets around further than a new one every step."""
        if self._held is None or rng.random() < 1 / HOLD:
            self._held = rng.uniform(self.low, self.high).astype(np.float32)
        return self._held.copy()

    def describe(self) -> dict[str, Any]:
        """What is observed and done, as plain JSON values: a WorldSpec's."""
        camera = self.senses.pictures[0] or "observation" if self.senses.pictures else "render"
        sensors: dict[str, dict[str, Any]] = {}
        for key, box in self.observation_space.items():  # pyright: ignore[reportAttributeAccessIssue]
            kind = {"kind": "image", "camera": camera} if key == "pixels" else {"kind": "vector"}
            sensors[key] = {"shape": list(box.shape), "dtype": str(box.dtype), "privileged": key in GOALS, **kind}
        names = [f"action_{i}" for i in range(len(self.low))]
        return {
            "env_id": self.env_id,
            "env_kwargs": self.kwargs,
            "sensors": sensors,
            "action": {"names": names, "low": self.low.tolist(), "high": self.high.tolist()},
            "control_mode": "step",
            "robot": type(self.inner.unwrapped).__name__,
            "renderer": package_of(self.inner),
        }

    # ---- inside ----

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """Chance and the GL context are the world's own while it is at work."""
        take_context(self.inner)
        with self._chance.at_work():
            yield

    def _observe(self, observation: Any) -> dict[str, np.ndarray]:
        seen: dict[str, np.ndarray] = {}
        if self.senses.pictures:
            seen["pixels"] = resized(entry(observation, self.senses.pictures[0]), self.image_size)
        elif self.tells.renders:
            seen["pixels"] = resized(np.asarray(self.render()), self.image_size)
        if self.senses.proprio:
            seen["proprio"] = numbers(observation, self.senses.vectors)
        for key in self.senses.goals:
            seen[key] = numbers(observation, (key,))
        self._desired = seen.get("desired_goal")
        return seen

    def _shown_goal(self, info: dict[str, Any]) -> dict[str, np.ndarray] | None:
        """The goal in info["goal"], an observation, and its picture in info["goal_rendered"] where that is none itself."""
        goal, shown = info[GOAL], {}
        picture = goal if is_picture(goal) else info.get("goal_rendered")
        if is_picture(picture):
            shown["pixels"] = resized(np.asarray(picture), self.image_size)
        if self.senses.proprio and not is_picture(goal) and np.size(goal) == self.senses.proprio:
            shown["proprio"] = np.asarray(goal, np.float32).reshape(-1)
        return shown or None

    def _info(self, info: dict[str, Any], over: bool) -> dict[str, Any]:
        success = self.tells.success(info, self.total, over)
        found = {"success": success, "num_objects": 1, "num_cleared": int(success), "num_dropped": 0, "return": self.total}
        film = {"film": [self.render()]} if self.film_every and self.tells.renders else {}
        return {**info, **found, **film}


def _bounds_of(space: gym.Space) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper bounds (A,) float32 of actions. ValueError for any but a bounded Box of one axis."""
    if not isinstance(space, Box) or len(space.shape) != 1:
        raise ValueError(f"it takes actions of {space}; plans are made of continuous actions: a Box of one axis is needed")
    if not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
        raise ValueError(f"it takes unbounded actions, {space}; plans need bounds: wrap it in RescaleAction or choose another")
    return space.low.astype(np.float32), space.high.astype(np.float32)
