"""What cannot happen, made in the simulator: pairs of one transition as it went and as it could not have gone.

    pairs = make_pairs(env, num=40, rng=np.random.default_rng(0))
    found = expectation(run, env, num=40, rng=np.random.default_rng(0))     # benchmarks/violations.py prints it

Of each transition (observation before, action, observation after) the natural end is the simulator's own; the violated one
is the same picture with one object edited, so that the two differ in nothing else. Violation of expectation as a test of a
world model: Riochet et al., IntPhys, arXiv:1803.07616; Garrido et al., arXiv:2502.11831.

The environment is asked for, by duck typing: `unwrapped.observe_edited(slot, pose=, rgb=, present=)`,
`unwrapped.aimed_action(rng)`, info["status"] (O,), and a privileged "state" of (present, x, y, z, quaternion) a slot.

O object slots
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

import gymnasium
import numpy as np

from agents.evaluation.protocol import NUM_EVALUATION_SEEDS
from agents.training.health import load_surprise
from agents.training.runs import Run, require_fit
from worldmodel.diagnostics.expectation import EventPair, ExpectationReport, violation_of_expectation
from worldmodel.errors import ConfigError

Kind = Literal["teleported", "vanished", "recoloured", "passed_through"]
KINDS: tuple[Kind, ...] = ("teleported", "vanished", "recoloured", "passed_through")

ON_TABLE, IN_BIN = 1, 2
STILL, MOVED = 0.002, 0.06
"""An object that was not touched moved less than this, one that was pushed more [m]."""
JUMP = 0.12
"""A teleported object goes at least so far [m], to a place at least `APART` from the other objects."""
APART = 0.10
REACH = 0.20
"""Half the side of the square about the table's middle in which objects reappear [m]."""
COLOURS = np.array([[0.85, 0.15, 0.15], [0.15, 0.35, 0.85], [0.15, 0.70, 0.25], [0.90, 0.80, 0.15], [0.70, 0.20, 0.75]])
"""One of another slot's hue is what a recoloured object gets."""
MAX_TRANSITIONS = 60
"""Transitions looked at for each pair asked for, before giving up on a kind."""


def make_pairs(env: gymnasium.Env, num: int, rng: np.random.Generator, kinds: tuple[Kind, ...] = KINDS) -> list[EventPair]:
    """`num` pairs of each kind; at most one pair of a kind from a transition. Sweeps are aimed at objects, with noise.

    Raises ConfigError when the world does not offer enough events of a kind.
    """
    left: dict[Kind, int] = dict.fromkeys(kinds, num)
    pairs: list[EventPair] = []
    for before, action, after, statuses in _transitions(env, num * MAX_TRANSITIONS, rng):
        for kind in kinds:
            if left[kind] == 0:
                continue
            violated = _violate(env.unwrapped, kind, before, after, statuses, rng)
            if violated is not None:
                pairs.append(EventPair(kind, before, action, after, violated))
                left[kind] -= 1
        if not any(left.values()):
            return pairs
    missing = ", ".join(f"{count} of {num} {kind}" for kind, count in left.items() if count)
    raise ConfigError(f"{num * MAX_TRANSITIONS} transitions were too few for {missing}; give the world more objects")


def expectation(run: Run, env: gymnasium.Env, num: int, rng: np.random.Generator) -> dict[str, ExpectationReport]:
    """Kind -> how well the surprise of a measured run tells its violations, on `num` pairs each from an environment.

    Raises ConfigError for a model of blocks of actions, or the environment of a further embodiment, which surprise was not
    calibrated on; CheckpointError for a run without a scale of surprise.
    """
    if run.manifest.action_block != 1:
        raise ConfigError(f"{run.directory} takes {run.manifest.action_block} actions as one; pairs are of one action each")
    if number := require_fit(run, env):
        raise ConfigError(f"{run.directory} was measured for surprise as embodiment 0, and this environment is of {number}")
    run.model.embody(0)
    pairs = [
        replace(pair, before=run.prepare(pair.before), natural=run.prepare(pair.natural), violated=run.prepare(pair.violated))
        for pair in make_pairs(env, num, rng)
    ]
    return violation_of_expectation(run.model, load_surprise(run.directory), pairs)


def _transitions(
    env: gymnasium.Env, num: int, rng: np.random.Generator
) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray, dict[str, np.ndarray], tuple[np.ndarray, np.ndarray]]]:
    """Observation before, action, observation after, and the objects' status before and after."""
    world: Any = env.unwrapped
    ended, before, info = True, {}, {}
    for _ in range(num):
        if ended:
            before, info = env.reset(seed=int(rng.integers(NUM_EVALUATION_SEEDS)))  # never a recorded start
        action = world.aimed_action(rng)
        after, _, terminated, truncated, then = env.step(action)
        yield before, np.asarray(action, np.float32), after, (info["status"], then["status"])
        before, info, ended = after, then, terminated or truncated


def _violate(
    world: Any,
    kind: Kind,
    before: dict[str, np.ndarray],
    after: dict[str, np.ndarray],
    statuses: tuple[np.ndarray, np.ndarray],
    rng: np.random.Generator,
) -> dict[str, np.ndarray] | None:
    """The observation after, with one object edited; None where this transition offers no such object."""
    poses, ends = (obs["state"].reshape(-1, 8)[:, 1:] for obs in (before, after))  # (O, 7)
    moved = np.linalg.norm(ends[:, :3] - poses[:, :3], axis=1)
    on_table = (statuses[0] == ON_TABLE) & (statuses[1] == ON_TABLE)
    pushed = (statuses[0] == ON_TABLE) & (moved > MOVED) & np.isin(statuses[1], (ON_TABLE, IN_BIN))
    still = on_table & (moved < STILL)
    candidates = np.flatnonzero(pushed if kind == "passed_through" else still)
    if len(candidates) == 0:
        return None
    slot = int(rng.choice(candidates))
    if kind == "vanished":
        return world.observe_edited(slot, present=False)
    if kind == "recoloured":
        others = np.delete(np.arange(len(COLOURS)), slot % len(COLOURS))
        return world.observe_edited(slot, rgb=COLOURS[rng.choice(others)])
    if kind == "passed_through":  # the tool went through it: it stands where it stood, unless something stands there now
        return world.observe_edited(slot, pose=poses[slot]) if _free(poses[slot, :2], ends, statuses[1], slot) else None
    place = _elsewhere(slot, ends, statuses[1], rng)
    return None if place is None else world.observe_edited(slot, pose=np.array([*place, *ends[slot, 2:]]))


def _elsewhere(slot: int, poses: np.ndarray, status: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """A free place (2,) [m] on the table, `JUMP` or more from where the object is."""
    for _ in range(50):
        place = rng.uniform(-REACH, REACH, 2)
        if np.linalg.norm(place - poses[slot, :2]) >= JUMP and _free(place, poses, status, slot):
            return place
    return None


def _free(place: np.ndarray, poses: np.ndarray, status: np.ndarray, slot: int) -> bool:
    """Whether no other object on the table is within `APART` of a place."""
    others = (status == ON_TABLE) & (np.arange(len(status)) != slot)
    return bool(np.all(np.linalg.norm(poses[others, :2] - place, axis=1) >= APART))
