"""The table of experts: intervals, and rows that are measured in pieces."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import experts
from benchmarks.experts import joined, keep, measure, play, rate, read, summary, wilson, write
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


def test_a_run_that_is_called_again_goes_on_where_the_file_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[range] = []

    def fake(env: TabletopEnv, policy: str, seeds: range) -> dict[str, Any]:
        asked.append(seeds)
        values = list(seeds)
        return {
            "won": [1] * len(seeds),
            "steps": values,
            "peak_force_n": values,
            "dropped": values,
            "violations": values,
            "seconds": 1,
        }

    monkeypatch.setattr(experts, "play", fake)
    monkeypatch.setattr(experts, "PIECE", 2)
    env, path = TabletopEnv(KEY["robot"], task=KEY["task"], control_mode=KEY["control"]), tmp_path / "experts.json"
    write(path, {**KEY, "robot": "arm", "rate": {"actions_per_s": 9.0}})
    measure(env, KEY, "expert", range(5, 8), path)
    assert asked == [range(5, 7), range(7, 8)]
    assert measure(env, KEY, "expert", range(5, 11), path)["steps"] == [5, 6, 7, 8, 9, 10]
    assert asked[2:] == [range(8, 10), range(10, 11)]
    measure(env, KEY, "expert", range(5, 11), path)
    assert len(asked) == 4
    measure(env, KEY, "expert", range(0, 1), path)  # other seeds: from the beginning
    assert asked[4:] == [range(0, 1)]
    env.close()
    row, (other,) = read(path, KEY)
    assert row["expert"]["steps"] == [0] and other["rate"] == {"actions_per_s": 9.0}


def test_a_rate_is_that_of_whole_episodes_of_the_expert(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experts, "play", lambda env, policy, seeds: {"steps": [10 + seeds.start], "seconds": 0.5})
    found = rate(TabletopEnv(KEY["robot"], task=KEY["task"], control_mode=KEY["control"]), 1.2)
    assert (found["actions"], found["episodes"], found["actions_per_s"]) == (33, 3, 22.0)
