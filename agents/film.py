"""Acting on camera: one episode of a planning agent as a film in real time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from agents.experiment import ExperimentConfig
from agents.mpc import MPCAgent
from agents.report import PlannerView, VideoWriter, caption_frame, planner_view, save_planner_views
from agents.training.runs import Run, build_agent
from agents.training.stages import told
from agents.worldspec import action_word, budget_of, spec_of
from worldmodel.checks import require_seed
from worldmodel.errors import MismatchError
from worldmodel.progress import Progress
from worldmodel.train.logging import LoggingConfig

FILM_EVERY, FPS = 4, 12.5
"""Controller ticks of 20 ms between two pictures, and pictures a second: a film runs in real time."""
PAUSE = 6
"""Times that the picture between two sweeps is repeated."""
FILM_KWARGS = {"film_every": FILM_EVERY, "render_mode": "rgb_array"}
"""What an environment is made with to be filmed."""

Tell = Callable[[int, Mapping[str, Any]], None]
"""Told after each sweep: how many there were, and the environment's info."""


@dataclass(frozen=True)
class Played:
    """One filmed episode."""

    success: bool
    """The task's own rule held at the end."""
    num_actions: int
    """Sweeps, or other actions, taken."""
    views: tuple[PlannerView, ...]
    """Decisions seen from inside, when the planner keeps its candidates."""


def film(env: gymnasium.Env, agent: MPCAgent, seed: int, video: Path, tell: Tell) -> Played:
    """Act through the episode of a seed and film it; `env` was made with FILM_KWARGS.

    Raises ConfigError for a seed that is none, before anything is written.
    """
    require_seed("seed", seed)
    agent.reset([seed])
    observation, info = env.reset(seed=seed)
    views: list[PlannerView] = []
    count, over, plan = 0, False, None
    budget, unit = getattr(env.unwrapped, "max_sweeps", 0), action_word(spec_of(env).control_mode)
    with VideoWriter(video, FPS) as writer:

        def show(pictures: Iterable[np.ndarray], sweep: int) -> None:
            left = info["num_objects"] - info["num_cleared"]
            for picture in pictures:
                writer.add(caption_frame(picture, sweep=sweep, num_sweeps=budget, objects_left=left, unit=unit))

        show(_still(env), 0)
        while not over:
            action = agent.act({key: np.asarray(value)[None] for key, value in observation.items()}, [env])[0]
            decided = agent.last_plan is not plan
            plan = agent.last_plan
            if decided and plan is not None and plan.trace.candidates:
                views.append(planner_view(np.asarray(observation["pixels"]), plan))
            observation, _, terminated, truncated, after = env.step(action)
            count, over = count + 1, terminated or truncated
            show(after["film"], count)  # what is left is counted when the sweep is over
            info = after
            show(_still(env), count)
            tell(count, info)
    return Played(bool(info["success"]), count, tuple(views))


def film_and_look_inside(
    run: Run, config: ExperimentConfig, env: gymnasium.Env, seed: int, video: Path, progress: Progress
) -> Played:
    """Film an episode, and keep every decision's candidates for the report."""
    chosen = dataclasses.replace(config.planner.chosen, keep_candidates=True)
    planner = dataclasses.replace(config.planner, **{config.planner.name: chosen})
    budget = budget_of(run.manifest.spec.env_kwargs) or 0

    def tell(count: int, info: Mapping[str, Any]) -> None:
        progress.update(count, max(count, budget), cleared=f"{info['num_cleared']} of {info['num_objects']}")

    played = film(env, build_agent(run, planner, config.cost, env), seed, video, tell)
    save_planner_views(run.directory, played.views, run.model.spec.action)
    send(run, config.logging, "film", video)
    return played


def send(run: Run, config: LoggingConfig, name: str, video: Path) -> None:
    """Show a film in the run's W&B under a name; nothing is done where W&B is disabled."""
    if config.wandb != "disabled":
        with told(run.directory, run.manifest, config) as logger:
            logger.log_file(run.manifest.step, name, video)


def _still(env: gymnasium.Env) -> list[np.ndarray]:
    picture = env.render()
    if not isinstance(picture, np.ndarray):
        raise MismatchError("this environment draws no pictures; a film needs render_mode='rgb_array'")
    return [picture] * PAUSE
