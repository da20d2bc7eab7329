"""Scripted policies: exact answers on tables whose best sweep is plain."""

from __future__ import annotations

import numpy as np

from envs.experts import aimed_sweep, clear_by_sweeps
from envs.experts.obstacles import obstacles
from envs.tabletop import TabletopEnv


def test_one_object_is_swept_straight_into_the_bin_from_behind() -> None:
    start, end = clear_by_sweeps([(np.array([0.1, 0.0]), 0.03)], np.random.default_rng(0))
    assert start[0] == end[0] and abs(start[0] - 0.1) < 0.031
    assert start[1] < -0.03 - 0.02
    assert end[1] > 0.3


def test_two_objects_in_a_lane_are_taken_together() -> None:
    things = [(np.array([0.0, 0.1]), 0.03), (np.array([0.01, -0.1]), 0.03), (np.array([-0.19, 0.0]), 0.03)]
    start, _ = clear_by_sweeps(things, np.random.default_rng(0))
    assert start[1] < -0.13 and abs(start[0]) < 0.04


def test_the_paddle_is_not_lowered_onto_an_object() -> None:
    # Right behind the first stands a second, which must be taken too or given room.
    things = [(np.array([0.0, 0.0]), 0.03), (np.array([0.0, -0.065]), 0.03)]
    start, _ = clear_by_sweeps(things, np.random.default_rng(0))
    assert all(np.hypot(*(start - p)) > r + 0.01 for p, r in things)


def test_the_paddle_is_not_lowered_onto_what_stands_about_but_may_sweep_it_along() -> None:
    cup = (np.array([0.0, 0.0]), 0.03)
    plain, _ = clear_by_sweeps([cup], np.random.default_rng(0))
    candle = (plain.copy(), 0.014)  # just where the paddle would come down
    start, end = clear_by_sweeps([cup], np.random.default_rng(0), [candle])
    assert abs(start[0]) < 0.06 and start[1] < -0.05 and end[1] > 0.3  # still behind the cup, and into the bin
    ahead, aside = np.abs(candle[0] - start)[::-1] - [0.014, 0.065]  # PADDLE_CAP, and half of its width
    assert np.hypot(max(ahead, 0), max(aside, 0)) > 0.014
    far = (np.array([0.2, 0.2]), 0.014)
    np.testing.assert_allclose(clear_by_sweeps([cup], np.random.default_rng(0), [far])[0], plain, atol=0.02)


def test_obstacles_are_the_distractors_of_the_episode() -> None:
    env = TabletopEnv("gantry", observations=["state"], variations={"factors": ["distractors"], "split": "held_out"})
    kinds = set()
    for seed in range(4):
        _, info = env.reset(seed=seed)
        found, drawn = obstacles(env.world), info["variation"]
        kinds |= set(drawn["distractors_kind"])
        assert len(found) == sum(1 if kind == "candle" else 5 for kind in drawn["distractors_kind"])
        for kind, place in zip(drawn["distractors_kind"], drawn["distractors_place"], strict=True):
            near = [np.hypot(*(xy - place)) for xy, _ in found]
            assert min(near) < 1e-3 and (kind == "candle" or sum(gap < 0.05 for gap in near) >= 5)
    assert kinds == {"candle", "fork"}
    env.close()
    plain = TabletopEnv("gantry", observations=["state"])
    plain.reset(seed=0)
    assert obstacles(plain.world) == []
    plain.close()


def test_aimed_sweeps_pass_near_the_object_that_they_aim_at() -> None:
    rng = np.random.default_rng(0)
    position = np.array([0.05, 0.02])
    near = 0
    for _ in range(200):
        start, end = aimed_sweep([(position, 0.03)], rng)
        direction = (end - start) / np.hypot(*(end - start))
        offset = position - start
        assert offset @ direction > 0.03  # starts behind it
        near += abs(offset[0] * direction[1] - offset[1] * direction[0]) < 0.06
    assert near > 195


def test_an_empty_table_still_gets_a_sweep() -> None:
    rng = np.random.default_rng(0)
    assert clear_by_sweeps([], rng).shape == (2, 2)
    assert aimed_sweep([], rng).shape == (2, 2)
