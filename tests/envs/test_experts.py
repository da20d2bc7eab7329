"""Scripted policies: exact answers on tables whose best sweep is plain."""

from __future__ import annotations

import numpy as np

from envs.experts import aimed_sweep, clear_by_sweeps


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
