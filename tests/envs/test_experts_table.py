"""The table of experts: intervals, and rows that are measured in pieces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.experts import joined, keep, play, summary, wilson
from envs.tabletop import TabletopEnv

KEY = {"task": "reach", "control": "ee_delta", "robot": "gantry"}


def test_wilsons_interval_is_the_published_one() -> None:
    assert wilson(200, 200) == pytest.approx((0.9812, 1.0), abs=1e-4)
    assert wilson(0, 50) == pytest.approx((0.0, 0.0713), abs=1e-4)
    low, high = wilson(5, 10)  # symmetrical about a half
    assert low + high == pytest.approx(1.0, abs=1e-3) and low == pytest.approx(0.2366, abs=1e-4)


def test_pieces_add_up_to_what_is_played_at_once(tmp_path: Path) -> None:
    env = TabletopEnv(KEY["robot"], task=KEY["task"], control_mode=KEY["control"])
    about = {"num_objects": [0, 0], "budget": env.max_steps, "hardware": {}}
    whole = {"first_seed": 3, **about, **play(env, "expert", range(3, 6))}
    for first, last in ((3, 5), (5, 6)):
        piece = {"first_seed": first, **about, **play(env, "expert", range(first, last))}
        kept = keep(tmp_path / "experts.json", KEY, "expert", piece)
    env.close()
    timeless = {name: value for name, value in whole.items() if name != "seconds"}
    assert {name: value for name, value in kept.items() if name in timeless} == timeless
    (row,) = json.loads((tmp_path / "experts.json").read_text())
    assert row["expert"]["episodes"] == 3 and row["expert"]["success"] == 1.0
    assert row["expert"]["failed_seeds"] == [] and row["expert"]["steps_p50"] == summary(whole)["steps_p50"]


def test_episodes_that_do_not_follow_on_replace_the_old_ones() -> None:
    old = {"first_seed": 0, "won": [1, 1], "num_objects": [1, 1], "budget": 8, "hardware": {}}
    assert joined(old, old | {"first_seed": 5}) == old | {"first_seed": 5}
    assert joined(old, old | {"first_seed": 2, "budget": 9})["won"] == [1, 1]
